"""How a pass ends: a value for programs, reasons for people (docs/architecture.md, Two speeds)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum


class Pace(StrEnum):
    """The two kinds of pass; see `passes`."""

    FAST = "fast"
    SLOW = "slow"


class Ending(IntEnum):
    """From what needs no attention to what needs it first; a pass over several parts ends as its worst part did.

    CONVERGED  nothing is left to do
    ACCEPTED   an operator's order was taken; what follows from it is for the passes to come
    PENDING    something is under way, or waits for time to pass
    PAUSED     an operator's pause is in force: nothing is done until it ends
    HELD       something is wanted and not permitted
    REFUSED    an order was not taken, or no guard lets a step through
    FAILED     a fault stopped this part of the pass
    """

    CONVERGED = 0
    ACCEPTED = 1
    PENDING = 2
    PAUSED = 3
    HELD = 4
    REFUSED = 5
    FAILED = 6

    @property
    def word(self) -> str:
        """As documents, answers and the command line write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`retry_after` says when to come back; None means when something happens, or at the next sweep."""

    ending: Ending
    reasons: tuple[str, ...] = ()
    retry_after: timedelta | None = None


def named(reasons: Iterable[str], topology: str) -> tuple[str, ...]:
    """Reasons with the topology's name in the commands in them: what decides about a service does not know it."""
    return tuple(why.replace("TOPOLOGY", topology) for why in reasons)


CONVERGED = Outcome(Ending.CONVERGED)


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The ending of the worst, every reason, the earliest return."""
    ending = max((o.ending for o in outcomes), default=Ending.CONVERGED)
    returns = [o.retry_after for o in outcomes if o.retry_after is not None]
    return Outcome(ending, tuple(r for o in outcomes for r in o.reasons), min(returns, default=None))
