"""Reads agents and load balancers, in parallel and within a deadline. What did not answer is UNKNOWN, never BAD."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from function_app.domain.base.errors import HopkeeperError
from function_app.domain.peerings.model import RouteServerReading, shown_sessions
from function_app.domain.service.health import peers_views, seen_by_peers, silence_left
from function_app.domain.service.kinds import kind_of
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
from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.routes.foreign import contested_now
from function_app.reconcile.store.records import Records

log = logging.getLogger("hopkeeper.pass")

NO_ANSWER = Unreachable("no answer in time")
MARGIN = timedelta(milliseconds=20)
"""Added to a silence that is waited for: agents round its age."""
ACCUSERS = 2
"""So many peers shorten the time that a silent agent is left to answer: one alone may lie, or be cut off itself."""


class AgentReadings:
    """The agents' statuses in one pass: requested once for all services, and again for a service that lost a race.

    They are dated at the request, not at the answers, so that an answer that comes late is not mistaken for a fresh one.
    """

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self.ports = ports
        self.topology = topology
        self._first: asyncio.Future[tuple[datetime, Mapping[str, MemberReading]]] | None = None

    async def read(self, again: bool = False) -> tuple[datetime, Mapping[str, MemberReading]]:
        """When the statuses were requested, and by agent its status or why there is none."""
        if again or self._first is None:
            self._first = asyncio.ensure_future(self._request())
        return await self._first

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

    async def _request(self) -> tuple[datetime, Mapping[str, MemberReading]]:
        at = self.ports.clock.now()
        return at, await agents(self.ports, self.topology, self.topology.timing.observe_fast)

    def watch(self, service: Service) -> Callable[[bool], Awaitable[Observed]]:
        """Looks at one service through the agents alone, as a fast pass does; `True` looks again."""

        async def look(again: bool) -> Observed:
            at, readings = await self.read_lasting(service, again)
            return Observed(at, readings, ordered=ordered(self.topology, service, readings))

        return look


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
        observed, shown, contested = await asyncio.gather(
            look, connected(ports, agents.topology, service), contested_now(ports, agents.topology, service)
        )
        return replace(observed, connected=shown, contested=contested)
    began = ports.clock.now()
    etag = await Records(ports.documents).etag(agents.topology, service)
    (at, readings), reading, own = await asyncio.gather(
        agents.read_lasting(service, again), balancer(ports, agents.topology, service), own_checks(agents, service)
    )
    return Observed(min(began, at), {**readings, **own}, reading, etag)


async def own_checks(agents: AgentReadings, service: Service) -> Mapping[str, MemberReading]:
    """The members without an agent of a service, with what the app's own checks of them find."""
    topology, checks = agents.topology, agents.ports.member_checks
    bare = [topology.speaker(name) for name in service.names if name in topology.appliances]
    reached = await asyncio.gather(*(checks.reaches(speaker, topology.timing.observe_fast) for speaker in bare))
    return {speaker.name: Appliance(value) for speaker, value in zip(bare, reached, strict=True)}


async def agents(ports: Ports, topology: Topology, deadline: timedelta) -> Mapping[str, MemberReading]:
    """The status of every commanded agent, all requested at once; NO_ANSWER for those that `deadline` cut off. Members
    without an agent are in it as what they are."""
    names = sorted(topology.commanded)
    tasks = {name: asyncio.ensure_future(_status(ports, topology, topology.speaker(name), deadline)) for name in names}
    try:
        await _answers(ports, topology, tasks, deadline)
    finally:
        for task in tasks.values():
            task.cancel()
    answered = {name: task.result() if _answered(task) else NO_ANSWER for name, task in tasks.items()}
    return answered | dict.fromkeys(topology.appliances, Appliance())


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
        done, _ = await asyncio.wait(silent.values(), timeout=ends - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        silent = {name: task for name, task in silent.items() if not task.done()}
        if not done or not silent:
            return
        answered = {name: task.result() for name, task in tasks.items() if task.done()}
        seen = Observed(ports.clock.now(), answered)
        if all(_is_given_up(name, seen) for name in silent):
            await asyncio.wait(silent.values(), timeout=topology.timing.gossip_period.total_seconds())
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
