"""A world in memory behind the real ports: agents that keep the protocol, a load balancer with two planes, documents.

Faults are plain attributes. Time stands still unless a test moves it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from function_app.domain.base.errors import HopkeeperError, Missing, NotAuthentic, Superseded, Unavailable
from function_app.domain.networks.flags import NetworkPeeringReading, RepairFlags
from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, Provisioning, RouteServerReading
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.preflight.facts import AppSubnetFacts, Denied, InterfaceFacts
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.balancer import BalancerFacts
from function_app.domain.service.observation import (
    AdminState,
    AgentReading,
    AgentService,
    AgentStatus,
    Backend,
    BalancerReading,
    PeerView,
    Role,
    Unreachable,
    Value,
)
from function_app.domain.service.steps import (
    NOTHING_OUTWARD,
    Advertisement,
    OutwardRoutes,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPromote,
)
from function_app.domain.topology.model import NetworkPeering, RouteServer, ScaleSet, Service, Speaker, Topology
from function_app.reconcile.documents.event import Event
from function_app.reconcile.ports import (
    AgentCommand,
    CommandAnswer,
    HealthEvent,
    PoolView,
    Ports,
    Stored,
)
from function_app.reconcile.telemetry import Measure, Span
from lab.kit.documents import directly_below
from tests.builders import FRONTEND, NOW

INSTANCES = (IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5"))


@dataclass
class FakeClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    async def sleep(self, duration: timedelta) -> None:
        self.at += duration


class FakeDocuments:
    """Compare-and-swap in a dict; `before_save` lets a test act in between, `down` makes every call Unavailable."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.loads: list[str] = []
        self.writes: list[str] = []
        self.down = False
        self.before_save: list[tuple[str, bytes]] = []

    def _check(self) -> None:
        if self.down:
            raise Unavailable("storage does not answer")

    async def load(self, key: str) -> Stored | None:
        self.loads.append(key)
        self._check()
        return self.stored.get(key)

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        self._check()
        if self.before_save and self.before_save[0][0] == key:
            await self.put(*self.before_save.pop(0))
        there = self.stored.get(key)
        if (there.etag if there else None) != etag:
            raise Superseded(f"{key} changed")
        await self.put(key, body)
        return self.stored[key].etag

    async def put(self, key: str, body: bytes) -> None:
        self._check()
        self.writes.append(key)
        self.stored[key] = Stored(body, f"etag-{len(self.writes)}")

    async def remove(self, key: str, etag: str) -> None:
        self._check()
        if self.before_save and self.before_save[0][0] == key:
            await self.put(*self.before_save.pop(0))
        there = self.stored.get(key)
        if there is None or there.etag != etag:
            raise Superseded(f"{key} changed")
        self.writes.append(key)
        del self.stored[key]

    async def keys(self, prefix: str) -> tuple[str, ...]:
        self._check()
        return tuple(sorted(key for key in self.stored if key.startswith(prefix)))

    async def below(self, folder: str) -> tuple[str, ...]:
        self._check()
        return directly_below(folder, self.stored)

    async def versions(self, prefix: str) -> Mapping[str, str]:
        return {key: self.stored[key].etag for key in await self.keys(prefix)}


@dataclass
class FakeWakeUps:
    sent: list[tuple[str, timedelta]] = field(default_factory=list)

    async def send(self, topology: str, after: timedelta) -> None:
        self.sent.append((topology, after))


@dataclass
class FakeAgent:
    """One NVA: `up` is the whole appliance, `cut` only the app's way to it."""

    name: str
    epoch: int = 0
    seq: int = 0
    role: Role = Role.STANDBY
    up: bool = True
    cut: bool = False
    missed: bool = False
    """Its peers do not hear it, though it runs."""
    fatal: tuple[str, ...] = ()
    boot: int = 1
    advertised: tuple[Advertisement, ...] | None = None
    advertised_turn: tuple[int, int] = (0, 0)
    outward: OutwardRoutes = NOTHING_OUTWARD
    outward_turn: tuple[int, int] = (0, 0)
    outward_sessions: dict[IPv4Address, bool] = field(default_factory=dict)
    sessions_up: bool = True
    refuses_to_serve: bool = False
    deaf: bool = False
    """Answers questions, but commands never reach it."""
    clock_offset: timedelta = timedelta(0)
    """Its clock minus the app's."""
    obeyed: list[AgentCommand] = field(default_factory=list)

    @property
    def answers_200(self) -> bool:
        return self.up and self.role is Role.SERVING and not self.fatal

    def obey(self, command: AgentCommand) -> str | None:
        """Why it is refused, None where it is obeyed."""
        match command:
            case SendAdvertise():
                refused = self._advertise(command)
            case SendOutward():
                refused = self._tell_outward(command)
            case _:
                refused = self._take_role(command)
        if refused is None:
            self.obeyed.append(command)
        return refused

    def _advertise(self, command: SendAdvertise) -> str | None:
        turn = (command.epoch, command.seq)
        if turn < self.advertised_turn:
            return f"epoch {command.epoch} seq {command.seq} is lower than {self.advertised_turn}"
        if turn == self.advertised_turn and command.advertisements != self.advertised:
            return f"epoch {command.epoch} seq {command.seq} was accepted with other advertisements"
        self.advertised, self.advertised_turn = command.advertisements, turn
        return None

    def _tell_outward(self, command: SendOutward) -> str | None:
        if not self.outward_sessions and command.routes.prefixes:
            return "no outward neighbour is configured"
        if (command.epoch, command.seq) <= self.outward_turn:
            return f"outward {command.epoch}.{command.seq} is not newer than {self.outward_turn}"
        self.outward, self.outward_turn = command.routes, (command.epoch, command.seq)
        return None

    def _take_role(self, command: SendFence | SendPromote) -> str | None:
        wanted = Role.STANDBY if isinstance(command, SendFence) else Role.SERVING
        if isinstance(command, SendPromote) and command.boot_id != self.boot_id:
            return "another boot was meant"
        if isinstance(command, SendPromote) and self.refuses_to_serve:
            return "it cannot write its state"
        turn, known = (command.epoch, command.seq), (self.epoch, self.seq)
        if turn < known or (turn == known and wanted is not self.role):
            return f"epoch {command.epoch} seq {command.seq} is not newer than {known}"
        self.epoch, self.seq, self.role = command.epoch, command.seq, wanted
        return None

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot-{self.boot}"


