"""Peerings between virtual networks (ARM virtualNetworks/virtualNetworkPeerings): written whole, under their etag.

How long a write takes and the code for a remote gateway are not from recordings. No route depends on a peering here.
"""

from copy import deepcopy

from simulator.resources import Json, ResourcePath
from simulator.state import ArmError, Operation, OperationKind, OperationStatus, State

NETWORK_PEERING = "Microsoft.Network/virtualNetworks/virtualNetworkPeerings"
WAITS = (10.0,)
FLAGS = ("allowVirtualNetworkAccess", "allowForwardedTraffic", "allowGatewayTransit", "useRemoteGateways")


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
        before = known["properties"] if known is not None else {"peeringState": "Initiated"}
        document: Json = {
            "name": path.names[-1],
            "id": path.id,
            "etag": self._state.new_etag(),
            "type": NETWORK_PEERING,
            "properties": {
                **deepcopy(given),
                **{flag: bool(given.get(flag, flag == "allowVirtualNetworkAccess")) for flag in FLAGS},
                "peeringState": before.get("peeringState", "Connected"),
                "provisioningState": "Updating",
            },
        }
        self._state.resources.put(document)

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
            document["etag"] = self._state.new_etag()
            if done:
                operation.result = document
                self._state.publish("Write", document)

        return document, known is None, self._state.begin(OperationKind.WRITE, document, WAITS, finish)


def refuse_unless_matched(resource_id: str, known: Json | None, if_match: str | None) -> None:
    """Raises ArmError where the condition of a write does not hold."""
    if if_match not in (None, "*", (known or {}).get("etag")):
        message = f"Precondition failed. If-Match does not match the current etag of {resource_id}."
        raise ArmError(412, "PreconditionFailed", message)
