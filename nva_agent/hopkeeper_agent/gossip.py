"""Heartbeats between agents: one signed datagram to every peer each period.

A heartbeat is evidence that its sender is alive if it echoes a recent heartbeat of this very boot of ours: no recording can.
This agent steps down by itself when a heartbeat reports a higher epoch:
one at which the peer serves, or one at which the peer has received heartbeats of this very agent (its disk was rolled
back since).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.duties import Duties
from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.jws import Unauthentic, key_id, peek_kid, verify
from hopkeeper_agent.messages import (
    HEARTBEAT,
    Malformed,
    boot_id,
    decode_echo,
    decode_epochs,
    decode_heartbeat_services,
    encode_heartbeat_services,
    whole,
)
from hopkeeper_agent.peers import PeerWatch, Tempo
from hopkeeper_agent.role import Role

log = logging.getLogger(__name__)

DATAGRAM_MAX_BYTES = 8 * 1024
VERIFICATIONS_PER_PERIOD = 10
"""For each peer. One takes 0.2 ms: a flood of datagrams under a peer's name must not keep the probe from answering."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A peer as enrolled: where its heartbeats come from and the key that signs them."""

    name: str
    address: IPv4Address
    port: int
    key: EllipticCurvePublicKey


@dataclass(slots=True)
class _Known:
    neighbour: Neighbour
    watch: PeerWatch
    keys: dict[str, EllipticCurvePublicKey]
    verified: int = 0
    destination: tuple[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.destination = (str(self.neighbour.address), self.neighbour.port)


class Gossip(asyncio.DatagramProtocol):
    """Sends and receives heartbeats. Its owner calls `beat` once a period."""

    def __init__(self, issuer: Issuer, duties: Duties) -> None:
        self._issuer = issuer
        self._identity = issuer.identity
        self._clock = issuer.clock
        self._duties = duties
        self._known: dict[str, _Known] = {}
        self.beats = 0
        """How many heartbeats were sent: the number of the last one."""
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()

    def enrol(self, neighbour: Neighbour, tempo: Tempo) -> PeerWatch:
        """Add a peer; returns the watch over it, which received heartbeats keep up to date."""
        kid = key_id(neighbour.key)
        watch = PeerWatch(tempo, self._clock.monotonic())
        self._known[kid] = _Known(neighbour, watch, {kid: neighbour.key})
        return watch

    async def open(self, address: IPv4Address, port: int) -> None:
        """Bind the socket; raises OSError."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(str(address), port), family=socket.AF_INET
        )

    async def close(self) -> None:
        """Stop sending and receiving; returns once the port is free."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await self._closed.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._closed.set()

    def beat(self) -> None:
        """Send one heartbeat to every peer."""
        if self._transport is None or not self._known:
            return
        self.beats += 1
        token = self._issuer.to_peers(HEARTBEAT, self._content()).encode()
        for known in self._known.values():
            known.verified = 0
            self._transport.sendto(token, known.destination)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Take a datagram; all but an authentic heartbeat of a peer, newer than its last one, is dropped."""
        try:
            known = self._known.get(peek_kid(data)) if len(data) <= DATAGRAM_MAX_BYTES else None
            if known is None or addr[0] != known.destination[0] or known.verified >= VERIFICATIONS_PER_PERIOD:
                return
            known.verified += 1
            claims = verify(data, HEARTBEAT, known.keys)
            if claims.get("iss") != known.neighbour.name or claims.get("sub") != self._identity.topology:
                return
            self._receive(known.watch, claims)
        except (Unauthentic, Malformed) as error:
            log.debug("heartbeat dropped", extra={"rule": str(error), "remote": str(addr[0])})

    def error_received(self, exc: Exception) -> None:
        """ICMP says that a peer is down: its missing heartbeats are counted anyway."""

    def _content(self) -> dict[str, Any]:
        return {
            "n": self.beats,
            "boot_id": self._duties.boot_id,
            "services": encode_heartbeat_services(self._duties.states),
            "heard": {known.neighbour.name: known.watch.epochs for known in self._known.values()},
            "echo": {known.neighbour.name: known.watch.echo() for known in self._known.values()},
        }

    def _receive(self, watch: PeerWatch, claims: Mapping[str, Any]) -> None:
        boot, counter = boot_id(claims.get("boot_id"), "boot_id"), whole(claims.get("n"), "n")
        services = decode_heartbeat_services(claims.get("services"))
        heard = claims.get("heard", {})
        if not isinstance(heard, dict):
            raise Malformed("heard: not an object")
        recorded = decode_epochs(heard.get(self._identity.agent, {}))
        echo = decode_echo(claims.get("echo", {}), self._identity.agent)
        if not watch.receive(boot, counter, self._is_recent(echo, watch.tempo.fall), self._clock.monotonic()):
            return
        for service, (epoch, role) in services.items():
            watch.note_epoch(service, epoch)
            if role is Role.SERVING:
                self._duties.note_peer_epoch(service, epoch)
        for service, epoch in recorded.items():
            if epoch > self._duties.epoch(service):
                self._duties.note_peer_epoch(service, epoch)

    def _is_recent(self, echo: Mapping[str, int], periods: int) -> bool:
        """Whether it names this boot of ours, and a heartbeat of the last periods."""
        answered = echo.get(self._duties.boot_id)
        return answered is not None and 0 <= self.beats - answered <= periods
