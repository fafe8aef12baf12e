"""The laws of the ranked kinds: S1r in the place of S1, S2 and S4, and a replacement of a holder that nothing reaches is
no breach of S8.

S1r (safety.md section 3) is looked at whenever no UPDATE is under way. The loss of a session of an announcer that is best on
the other instance excuses that they differ, unless it was missing already when the announcer was chosen to lead, while
another one had a session there. So does an announcer that was away while its order was lost with the record, and that comes
back with it, until the record has it and what is sent then has arrived.
"""

import math
from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from function_app.domain.service.ranked.paths import Path, PathOrder, leading
from function_app.domain.service.record import Record
from function_app.domain.service.steps import SendAdvertise
from function_app.reconcile.ports import AgentCommand
from proving.storm.checks import SETTLED, Checks
from proving.storm.hosts import TRACE
from proving.storm.ranked.instances import Route, Way

if TYPE_CHECKING:
    from proving.storm.nva import Nva
    from proving.storm.ranked.world import RankedWorld

LATELY = 5.0
"""Seconds: what changed within them before a look may not be in it."""


class RankedChecks(Checks):
    """See the module."""

    def __init__(self, world: "RankedWorld") -> None:
        super().__init__(world)
        self._ranked = world
        self._lopsided: dict[str, bool] = {}
        """By announcer, whether a session was missing when it was last chosen to lead."""
        self.ordered: dict[str, Path] = {}
        """By announcer its last path: one that is ordered again, as a disk was lost, is no choice."""
        self._cut_off: dict[str, float] = {}
        """By member, when it last announced itself in vain while another one had a session."""
        self._unrecorded: dict[Way, float] = {}
        """Sessions that came up while the record did not have the announcer's order, and since when it has it."""

    def _look_at_flows(self, serving: list["Nva"]) -> None:
        """S1r, and whatever the record says is proven."""
        server, record = self._ranked.route_server, self._ranked.documents.record
        self._note_cut_off()
        self._note_unrecorded(record)
        if record is not None:
            self._look_at_proof(record)
        if server.quiet:
            self._look_at_best({instance: server.best(instance) for instance in server.all})

    def _look_at_best(self, best: dict[IPv4Address, dict[str, Route]]) -> None:
        """One next hop on each instance, and the same on both."""
        hops = {instance: _next_hops(routes) for instance, routes in best.items()}
        for instance, named in hops.items():
            if len(named) > 1 and not self._has_unrecorded(instance, best[instance]):
                self.broken("S1r", f"{instance} would use {' and '.join(named)} side by side (ECMP): {best[instance]}")
        leads = {name for routes in best.values() for name in routes}
        excused = any(self._has_unrecorded(instance, routes) for instance, routes in best.items())
        if len(set(filter(None, hops.values()))) > 1 and all(map(self._may_not_differ, leads)) and not excused:
            self.broken("S1r", f"the instances name different next hops: {best}")

    def _note_unrecorded(self, record: Record | None) -> None:
        now = self._ranked.timeline.now
        for way, session in self._ranked.route_server.sessions.items():
            ended = self._unrecorded.get(way, -math.inf)
            if not session.up:
                self._unrecorded.pop(way, None)
            elif self._has_order(record, way[0]):
                self._unrecorded[way] = min(ended, now)
            elif session.since == now or ended > now - LATELY:
                self._unrecorded[way] = math.inf

    def _has_order(self, record: Record | None, name: str) -> bool:
        """Whether the record has the order of what an announcer announces, if it announces anything."""
        mine = self._ranked.agents[name].state.advertised
        known = record.rank.announcers.get(name) if record is not None and record.rank else None
        orders = known.orders if known is not None else ()
        return mine is None or any(order.turn == (mine.turn.epoch, mine.turn.seq) for order in orders)

    def _has_unrecorded(self, instance: IPv4Address, names: Iterable[str]) -> bool:
        ended = self._ranked.timeline.now - LATELY
        return any(self._unrecorded.get((name, instance), -math.inf) > ended for name in names)

    def _may_not_differ(self, name: str) -> bool:
        return self._lopsided.get(name, False) or self._is_on_both(name)

    def _look_at_proof(self, record: Record) -> None:
        """Where an instance has the path that proves the holder, its best path names the holder."""
        holder, server = record.holder, self._ranked.route_server
        lead = leading(record.rank, holder) if holder and record.rank else None
        if lead is None or record.phase not in SETTLED or record.rank is None:
            return
        orders = {order.path for order in record.rank.announcers[lead].current}
        for instance in server.all:
            mine, best = server.routes.get((lead, instance)), server.best(instance)
            if mine is not None and Path(mine.length, mine.next_hop) in orders and _next_hops(best) != (holder,):
                self._not_proven(instance, best, f"{lead} leads for {holder}")

    def _not_proven(self, instance: IPv4Address, best: dict[str, Route], text: str) -> None:
        if not self._has_unrecorded(instance, best):
            self.broken("S1r", f"{text}, and the best path of {instance} names {list(_next_hops(best))}")

    def _is_on_both(self, name: str) -> bool:
        return all(self._ranked.route_server.established(name).values())

    def _look_at_record(self, record: Record, serving: list["Nva"]) -> None:
        """S3: roles are granted as in every kind; nobody is fenced but by a shorter path."""
        for agent in serving:
            if agent.name not in record.may_serve:
                self.broken("S3", f"{agent.name} answers 200 and is not in may_serve")

    def _is_sound(self, record: Record) -> bool:
        return True

    # --- S8

    def _note_cut_off(self) -> None:
        server, now = self._ranked.route_server, self._ranked.timeline.now
        announcing = {name for name in self._ranked.service.announcers if server.has_session(name)}
        for name in self._ranked.service.names:
            if announcing and name in self._ranked.service.announcers and name not in announcing:
                self._cut_off[name] = now

    def _opening(self, before: Record | None, record: Record, decided: tuple[float, float]) -> None:
        holder = before.target if before is not None else None
        if holder is not None and (
            self._cut_off.get(holder, -1e9) > decided[0] - self.grace or self._flaps(decided[0])
        ):
            self.suspect(holder, 0.0)
        super()._opening(before, record, decided)

    def _flaps(self, looked: float) -> bool:
        """Whether sessions end at this moment: of the readings of one look, some are from before and some from after."""
        return any(not s.up and abs(s.since - looked) < LATELY for s in self._ranked.route_server.sessions.values())

    # --- S7, and who is chosen to lead

    def commanded(self, command: AgentCommand, record: Record | None, now: datetime) -> None:
        super().commanded(command, record, now)
        if not isinstance(command, SendAdvertise) or record is None:
            return
        known = record.rank.announcers.get(command.member) if record.rank else None
        path = Path(command.advertisements[0].prepend + 1, self._name(command.advertisements[0].next_hop))
        order = PathOrder(command.epoch, command.seq, path)
        if known is None or order not in known.orders:
            self.broken("S7", f"{command.member} is sent {order} while its record says {known}")
            return
        is_again, self.ordered[command.member] = self.ordered.get(command.member) == path, path
        if not is_again and self._is_shortest(command.member, path, record):
            self._lopsided[command.member] = self._is_lopsided(command.member, TRACE.get().looked)

    def _is_shortest(self, name: str, path: Path, record: Record) -> bool:
        """Whether this path is shorter than all that others may announce."""
        others = (a for n, a in record.rank.announcers.items() if n != name) if record.rank else ()
        return all(path.length < rival.path.length for other in others for rival in other.orders)

    def _name(self, address: IPv4Address) -> str:
        return next(s.name for s in self._ranked.topology.speakers if s.address == address)

    def _is_lopsided(self, name: str, looked: float) -> bool:
        """Whether it had no session, for a while, with an instance that another one had a session with, for a while; one of
        an earlier boot is there to the instance alone."""
        sessions = self._ranked.route_server.sessions
        agents = self._ranked.agents
        lasting = {
            way: session.up and session.boot == agents[way[0]].boot
            for way, session in sessions.items()
            if session.since < looked - LATELY
        }
        missing = [instance for instance in self._ranked.route_server.all if lasting.get((name, instance)) is False]
        return any(up and way[0] != name and way[1] in missing for way, up in lasting.items())


def _next_hops(routes: dict[str, Route]) -> tuple[str, ...]:
    return tuple(sorted({route.next_hop for route in routes.values()}))
