"""What a story plays on: the simulated Azure, the appliances, the app, and time that passes while something is awaited."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hopkeeper_agent.peers import Tempo
from hopkeeper_agent.role import Advertisement, ServiceState

from function_app.domain.service.record import Record
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import BackendPool, Service, Topology
from function_app.reconcile.store import keys
from function_app.views.explain import explanation_lines
from lab.kit.documents import DocumentsInMemory
from lab.kit.network import Way
from lab.kit.virtual import VirtualClock, VirtualLoop, virtual_loop
from proving.stories.bgp import Conversations
from proving.stories.egress import WayOut
from proving.stories.host import Adapt, EndedPass, Host, Queue
from proving.stories.identity import identity
from proving.stories.narrator import Narrator, status_lines
from proving.stories.nva import Appliance, Firewall
from proving.stories.prober import balancer_of, keep_probing
from proving.stories.seed import Seed, Seeding
from simulator.data_plane import Probed, probed
from simulator.resources import Json
from simulator.server import Simulator, SimulatorConfig

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LOOK_SECONDS, LATER_LOOK_SECONDS = 0.1, 0.5
"""How often a condition that is waited for is looked at, and after `SOON_SECONDS`."""
SOON_SECONDS = 10.0
GOSSIP_SECONDS = 0.1
EVENT_SECONDS = 2.0
"""From a write in Azure to its event."""
AZURE = "127.0.0.1"
"""Where the simulated Azure listens; the appliances have addresses of their own."""


class StoryFailed(Exception):
    """An expectation of the story was not met; the message says which."""


type Do = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens, or that is expected. `words` are printed; where they are empty, `do` prints its own."""

    words: str
    do: Do


@dataclass(frozen=True, slots=True)
class Story:
    """One example and what befalls it.

    `azure` are keys for the simulator's seed, over those of the topology; `change` is what the operator has written
    differently from the example.
    """

    name: str
    says: str
    example: str
    acts: tuple[Act, ...]
    seeding: Seeding = field(default_factory=Seeding)
    azure: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], None] = lambda document: None
    stored: Mapping[str, bytes] = field(default_factory=dict)
    """The app's documents before the story begins, by key."""
    disks: Mapping[str, Mapping[str, ServiceState]] = field(default_factory=dict)
    """What the appliances' disks hold before their first boot, by appliance and service."""
    adapt: Adapt = lambda ports, azure: ports

    def document(self) -> dict[str, Any]:
        """The operator's topology as it is on the desk when the story begins."""
        document: dict[str, Any] = yaml.safe_load((EXAMPLES / self.example).read_text())
        self.change(document)
        return enrolled(document)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a story went: its lines, and what it failed for, if it did."""

    lines: tuple[str, ...]
    failure: str | None


def play(
    story: Story, say: Callable[[str], None] = lambda line: None, azure: Mapping[str, Any] | None = None
) -> Ending:
    """Plays the whole story on a loop of its own. `azure` are further keys for the simulator's seed."""
    if azure:
        story = replace(story, azure={**story.azure, **azure})
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_played(story, say))


async def _played(story: Story, say: Callable[[str], None]) -> Ending:
    narrator = Narrator(VirtualClock(virtual_loop()).now, say)
    narrator.plain(f"{story.name}: {story.says}")
    narrator.plain()
    failure: str | None = None
    with tempfile.TemporaryDirectory(prefix="hopkeeper-story-") as directory:
        async with Stage.set_for(story, narrator, Path(directory)) as stage:
            try:
                for act in story.acts:
                    if act.words:
                        narrator.act(act.words)
                    await act.do(stage)
                    stage.check()
                await stage.check_explanations()
            except StoryFailed as failed:
                failure = str(failed)
                narrator.failure(failure)
            narrator.plain()
            for line in await stage.status_lines():
                narrator.plain(line)
            narrator.close()
    return Ending(tuple(narrator.lines), failure)


