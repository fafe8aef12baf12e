"""The ways to an agent, where the network's faults happen: TCP (commands, probe tries of peers) and UDP (gossip)."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Any

ACCEPT_TICKS = 5
"""Turns of the event loop after which a connection that was made is accepted as well."""
REQUEST_BYTES = 1000
"""A client that has sent more than this is past TLS's handshake and has asked something."""
CHUNK = 65536


class Mode(StrEnum):
    OPEN = "open"
    REFUSED = "refused"  # connections are reset
    MUTE = "mute"  # nothing passes, either way
    LOSES_REPLY = "loses-reply"  # requests arrive, answers do not


@dataclass
class Way:
    """Passes connections on from one port of an address to another."""

    address: IPv4Address
    port: int
    to: int
    mode: Mode = Mode.OPEN
    ends_here: bool = False
    """Nothing is passed on just now, for who listens beyond is about to close."""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, str(self.address), self.port)

    async def close(self) -> None:
        await accepted()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()

    def turn(self, mode: Mode) -> None:
        """From now on; what is open already is reset by REFUSED and goes on otherwise."""
        self.mode = mode
        if mode is Mode.REFUSED:
            for end in self._ends:
                end.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)  # at once: a task that is cancelled before it begins closes nothing
        task = asyncio.get_running_loop().create_task(self._pass_on(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            if self.mode is Mode.REFUSED or self.ends_here:
                return
            far_reader, far_writer = await asyncio.open_connection(str(self.address), self.to)
            ends.add(far_writer)
            self._ends.add(far_writer)
            asked = 0

            def requests(size: int) -> bool:
                nonlocal asked
                asked += size
                return self.mode is not Mode.MUTE

            def replies(_: int) -> bool:
                return self.mode is Mode.OPEN or (self.mode is Mode.LOSES_REPLY and asked < REQUEST_BYTES)

            both = [
                asyncio.ensure_future(_pump(reader, far_writer, requests)),
                asyncio.ensure_future(_pump(far_reader, writer, replies)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        except OSError:
            return  # nobody listens there: the connection ends
        finally:
            for end in ends:
                self._ends.discard(end)
                end.transport.abort()


async def accepted() -> None:
    """Waits until no connection is half accepted: asyncio forgets those of a server that closes."""
    for _ in range(ACCEPT_TICKS):
        await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[int], bool]) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            if passes(len(data)):
                writer.write(data)


class GossipWays:
    """Passes heartbeats on, each from its sender's own address, unless one of the two is cut off."""

    def __init__(self, port: int, to: int) -> None:
        self._port, self._to = port, to
        self._senders: dict[str, asyncio.DatagramTransport] = {}
        self._hearers: list[asyncio.DatagramTransport] = []
        self.cut: set[str] = set()
        """Addresses."""

    async def open(self, addresses: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        for address in addresses:
            sender, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=(address, 0), family=socket.AF_INET
            )
            self._senders[address] = sender
        for address in addresses:
            hearer, _ = await loop.create_datagram_endpoint(
                lambda address=address: _Hearer(self, address),  # type: ignore[misc]
                local_addr=(address, self._port),
                family=socket.AF_INET,
            )
            self._hearers.append(hearer)

    def close(self) -> None:
        for transport in (*self._hearers, *self._senders.values()):
            transport.abort()

    def pass_on(self, data: bytes, sender: str, hearer: str) -> None:
        if not self.cut & {sender, hearer} and sender in self._senders:
            self._senders[sender].sendto(data, (hearer, self._to))


class _Hearer(asyncio.DatagramProtocol):
    def __init__(self, ways: GossipWays, address: str) -> None:
        self._ways = ways
        self._address = address

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._ways.pass_on(data, str(addr[0]), self._address)
