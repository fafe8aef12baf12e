"""Plays a whole series: every contender in its world, their runs in turn, three at once at most.

The worlds are processes that this one starts and ends; what they measure comes back as JSON, one run a line.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.packets import mechanisms, namespaces
from lab.packets.fabric import CHOSEN_VIP, VIP
from lab.stack import ROOT

AT_ONCE = 3
"""Runs that are measured at the same time: more would disturb each other on a machine with two cores."""
LINE_MAX = 64 * 1024 * 1024
"""Bytes: half an hour of packets is one line."""
ANSWER_WITHIN = 600.0

type Run = dict[str, Any]
type Say = Callable[[str], None]


class WorldFailedError(RuntimeError):
    """A world ended, or did not answer in time; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be played. `faults` replaces the contenders' own; `loss` is seconds with 10 % loss, 0 for none."""

    names: Sequence[str]
    runs: int
    faults: Sequence[str] = ()
    loss: float = 0.0
    damping: float = 0.0
    vip: str = str(VIP)


class Player:
    """One contender's world, from outside."""

    def __init__(self, name: str, directory: Path, damping: float, vip: str) -> None:
        self.name = name
        self.logs = directory / "logs"
        self._words = directory / "world.log"
        self._damping = damping
        self._vip = vip
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._healed = True

    async def start(self) -> None:
        """Waits until it is ready. Raises WorldFailedError."""
        self._directory.mkdir(parents=True)
        arguments = [self.name, "--directory", str(self._directory), "--damping", str(self._damping)]
        with self._words.open("wb") as words:
            self._process = await asyncio.create_subprocess_exec(
                *namespaces.command("lab.packets.world", arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=words,
                cwd=ROOT,
                env={**os.environ, "PATH": namespaces.search_path(), CHOSEN_VIP: str(self._vip)},
                start_new_session=True,
                limit=LINE_MAX,
            )
        await self._answer("ready")

    async def play(self, order: dict[str, Any], gate: asyncio.Semaphore) -> Run:
        """One run; the healing after it is waited for only before the next. Raises WorldFailedError."""
        if not self._healed:
            await self._answer("healed")
        async with gate:
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._healed = False
            found: Run = await self._answer("run", ANSWER_WITHIN + order.get("lose", 0.0))
        return found

    async def end(self) -> None:
        """With everything in it: the kernel ends what is in the namespaces when their first process ends."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def _answer(self, kind: str, within: float = ANSWER_WITHIN) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise WorldFailedError(f"{self.name}: no answer within {within:g} s") from error
        answer = json.loads(line or b"{}")
        if kind not in answer:
            words = self._words.read_text(errors="replace")[-1500:]
            raise WorldFailedError(f"{self.name}: {answer.get('failed', 'ended')}\n{words}")
        self._healed = kind != "run"
        return answer[kind]


@dataclass
class Series:
    """What came of an order."""

    order: Order
    say: Say
    kept: Path
    runs: list[Run] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    async def play(self) -> None:
        """Everything, in rounds: each contender plays each of its faults once a round."""
        gate = asyncio.Semaphore(AT_ONCE)
        async with self._worlds() as players:
            for number in range(1, self.order.runs + 1):
                self.say(f"round {number} of {self.order.runs}")
                await asyncio.gather(*(self._round(number, player, gate) for player in players))

    @contextlib.asynccontextmanager
    async def _worlds(self) -> AsyncIterator[list[Player]]:
        directory = Path(tempfile.mkdtemp(prefix="hopkeeper-"))
        players = [Player(name, directory / name, self.order.damping, self.order.vip) for name in self.order.names]
        try:
            await asyncio.gather(*(self._attempt(player, player.start()) for player in players))
            yield players
        finally:
            await asyncio.gather(*(player.end() for player in players))
            for player in players:
                if player.name in self.failures:
                    shutil.copytree(player.logs, self.kept / player.name, dirs_exist_ok=True)
            shutil.rmtree(directory, ignore_errors=True)

    async def _attempt(self, player: Player, work: Any) -> Any:
        """`work`, unless this world has failed; the others go on."""
        if player.name in self.failures:
            work.close()
            return None
        try:
            return await work
        except WorldFailedError as error:
            self.failures[player.name] = str(error)
            self.say(f"failed: {error}")
            return None

    async def _round(self, number: int, player: Player, gate: asyncio.Semaphore) -> None:
        contender = mechanisms.BY_NAME[player.name]()
        due = self.order.faults or [f for f in contender.faults if number == 1 or f not in contender.once]
        orders: list[dict[str, Any]] = [{"play": fault} for fault in due]
        if number == 1 and self.order.loss > 0 and contender.tried_by_loss:
            orders.append({"lose": self.order.loss})
        for order in orders:
            run = await self._attempt(player, player.play(order, gate))
            if run is not None:
                self.runs.append({"round": number, **run})
                self.say(described(run))


def described(run: Run) -> str:
    """One run in a line."""
    if "false_failovers" in run:
        return (
            f"{run['contender']}: {run['false_failovers']} false failovers in {run['minutes']:.1f} min with 10 % loss"
        )
    return f"{run['contender']}, {run['fault']}: {run['outage_seconds']:.3f} s without packets"


def names(wanted: Sequence[str]) -> list[str]:
    """In the table's order; all that are not only on request if none is named."""
    chosen = set(wanted) or set(mechanisms.BY_NAME) - mechanisms.ON_REQUEST
    return [name for name in mechanisms.BY_NAME if name in chosen]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    system = os.uname()
    release = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    pretty = next((line.split("=", 1)[1].strip('"') for line in release.splitlines() if line.startswith("PRETTY")), "")
    return {
        "system": pretty or system.sysname,
        "kernel": system.release,
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }
