"""Whether a Route Server learned what the topology implies: every prefix, from every peer, with the right next hop and
AS path, on both instances, and nothing else from peers of the topology.

Evidence for the status, never a reason to touch peerings during a failover. What the topology implies is in `expected`,
what concerns hub speakers only in `hubs`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN
from function_app.domain.routes.as_paths import AsPath, holds, written
from function_app.domain.routes.expected import (
    Dropped,
    ExpectedRoute,
    Standing,
    Way,
    collapse,
    dropped,
    expected_routes,
)
from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.routes.hubs import missing_clients, single_hubs
from function_app.domain.routes.reading import LearnedRoute, RoutesByPeer
from function_app.domain.topology.model import Topology

UNVERIFIED = (
    FindingKind.MISSING,
    FindingKind.ONE_INSTANCE,
    FindingKind.NEXT_HOP,
    FindingKind.HUB_NEXT_HOP,
    FindingKind.HUB_LACKS_CLIENT,
    FindingKind.LOOP,
    FindingKind.DROPPED,
)
"""Findings that leave a service unverified: its routes are not (yet) as they should be. An AS path of another length is
only reported."""


@dataclass(frozen=True, slots=True)
class RouteCheck:
    """One service's routes as learned from one peer: `missing` names what is not as it should be."""

    service: str
    speaker: str
    missing: tuple[str, ...]

    @property
    def verified(self) -> bool:
        return not self.missing


def compare(
    topology: Topology, server: str, learned: RoutesByPeer, instances: tuple[IPv4Address, ...], now: Standing
) -> tuple[RouteFinding, ...]:
    """All that is not as implied on one Route Server, of the peers in `learned`; `instances` are its addresses.

    Where the next hop that a prefix should have is not known yet, any is accepted.
    """
    wanted = [route for route in expected_routes(topology, server, now) if route.peer in learned]
    missing = missing_clients(wanted, learned)
    reported = {(each.hub, each.client) for each in missing}
    found = [each.finding(server) for each in missing]
    rows = _by_instance(learned)
    for route in wanted:
        if not {(route.peer, way.origin) for way in route.ways} <= reported:
            mine = rows[route.peer, route.network]
            found += _compared(topology, route, {instance: mine.get(instance, []) for instance in instances})
    found += _extras(topology, server, wanted, learned)
    return (*found, *single_hubs(topology, server, wanted, learned, instances))


type Rows = Mapping[IPv4Address, list[LearnedRoute]]
"""By instance, what it learned of one prefix from one peer."""


def _by_instance(learned: RoutesByPeer) -> Mapping[tuple[str, IPv4Network], Rows]:
    """The rows by peer and prefix, then by instance; empty for what was not learned."""
    found: dict[tuple[str, IPv4Network], dict[IPv4Address, list[LearnedRoute]]] = defaultdict(dict)
    for peer, routes in learned.items():
        for row in routes:
            found[peer, row.network].setdefault(row.instance, []).append(row)
    return found


def predicted_drops(topology: Topology) -> tuple[RouteFinding, ...]:
    """What will never be learned, known from the topology alone."""
    return tuple(_dropped(each) for each in dropped(topology))


def checks(
    topology: Topology, server: str, learned: RoutesByPeer, findings: tuple[RouteFinding, ...], now: Standing
) -> tuple[RouteCheck, ...]:
    """The findings by service and peer; a service whose next hop is not known yet is not judged."""
    wanted = [route for route in expected_routes(topology, server, now) if route.peer in learned]
    ways = [(way, route.peer) for route in wanted for way in route.ways]
    judged = {(way.service, peer) for way, peer in ways if way.service is not None and way.next_hop is not None}
    wrong: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for finding in findings:
        if finding.kind in UNVERIFIED and finding.where == server:
            wrong[finding.service, finding.speaker].append(finding.sentence)
    return tuple(RouteCheck(service, peer, tuple(wrong[service, peer])) for service, peer in sorted(judged))


# --- one prefix from one peer ----------------------------------------------------------------------------------------


def _compared(topology: Topology, route: ExpectedRoute, rows: Rows) -> Iterator[RouteFinding]:
    """One finding a fault, with the instance where only one of them has it."""
    yield from _not_learned(route, rows)
    faults: dict[tuple[FindingKind, str], set[IPv4Address]] = defaultdict(set)
    for instance, mine in rows.items():
        for row in sorted(mine, key=str) if len(mine) > 1 else mine:
            for fault in _faults(topology, route, row):
                faults[fault].add(instance)
    for (kind, what), on in faults.items():
        place = "" if len(on) == len(rows) else f" (instance {_listed(on)})"
        yield _finding(route, kind, what + place)


def _not_learned(route: ExpectedRoute, rows: Rows) -> Iterator[RouteFinding]:
    having = [instance for instance in rows if rows[instance]]
    without = [instance for instance in rows if not rows[instance]]
    if not having:
        yield _finding(route, FindingKind.MISSING, "is not learned on either instance")
    elif without:
        what = f"is learned on instance {_listed(having)} only, not on {_listed(without)}"
        yield _finding(route, FindingKind.ONE_INSTANCE, what)


