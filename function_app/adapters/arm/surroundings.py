"""What only preflight reads of ARM: where things are, load balancers as they are configured, interfaces and routes.

Read-only, every few minutes, never on the failover path. A 403 is a finding of preflight, so it is a value (`Denied`).
"""

from collections.abc import AsyncIterable, Awaitable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from function_app.adapters.arm.balancer_document import balancer_of
from function_app.adapters.arm.client import Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, facts_of, ipv4, items_of, plain
from function_app.domain.base.errors import BadInput
from function_app.domain.preflight.facts import AppSubnetFacts, Denied, InterfaceFacts, RouteFacts
from function_app.domain.service.balancer import BalancerFacts
from function_app.domain.topology.model import RouteServer, Service, Speaker

NETWORK = "Microsoft.Network"
DEFAULT_ROUTE = "0.0.0.0/0"


class SurroundingsOverArm:
    """`app_subnet` is the id of the subnet that the app itself is integrated with, where the setting names it."""

    def __init__(self, azure: Azure, app_subnet: str | None = None) -> None:
        self._azure = azure
        self._app_subnet = app_subnet

    async def location(self, server: RouteServer) -> str | Denied:
        """The Route Server's region. Raises Unavailable."""
        hub = ResourceId.parse(server.id, f"{NETWORK}/virtualHubs")
        async with calling(f"reading Route Server {server.name}", self._azure.cloud.timeout):
            network = await self._azure.network(hub.subscription)
            found = await _allowed(network.virtual_hubs.get(hub.group, hub.name), "virtualHubs/read", server.id)
            if isinstance(found, Denied):
                return found
            pages = network.virtual_hub_bgp_connections.list(hub.group, hub.name)
            listed = await _allowed(_first(pages), "virtualHubs/bgpConnections/read", server.id)
            return listed if isinstance(listed, Denied) else str(found.get("location"))

    async def balancer(self, service: Service) -> BalancerFacts | Denied:
        """The load balancer as configured. Raises Unavailable, BadInput for a service without one."""
        if service.load_balancer is None:
            raise BadInput.of("nextHop", f"{service.name} has no load balancer")
        where = ResourceId.parse(service.load_balancer.id, f"{NETWORK}/loadBalancers")
        async with calling(f"reading the load balancer of {service.name}", self._azure.cloud.timeout):
            network = await self._azure.network(where.subscription)
            call = network.load_balancers.get(where.group, where.name)
            found = await _allowed(call, "loadBalancers/read", service.load_balancer.id)
            if isinstance(found, Denied):
                return found
            pool = service.load_balancer.backend_pool
            call = network.load_balancer_backend_address_pools.get(where.group, where.name, pool)
            tried = await _allowed(call, "loadBalancers/backendAddressPools/read", service.load_balancer.id)
            return tried if isinstance(tried, Denied) else balancer_of(found)

    async def interface(self, speaker: Speaker) -> InterfaceFacts | Denied:
        """Raises Unavailable, BadInput for a speaker that names no interface."""
        if speaker.interface is None:
            raise BadInput.of("interface", f"{speaker.name} names none")
        async with calling(f"reading the network interface of {speaker.name}", self._azure.cloud.timeout):
            nic = await self._interface(speaker.interface)
            if isinstance(nic, Denied):
                return nic
            subnet_id = _subnet_of(nic, speaker.address)
            network_id, subnet_name = _network_and_name(subnet_id)
            there = await self._network(network_id)
            if isinstance(there, Denied):
                return there
            table_id = _table_of(there, subnet_name)
            table = await self._table(table_id) if table_id else {}
            return table if isinstance(table, Denied) else interface_of(nic, there, table)

    async def app_subnet(self) -> AppSubnetFacts | Denied | None:
        """Its route table, not its effective routes: those are a network interface's, and an app has none. Raises
        Unavailable, BadInput for an id that is no subnet's."""
        if self._app_subnet is None:
            return None
        network_id, name = _network_and_name(self._app_subnet)
        where = ResourceId.parse(network_id, f"{NETWORK}/virtualNetworks")
        async with calling("reading the app's own subnet", self._azure.cloud.timeout):
            network = await self._azure.network(where.subscription)
            call = network.subnets.get(where.group, where.name, name)
            subnet = await _allowed(call, "virtualNetworks/subnets/read", self._app_subnet)
            if isinstance(subnet, Denied):
                return subnet
            table_id = (facts_of(subnet).get("routeTable") or {}).get("id")
            table = await self._table(str(table_id)) if table_id else {}
            return table if isinstance(table, Denied) else app_subnet_of(self._app_subnet, subnet, table)

    async def _interface(self, resource: str) -> Json | Denied:
        where = ResourceId.parse(resource, f"{NETWORK}/networkInterfaces")
        network = await self._azure.network(where.subscription)
        call = network.network_interfaces.get(where.group, where.name)
        return await _allowed(call, "networkInterfaces/read", resource)

    async def _network(self, resource: str) -> Json | Denied:
        where = ResourceId.parse(resource, f"{NETWORK}/virtualNetworks")
        network = await self._azure.network(where.subscription)
        call = network.virtual_networks.get(where.group, where.name)
        return await _allowed(call, "virtualNetworks/read", resource)

    async def _table(self, resource: str) -> Json | Denied:
        where = ResourceId.parse(resource, f"{NETWORK}/routeTables")
        network = await self._azure.network(where.subscription)
        call = network.route_tables.get(where.group, where.name)
        return await _allowed(call, "routeTables/read", resource)


