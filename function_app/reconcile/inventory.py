"""What is there before there is a topology: read through ARM, by hand, with nothing written anywhere.

A Route Server answers one query for learned routes at a time, so they are requested one after the other; each costs a write
token, though it changes nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address

from function_app.domain.base.errors import BadInput, HopkeeperError, Unavailable
from function_app.domain.brownfield.inventory import BalancerFound, Inventory, interface_of
from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.routes.reading import LearnedRoute, Unread
from function_app.domain.topology.model import RouteServer, ScaleSet
from function_app.reconcile.ports import Clock, Landscape, PeerRoutes, RouteServers, ScaleSets

NAMED = re.compile(
    r"/subscriptions/([^/\s]+)/resourceGroups/([^/\s]+)(?:/providers/Microsoft\.Network/virtualHubs/([^/\s]+))?/?",
    re.IGNORECASE,
)
SCALE_SET = re.compile(r"(.+/virtualmachinescalesets/[^/]+)/virtualmachines/([^/]+)/networkinterfaces/.+")
POLL = timedelta(seconds=1)
PATIENCE = timedelta(minutes=2)
"""For the routes of one peer; an answer takes about ten seconds."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What an inventory is read from."""

    clock: Clock
    landscape: Landscape
    route_servers: RouteServers
    learned_routes: PeerRoutes
    scale_sets: ScaleSets


async def take_inventory(sources: Sources, resource: str, groups: Iterable[str] = ()) -> Inventory:
    """Reads one Route Server, by its id or by that of the resource group whose only one it is, and the load balancers of
    that group and of `groups` (ids).

    Raises BadInput for an id of anything else, and where the group holds none or several; Unavailable where Azure does not
    answer, refuses, or has no such resource. What was not named but found on the way is no error: learned routes
    (`Inventory.unread`), the load balancers of the Route Server's own group, network interfaces of pools (`absent`).
    """
    own, group = await _route_server(sources, resource)
    server = RouteServer(name="route-server", id=own)
    reading = await sources.route_servers.read(server)
    balancers, absent = await _balancers(sources, group, groups)
    routes, unread = await _routes(sources, server, reading)
    interfaces, missing = await _interfaces(sources, balancers)
    return Inventory(own, reading, balancers, routes, unread, interfaces, absent | missing)


async def _route_server(sources: Sources, resource: str) -> tuple[str, str]:
    """The ids of the Route Server and of its resource group."""
    match = NAMED.fullmatch(resource.strip())
    if match is None:
        rule = "is neither the id of a Route Server (.../providers/Microsoft.Network/virtualHubs/NAME) nor of a resource group"
        raise BadInput.of("id", f"{resource!r} {rule}")
    subscription, name, wanted = match.groups()
    group = f"/subscriptions/{subscription}/resourceGroups/{name}"
    there = await sources.landscape.route_servers(group)
    fitting = [each for each in there if wanted is None or each.casefold().endswith(f"/{wanted.casefold()}")]
    if len(fitting) == 1:
        return fitting[0], group
    missing = f"no Route Server {wanted or ''}".rstrip()
    has = f"it has {', '.join(there)}" if there else "it has none"
    raise BadInput.of("id", f"resource group {name} has {'several: name one' if fitting else missing}; {has}")


async def _routes(
    sources: Sources, server: RouteServer, reading: RouteServerReading
) -> tuple[dict[str, tuple[LearnedRoute, ...]], dict[str, str]]:
    """By name of peering: what could be read, and why something could not."""
    routes: dict[str, tuple[LearnedRoute, ...]] = {}
    unread = {each.name: f"its peering is {each.state}" for each in reading.peerings}
    for peering in (each.name for each in reading.peerings if each.in_force):
        try:
            rows = await _learned(sources, server, peering)
        except HopkeeperError as error:
            unread[peering] = str(error)
            continue
        routes[peering] = tuple(row for row in rows if isinstance(row, LearnedRoute))
        failed = [row.said for row in rows if isinstance(row, Unread)]
        unread[peering] = f"{len(failed)} of its rows and values, the first: {failed[0]}" if failed else ""
    return routes, unread


async def _learned(sources: Sources, server: RouteServer, peering: str) -> tuple[LearnedRoute | Unread, ...]:
    token = await sources.learned_routes.ask(server, peering)
    began = sources.clock.now()
    while (rows := await sources.learned_routes.fetch(token)) is None:
        if sources.clock.now() - began > PATIENCE:
            raise Unavailable(f"no answer within {PATIENCE.total_seconds():g} s")
        await sources.clock.sleep(POLL)
    return rows


async def _balancers(
    sources: Sources, own: str, groups: Iterable[str]
) -> tuple[tuple[BalancerFound, ...], dict[str, str]]:
    """Of each group once, and why those of the Route Server's own group are missing, unless it was named besides."""
    named = {group.rstrip("/").casefold(): group for group in groups}
    found: list[BalancerFound] = []
    absent: dict[str, str] = {}
    if own.casefold() not in named:
        try:
            found += await sources.landscape.balancers(own)
        except HopkeeperError as error:
            absent[own] = str(error)
    for group in named.values():
        found += await sources.landscape.balancers(group)
    return tuple(found), absent


async def _interfaces(
    sources: Sources, balancers: Iterable[BalancerFound]
) -> tuple[Mapping[str, IPv4Address], dict[str, str]]:
    """The addresses of the IP configurations that pools name without an address, and by network interface why some lack."""
    hidden = set(_hidden(balancers))
    found: dict[str, IPv4Address] = {}
    absent: dict[str, str] = {}
    for own in sorted(set(map(interface_of, hidden))):
        try:
            shown = await _addresses(sources, own)
        except HopkeeperError as error:
            absent[own] = str(error)
            continue
        found |= {each: address for each in hidden if (address := shown.get(each) or shown.get(own)) is not None}
    return found, absent


async def _addresses(sources: Sources, interface: str) -> Mapping[str, IPv4Address]:
    """By id, lower case: of each IP configuration, or of the whole interface where it is that of a scale set's instance."""
    if (instance := SCALE_SET.fullmatch(interface)) is None:
        return await sources.landscape.interface(interface)
    scale_set = ScaleSet(name="scale-set", id=instance[1], asn=1, peers_with=("route-server",))
    by_machine = {each.id: each.address for each in await sources.scale_sets.instances(scale_set)}
    return {interface: by_machine[instance[2]]} if instance[2] in by_machine else {}


def _hidden(balancers: Iterable[BalancerFound]) -> Iterator[str]:
    for balancer in balancers:
        for pool in balancer.flows.pools:
            for facts in pool.addresses:
                if facts.ip is None and facts.interface is not None:
                    yield facts.interface
