"""A TCP network in memory: listeners by address, connections between them, hosts that fall silent.

Bytes arrive in order, a moment after they were written. TLS is not spoken: a caller that wants TLS gets a
connection that claims to have it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from enum import StrEnum
from typing import Any

LATENCY_SECONDS = 0.001
FIRST_PORT = 40_000
APP = ("10.255.255.4", 50_000)
"""Where every connection comes from: only the app and its SDKs connect here."""


class Way(StrEnum):
    """What happens to the packets between the app and a host."""

    OPEN = "open"
    REFUSED = "refused"  # connections are reset
    MUTE = "mute"  # nothing arrives, in either direction
    LOSES_REPLY = "loses-reply"  # requests arrive, replies do not


class Bound:
    """As much of a listening socket as servers use."""

    def __init__(self, host: str, port: int) -> None:
        self._name = (host, port)

    def getsockname(self) -> tuple[str, int]:
        return self._name


class Listening:
    """As much of an `asyncio.Server` as aiohttp and the agent's listener use."""

    def __init__(self, network: "Network", host: str, port: int, factory: Callable[[], Any]) -> None:
        self._network = network
        self._name = (host, port)
        self.factory = factory
        self.sockets: tuple[Bound, ...] = (Bound(host, port),)

    def close(self) -> None:
        self.sockets = ()
        self._network.listeners.pop(self._name, None)

    async def wait_closed(self) -> None: ...


class Network:
    """Who listens where, and who is out of reach."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ports = FIRST_PORT
        self.listeners: dict[tuple[str, int], Listening] = {}
        self.reached: dict[int, tuple[str, int]] = {}
        """By the file descriptor of a socket that was connected, which is never used itself."""
        self._ways: dict[str, Way] = {}
        self._open: dict[Wire, None] = {}
        self._context = copy_context()
        """What arrives at a listener is not run as a part of what the sender runs: whoever ends the sender ends only that."""
        self.loses: Callable[[str], bool] = lambda host: False
        """Whether what is sent between the app and this host is lost on its way just now."""

    def turn(self, host: str, way: Way) -> None:
        """From now on. REFUSED resets the connections that are open; the other ways leave them open."""
        self._ways[host] = way
        if way is Way.REFUSED:
            for wire in [wire for wire in self._open if wire.host == host]:
                wire.reset()

    def passes(self, host: str, is_request: bool) -> bool:
        """Whether a packet between the app and this host arrives; a request goes to the host."""
        way = self._ways.get(host, Way.OPEN)
        return not self.loses(host) and (way is Way.OPEN or (way is Way.LOSES_REPLY and is_request))

    def listen(self, factory: Callable[[], Any], host: str, port: int) -> Listening:
        """Raises OSError where the port is taken."""
        if port == 0:
            self._ports += 1
            port = self._ports
        if (host, port) in self.listeners:
            raise OSError(f"{host}:{port} is taken")
        made = self.listeners[host, port] = Listening(self, host, port, factory)
        return made

    async def reach(self, host: str, port: int) -> None:
        """Returns when connected. Waits for ever for a mute host; raises ConnectionRefusedError where nothing listens."""
        await asyncio.sleep(LATENCY_SECONDS)
        refused = self._ways.get(host) is Way.REFUSED
        if not refused and not self.passes(host, is_request=True):
            await self._loop.create_future()
        if refused or (host, port) not in self.listeners:
            raise ConnectionRefusedError(111, "Connection refused")

    def connect(
        self, factory: Callable[[], Any], host: str, port: int, tls: bool
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """The two ends of a new connection, the far one accepted."""
        listener = self.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(111, "Connection refused")
        near, far = Wire(self, self._loop, host, is_app=True), Wire(self, self._loop, host, is_app=False)
        near.join(far, factory(), {"peername": (host, port), "sockname": APP, "sslcontext": self if tls else None})
        facts = {"peername": APP, "sockname": (host, port), "sslcontext": near.tls}
        self._context.run(far.join, near, listener.factory(), facts)
        return near, near.protocol

    def opened(self, wire: "Wire") -> None:
        self._open[wire] = None

    def closed(self, wire: "Wire") -> None:
        self._open.pop(wire, None)

    def deliver(self, wire: "Wire") -> None:
        """What was written to the other end of a connection arrives at this one, in a moment."""
        self._loop.call_later(LATENCY_SECONDS, wire.arrive, context=None if wire.is_app else self._context)


class Wire(asyncio.Transport):
    """One end of a connection: the app's, or the host's."""

    def __init__(self, network: Network, loop: asyncio.AbstractEventLoop, host: str, is_app: bool) -> None:
        super().__init__()
        self._network = network
        self._loop = loop
        self.host = host
        self.is_app = is_app
        self._inbox: deque[bytes | None] = deque()
        self._due = 0
        self._paused = False
        self._closing = False
        self._lost = False
        self._peer: Wire
        self.protocol: Any

    def join(self, peer: "Wire", protocol: Any, extra: dict[str, Any]) -> None:
        self._peer, self.protocol, self._extra = peer, protocol, extra
        self._network.opened(self)
        protocol.connection_made(self)

    @property
    def tls(self) -> Any:
        return self._extra["sslcontext"]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._extra.get(name, default)

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        if not self._closing and data:
            self._send(bytes(data))

    def _send(self, what: bytes | None) -> None:
        """None is the end of the connection. The order of writing is kept, whatever the order of timers."""
        if self._network.passes(self.host, is_request=self.is_app):
            self._peer._inbox.append(what)
            self._network.deliver(self._peer)

    def arrive(self) -> None:
        self._due += 1
        self._deliver()

    def _deliver(self) -> None:
        while self._due and self._inbox and not self._paused:
            self._due -= 1
            data = self._inbox.popleft()
            if self._lost:
                continue
            if data is None:
                self._closing = True
                self._end()
            else:
                self.protocol.data_received(data)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return not self._paused

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._send(None)
            self._loop.call_soon(self._end)

    def abort(self) -> None:
        self.close()

    def reset(self) -> None:
        """The connection is lost at this end, whatever is on its way."""
        self._closing = True
        self._loop.call_soon(self._end)

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def _end(self) -> None:
        if not self._lost:
            self._lost = True
            self._network.closed(self)
            self.protocol.connection_lost(None)
