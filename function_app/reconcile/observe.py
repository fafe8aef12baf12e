"""Reads agents and load balancers, in parallel and within a deadline. What did not answer is UNKNOWN, never BAD."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from function_app.domain.base.errors import HopkeeperError
from function_app.domain.peerings.model import RouteServerReading, shown_sessions
from function_app.domain.service.health import peers_views, seen_by_peers, silence_left
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.needed import needed
from function_app.domain.service.observation import (
    AgentReading,
    AgentStatus,
    Appliance,
    BalancerReading,
    MemberReading,
    NotAwaited,
    Observed,
    Unreachable,
    Value,
)
from function_app.domain.service.ranked.paths import Path, PathOrder
from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.routes.foreign import contested_now
from function_app.reconcile.store.records import Records, StoredRecord

log = logging.getLogger("hopkeeper.pass")

NO_ANSWER = Unreachable("no answer in time")
MARGIN = timedelta(milliseconds=20)
"""Added to a silence that is waited for: agents round its age."""
ACCUSERS = 2
"""So many peers shorten the time that a silent agent is left to answer: one alone may lie, or be cut off itself."""


class StatusRound:
    """The agents' statuses as requested at one moment, all at once: each is there as soon as it has answered.

    They are dated at the request, not at the answers, so that an answer that comes late is not mistaken for a fresh one.
    """

    def __init__(self, ports: Ports, topology: Topology, deadline: timedelta) -> None:
        self.at = ports.clock.now()
        self._timing = topology.timing
        self._appliances = topology.appliances
        self._tasks = {
            name: asyncio.ensure_future(_status(ports, topology, topology.speaker(name), deadline))
            for name in sorted(topology.commanded)
        }
        self._ends = asyncio.get_running_loop().time() + deadline.total_seconds()
        self._given_up: frozenset[str] = frozenset()

    def readings(self) -> Mapping[str, MemberReading]:
        """By agent its status or why there is none; `NotAwaited` of those that may still answer. Members without an agent are in
        it as what they are."""
        return {name: self._reading(name) for name in self._tasks} | dict.fromkeys(self._appliances, Appliance())

    def _reading(self, name: str) -> MemberReading:
        task = self._tasks[name]
        if task.done():
            return NO_ANSWER if task.cancelled() else task.result()
        return NO_ANSWER if name in self._given_up else NotAwaited()

    async def everyone(self) -> Mapping[str, MemberReading]:
        """Once all have answered, or their time is over."""
        try:
            while pending := self._left():
                await self._answer(pending)
        finally:
            self.close()
        return self.readings()

    async def enough(self, look: Look) -> Observed:
        """The look with what has come in since, once those have answered, or their time is over, on whose status its next step
        depends."""
        seen = self._joined(look.observed)
        while self._left() and (pending := self._left() & needed(replace(look, observed=seen))):
            await self._answer(pending)
            seen = self._joined(seen)
        return seen

    def close(self) -> None:
        """Nothing more is waited for."""
        for task in self._tasks.values():
            task.cancel()
        self._given_up = frozenset(self._tasks)

    def _joined(self, seen: Observed) -> Observed:
        """What a command has brought since is newer than the status."""
        known = {name: reading for name, reading in seen.agents.items() if not isinstance(reading, NotAwaited)}
        return replace(seen, agents={**self.readings(), **known})

    def _left(self) -> frozenset[str]:
        """Those that may still answer."""
        return frozenset(name for name in self._tasks if isinstance(self._reading(name), NotAwaited))

    async def _answer(self, pending: frozenset[str]) -> None:
        """Waits until another one of these has answered, or nothing more is waited for.

        Once every peer that answered, and at least two, report them all dead, on gossip and on the probe port, they get one more
        heartbeat: an agent that is alive has answered by then, and the peers have waited before us.
        """
        tasks = [self._tasks[name] for name in sorted(pending)]
        seen = Observed(self.at, self.readings())
        if all(_is_given_up(name, seen) for name in pending):
            await asyncio.wait(tasks, timeout=self._timing.gossip_period.total_seconds())
            self._given_up |= pending
            return
        left = self._ends - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self.close()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a pass sees of a service at one look."""

    observed: Observed
    held: StoredRecord | None = None
    """The record, where it was loaded beside the agents' statuses."""
    round: StatusRound | None = None
    """Where statuses may still come that this look has not waited for."""

    async def enough(self, look: Look) -> Observed:
        """What is known by now, with everything that the next step depends on (`StatusRound.enough`)."""
        return look.observed if self.round is None else await self.round.enough(look)


type Watch = Callable[[bool], Awaitable[Sight]]
"""Looks at the service; with `True` it reads again, and does not return what it has read already."""


