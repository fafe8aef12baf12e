"""An event loop that has the laws looked at after every callback, so that no state between two awaits is missed."""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context

LOOK_SECONDS = 0.005


class WatchedLoop(asyncio.SelectorEventLoop):
    """Calls `look` after each callback that was scheduled: tasks' steps above all. It must be quick and not raise.

    What a socket's own callback changes (a heartbeat that sends an agent to standby) is seen after the next of these.
    """

    def __init__(self) -> None:
        self._watched = selectors.DefaultSelector()
        super().__init__(self._watched)
        self.look: Callable[[], None] | None = None

    @property
    def sockets(self) -> int:
        """How many the loop waits for, its own among them."""
        return len(self._watched.get_map())

    async def wait_for_sockets(self, most: int, seconds: float) -> None:
        """Until there are at most so many. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.sockets > most:  # noqa: ASYNC110 - a selector tells nobody
                await asyncio.sleep(LOOK_SECONDS)

    def call_soon[*Ts](
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._call, callback, args, context=context)

    def _call[*Ts](self, callback: Callable[[*Ts], object], args: tuple[*Ts]) -> None:
        try:
            callback(*args)
        finally:
            if self.look is not None:
                self.look()
