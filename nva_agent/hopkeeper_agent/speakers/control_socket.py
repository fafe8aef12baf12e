"""A question and its answer over a daemon's unix socket, one at a time. What they mean is the daemon's adapter's business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

# A daemon that takes in a full table may be busy for a while; beyond this it hangs.
ANSWER_SECONDS = 3.0


class ControlSocket(asyncio.Protocol):
    """One connection. `ended` is set the moment the daemon ends it, as when it dies."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[bytes] | None = None
        self._is_whole: Callable[[bytes], bool] = bool
        self._asking: set[asyncio.Task[bytes]] = set()

    @classmethod
    async def open(cls, path: Path) -> ControlSocket:
        """Connect; raises OSError."""
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, str(path))
        return connection

    async def ask(self, question: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
        """Return the answer once `is_whole` says so of it; raises OSError (TimeoutError too) when there is none."""
        # A caller that gives up must not leave half an answer to the next one: the question is seen through.
        task = asyncio.get_running_loop().create_task(self._ask(question, is_whole))
        self._asking.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def hear(self, is_whole: Callable[[bytes], bool]) -> bytes:
        """Wait for what the daemon says first."""
        return await self.ask(b"", is_whole)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what comes until it is an answer."""
        self._buffer += data
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody answers any more."""
        self.ended.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the daemon ended the conversation"))

    async def _ask(self, question: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
        async with self._turn:
            if self._transport is None or self.ended.is_set():
                raise ConnectionError("no conversation")
            self._answer, self._is_whole = asyncio.get_running_loop().create_future(), is_whole
            self._transport.write(question)
            self._settle()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self._answer
            except TimeoutError:
                # Its answer may still come, and would be taken for the next one's.
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
