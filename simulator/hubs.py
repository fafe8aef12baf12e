"""Writes of virtual hubs themselves: create, change tags and flags, delete.

Held to arm_virtual_hub recordings, and of Route Servers to RouteServerTests/TestRouteServerCRUD. Peerings are
`route_servers.py`'s, IP configurations `hub_addresses.py`'s.
"""

from collections.abc import Callable
from ipaddress import IPv4Network

from simulator.refusals import refuse_unless_matched
from simulator.resources import Json, ResourcePath
from simulator.route_servers import HUB, ROUTE_SERVER_ASN, refuse_while_busy
from simulator.state import (
    HUB_CREATE_WAITS,
    HUB_DELETE_WAITS,
    HUB_PATCH_WAITS,
    ROUTE_SERVER_DELETE_WAITS,
    ROUTE_SERVER_UPDATE_WAITS,
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


def is_route_server(document: Json) -> bool:
    return document.get("kind") == "RouteServer"


class Hubs:
    def __init__(self, state: State, remove: Callable[[str], None]) -> None:
        """`remove(id)` is called when a hub is gone, for it and all below it."""
        self._state = state
        self._remove = remove

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
            update = ROUTE_SERVER_UPDATE_WAITS if is_route_server(known) else HUB_PATCH_WAITS
            return known, self._begin(known, update)
        if "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        document = _document(path, body, self._state.new_etag())
        self._state.resources.put(document)
        if not is_route_server(document):
            return document, self._begin(document, HUB_CREATE_WAITS)
        operation = self._begin(document, ())
        document["properties"]["provisioningState"] = "Succeeded"  # recorded: at once
        return document, operation

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
                self._remove(path.id)
            else:
                known["properties"]["provisioningState"] = "Failed"

        waits = ROUTE_SERVER_DELETE_WAITS if is_route_server(known) else HUB_DELETE_WAITS
        return self._state.begin(OperationKind.DELETE, known, waits, finish)

    def _restamp(self, document: Json) -> None:
        """A new etag for a hub and for its IP configuration, which share it."""
        document["etag"] = self._state.new_etag()
        for child in self._state.resources.below(f"{document['id']}/ipConfigurations"):
            child["etag"] = document["etag"]

    def _begin(self, document: Json, waits: tuple[float, ...]) -> Operation:
        document["properties"]["provisioningState"] = "Updating"
        document["etag"] = self._state.new_etag()

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
            if waits:
                self._restamp(document)
            if done:
                operation.result = document
                self._state.publish("Write", document)
                self._provision_routing(document)

        return self._state.begin(OperationKind.WRITE, document, waits, finish)

    def _provision_routing(self, document: Json) -> None:
        facts = document["properties"]
        if facts["routingState"] == "Provisioned" or is_route_server(document):
            return  # a Route Server's routing comes with its IP configuration
        facts["routingState"] = "Provisioning"

        def provisioned() -> None:
            prefix = IPv4Network(facts.get("addressPrefix", "10.0.0.0/24"))
            first = min(FIRST_INSTANCE, prefix.num_addresses - 3)
            facts["virtualRouterAsn"] = ROUTE_SERVER_ASN
            facts["virtualRouterIps"] = [str(prefix[first]), str(prefix[first + 1])]
            facts["routingState"] = "Provisioned"
            document["etag"] = self._state.new_etag()

        self._state.agenda.after(self._state.pace.scaled(ROUTING_SECONDS), provisioned)


def _document(path: ResourcePath, body: Json, etag: str) -> Json:
    """A new hub; without a Virtual WAN it is a Route Server."""
    given = body.get("properties") or {}
    document: Json = {
        "name": path.names[-1],
        "id": path.id,
        "etag": etag,
        "type": HUB,
        "location": str(body["location"]).replace(" ", "").lower(),
        **({"tags": body["tags"]} if "tags" in body else {}),
        **({} if "virtualWan" in given else {"kind": "RouteServer"}),
    }
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
    if is_route_server(document):
        document["properties"] |= {
            "virtualRouterAutoScaleConfiguration": {"minCapacity": 2},
            "networkVirtualAppliances": [],
            "hubRoutingPreference": given.get("hubRoutingPreference", "ExpressRoute"),
        }
    return document
