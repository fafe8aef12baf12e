"""The IP configuration of a Route Server: with it the Route Server gets its two instances, and without it it has none.

Held to azure-powershell's session record RouteServerTests/TestRouteServerCRUD of 2022-05-10: about 19 minutes to make one,
12 to delete it, one etag for it and its hub, and the higher address first. Marked is what no recording shows.
"""

from ipaddress import IPv4Network

from simulator.refusals import parent_missing, reference_missing
from simulator.resources import Json, ResourcePath, key_of
from simulator.route_servers import HUB, ROUTE_SERVER_ASN, refuse_while_busy
from simulator.state import (
    ADDRESSES_CREATE_WAITS,
    ADDRESSES_DELETE_WAITS,
    ArmError,
    Operation,
    OperationKind,
    OperationStatus,
    State,
)

ADDRESSES = f"{HUB}/ipConfigurations"
SUBNET = "RouteServerSubnet"
INSTANCES = (5, 4)  # offsets in the subnet, in the order ARM answers them


class HubAddresses:
    def __init__(self, state: State) -> None:
        self._state = state

    def put(self, path: ResourcePath, body: Json) -> tuple[Json, bool, Operation | None]:
        """Create the configuration, or leave it as it is: (document, whether it is new, operation). Raises ArmError."""
        hub = self._hub(path)
        known = self._state.resources.get(path.id)
        if known is not None:
            return known, False, None
        facts = body.get("properties") or {}
        held = [one for one in self._state.resources.below(hub["id"]) if one.get("type") == ADDRESSES]
        if held:
            # The code is not from a recording.
            message = f"{hub['id']} has an IP configuration already: {held[0]['name']}."
            raise ArmError(400, "VirtualHubIpConfigurationLimitReached", message)
        prefix = self._prefix(hub, (facts.get("subnet") or {}).get("id", ""))
        public = (facts.get("publicIPAddress") or {}).get("id")
        if public is not None and self._state.resources.get(public) is None:
            raise reference_missing(public, hub["id"])
        document: Json = {
            "name": path.names[-1],
            "id": path.id,
            "etag": self._state.new_etag(),
            "type": ADDRESSES,
            "properties": {
                "provisioningState": "Updating",
                "privateIPAllocationMethod": "Dynamic",
                **({"publicIPAddress": {"id": public}} if public is not None else {}),
                "subnet": {"id": facts["subnet"]["id"]},
            },
        }
        self._state.resources.put(document)
        hub["properties"]["routingState"] = "Provisioning"

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
            self._settle(hub, [str(prefix[offset]) for offset in INSTANCES] if done else [], document)
            if done:
                operation.result = document
                self._state.publish("Write", document)

        return (
            document,
            True,
            self._state.begin(OperationKind.WRITE, _target(hub, path), ADDRESSES_CREATE_WAITS, finish),
        )

    def delete(self, path: ResourcePath) -> Operation | None:
        """Start to delete it; None where there is none. Raises ArmError."""
        known = self._state.resources.get(path.id)
        if known is None:
            return None
        hub = self._hub(path)
        known["properties"]["provisioningState"] = "Deleting"

        def finish(operation: Operation) -> None:
            if operation.status is not OperationStatus.SUCCEEDED:
                known["properties"]["provisioningState"] = "Failed"
                return
            self._state.resources.remove(path.id)
            self._settle(hub, [], known)
            self._state.publish("Delete", known)

        return self._state.begin(OperationKind.DELETE, _target(hub, path), ADDRESSES_DELETE_WAITS, finish)

    def _settle(self, hub: Json, instances: list[str], document: Json) -> None:
        facts = hub["properties"]
        facts["virtualRouterIps"] = instances
        facts["virtualRouterAsn"] = ROUTE_SERVER_ASN if instances else 0
        facts["routingState"] = "Provisioned" if instances else "None"
        hub["etag"] = document["etag"] = self._state.new_etag()

    def _hub(self, path: ResourcePath) -> Json:
        """Raises ArmError."""
        hub = self._state.resources.get(path.up().id)
        if hub is None:
            raise parent_missing(path, "PUT")
        refuse_while_busy(self._state, hub)
        return hub

    def _prefix(self, hub: Json, subnet_id: str) -> IPv4Network:
        """Of the subnet, which must be there and called as Azure demands. Raises ArmError."""
        network_id, _, name = subnet_id.rpartition("/subnets/")
        network = self._state.resources.get(network_id)
        subnets = network["properties"].get("subnets") or () if network is not None else ()
        found = next((one for one in subnets if key_of(one["name"]) == key_of(name)), None)
        if found is None:
            raise reference_missing(subnet_id, hub["id"])
        if name != SUBNET:
            # The code is not from a recording.
            raise ArmError(400, "InvalidSubnetName", f"The subnet of a Route Server is called {SUBNET}, not {name}.")
        facts = found["properties"]
        return IPv4Network(facts.get("addressPrefix") or facts["addressPrefixes"][0])


def _target(hub: Json, path: ResourcePath) -> Json:
    return {"id": path.id, "location": hub.get("location")}
