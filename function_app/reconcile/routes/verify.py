"""Queries what Route Servers learned and advertise and where interfaces send packets, and compares it with the topology.

Evidence, never a reason to touch peerings during a failover: nothing is written but the stored queries, and while an
operation of a service is open nothing is started or polled either: the write tokens and the pass's time are for that.
What is queried is here, how it is budgeted in `operations`, and what the answers mean in `domain/routes`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.domain.base.azure_limits import ROUTE_SERVER_INSTANCES
from function_app.domain.peerings.model import connections
from function_app.domain.routes.advertised import compare_advertised
from function_app.domain.routes.effective import compare_effective
from function_app.domain.routes.expected import standing
from function_app.domain.routes.findings import RouteFinding
from function_app.domain.routes.learned import RouteCheck, checks, compare, predicted_drops
from function_app.domain.routes.reading import LearnedRoute, Unread
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.observation import BalancerReading
from function_app.domain.service.record import Phase, Record
from function_app.domain.topology.model import RouteServer, Speaker, Topology
from function_app.reconcile import large
from function_app.reconcile.passes.outcome import CONVERGED, Ending, Outcome
from function_app.reconcile.peerings.keep import Membership
from function_app.reconcile.ports import EffectiveRoutes, PeerRoutes, Ports
from function_app.reconcile.routes.operations import OperationsOf, Query, Round, StoredAnswer
from function_app.reconcile.routes.rows import (
    Row,
    effective_route,
    peer_route,
    readable,
    row_of_effective_route,
    row_of_peer_route,
)
from function_app.reconcile.routes.verification import Cost, Verification

FOREIGN = "foreign"
"""Begins the keys of queries of peers that are no speakers of the topology."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What routes are compared with: Route Servers as read, by service the next hop as read, and the records."""

    memberships: tuple[Membership, ...]
    next_hops: Mapping[str, IPv4Address]
    records: Mapping[str, Record]

    @property
    def operations(self) -> tuple[str, ...]:
        """Services with an operation under way: every write token is for those."""
        return tuple(sorted(n for n, r in self.records.items() if r.phase in (Phase.FENCING, Phase.GRANTED)))


def next_hops(
    topology: Topology, balancers: Mapping[str, BalancerReading | str | None], records: Mapping[str, Record]
) -> dict[str, IPv4Address]:
    """By service what its routes should say: the frontend, or of a ranked one the holder; unknown ones are left out."""
    addresses = {speaker.name: speaker.address for speaker in topology.speakers}
    found: dict[str, IPv4Address] = {}
    for service in topology.services:
        balancer = balancers.get(service.name)
        frontend = balancer.frontend if isinstance(balancer, BalancerReading) else None
        holder = addresses.get(records[service.name].holder or "")
        next_hop = kind_of(service).next_hop(announcer=holder, holder=holder, frontend=frontend)
        if next_hop is not None:
            found[service.name] = next_hop
    return found


@dataclass(frozen=True, slots=True)
class Peer:
    """A speaker whose peering is in force: where, and by what name."""

    server: RouteServer
    speaker: str
    connection: str

    @property
    def where(self) -> str:
        return f"{self.server.name}/{self.speaker}"


