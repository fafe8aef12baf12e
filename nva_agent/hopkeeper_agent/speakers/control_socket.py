"""A query and its answer over a daemon's unix socket, one at a time. What they mean is for the daemon's module to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

ANSWER_SECONDS = 3.0
"""A daemon that reads a full table may be busy for a while; one that takes longer hangs."""


class ControlSocket(asyncio.Protocol):
    """One connection. `ended` is set the moment the daemon closes it, as when it dies."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._one_at_a_time = asyncio.Lock()
        self._answer: asyncio.Future[bytes] | None = None
        self._is_whole: Callable[[bytes], bool] = bool
        self._asking: set[asyncio.Task[bytes]] = set()

    @classmethod
    async def open(cls, path: Path) -> ControlSocket:
        """Connect; raises OSError."""
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, str(path))
        return connection

    async def ask(self, query: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
        """Return the answer once `is_whole` holds for it; raises OSError (TimeoutError is one) when there is none."""
        # Carried through even if the caller gives up: half an answer must not be left to the next caller.
        task = asyncio.get_running_loop().create_task(self._ask(query, is_whole))
        self._asking.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def greeting(self, is_whole: Callable[[bytes], bool]) -> bytes:
        """What the daemon sends first; raises OSError."""
        return await self.ask(b"", is_whole)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect data until it is an answer."""
        self._buffer += data
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """No answer will come any more."""
        self.ended.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the daemon closed the connection"))

    async def _ask(self, query: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
        async with self._one_at_a_time:
            if self._transport is None or self.ended.is_set():
                raise ConnectionError("not connected")
            self._answer, self._is_whole = asyncio.get_running_loop().create_future(), is_whole
            self._transport.write(query)
            self._settle()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self._answer
            except TimeoutError:
                # Its answer may still come, and would be taken for that of the next query.
                self.close()
                raise
            finally:
                self._answer = None

    def _settle(self) -> None:
        if self._answer is None or self._answer.done() or not self._buffer:
            return
        if self._is_whole(bytes(self._buffer)):
            self._answer.set_result(bytes(self._buffer))
            self._buffer.clear()

    def _forget(self, task: asyncio.Task[bytes]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()
