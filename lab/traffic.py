"""What users would feel: numbered packets through the frontend, and both probes watched at every moment."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

PACKETS_PER_SECOND = 100
PROBES_PER_SECOND = 50


@dataclass(frozen=True, slots=True)
class Reply:
    """A packet that came back: when, and from whose data path."""

    at: float
    server: str


class Traffic(asyncio.DatagramProtocol):
    """Sends packets at a steady pace and keeps every reply. Times are time.time()."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.sent = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, frontend: str, port: int) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, remote_addr=(frontend, port)
        )
        self._transport = transport
        self._task = asyncio.create_task(self._send())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()

    async def _send(self) -> None:
        due = time.monotonic()
        while True:
            assert self._transport is not None
            self._transport.sendto(str(self.sent).encode())
            self.sent += 1
            due = max(due + 1 / PACKETS_PER_SECOND, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.replies.append(Reply(time.time(), data.split()[-1].decode()))

    def error_received(self, exc: Exception) -> None:
        """No NVA forwards right now; that is what is being measured."""

    def last_from(self, server: str, before: float) -> float | None:
        return max((r.at for r in self.replies if r.server == server and r.at <= before), default=None)

    def first_from(self, server: str, after: float) -> float | None:
        return min((r.at for r in self.replies if r.server == server and r.at >= after), default=None)


@dataclass
class ProbeWatch:
    """Requests every agent's probe all the time; `both` are the moments at which more than one answered 200."""

    urls: dict[str, tuple[str, int, str]]
    both: list[float] = field(default_factory=list)
    rounds: int = 0
    changes: list[tuple[float, str, bool]] = field(default_factory=list)
    _answers: dict[str, bool] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def moments(self, start: float, end: float) -> int:
        return sum(start <= at <= end for at in self.both)

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            answers = await asyncio.gather(*(_is_200(*url) for url in self.urls.values()))
            now = time.time()
            self.rounds += 1
            for name, answer in zip(self.urls, answers, strict=True):
                if self._answers.get(name, False) != answer:
                    self.changes.append((now, name, answer))
                self._answers[name] = answer
            if sum(answers) > 1:
                self.both.append(now)
            await asyncio.sleep(max(0.0, 1 / PROBES_PER_SECOND - (time.monotonic() - began)))


async def _is_200(address: str, port: int, path: str) -> bool:
    """One probe as the load balancer sends it: HTTP GET, no keep-alive."""
    try:
        async with asyncio.timeout(0.2):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
