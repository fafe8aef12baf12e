"""The two instances of a simulated Route Server: sessions that come and go, UPDATEs under way, and the best paths.

A session ends in two ways. Where it is reset, both ends know at once. Where packets are lost (a machine that is dark, a path
that swallows them), each end goes on until its hold timer has run out, and what is sent meanwhile is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.ranked.paths import LENGTH_AT_REST
from function_app.domain.topology.model import Speaker, Topology
from function_app.domain.topology.peering_names import peering_name
from proving.storm.calls import Call
from proving.storm.route_server import INSTANCES, RouteServer

if TYPE_CHECKING:
    from proving.storm.ranked.world import RankedWorld

HELLO_SECONDS = (0.5, 5.0)
"""From when two ends can reach each other to Established."""
UPDATE_SECONDS = (0.01, 1.0)

PAIRS = (INSTANCES, (IPv4Address("10.0.3.4"), IPv4Address("10.0.3.5")))
"""The instances of one Route Server, and those of another one."""

type Way = tuple[str, IPv4Address]
"""An announcer and an instance."""


@dataclass(frozen=True, slots=True)
class Route:
    """What an instance has from one announcer: the AS path's length, and the next hop by name of member."""

    length: int
    next_hop: str


@dataclass(slots=True)
class Session:
    """One of them. `passes`: whether packets arrive now; `up`: whether the instance believes in it, since `since`; `boot`: of
    the announcer, which knows nothing of the session of an earlier one."""

    passes: bool = False
    up: bool = False
    boot: int = 0
    since: float = 0.0
    turns: int = 0
    """How often it changed: what was scheduled before does not count."""
    arrives: float = 0.0
    """When the last UPDATE that was sent arrives: a later one never comes sooner."""
    received: float = 0.0
    """Once an UPDATE is under way, when it was sent: nothing that is sent after it arrives before it does."""
    expires: float = 0.0
    """When the instance's hold timer runs out, where packets are lost."""


