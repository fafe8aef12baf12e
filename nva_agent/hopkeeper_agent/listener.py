"""The HTTP server under the probe and the command endpoint, hardened against slow, half-open and many connections.

A connection has a deadline for its first request and for its TLS handshake, their number is bounded, and bodies are never
decompressed. Both listeners share one event loop on purpose: an agent that hangs fails its probe.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

REQUEST_SECONDS = 10.0
"""Time for a first request; the app, the load balancer and peers send theirs at once."""

HANDSHAKE_SECONDS = 5.0

CONNECTIONS_MAX = 256
"""Far above what a load balancer, an app and some peers need. Beyond it the oldest connection is cut."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Bounded(web.Server):
    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            oldest = next(iter(self._connections))
            self._connections.pop(oldest).abort()
        super().connection_made(handler, transport)


class Listener:
    """One HTTP listener."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._http: web.Server | None = None

    async def open(self, address: IPv4Address, port: int, also: tuple[IPv4Address, ...] = ()) -> None:
        """Begin to listen, `also` at further addresses; raises OSError if an address or the port is not available."""
        loop = asyncio.get_running_loop()
        self._http = _Bounded(
            self._handler, keepalive_timeout=REQUEST_SECONDS, auto_decompress=False, access_log=None, lingering_time=0.0
        )
        # One by one: asyncio leaves out an address that the machine does not have where it has another one of them.
        for each in (address, *also):
            server = await loop.create_server(
                self._http,
                str(each),
                port,
                ssl=self._tls,
                backlog=256,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
                ssl_shutdown_timeout=1.0 if self._tls else None,
            )
            self._servers.append(server)

    @property
    def port(self) -> int:
        """The bound port; 0 while closed."""
        sockets = self._servers[0].sockets if self._servers else ()
        return sockets[0].getsockname()[1] if sockets else 0

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self.port != 0

    async def close(self) -> None:
        """Stop listening and cut the connections."""
        for server in self._servers:
            server.close()
        self._servers = []
        if self._http is not None:
            await self._http.shutdown(timeout=0.5)
            self._http = None
