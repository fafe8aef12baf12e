"""One worker process, and what the host says to it: a question, its answer, and the end that is never announced."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.functions_host import protocol
from tools.functions_host.errors import WorkerGoneError
from tools.functions_host.protocol import PROTOS

PROGRAM = Path(__file__).with_name("worker_process.py")
# The answer to each request, and the field of both that pairs them where several are under way.
ANSWERS = {
    "worker_init_request": ("worker_init_response", ""),
    "function_environment_reload_request": ("function_environment_reload_response", ""),
    "functions_metadata_request": ("function_metadata_response", ""),
    "function_load_request": ("function_load_response", "function_id"),
    "invocation_request": ("invocation_response", "invocation_id"),
    "worker_status_request": ("worker_status_response", ""),
}


class Channel:
    def __init__(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._writer = writer
        self._waiting: dict[tuple[str, str], asyncio.Future[Any]] = {}
        self.gone = asyncio.Event()

    @classmethod
    async def start(
        cls, environment: Mapping[str, str], folder: Path, level: str = "info", libraries: Path | None = None
    ) -> "Channel":
        """A fresh worker in `folder` with exactly this environment, once it has said that it is there.

        With `libraries` it has those of that directory alone, without it all of this environment's. Raises WorkerGoneError.
        """
        alone = [] if libraries is None else ["-S"]
        own = [] if libraries is None else [str(libraries)]
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, *alone, "-X", "no_debug_ranges", str(PROGRAM), str(theirs.fileno()), level, *own],
                pass_fds=[theirs.fileno()],
                env=dict(environment),
                cwd=folder,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        made = cls(process, writer)
        if await protocol.read(reader) is None:
            raise WorkerGoneError(f"the worker ended with status {await process.wait()} before it said anything")
        made._reading = asyncio.create_task(made._listen(reader))
        return made

    _reading: asyncio.Task[None]

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, **content: Any) -> Any:
        """Send one message (`worker_init_request=...`) and give its answer. Raises WorkerGoneError."""
        ((kind, message),) = content.items()
        answer, identity = ANSWERS[kind]
        key = (answer, getattr(message, identity) if identity else "")
        self._waiting[key] = waiting = asyncio.get_running_loop().create_future()
        try:
            if self.gone.is_set():
                raise WorkerGoneError("the worker process is gone")
            protocol.write(self._writer, PROTOS.StreamingMessage(**content))
            return await waiting
        finally:
            self._waiting.pop(key, None)

    def kill(self) -> None:
        """SIGKILL, as the platform ends a worker: a Python worker gets no warning."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Its exit status, once it is gone."""
        await self._reading
        return await self._process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (message := await protocol.read(reader)) is not None:
            kind = message.WhichOneof("content")
            identity = next((field for answer, field in ANSWERS.values() if answer == kind), "")
            content = getattr(message, kind)
            waiting = self._waiting.get((kind, getattr(content, identity) if identity else ""))
            if waiting is not None and not waiting.done():
                waiting.set_result(content)
        self.gone.set()
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerGoneError("the worker process ended while it was at work"))
