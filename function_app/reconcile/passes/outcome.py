"""How a pass ends: a value for programs, reasons for people (design section 4)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum


class Ending(IntEnum):
    """In the order of what a person should look at first; a pass over several parts ends as its worst part did."""

    CONVERGED = 0
    PENDING = 1
    HELD = 2
    REFUSED = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """`retry_after` says when to come back; None means when something happens, or at the next sweep."""

    ending: Ending
    reasons: tuple[str, ...] = ()
    retry_after: timedelta | None = None


CONVERGED = Outcome(Ending.CONVERGED)


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The ending of the worst, every reason, the earliest return."""
    ending = max((o.ending for o in outcomes), default=Ending.CONVERGED)
    returns = [o.retry_after for o in outcomes if o.retry_after is not None]
    return Outcome(ending, tuple(r for o in outcomes for r in o.reasons), min(returns, default=None))
