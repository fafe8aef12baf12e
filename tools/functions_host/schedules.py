"""When a timer is due: six-field schedules in UTC, and what the platform's schedule monitor would say. Pure.

Sources: the timer trigger's reference, and the behaviour of its listener (ScheduleMonitor): a stored status shows
whether an occurrence was missed while the host was down; timers that fire more often than once a minute are not monitored.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from tools.functions_host.errors import ConfigurationError

MONITORED_FROM = timedelta(minutes=1)
# What cronsim reads and NCRONTAB refuses: the production host would not start the timer.
_FOREIGN = re.compile(r"#|\?|(^|[\s,])(L|LW|\dL)($|[\s,/])", re.IGNORECASE)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)  # .NET's default DateTime, in a status that has seen no run


@dataclass(frozen=True, slots=True)
class Status:
    """`last`: the last run, `next`: the occurrence after it, `updated`: when this was written."""

    last: datetime
    next: datetime
    updated: datetime

    def to_json(self) -> dict[str, str]:
        return {"Last": self.last.isoformat(), "Next": self.next.isoformat(), "LastUpdated": self.updated.isoformat()}

    @staticmethod
    def from_json(document: dict[str, str]) -> "Status":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` did not make."""
        last, following, updated = (datetime.fromisoformat(document[name]) for name in ("Last", "Next", "LastUpdated"))
        if None in (last.tzinfo, following.tzinfo, updated.tzinfo):
            raise ValueError("a time without its zone")
        return Status(last, following, updated)


class Schedule:
    """An NCRONTAB expression: seconds first; with five fields the seconds are 0."""

    def __init__(self, expression: str) -> None:
        """Raises ConfigurationError, naming what is wrong with the expression."""
        self._expression = expression
        if _FOREIGN.search(expression):
            raise ConfigurationError(f"schedule {expression!r}: ?, #, L and LW are not part of NCRONTAB")
        try:
            self.frequent = self._shortest_gap() < MONITORED_FROM
        except (CronSimError, StopIteration) as wrong:
            raise ConfigurationError(f"schedule {expression!r}: {wrong or 'it never occurs'}") from wrong

    def after(self, moment: datetime) -> datetime:
        """The first occurrence strictly after `moment` (aware)."""
        return next(self._occurrences(moment))

    def first_status(self, now: datetime) -> Status:
        return Status(_NEVER, self.after(now), now)

    def ran(self, now: datetime) -> Status:
        """The status after a run that ended `now`: occurrences missed meanwhile are not made up for."""
        return Status(now, self.after(now), now)

    def is_past_due(self, stored: Status, now: datetime) -> bool:
        """Whether the stored occurrence was missed. One that belongs to another schedule was not."""
        since = stored.updated if stored.last == _NEVER else stored.last
        return stored.next < now and stored.next == self.after(since)

    def _occurrences(self, moment: datetime) -> Iterator[datetime]:
        occurrences = CronSim(self._expression, moment.astimezone(UTC))
        # Classic cron takes day-of-month OR day-of-week when both are restricted; NCRONTAB wants both.
        occurrences.day_and = True
        return iter(occurrences)

    def _shortest_gap(self) -> timedelta:
        occurrences = self._occurrences(datetime(2026, 1, 1, tzinfo=UTC))
        first, second, third = (next(occurrences) for _ in range(3))
        return min(second - first, third - second)