class FakeWorld:
    """Implements Agents, LoadBalancers, RouteServers, ScaleSets, LearnedRoutes, Metrics, HealthLogs, EventsOut over one state."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.agents = {s.name: FakeAgent(s.name) for s in topology.speakers}
        self.admin = {s.name: AdminState.NONE for s in topology.speakers}
        self.pool = set(self.admin)
        """Whose addresses the backend pool holds."""
        self.elsewhere: set[str] = set()
        """Who may get flows from another pool."""
        self.arm_up = True
        self.etag = 1
        self.balancer_writes: list[tuple[str, AdminState]] = []
        self.peerings: dict[str, Peering] = {}
        self.peering_writes: list[str] = []
        self.instances_of: dict[str, list[Instance]] = {}
        self.published: list[Event] = []
        self.publishes = True
        self.takes_events = True
        self.offered: list[str] = []
        """The ids of the events that were sent, taken or not."""
        self.two_serving = 0
        self.away: frozenset[IPv4Address] = frozenset()
        """Route Server instances that no announcer has a session with."""
        self.no_session: set[str] = set()
        self.foreign_routes: dict[str, tuple[LearnedRoute, ...]] = {}
        """Learned of peers of others, by the name of their peering."""
        self.own_checks: dict[str, Value] = {}
        """What the app's own check of a member finds, where it makes one."""
        self.now: Callable[[], datetime] = lambda: NOW

    async def reaches(self, speaker: Speaker, timeout: timedelta) -> Value:
        return self.own_checks.get(speaker.name, Value.UNKNOWN)

    def connection_state(self, peering: Peering) -> str | None:
        """Of a speaker in `no_session` that a Route Server shows none; of others it shows nothing."""
        names = {s.address: s.name for s in self.topology.speakers}
        return "NotConnected" if peering.address and names.get(peering.address) in self.no_session else None

    def eligible(self) -> list[str]:
        return [n for n, a in self.agents.items() if a.answers_200 and self.admin[n] is not AdminState.DOWN]

    def watch(self) -> None:
        self.two_serving += len(self.eligible()) > 1

    def kill(self, name: str) -> None:
        self.agents[name].up = False

    def revive(self, name: str) -> None:
        agent = self.agents[name]
        agent.up, agent.boot = True, agent.boot + 1
        self.watch()

    # --- agents

    def _status(self, name: str) -> AgentReading:
        agent = self.agents[name]
        if not agent.up or agent.cut:
            return Unreachable("connection refused" if agent.cut is False else "no answer")
        peers = {n: _view(a.up and not a.missed) for n, a in self.agents.items() if n != name}
        mine = AgentService(
            agent.epoch,
            agent.seq,
            agent.role,
            agent.answers_200,
            agent.advertised,
            0,
            agent.advertised_turn,
            agent.outward,
            agent.outward_turn,
            warranted=agent.epoch,
        )
        sessions = {instance: agent.sessions_up and instance not in self.away for instance in INSTANCES}
        services = {s.name: mine for s in self.topology.services}
        outward = dict(agent.outward_sessions)
        clock = self.now() + agent.clock_offset
        return AgentStatus(
            agent.boot_id, clock, services, agent.fatal, peers, sessions, "fake", outward_sessions=outward
        )

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        return self._status(speaker.name)

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        reading = self._status(speaker.name)
        if isinstance(reading, Unreachable) or self.agents[speaker.name].deaf:
            return CommandAnswer(Unreachable("no answer"))
        refused = self.agents[speaker.name].obey(command)
        self.watch()
        return CommandAnswer(self._status(speaker.name), refused)

    # --- load balancer

    def warm(self) -> None:
        pass

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        self._arm()
        backends = {name: self._backend(name) for name in speakers if name in self.pool}
        others = {address_in(service, name) for name in self.pool - backends.keys() if not self._is_down(name)}
        backends = {name: replace(b, address=address_in(service, name)) for name, b in backends.items()}
        elsewhere = frozenset(self.elsewhere - backends.keys())
        return BalancerReading(f'W/"{self.etag}"', FRONTEND, backends, strangers=frozenset(others), elsewhere=elsewhere)

    def _is_down(self, name: str) -> bool:
        return self.admin[name] is AdminState.DOWN

    def _backend(self, name: str) -> Backend:
        if self.admin[name] is AdminState.DOWN:
            return Backend(AdminState.DOWN, "Down_Admin")
        if self.admin[name] is AdminState.UP:
            return Backend(AdminState.UP, "Up_Admin")
        return Backend(
            AdminState.NONE, "Up_Probe_Success" if self.agents[name].answers_200 else "Down_Probe_HttpStatus"
        )

    def _arm(self) -> None:
        if not self.arm_up:
            raise Unavailable("ARM answers 503")

    # --- Route Server

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...] | None:
        if token in self.foreign_routes:
            return self.foreign_routes[token]
        speaker = self.topology.speaker(token.rpartition("_")[2].removesuffix(".2"))
        return tuple(
            LearnedRoute(i, a.prefix, a.next_hop, (speaker.asn,) * (1 + a.prepend), speaker.address)
            for i in INSTANCES
            for a in self.agents[speaker.name].advertised or ()
        )

    async def ask(self, server: RouteServer, peering: str) -> str:
        self._arm()
        return peering

    async def probe_availability(
        self, load_balancer: str, addresses: tuple[IPv4Address, ...]
    ) -> Mapping[IPv4Address, Value]:
        return {}

    async def recent(self, load_balancer: str, since: timedelta) -> tuple[HealthEvent, ...]:
        return ()

    async def instances(self, scale_set: ScaleSet) -> tuple[Instance, ...]:
        self._arm()
        return tuple(self.instances_of.get(scale_set.name, ()))

    async def publish(self, event: Event) -> None:
        self.offered.append(event.id)
        if not self.takes_events:
            raise Unavailable("503")
        self.published.append(event)


