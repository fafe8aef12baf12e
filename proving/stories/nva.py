"""One appliance: the agent's own command endpoint, duties, checks, reports and status, on the virtual network and clock.

What differs from `hopkeeper_agent.agent`: heartbeats are not sent (whether a peer is reachable is looked up), the disk
is memory, and the speaker announces to the simulated Route Servers directly.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Protocol

from aiohttp import web
from hopkeeper_agent.checks import Check, Examiner, Failed
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.commands import CommandEndpoint
from hopkeeper_agent.duties import Duties, Start
from hopkeeper_agent.identity import Identity, Issuer
from hopkeeper_agent.peers import PeerWatch, Reading, Tempo
from hopkeeper_agent.reports import Post, Reportable, Reporter, changes
from hopkeeper_agent.role import Advertisement, Command, Role, ServiceState, answers
from hopkeeper_agent.speakers import Speaker as Voice
from hopkeeper_agent.status import Parts, reportable, status

from function_app.domain.topology.model import Speaker, Topology
from lab.kit.virtual import VirtualClock, virtual_loop
from proving.stories.identity import Ring, identity

NOTICE_SECONDS = 0.05
"""How long after it is due something that time alone changes is looked at."""

WATCH_PERIOD_SECONDS = 0.5


class Surroundings(Protocol):
    """What an appliance can tell of the others."""

    @property
    def topology(self) -> Topology: ...

    @property
    def tempo(self) -> Tempo: ...

    def peers(self, name: str) -> tuple[str, ...]: ...

    def silent_since(self, hearer: str, name: str) -> float | None:
        """Since when `hearer` has no heartbeat of `name`; None while it has."""

    @property
    def watched(self) -> frozenset[str]:
        """Members without an agent."""

    def role_changed(self, name: str) -> None: ...

    def premises(self, name: str) -> frozenset[IPv4Address]:
        """Its neighbours on-premises."""


class Overheard(PeerWatch):
    """The readings of a peer, from when it fell silent in place of its heartbeats."""

    def __init__(self, tempo: Tempo, started: float, silent_since: Callable[[], float | None]) -> None:
        super().__init__(tempo, started)
        self._silent_since = silent_since

    def gossip(self, now: float) -> Reading:
        since = self._silent_since()
        if since is None:
            return Reading.OK
        return Reading.BAD if now - max(since, self.started) > self.tempo.window_seconds else Reading.OK

    def probe(self) -> Reading:
        """Tried as soon as a heartbeat is overdue, so that both are bad at about the same time."""
        return self.gossip(virtual_loop().time())

    def age_seconds(self, now: float) -> float:
        since = self._silent_since()
        return 0.0 if since is None else max(0.0, now - since)


@dataclass(frozen=True, slots=True)
class Reaching:
    """A trial of a member without an agent: whether anything comes back from it."""

    is_silent: Callable[[], bool]

    async def run(self) -> None:
        if self.is_silent():
            raise Failed("no answer")


@dataclass(slots=True)
class Forwarding:
    """The one self-check: the data path."""

    works: bool = True

    async def run(self) -> None:
        if not self.works:
            raise Failed("forwarding is off")


class Disk:
    """Keeps states over restarts. While it is broken no write succeeds."""

    def __init__(self, states: Mapping[str, ServiceState]) -> None:
        self.states: dict[str, ServiceState] = dict(states)
        self.is_broken = False

    def save(self, states: Mapping[str, ServiceState]) -> None:
        if self.is_broken:
            raise OSError("the disk fails")
        self.states = dict(states)


class Appliance:
    """See the module. It is off until `start`."""

    def __init__(
        self,
        speaker: Speaker,
        surroundings: Surroundings,
        voice: Voice,
        post: Post | None,
        states: Mapping[str, ServiceState],
    ) -> None:
        """`states` are on its disk before the first boot."""
        self.name = speaker.name
        self.address = str(speaker.address)
        self._topology = surroundings.topology.name
        self._speaker = speaker
        self._surroundings = surroundings
        self._voice = voice
        self._post = post
        self._clock = VirtualClock(virtual_loop())
        self.disk = Disk(states)
        self._forwarding = Forwarding()
        self.is_frozen = False
        self._boots = 0
        self._running: _Running | None = None

    @property
    def is_up(self) -> bool:
        return self._running is not None

    def role(self, service: str) -> Role:
        return self._running.duties.states.get(service, ServiceState()).role if self._running else Role.STANDBY

    def epoch(self, service: str) -> int:
        return self._running.duties.epoch(service) if self._running else 0

    def warrant(self, service: str) -> str:
        return self._running.duties.states.get(service, ServiceState()).warrant if self._running else ""

    def answers(self, service: str) -> bool:
        """Whether the probe says 200."""
        return self._running is not None and self._running.answers(service)

    def hear(self, service: str, other: "Appliance") -> None:
        """A heartbeat shows the command that gave another appliance its epoch."""
        if self._running is not None:
            self._running.duties.note_peer_epoch(service, other.epoch(service), other.warrant(service))

    def forward(self, works: bool) -> None:
        self._forwarding.works = works

    def look(self) -> None:
        """Reports what has turned, if anything."""
        if self._running is not None:
            self._running.look()

    async def start(self) -> None:
        """Boots into what its disk says; answers probes once it has had the time to receive a newer epoch from its peers."""
        self._boots += 1
        running = _Running(self, self._boots)
        self._running = running
        if self._speaker.agent is not None:
            await running.commands.open(self._speaker.agent_address, self._speaker.agent.port)
        await self._voice.start()
        await self._voice.announce(running.duties.advertisements())
        running.examiner.start()
        running.watched.start()
        self._surroundings.role_changed(self.name)
        await asyncio.sleep(self._surroundings.tempo.window_seconds)
        await running.duties.announce_outward()
        running.is_open = True
        self._surroundings.role_changed(self.name)
        running.report("start-up")

    async def end(self) -> None:
        """The machine is gone, in the middle of whatever it did."""
        running, self._running = self._running, None
        if running is not None:
            await self._voice.close()
            await running.close()


class Firewall(Appliance):
    """One without an agent: it answers its probe, and the app's own check, while it is up, and its own configuration announces
    the service."""

    def __init__(
        self, speaker: Speaker, surroundings: Surroundings, voice: Voice, announces: tuple[Advertisement, ...]
    ) -> None:
        super().__init__(speaker, surroundings, voice, None, {})
        self._announces = announces
        self._is_up = False
        self._checked: asyncio.Server | None = None

    @property
    def is_up(self) -> bool:
        return self._is_up

    def answers(self, service: str) -> bool:
        return self._is_up

    async def start(self) -> None:
        self._is_up = True
        if self._speaker.watch is not None and self._speaker.watch.port is not None:
            self._checked = await asyncio.start_server(_accept, self.address, self._speaker.watch.port)
        await self._voice.start()
        await self._voice.announce(self._announces)

    async def end(self) -> None:
        if self._is_up:
            self._is_up = False
            if self._checked is not None:
                self._checked.close()
            await self._voice.close()


def _accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever is requested, also by nothing but a connection."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


class _Commands:
    """The agent's endpoint in the loop's own network, where its listener's sockets lead nowhere."""

    def __init__(self, endpoint: CommandEndpoint) -> None:
        self._http = web.Server(endpoint.handle, auto_decompress=False, access_log=None, lingering_time=0.0)
        self._listening: asyncio.AbstractServer | None = None

    async def open(self, address: IPv4Address, port: int) -> None:
        self._listening = await asyncio.get_running_loop().create_server(self._http, str(address), port)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        await self._http.shutdown(timeout=0.5)


