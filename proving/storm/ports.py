"""The product's ports over the simulated world: every method is one request of one host (`Host.ask`).

Documents that nothing decides on (history, status), metrics and logged events cost nothing here and tell nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from function_app.domain.base.errors import Unavailable
from function_app.domain.networks.flags import NetworkPeeringReading, RepairFlags
from function_app.domain.peerings.model import CreatePeering, DeletePeering, RouteServerReading
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.preflight.facts import AppSubnetFacts, Denied, InterfaceFacts
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.balancer import BalancerFacts
from function_app.domain.service.observation import (
    AdminState,
    AgentReading,
    BalancerReading,
    Unreachable,
    Value,
    in_every_pool,
)
from function_app.domain.service.steps import SendFence, SendPromote
from function_app.domain.topology.model import NetworkPeering, RouteServer, ScaleSet, Service, Speaker
from function_app.reconcile.documents.event import Event
from function_app.reconcile.ports import (
    AgentCommand,
    CommandAnswer,
    HealthEvent,
    PoolView,
    Ports,
    SignedReport,
    Stored,
)
from function_app.reconcile.store import keys
from function_app.reconcile.telemetry import Measure, Span
from proving.storm.balancer import Balancer
from proving.storm.calls import Call, Killed
from proving.storm.hosts import TRACE, Host
from proving.storm.places import OUTER

FIRST = "nva-a"
STORAGE_SECONDS = 10.0
ARM_SECONDS = 20.0
WRITE_SECONDS = 55.0
FREE = (keys.HISTORY, keys.STATUSES, keys.PREFLIGHTS, keys.REHEARSALS)
"""Documents for people: written at once, at no cost, and forgotten where nobody asks for them."""


def _no_storage() -> Unavailable:
    return Unavailable("storage does not answer")


def _no_arm() -> Unavailable:
    return Unavailable("ARM does not answer")


def _no_agent() -> Unreachable:
    return Unreachable("no answer")


def _no_obedience() -> CommandAnswer:
    return CommandAnswer(Unreachable("no answer"))


class HostClock:
    def __init__(self, host: Host) -> None:
        self._host = host

    def now(self) -> datetime:
        return self._host.now()

    async def sleep(self, duration: timedelta) -> None:
        host = self._host
        if not host.alive:
            raise Killed
        future = host.loop.create_future()
        host.waiting[future] = None
        call = Call(host, future, 1e18, _no_storage)
        host.world.timeline.after(duration.total_seconds(), call.deliver, None)
        await future


class HostDocuments:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._store = host.world.documents

    async def load(self, key: str) -> Stored | None:
        if key.startswith((keys.PREFLIGHTS, keys.REHEARSALS)):
            return None
        kind = "record.load" if key.startswith(keys.RECORDS) else "doc.load"
        found: Stored | None = await self._host.ask(kind, STORAGE_SECONDS, _no_storage, self._store.load, key)
        if kind == "record.load" and not TRACE.get().asked:  # no look at agents says when
            TRACE.get().looked = self._host.world.timeline.now
        if found is not None and kind == "record.load":
            TRACE.get().record = self._store.records.get(found.etag)
        return found

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        kind = "record.save" if key.startswith(keys.RECORDS) else "doc.save"
        decided = (TRACE.get().looked, self._host.world.timeline.now)
        save = partial(self._store.save, decided=decided)
        written: str = await self._host.ask(kind, STORAGE_SECONDS, _no_storage, save, key, body, etag)
        if kind == "record.save":
            TRACE.get().record = self._store.records.get(written)
        return written

    async def put(self, key: str, body: bytes) -> None:
        if not self._host.alive:
            raise Killed
        if key.startswith(FREE):
            if self._store.filed is not None:
                self._store.filed[key] = body
        else:
            await self._host.ask("doc.put", STORAGE_SECONDS, _no_storage, self._store.put, key, body)

    async def remove(self, key: str, etag: str) -> None:
        raise NotImplementedError("no history takes a document away")

    async def keys(self, prefix: str) -> tuple[str, ...]:
        found: tuple[str, ...] = await self._host.ask(
            "doc.keys", STORAGE_SECONDS, _no_storage, self._store.keys, prefix
        )
        return found

    async def below(self, folder: str) -> tuple[str, ...]:
        """Nothing: a history files each entry, as if none had come before it."""
        if not folder.startswith(FREE):
            raise NotImplementedError("no history publishes events or waits for what changes")
        return ()

    async def versions(self, prefix: str) -> Mapping[str, str]:
        raise NotImplementedError("no history has events from outside")


class HostWakeUps:
    def __init__(self, host: Host) -> None:
        self._host = host

    async def send(self, topology: str, after: timedelta) -> None:
        await self._host.ask("wake", STORAGE_SECONDS, _no_storage, self._send, after.total_seconds())

    def _send(self, call: Call, after: float) -> None:
        self._host.world.wake(after)
        call.answer(None)


class HostAgents:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._world = host.world

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        seconds = timeout.total_seconds()
        TRACE.get().looked, TRACE.get().asked = self._world.timeline.now, True
        reading: AgentReading = await self._host.ask("agent.status", seconds, _no_agent, self._status, speaker.name)
        return reading

    def _status(self, call: Call, name: str) -> None:
        world, agent = self._world, self._world.agents[name]
        muted = world.bugs.mutes_all or (world.bugs.slanders and name == FIRST)
        if not agent.talks or agent.rekeyed or name in world.cut_in or name in world.cut_out or muted:
            call.expire()
        else:
            call.answer(agent.reading())

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        world, name = self._world, speaker.name
        world.checks.commanded(command, TRACE.get().record, self._host.now())
        kind = KINDS.get(type(command), "agent.advertise")
        seconds = timeout.total_seconds()
        issued = world.timeline.now
        answer: CommandAnswer = await self._host.ask(kind, seconds, _no_obedience, self._command, name, command, issued)
        return answer

    def _command(self, call: Call, name: str, command: AgentCommand, issued: float) -> None:
        world, agent = self._world, self._world.agents[name]
        if not agent.up or name in world.cut_in:
            call.expire()
            return
        if name in world.cut_out:
            call.expire()
        world.checks.arrived(name, command)
        agent.obey(call, command, issued)
        for other in world.agents.values():
            if other is agent:
                continue
            if world.bugs.promotes_all and isinstance(command, SendPromote):
                other.obey(call.again(), replace(command, boot_id=other.boot_id), issued)
            if world.bugs.fences_all and isinstance(command, SendFence):
                other.obey(call.again(), command, issued)


KINDS: Mapping[type, str] = {SendFence: "agent.fence", SendPromote: "agent.promote"}


class HostBalancers:
    """LoadBalancers and AdminStates."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def _of(self, service: Service) -> Balancer:
        """Where a request about one pool goes."""
        balancers, spec = self._host.world.balancers, service.load_balancer
        return balancers[-1] if spec is not None and spec.id == OUTER else balancers[0]

    def warm(self) -> None:
        pass

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        pools = [self._read(each, speakers, timeout.total_seconds()) for each in service.at_each_pool]
        return in_every_pool(await asyncio.gather(*pools))

    async def _read(self, service: Service, speakers: Mapping[str, Speaker], seconds: float) -> BalancerReading:
        reading: BalancerReading = await self._host.ask("lb.read", seconds, _no_arm, self._of(service).read)
        others = {n: b for n, b in reading.backends.items() if n not in speakers}
        strangers = frozenset(b.address for b in others.values() if b.admin_state is not AdminState.DOWN)
        backends = {n: b for n, b in reading.backends.items() if n in speakers}
        return replace(reading, backends=backends, strangers=strangers)

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        view: PoolView = await self._ask("lb.look", ARM_SECONDS, self._of(service).look, speaker.name)
        return view

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        checks = self._host.world.checks
        if self._host.world.bugs.lifts_up and state is AdminState.NONE:
            state = AdminState.UP
        checks.writing(speaker.name, state, TRACE.get().record, self._host.now())
        view: PoolView = await self._ask("lb.set", WRITE_SECONDS, self._of(service).write, speaker.name, state, etag)
        return view

    async def bump(self, service: Service, etag: str) -> None:
        await self._ask("lb.bump", ARM_SECONDS, self._of(service).bump, etag)

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        reason: str | None = await self._ask("lb.health", ARM_SECONDS, self._of(service).reason, speaker.name)
        return reason

    async def _ask(self, kind: str, seconds: float, effect: Any, *arguments: Any) -> Any:
        return await self._host.ask(kind, seconds, _no_arm, effect, *arguments)


