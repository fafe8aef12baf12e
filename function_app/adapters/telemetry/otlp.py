"""Spans and measures to an OpenTelemetry collector, from a thread of their own.

What a pass does here is one append to a bounded queue. The thread imports the SDK, so that no start and no failover waits for it,
and sends every `PERIOD` what has come. What the collector does not take is lost: it is tried less and less often, so that one
that is gone costs a few lines in the log every `PERIOD_MAX`, and no memory.
"""

import asyncio
import importlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import ClassVar, Protocol

from function_app.reconcile.telemetry import Measure, Span

log = logging.getLogger("hopkeeper.telemetry")

SENDING = "function_app.adapters.telemetry.sending"
PERIOD = 5.0
"""Seconds; also before the SDK is imported, while the pass that started the app is on its way."""
PERIOD_MAX = 300.0
QUEUE_MAX = 4096
"""Spans and measures: some hundred passes. Beyond it the oldest are dropped."""
CLOSING_MAX = 3.0
"""Seconds that the end of a command may wait for the last of them."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where: the address without `/v1/traces`, and headers of every request."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Sending(Protocol):
    def send(self, taken: list[Span | Measure]) -> bool:
        """Whether the collector took it."""


class TelemetryOverOtlp:
    """`period`: see `PERIOD`. Nothing connects or starts before the first span or measure."""

    records: ClassVar[bool] = True

    def __init__(self, collector: Collector, period: float = PERIOD) -> None:
        self._collector = collector
        self._period = period
        self._queue: deque[Span | Measure] = deque(maxlen=QUEUE_MAX)
        self._closing = Event()
        self._starting = Lock()
        self._thread: Thread | None = None

    def ended(self, span: Span) -> None:
        self._queue.append(span)
        self._start()

    def measured(self, measures: Iterable[Measure]) -> None:
        self._queue.extend(measures)
        self._start()

    async def close(self) -> None:
        """Sends what is left, for `CLOSING_MAX` at most."""
        self._closing.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CLOSING_MAX)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="hopkeeper-telemetry", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        wait, sending = self._period, None
        closing = False
        while not closing:
            closing = self._closing.wait(wait)
            taken = self._taken()
            if not taken:
                continue
            try:
                sending = sending or _sending(self._collector)
                took = sending.send(taken)
            except Exception:
                log.exception("telemetry was not sent")
                took = False
            if not took:
                log.warning("the collector %s took no telemetry; next time in %g s", self._collector.endpoint, wait)
            wait = self._period if took else min(2 * wait, PERIOD_MAX)

    def _taken(self) -> list[Span | Measure]:
        return [self._queue.popleft() for _ in range(len(self._queue))]


def _sending(collector: Collector) -> Sending:
    made: Sending = importlib.import_module(SENDING).SendingOverOtlp(collector)
    return made


class TelemetryUnsent:
    """Where no collector is configured: nothing is kept."""

    records: ClassVar[bool] = False

    def ended(self, span: Span) -> None:
        return None

    def measured(self, measures: Iterable[Measure]) -> None:
        return None
