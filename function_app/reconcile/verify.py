"""Asks the Route Servers what they learned, and compares: next hop, on both instances. Off every failover path.

learnedRoutes costs a write token and takes about 10 s (azure-facts): it is asked once per `verifyEvery`, or as soon as
the last answer did not verify, and fetched by a later pass. What is outstanding is kept in `routes/{topology}.json`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

import msgspec

from function_app.domain.errors import HopkeeperError, Superseded, Transient
from function_app.domain.observation import LearnedRoute
from function_app.domain.peerings import connections
from function_app.domain.routes import RouteCheck, check
from function_app.domain.topology import Topology
from function_app.reconcile.membership import Membership
from function_app.reconcile.outcome import CONVERGED, Ending, Outcome
from function_app.reconcile.ports import Ports


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One learnedRoutes request under way."""

    token: str
    at: datetime


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer about one peering; routes as text rows: instance, network, next hop, AS path, source peer."""

    at: datetime
    routes: tuple[tuple[str, str, str, str, str], ...]


class Outstanding(msgspec.Struct, frozen=True, kw_only=True):
    """Per `{route server}/{speaker}`."""

    asked: dict[str, Asked] = {}
    learned: dict[str, Learned] = {}


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about learned routes: the checks, and how old the oldest answer is."""

    checks: tuple[RouteCheck, ...] = ()
    complete: bool = False
    """Whether every speaker with an established peering has been asked and has answered."""

    @property
    def verified(self) -> bool:
        return self.complete and bool(self.checks) and all(c.verified for c in self.checks)


def _decode(body: bytes) -> Outstanding:
    """What is outstanding; unreadable, it is only asked for again."""
    try:
        return msgspec.json.decode(body, type=Outstanding)
    except msgspec.MsgspecError:
        return Outstanding()


async def verify(
    ports: Ports, topology: Topology, memberships: tuple[Membership, ...], next_hops: Mapping[str, IPv4Address]
) -> tuple[Verification, Outcome]:
    """Fetches what was asked, asks what is due, and compares what is known."""
    key = f"routes/{topology.name}.json"
    stored = await ports.documents.load(key)
    outstanding = _decode(stored.body) if stored else Outstanding()
    asked, learned = dict(outstanding.asked), dict(outstanding.learned)
    instances: dict[str, tuple[IPv4Address, ...]] = {}
    due: list[tuple[Membership, str]] = []
    named: dict[str, str] = {}
    for membership in memberships:
        if membership.reading is None:
            continue
        instances[membership.server] = membership.reading.instances
        server = next(s for s in topology.route_servers if s.name == membership.server)
        up = connections(topology, server, membership.reading)
        named |= {f"{server.name}/{speaker}": name for speaker, name in up.items()}
        due += [(membership, s.name) for s in topology.peered_with(server.name) if s.name in up]
    reasons: list[str] = []
    before = _compare(topology, [(m.server, s) for m, s in due], learned, instances, next_hops)
    wrong = {c.speaker for c in before.checks if not c.verified}
    for membership, speaker in due:
        where = f"{membership.server}/{speaker}"
        patience = topology.timing.doubt_poll if speaker in wrong else topology.timing.verify_every
        try:
            await _advance(ports, topology, (where, named[where]), patience, asked, learned)
        except HopkeeperError as error:
            if not isinstance(error, Transient):
                asked.pop(where, None)
            reasons.append(f"{where}: learned routes: {error}")
    after = Outstanding(asked=asked, learned=learned)
    if after != outstanding:
        try:
            await ports.documents.save(key, msgspec.json.encode(after), stored.etag if stored else None)
        except Superseded:
            reasons.append("learned routes: another pass was faster")
    verification = _compare(topology, [(m.server, s) for m, s in due], learned, instances, next_hops)
    if verification.verified or not due or not next_hops:
        return verification, CONVERGED
    reasons += [m for c in verification.checks for m in (f"{c.service}: from {c.speaker}: {x}" for x in c.missing)]
    return verification, Outcome(Ending.PENDING, tuple(reasons), topology.timing.doubt_poll)


async def _advance(
    ports: Ports,
    topology: Topology,
    of: tuple[str, str],
    patience: timedelta,
    asked: dict[str, Asked],
    learned: dict[str, Learned],
) -> None:
    """`of` is the key under which the answer is kept, `{route server}/{speaker}`, and the connection's name."""
    key, connection = of
    now = ports.clock.now()
    if key in asked:
        routes = await ports.learned_routes.fetch(asked[key].token)
        if routes is not None:
            del asked[key]
            learned[key] = Learned(at=now, routes=tuple(_row(route) for route in routes))
        elif now - asked[key].at > topology.timing.verify_every:
            del asked[key]
    elif key not in learned or now - learned[key].at > patience:
        server = next(s for s in topology.route_servers if s.name == key.partition("/")[0])
        token = await ports.learned_routes.ask(server, connection)
        asked[key] = Asked(token=token, at=now)


def _compare(
    topology: Topology,
    due: list[tuple[str, str]],
    learned: Mapping[str, Learned],
    instances: Mapping[str, tuple[IPv4Address, ...]],
    next_hops: Mapping[str, IPv4Address],
) -> Verification:
    checks: list[RouteCheck] = []
    for server in instances:
        known = {
            speaker: tuple(map(_route, learned[f"{server}/{speaker}"].routes))
            for s, speaker in due
            if s == server and f"{server}/{speaker}" in learned
        }
        checks += check(topology, known, instances[server], next_hops)
    complete = bool(due) and all(f"{server}/{speaker}" in learned for server, speaker in due)
    return Verification(checks=tuple(checks), complete=complete)


def _row(route: LearnedRoute) -> tuple[str, str, str, str, str]:
    path = "-".join(map(str, route.as_path))
    return str(route.instance), str(route.network), str(route.next_hop), path, str(route.source_peer)


def _route(row: tuple[str, str, str, str, str]) -> LearnedRoute:
    instance, network, next_hop, path, source = row
    as_path = tuple(int(asn) for asn in path.split("-") if asn)
    return LearnedRoute(
        IPv4Address(instance), IPv4Network(network), IPv4Address(next_hop), as_path, IPv4Address(source)
    )
