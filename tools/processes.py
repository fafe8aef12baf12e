"""Starts programs for a run and ends every one of them, whatever they started themselves.

A program and all its descendants carry a mark in their environment, so that a whole NVA can be killed at once, its
helpers in other process groups too, and no process of another origin is ever touched.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

MARK = "HOPKEEPER_LAB_MARK"
READY_WITHIN = 30.0
"""Seconds a program gets to say that it is ready."""


class ToolError(RuntimeError):
    """A program of the run did not do its part; the message says which and shows its last words."""


@dataclass(frozen=True, slots=True)
class Program:
    """A started program and the file that holds what it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    async def ready(self, word: str = "ready ") -> str:
        """What follows `word` at the beginning of a line; waits for it. Raises ToolError."""
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            for line in self.log.read_text(errors="replace").splitlines():
                if line.startswith(word):
                    return line.removeprefix(word).strip()
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.02)
        raise ToolError(f"{self.name} did not get ready:\n{self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Programs:
    """The programs of one run; `mark` is its own, different for every run."""

    logs: Path
    mark: str
    started: list[Program] = field(default_factory=list)

    def start(self, name: str, argv: list[str], group: str, env: Mapping[str, str] | None = None) -> Program:
        """Starts `argv`; `group` names what is killed together."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {}), MARK: f"{self.mark}:{group}"},
                start_new_session=True,
            )
        program = Program(name, process, log)
        self.started.append(program)
        return program

    def kill(self, group: str) -> int:
        """kill -9 for every process of the group, until none is left; gives how many there were."""
        killed: set[int] = set()
        while pids := self._marked(f"{self.mark}:{group}"):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(pids)
        self._reap()
        return len(killed)

    def end_all(self) -> None:
        """Sends every program SIGTERM and waits, then SIGKILL to everything that still carries this run's mark."""
        for program in reversed(self.started):
            if program.process.poll() is None:
                program.process.terminate()
        for program in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(timeout=3)
        while pids := self._marked(self.mark):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for program in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(timeout=3)  # its mark is gone some moments before it is

    def _reap(self) -> None:
        """Takes what has ended; one that is killed may still run a moment longer, but not once none is marked."""
        for program in self.started:
            program.process.poll()

    def _marked(self, mark: str) -> list[int]:
        wanted = f"{MARK}={mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if any(v.startswith(wanted) for v in (entry / "environ").read_bytes().split(b"\0")) and _alive(entry):
                    found.append(int(entry.name))
        return found


def _alive(entry: Path) -> bool:
    """A killed process stays in /proc as a zombie until its parent reads its status."""
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"


def end_as_by_ctrl_c() -> None:
    """SIGTERM ends this program as Ctrl-C does, with what it started. A second one, as make passes on what its whole process
    group had already, does not interrupt that."""
    signal.signal(signal.SIGTERM, _end_once)


def _end_once(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.default_int_handler(number, frame)
