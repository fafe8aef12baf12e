"""In which order due changes of a Route Server's peerings are made, so that nothing is lost on the way.

Each change is one write, so every complete order has the fewest there can be; which one is policy: make before break,
then what costs the least. An order can lead into a dead end, where no place is free and each delete would lose a
prefix: the next best one is tried then. Which changes are due is `plan`'s business; the guards speak again
before each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, PeeringStep
from function_app.domain.topology.announces import Prefixes
from function_app.domain.topology.model import Speaker
from function_app.domain.topology.peering_names import free_name

SETS_MAX = 2048
"""Sets of done changes that one plan looks at; what it has found by then is carried on with at the next look."""


class Turn(IntEnum):
    """Why a peering has to go, in the order in which they go where several may."""

    SUPERFLUOUS = 1
    """Nobody of the topology is behind it, or it does not work: nothing of it is missed."""
    WAITING = 2
    """Its speaker has to wait: its place goes to a better one."""
    MOVED = 3
    """Its speaker is at another address now."""
    RENUMBERED = 4
    """Its speaker is in another AS now, at the same address."""


@dataclass(frozen=True, slots=True)
class Make:
    """A speaker's peering that is to be created, or written again where `repairs` names a Failed one."""

    speaker: Speaker
    why: str
    brings: Prefixes
    repairs: str | None = None


@dataclass(frozen=True, slots=True)
class Unmake:
    """A peering of ours that has to go; `at_stake` are prefixes that must be announced without it, or it stays."""

    peering: Peering
    why: str
    turn: Turn
    priority: int
    at_stake: Prefixes
    brings: Prefixes
    replaced_by: str | None = None
    """The speaker whose new peering takes over from this one."""


type Change = Make | Unmake


@dataclass(frozen=True, slots=True)
class Work:
    """All changes that are due, in policy order, and what stands while they are made."""

    topology: str
    route_server: str
    names: frozenset[str]
    """Of every connection that is there, casefolded."""
    free: int
    stands: Prefixes
    """What is announced for certain by peerings that stay."""
    changes: tuple[Change, ...]
    swap: timedelta

    def order(self) -> tuple[int, ...]:
        """Indices of `changes`: the first complete order that policy would take, or else the one that gets furthest."""
        return self._longest((), set())

    def told(self, order: Sequence[int]) -> tuple[PeeringStep, ...]:
        """The changes as steps, each with the name that it has at its turn, and with what it exposes."""
        steps: list[PeeringStep] = []
        names = self.names
        for position, i in enumerate(order):
            change = self.changes[i]
            if isinstance(change, Make):
                speaker = change.speaker
                name = change.repairs or free_name(self.topology, speaker.name, names)
                steps.append(CreatePeering(self.route_server, name, speaker.address, speaker.asn, change.why))
                names = names | {name.casefold()}
            else:
                steps.append(self._deletion(change, self._pending(order[:position])))
                names = names - {change.peering.name.casefold()}
        return tuple(steps)

    def _longest(self, done: tuple[int, ...], seen: set[frozenset[int]]) -> tuple[int, ...]:
        """Bounded: at most eight creates and eight deletes, no set of them is looked at twice, and at most SETS_MAX are."""
        best = done
        for i in self._open(done):
            state = frozenset((*done, i))
            if state in seen or len(seen) >= SETS_MAX:
                continue
            seen.add(state)
            found = self._longest((*done, i), seen)
            best = found if len(found) > len(best) else best
            if len(best) == len(self.changes):
                break
        return best

    def _open(self, done: tuple[int, ...]) -> list[int]:
        """What may come next, in policy order: what exposes nothing first."""
        pending = self._pending(done)
        free = self._free(done)
        possible = [i for i, c in enumerate(self.changes) if i not in done and self._may(c, done, pending, free)]
        return sorted(possible, key=lambda i: (_exposes(self.changes[i], pending), i))

    def _may(self, change: Change, done: tuple[int, ...], pending: list[Change], free: int) -> bool:
        if isinstance(change, Make):
            return change.repairs is not None or (free > 0 and _address_is_free(change, pending))
        return _is_due(change, pending, free) and change.at_stake <= self._left_without(change, done)

    def _pending(self, done: Sequence[int]) -> list[Change]:
        return [c for i, c in enumerate(self.changes) if i not in done]

    def _free(self, done: tuple[int, ...]) -> int:
        changes = [self.changes[i] for i in done]
        made = sum(isinstance(c, Make) and c.repairs is None for c in changes)
        return self.free - made + sum(isinstance(c, Unmake) for c in changes)

    def _left_without(self, gone: Unmake, done: tuple[int, ...]) -> Prefixes:
        """What is announced for certain once `gone` is gone."""
        made = [c.brings for i in done if isinstance(c := self.changes[i], Make)]
        there = [c.brings for c in self._pending(done) if isinstance(c, Unmake) and c is not gone]
        return self.stands.union(*made, *there)

    def _deletion(self, change: Unmake, pending: list[Change]) -> DeletePeering:
        if not _exposes(change, pending):
            return DeletePeering(self.route_server, change.peering.name, change.why)
        others = [c for c in pending if c is not change]
        better = (c.speaker.name for c in pending if isinstance(c, Make) and _takes_its_place(c, others))
        successor = change.replaced_by or next(better, None)
        if successor is None:
            return DeletePeering(self.route_server, change.peering.name, f"{change.why}: more are there than may be")
        why = (
            f"{change.why}; exchanged for the new peering of {successor}: "
            f"one fewer for about {self.swap.total_seconds():.0f} s, from this delete to the end of the create"
        )
        return DeletePeering(self.route_server, change.peering.name, why, self.swap)


def _exposes(change: Change, pending: list[Change]) -> bool:
    """Whether a speaker of the topology is without a peering from now until a create is over."""
    if isinstance(change, Make) or not change.peering.in_force:
        return False
    return change.turn in (Turn.WAITING, Turn.RENUMBERED) or _successor(change, pending) is not None


def _is_due(change: Unmake, pending: list[Change], free: int) -> bool:
    """One that somebody misses waits for its replacement, unless that one needs its place."""
    others = [c for c in pending if c is not change]
    match change.turn:
        case Turn.MOVED:
            successor = _successor(change, pending)
            return successor is None or (free <= 0 and _takes_its_place(successor, others))
        case Turn.WAITING:
            better = any(isinstance(c, Make) and _takes_its_place(c, others) for c in others)
            return free < 0 or (free == 0 and better)
        case _:
            return True


def _successor(change: Unmake, pending: list[Change]) -> Make | None:
    return next((c for c in pending if isinstance(c, Make) and c.speaker.name == change.replaced_by), None)


def _takes_its_place(make: Make, others: list[Change]) -> bool:
    return make.repairs is None and _address_is_free(make, others)


def _address_is_free(make: Make, pending: list[Change]) -> bool:
    """Azure takes no second connection with one peer address."""
    return all(c.peering.address != make.speaker.address for c in pending if isinstance(c, Unmake))
