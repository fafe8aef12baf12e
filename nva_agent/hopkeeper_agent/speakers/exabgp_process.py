"""Starts, finds and stops the ExaBGP process. It has a session of its own, so that no signal to the agent reaches it.

An earlier agent may have started it, and it must outlive this one: so it is not waited for as a child is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from pathlib import Path

from hopkeeper_agent.speakers.exabgp_configuration import (
    BgpSettings,
    environment,
    fingerprint,
    passing_arguments,
    render,
)

log = logging.getLogger(__name__)

START_SECONDS = 15.0
END_SECONDS = 3.0
LOOK_SECONDS = 0.02


class ExaBgpProcess:
    """The ExaBGP of one state directory."""

    def __init__(self, directory: Path, settings: BgpSettings) -> None:
        self.socket = directory / "exabgp.sock"
        self._configuration = directory / "exabgp.conf"
        self._pid_file = directory / "exabgp.pid"
        self._log = directory / "exabgp.log"
        helper = [sys.executable, "-P", "-u", "-m", "hopkeeper_agent.speakers.exabgp_helper", str(self.socket)]
        passing = passing_arguments(settings)
        self.fingerprint = fingerprint(settings, render(settings, [*helper, *passing]))
        self._text = render(settings, [*helper, self.fingerprint, *passing])
        self._environment = {**environment(settings), **_search_path()}
        self._pid: int | None = self._read_pid()
        self._child: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running ExaBGP, None if there is none."""
        if self._pid is not None and not self._is_ours(self._pid):
            self._pid = self._child = None
        return self._pid

    def adopt(self, pid: int) -> None:
        """Take over the ExaBGP that answered."""
        self._pid = pid

    async def ensure(self) -> None:
        """Return once there is a socket to connect to; starts ExaBGP unless one runs. Raises OSError, TimeoutError."""
        if self.pid is None and not await self._is_answered():
            with contextlib.suppress(FileNotFoundError):
                self.socket.unlink()
            self._start()
        async with asyncio.timeout(START_SECONDS):
            while not self.socket.exists():
                if self.pid is None:
                    # Seen only when it ends before its helper listens.
                    raise ProcessLookupError(f"ExaBGP ended while starting, see {self._log}")
                await asyncio.sleep(LOOK_SECONDS)

    async def end(self) -> None:
        """Stop ExaBGP if it runs, with some time to close its sessions."""
        for number, limit_seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
            pid = self.pid
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_seconds):
                    await self._gone()
        with contextlib.suppress(FileNotFoundError):
            self._pid_file.unlink()

    async def _gone(self) -> None:
        while self.pid is not None:  # noqa: ASYNC110 - the end of a process that is not a child raises no event
            await asyncio.sleep(LOOK_SECONDS)

    async def _is_answered(self) -> bool:
        # Without its pid file, a second process would compete with it for the same sessions.
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        return True

    def _start(self) -> None:
        program = _find_program()
        self._configuration.write_text(self._text)
        output = (os.POSIX_SPAWN_OPEN, 1, str(self._log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._pid = self._child = os.posix_spawn(
            program[0],
            [*program, "server", str(self._configuration)],
            {**os.environ, **self._environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                output,
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )
        self._pid_file.write_text(str(self._pid))
        log.info("ExaBGP started", extra={"exabgp_pid": self._pid, "why": "none of ours ran"})

    def _read_pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _is_ours(self, pid: int) -> bool:
        if pid == self._child:
            # A child that has ended is a zombie until it is waited for. Its command line is of no use here: it is still
            # empty just after the start.
            return os.waitpid(pid, os.WNOHANG) == (0, 0)
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        # Process ids are reused: it must be the one with our configuration.
        return os.fsencode(self._configuration) in command.split(b"\0")


def _archive() -> Path | None:
    """The one runnable file that holds this agent and ExaBGP; None if they are installed."""
    return next((parent for parent in Path(__file__).parents if parent.is_file()), None)


def _search_path() -> dict[str, str]:
    # ExaBGP and its helper are processes of their own, which would not find the modules in the file.
    archive = _archive()
    return {} if archive is None else {"PYTHONPATH": str(archive)}


def _find_program() -> list[str]:
    if _archive() is not None:
        return [sys.executable, "-P", "-m", "exabgp"]
    beside = Path(sys.executable).with_name("exabgp")
    found = str(beside) if beside.exists() else shutil.which("exabgp")
    if found is None:
        raise FileNotFoundError("exabgp is neither beside the interpreter nor on PATH")
    return [found]
