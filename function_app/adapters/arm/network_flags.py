"""Network peerings (ARM type virtualNetworkPeerings) and the flags of Route Servers (virtualHubs). No method waits for
an operation: its progress is `provisioningState`, read in a later pass. What to change is decided in `domain/networks`.

ARM has no write of one flag: the whole resource is read, changed and written back under its etag, so that a foreign change
in between is not undone.
"""

from typing import Any

from function_app.adapters.arm.client import Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, facts_of, plain
from function_app.adapters.arm.route_server import KIND as ROUTE_SERVER
from function_app.domain.base.errors import BadInput
from function_app.domain.networks.flags import Flag, Flags, NetworkPeeringReading, RepairFlags
from function_app.domain.topology.model import NetworkPeering, RouteServer

NETWORK = "Microsoft.Network/virtualNetworks"
BELOW = "/virtualnetworkpeerings/"

# ARM's names of what the topology document calls otherwise.
NAMES = {
    Flag.USE_REMOTE_GATEWAYS: "useRemoteGateways",
    Flag.ALLOW_GATEWAY_TRANSIT: "allowGatewayTransit",
    Flag.ALLOW_FORWARDED_TRAFFIC: "allowForwardedTraffic",
    Flag.BRANCH_TO_BRANCH: "allowBranchToBranchTraffic",
    Flag.ROUTING_PREFERENCE: "hubRoutingPreference",
}
OF_PEERINGS = (Flag.USE_REMOTE_GATEWAYS, Flag.ALLOW_GATEWAY_TRANSIT, Flag.ALLOW_FORWARDED_TRAFFIC)


class NetworkFlagsOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def read(self, peering: NetworkPeering) -> NetworkPeeringReading:
        """Its flags and state, fresh; a flag that ARM leaves out is off. Raises Unavailable or BadInput."""
        network_id, name = _parts(peering)
        async with calling(f"reading network peering {peering.name}", self._azure.cloud.timeout):
            peerings = (await self._azure.network(network_id.subscription)).virtual_network_peerings
            facts = facts_of(plain(await peerings.get(network_id.group, network_id.name, name)))
            return NetworkPeeringReading(
                flags={flag: bool(facts.get(NAMES[flag])) for flag in OF_PEERINGS},
                state=str(facts.get("peeringState") or "unknown"),
                settled=facts.get("provisioningState") == "Succeeded",
            )

    async def repair(self, step: RepairFlags) -> None:
        """Begins to write the step's flags and leaves everything else as it is. Raises Unavailable or Superseded."""
        match step.target:
            case NetworkPeering() as peering:
                await self._repair_peering(peering, step.flags)
            case RouteServer() as server:
                await self._repair_server(server, step.flags)

    async def _repair_peering(self, peering: NetworkPeering, flags: Flags) -> None:
        network_id, name = _parts(peering)
        async with calling(f"repairing network peering {peering.name}", self._azure.cloud.timeout):
            peerings = (await self._azure.network(network_id.subscription)).virtual_network_peerings
            read = await peerings.get(network_id.group, network_id.name, name)
            body, condition = _changed(read, flags)
            await peerings.begin_create_or_update(
                network_id.group, network_id.name, name, body, headers=condition, polling=False
            )

    async def _repair_server(self, server: RouteServer, flags: Flags) -> None:
        hub_id = ResourceId.parse(server.id, ROUTE_SERVER)
        async with calling(f"repairing the flags of Route Server {server.name}", self._azure.cloud.timeout):
            hubs = (await self._azure.network(hub_id.subscription)).virtual_hubs
            body, condition = _changed(await hubs.get(hub_id.group, hub_id.name), flags)
            await hubs.begin_create_or_update(hub_id.group, hub_id.name, body, headers=condition, polling=False)


def _changed(read: Any, flags: Flags) -> tuple[Json, dict[str, str]]:
    """The resource to write back, without its read-only parts, and the condition that it is unchanged since."""
    body: Json = read.as_dict(exclude_readonly=True)
    body["properties"] = {**(body.get("properties") or {}), **{NAMES[flag]: value for flag, value in flags}}
    return body, {"If-Match": read.etag} if read.etag else {}


def _parts(peering: NetworkPeering) -> tuple[ResourceId, str]:
    """The virtual network and the peering's own name. Raises BadInput."""
    at = peering.id.casefold().rfind(BELOW)
    name = peering.id[at + len(BELOW) :]
    if at < 0 or not name or "/" in name:
        raise BadInput.of("id", f"{peering.id!r} is not the id of a network peering")
    return ResourceId.parse(peering.id[:at], NETWORK), name
