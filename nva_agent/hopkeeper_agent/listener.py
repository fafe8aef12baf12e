"""The HTTP server under the probe and the command endpoint, hardened against slow, half-open and many connections.

Plain TCP is accepted first, and `admission` says by the source whether a connection is served: only then does it cost a TLS
handshake, and memory. It has a deadline for its handshake and for its first request, and bodies are never decompressed. Both
listeners share one event loop on purpose: an agent that hangs fails its probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from hopkeeper_agent.admission import EVERYONE, Admission, End, Places
from hopkeeper_agent.decoding import ConfigError

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
"""Time for a first request; the app, the load balancer and peers send theirs at once."""

HANDSHAKE_SECONDS = 5.0

ACCEPTED_AT_ONCE = 64
"""So many connections are looked at before the loop does anything else: about a millisecond."""

WAITING_MAX = 1024
"""Connections that wait in the kernel to be accepted; beyond it a SYN is dropped, and repeated after a second."""

SAID_EVERY_SECONDS = 60.0
PAUSE_SECONDS = 0.1
"""Until the next try where the process has no descriptor left."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: whoever is refused learns it at once, and leaves nothing behind here."""

UNAVAILABLE = {
    errno.EADDRINUSE: "another program has it (ss -lntup says which)",
    errno.EADDRNOTAVAIL: "this machine does not have the address",
    errno.EACCES: "below 1024 it takes CAP_NET_BIND_SERVICE (README.md)",
}
"""Why an address and port cannot be listened on."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def unavailable(key: str, address: IPv4Address, port: int, error: OSError) -> str:
    """In words, with what it was for: a key of `[listen]`."""
    return f"listen.{key}: {address} port {port}: {UNAVAILABLE.get(error.errno or 0, str(error))}"


@contextlib.contextmanager
def opening(key: str, address: IPv4Address, port: int) -> Iterator[None]:
    """Raises ConfigError, which says which listener it was that could not be opened."""
    try:
        yield
    except OSError as error:
        raise ConfigError(unavailable(key, address, port, error)) from error


class _Http(web.Server):
    """Gives a connection's place back when it is lost."""

    def __init__(self, handler: Handler, places: Places) -> None:
        super().__init__(
            handler, keepalive_timeout=REQUEST_SECONDS, auto_decompress=False, access_log=None, lingering_time=0.0
        )
        self._places = places
        self._ends: dict[RequestHandler, End] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        self._ends[handler] = transport.get_extra_info("peername")
        super().connection_made(handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        if end := self._ends.pop(handler, None):
            self._places.release(end)
        super().connection_lost(handler, exc)


class Listener:
    """One HTTP listener; `key` is that of its port in `[listen]`."""

    def __init__(
        self, key: str, handler: Handler, tls: ssl.SSLContext | None = None, admission: Admission = EVERYONE
    ) -> None:
        self._key = key
        self._handler = handler
        self._tls = tls
        self._places = Places(admission)
        self._sockets: list[socket.socket] = []
        self._http: web.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._refused = 0
        self._said = float("-inf")

    async def open(self, address: IPv4Address, port: int, also: tuple[IPv4Address, ...] = ()) -> None:
        """Begin to listen, `also` at further addresses; raises ConfigError if an address or the port is not available."""
        loop = asyncio.get_running_loop()
        self._http = _Http(self._handler, self._places)
        for each in (address, *also):
            with opening(self._key, each, port):
                listening = _listening(each, port)
            self._sockets.append(listening)
            loop.add_reader(listening, self._accept, listening)

    @property
    def port(self) -> int:
        """The bound port; 0 while closed."""
        return self._sockets[0].getsockname()[1] if self._sockets else 0

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return bool(self._sockets)

    async def close(self) -> None:
        """Stop listening and cut the connections."""
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
            listening.close()
        self._sockets = []
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._http is not None:
            await self._http.shutdown(timeout=0.5)
            self._http = None

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, end = listening.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            connection = _Connection()
            if self._places.take(end, time.monotonic(), connection.cut):
                connection.task = asyncio.create_task(self._serve(accepted, end, connection))
                self._serving.add(connection.task)
                connection.task.add_done_callback(self._serving.discard)
            else:
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                accepted.close()
                self._note_refused(end)

    async def _serve(self, accepted: socket.socket, end: End, connection: _Connection) -> None:
        """The handshake, where there is one; from then on the connection is aiohttp's."""
        try:
            accepted.setblocking(False)
            connection.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._new_handler,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
                ssl_shutdown_timeout=1.0 if self._tls else None,
            )
        except (OSError, asyncio.CancelledError):
            # No handshake that succeeds in time, or cut for another one.
            self._places.release(end)
            accepted.close()

    def _new_handler(self) -> RequestHandler:
        if self._http is None:
            raise ConnectionAbortedError("the listener is closed")
        return self._http()

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """The process has no descriptor left: what waits is accepted later."""
        log.error("no connection can be accepted", extra={"why": str(error)})
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(PAUSE_SECONDS, self._go_on, listening)

    def _go_on(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _note_refused(self, end: End) -> None:
        """Once a minute, as who floods must not fill the log."""
        self._refused += 1
        now = time.monotonic()
        if now - self._said >= SAID_EVERY_SECONDS:
            why = f"{self._refused} to port {self.port}, the last of {end[0]}: no place is free for that source"
            log.warning("connections refused", extra={"why": why})
            self._refused, self._said = 0, now


def _listening(address: IPv4Address, port: int) -> socket.socket:
    """Raises OSError."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setblocking(False)
    try:
        made.bind((str(address), port))
        made.listen(WAITING_MAX)
    except OSError:
        made.close()
        raise
    return made


class _Connection:
    """What cuts a connection: its handshake while that lasts, then its transport."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()
