"""A refusal: a step that a guard does not permit now, and why. The guards themselves stand with what they guard."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that may not be taken: the guard that refused, why, and when to ask again if time alone helps."""

    guard: str
    reason: str
    wait: timedelta | None = None

    def __str__(self) -> str:
        return f"{self.guard}: {self.reason}"


type GuardAnswer = str | tuple[str, timedelta] | None
"""Of a guard: None permits, a text refuses, with a time where waiting that long helps."""
type Guard[Step, Context] = Callable[[Step, Context], GuardAnswer]


def refusals[Step, Context](
    guards: Iterable[Guard[Step, Context]], step: Step, context: Context
) -> tuple[Refusal, ...]:
    """Why this step may not be taken now, by every guard that refuses, in their order; empty when it may."""
    return tuple(_refusal(guard, answer) for guard in guards if (answer := guard(step, context)) is not None)


def guard_name[Step, Context](guard: Guard[Step, Context]) -> str:
    """`_at_most_eight` refuses as "at most eight"."""
    return guard.__name__.removeprefix("_").replace("_", " ")


def _refusal[Step, Context](guard: Guard[Step, Context], answer: str | tuple[str, timedelta]) -> Refusal:
    reason, wait = (answer, None) if isinstance(answer, str) else answer
    return Refusal(guard_name(guard), reason, wait)
