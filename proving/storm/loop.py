"""Virtual time: one timeline of scheduled events, and event loops that live on it.

`Timeline` is a heap of (time, order, function, arguments). `InstanceLoop` is what asyncio needs to run the product's
coroutines there: no selector, no threads, no real time. Each simulated host has a loop of its own, so that it can be
killed or paused as a whole.
"""

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any


class Timeline:
    """Scheduled events in the order of their time, then of their scheduling. `now` is in seconds."""

    __slots__ = ("_order", "_queue", "happened", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.happened = 0
        """Events so far: everything that was scheduled and came due, but for timers that were cancelled meanwhile."""
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = 0

    def after(self, delay: float, function: Callable[..., object], *arguments: Any) -> None:
        """Schedules a happening `delay` seconds from now."""
        self._order = order = self._order + 1
        heapq.heappush(self._queue, (self.now + delay, order, function, arguments))

    def step(self, until: float) -> bool:
        """Lets the next happening happen, unless it is due after `until`; False if none was."""
        queue = self._queue
        if not queue or queue[0][0] > until:
            self.now = until
            return False
        self.now, _, function, arguments = heapq.heappop(queue)
        self.happened += 1
        function(*arguments)
        return True


class Turn:
    """A callback that a loop will run; asyncio's Handle without what only debugging needs."""

    __slots__ = ("_callback", "_cancelled", "_context", "when_due")

    def __init__(
        self,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
        when_due: float = 0.0,
    ) -> None:
        self._callback = (callback, *arguments)
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self.when_due = when_due

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self.when_due

    def run(self) -> None:
        if not self._cancelled:
            self._context.run(*self._callback)


class InstanceLoop(asyncio.AbstractEventLoop):
    """Runs coroutines whenever the world delivers something to them. While `paused` nothing runs; all of it waits."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._ready: deque[Turn] = deque()
        self._running = False
        self.paused = False
        self.strays: list[BaseException] = []
        """What tasks died of without anybody asking them."""

    def run_ready(self) -> None:
        """Runs everything that is ready, and what that makes ready, at this instant."""
        if self.paused or self._running or not self._ready:
            return
        ready = self._ready
        self._running = True
        events._set_running_loop(self)
        try:
            while ready and not self.paused:
                ready.popleft().run()
        finally:
            events._set_running_loop(None)
            self._running = False

    def time(self) -> float:
        return self._timeline.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task[T](  # type: ignore[override]  # the stub knows neither the return type nor later keywords
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(  # type: ignore[override]  # a Turn is all of a Handle that asyncio's own code uses
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Turn:
        turn = Turn(callback, args, context)
        self._ready.append(turn)
        return turn

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Turn:
        turn = Turn(callback, args, context, self._timeline.now + delay)
        self._timeline.after(max(delay, 0.0), self._due, turn)
        return turn

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Turn:
        return self.call_later(when - self._timeline.now, callback, *args, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.strays.append(error)

    def _due(self, turn: Turn) -> None:
        if turn.cancelled():
            self._timeline.happened -= 1
            return
        self._ready.append(turn)
        self.run_ready()
