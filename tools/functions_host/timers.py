"""Timer triggers: one loop a timer, one run at a time, the last run remembered in a file.

When is `schedules.py`'s, which host `timer_lock.py`'s; this waits, invokes and remembers. Missed occurrences run once at the
start, marked past due.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tools.functions_host import messages
from tools.functions_host.errors import HostError
from tools.functions_host.functions import Function
from tools.functions_host.schedules import Schedule, Status
from tools.functions_host.timer_lock import PERIOD, TimerLock

log = logging.getLogger(__name__)

# A clock that was stepped is noticed this late.
NAP_MAX = timedelta(seconds=30)

type Run = Callable[[Function, Any], Awaitable[None]]


class Timer:
    def __init__(self, function: Function, state: Path, run: Run, lock: timedelta = PERIOD) -> None:
        """`state` is the directory of the status files; `lock` is how long a dead host keeps the timer. Raises ConfigurationError
        for a bad schedule."""
        self._function = function
        self._schedule = Schedule(function.trigger.text("schedule"))
        self._monitored = not self._schedule.frequent and function.trigger.options.get("useMonitor", True) is not False
        self._file = state / f"{function.name}.json"
        self._run = run
        self._lock = TimerLock(state / f"{function.name}.lock", lock)
        self._status = self._schedule.first_status(datetime.now(UTC))

    async def serve(self) -> None:
        """Invoke the function whenever it is due and no other host does, until cancelled."""
        async with self._lock.held():
            await self._serve()

    async def _serve(self) -> None:
        now = datetime.now(UTC)
        stored = self._recall()
        past_due = stored is not None and self._schedule.is_past_due(stored, now)
        self._status = stored if stored is not None and past_due else self._schedule.first_status(now)
        if past_due or self._function.trigger.options.get("runOnStartup") is True:
            await self.fire(past_due=past_due)
        elif self._monitored:
            self._remember()
        while True:
            wait = self._status.next - datetime.now(UTC)
            if wait <= timedelta(0):
                await self.fire(past_due=False)
            else:
                await asyncio.sleep(min(wait, NAP_MAX).total_seconds())

    async def fire(self, *, past_due: bool) -> None:
        """Run now. A failure is logged and not made up for: the next occurrence is the next attempt."""
        try:
            await self._run(self._function, payload(self._status, past_due=past_due, monitored=self._monitored))
        except HostError as failure:
            log.error("timer %s: %s", self._function.name, failure)
        self._status = self._schedule.ran(datetime.now(UTC))
        if self._monitored:
            self._remember()

    def payload(self) -> Any:
        """What a run by hand is given."""
        return payload(self._status, past_due=False, monitored=self._monitored)

    def _recall(self) -> Status | None:
        if not self._monitored or not self._file.exists():
            return None
        try:
            return Status.from_json(json.loads(self._file.read_text()))
        except (OSError, ValueError, KeyError, TypeError) as unreadable:
            log.warning(
                "timer %s: status %s is not readable and is begun anew: %r", self._function.name, self._file, unreadable
            )
            return None

    def _remember(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".tmp")
        draft.write_text(json.dumps(self._status.to_json()))
        draft.rename(self._file)


def payload(status: Status, *, past_due: bool, monitored: bool) -> Any:
    """The timer information as the worker reads it (a TypedData); without a monitor there is no schedule status."""
    document: dict[str, Any] = {"Schedule": {"AdjustForDST": True}, "IsPastDue": past_due}
    document["ScheduleStatus"] = status.to_json() if monitored else None
    return messages.as_json(document)
