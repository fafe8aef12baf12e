"""Forwards UDP datagrams from the frontend to backends and the replies back, one socket a client.

Which backend a flow gets is not decided here: a callable gives it. Sockets are used directly: a datagram is passed on in the same
turn of the loop that received it.
"""

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address

DATAGRAM_MAX = 65_507
BURST_MAX = 64  # datagrams taken from one socket before the others get their turn
FLOWS_MAX = 256  # each holds a socket, and a process often may open no more than 1,024 files
IDLE = timedelta(minutes=4)  # the load balancer's default idle timeout

type Client = tuple[str, int]


@dataclass(slots=True)
class _Held:
    backend: IPv4Address
    socket: socket.socket
    used: float


class Forwarder:
    def __init__(
        self,
        frontend: IPv4Address,
        port: int,
        pick: Callable[[Client], IPv4Address | None],
        keeps: Callable[[IPv4Address], bool],
    ) -> None:
        """`pick` chooses for a new flow; a flow stays with its backend as long as that one `keeps` its flows.

        Raises OSError when the frontend cannot be listened on.
        """
        self._pick = pick
        self._keeps = keeps
        self._flows: OrderedDict[Client, _Held] = OrderedDict()  # the least recently used first
        self._loop = asyncio.get_running_loop()
        self._frontend = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._frontend.setblocking(False)
            self._frontend.bind((str(frontend), port))
        except OSError:
            self._frontend.close()
            raise
        self.address: Client = self._frontend.getsockname()
        self._port = self.address[1]
        self._loop.add_reader(self._frontend, self._from_clients)

    def __len__(self) -> int:
        return len(self._flows)

    def close(self) -> None:
        self._loop.remove_reader(self._frontend)
        self._frontend.close()
        for client in list(self._flows):
            self._forget(client)

    def expire(self) -> None:
        """Forget flows that were idle for too long."""
        before = self._loop.time() - IDLE.total_seconds()
        while self._flows and next(iter(self._flows.values())).used < before:
            self._forget(next(iter(self._flows)))

    def _from_clients(self) -> None:
        for _ in range(BURST_MAX):
            try:
                data, client = self._frontend.recvfrom(DATAGRAM_MAX)
            except OSError:  # nothing more, or a client's port that is closed by now
                return
            held = self._flow(client)
            if held is not None:
                # A backend that is not there refuses: lost like on any network.
                with contextlib.suppress(OSError):
                    held.socket.send(data)

    def _flow(self, client: Client) -> _Held | None:
        held = self._flows.get(client)
        if held is not None and not self._keeps(held.backend):
            self._forget(client)
            held = None
        if held is None:
            backend = self._pick(client)
            if backend is None:
                return None
            held = self._opened(client, backend)
        held.used = self._loop.time()
        self._flows.move_to_end(client)
        return held

    def _opened(self, client: Client, backend: IPv4Address) -> _Held:
        while len(self._flows) >= FLOWS_MAX:
            self._forget(next(iter(self._flows)))
        outward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outward.setblocking(False)
        outward.connect((str(backend), self._port))
        held = self._flows[client] = _Held(backend, outward, 0.0)
        self._loop.add_reader(outward, self._from_backend, client, held)
        return held

    def _from_backend(self, client: Client, held: _Held) -> None:
        for _ in range(BURST_MAX):
            try:
                data = held.socket.recv(DATAGRAM_MAX)
            except OSError:
                return
            held.used = self._loop.time()
            with contextlib.suppress(OSError):
                self._frontend.sendto(data, client)

    def _forget(self, client: Client) -> None:
        held = self._flows.pop(client)
        self._loop.remove_reader(held.socket)
        held.socket.close()