def _view(up: bool) -> PeerView:
    return PeerView(Value.OK, Value.UNKNOWN) if up else PeerView(Value.BAD, Value.BAD)


class FakeSurroundings:
    """What preflight reads from ARM: unknown unless a test says it; `reads` counts."""

    def __init__(self) -> None:
        self.locations: dict[str, str | Denied] = {}
        self.balancers: dict[str, BalancerFacts | Denied] = {}
        self.interfaces: dict[str, InterfaceFacts | Denied] = {}
        self.own: dict[str, AppSubnetFacts | Denied | None] = {}
        self.gone: set[str] = set()
        """Names for which ARM answers 404."""
        self.reads = 0

    def _known[T](self, of: Mapping[str, T], name: str) -> T:
        self.reads += 1
        if name in self.gone:
            raise Missing(f"{name} is not there")
        if name not in of:
            raise Unavailable(f"nothing is known of {name}")
        return of[name]

    async def location(self, server: RouteServer) -> str | Denied:
        return self._known(self.locations, server.name)

    async def balancer(self, service: Service) -> BalancerFacts | Denied:
        return self._known(self.balancers, service.name)

    async def interface(self, speaker: Speaker) -> InterfaceFacts | Denied:
        return self._known(self.interfaces, speaker.name)

    async def app_subnet(self) -> AppSubnetFacts | Denied | None:
        return self._known(self.own, "the app")


def address_in(service: Service, name: str) -> str:
    """What a member's address in the service's pool is called."""
    return f"{service.load_balancer.pool_id}/{name}" if service.load_balancer else name


class FakeAdminStates:
    """adminState in the world's pool: a write is there at once, for the control plane and for packets."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    def _view(self, service: Service, name: str) -> PoolView:
        self.world._arm()
        if name not in self.world.pool:
            return PoolView(f'W/"{self.world.etag}"', None)
        return PoolView(f'W/"{self.world.etag}"', self.world.admin[name], address=address_in(service, name))

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        return self._view(service, speaker.name)

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        if etag != self._view(service, speaker.name).etag:
            raise Superseded("412")
        if speaker.name not in self.world.pool:
            raise Unavailable(f"{speaker.name} is not in pool nvas")
        self.world.etag += 1
        self.world.admin[speaker.name] = state
        self.world.balancer_writes.append((speaker.name, state))
        self.world.watch()
        return self._view(service, speaker.name)

    async def bump(self, service: Service, etag: str) -> None:
        self.world._arm()
        self.world.etag += 1

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        self.world._arm()
        return self.world._backend(speaker.name).reason if speaker.name in self.world.pool else None


class FakeRouteServers:
    """Peerings that take one look to be made or to go."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    async def read(self, server: RouteServer) -> RouteServerReading:
        self.world._arm()
        shown = (replace(p, connection_state=self.world.connection_state(p)) for p in self.world.peerings.values())
        reading = RouteServerReading(INSTANCES, tuple(shown))
        for name, peering in list(self.world.peerings.items()):
            if peering.state is Provisioning.UPDATING:
                self.world.peerings[name] = Peering(name, peering.address, peering.asn, Provisioning.SUCCEEDED)
            elif peering.state is Provisioning.DELETING:
                del self.world.peerings[name]
        return reading

    async def create(self, server: RouteServer, step: CreatePeering) -> None:
        self.world.peerings[step.name] = Peering(step.name, step.address, step.asn, Provisioning.UPDATING)
        self.world.peering_writes.append(f"create {step.name}")

    async def delete(self, server: RouteServer, step: DeletePeering) -> None:
        there = self.world.peerings[step.name]
        self.world.peerings[step.name] = Peering(step.name, there.address, there.asn, Provisioning.DELETING)
        self.world.peering_writes.append(f"delete {step.name}")