class HostMemberChecks:
    """The app's packets to the member itself."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._world = host.world

    async def reaches(self, speaker: Speaker, timeout: timedelta) -> Value:
        if speaker.watch is None:
            return Value.UNKNOWN
        seconds = timeout.total_seconds()
        value: Value = await self._host.ask("member.check", seconds, lambda: Value.BAD, self._connect, speaker.name)
        return value

    def _connect(self, call: Call, name: str) -> None:
        world = self._world
        if world.agents[name].probe_listens and name not in world.cut_in and name not in world.cut_out:
            call.answer(Value.OK)
        else:
            call.expire()


class HostRouteServers:
    """RouteServers and LearnedRoutes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._server = host.world.route_server

    async def read(self, server: RouteServer) -> RouteServerReading:
        TRACE.get().listed = self._host.world.timeline.now
        reading: RouteServerReading = await self._host.ask(
            "rs.read", ARM_SECONDS, _no_arm, self._server.read, server.name
        )
        return reading

    async def create(self, server: RouteServer, step: CreatePeering) -> None:
        listed = TRACE.get().listed
        await self._host.ask("rs.create", ARM_SECONDS, _no_arm, self._server.create, step, listed)

    async def delete(self, server: RouteServer, step: DeletePeering) -> None:
        await self._host.ask("rs.delete", ARM_SECONDS, _no_arm, self._server.delete, step)

    async def ask(self, server: RouteServer, peering: str) -> str:
        token: str = await self._host.ask("rs.ask", ARM_SECONDS, _no_arm, self._server.ask, peering)
        return token

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...] | None:
        routes: tuple[LearnedRoute, ...] | None = await self._host.ask(
            "rs.fetch", ARM_SECONDS, _no_arm, self._server.fetch, token
        )
        return routes


