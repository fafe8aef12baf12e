"""What there is in a resource group before there is a topology: Route Servers, load balancers, and whose addresses are in pools.

Read-only and by hand: an operator's own rights are needed, and a 403 ends it (`Unavailable`). The import of the SDK, which a
command line pays for at its first call, is outside of every bound.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.adapters.arm.balancer_document import flows_of, frontends
from function_app.adapters.arm.client import Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, facts_of, ipv4, items_of, name_of, plain, whole
from function_app.domain.base.errors import BadInput
from function_app.domain.brownfield.inventory import BalancerFound
from function_app.domain.service.balancer import AddressFacts, FlowFacts


class LandscapeOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def route_servers(self, group: str) -> tuple[str, ...]:
        """Hubs of a Virtual WAN, which are of the same type, are none. Raises Unavailable, BadInput."""
        subscription, name = _group(group)
        network = await self._azure.network(subscription)
        async with calling(f"listing the Route Servers of {name}", self._azure.cloud.timeout):
            listed = await whole(network.virtual_hubs.list_by_resource_group, name)
            return tuple(str(hub["id"]) for hub in listed if not facts_of(hub).get("virtualWan"))

    async def balancers(self, group: str) -> tuple[BalancerFound, ...]:
        """Raises Unavailable, BadInput."""
        subscription, name = _group(group)
        network = await self._azure.network(subscription)
        async with calling(f"listing the load balancers of {name}", self._azure.cloud.timeout):
            return tuple(map(_balancer, await whole(network.load_balancers.list, name)))

    async def interface(self, interface: str) -> Mapping[str, IPv4Address]:
        """Raises Unavailable, BadInput."""
        where = ResourceId.parse(interface, "Microsoft.Network/networkInterfaces")
        network = await self._azure.network(where.subscription)
        async with calling(f"reading network interface {where.name}, which is in a pool", self._azure.cloud.timeout):
            found = facts_of(plain(await network.network_interfaces.get(where.group, where.name)))
            shown = {
                str(item.get("id")).casefold(): ipv4(facts_of(item).get("privateIPAddress"))
                for item in items_of(found, "ipConfigurations")
            }
            return {resource: address for resource, address in shown.items() if address is not None}


def _group(resource: str) -> tuple[str, str]:
    """Subscription and name of a resource group. Raises BadInput."""
    match resource.rstrip("/").split("/"):
        case ["", subscriptions, subscription, groups, name] if (subscriptions.casefold(), groups.casefold()) == (
            "subscriptions",
            "resourcegroups",
        ):
            return subscription, name
    raise BadInput.of("id", f"{resource!r} is not the id of a resource group")


def _balancer(document: Json) -> BalancerFound:
    private = {name.casefold(): ipv4(address) for name, address in frontends(document)}
    shown = {name: address for name, address in private.items() if address is not None}
    flows, interfaces = flows_of(document), _interfaces(document)
    pools = tuple(replace(pool, addresses=pool.addresses or interfaces[pool.name]) for pool in flows.pools)
    return BalancerFound(str(document["id"]), shown, FlowFacts(rules=flows.rules, pools=pools))


def _interfaces(document: Json) -> dict[str, tuple[AddressFacts, ...]]:
    """The network interfaces of each pool, by its name: as a pool of them is shown where it lists no addresses."""
    found = {}
    for pool in items_of(facts_of(document), "backendAddressPools"):
        ids = [str(item.get("id")) for item in items_of(facts_of(pool), "backendIPConfigurations")]
        found[name_of(pool)] = tuple(AddressFacts(name=each, interface=each.casefold()) for each in ids)
    return found
