"""Checks: is the appliance fit, and is another one that has no agent? Each has a period, a timeout and thresholds of its own.

A fatal self-check that is bad makes the probe answer 503; the role stays as it is. What is watched is reported like a peer. The
counting is pure (`Tally`); only the trials do I/O.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Protocol

import aiohttp

from hopkeeper_agent.clock import Clock
from hopkeeper_agent.decoding import (
    AbsolutePath,
    Address,
    Flag,
    Given,
    Port,
    Tagged,
    Text,
    Texts,
    satisfying,
    seconds,
    whole,
)
from hopkeeper_agent.identity import Name
from hopkeeper_agent.peers import PeerWatch, Reading

log = logging.getLogger(__name__)


class Failed(Exception):
    """A trial that did not succeed; the message says what happened, without the trial's own output."""


class Trial(Protocol):
    """One kind of check."""

    async def run(self) -> None:
        """Return if all is well; raises Failed. The caller sets the time limit."""


@dataclass(frozen=True, slots=True)
class TcpTrial:
    """A connection is accepted."""

    address: Address
    port: Port

    async def run(self) -> None:
        try:
            _, writer = await asyncio.open_connection(str(self.address), self.port)
        except OSError as error:
            raise Failed("no connection") from error
        writer.transport.abort()


@dataclass(frozen=True, slots=True)
class HttpTrial:
    """GET answers with a status below 400, redirects not followed."""

    url: Text

    async def run(self) -> None:
        try:
            async with aiohttp.ClientSession() as client, client.get(self.url, allow_redirects=False) as response:
                if response.status >= 400:
                    raise Failed(f"status {response.status}")
        except (aiohttp.ClientError, OSError) as error:
            raise Failed("no answer") from error


@dataclass(frozen=True, slots=True)
class UdpTrial:
    """A payload is sent and any reply comes back, as from an echo service beyond the data path.

    `packets` are sent at once, as a single one may be lost on a sound path: where a tenth is lost each way, one trial of
    five fails with one packet, one of 150 with three.
    """

    address: Address
    port: Port
    payload: Annotated[bytes, satisfying("a text", lambda value: isinstance(value, str) and value, str.encode)] = (
        b"hopkeeper"
    )
    packets: Annotated[int, whole(1, 10)] = 3

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[None] = loop.create_future()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _AnyReply(reply), remote_addr=(str(self.address), self.port)
            )
        except OSError as error:
            raise Failed("no route") from error
        try:
            for _ in range(self.packets):
                transport.sendto(self.payload)
            await reply
        finally:
            transport.close()


class _AnyReply(asyncio.DatagramProtocol):
    def __init__(self, reply: asyncio.Future[None]) -> None:
        self._reply = reply

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._reply.done():
            self._reply.set_result(None)

    def error_received(self, exc: Exception) -> None:
        if not self._reply.done():
            self._reply.set_exception(Failed("no echo"))


@dataclass(frozen=True, slots=True)
class PingTrial:
    """An ICMP echo request is answered (RFC 792). No privilege is needed where `net.ipv4.ping_group_range` holds the agent's
    group, as systemd sets it."""

    address: Address

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as ours:
                ours.setblocking(False)
                ours.connect((str(self.address), 0))
                # The kernel fills in identifier and checksum, and passes on only replies to this identifier.
                await loop.sock_sendall(ours, _ECHO_REQUEST)
                while (await loop.sock_recv(ours, 64))[:1] != _ECHO_REPLY:
                    pass
        except PermissionError as error:
            raise Failed("not permitted: net.ipv4.ping_group_range") from error
        except OSError as error:
            raise Failed("no route") from error


