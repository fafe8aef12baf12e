"""Reads agents and load balancers, in parallel and within a deadline. What did not answer is UNKNOWN, never BAD."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from function_app.domain.base.errors import HopkeeperError
from function_app.domain.peerings.model import RouteServerReading, shown_sessions
from function_app.domain.service.decide import is_settled
from function_app.domain.service.health import peers_views, seen_by_peers, silence_left
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AgentReading,
    AgentStatus,
    Appliance,
    BalancerReading,
    MemberReading,
    Observed,
    Unreachable,
    Value,
)
from function_app.domain.service.ranked.paths import Path, PathOrder
from function_app.domain.service.record import Record
from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.routes.foreign import contested_now
from function_app.reconcile.store.records import StoredRecord

log = logging.getLogger("hopkeeper.pass")

NO_ANSWER = Unreachable("no answer in time")
MARGIN = timedelta(milliseconds=20)
"""Added to a silence that is waited for: agents round its age."""
ACCUSERS = 2
"""So many peers shorten the time that a silent agent is left to answer: one alone may lie, or be cut off itself."""


type Held = Awaitable[StoredRecord]
"""The record of a service, as it is loaded at the beginning of a look."""
type Watch = Callable[[bool, Held], Awaitable[Observed]]
"""Looks at the service; with `True` it reads again, and does not return what it has read already."""


class AgentReadings:
    """The agents' statuses in one pass: requested once for all services, and again for a service that lost a race.

    They are dated at the request, not at the answers, so that an answer that comes late is not mistaken for a fresh one.
    """

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self.ports = ports
        self.topology = topology
        self._round: StatusRound | None = None

    async def read(self, again: bool = False) -> tuple[datetime, Mapping[str, MemberReading]]:
        """When the statuses were requested, and by agent its status or why there is none."""
        round_ = self._requested(again)
        return round_.at, await asyncio.shield(round_.ended)

    async def read_lasting(self, service: Service, again: bool = False) -> tuple[datetime, Mapping[str, MemberReading]]:
        """As `read`, and once more if a member of this service fell silent just now: when its silence is evidence.

        Another look would come much later, and with no more to go by.
        """
        timing = self.topology.timing
        at, readings = await self.read(again)
        left = silence_left(service, Observed(at, readings), timing)
        if left is None:
            return at, readings
        await asyncio.sleep((left + MARGIN).total_seconds())
        return await self.read(again=True)

    def _requested(self, again: bool) -> "StatusRound":
        if again or self._round is None:
            self._round = StatusRound(self.ports, self.topology)
        return self._round

    def watch(self, service: Service) -> Watch:
        """Looks at one service through the agents alone, as a fast pass does; `True` looks again. Members that decide nothing
        (`is_settled`) get as long again as the answers of those that do took, and are waited for no longer."""

        async def look(again: bool, held: Held) -> Observed:
            round_ = self._requested(again)
            record = (await held).record
            if not await round_.answers_for(partial(self._is_settled, service, record)):
                at, readings = await self.read_lasting(service)
            else:
                at, readings = round_.at, round_.readings()
            return Observed(at, readings, ordered=ordered(self.topology, service, readings))

        return look

    def _is_settled(self, service: Service, record: Record, round_: "StatusRound") -> bool:
        look = Look(service, self.topology.timing, Observed(round_.at, round_.readings()), record, round_.at)
        return is_settled(look, round_.silent)


class StatusRound:
    """One request of the status of every commanded agent, all at once, and the answers as they come."""

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self.at = ports.clock.now()
        self._topology = topology
        self._tasks = {
            name: asyncio.ensure_future(_status(ports, topology, topology.speaker(name), topology.timing.observe_fast))
            for name in sorted(topology.commanded)
        }
        self.ended = asyncio.ensure_future(self._end(ports))

    async def _end(self, ports: Ports) -> Mapping[str, MemberReading]:
        try:
            await _answers(ports, self._topology, self._tasks, self._topology.timing.observe_fast)
        finally:
            for task in self._tasks.values():
                task.cancel()
        return self.readings()

    @property
    def silent(self) -> frozenset[str]:
        """The agents that have not answered yet."""
        return frozenset(name for name, task in self._tasks.items() if not task.done())

    def readings(self) -> Mapping[str, MemberReading]:
        """By agent its status, or NO_ANSWER. Members without an agent are in it as what they are."""
        answered = {name: task.result() if _answered(task) else NO_ANSWER for name, task in self._tasks.items()}
        return answered | dict.fromkeys(self._topology.appliances, Appliance())

    async def answers_for(self, settled: Callable[["StatusRound"], bool]) -> bool:
        """Whether it was settled by some of the answers, before the round ended. As long again is left to the missing ones."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self.ended.done():
            if settled(self):
                await asyncio.wait({self.ended}, timeout=loop.time() - began)
                return not self.ended.done()
            waits = {self.ended, *(self._tasks[name] for name in self.silent)}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return False


