"""An event loop whose time is virtual and whose network is memory: it never waits, and it opens no socket.

Everything of asyncio works in it, aiohttp's client and server as well. Threads are not: work for one is done at once.
"""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.kit.network import Listening, Network

BEGINNING = datetime(2026, 3, 2, 1, 50, tzinfo=UTC)
"""A Monday night, ten minutes before an operator changes something by hand."""


class Asleep(Exception):
    """Nothing is scheduled any more, so that nothing will ever happen."""


class _Jump(selectors.DefaultSelector):
    """Waits by moving the time; what would come from outside never does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Asleep
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. Seconds begin at 0, which is `BEGINNING`."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self.network = Network(self)
        self.watch: Callable[[], None] | None = None
        """Called after every callback, so that no state between two awaits is missed. It must be quick and not raise."""

    def time(self) -> float:
        return self._jump.now

    def run_in_executor[*Ts, T](self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """At once: what a thread would do (an import, making a client) takes no virtual time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_soon[*Ts](
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._call, callback, args, context=context)

    def call_at[*Ts](
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when, self._call, callback, args, context=context)

    def _call[*Ts](self, callback: Callable[[*Ts], object], args: tuple[*Ts]) -> None:
        try:
            callback(*args)
        finally:
            if self.watch is not None:
                self.watch()

    # --- the network: what asyncio, aiohttp and its connector ask of a loop

    async def sock_connect(self, sock: Any, address: Any) -> None:
        await self.network.reach(address[0], address[1])
        self.network.reached[sock.fileno()] = (address[0], address[1])

    async def create_connection(  # type: ignore[override]  # of its many parameters those that are used
        self, protocol_factory: Callable[[], Any], host: str = "", port: int = 0, *, sock: Any = None, **how: Any
    ) -> tuple[asyncio.Transport, Any]:
        if sock is not None:
            host, port = self.network.reached.pop(sock.fileno())
            sock.close()
        else:
            await self.network.reach(host, port)
        return self.network.connect(protocol_factory, host, port, tls=bool(how.get("ssl")))

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], host: str = "", port: int = 0, **_: Any
    ) -> Listening:
        return self.network.listen(protocol_factory, host, port)


def virtual_loop() -> VirtualLoop:
    """The running loop. Raises TypeError where that is another kind."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError(f"a story runs in a VirtualLoop, this is a {type(loop).__name__}")
    return loop


class VirtualClock:
    """The product's clock and the simulator's: the loop's time as a moment."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._loop.time())

    def seconds(self) -> float:
        """Since 1970."""
        return self.now().timestamp()

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(max(duration.total_seconds(), 0.0))
