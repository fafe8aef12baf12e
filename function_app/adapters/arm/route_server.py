"""Route Servers and their peerings over ARM (types virtualHubs and bgpConnections). No method waits for an operation.

A peering takes 80 s to create: its progress is `provisioningState`, read in a later pass. What to create or delete, and
which names are ours, is decided in `domain/peerings`.
"""

from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from function_app.adapters.arm.client import Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, facts_of, ipv4, items_of, name_of, plain, whole
from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, Provisioning, RouteServerReading
from function_app.domain.topology.model import RouteServer

KIND = "Microsoft.Network/virtualHubs"

# ARM has more states than a plan needs. A peering in an unknown one occupies one of the eight slots and is left alone,
# like Updating.
STATES = {
    "succeeded": Provisioning.SUCCEEDED,
    "creating": Provisioning.UPDATING,
    "updating": Provisioning.UPDATING,
    "deleting": Provisioning.DELETING,
    "failed": Provisioning.FAILED,
    "canceled": Provisioning.FAILED,
}


class RouteServersOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def read(self, server: RouteServer) -> RouteServerReading:
        """Both instances and every page of peerings, fresh. Raises Unavailable, also for a peering that cannot be read:
        every one occupies one of the eight slots, and no decision is taken on an incomplete list."""
        hub_id = ResourceId.parse(server.id, KIND)
        async with calling(f"reading Route Server {server.name}", self._azure.cloud.timeout):
            network = await self._azure.network(hub_id.subscription)
            hub = plain(await network.virtual_hubs.get(hub_id.group, hub_id.name))
            listed = await whole(network.virtual_hub_bgp_connections.list, hub_id.group, hub_id.name)
            peerings = tuple(map(_peering, listed))
            facts = facts_of(hub)
            instances = tuple(ip for ip in map(ipv4, items_of(facts, "virtualRouterIps")) if ip is not None)
            provisioned = (facts.get("provisioningState"), facts.get("routingState")) == ("Succeeded", "Provisioned")
            exchanges = facts.get("allowBranchToBranchTraffic")
            preference = facts.get("hubRoutingPreference")
            return RouteServerReading(instances, peerings, provisioned, exchanges, preference)

    async def create(self, server: RouteServer, step: CreatePeering) -> None:
        """Begins to write the peering. Raises Unavailable (also when the Route Server is busy) or Superseded."""
        hub_id = ResourceId.parse(server.id, KIND)
        body: Json = {"name": step.name, "properties": {"peerIp": str(step.address), "peerAsn": step.asn}}
        async with calling(f"creating peering {step.name} on {server.name}", self._azure.cloud.timeout):
            connections = await self._connections(hub_id)
            await connections.begin_create_or_update(hub_id.group, hub_id.name, step.name, body, polling=False)

    async def delete(self, server: RouteServer, step: DeletePeering) -> None:
        """Begins to remove the peering; one that does not exist counts as removed. Raises Unavailable or Superseded."""
        hub_id = ResourceId.parse(server.id, KIND)
        async with calling(f"deleting peering {step.name} on {server.name}", self._azure.cloud.timeout):
            connections = await self._connections(hub_id)
            try:
                await connections.begin_delete(hub_id.group, hub_id.name, step.name, polling=False)
            except ResourceNotFoundError:
                return

    async def _connections(self, hub_id: ResourceId) -> Any:
        return (await self._azure.network(hub_id.subscription)).virtual_hub_bgp_connection


def _peering(item: Json) -> Peering:
    """Raises ValueError for one without a name, and for an ASN that is there and is no number."""
    if not (name := name_of(item)):
        raise ValueError(f"a peering has neither name nor id: {item}")
    facts = facts_of(item)
    state = STATES.get(str(facts.get("provisioningState")).casefold(), Provisioning.UPDATING)
    asn = facts.get("peerAsn") or None
    if asn is not None and not str(asn).isdecimal():
        raise ValueError(f"the peerAsn of {name} is {asn!r}")
    return Peering(
        name=name,
        address=ipv4(facts.get("peerIp")),
        asn=int(asn) if asn is not None else None,
        state=state,
        connection_state=facts.get("connectionState"),
    )