class _Running:
    """One boot of an appliance."""

    def __init__(self, nva: Appliance, boot: int) -> None:
        loop = virtual_loop()
        self._nva = nva
        self.is_open = False
        """Whether the probe answers."""
        clock = Clock(loop.time, nva._clock.seconds)
        issuer = Issuer(Identity(nva.name, nva._topology), identity(nva.name).signer, clock)
        boot_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{nva.name} {boot}").hex
        is_witness = nva._speaker.role == "witness"
        premises = nva._surroundings.premises(nva.name)
        start = Start(
            boot_id=boot_id,
            states=nva.disk.states,
            is_durable=True,
            is_witness=is_witness,
            outward_from=nva._speaker.address if premises else None,
        )
        self.duties = Duties(nva.disk, nva._voice, start)
        self.examiner = Examiner([Check("forwarding", nva._forwarding, fatal=True)], clock, self.look)
        self.watched = Examiner([self._watch(name) for name in sorted(nva._surroundings.watched)], clock, self.look)
        tempo = nva._surroundings.tempo
        self._parts = Parts(
            identity=issuer.identity,
            clock=clock,
            duties=self.duties,
            examiner=self.examiner,
            peers={
                name: Overheard(tempo, loop.time(), self._silence(name)) for name in nva._surroundings.peers(nva.name)
            },
            speaker=nva._voice,
            probe=self,
            watched=self.watched.tallies,
        )
        self.commands = _Commands(CommandEndpoint(Ring(), issuer, self))
        self._reporter: Reporter | None = None
        if nva._post is not None:
            self._reporter = Reporter(nva._post, issuer, self.status)
        self._reported = Reportable()

    def _watch(self, name: str) -> Check:
        """As `[[watch]]` is by default."""
        silent_since = self._silence(name)
        reaching = Reaching(lambda: silent_since() is not None)
        return Check(name, reaching, period_seconds=WATCH_PERIOD_SECONDS, timeout_seconds=WATCH_PERIOD_SECONDS)

    def _silence(self, name: str) -> Callable[[], float | None]:
        return lambda: self._nva._surroundings.silent_since(self._nva.name, name)

    async def obey(self, command: Command) -> str | None:
        refused = await self.duties.obey(command)
        self._nva._surroundings.role_changed(self._nva.name)
        return refused

    def answers(self, service: str) -> bool:
        return self.is_open and answers(self.duties.states.get(service, ServiceState()), self._parts.fatal())

    def status(self) -> dict[str, Any]:
        return status(self._parts)

    def look(self) -> None:
        before, self._reported = self._reported, reportable(self._parts)
        self._nva._surroundings.role_changed(self._nva.name)
        if reasons := changes(before, self._reported):
            self.report("; ".join(reasons))

    def report(self, reason: str) -> None:
        if self._reporter is not None:
            self._reporter.report(reason)

    async def close(self) -> None:
        await self.commands.close()
        await self.examiner.close()
        await self.watched.close()
        if self._reporter is not None:
            await self._reporter.close()
        await self.duties.close()