async def verify(
    ports: Ports, topology: Topology, basis: Basis, not_before: datetime | None = None
) -> tuple[Verification, Outcome]:
    """Polls what is under way, starts what is due, and compares what is known. `not_before` makes older answers due.

    Raises Unavailable where storage does not answer; what ARM does not answer is in the verification's `trouble`.
    """
    stored = OperationsOf(ports.documents, topology.name)
    operations = await stored.load()
    peers = _peers(topology, basis)
    learned = [_of_peer(ports.learned_routes, "learned", peer) for peer in peers]
    advertised = [_of_peer(ports.advertised_routes, "advertised", peer) for peer in peers]
    foreign = [_of_peer(ports.learned_routes, FOREIGN, peer) for peer in _strangers(topology, basis)]
    effective = [_of_interface(ports.effective_routes, s) for s in topology.speakers if s.interface]
    round_ = Round(ports.clock, topology.timing, not_before)
    queries = (*learned, *foreign, *advertised, *effective)
    round_.resume(operations, queries)
    if not basis.operations:
        await asyncio.gather(*map(round_.poll, queries))
        await _start(round_, learned + foreign, advertised, effective)
    verification = await _verdict(topology, basis, peers, dict(round_.answers))
    round_.doubted = _doubted(peers, verification)
    if not await stored.save(round_.operations):
        round_.trouble.append("routes: another pass was faster")
    answered = {key: answer.at for key, answer in round_.answers.items()}
    answers = {query.key: answered.get(query.key) for query in queries}
    cost = Cost(spent=len(round_.spent), most=topology.timing.verify_budget, per=topology.timing.verify_every)
    open_ = tuple(f"nothing is queried: an operation of {name} is open" for name in basis.operations)
    trouble = (*hidden_instances(basis.memberships), *round_.reasons, *open_)
    verification = replace(verification, answers=answers, under_way=len(round_.started), trouble=trouble, cost=cost)
    return verification, _outcome(topology, verification, round_, bool(peers and basis.next_hops))


def _outcome(topology: Topology, verification: Verification, round_: Round, judged: bool) -> Outcome:
    """Pending while a service's routes are not known to be right; other findings are shown and wait for nothing."""
    if verification.verified or not judged or (not verification.checks and verification.complete):
        return CONVERGED
    reasons = list(verification.trouble)
    reasons += [f"{c.service}: {missing}" for c in verification.checks for missing in c.missing]
    return Outcome(Ending.PENDING, tuple(reasons), topology.timing.doubt_poll)


# --- which queries --------------------------------------------------------------------------------------------------


def _peers(topology: Topology, basis: Basis) -> list[Peer]:
    """Every speaker of the topology whose own or adopted peering is in force."""
    servers = {server.name: server for server in topology.route_servers}
    found = []
    for membership in basis.memberships:
        if membership.reading is None:
            continue
        server = servers[membership.server]
        found += [Peer(server, *pair) for pair in sorted(connections(topology, server, membership.reading).items())]
    return found


def _strangers(topology: Topology, basis: Basis) -> list[Peer]:
    """Peerings in force of no speaker of the topology, at Route Servers of ranked services: there lengths of AS paths decide."""
    ours, ranked = {speaker.address for speaker in topology.speakers}, _ranked(topology)
    found: list[Peer] = []
    for membership in basis.memberships:
        peerings = membership.reading.peerings if membership.reading is not None else ()
        server = next(s for s in topology.route_servers if s.name == membership.server)
        if server.name in ranked:
            names = sorted(p.name for p in peerings if p.in_force and p.address not in ours)
            found += [Peer(server, name, name) for name in names]
    return found


def _ranked(topology: Topology) -> frozenset[str]:
    """Route Servers that the announcers of ranked services peer with."""
    services = (service for service in topology.services if kind_of(service).is_ranked)
    names = (name for service in services for name in service.announcers)
    return frozenset[str]().union(*(topology.speaker(name).peers_with for name in names))


def _doubted(peers: list[Peer], verification: Verification) -> frozenset[str]:
    """Queries whose answer leaves a service unverified: started again soon, as long as the budget lasts."""
    wrong = {c.speaker for c in verification.checks if not c.verified}
    return frozenset(f"learned {peer.where}" for peer in peers if peer.speaker in wrong)


async def _start(round_: Round, learned: list[Query], advertised: list[Query], effective: list[Query]) -> None:
    """Learned routes first, for they say most; then one query of each Route Server that has none of those, and one
    interface in all: the rest has time until later passes."""
    done = await asyncio.gather(*map(round_.start, learned))
    busy = {query.server for query, started in zip(learned, done, strict=True) if started}
    for server in sorted({query.server for query in advertised} - busy):
        oldest = round_.longest_waiting(query for query in advertised if query.server == server)
        if oldest is not None:
            await round_.start(oldest)
    oldest = round_.longest_waiting(effective)
    if oldest is not None:
        await round_.start(oldest)


