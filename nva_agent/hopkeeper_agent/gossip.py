"""Heartbeats between agents: one signed datagram to every peer each period, and the app's word where a peer lacks it.

A heartbeat is evidence that its sender is alive if it echoes a recent heartbeat of this very boot of ours: no recording can.
What it says of epochs is never believed. It shows which of the app's commands the sender has not seen yet, and those it is
sent: the very tokens that the app signed (`warrants`). This agent steps down by itself when the app is shown to have promoted
a peer at a higher epoch, or to have commanded this very agent at one (its disk was rolled back since).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.duties import Duties
from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.jws import Ring, Unauthentic, key_id, peek_kid, verify
from hopkeeper_agent.messages import (
    HEARTBEAT,
    Malformed,
    boot_id,
    decode_back_within,
    decode_echo,
    decode_epochs,
    decode_failing,
    decode_heartbeat_services,
    encode_heartbeat_services,
    whole,
)
from hopkeeper_agent.peers import PeerWatch, Tempo
from hopkeeper_agent.role import Role
from hopkeeper_agent.warrants import Warrant, read_warrant

log = logging.getLogger(__name__)

DATAGRAM_MAX_BYTES = 8 * 1024
BACK_WITHIN_SECONDS = 5.0
"""What a restart is announced to take: an upgrade takes one or two."""
FAREWELLS = 3
"""So many heartbeats say so: two may be lost."""
VERIFICATIONS_PER_PERIOD = 16
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
    answered: bool = False
    destination: tuple[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.destination = (str(self.neighbour.address), self.neighbour.port)


class Gossip(asyncio.DatagramProtocol):
    """Sends and receives heartbeats. Its owner calls `beat` once a period."""

    def __init__(self, issuer: Issuer, duties: Duties, ring: Ring, failing: Callable[[], Iterable[str]]) -> None:
        """`ring` holds the app's public keys, which verify warrants; `failing` names the fatal checks that fail now."""
        self._failing = failing
        self._issuer = issuer
        self._ring = ring
        self._identity = issuer.identity
        self._clock = issuer.clock
        self._duties = duties
        self._known: dict[str, _Known] = {}
        self.beats = 0
        """How many heartbeats were sent: the number of the last one."""
        self._back_within = 0.0
        """How many seconds of silence may follow each heartbeat."""
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

    def announce_restart(self) -> None:
        """Announce to peers that this agent is about to be silent for a while, so that its silence is no evidence. What it still
        sends says so too."""
        self._back_within = BACK_WITHIN_SECONDS
        for _ in range(FAREWELLS):
            self.beat()

    def beat(self) -> None:
        """Send one heartbeat to every peer."""
        if self._transport is None or not self._known:
            return
        self.beats += 1
        leaving = {"back_within": self._back_within} if self._back_within else {}
        token = self._issuer.to_peers(HEARTBEAT, self._content() | leaving).encode()
        for known in self._known.values():
            known.verified, known.answered = 0, False
            self._transport.sendto(token, known.destination)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Take a datagram of a peer's address: its authentic heartbeat, or a command of the app. All else is dropped."""
        try:
            kid = peek_kid(data) if len(data) <= DATAGRAM_MAX_BYTES else ""
            known = self._sender(kid, str(addr[0]))
            if known is None or known.verified >= VERIFICATIONS_PER_PERIOD:
                return
            known.verified += 1
            if kid in known.keys:
                self._take_heartbeat(known, verify(data, HEARTBEAT, known.keys))
            else:
                self._take_warrant(read_warrant(data, self._ring.current(), self._identity.topology))
        except (Unauthentic, Malformed) as error:
            log.debug("datagram dropped", extra={"why": str(error), "remote": str(addr[0])})

    def _sender(self, kid: str, address: str) -> _Known | None:
        """The peer at that address whose key or, of a command that it shows, the app's may have signed the datagram."""
        there = [known for known in self._known.values() if known.destination[0] == address]
        signed = [known for known in there if kid in known.keys]
        if signed or not there or kid not in self._ring.current():
            return signed[0] if signed else None
        return there[0]

    def error_received(self, exc: Exception) -> None:
        """ICMP says that a peer is down: its missing heartbeats are counted anyway."""

    def _content(self) -> dict[str, Any]:
        return {
            "n": self.beats,
            "boot_id": self._duties.boot_id,
            "services": encode_heartbeat_services(self._duties.states),
            "heard": {known.neighbour.name: known.watch.epochs for known in self._known.values()},
            "failing": sorted(self._failing()),
            **({"witness": True} if self._duties.is_witness else {}),
            "echo": {known.neighbour.name: known.watch.echo() for known in self._known.values()},
        }

    def _take_heartbeat(self, known: _Known, claims: Mapping[str, Any]) -> None:
        watch = known.watch
        if claims.get("iss") != known.neighbour.name or claims.get("sub") != self._identity.topology:
            return
        boot, counter = boot_id(claims.get("boot_id"), "boot_id"), whole(claims.get("n"), "n")
        services = decode_heartbeat_services(claims.get("services"))
        heard = claims.get("heard", {})
        if not isinstance(heard, dict):
            raise Malformed("heard: not an object")
        recorded = decode_epochs(heard.get(self._identity.agent, {}))
        echo = decode_echo(claims.get("echo", {}), self._identity.agent)
        is_answer = self._is_recent(echo, watch.tempo.fall)
        leaving = decode_back_within(claims.get("back_within", 0))
        failing = decode_failing(claims.get("failing"))
        if watch.receive(boot, counter, is_answer, self._clock.monotonic(), leaving):
            watch.failing, watch.is_witness = failing, claims.get("witness") is True
        self._duties.note_claims({name: epoch for name, (epoch, _) in services.items()})
        for epochs in heard.values():
            self._duties.note_claims(decode_epochs(epochs))
        if not known.answered:
            known.answered = True
            self._show(known, {name: epoch for name, (epoch, _) in services.items()}, recorded)

    def _show(self, known: _Known, own: Mapping[str, int], recorded: Mapping[str, int]) -> None:
        """Send a peer the app's commands that its heartbeat shows it lacks: at once, as it may be about to answer its probe.

        `own` are the epochs of its own roles, `recorded` those of ours that it has seen.
        """
        ours = self._duties.states.items()
        lacking = [s.warrant for name, s in ours if s.warrant and s.turn.epoch > recorded.get(name, 0)]
        lacking += [w.token for name, w in known.watch.warrants.items() if w.epoch > own.get(name, 0)]
        for token in lacking:
            if self._transport is not None:
                self._transport.sendto(token.encode(), known.destination)

    def _take_warrant(self, warrant: Warrant) -> None:
        """What the app commanded a peer, or this agent: another one's command is of no use here."""
        if warrant.member == self._identity.agent:
            if warrant.epoch > self._duties.epoch(warrant.service):
                self._duties.note_peer_epoch(warrant.service, warrant.epoch, warrant.token)
            return
        for known in self._known.values():
            if known.neighbour.name != warrant.member:
                continue
            known.watch.note_warrant(warrant)
            if warrant.role is Role.SERVING:
                self._duties.note_peer_epoch(warrant.service, warrant.epoch, warrant.token)

    def _is_recent(self, echo: Mapping[str, int], periods: int) -> bool:
        """Whether it names this boot of ours, and a heartbeat of the last periods."""
        answered = echo.get(self._duties.boot_id)
        return answered is not None and 0 <= self.beats - answered <= periods