async def _first(pages: AsyncIterable[Any]) -> Any | None:
    """One item is enough to see whether a list may be read."""
    async for item in pages:
        return item
    return None


async def _allowed(call: Awaitable[Any], action: str, resource: str) -> Json | Denied:
    """The document, empty where there is none, or what the 403 is about. A missing pool is left to preflight's rules."""
    try:
        found = await call
        return plain(found) if found is not None else {}
    except ResourceNotFoundError:
        if action.endswith("backendAddressPools/read"):
            return {}
        raise
    except HttpResponseError as error:
        if error.status_code == 403:
            return Denied(action=f"{NETWORK}/{action}", resource=resource)
        raise


def interface_of(nic: Json, network: Json, table: Json) -> InterfaceFacts:
    """`table` is empty where the subnet has none."""
    prefixes = items_of(facts_of(network).get("addressSpace") or {}, "addressPrefixes")
    routes = (facts_of(route).get("addressPrefix") for route in items_of(facts_of(table), "routes"))
    return InterfaceFacts(
        forwards=bool(facts_of(nic).get("enableIPForwarding")),
        network=tuple(found for prefix in prefixes if (found := _prefix(prefix)) is not None),
        default_route=DEFAULT_ROUTE in routes,
        propagates=not facts_of(table).get("disableBgpRoutePropagation"),
        machine=(facts_of(nic).get("virtualMachine") or {}).get("id"),
    )


def app_subnet_of(resource: str, subnet: Json, table: Json) -> AppSubnetFacts:
    """`table` is empty where the subnet has none."""
    return AppSubnetFacts(
        id=resource,
        table=(facts_of(subnet).get("routeTable") or {}).get("id"),
        routes=tuple(map(_route, items_of(facts_of(table), "routes"))),
        propagates=not facts_of(table).get("disableBgpRoutePropagation"),
        nat_gateway=bool((facts_of(subnet).get("natGateway") or {}).get("id")),
    )


def _route(item: Json) -> RouteFacts:
    facts = facts_of(item)
    return RouteFacts(
        name=str(item.get("name")),
        to=str(facts.get("addressPrefix")),
        next_hop=str(facts.get("nextHopType")),
        address=ipv4(facts.get("nextHopIpAddress")),
    )


def _subnet_of(nic: Json, address: IPv4Address) -> str:
    """Of the configuration with the speaker's address, or of the first. Raises BadInput where ARM names none."""
    configurations = [facts_of(item) for item in items_of(facts_of(nic), "ipConfigurations")]
    configurations.sort(key=lambda facts: facts.get("privateIPAddress") != str(address))
    subnet = (configurations[0].get("subnet") or {}).get("id") if configurations else None
    if not subnet:
        raise BadInput.of("interface", f"{nic.get('name')} is in no subnet")
    return str(subnet)


def _network_and_name(subnet: str) -> tuple[str, str]:
    """The virtual network of a subnet (its id, in any case), and its name."""
    before, _, name = subnet.rpartition("/")
    return before.rpartition("/")[0], name


def _table_of(network: Json, subnet: str) -> str | None:
    for item in items_of(facts_of(network), "subnets"):
        if str(item.get("name")).casefold() == subnet.casefold():
            table = (facts_of(item).get("routeTable") or {}).get("id")
            return str(table) if table else None
    return None


def _prefix(text: object) -> IPv4Network | None:
    """None for IPv6: a virtual network may have both."""
    try:
        return IPv4Network(str(text))
    except ValueError:
        return None