def _of_peer(port: PeerRoutes, kind: str, peer: Peer) -> Query:
    async def fetch(token: str) -> tuple[Row | Unread, ...] | None:
        routes = await port.fetch(token)
        return None if routes is None else tuple(r if isinstance(r, Unread) else row_of_peer_route(r) for r in routes)

    start = partial(port.ask, peer.server, peer.connection)
    return Query(f"{kind} {peer.where}", peer.server.name, start, fetch)


def _of_interface(port: EffectiveRoutes, speaker: Speaker) -> Query:
    async def fetch(token: str) -> tuple[Row | Unread, ...] | None:
        routes = await port.fetch(token)
        if routes is None:
            return None
        return tuple(r if isinstance(r, Unread) else row_of_effective_route(r) for r in routes)

    return Query(f"effective {speaker.name}", "", partial(port.ask, str(speaker.interface)), fetch)


# --- what the answers mean -------------------------------------------------------------------------------------------


async def _verdict(
    topology: Topology, basis: Basis, peers: list[Peer], answers: Mapping[str, StoredAnswer]
) -> Verification:
    rows = sum(len(answer.rows) for answer in answers.values())
    return await large.beside(rows, large.ROWS, partial(_compared, topology, basis, peers, answers))


def _compared(topology: Topology, basis: Basis, peers: list[Peer], answers: Mapping[str, StoredAnswer]) -> Verification:
    now = standing(basis.records, basis.next_hops)
    judged: list[RouteCheck] = []
    findings: list[RouteFinding] = []
    tables: dict[str, tuple[LearnedRoute, ...]] = {}
    for membership in basis.memberships:
        if membership.reading is None:
            continue
        server, instances = membership.server, membership.reading.instances
        learned = _answered(answers, "learned", server, peers)
        found = compare(topology, server, learned, instances, now)
        judged += checks(topology, server, learned, found, now)
        findings += found
        findings += compare_advertised(topology, server, _answered(answers, "advertised", server, peers), instances)
        tables |= {f"{server}/{speaker}": routes for speaker, routes in learned.items()}
    findings += predicted_drops(topology)
    effective = {
        s.name: routes
        for s in topology.speakers
        if (answer := answers.get(f"effective {s.name}"))
        and (routes := readable(answer.rows, effective_route)) is not None
    }
    findings += compare_effective(topology, effective, basis.next_hops)
    return Verification(
        checks=tuple(judged),
        findings=tuple(findings),
        learned=tables,
        services=len(topology.services),
        complete=bool(peers)
        and all(peer.where in tables for peer in peers)
        and not hidden_instances(basis.memberships),
    )


def hidden_instances(memberships: Iterable[Membership]) -> tuple[str, ...]:
    """Route Servers of which ARM does not list both instances: what the other one learned is unknown."""
    listed = {m.server: len(set(m.reading.instances)) for m in memberships if m.reading is not None}
    return tuple(
        f"{server}: ARM lists {count} of its {ROUTE_SERVER_INSTANCES} instances (virtualRouterIps): nothing is known of the rest"
        for server, count in listed.items()
        if count < ROUTE_SERVER_INSTANCES
    )


def _answered(
    answers: Mapping[str, StoredAnswer], kind: str, server: str, peers: list[Peer]
) -> dict[str, tuple[LearnedRoute, ...]]:
    """By speaker; a stored answer that cannot be read counts as none, and is queried again in its time."""
    return {
        peer.speaker: routes
        for peer in peers
        if peer.server.name == server
        and (answer := answers.get(f"{kind} {peer.where}")) is not None
        and (routes := readable(answer.rows, peer_route)) is not None
    }
