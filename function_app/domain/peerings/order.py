"""In which order the changes that are due to a Route Server's peerings are made, so that nothing is lost on the way.

Each change is one write, so every complete order takes the fewest writes; which one is policy: make before break, then
what interrupts the least. An order can lead into a dead end, where no place is free and each delete would lose a
prefix: the next best one is tried then. Which changes are due is decided in `plan`; the guards judge each step again
before it is taken.
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
"""Sets of done changes that one plan looks at. The best order found by then is begun; the next pass looks again."""


class RemovalReason(IntEnum):
    """Why a peering has to go, in the order in which they go where several may."""

    SUPERFLUOUS = 1
    """No speaker of the topology is behind it, or it does not work: nothing is missed."""
    WAITING = 2
    """Its speaker has to wait: its place goes to one of higher priority."""
    MOVED = 3
    """Its speaker is at another address now."""
    RENUMBERED = 4
    """Its speaker is in another AS now, at the same address."""


@dataclass(frozen=True, slots=True)
class Creation:
    """A speaker's peering that is to be created, or written again where `repairs` names a Failed one."""

    speaker: Speaker
    why: str
    brings: Prefixes
    """What its speaker announces."""
    repairs: str | None = None

    @property
    def takes_a_place(self) -> bool:
        """A repair writes a peering that has its place already."""
        return self.repairs is None


@dataclass(frozen=True, slots=True)
class Removal:
    """A peering of ours that has to go; `at_stake` are prefixes that must be announced without it, or it stays."""

    peering: Peering
    why: str
    reason: RemovalReason
    priority: int
    at_stake: Prefixes
    brings: Prefixes
    """What it announces for certain while it is there."""
    replaced_by: str | None
    """The speaker whose new peering takes over from this one."""


type Change = Creation | Removal


@dataclass(frozen=True, slots=True)
class DueChanges:
    """All changes that are due, in policy order, and what stays while they are made."""

    topology: str
    route_server: str
    names: frozenset[str]
    """Of every peering that is there, casefolded."""
    free: int
    """Places at the Route Server; negative where more peerings are there than may be."""
    stands: Prefixes
    """What is announced for certain by peerings that stay."""
    changes: tuple[Change, ...]
    swap: timedelta
    """How long an exchange (delete, then create) takes."""

    def order(self) -> tuple[int, ...]:
        """Indices of `changes`: the first complete order by policy, or else the one that gets furthest."""
        return self._longest((), set())

    def steps(self, order: Sequence[int]) -> tuple[PeeringStep, ...]:
        """The changes as steps in this order, each with the name that is free by then, and with its exposure."""
        steps: list[PeeringStep] = []
        names = self.names
        for position, i in enumerate(order):
            change = self.changes[i]
            if isinstance(change, Creation):
                speaker = change.speaker
                name = change.repairs or free_name(self.topology, speaker.name, names)
                steps.append(CreatePeering(self.route_server, name, speaker.address, speaker.asn, change.why))
                names = names | {name.casefold()}
            else:
                steps.append(self._deletion(change, self._pending(order[:position])))
                names = names - {change.peering.name.casefold()}
        return tuple(steps)

    def _longest(self, done: tuple[int, ...], seen: set[frozenset[int]]) -> tuple[int, ...]:
        """Depth first. Bounded: no set of done changes is looked at twice, and at most SETS_MAX are."""
        best = done
        for i in self._next(done):
            state = frozenset((*done, i))
            if state in seen or len(seen) >= SETS_MAX:
                continue
            seen.add(state)
            found = self._longest((*done, i), seen)
            best = found if len(found) > len(best) else best
            if len(best) == len(self.changes):
                break
        return best

    def _next(self, done: tuple[int, ...]) -> list[int]:
        """What may follow the changes that are done, in policy order: what exposes no speaker first."""
        pending = self._pending(done)
        free = self._free(done)
        possible = [i for i, c in enumerate(self.changes) if i not in done and self._may(c, done, pending, free)]
        return sorted(possible, key=lambda i: (_exposes(self.changes[i], pending), i))

    def _may(self, change: Change, done: tuple[int, ...], pending: list[Change], free: int) -> bool:
        if isinstance(change, Creation):
            return not change.takes_a_place or (free > 0 and _needs_only_a_place(change, pending))
        return _is_due(change, pending, free) and change.at_stake <= self._left_without(change, done)

    def _pending(self, done: Sequence[int]) -> list[Change]:
        return [c for i, c in enumerate(self.changes) if i not in done]

    def _free(self, done: tuple[int, ...]) -> int:
        """Places that are free once these changes are done."""
        changes = [self.changes[i] for i in done]
        removed = [c for c in changes if isinstance(c, Removal)]
        created = [c for c in changes if isinstance(c, Creation) and c.takes_a_place]
        return self.free + len(removed) - len(created)

    def _left_without(self, gone: Removal, done: tuple[int, ...]) -> Prefixes:
        """What is announced for certain once `gone` is gone."""
        created = [c.brings for i in done if isinstance(c := self.changes[i], Creation)]
        there = [c.brings for c in self._pending(done) if isinstance(c, Removal) and c is not gone]
        return self.stands.union(*created, *there)

    def _deletion(self, removal: Removal, pending: list[Change]) -> DeletePeering:
        name = removal.peering.name
        if not _exposes(removal, pending):
            return DeletePeering(self.route_server, name, removal.why)
        successor = removal.replaced_by or _next_in_its_place(pending)
        if successor is None:
            return DeletePeering(self.route_server, name, f"{removal.why}: more are there than may be")
        why = (
            f"{removal.why}; exchanged for the new peering of {successor}: "
            f"one fewer for about {self.swap.total_seconds():.0f} s, from this delete to the end of the create"
        )
        return DeletePeering(self.route_server, name, why, self.swap)


