"""Which host fires a timer: the one that holds its lock, a file beside the timers' status, so that hosts over one state share it.

Source: the genuine host, measured. Of two hosts one fires; after `kill -9` nothing does for 35 to 70 s, for the lock of a dead
host runs out and is not given back. An orderly end gives it back.
"""

import asyncio
import contextlib
import fcntl
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

PERIOD = timedelta(seconds=60)
RENEWALS, TRIALS = 2, 12  # in one period


class TimerLock:
    def __init__(self, file: Path, period: timedelta) -> None:
        self._file = file
        self._seconds = period.total_seconds()
        self._holder = uuid.uuid4().hex

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Waits for the lock, keeps it, and gives it back."""
        while not self._taken(self._seconds):  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(self._seconds / TRIALS)
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            self._taken(0.0)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / RENEWALS)
            self._taken(self._seconds)

    def _taken(self, seconds: float) -> bool:
        """Takes or renews it for so long, unless another host holds it."""
        with self._alone():
            now = time.time()
            try:
                document = json.loads(self._file.read_text())
            except (OSError, ValueError):
                document = {"holder": "", "until": 0.0}
            if document["holder"] != self._holder and document["until"] > now:
                return False
            self._file.write_text(json.dumps({"holder": self._holder, "until": now + seconds}))
            return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time looks at the file and writes it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".guard").open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
