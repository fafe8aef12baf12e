"""Time for the simulator: where "now" comes from, how Azure's durations shrink, and what falls due when.

Every duration in this package is written in Azure's own seconds (a peering takes 80 s); `Pace` shrinks it by the time
factor at the moment something is scheduled. Timestamps are never shrunk: they are what the clock says.
This module knows nothing of Azure.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A cascade longer than this at one instant is a loop in the simulator, not something due.
CASCADE_MAX = 100_000


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, aware and in UTC."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class VirtualClock:
    """Stands still until it is advanced."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many times faster than Azure the simulator lives."""

    factor: float = 1.0

    def scaled(self, azure_seconds: float) -> timedelta:
        return timedelta(seconds=azure_seconds / self.factor)


class Agenda:
    """Acts that fall due, run in order of time, each at its own time however late `settle` is called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._running_at: datetime | None = None
        self._watchers: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """The present; while a due act runs, the moment it was due, so that chains do not drift."""
        return self._running_at or self._clock.now()

    def after(self, delay: timedelta, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now() + delay, next(self._order), act))
        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` whenever something is added, so that a sleeper can look at `next_due` again."""
        self._watchers.append(watcher)

    def next_due(self) -> datetime | None:
        return self._due[0][0] if self._due else None

    def settle(self) -> None:
        """Run everything due by now. Raises RuntimeError when acts keep adding acts for the same instant."""
        for _ in range(CASCADE_MAX):
            if self._running_at is not None or not self._due or self._due[0][0] > self._clock.now():
                return
            due, _order, act = heapq.heappop(self._due)
            self._running_at = due
            try:
                act()
            finally:
                self._running_at = None
        raise RuntimeError(f"more than {CASCADE_MAX} acts due at once")