_ECHO_REQUEST = bytes([8, 0, 0, 0, 0, 0, 0, 0]) + b"hopkeeper"
_ECHO_REPLY = b"\0"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The same trial several times at once; one success is enough: a lost packet must not look like a dead machine."""

    trial: Trial
    attempts: int

    async def run(self) -> None:
        tries = [asyncio.ensure_future(self.trial.run()) for _ in range(self.attempts)]
        failed = Failed("no answer")
        try:
            for one in asyncio.as_completed(tries):
                try:
                    return await one
                except Failed as error:
                    failed = error
            raise failed
        finally:
            for trial in tries:
                trial.cancel()
            await asyncio.gather(*tries, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class CommandTrial:
    """A program exits with 0. It runs in a process group of its own, which ends with it."""

    argv: Texts

    async def run(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise Failed("cannot be started") from error
        try:
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if code != 0:
            raise Failed(f"exit code {code}")


@dataclass(frozen=True, slots=True)
class ForwardingTrial:
    """The kernel forwards packets between interfaces."""

    path: AbsolutePath = Path("/proc/sys/net/ipv4/ip_forward")

    async def run(self) -> None:
        try:
            # The kernel's own file: no disk is involved.
            value = self.path.read_text().strip()
        except OSError as error:
            raise Failed(f"{self.path} cannot be read") from error
        if value != "1":
            raise Failed("forwarding is off")


@dataclass(frozen=True, slots=True)
class SessionsTrial:
    """At least `least` BGP sessions with Route Servers are established; the agent sets `established`, which counts them."""

    least: Annotated[int, whole(1, 1000)] = 1
    established: Annotated[Callable[[], int] | None, Given()] = None

    async def run(self) -> None:
        count = 0 if self.established is None else self.established()
        if count < self.least:
            raise Failed(f"{count} of {self.least} sessions established")


class WriteTrial:
    """The directory takes a write that is made durable: a role that cannot be stored is refused, so a disk that is full is to
    be known before. In a thread, of which there is one at a time: a write that hangs is not followed by more of them."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / ".written"
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write))
            self._writing.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may end unawaited
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            raise Failed(f"{self._path.parent} takes no write: {error.strerror}") from error

    def _write(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, b"0" * _BLOCK_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            self._path.unlink()


_BLOCK_BYTES = 4096

TRIALS = {
    "tcp": TcpTrial,
    "http": HttpTrial,
    "udp": UdpTrial,
    "ping": PingTrial,
    "command": CommandTrial,
    "forwarding": ForwardingTrial,
    "sessions": SessionsTrial,
}
"""The kinds of check, by `[[checks]] kind`."""

WATCHING = {kind: TRIALS[kind] for kind in ("tcp", "http", "ping")}
"""The kinds of check of another machine, by `[[watch]] kind`."""


def with_sessions(checks: Sequence[Check], established: Callable[[], int]) -> list[Check]:
    """The checks as configured, with `established` set in those that count sessions."""
    return [
        replace(check, trial=replace(check.trial, established=established))
        if isinstance(check.trial, SessionsTrial)
        else check
        for check in checks
    ]


@dataclass(frozen=True, slots=True)
class Check:
    """A check as configured."""

    name: Name
    trial: Annotated[Trial, Tagged(TRIALS)]
    fatal: Flag = False
    shared: Flag = False
    """It tries something that all members share: fatal only while a peer is known to pass it."""
    period_seconds: Annotated[float, seconds(0.05, 3600)] = 1.0
    timeout_seconds: Annotated[float, seconds(0.01, 600)] = 1.0
    fall: Annotated[int, whole(1, 100)] = 3
    rise: Annotated[int, whole(1, 100)] = 5


STATE_DIRECTORY = "state-directory"


def of_the_disk(directory: Path) -> Check:
    """The agent's own check of the directory of its state file."""
    return Check(STATE_DIRECTORY, WriteTrial(directory), period_seconds=60.0, timeout_seconds=30.0, fall=2, rise=1)


@dataclass(frozen=True, slots=True)
class Watch:
    """A check of a member that has no agent; `name` is that speaker's in the topology."""

    name: Name
    trial: Annotated[Trial, Tagged(WATCHING)]
    attempts: Annotated[int, whole(1, 10)] = 3
    """So many at once in each trial."""
    period_seconds: Annotated[float, seconds(0.05, 3600)] = 0.5
    timeout_seconds: Annotated[float, seconds(0.01, 600)] = 0.5
    fall: Annotated[int, whole(1, 100)] = 3
    rise: Annotated[int, whole(1, 100)] = 5

    @property
    def check(self) -> Check:
        """The same as a check of this agent, which makes nothing unfit."""
        return Check(
            self.name,
            AnyOf(self.trial, self.attempts),
            period_seconds=self.period_seconds,
            timeout_seconds=self.timeout_seconds,
            fall=self.fall,
            rise=self.rise,
        )


@dataclass(slots=True)
class Tally:
    """The verdict on one check: the first trial decides, then `fall` and `rise` in a row do.

    `tried`: when the last trial ended, `passed`: when the last one that succeeded did; before the first one when the agent
    started (monotonic seconds).
    """

    fall: int
    rise: int
    tried: float = 0.0
    passed: float = 0.0
    value: Reading = Reading.UNKNOWN
    detail: str = "not tried yet"
    _against: int = 0

    def note(self, failure: str | None, now: float) -> bool:
        """Count one trial (None: success). Returns whether the verdict changed."""
        self.tried = now
        if failure is None:
            self.passed = now
        seen = Reading.OK if failure is None else Reading.BAD
        if seen is self.value:
            self._against = 0
            return False
        self._against += 1
        if self._against < self._needed():
            return False
        checks = "check" if self._against == 1 else "checks"
        self.detail = "" if failure is None else f"{failure} for {self._against} {checks}"
        self.value, self._against = seen, 0
        return True

    def _needed(self) -> int:
        match self.value:
            case Reading.UNKNOWN:
                return 1
            case Reading.OK:
                return self.fall
            case Reading.BAD:
                return self.rise


def excused(failing: Mapping[str, bool], peers: Collection[PeerWatch], now: float) -> frozenset[str]:
    """Of the failing fatal checks of a holder (name to `shared`) those in spite of which it goes on answering: to give up would
    help no one, as no member does better (safety.md section 4a, last man).

    Every peer is alive and fails the same check; of a `shared` one no peer that is alive passes it. Witnesses do not count.
    """
    members = [peer for peer in peers if not peer.is_witness]
    alive = [peer.failing for peer in members if peer.failing is not None and peer.gossip(now) is Reading.OK]
    all_known = bool(members) and len(alive) == len(members)
    return frozenset(
        name for name, shared in failing.items() if (shared or all_known) and all(name in theirs for theirs in alive)
    )


class Examiner:
    """Runs the checks until it is closed."""

    def __init__(self, checks: Sequence[Check], clock: Clock, changed: Callable[[], None]) -> None:
        """`changed` is called when any verdict changes."""
        self._checks = checks
        self._monotonic = clock.monotonic
        self._changed = changed
        started = clock.monotonic()
        self.tallies = {check.name: Tally(check.fall, check.rise, started, started) for check in checks}
        self._tasks: list[asyncio.Task[None]] = []

    def failing(self) -> dict[str, bool]:
        """The fatal checks that are bad, each with whether it is `shared`."""
        bad = [check for check in self._checks if check.fatal and self.tallies[check.name].value is Reading.BAD]
        return {check.name: check.shared for check in bad}

    def start(self) -> None:
        """Begin to check."""
        self._tasks = [asyncio.get_running_loop().create_task(self._repeat(check)) for check in self._checks]

    async def close(self) -> None:
        """Stop, and end programs under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, check: Check) -> None:
        due = self._monotonic()
        while True:
            failure = await try_once(check)
            tally = self.tallies[check.name]
            if tally.note(failure, self._monotonic()):
                log.warning(
                    "check changed",
                    extra={"check": check.name, "value": tally.value, "why": tally.detail or "it passes again"},
                )
                self._changed()
            # After a trial longer than its period the next follows at once; missed ones are not made up for.
            due = max(due + check.period_seconds, self._monotonic())
            await asyncio.sleep(due - self._monotonic())


async def try_once(check: Check) -> str | None:
    """Run one trial within its timeout. Return None on success, else what failed."""
    try:
        async with asyncio.timeout(check.timeout_seconds):
            await check.trial.run()
    except TimeoutError:
        return "no answer in time"
    except Failed as error:
        return str(error)
    except Exception:
        # A trial must not end the checks.
        log.exception("check broke", extra={"check": check.name, "why": "a fault of the check itself"})
        return "the check itself broke"
    return None
