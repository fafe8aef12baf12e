"""The agent's local door: a unix socket in its state directory, which gives whoever may read there the status as it is now.

It takes no request and no command, and nothing depends on it: where it cannot be opened, the agent runs without.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hopkeeper_agent.role import ServiceState

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
ANSWER_MAX_BYTES = 1024 * 1024


class Roles:
    """Since when each service has its role, and why."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[ServiceState, datetime, str]] = {}

    def note(self, states: Mapping[str, ServiceState], why: Mapping[str, str], now_seconds: float) -> None:
        """Take over what has changed by now (seconds since 1970)."""
        for name, state in states.items():
            before = self._known.get(name)
            if before is None or (before[0].role, before[0].unconfirmed) != (state.role, state.unconfirmed):
                at = datetime.fromtimestamp(now_seconds, timezone.utc)
                self._known[name] = (state, at, why.get(name, "as the state file has it"))

    def shown(self) -> dict[str, Any]:
        """By service, ready for JSON."""
        return {name: {"since": at.isoformat(), "why": why} for name, (_, at, why) in sorted(self._known.items())}


class Door:
    """Gives what `shown` returns to each connection, and closes it."""

    def __init__(self, directory: Path, shown: Callable[[], Mapping[str, Any]]) -> None:
        self._directory = directory
        self._shown = shown
        self._server: asyncio.Server | None = None
        self._path = contextlib.ExitStack()

    async def open(self) -> None:
        """Begin to answer. An agent that is not seen is better than none: a failure is logged and nothing more."""
        try:
            # Reachable until closed, as Python 3.13 removes by this path. What a killed agent left asyncio takes away now.
            path = self._path.enter_context(_reachable(self._directory))
            self._server = await asyncio.start_unix_server(self._answer, path)
        except OSError as error:
            log.warning("no local status", extra={"why": f"{type(error).__name__}: {error}"})

    async def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                (self._directory / NAME).unlink()
        self._path.close()

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self._shown()).encode())
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await writer.drain()
        writer.close()


NAME = "status.sock"


async def knock(directory: Path) -> dict[str, Any]:
    """What the agent that has this state directory shows. Raises OSError (TimeoutError is one) where none answers."""
    async with asyncio.timeout(ANSWER_SECONDS):
        with _reachable(directory) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        try:
            found = json.loads(await reader.read(ANSWER_MAX_BYTES))
        except ValueError as error:
            raise ConnectionError("what answers there is no agent of ours") from error
        finally:
            writer.close()
    if not isinstance(found, dict):
        raise ConnectionError("what answers there is no agent of ours")
    return found


@contextlib.contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """A path of the socket that is short enough, however deep the directory is: a socket's has 107 bytes at most."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
