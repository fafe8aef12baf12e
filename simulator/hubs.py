"""Writes of virtual hubs themselves: create, change tags and flags, delete.

Held to arm_virtual_hub recordings. Peerings are `route_servers.py`'s.
"""

from ipaddress import IPv4Network

from simulator.refusals import refuse_unless_matched
from simulator.resources import Json, ResourcePath
from simulator.route_servers import HUB, ROUTE_SERVER_ASN, refuse_while_busy
from simulator.state import (
    HUB_CREATE_WAITS,
    HUB_DELETE_WAITS,
    HUB_PATCH_WAITS,
    ArmError,
    Operation,
    OperationKind,
    OperationStatus,
    State,
)

# What a PUT of a hub that is there already changes; how long it takes is not from a recording.
FLAGS = ("allowBranchToBranchTraffic", "hubRoutingPreference")
ROUTING_SECONDS = 600.0  # routingState lags provisioningState; recorded: within 25 minutes
FIRST_INSTANCE = 68  # recorded: 10.168.0.0/24 got 10.168.0.68 and .69


class Hubs:
    def __init__(self, state: State) -> None:
        self._state = state

    def put(self, path: ResourcePath, body: Json, if_match: str | None = None) -> tuple[Json, Operation]:
        """Create or replace a hub. Returns its document and the operation. Raises ArmError."""
        known = self._state.resources.get(path.id)
        refuse_unless_matched(path.id, known, if_match)
        given = body.get("properties") or {}
        if known is not None:
            refuse_while_busy(self._state, known)
            if "tags" in body:
                known["tags"] = body["tags"]
            known["properties"] |= {flag: given[flag] for flag in FLAGS if flag in given}
            return known, self._begin(known, HUB_PATCH_WAITS)
        if "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        document: Json = {
            "name": path.names[-1],
            "id": path.id,
            "etag": self._state.new_etag(),
            "type": HUB,
            "location": str(body["location"]).replace(" ", "").lower(),
            "tags": body.get("tags", {}),
        }
        if "virtualWan" not in given:
            document["kind"] = "RouteServer"
        document["properties"] = {
            "provisioningState": "Updating",
            "virtualHubRouteTableV2s": [],
            **({"addressPrefix": given["addressPrefix"]} if "addressPrefix" in given else {}),
            "virtualRouterAsn": 0,
            "virtualRouterIps": [],
            "routeTable": {"routes": []},
            **({"virtualWan": given["virtualWan"]} if "virtualWan" in given else {}),
            "sku": given.get("sku", "Standard"),
            "routingState": "None",
            "allowBranchToBranchTraffic": given.get("allowBranchToBranchTraffic", False),
            "preferredRoutingGateway": given.get("preferredRoutingGateway", "ExpressRoute"),
        }
        self._state.resources.put(document)
        return document, self._begin(document, HUB_CREATE_WAITS)

    def patch(self, path: ResourcePath, body: Json) -> tuple[Json, Operation]:
        known = self._state.resources.get(path.id)
        if known is None:
            raise ArmError(404, "NotFound", f"Resource {path.id} not found.")
        refuse_while_busy(self._state, known)
        if "tags" in body:
            known["tags"] = body["tags"]
        return known, self._begin(known, HUB_PATCH_WAITS)

    def delete(self, path: ResourcePath) -> Operation | None:
        known = self._state.resources.get(path.id)
        if known is None:
            return None
        refuse_while_busy(self._state, known)
        known["properties"]["provisioningState"] = "Deleting"

        def finish(operation: Operation) -> None:
            if operation.status is OperationStatus.SUCCEEDED:
                self._state.resources.remove(path.id)
                self._state.publish("Delete", known)
            else:
                known["properties"]["provisioningState"] = "Failed"

        return self._state.begin(OperationKind.DELETE, known, HUB_DELETE_WAITS, finish)

    def _begin(self, document: Json, waits: tuple[float, ...]) -> Operation:
        document["properties"]["provisioningState"] = "Updating"
        document["etag"] = self._state.new_etag()

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
            document["etag"] = self._state.new_etag()
            if done:
                operation.result = document
                self._state.publish("Write", document)
                self._provision_routing(document)

        return self._state.begin(OperationKind.WRITE, document, waits, finish)

    def _provision_routing(self, document: Json) -> None:
        facts = document["properties"]
        if facts["routingState"] == "Provisioned":
            return
        facts["routingState"] = "Provisioning"

        def provisioned() -> None:
            prefix = IPv4Network(facts.get("addressPrefix", "10.0.0.0/24"))
            first = min(FIRST_INSTANCE, prefix.num_addresses - 3)
            facts["virtualRouterAsn"] = ROUTE_SERVER_ASN
            facts["virtualRouterIps"] = [str(prefix[first]), str(prefix[first + 1])]
            facts["routingState"] = "Provisioned"
            document["etag"] = self._state.new_etag()

        self._state.agenda.after(self._state.pace.scaled(ROUTING_SECONDS), provisioned)