@dataclass
class FakeQuestions:
    """Routes that are there one look after they were requested: of peers (by connection) or interfaces (by id)."""

    answers: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    failing: list[HopkeeperError] = field(default_factory=list)

    async def ask(self, *where: Any) -> str:
        self.requested.append(where[-1])
        if self.failing:
            raise self.failing.pop(0)
        return str(where[-1])

    async def fetch(self, token: str) -> tuple[Any, ...] | None:
        return self.answers.get(token, ())


@dataclass
class FakeNetworkFlags:
    """Network peerings by name; a repair of one is there at the next look."""

    peerings: dict[str, NetworkPeeringReading] = field(default_factory=dict)
    repairs: list[RepairFlags] = field(default_factory=list)
    failing: list[HopkeeperError] = field(default_factory=list)

    async def read(self, peering: NetworkPeering) -> NetworkPeeringReading:
        if peering.name not in self.peerings:
            raise Unavailable("ARM answers 503")
        return self.peerings[peering.name]

    async def repair(self, step: RepairFlags) -> None:
        self.repairs.append(step)
        if self.failing:
            raise self.failing.pop(0)
        if step.target.name in self.peerings:
            there = self.peerings[step.target.name]
            self.peerings[step.target.name] = replace(
                there, flags={**there.flags, **{f: bool(v) for f, v in step.flags}}
            )


def foreign(name: str, address: str = "10.0.9.9", state: Provisioning = Provisioning.SUCCEEDED) -> Peering:
    """A peering of another owner."""
    return Peering(name, IPv4Address(address), 65099, state)


@dataclass(frozen=True)
class FakeReport:
    """As if signed with the key of the certificate `signer`."""

    agent: str
    topology: str
    signer: str
    reason: str

    def verify(self, certificate: str, now: datetime) -> str:
        if certificate != self.signer:
            raise NotAuthentic("signature")
        return self.reason


class FakeReports:
    """Reports in JSON, by the fields of `FakeReport`."""

    def claimed(self, text: str) -> FakeReport:
        return FakeReport(**json.loads(text))


@dataclass
class FakeTelemetry:
    """Keeps what it takes; `records` like one that is configured."""

    records: bool = False
    spans: list[Span] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)

    def ended(self, span: Span) -> None:
        self.spans.append(span)

    def measured(self, measures: Iterable[Measure]) -> None:
        self.measures.extend(measures)


def make_ports(world: FakeWorld, documents: FakeDocuments | None = None, clock: FakeClock | None = None) -> Ports:
    clock = clock or FakeClock()
    world.now = lambda: clock.at
    return Ports(
        clock=clock,
        documents=documents or FakeDocuments(),
        wake_ups=FakeWakeUps(),
        agents=world,
        member_checks=world,
        reports=FakeReports(),
        load_balancers=world,
        admin_states=FakeAdminStates(world),
        route_servers=FakeRouteServers(world),
        scale_sets=world,
        learned_routes=world,
        advertised_routes=FakeQuestions(),
        effective_routes=FakeQuestions(),
        network_flags=FakeNetworkFlags(),
        surroundings=FakeSurroundings(),
        metrics=world,
        health_logs=world,
        events_out=world,
        telemetry=FakeTelemetry(),
    )