async def one_look(agents: AgentReadings, service: Service, again: bool, held: Held) -> Observed:
    """Observes a service through its agents and its load balancer. The order of these lines is a safety rule:

    1. the record first: only the record as it was before the load balancer was read can tell whether a Down in it is ours,
       so a pass that finds another etag later looks again;
    2. then the agents, the load balancer and the app's own checks, at the same time;
    3. the look is dated at the earlier of the two moments.

    Without a load balancer it is its agents, and what Route Servers show of announcers. Raises Unavailable where storage
    fails.
    """
    ports = agents.ports
    if service.load_balancer is None:
        look = agents.watch(service)(again, held)
        observed, shown, contested = await asyncio.gather(
            look, connected(ports, agents.topology, service), contested_now(ports, agents.topology, service)
        )
        return replace(observed, connected=shown, contested=contested)
    began = ports.clock.now()
    await held
    (at, readings), reading, own = await asyncio.gather(
        agents.read_lasting(service, again), balancer(ports, agents.topology, service), own_checks(agents, service)
    )
    return Observed(min(began, at), {**readings, **own}, reading)


async def own_checks(agents: AgentReadings, service: Service) -> Mapping[str, MemberReading]:
    """The members without an agent of a service, with what the app's own checks of them find."""
    topology, checks = agents.topology, agents.ports.member_checks
    bare = [topology.speaker(name) for name in service.names if name in topology.appliances]
    reached = await asyncio.gather(*(checks.reaches(speaker, topology.timing.observe_fast) for speaker in bare))
    return {speaker.name: Appliance(value) for speaker, value in zip(bare, reached, strict=True)}


async def _status(ports: Ports, topology: Topology, speaker: Speaker, deadline: timedelta) -> AgentReading:
    return await ports.agents.status(topology.name, speaker, deadline)


async def _answers(
    ports: Ports, topology: Topology, tasks: Mapping[str, asyncio.Future[AgentReading]], deadline: timedelta
) -> None:
    """Waits until all have answered, or for `deadline`.

    Once every peer that answered, and at least two, report the silent ones dead, on gossip and on the probe port, those get
    one more heartbeat: an agent that is alive has answered by then, and the peers have waited before us.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + deadline.total_seconds()
    while silent := {name: task for name, task in tasks.items() if not task.done()}:
        answered = {name: task.result() for name, task in tasks.items() if task.done()}
        seen = Observed(ports.clock.now(), answered)
        if all(_is_given_up(name, seen) for name in silent):
            await asyncio.wait(silent.values(), timeout=topology.timing.gossip_period.total_seconds())
            return
        left = ends - loop.time()
        if not (await asyncio.wait(silent.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED))[0]:
            return


def _is_given_up(member: str, seen: Observed) -> bool:
    return seen_by_peers(member, seen) is Value.BAD and len(peers_views(member, seen)) >= ACCUSERS


def _answered(task: asyncio.Future[AgentReading]) -> bool:
    return task.done() and not task.cancelled()


def ordered(topology: Topology, service: Service, readings: Mapping[str, MemberReading]) -> Mapping[str, PathOrder]:
    """By announcer of a ranked service, the order it last accepted, by its own report. One that reports a next hop which
    is no member of the service is left out."""
    if not kind_of(service).is_ranked:
        return {}
    names = {topology.speaker(name).address: name for name in service.names}
    found: dict[str, PathOrder] = {}
    for announcer in service.announcers:
        reading = readings.get(announcer)
        mine = reading.services.get(service.key) if isinstance(reading, AgentStatus) else None
        if mine is None or not mine.advertised or {a.prefix for a in mine.advertised} != set(service.prefixes):
            continue
        paths = {(a.next_hop, a.prepend) for a in mine.advertised}
        next_hop, prepend = next(iter(paths))
        if len(paths) == 1 and next_hop in names:
            found[announcer] = PathOrder(*mine.advertised_turn, Path(prepend + 1, names[next_hop]))
    return found


async def connected(ports: Ports, topology: Topology, service: Service) -> Mapping[str, bool]:
    """By announcer, whether any of its Route Servers shows a session with it; no more time than for agents, which decide.

    Left out where a Route Server could not be read, does not tell, or where it also peers with a hub.
    """
    wanted = {name: topology.speaker(name).peers_with for name in service.announcers}
    named = frozenset[str]().union(*wanted.values())
    servers = [server for server in topology.route_servers if server.name in named]
    readings = await asyncio.gather(*(_route_server(ports, topology, server) for server in servers))
    shown = {s.name: shown_sessions(topology, s, r) for s, r in zip(servers, readings, strict=True) if r is not None}
    reported = {name: [shown.get(peer, {}).get(name) for peer in peers] for name, peers in wanted.items()}
    return {name: any(each) for name, each in reported.items() if any(each) or None not in each}


async def _route_server(ports: Ports, topology: Topology, server: RouteServer) -> RouteServerReading | None:
    try:
        async with asyncio.timeout(topology.timing.observe_fast.total_seconds()):
            return await ports.route_servers.read(server)
    except (TimeoutError, HopkeeperError) as error:
        log.warning("%s could not be read for the sessions of announcers: %s", server.name, error)
        return None


async def balancer(ports: Ports, topology: Topology, service: Service) -> BalancerReading | str:
    """The service's load balancer, or why it could not be read."""
    members = {name: topology.speaker(name) for name in service.names}
    timeout = topology.timing.observe_slow
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            return await ports.load_balancers.read(service, members, timeout)
    except TimeoutError:
        return f"the load balancer could not be read within {timeout.total_seconds():g} s"
    except HopkeeperError as error:
        return str(error)