class Stage:
    """See the module. `document` is the operator's topology as it is on the desk, in force or not."""

    def __init__(self, story: Story, narrator: Narrator, document: dict[str, Any], simulator: Simulator) -> None:
        self.narrator = narrator
        self.document = document
        self.topology = decoded(document)
        self.simulator = simulator
        self.world = simulator.world
        self.seed = Seed(self.topology, story.seeding)
        self.bgp = Conversations(self.topology, self.seed, self.world)
        self.documents = DocumentsInMemory(story.stored)
        self._story = story
        self.hosts: list[Host] = []
        self.choose: Callable[[list[Host]], Host] = lambda hosts: hosts[0]
        """Which host takes the next wake-up, event or report."""
        self.add_host()
        self.nvas: dict[str, Appliance] = {}
        self.tempo = Tempo(GOSSIP_SECONDS, self.topology.timing.gossip_fall)
        self._silent: dict[str, float] = {}
        """Since when an appliance's heartbeats arrive nowhere."""
        self._mute: set[str] = set()
        """Appliances that nothing reaches, and that reach nothing."""
        self.broken: set[str] = set()
        """Machines that forward nothing, whatever their agents or sessions do."""
        self.blocked: set[tuple[str, str]] = set()
        """Where a probe does not arrive: a load balancer's name, and a member's."""
        self._roles: dict[tuple[str, str], bool] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.applied = False
        self._adopted: set[str] = set()
        self.ails: dict[str, set[str]] = {}
        """By member what was done to it so far: words of which the cause of a failover must have some."""
        self.causes: dict[tuple[str, datetime], str] = {}
        """By service and moment, why it was moved, by the status."""

    @classmethod
    @asynccontextmanager
    async def set_for(cls, story: Story, narrator: Narrator, directory: Path) -> AsyncIterator["Stage"]:
        """Everything is up and idle; no topology is in force yet."""
        document = story.document()
        seed = {**Seed(decoded(document), story.seeding).document(), **story.azure}
        clock = VirtualClock(virtual_loop())
        config = SimulatorConfig(seed, state=directory, tls=False, clock=clock)
        async with Simulator(config) as simulator:
            stage = cls(story, narrator, document, simulator)
            try:
                await stage._open()
                yield stage
            finally:
                await stage._close()

    def ail(self, name: str, *words: str) -> None:
        self.ails.setdefault(name, set()).update(words)

    async def check_explanations(self) -> None:
        """`explain --at` the moment of each failover names its cause. Raises StoryFailed."""
        for (service, at), cause in self.causes.items():
            lines = explanation_lines(await self.host.app.explain(self.topology.name, service, at), at)
            if not any(cause in line for line in lines):
                raise StoryFailed(f"explain at {at} does not say {cause!r}: {lines}")

    async def _open(self) -> None:
        self.documents.listeners.append(self._written)
        self.world.state.subscribers.append(self._resource_event)
        way = WayOut(self.world, self.seed, lambda: self.topology, self.nvas)
        virtual_loop().network.loses = lambda host: host == AZURE and not way.is_open()
        for speaker in self.topology.speakers:
            name = speaker.name
            if speaker.agent is None and name not in self.topology.appliances:
                continue
            voice = self.bgp.voice(speaker, lambda name=name: self.nvas[name].look())  # type: ignore[misc]
            states = self._story.disks.get(name, {})
            if speaker.agent is None:
                self.nvas[name] = Firewall(speaker, self, voice, self._announced(name))
            else:
                self.nvas[name] = Appliance(speaker, self, voice, partial(self._report, name), states)
        await asyncio.gather(*(nva.start() for nva in self.nvas.values()))
        for service in self.topology.services:
            for spec in service.load_balancer.pools if service.load_balancer else ():
                probe = partial(self._probe, balancer_of(spec), service.name)
                self._spawn(keep_probing(self.world, self.topology, service, spec, probe))
        self._spawn(self._keep_sweeping())

    def _announced(self, name: str) -> tuple[Advertisement, ...]:
        """What the configuration of a member without an agent announces: the frontend, for every prefix."""
        behind = (
            (s, self.seed.frontends[s.name]) for s in self.topology.services if name in s.names and s.load_balancer
        )
        return tuple(Advertisement(prefix, frontend, 0) for service, frontend in behind for prefix in service.prefixes)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for nva in self.nvas.values():  # before the app, for their reports are passes
            await nva.end()
        for host in self.hosts:
            await host.kill()

    def _spawn(self, work: Any) -> None:
        self._tasks.append(virtual_loop().create_task(work))

    # --- the app's hosts

    @property
    def host(self) -> Host:
        """The first that is up. Raises IndexError where none is."""
        return self.hosts[0]

    def add_host(self) -> None:
        azure = self.simulator.url.replace("http://", "https://")
        host = Host(azure, self.seed.app_subnet, self.documents, Queue(self.wake), self._ended)
        host.adapt(self._story.adapt)
        self.hosts.append(host)

    def wake(self, topology: str) -> None:
        """A wake-up is delivered; with no host up it is lost, and the next sweep makes up for it."""
        if self.hosts:
            self.choose(self.hosts).wake(topology)

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self.topology.timing.sweep.total_seconds())
            if self.hosts:
                await self.choose(self.hosts).app.wake_all()

    def _resource_event(self, change: Mapping[str, Any]) -> None:
        """A resource was written: Event Grid says so, a moment later."""
        resource = str(change["resource"]["id"])
        virtual_loop().call_later(EVENT_SECONDS, self._deliver_event, resource)

    def _deliver_event(self, resource: str) -> None:
        if self.hosts:
            host = self.choose(self.hosts)
            host.run(lambda: host.app.wake_for([resource]))

    async def _report(self, name: str, token: str) -> int | None:
        arrives = self.hosts and name not in self._mute
        return await self.choose(self.hosts).report(token) if arrives else None

    def _probe(self, balancer: str, service: str, member: str) -> Probed:
        nva = self.nvas[member]
        if not nva.is_up or nva.is_frozen or (balancer, member) in self.blocked:
            return probed(False, None)
        good = nva.answers(service)
        return probed(good, None if good else "Down_Probe_HttpStatus")

    # --- what the appliances ask

    def peers(self, name: str) -> tuple[str, ...]:
        return tuple(s.name for s in self.topology.speakers if s.agent is not None and s.name != name)

    @property
    def watched(self) -> frozenset[str]:
        return self.topology.appliances

    def premises(self, name: str) -> frozenset[IPv4Address]:
        return self.bgp.premises(name)

    def silent_since(self, hearer: str, name: str) -> float | None:
        return min((self._silent[end] for end in (hearer, name) if end in self._silent), default=None)

    def role_changed(self, name: str) -> None:
        """What the next heartbeat would say: who serves at a lower epoch than another steps down."""
        if name not in self.nvas:
            return
        nva = self.nvas[name]
        for service in self.topology.services:
            if name not in service.names:
                continue
            will = nva.answers(service.name)
            if self._roles.get((name, service.name), False) != will:
                self._roles[name, service.name] = will
                self.narrator.fact(name, f"{'serves' if will else 'does not serve'} {service.name} (its probe)")
            if service.mode == "active-passive":
                virtual_loop().call_later(GOSSIP_SECONDS, self._heartbeat, name, service.name)

    def _heartbeat(self, name: str, service: str) -> None:
        nva = self.nvas[name]
        if name in self._silent or not nva.is_up:
            return
        for other in self.nvas.values():
            if other.name != name and other.name not in self._silent:
                if nva.role(service) == "serving":
                    other.hear(service, nva)
                if other.role(service) == "serving" and other.epoch(service) > nva.epoch(service):
                    nva.hear(service, other)

    # --- what happens

    async def kill(self, name: str) -> None:
        """The whole appliance is gone at once."""
        self.broken.add(name)
        self.silence(name)
        await self.nvas[name].end()
        self.role_changed(name)

    async def boot(self, name: str) -> None:
        self.broken.discard(name)
        self.hear_again(name)
        await self.nvas[name].start()

    async def end_agent(self, name: str) -> None:
        """Its agent's process is gone, and the daemon that it runs; the machine forwards as before, and refuses connections."""
        self.isolate(name)
        await self.nvas[name].end()
        self.role_changed(name)

    async def freeze(self, name: str, seconds: float) -> None:
        """The machine stands still; no session is lost where the hold time is longer."""
        self.broken.add(name)
        if name in self.nvas:
            self.nvas[name].is_frozen = True
            self.silence(name)
        virtual_loop().call_later(seconds, self._thaw, name)

    def _thaw(self, name: str) -> None:
        self.broken.discard(name)
        if name in self.nvas:
            self.nvas[name].is_frozen = False
            self.hear_again(name)

    def silence(self, name: str) -> None:
        """Nothing arrives at it any more, and nothing comes from it."""
        loop = virtual_loop()
        loop.network.turn(self.nvas[name].address, Way.MUTE)
        self._mute.add(name)
        self.isolate(name)

    def isolate(self, name: str) -> None:
        """No heartbeat goes between it and its peers; the app and the load balancer reach it as before."""
        loop = virtual_loop()
        self._silent[name] = loop.time()
        loop.call_later(self.tempo.window_seconds + LOOK_SECONDS, self._notice)

    def hear_again(self, name: str) -> None:
        virtual_loop().network.turn(self.nvas[name].address, Way.OPEN)
        self._mute.discard(name)
        self.join_again(name)

    def join_again(self, name: str) -> None:
        self._silent.pop(name, None)
        virtual_loop().call_later(LOOK_SECONDS, self._notice)

    def _notice(self) -> None:
        for name, nva in self.nvas.items():
            if name not in self._silent:
                nva.look()

    async def apply(self) -> None:
        """Puts the document on the desk in force. Raises BadInput."""
        self.document = enrolled(self.document)
        await self.host.app.topologies.apply(written(self.document))
        self.topology = decoded(self.document)
        self.bgp.follow(self.topology)
        self.applied = True
        await self.host.app.wake_for(sorted(self.topology.resource_ids))

    # --- looking, and waiting

    async def until(self, words: str, holds: Callable[[], bool], within: float) -> None:
        """Lets time pass until it holds. Raises StoryFailed after `within` seconds."""
        loop = virtual_loop()
        began = loop.time()
        while not holds():
            self.check()
            if loop.time() - began > within:
                raise StoryFailed(f"{words}: not within {within:g} s")
            await asyncio.sleep(LOOK_SECONDS if loop.time() - began < SOON_SECONDS else LATER_LOOK_SECONDS)
        self.narrator.expectation(words, loop.time() - began)

    async def throughout(self, words: str, holds: Callable[[], bool], seconds: float) -> None:
        """Lets time pass while it must hold. Raises StoryFailed at the first moment when it does not."""
        loop = virtual_loop()
        ends = loop.time() + seconds
        while loop.time() < ends:
            self.check()
            if not holds():
                raise StoryFailed(f"{words}: not any more")
            await asyncio.sleep(LATER_LOOK_SECONDS)
        self.narrator.expectation(f"{words}, for {seconds:g} s", 0.0)

    def check(self) -> None:
        """What must hold at every moment of every story. Raises StoryFailed."""
        if died := [error for host in self.hosts for error in host.died]:
            raise StoryFailed(f"an invocation died: {died[0]!r}")
        for service in self.topology.services:
            serving = [name for name in service.names if self.is_eligible(name, service.name)]
            exclusive = service.mode == "active-passive" and service.load_balancer and self._is_managed(service)
            if exclusive and len(serving) > 1:
                raise StoryFailed(f"{service.name}: {' and '.join(serving)} serve at once")

    def _is_managed(self, service: Service) -> bool:
        """Where a member has no agent, two serve until the service is adopted, and once it is released."""
        found = self.record(service.name)
        if found is not None and found.holder is not None and found.leaving is None:
            self._adopted.add(service.name)
        elif found is None or found.leaving is not None:
            self._adopted.discard(service.name)
        return service.name in self._adopted or self.topology.appliances.isdisjoint(service.names)

    def is_eligible(self, name: str, service: str) -> bool:
        """Whether new flows may reach it: its probe answers, and its adminState where packets go is not Down."""
        return self.nvas[name].answers(service) and self.admin_state(name, service) != "Down"

    def admin_state(self, name: str, service: str) -> str:
        """Where packets go; all of them, where pools differ."""
        spec = self.topology.service(service).load_balancer
        states = {self._state_in(pool, name) for pool in spec.pools} if spec else {"None"}
        return " and ".join(sorted(states))

    def _state_in(self, pool: BackendPool, name: str) -> str:
        address = str(pool.known(self.topology.speaker(name)).address)
        plane = self.world.data_plane.named(balancer_of(pool))
        return next((b.admin_state for each in plane.pools.values() for b in each if b.ip == address), "None")

    def record(self, service: str) -> Record | None:
        body = self.documents.read(keys.record(self.topology.name, service))
        return msgspec.json.decode(body, type=Record) if body is not None else None

    def last_look(self, since: datetime | None = None) -> Json:
        """The status document of the last slow pass, empty before the first, or where the last is older than `since`."""
        body = self.documents.read(keys.status(self.topology.name))
        found: Json = msgspec.json.decode(body) if body is not None else {}
        if since is not None and found and datetime.fromisoformat(found["at"]) <= since:
            return {}
        return found

    async def status_lines(self) -> tuple[str, ...]:
        if not self.applied:
            return ("nothing is in force",)
        return tuple(status_lines(await self.host.status(self.topology.name)))

    # --- what is printed

    def _ended(self, ended: EndedPass) -> None:
        self.narrator.outcome(self.topology.name, ended)

    def _written(self, name: str, body: bytes) -> None:
        if name.startswith(keys.HISTORY):
            self.narrator.journal(body)


def enrolled(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of the operator's document with the certificate that each agent's enrolment has printed."""
    document = deepcopy(document)
    for speaker in document["speakers"]:
        if "agent" in speaker:
            speaker["agent"] = {**speaker["agent"], "certificate": identity(speaker["name"]).certificate}
    return document


def decoded(document: dict[str, Any]) -> Topology:
    return decode(written(document), Place())


def written(document: dict[str, Any]) -> str:
    """As YAML without aliases, which no operator writes by hand and Hopkeeper refuses."""
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)
