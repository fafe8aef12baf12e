"""Looks at the world, in parallel and within a deadline; what did not answer is UNKNOWN, never BAD."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from function_app.domain.base.errors import HopkeeperError
from function_app.domain.service.health import seen_by_peers
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.observation import (
    AgentReading,
    AgentStatus,
    BalancerReading,
    Observed,
    Unreachable,
    Value,
)
from function_app.domain.service.ranked.paths import Order, Path
from function_app.domain.topology.model import Service, Speaker, Topology
from function_app.reconcile.ports import Ports


class Agents:
    """The agents as one pass sees them: asked once for all services, and again for a service that lost a race.

    A look is as old as its question: who sleeps before the answer must not take it for news.
    """

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self._ports = ports
        self._topology = topology
        self._first: asyncio.Future[tuple[datetime, Mapping[str, AgentReading]]] | None = None

    async def asked(self, again: bool = False) -> tuple[datetime, Mapping[str, AgentReading]]:
        """When they were asked, and what they said."""
        if again or self._first is None:
            self._first = asyncio.ensure_future(self._ask())
        return await self._first

    async def _ask(self) -> tuple[datetime, Mapping[str, AgentReading]]:
        at = self._ports.clock.now()
        return at, await agents(self._ports, self._topology, self._topology.timing.observe_fast)

    def watch(self, service: Service) -> Callable[[bool], Awaitable[Observed]]:
        """How one service looks at the agents alone."""

        async def look(again: bool) -> Observed:
            at, readings = await self.asked(again)
            return Observed(at, readings, ordered=ordered(self._topology, service, readings))

        return look


async def agents(ports: Ports, topology: Topology, deadline: timedelta) -> Mapping[str, AgentReading]:
    """Asks every agent that has a part at once.

    Once all who have answered say that the rest is dead, on gossip and on the probe port, that is waited for no longer
    than for one more heartbeat: an agent that is there has answered by then, and the peers have waited before us.
    """
    loop = asyncio.get_running_loop()
    asked = {name: _ask(ports, topology, topology.speaker(name), deadline) for name in sorted(topology.commanded)}
    tasks = {name: asyncio.ensure_future(question) for name, question in asked.items()}
    ends = loop.time() + deadline.total_seconds()
    try:
        while pending := [task for task in tasks.values() if not task.done()]:
            done, _ = await asyncio.wait(pending, timeout=ends - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            silent = {name: task for name, task in tasks.items() if not task.done()}
            if silent and all(_given_up(name, tasks, ports) for name in silent):
                await asyncio.wait(silent.values(), timeout=topology.timing.gossip_period.total_seconds())
                break
    finally:
        for task in tasks.values():
            task.cancel()
    nothing = Unreachable("no answer in time")
    return {n: task.result() if task.done() and not task.cancelled() else nothing for n, task in tasks.items()}


async def _ask(ports: Ports, topology: Topology, speaker: Speaker, deadline: timedelta) -> AgentReading:
    return await ports.agents.status(topology.name, speaker, deadline)


def _given_up(name: str, tasks: Mapping[str, asyncio.Future[AgentReading]], ports: Ports) -> bool:
    """Whether everyone who answered and can tell says that `name` is dead."""
    answered = {n: task.result() for n, task in tasks.items() if task.done()}
    return seen_by_peers(name, Observed(ports.clock.now(), answered)) is Value.BAD


def ordered(topology: Topology, service: Service, readings: Mapping[str, AgentReading]) -> Mapping[str, Order]:
    """What announcers of a ranked service say they were last ordered; one that names nobody we know says nothing."""
    if not kind_of(service).is_ranked:
        return {}
    names = {topology.speaker(name).address: name for name in service.names}
    found: dict[str, Order] = {}
    for announcer in service.announcers:
        reading = readings.get(announcer)
        mine = reading.services.get(service.name) if isinstance(reading, AgentStatus) else None
        if mine is None or not mine.advertised or {a.prefix for a in mine.advertised} != set(service.prefixes):
            continue
        paths = {(a.next_hop, a.prepend) for a in mine.advertised}
        next_hop, prepend = next(iter(paths))
        if len(paths) == 1 and next_hop in names:
            found[announcer] = Order(*mine.advertised_turn, Path(prepend + 1, names[next_hop]))
    return found


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
