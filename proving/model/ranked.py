"""Every history of the ranked next-hop kinds, up to a size: the rules of `domain.service.ranked.paths`, run over a small world.

The world: announcers that obey an order once, twice, late, or never; a session with each of the two Route Server
instances, on which an UPDATE is under way for as long as it likes, or is lost with the session; sessions that end (a
host that dies is one that obeys nothing and loses both) and come back. The app: an operation for any member at any
moment, which sees any subset of the announcers answer, may stop anywhere, and notes acknowledgements whenever it likes.

Checked in every state, naming what breaks:

    ambiguous  on an instance, nothing on its way, the shortest paths name two next hops (ECMP)
    split      nothing on its way and the two instances name different next hops, although no session was lost since
               (S1r: the loss of a session of the announcer that is best on the other instance excuses it, unless it
               was missing already when that announcer was chosen)
    beaten     `leading` says that an announcer proves it, its path is on an instance, and there the best names another

Not here: time. Instead of the hold time there is what it is waited for (`Announcer.has_landed`), and no damping.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from function_app.domain.service.ranked import paths as ranking
from function_app.domain.topology.model import Naming

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_WAIT = timedelta(0)
INSTANCES = (IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5"))
BITS = 20  # of an announcer's number in a packed state: a million different ones
type Packed = int
type Rules = Any
"""The module `function_app.domain.service.ranked.paths`, or a mutant of it."""


@dataclass(frozen=True, slots=True)
class Size:
    """How far to look. `faults` is how many times a session may end or come back, in one history."""

    naming: Naming
    announcers: int
    members: int
    epochs: int
    faults: int


@dataclass(frozen=True, slots=True)
class World:
    """What the world is like: each of these is a rule of Azure or of agents that ranking relies on, and can be taken away."""

    agents_compare_turns: bool = True
    intent_is_durable: bool = True
    acknowledged_means_sent: bool = True
    waits_for_updates: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to; `broken` is None if nothing was, and `history` is how it came to that."""

    states: int
    broken: str | None = None
    history: tuple[str, ...] = ()


class Session(NamedTuple):
    """With one instance: whether it is up, and the path that the instance has of it."""

    up: bool
    path: ranking.Path | None


class Announcer(NamedTuple):
    """One announcer: what the record says of it, what it obeyed, what may yet arrive, what the instances have."""

    record: ranking.Announcer
    turn: int
    wire: ranking.Path
    sent: tuple[tuple[int, ranking.Path], ...]
    lopsided: bool
    """A session was missing when it was chosen to lead, with an instance that another announcer had one with."""
    sessions: tuple[Session, Session]

    @property
    def on_both(self) -> bool:
        return all(s.up for s in self.sessions)

    @property
    def ups(self) -> tuple[bool, ...]:
        return tuple(s.up for s in self.sessions)

    @property
    def has_landed(self) -> bool:
        """What the hold time is waited for: no instance has anything older of it than what it acknowledged."""
        current = {order.path for order in self.record.current}
        return all(s.path is None or s.path in current for s in self.sessions)

    @property
    def on_its_way(self) -> bool:
        return any(s.up and s.path != self.wire for s in self.sessions)


class State(NamedTuple):
    epochs: int
    faults: int
    target: int
    announcers: tuple[int, ...]


