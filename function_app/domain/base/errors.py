"""The errors that cross layers. Not for refusals or held operations: those are values (`guards`, `steps`).

HopkeeperError
├── Transient              come back later (`retry_after`)
│   ├── Unavailable        a service or an agent did not answer, or answered that it is busy
│   │   └── Missing        it answered that there is no such thing: one that is being made is there later
│   └── Superseded         another writer was first: read again, decide again
└── Terminal               trying again changes nothing
    ├── Unusable           an answer is there, and of no use: it cannot be read, or says that it failed
    ├── BadInput           what was sent or written down is wrong (`problems` name the path and the rule)
    │   ├── NotThere       it names a topology, service or verb that is not there
    │   └── NotNow         it is sound, and what is there does not permit it now
    ├── Changed            what is there is not what the sender of a change has seen
    ├── NotAuthentic       a signature, an audience or a key does not hold
    └── NotPermitted       who it is is known, and may not: a role is missing
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Self


class HopkeeperError(Exception):
    """Base of every error that Hopkeeper raises on purpose."""


class Transient(HopkeeperError):
    """Trying again later may help."""

    def __init__(self, message: str, retry_after: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Transient):
    """A service or an agent did not answer, or said that it is busy."""


class Missing(Unavailable):
    """What answered says that there is no such thing."""


class Superseded(Transient):
    """A conditional write lost: the thing changed since it was read."""


class Terminal(HopkeeperError):
    """Trying again changes nothing."""


class Unusable(Terminal):
    """An answer is there for good, and of no use: it cannot be read, or says that what was requested failed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (a path such as `$.speakers[0].asn`, and in which line, where that is known), and which
    rule it breaks."""

    path: str
    rule: str
    line: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}"


def among(name: str, there: Iterable[str]) -> str:
    """What to add to a refusal of a name that is none of those that are there: the one that was probably meant, and all."""
    known = sorted(there)
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return (f": did you mean {near[0]}?" if near else "") + f" (there are {', '.join(known) or 'none'})"


class BadInput(Terminal):
    """What was sent or written down is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems

    @classmethod
    def of(cls, path: str, rule: str) -> Self:
        """With one problem: where it is, and which rule it breaks."""
        return cls((Problem(path, rule),))


class NotThere(BadInput):
    """What was sent names something that is not there."""


class NotNow(BadInput):
    """What was sent is sound, and what is there does not permit it now: the problems say what to do first."""


class Changed(Terminal):
    """What is there is not what the sender of a change has seen: read again, and decide again."""


class NotAuthentic(Terminal):
    """A signature, an audience or a key does not hold."""


class NotPermitted(Terminal):
    """Who sent it is known, and lacks the role for it."""