class Instances(RouteServer):
    """See the module. Changes come by `relink` and `send`; everything else follows in its time."""

    def __init__(self, world: "RankedWorld", topology: Topology) -> None:
        super().__init__(world, topology)
        self._ranked = world
        self._names = {s.address: s.name for s in topology.speakers}
        self._of = {rs.name: pair for rs, pair in zip(topology.route_servers, PAIRS, strict=False)}
        """By Route Server its instances; every announcer has a session with each of all of them."""
        self.all = tuple(instance for pair in self._of.values() for instance in pair)
        self.sessions = {(name, i): Session() for name in world.service.announcers for i in self.all}
        self.routes: dict[Way, Route] = {}
        self.unheard: set[str] = set()
        """Announcers whose packets, and those to them, are lost on the way to both instances."""

    # --- what is true of it

    @property
    def quiet(self) -> bool:
        """Every instance has what was sent to it, of those whose session it believes in."""
        return all(self.routes.get(way) == self._route(way[0]) for way, session in self.sessions.items() if session.up)

    def best(self, instance: IPv4Address) -> dict[str, Route]:
        """The shortest paths of an instance by announcer: two next hops among them would be used side by side (ECMP)."""
        mine = {name: route for (name, where), route in self.routes.items() if where == instance}
        shortest = min((route.length for route in mine.values()), default=0)
        return {name: route for name, route in mine.items() if route.length == shortest}

    def next_hops(self) -> list[set[str]]:
        """By instance that has any path, the next hops of its best paths."""
        found = ({route.next_hop for route in self.best(instance).values()} for instance in self.all)
        return [hops for hops in found if hops]

    def established(self, name: str) -> dict[IPv4Address, bool]:
        """An announcer's sessions as it reports them; none of a member that announces nothing."""
        boot = self._ranked.agents[name].boot
        mine = ((instance, self.sessions.get((name, instance))) for instance in self.all)
        return {instance: session.up and session.boot == boot for instance, session in mine if session is not None}

    def has_session(self, name: str) -> bool:
        return any(self.established(name).values())

    def _has_session_with(self, server: str, name: str) -> bool:
        established = self.established(name)
        return any(established.get(instance, False) for instance in self._of[server])

    # --- what happens to it

    def begin(self) -> None:
        """Every session is up, and every announcer's path is there."""
        for (name, instance), session in self.sessions.items():
            session.passes = session.up = True
            session.turns, session.since = session.turns + 1, -1e9
            self._take(name, instance)

    def relink(self) -> None:
        """Something about an announcer, an instance or the way between them has changed."""
        for way, session in self.sessions.items():
            agent = self._ranked.agents[way[0]]
            reset = not agent.sessions or way[1] in self.deaf
            passes = agent.up and not reset and way[0] not in self.unheard
            if passes == session.passes and not (reset and session.up):
                continue
            session.passes, session.turns = passes, session.turns + 1
            if passes:
                self._joined(way, session)
            elif session.up:
                self._parted(way, session, reset)

    def _joined(self, way: Way, session: Session) -> None:
        """Packets pass again: a session that is still there goes on, and what was lost is sent again. One of an earlier boot
        stays at the instance until its hold timer has run out, or the new one is Established."""
        if session.up and session.boot == self._ranked.agents[way[0]].boot:
            self._update(way, session)
            return
        self._in(HELLO_SECONDS, self._comes_up, way, session.turns)
        if session.up:
            left = max(session.expires - self._ranked.timeline.now, 0.0)
            self._ranked.timeline.after(left, self._goes_down, way, session.turns)

    def _parted(self, way: Way, session: Session, reset: bool) -> None:
        if reset:
            self._goes_down(way, session.turns)
            return
        now, hold = self._ranked.timeline.now, self._ranked.topology.timing.bgp_hold.total_seconds()
        if session.boot == self._ranked.agents[way[0]].boot:
            last = session.received if session.arrives > now else now
            session.expires = last + hold * (2.0 + self._ranked.draw()) / 3.0
        session.expires = max(session.expires, now)
        self._ranked.timeline.after(session.expires - now, self._goes_down, way, session.turns)

    def send(self, name: str) -> None:
        """The announcer has another path: an UPDATE to each instance that it has a session with."""
        for instance in self.all:
            session = self.sessions.get((name, instance))
            if session is not None and session.up and session.passes:
                self._update((name, instance), session)

    def _in(self, seconds: tuple[float, float], then: object, *arguments: object) -> None:
        low, high = seconds
        delay = low + (high - low) * self._ranked.draw()
        self._ranked.timeline.after(delay, then, *arguments)  # type: ignore[arg-type]

    def _comes_up(self, way: Way, turn: int) -> None:
        session = self.sessions[way]
        if session.turns != turn:
            return
        session.boot, session.turns = self._ranked.agents[way[0]].boot, session.turns + 1
        self.routes.pop(way, None)
        self._set_up(way, session, True)
        self._update(way, session)

    def _goes_down(self, way: Way, turn: int) -> None:
        session = self.sessions[way]
        if session.turns != turn or not session.up:
            return
        self._set_up(way, session, False)
        self.routes.pop(way, None)

    def _set_up(self, way: Way, session: Session, up: bool) -> None:
        session.up, session.since = up, self._ranked.timeline.now
        self._ranked.dirty = True
        self._ranked.say("session of %s with %s is %s", way[0], way[1], "up" if up else "down")
        self._ranked.report(self._ranked.agents[way[0]], f"session {'up' if up else 'down'}")

    def _update(self, way: Way, session: Session) -> None:
        timeline, draw = self._ranked.timeline, self._ranked.draw
        low, high = UPDATE_SECONDS
        if session.arrives <= timeline.now:
            session.received = timeline.now
        session.arrives = max(timeline.now + low + (high - low) * draw(), session.arrives + 1e-6)
        route = self._route(way[0])
        timeline.after(session.arrives - timeline.now, self._arrives, way, session.turns, route)

    def _arrives(self, way: Way, turn: int, route: Route | None) -> None:
        session = self.sessions[way]
        if session.turns != turn or not session.up:
            return
        self._has(way, route)

    def _take(self, name: str, instance: IPv4Address) -> None:
        self._has((name, instance), self._route(name))

    def _has(self, way: Way, route: Route | None) -> None:
        if route is None:
            self.routes.pop(way, None)
        else:
            self.routes[way] = route
        self._ranked.dirty = True

    def _route(self, name: str) -> Route | None:
        advertised = self._ranked.agents[name].state.advertised
        if advertised is None or not advertised.advertisements:
            return None
        one = advertised.advertisements[0]
        length = LENGTH_AT_REST if self._ranked.bugs.flattens_paths else one.prepend + 1
        return Route(length, self._names[one.next_hop])

    # --- as ARM shows it

    def read(self, call: Call, server: str) -> None:
        if self.down:
            super().read(call, server)
            return
        names = {peering_name(self._topology.name, name): name for name in self._ranked.agents}
        states = {
            p: "Connected" if self._has_session_with(server, name) else "NotConnected" for p, name in names.items()
        }
        shown = tuple(replace(p, connection_state=states.get(p.name)) for p in self.peerings.values())
        call.answer(RouteServerReading(self._of[server], shown), self._ranked.draw() * 0.3)

    def _rows(self, speaker: Speaker) -> Iterator[LearnedRoute]:
        for (name, instance), route in self.routes.items():
            if name == speaker.name:
                path, hop = (speaker.asn,) * route.length, self._topology.speaker(route.next_hop).address
                yield LearnedRoute(instance, self._ranked.service.prefixes[0], hop, path, speaker.address)

    # --- what others do

    def lose_instance(self) -> None:
        super().lose_instance()
        self.relink()

    def well(self) -> None:
        super().well()
        self.unheard.clear()
        self.relink()