class Silent:
    """Surroundings, Metrics, HealthLogs, EventsOut, Telemetry and what only verification asks, knowing and keeping nothing."""

    publishes = False
    records = False

    async def ask(self, *_: object) -> str:
        return ""

    async def fetch(self, token: str) -> tuple[()] | None:
        return ()

    async def read(self, peering: NetworkPeering) -> NetworkPeeringReading:
        raise Unavailable("the storm has no network peerings")

    def claimed(self, text: str) -> SignedReport:
        raise Unavailable("the storm has no signed reports")

    async def repair(self, step: RepairFlags) -> None:
        raise Unavailable("the storm has no flags")

    async def location(self, server: RouteServer) -> str | Denied:
        raise _no_arm()

    async def balancer(self, service: Service) -> BalancerFacts | Denied:
        raise _no_arm()

    async def app_subnet(self) -> AppSubnetFacts | Denied | None:
        raise _no_arm()

    async def interface(self, speaker: Speaker) -> InterfaceFacts | Denied:
        raise _no_arm()

    async def probe_availability(
        self, load_balancer: str, addresses: tuple[IPv4Address, ...]
    ) -> Mapping[IPv4Address, Value]:
        return {}

    async def recent(self, load_balancer: str, since: timedelta) -> tuple[HealthEvent, ...]:
        return ()

    async def publish(self, event: Event) -> None:
        pass

    def ended(self, span: Span) -> None:
        pass

    def measured(self, measures: Iterable[Measure]) -> None:
        pass

    async def instances(self, scale_set: ScaleSet) -> tuple[Instance, ...]:
        return ()


def make_ports(host: Host) -> Ports:
    balancers, route_servers, silent = HostBalancers(host), HostRouteServers(host), Silent()
    return Ports(
        clock=HostClock(host),
        documents=HostDocuments(host),
        wake_ups=HostWakeUps(host),
        agents=HostAgents(host),
        member_checks=HostMemberChecks(host),
        reports=silent,
        load_balancers=balancers,
        admin_states=balancers,
        route_servers=route_servers,
        scale_sets=silent,
        learned_routes=route_servers,
        advertised_routes=silent,
        effective_routes=silent,
        network_flags=silent,
        surroundings=silent,
        metrics=silent,
        health_logs=silent,
        events_out=silent,
        telemetry=silent,
    )
