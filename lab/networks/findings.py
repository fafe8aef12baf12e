"""What a case found: tables, packets, and checks that hold or say what is wrong."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lab.networks.learned import Row
from lab.networks.pings import Phase

WITHIN = 40.0
"""Seconds that routes may take to be as they should be, before they are compared as they are."""


@dataclass(frozen=True, slots=True)
class Check:
    """`wrong` is empty where it holds."""

    what: str
    wrong: tuple[str, ...]

    def as_document(self) -> dict[str, Any]:
        return {"check": self.what, "holds": not self.wrong, "wrong": self.wrong}


@dataclass
class Findings:
    """`rows` are the learned routes at rest, by Route Server."""

    rows: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)

    def check(self, what: str, wrong: Iterable[str]) -> None:
        self.checks.append(Check(what, tuple(wrong)))

    def equal(self, what: str, expected: object, found: object) -> None:
        self.check(what, [] if expected == found else [f"expected {_in_words(expected)}, found {_in_words(found)}"])

    def go_by(self, what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
        """The next hops by which something goes: all of `wanted` and no other."""
        self.equal(f"{what} by way of {_in_words(sorted(wanted))}", sorted(wanted), sorted(found))

    def nothing_lost(self, phase: Phase) -> None:
        silent = [f"nothing answers at {address}" for address in phase.silent]
        lost = [f"{phase.lost} of {phase.sent} packets lost"] if phase.lost else []
        self.check(f"no packet is lost: {phase.name}", [*silent, *lost])

    def recovered(self, phase: Phase, hold: int, slack: float) -> None:
        """Something died in silence: nothing is known of it before the hold time is over, and soon after it all is well."""
        silent = [f"nothing answers at {address}" for address in phase.silent]
        late = [f"after {phase.outage:.1f} s"] if phase.outage > hold + slack else []
        self.check(f"packets flow again when the hold time of {hold} s is over: {phase.name}", [*silent, *late])

    @property
    def passed(self) -> bool:
        """A case that checked nothing has shown nothing."""
        return bool(self.checks) and not any(check.wrong for check in self.checks)

    def as_document(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "killed": self.killed,
            "checks": [check.as_document() for check in self.checks],
            "phases": [phase.as_document() for phase in self.phases],
            "rows": {server: [row.as_document() for row in rows] for server, rows in self.rows.items()},
        }


def _in_words(what: object) -> str:
    return (", ".join(map(str, what)) or "none") if isinstance(what, list) else str(what)


async def soon(holds: Callable[[], bool], within: float = WITHIN) -> bool:
    """Looks ten times a second until it holds; False when the time is over. An OSError is a no."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if holds():
                return True
        await asyncio.sleep(0.1)
    return False