class AgentReadings:
    """The agents' statuses in one pass: requested once for all services, and again for a service that lost a race."""

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self.ports = ports
        self.topology = topology
        self._rounds: list[StatusRound] = []

    def request(self, again: bool = False) -> StatusRound:
        """The last round, or with `again` another one."""
        if again or not self._rounds:
            self._rounds.append(StatusRound(self.ports, self.topology, self.topology.timing.observe_fast))
        return self._rounds[-1]

    def close(self) -> None:
        """The pass is over."""
        for each in self._rounds:
            each.close()

    async def read(self, again: bool = False) -> tuple[datetime, Mapping[str, MemberReading]]:
        """When the statuses were requested, and by agent its status or why there is none."""
        requested = self.request(again)
        return requested.at, await requested.everyone()

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

    def watch(self, service: Service) -> Watch:
        """Looks at one service through the agents alone, all of them, as an order does; `True` looks again."""

        async def look(again: bool) -> Sight:
            at, readings = await self.read_lasting(service, again)
            return Sight(self._observed(service, at, readings))

        return look

    def watch_for_a_step(self, service: Service) -> Watch:
        """The same as a fast pass does it: the record is loaded meanwhile, and only those are waited for on whose status the next
        step depends, and on whose silence."""

        async def look(again: bool) -> Sight:
            sight, left = await self._sight(service, again)
            if left is not None:
                await asyncio.sleep((left + MARGIN).total_seconds())
                sight, _ = await self._sight(service, again=True)
            return sight

        return look

    async def _sight(self, service: Service, again: bool) -> tuple[Sight, timedelta | None]:
        """What is seen, and how much longer it takes until the silence of those that matter is evidence."""
        timing, requested = self.topology.timing, self.request(again)
        held = await Records(self.ports.documents).load(self.topology, service, requested.at)
        seen = self._observed(service, requested.at, requested.readings())
        look = Look(service, timing, seen, held.record, requested.at)
        seen = self._observed(service, requested.at, (await requested.enough(look)).agents)
        if service.load_balancer and any(isinstance(reading, Unreachable) for reading in seen.agents.values()):
            self.ports.load_balancers.warm()  # a fence is likely: its SDK takes seconds to import
        among = needed(replace(look, observed=seen))
        return Sight(seen, held, requested), silence_left(service, seen, timing, among)

    def _observed(self, service: Service, at: datetime, readings: Mapping[str, MemberReading]) -> Observed:
        return Observed(at, readings, ordered=ordered(self.topology, service, readings))


async def one_look(agents: AgentReadings, service: Service, again: bool = False) -> Observed:
    """Observes a service through its agents and its load balancer. The order of these lines is a safety rule:

    1. the etag of the record first: only the record as it was before the load balancer was read can tell whether a Down in
       it is ours, so a pass that finds another etag later looks again;
    2. then the agents, the load balancer and the app's own checks, at the same time;
    3. the look is dated at the earlier of the two moments.

    Without a load balancer it is its agents, and what Route Servers show of announcers. Raises Unavailable where storage
    fails.
    """
    ports = agents.ports
    if service.load_balancer is None:
        look = agents.watch(service)(again)
        sight, shown, contested = await asyncio.gather(
            look, connected(ports, agents.topology, service), contested_now(ports, agents.topology, service)
        )
        return replace(sight.observed, connected=shown, contested=contested)
    began = ports.clock.now()
    etag = await Records(ports.documents).etag(agents.topology, service)
    (at, readings), reading, own = await asyncio.gather(
        agents.read_lasting(service, again), balancer(ports, agents.topology, service), own_checks(agents, service)
    )
    return Observed(min(began, at), {**readings, **own}, reading, etag)


def watch_with_pool(agents: AgentReadings, service: Service) -> Watch:
    """Looks at one service as `one_look` does."""

    async def look(again: bool) -> Sight:
        return Sight(await one_look(agents, service, again))

    return look


async def own_checks(agents: AgentReadings, service: Service) -> Mapping[str, MemberReading]:
    """The members without an agent of a service, with what the app's own checks of them find."""
    topology, checks = agents.topology, agents.ports.member_checks
    bare = [topology.speaker(name) for name in service.names if name in topology.appliances]
    reached = await asyncio.gather(*(checks.reaches(speaker, topology.timing.observe_fast) for speaker in bare))
    return {speaker.name: Appliance(value) for speaker, value in zip(bare, reached, strict=True)}


async def agents(ports: Ports, topology: Topology, deadline: timedelta) -> Mapping[str, MemberReading]:
    """The status of every commanded agent, all requested at once; NO_ANSWER for those that `deadline` cut off. Members
    without an agent are in it as what they are."""
    return await StatusRound(ports, topology, deadline).everyone()


async def _status(ports: Ports, topology: Topology, speaker: Speaker, deadline: timedelta) -> AgentReading:
    return await ports.agents.status(topology.name, speaker, deadline)


def _is_given_up(member: str, seen: Observed) -> bool:
    return seen_by_peers(member, seen) is Value.BAD and len(peers_views(member, seen)) >= ACCUSERS


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
