"""One instance of a Route Server on the wire: accepts a BGP session on loopback and keeps every UPDATE as it came.

It counts messages and not routes: one UPDATE that replaces a path and a withdrawal followed by an announcement end in the
same table, and only the wire shows which it was. It decides nothing, and announces only what a test has it say: with another
ASN it is a client of a hub speaker.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

PORT = 1790
ASN = 65515
HOLD_SECONDS = 30
MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
GRACEFUL_RESTART = 64


@dataclass(frozen=True)
class Route:
    """A path as sent: the next hop, the whole AS path and the communities."""

    next_hop: str
    path: tuple[int, ...]
    communities: tuple[str, ...] = ()


@dataclass(frozen=True)
class WireUpdate:
    """One UPDATE and when it came (monotonic seconds)."""

    at: float
    announced: dict[str, Route]
    withdrawn: tuple[str, ...]


@dataclass
class WirePeer:
    """What one instance received. `sessions` counts how often a session came up, `up` says whether one is.

    `told` is what it announces on every session.
    """

    address: str
    asn: int = ASN
    announces: dict[str, Route] = field(default_factory=dict)
    updates: list[WireUpdate] = field(default_factory=list)
    capabilities: dict[int, bytes] = field(default_factory=dict)
    sessions: int = 0
    up: bool = False
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def routes(self) -> dict[str, Route]:
        """The routes in force on the present session."""
        routes: dict[str, Route] = {}
        for update in self.updates:
            routes |= update.announced
            for prefix in update.withdrawn:
                routes.pop(prefix, None)
        return routes

    def forget(self) -> None:
        """Begin to count again."""
        self.updates.clear()

    def tell(self, prefix: str, route: Route) -> None:
        """Announce a route on the present session and on later ones."""
        self.announces[prefix] = route
        for writer in self._writers:
            writer.write(_announcement(prefix, route))

    def take_back(self, prefix: str) -> None:
        """Withdraw it."""
        del self.announces[prefix]
        for writer in self._writers:
            writer.write(_message(UPDATE, _counted(_nlri(prefix)) + _counted(b"")))

    def refresh(self) -> None:
        """Ask for every route again (RFC 2918), IPv4 unicast."""
        for writer in self._writers:
            writer.write(_message(ROUTE_REFRESH, b"\x00\x01\x00\x01"))

    def cut(self) -> None:
        """End the session from this side."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one session until it ends."""
        beating: asyncio.Task[None] | None = None
        self._writers.append(writer)
        try:
            kind, body = await _read(reader)
            if kind != OPEN:
                return
            capabilities = _capabilities(body)
            writer.write(_open(self.address, self.asn) + _message(KEEPALIVE, b""))
            while (await _read(reader))[0] != KEEPALIVE:
                pass
            beating = asyncio.get_running_loop().create_task(_beat(writer))
            self.updates, self.capabilities, self.up = [], capabilities, True
            self.sessions += 1
            kind = ROUTE_REFRESH
            while True:
                if kind == ROUTE_REFRESH:
                    for prefix, route in self.announces.items():
                        writer.write(_announcement(prefix, route))
                kind, body = await _read(reader)
                if kind == UPDATE and (update := _update(body)) is not None:
                    self.updates.append(update)
                elif kind == NOTIFICATION:
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            if beating is not None:
                self.up = False
                beating.cancel()
            self._writers.remove(writer)
            writer.transport.abort()


@asynccontextmanager
async def wire_peer(address: str, asn: int = ASN, announces: dict[str, Route] | None = None) -> AsyncIterator[WirePeer]:
    """Listen at an address of loopback; everything is closed afterwards."""
    peer = WirePeer(address, asn, announces or {})
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(peer.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, address, PORT)
    try:
        yield peer
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _beat(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(HOLD_SECONDS / 3)
        with contextlib.suppress(OSError):
            writer.write(_message(KEEPALIVE, b""))


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    header = await reader.readexactly(19)
    length, kind = struct.unpack("!HB", header[16:])
    return kind, await reader.readexactly(length - 19)


def _message(kind: int, body: bytes) -> bytes:
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def _announcement(prefix: str, route: Route) -> bytes:
    path = struct.pack(f"!BB{len(route.path)}I", 2, len(route.path), *route.path)
    attributes = [(1, b"\0"), (2, path), (3, IPv4Address(route.next_hop).packed)]
    encoded = b"".join(bytes([0x40, code, len(value)]) + value for code, value in attributes)
    return _message(UPDATE, _counted(b"") + _counted(encoded) + _nlri(prefix))


def _counted(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _nlri(prefix: str) -> bytes:
    network = IPv4Network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def _open(router_id: str, asn: int) -> bytes:
    # Multiprotocol IPv4 unicast, route refresh, four-octet AS numbers.
    capabilities = b"\x01\x04\x00\x01\x00\x01" + b"\x02\x00" + b"\x41\x04" + struct.pack("!I", asn)
    options = b"".join([b"\x02", bytes([len(capabilities)]), capabilities])
    fixed = struct.pack("!BHH4sB", 4, asn, HOLD_SECONDS, IPv4Address(router_id).packed, len(options))
    return _message(OPEN, fixed + options)


def _capabilities(body: bytes) -> dict[int, bytes]:
    options, found = body[10 : 10 + body[9]], {}
    while options:
        kind, length = options[0], options[1]
        value, options = options[2 : 2 + length], options[2 + length :]
        while kind == 2 and value:
            found[value[0]] = value[2 : 2 + value[1]]
            value = value[2 + value[1] :]
    return found


def _update(body: bytes) -> WireUpdate | None:
    """None for an End-of-RIB, which changes nothing."""
    at = time.monotonic()
    (withdrawn_length,) = struct.unpack_from("!H", body)
    withdrawn = _prefixes(body[2 : 2 + withdrawn_length])
    rest = body[2 + withdrawn_length :]
    (attributes_length,) = struct.unpack_from("!H", rest)
    prefixes = _prefixes(rest[2 + attributes_length :])
    if not withdrawn and not prefixes:
        return None
    route = _route(rest[2 : 2 + attributes_length]) if prefixes else None
    return WireUpdate(at, {prefix: route for prefix in prefixes if route is not None}, tuple(withdrawn))


def _route(attributes: bytes) -> Route:
    next_hop, path, communities = "", list[int](), list[str]()
    while attributes:
        flags, code = attributes[0], attributes[1]
        size = 2 if flags & 0x10 else 1
        length = int.from_bytes(attributes[2 : 2 + size])
        value, attributes = attributes[2 + size : 2 + size + length], attributes[2 + size + length :]
        match code:
            case 2:
                while value:
                    count = value[1]
                    path += struct.unpack_from(f"!{count}I", value, 2)
                    value = value[2 + 4 * count :]
            case 3:
                next_hop = str(IPv4Address(value))
            case 8:
                numbers = struct.unpack(f"!{len(value) // 2}H", value)
                communities = [f"{high}:{low}" for high, low in zip(numbers[::2], numbers[1::2], strict=True)]
    return Route(next_hop, tuple(path), tuple(communities))


def _prefixes(data: bytes) -> list[str]:
    found = []
    while data:
        length = data[0]
        size = (length + 7) // 8
        found.append(str(IPv4Network((data[1 : 1 + size].ljust(4, b"\0"), length))))
        data = data[1 + size :]
    return found