def _exposes(change: Change, pending: list[Change]) -> bool:
    """Whether a speaker of the topology is without a peering from this change until a later create is over."""
    if isinstance(change, Creation) or not change.peering.in_force:
        return False
    return change.reason in (RemovalReason.WAITING, RemovalReason.RENUMBERED) or _successor(change, pending) is not None


# A removal of a peering that works waits for its replacement, unless the replacement needs its place:
#
# | reason      | the new peering                                       | free places | due                            |
# |-------------|-------------------------------------------------------|-------------|--------------------------------|
# | SUPERFLUOUS |                                                       | any         | yes                            |
# | RENUMBERED  | cannot be created before: same address                | any         | yes                            |
# | MOVED       | is created already                                    | any         | yes                            |
# |             | is pending, and needs only a place                    | none        | yes: an exchange               |
# |             | is pending                                            | otherwise   | no: create first               |
# | WAITING     |                                                       | negative    | yes: more there than may be    |
# |             | some speaker's is pending, needs only a place         | none        | yes: an exchange               |
# |             |                                                       | otherwise   | no                             |
def _is_due(removal: Removal, pending: list[Change], free: int) -> bool:
    match removal.reason:
        case RemovalReason.MOVED:
            successor = _successor(removal, pending)
            return successor is None or (free <= 0 and _needs_only_a_place(successor, pending))
        case RemovalReason.WAITING:
            return free < 0 or (free == 0 and _next_in_its_place(pending) is not None)
        case _:
            return True


def _successor(removal: Removal, pending: list[Change]) -> Creation | None:
    """The pending peering of the same speaker that takes over from this one."""
    return next((c for c in pending if isinstance(c, Creation) and c.speaker.name == removal.replaced_by), None)


def _next_in_its_place(pending: list[Change]) -> str | None:
    """The first speaker whose peering could be created if one more place were free."""
    creations = (c for c in pending if isinstance(c, Creation))
    return next((c.speaker.name for c in creations if _needs_only_a_place(c, pending)), None)


def _needs_only_a_place(creation: Creation, pending: list[Change]) -> bool:
    return creation.takes_a_place and _address_is_free(creation, pending)


def _address_is_free(creation: Creation, pending: list[Change]) -> bool:
    """Azure takes no second peering with one peer address."""
    there = (c.peering.address for c in pending if isinstance(c, Removal))
    return creation.speaker.address not in there