class Search:
    """One breadth-first search. Announcers are numbered as they are met, so that a state packs into one integer."""

    def __init__(self, size: Size, rules: Rules = ranking, world: World | None = None) -> None:
        self._size, self._rules, self._world = size, rules, world or World()
        self._names = tuple("abcdefgh"[: size.announcers])
        self._members = tuple("abcdefgh"[: size.members])
        self._met: list[Announcer] = []
        self._numbers: dict[Announcer, int] = {}
        # The same few announcers and records come back in every state: what follows from them is worked out once.
        self._alone = cache(self._happens_to)
        self._ordered = cache(self._commanded)
        self._mirrored = cache(self._seen_from_behind)
        self._proposed = cache(self._decisions)
        self._led = cache(self._lead)

    def run(self, states_max: int = 50_000_000) -> Found:
        """Looks at every state that can be reached; raises OverflowError where there are more than `states_max`."""
        first = self._pack(self._at_rest())
        came_from: dict[Packed, Packed] = {first: first}
        frontier = [first]
        while frontier:
            ahead = []
            for packed in frontier:
                state = self._unpack(packed)
                broken = self._broken(state)
                if broken:
                    return Found(len(came_from), broken, self._history(packed, came_from))
                for _, after in self._next(state):
                    key = self._pack(after)
                    if key not in came_from:
                        came_from[key] = packed
                        ahead.append(key)
            if len(came_from) > states_max:
                raise OverflowError(f"more than {states_max} states")
            frontier = ahead
        return Found(len(came_from))

    # --- what may happen ---------------------------------------------------------------------------------------------

    def _at_rest(self) -> State:
        """Member a holds; announcers at rest, all acknowledged, every session up."""
        found = []
        for place, name in enumerate(self._names):
            named = name if self._size.naming is Naming.SELF else "a"
            path = ranking.Path(ranking.LENGTH_AT_REST + place, named)
            record = ranking.Announcer((ranking.PathOrder(1, 1, path),), acked=1, acked_at=NOW)
            up = Session(True, path)
            found.append(self._number(Announcer(record, 1, path, (), False, (up, up))))
        return State(self._size.epochs, self._size.faults, 0, tuple(found))

    def _next(self, state: State) -> Iterator[tuple[str, State]]:
        for place, number in enumerate(state.announcers):
            for what, after, cost in self._alone(number):
                if state.faults >= cost:
                    moved = (*state.announcers[:place], after, *state.announcers[place + 1 :])
                    yield f"{self._names[place]} {what}", state._replace(faults=state.faults - cost, announcers=moved)
        if state.epochs:
            for target in range(self._size.members):
                after_open = state._replace(epochs=state.epochs - 1, target=target)
                yield f"an operation for {self._members[target]} is opened", after_open
        yield from self._decided(state)

    def _happens_to(self, number: int) -> tuple[tuple[str, int, int], ...]:
        """What may happen to one announcer: (what, the announcer after it, faults that it costs)."""
        it, found = self._met[number], []
        for turn, path in it.sent:
            obeyed = it._replace(turn=turn, wire=path)
            found.append((f"obeys {_words(path)}", obeyed, 0))
            if not self._world.acknowledged_means_sent:
                found.append((f"is noted as saying {_words(path)}", self._noted(it, turn), 0))
        if not it.record.landed and (not self._world.waits_for_updates or it.has_landed):
            found.append(("has landed", it._replace(record=self._landed(it.record)), 0))
        if it.turn > it.record.acked:
            found.append((f"is noted as announcing {_words(it.wire)}", self._noted(it, it.turn), 0))
        for which, session in enumerate(it.sessions):
            if session.up and session.path != it.wire:
                found.append((f"is received by instance {which}", _with_session(it, which, Session(True, it.wire)), 0))
            if session.up:
                found.append((f"loses its session {which}", _with_session(it, which, Session(False, None)), 1))
            else:
                found.append((f"has its session {which} back", _with_session(it, which, Session(True, None)), 0))
        return tuple((what, self._number(after), cost) for what, after, cost in found)

    def _noted(self, it: Announcer, turn: int) -> Announcer:
        rank = self._rules.acknowledged(ranking.Rank(announcers={"x": it.record}), "x", (1, turn), NOW)
        return it._replace(record=rank.announcers["x"])

    def _landed(self, record: ranking.Announcer) -> ranking.Announcer:
        rank = self._rules.landed(ranking.Rank(announcers={"x": record}), NOW, NO_WAIT)
        after: ranking.Announcer = rank.announcers["x"]
        return after

    def _decided(self, state: State) -> Iterator[tuple[str, State]]:
        """A pass decides, writes and sends; seen from here, the sent commands are what may arrive from now on."""
        met = [self._met[n] for n in state.announcers]
        records, ups = tuple(it.record for it in met), tuple(it.ups for it in met)
        for paths in self._proposed(records, ups, state.target):
            after = tuple(
                self._ordered(number, path, self._chosen(path, met, number)) if path else number
                for number, path in zip(state.announcers, paths, strict=True)
            )
            ordered = ", ".join(f"{n} {_words(p)}" for n, p in zip(self._names, paths, strict=True) if p)
            yield f"ordered: {ordered}", state._replace(announcers=after)

    def _chosen(self, path: ranking.Path, met: list[Announcer], number: int) -> bool | None:
        """Whether it lacks a session with an instance that another one has a session with; None where it is not chosen."""
        it = self._met[number]
        if not _wins(path, met, number, self._met):
            return None
        return any(
            mine < max(theirs) for mine, theirs in zip(it.ups, zip(*(o.ups for o in met), strict=True), strict=True)
        )

    def _decisions(
        self, records: tuple[ranking.Announcer, ...], ups: tuple[tuple[bool, ...], ...], target: int
    ) -> tuple[tuple[ranking.Path | None, ...], ...]:
        """What a pass may come to, by who happens to answer it."""
        rank, holder = self._rank(records), self._members[target]
        sessions = {n: dict(zip(INSTANCES, up, strict=True)) for n, up in zip(self._names, ups, strict=True)}
        found: dict[tuple[ranking.Path | None, ...], None] = {}
        for answers in itertools.product((True, False), repeat=len(self._names)):
            answering = frozenset(n for n, yes in zip(self._names, answers, strict=True) if yes)
            live = self._rules.live_instances({n: s if n in answering else None for n, s in sessions.items()})
            on_every = frozenset(n for n in answering if self._rules.on_every_live(sessions[n], live))
            reach = self._rules.Reach(frozenset(self._names), answering, on_every)
            proposals = [self._rules.outrank(self._rules.Naming(self._size.naming), rank, holder, reach)]
            proposals.append(self._rules.normalise(rank, holder, reach, NOW, NO_WAIT))
            found |= {tuple(p.paths.get(n) for n in self._names): None for p in proposals if p.paths}
        return tuple(found)

    def _commanded(self, number: int, path: ranking.Path, chosen: bool | None) -> int:
        it = self._met[number]
        rank = ranking.Rank(
            seq=max(it.turn, it.record.latest.seq, *(t for t, _ in it.sent), 0), announcers={"x": it.record}
        )
        after = self._rules.intend(rank, 1, {"x": path}, NOW)
        path = ranking.Path(path.length, path.next_hop)
        return self._number(
            it._replace(
                record=after.announcers["x"] if self._world.intent_is_durable else it.record,
                sent=(*it.sent, (after.seq, path)),
                lopsided=it.lopsided if chosen is None else chosen,
            )
        )

    # --- what must hold ----------------------------------------------------------------------------------------------

    def _broken(self, state: State) -> str | None:
        met = [self._met[n] for n in state.announcers]
        lead = self._led(tuple(it.record for it in met), state.target)
        if lead is not None and self._is_beaten(met, lead, state.target):
            return "beaten"
        return None if any(it.on_its_way for it in met) else self._differs(met)

    def _differs(self, met: list[Announcer]) -> str | None:
        """What is wrong between the two instances, once nothing is on its way."""
        here, there = _best(met, 0), _best(met, 1)
        if len(here[0]) > 1 or len(there[0]) > 1:
            return "ambiguous"
        if here[0] == there[0]:
            return None
        return "split" if all(met[n].on_both or met[n].lopsided for n in here[1] | there[1]) else None

    def _is_beaten(self, met: list[Announcer], lead: int, target: int) -> bool:
        """Whether a Route Server that has the leading path prefers another member's."""
        return any(
            session.path == met[lead].wire and _best(met, which)[0] != {self._members[target]}
            for which, session in enumerate(met[lead].sessions)
        )

    def _lead(self, records: tuple[ranking.Announcer, ...], target: int) -> int | None:
        lead = self._rules.leading(self._rank(records), self._members[target])
        return None if lead is None else self._names.index(lead)

    def _rank(self, records: tuple[ranking.Announcer, ...]) -> ranking.Rank:
        return ranking.Rank(seq=99, announcers=dict(zip(self._names, records, strict=True)))

    # --- states as integers ------------------------------------------------------------------------------------------

    def _number(self, it: Announcer) -> int:
        it = self._canonical(it)
        number = self._numbers.setdefault(it, len(self._met))
        if number == len(self._met):
            self._met.append(it)
        return number

    def _canonical(self, it: Announcer) -> Announcer:
        """Only the order of an announcer's turns counts, and what can never be obeyed any more does not."""
        sent = it.sent
        if self._world.agents_compare_turns:
            sent = tuple((turn, path) for turn, path in sent if turn > it.turn)
        used = {it.turn, it.record.acked, *(o.seq for o in it.record.orders), *(turn for turn, _ in sent)} - {0}
        place = {turn: place for place, turn in enumerate(sorted(used), 1)} | {0: 0}
        orders = tuple(
            ranking.PathOrder(1, place[o.seq], ranking.Path(o.path.length, o.path.next_hop)) for o in it.record.orders
        )
        return it._replace(
            record=ranking.Announcer(orders, acked=place[it.record.acked], acked_at=NOW),
            turn=place[it.turn],
            sent=tuple((place[turn], path) for turn, path in sent),
        )

    def _seen_from_behind(self, number: int) -> int:
        it = self._met[number]
        return self._number(it._replace(sessions=(it.sessions[1], it.sessions[0])))

    def _pack(self, state: State) -> Packed:
        """The two instances are alike: of a state and its mirror image only one is looked at."""
        here = state.announcers
        there = tuple(self._mirrored(n) for n in here)
        packed = (state.epochs << 8) | (state.faults << 4) | state.target
        for number in min(here, there):
            packed = (packed << BITS) | number
        return packed

    def _unpack(self, packed: Packed) -> State:
        found = []
        for _ in self._names:
            found.append(packed & ((1 << BITS) - 1))
            packed >>= BITS
        return State(packed >> 8, (packed >> 4) & 15, packed & 15, tuple(reversed(found)))

    def _history(self, packed: Packed, came_from: Mapping[Packed, Packed]) -> tuple[str, ...]:
        events: list[str] = []
        while came_from[packed] != packed:
            before = came_from[packed]
            events.append(next(what for what, after in self._next(self._unpack(before)) if self._pack(after) == packed))
            packed = before
        return tuple(reversed(events))


def _best(met: list[Announcer], which: int) -> tuple[set[str], set[int]]:
    """On an instance: the next hops of the shortest paths, and whose paths these are."""
    paths = {n: path for n, it in enumerate(met) if (path := it.sessions[which].path) is not None}
    shortest = min((path.length for path in paths.values()), default=0)
    best = {n: path for n, path in paths.items() if path.length == shortest}
    return {path.next_hop for path in best.values()}, set(best)


def _with_session(it: Announcer, which: int, session: Session) -> Announcer:
    here, there = it.sessions
    return it._replace(sessions=(session, there) if which == 0 else (here, session))


def _words(path: ranking.Path) -> str:
    return f"{path.next_hop} at {path.length}"


def _wins(path: ranking.Path, met: list[Announcer], number: int, every: list[Announcer]) -> bool:
    """Whether it is meant to be the best path: shorter than all that anybody else may have."""
    return all(path.length < o.path.length for it in met if it is not every[number] for o in it.record.orders)
