"""Looks at the world, in parallel and within a deadline; what did not answer is UNKNOWN, never BAD."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from function_app.domain.errors import HopkeeperError
from function_app.domain.health import seen_by_peers
from function_app.domain.observation import AgentReading, BalancerReading, Observed, Unreachable, Value
from function_app.domain.topology import Service, Speaker, Topology
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

    async def seen(self, again: bool) -> Observed:
        """A look at the agents alone."""
        return Observed(*await self.asked(again))


async def agents(ports: Ports, topology: Topology, deadline: timedelta) -> Mapping[str, AgentReading]:
    """Asks every member's agent at once.

    One that its peers report dead is waited for no longer than it takes to miss `gossipFall` heartbeats.
    """
    members = sorted({name for service in topology.services for name in service.names})
    asked = {name: _ask(ports, topology, topology.speaker(name), deadline) for name in members}
    tasks = {name: asyncio.ensure_future(question) for name, question in asked.items()}
    soon = topology.timing.dead_member_timeout
    try:
        await _wait(tasks.values(), min(soon, deadline))
        if any(not _given_up(name, tasks, ports) for name in members if not tasks[name].done()):
            await _wait(tasks.values(), deadline - soon)
    finally:
        for task in tasks.values():
            task.cancel()
    silent = Unreachable("no answer in time")
    return {n: task.result() if task.done() and not task.cancelled() else silent for n, task in tasks.items()}


async def _ask(ports: Ports, topology: Topology, speaker: Speaker, deadline: timedelta) -> AgentReading:
    return await ports.agents.status(topology.name, speaker, deadline)


async def _wait(tasks: Iterable[asyncio.Future[AgentReading]], timeout: timedelta) -> None:
    pending = [task for task in tasks if not task.done()]
    if pending and timeout > timedelta(0):
        await asyncio.wait(pending, timeout=timeout.total_seconds())


def _given_up(name: str, tasks: Mapping[str, asyncio.Future[AgentReading]], ports: Ports) -> bool:
    """Whether everyone who answered and can tell says that `name` is dead."""
    answered = {n: task.result() for n, task in tasks.items() if task.done()}
    return seen_by_peers(name, Observed(ports.clock.now(), answered)) is Value.BAD


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
