"""Whether a Route Server learned what the topology implies: every prefix, from every peer, with the right next hop and
AS path, on both instances, and nothing else from our peers. Evidence for the status; never a reason to touch peerings
during a failover. What is implied is `expected`'s, what only concerns hub speakers `hubs`'.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN
from function_app.domain.routes.as_paths import holds, written
from function_app.domain.routes.expected import (
    Dropped,
    Expected,
    Standing,
    Way,
    collapse,
    dropped,
    expected,
)
from function_app.domain.routes.findings import Finding, FindingKind
from function_app.domain.routes.hubs import lacking_clients, single_hubs
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import Topology

# What says that a service's routes are not (yet) as they should be; an AS path that is too long is only told.
UNVERIFIED = (
    FindingKind.MISSING,
    FindingKind.ONE_INSTANCE,
    FindingKind.NEXT_HOP,
    FindingKind.HUB_NEXT_HOP,
    FindingKind.HUB_LACKS_CLIENT,
    FindingKind.LOOP,
    FindingKind.DROPPED,
)

type Learned = Mapping[str, tuple[LearnedRoute, ...]]
"""By name of peer, what one Route Server's instances learned from it; a peer that has not been asked is not there."""


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
    topology: Topology, server: str, learned: Learned, instances: tuple[IPv4Address, ...], now: Standing
) -> tuple[Finding, ...]:
    """Everything that is not as implied on one Route Server, of the peers in `learned`; `instances` are its addresses.

    A prefix whose next hop is not known yet is only looked for.
    """
    wanted = [each for each in expected(topology, server, now) if each.peer in learned]
    lacking = lacking_clients(topology, wanted, learned)
    told = {(gap.hub, gap.client) for gap in lacking}
    found = [gap.finding(server) for gap in lacking]
    rows: dict[tuple[str, IPv4Network, IPv4Address], list[LearnedRoute]] = {}
    for peer, routes in learned.items():
        for route in routes:
            rows.setdefault((peer, route.network, route.instance), []).append(route)
    for each in wanted:
        if not all((each.peer, way.origin) in told for way in each.ways):
            found += _compared(topology, each, {i: rows.get((each.peer, each.network, i), []) for i in instances})
    found += _extras(topology, server, wanted, learned)
    return (*found, *single_hubs(topology, server, wanted, learned, instances))


def predicted_drops(topology: Topology) -> tuple[Finding, ...]:
    """What will never be learned, told from the topology alone."""
    return tuple(_dropped(each) for each in dropped(topology))


def checks(
    topology: Topology, server: str, learned: Learned, findings: tuple[Finding, ...], now: Standing
) -> tuple[RouteCheck, ...]:
    """The findings by service and peer; a service whose next hop is not known yet is not judged."""
    judged = sorted(
        {
            (way.service, each.peer)
            for each in expected(topology, server, now)
            for way in each.ways
            if each.peer in learned and way.service is not None and way.next_hop is not None
        }
    )
    return tuple(
        RouteCheck(
            service,
            peer,
            tuple(
                f.sentence
                for f in findings
                if f.kind in UNVERIFIED and f.where == server and (f.service, f.speaker) == (service, peer)
            ),
        )
        for service, peer in judged
    )


# --- one prefix from one peer ----------------------------------------------------------------------------------------


def _compared(topology: Topology, each: Expected, rows: Mapping[IPv4Address, list[LearnedRoute]]) -> Iterator[Finding]:
    """`rows` are what each instance learned of this prefix from this peer."""
    without = [i for i in rows if not rows[i]]

    def finding(kind: FindingKind, what: str) -> Finding:
        sentence = f"{each.network} from {each.peer} on {each.server} {what}"
        return Finding(kind, each.server, sentence, speaker=each.peer, service=each.service, prefix=each.network)

    if len(without) == len(rows):
        yield finding(FindingKind.MISSING, "is not learned on either instance")
    elif without:
        having = _listed(i for i in rows if rows[i])
        yield finding(FindingKind.ONE_INSTANCE, f"is learned on instance {having} only, not on {_listed(without)}")
    complaints: dict[tuple[FindingKind, str], set[IPv4Address]] = {}
    for instance, mine in rows.items():
        for row in sorted(mine, key=str) if len(mine) > 1 else mine:
            for complaint in _judged(topology, each, row):
                complaints.setdefault(complaint, set()).add(instance)
    for (kind, what), on in complaints.items():
        place = "" if len(on) == len(rows) else f" (instance {_listed(on)})"
        yield finding(kind, what + place)


