"""Peerings between virtual networks (ARM virtualNetworks/virtualNetworkPeerings): written whole, under their etag.

How long a write takes and the code for a remote gateway are not from recordings. No route depends on a peering here.
"""

from copy import deepcopy

from simulator.kinds import NETWORK, kind_of
from simulator.refusals import refuse_unless_matched
from simulator.resources import Json, ResourcePath, key_of
from simulator.state import ArmError, Operation, OperationKind, OperationStatus, State

NETWORK_PEERING = f"{NETWORK}/virtualNetworks/virtualNetworkPeerings"
SPACES = ("remoteAddressSpace", "remoteVirtualNetworkAddressSpace")
WAITS = (10.0,)


class NetworkPeerings:
    def __init__(self, state: State) -> None:
        self._state = state

    def put(self, path: ResourcePath, body: Json, if_match: str | None) -> tuple[Json, bool, Operation]:
        """Create or replace a peering: (document, created, operation). Raises ArmError."""
        known = self._state.resources.get(path.id)
        refuse_unless_matched(path.id, known, if_match)
        given = body.get("properties") or {}
        if "remoteVirtualNetwork" not in given:
            raise ArmError(400, "InvalidRequestFormat", "Cannot parse the request: remoteVirtualNetwork.")
        first = {"peeringState": "Initiated", "resourceGuid": self._state.new_id()}
        fixed = first if known is None else kind_of(NETWORK_PEERING).kept(known["properties"])
        document: Json = {
            "name": path.names[-1] if known is None else known["name"],
            "id": path.id if known is None else known["id"],
            "etag": self._state.new_etag(),
            "type": NETWORK_PEERING,
            "properties": {
                **{name: value for name, value in deepcopy(given).items() if value is not None},
                **fixed,
                "provisioningState": "Updating",
            },
        }
        kind_of(NETWORK_PEERING).filled(document["properties"])
        self.relate(document)
        self._state.resources.put(document)

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
            document["etag"] = self._state.new_etag()
            if done:
                if known is None:
                    self._connect(document)
                operation.result = document
                self._state.publish("Write", document)

        return document, known is None, self._state.begin(OperationKind.WRITE, document, WAITS, finish)

    def relate(self, document: Json) -> None:
        """A peering names the address space of the network at its other end, where that is known."""
        facts = document["properties"]
        remote = self._state.resources.get((facts.get("remoteVirtualNetwork") or {}).get("id", ""))
        if remote is not None and "addressSpace" in remote["properties"]:
            facts |= {name: deepcopy(remote["properties"]["addressSpace"]) for name in SPACES}

    def _connect(self, document: Json) -> None:
        """A new peering and the one that leads back, if there is one, are Connected from now on."""
        other = self._back(document)
        if other is not None:
            for one in (document, other):
                one["properties"]["peeringState"] = "Connected"

    def disconnect(self, document: Json) -> None:
        """The peering is gone: what is left of the pair leads nowhere."""
        other = self._back(document)
        if other is not None:
            other["properties"]["peeringState"] = "Disconnected"

    def _back(self, document: Json) -> Json | None:
        """The peering from the remote network to this one."""
        here, there = network_of(document), key_of(document["properties"]["remoteVirtualNetwork"]["id"])
        for other in self._state.resources.of_type(NETWORK_PEERING):
            remote = (other["properties"].get("remoteVirtualNetwork") or {}).get("id", "")
            if network_of(other) == there and key_of(remote) == here:
                return other
        return None


def network_of(peering: Json) -> str:
    """The key of the network that a peering is part of."""
    return key_of(peering["id"]).rpartition("/virtualnetworkpeerings/")[0]