def _finding(route: ExpectedRoute, kind: FindingKind, what: str) -> RouteFinding:
    sentence = f"{route.network} from {route.peer} on {route.server} {what}"
    return RouteFinding(kind, route.server, sentence, speaker=route.peer, service=route.service, prefix=route.network)


def _faults(topology: Topology, route: ExpectedRoute, row: LearnedRoute) -> Iterator[tuple[FindingKind, str]]:
    """What is wrong with one row, compared with the way that is nearest to it; an AS path that was not reported is not
    judged."""
    way = min(route.ways, key=lambda w: (not _has_hop(w, row), not _has_path(w, row)))
    if not _has_hop(way, row):
        yield _next_hop_fault(topology, route, way, row)
    if row.as_path is not None:
        yield from _path_faults(way, row.as_path)


def _next_hop_fault(topology: Topology, route: ExpectedRoute, way: Way, row: LearnedRoute) -> tuple[FindingKind, str]:
    peer = topology.speaker(route.peer)
    if row.next_hop is None:
        return FindingKind.NEXT_HOP, f"has no next hop that could be read, so not {way.next_hop} for certain"
    if row.next_hop == peer.address and way.origin != peer.name:
        return (
            FindingKind.HUB_NEXT_HOP,
            f"has next hop {row.next_hop}, the hub itself, not {way.next_hop} of {way.origin}: "
            f"{peer.name} must pass clients' routes on with the next hop unchanged",
        )
    return FindingKind.NEXT_HOP, f"has next hop {row.next_hop}, not {way.next_hop}"


# | the AS path                                   | finding                             |
# |-----------------------------------------------|-------------------------------------|
# | holds a Route Server's ASN                    | loop: the Route Server drops it     |
# | without prepends is not the expected one      | another AS path                     |
# | is the expected one, its length is not        | another length, where commanded     |
def _path_faults(way: Way, as_path: AsPath) -> Iterator[tuple[FindingKind, str]]:
    path = written(as_path) or "empty"
    if holds(as_path, ROUTE_SERVER_ASN):
        yield FindingKind.LOOP, f"has {ROUTE_SERVER_ASN} in its AS path {path}: a Route Server drops such a route"
    elif not _fits(way, as_path):
        wanted = written(way.collapsed) + ("-…" if way.more else "")
        yield FindingKind.AS_PATH, f"has AS path {path}, not {wanted}"
    elif way.length is not None and len(as_path) != way.length:
        long = "too long" if len(as_path) > way.length else "too short"
        yield FindingKind.PATH_LENGTH, f"has an AS path of {len(as_path)}, {long}: {way.length} was ordered"


def _has_hop(way: Way, row: LearnedRoute) -> bool:
    return way.next_hop is None or way.next_hop == row.next_hop


def _has_path(way: Way, row: LearnedRoute) -> bool:
    return row.as_path is None or _fits(way, row.as_path)


def _fits(way: Way, as_path: AsPath) -> bool:
    """Whether it is the way's AS path, however often an ASN stands in a row."""
    path = collapse(as_path)
    return path[: len(way.collapsed)] == way.collapsed if way.more else path == way.collapsed


# --- prefixes that the topology does not imply -----------------------------------------------------------------------


def _extras(
    topology: Topology, server: str, wanted: list[ExpectedRoute], learned: RoutesByPeer
) -> Iterator[RouteFinding]:
    implied = {(route.peer, route.network) for route in wanted}
    for peer, routes in sorted(learned.items()):
        relays = [relay for relay in topology.speaker(peer).relays if relay.to == server]
        relayed = {prefix for relay in relays for prefix in relay.prefixes}
        hops: dict[IPv4Network, set[IPv4Address | None]] = defaultdict(set)
        for row in routes:
            if (peer, row.network) not in implied and row.network not in relayed:
                hops[row.network].add(row.next_hop)
        for network, via in sorted(hops.items()):
            yield _extra(server, peer, network, via)


def _extra(server: str, peer: str, network: IPv4Network, hops: set[IPv4Address | None]) -> RouteFinding:
    via = _listed(hop for hop in hops if hop is not None) or "unknown"
    sentence = f"{network} from {peer} on {server} (next hop {via}) is implied by nothing in the topology"
    return RouteFinding(FindingKind.EXTRA, server, sentence, speaker=peer, prefix=network)


def _dropped(each: Dropped) -> RouteFinding:
    relay = each.relay
    path = written(each.as_path)
    sentence = (
        f"{_listed(relay.prefixes)}, relayed by {each.speaker} from {relay.source}, will be dropped by {relay.to}: "
        f"its AS path {path} holds {ROUTE_SERVER_ASN}; set asOverride on {each.speaker}"
    )
    return RouteFinding(FindingKind.DROPPED, relay.to, sentence, speaker=each.speaker)


def _listed(values: Iterable[IPv4Address] | Iterable[IPv4Network]) -> str:
    return ", ".join(sorted(map(str, values)))