def _judged(topology: Topology, each: Expected, row: LearnedRoute) -> Iterator[tuple[FindingKind, str]]:
    """What is wrong with one row, held against the way that is nearest to it; an AS path it does not tell is not judged."""
    way = min(each.ways, key=lambda w: (not _has_hop(w, row), not _has_path(w, row)))
    if not _has_hop(way, row):
        peer = topology.speaker(each.peer)
        if row.next_hop is None:
            yield FindingKind.NEXT_HOP, f"has no next hop that could be read, so not {way.next_hop} for certain"
        elif row.next_hop == peer.address and way.origin != peer.name:
            yield (
                FindingKind.HUB_NEXT_HOP,
                f"has next hop {row.next_hop}, the hub itself, not {way.next_hop} of {way.origin}: "
                f"{peer.name} must pass clients' routes on with the next hop unchanged",
            )
        else:
            yield FindingKind.NEXT_HOP, f"has next hop {row.next_hop}, not {way.next_hop}"
    if row.as_path is None:
        return
    path = written(row.as_path) or "empty"
    if holds(row.as_path, ROUTE_SERVER_ASN):
        yield FindingKind.LOOP, f"has {ROUTE_SERVER_ASN} in its AS path {path}: a Route Server drops such a route"
    elif not _has_path(way, row):
        wanted = written(way.collapsed) + ("-…" if way.more else "")
        yield FindingKind.AS_PATH, f"has AS path {path}, not {wanted}"
    elif way.length is not None and len(row.as_path) != way.length:
        long = "too long" if len(row.as_path) > way.length else "too short"
        yield FindingKind.PATH_LENGTH, f"has an AS path of {len(row.as_path)}, {long}: {way.length} was ordered"


def _has_hop(way: Way, row: LearnedRoute) -> bool:
    return way.next_hop is None or way.next_hop == row.next_hop


def _has_path(way: Way, row: LearnedRoute) -> bool:
    if row.as_path is None:
        return True
    path = collapse(row.as_path)
    return path[: len(way.collapsed)] == way.collapsed if way.more else path == way.collapsed


# --- what nobody implies ---------------------------------------------------------------------------------------------


def _extras(topology: Topology, server: str, wanted: list[Expected], learned: Learned) -> Iterator[Finding]:
    for peer, routes in sorted(learned.items()):
        implied = {each.network for each in wanted if each.peer == peer}
        implied |= {p for r in topology.speaker(peer).relays if r.to == server for p in r.prefixes}
        hops: dict[IPv4Network, set[IPv4Address | None]] = {}
        for row in routes:
            if row.network not in implied:
                hops.setdefault(row.network, set()).add(row.next_hop)
        for network, via in sorted(hops.items()):
            told = _listed(hop for hop in via if hop is not None) or "unknown"
            sentence = f"{network} from {peer} on {server} (next hop {told}) is implied by nothing in the topology"
            yield Finding(FindingKind.EXTRA, server, sentence, speaker=peer, prefix=network)


def _dropped(each: Dropped) -> Finding:
    relay = each.relay
    path = "-".join(map(str, each.as_path))
    sentence = (
        f"{_listed(relay.prefixes)}, relayed by {each.speaker} from {relay.source}, will be dropped by {relay.to}: "
        f"its AS path {path} holds {ROUTE_SERVER_ASN}; set asOverride on {each.speaker}"
    )
    return Finding(FindingKind.DROPPED, relay.to, sentence, speaker=each.speaker)


def _listed(values: Iterable[IPv4Address] | Iterable[IPv4Network]) -> str:
    return ", ".join(sorted(map(str, values)))
