"""The two speeds of a pass (design sections 1 and 4).

Fast: agents only; waits for no lease, no slow pass, no management API, but for the load-balancer fence that a decision
asks for. Slow: adds Route Servers, load balancers, learned routes and metrics; takes turns to save work.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from function_app.domain.base.errors import HopkeeperError, Transient
from function_app.domain.service.observation import BalancerReading, Observed, Unreachable, Value
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import observe
from function_app.reconcile.act.rehearse import rehearsals, rehearse_adopted
from function_app.reconcile.networks import keep_networks
from function_app.reconcile.passes.come_back import come_back
from function_app.reconcile.passes.outcome import Ending, Outcome, Pace, worst
from function_app.reconcile.passes.service import ServicePass, Watch
from function_app.reconcile.passes.summary import Seen, Summary, keep_summary
from function_app.reconcile.passes.turns import in_turn
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.ports import HealthEvent, Ports
from function_app.reconcile.preflight import SeenInPass, kept_arm_facts, preflight
from function_app.reconcile.routes.verify import Basis, next_hops, verify
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import InForce

log = logging.getLogger("hopkeeper.pass")


@dataclass(frozen=True, slots=True)
class Passes:
    """Runs passes over the ports it was given."""

    ports: Ports

    async def fast(self, in_force: InForce, trigger: str) -> Outcome:
        """Agents only, at once, beside whatever else is running."""
        topology = in_force.topology
        woken = self.ports.clock.now()
        agents = observe.AgentReadings(self.ports, topology)
        silent = any(isinstance(reading, Unreachable) for reading in (await agents.read())[1].values())
        if silent and any(service.load_balancer for service in topology.services):
            self.ports.load_balancers.warm()
        parts = (
            self._converge(ServicePass(self.ports, topology, s, Pace.FAST, trigger, woken), agents.watch(s))
            for s in topology.services
        )
        return await self._over(topology, Pace.FAST, trigger, worst(tuple(await asyncio.gather(*parts))))

    async def slow(self, in_force: InForce, trigger: str) -> Outcome:
        """Everything, but waits for no long-running operation. While another one runs, this is that one's next turn."""

        async def one_pass() -> Outcome:
            return await self._everything(in_force, trigger)

        topology = in_force.topology
        outcome = await in_turn(self.ports, topology.name, topology.timing.slow_pass_lease, one_pass)
        if outcome is None:
            return Outcome(Ending.PENDING, (f"{topology.name}: another pass is running and goes on with this",))
        return await self._over(topology, Pace.SLOW, trigger, outcome)

    async def _everything(self, in_force: InForce, trigger: str) -> Outcome:
        topology = in_force.topology
        woken = self.ports.clock.now()
        agents = observe.AgentReadings(self.ports, topology)
        async with asyncio.TaskGroup() as group:
            arm = group.create_task(kept_arm_facts(self.ports, in_force))
            rehearsed = group.create_task(rehearsals(self.ports, topology))
            servers = [group.create_task(keep_membership(self.ports, topology, s)) for s in topology.route_servers]
            services = {
                s.name: group.create_task(
                    self._see(ServicePass(self.ports, topology, s, Pace.SLOW, trigger, woken), agents)
                )
                for s in topology.services
            }
        seen = {name: task.result() for name, task in services.items()}
        memberships = tuple(task.result() for task in servers)
        records = await Records(self.ports.documents).load_all(topology, self.ports.clock.now())
        hops = next_hops(topology, {name: s.balancer for name, s in seen.items()}, records)
        verification, routes = await verify(self.ports, topology, Basis(memberships, hops, records))
        networks = await keep_networks(self.ports, topology, memberships, records)
        parts = (*(s.outcome for s in seen.values()), *(m.outcome for m in memberships), routes, networks.outcome)
        outcome = worst(parts)
        requested, readings = await agents.read()
        now = self.ports.clock.now()
        report = preflight(topology, arm.result(), SeenInPass(requested, readings, memberships, rehearsed.result()))
        summary = Summary(
            at=now,
            requested=requested,
            in_force=in_force,
            outcome=outcome,
            agents=readings,
            services=seen,
            next_hops=hops,
            memberships=memberships,
            verification=verification,
            networks=networks,
            preflight=report,
        )
        await keep_summary(self.ports, summary)
        settled = frozenset(name for name, s in seen.items() if s.outcome.ending is Ending.CONVERGED)
        await rehearse_adopted(self.ports, in_force, settled, rehearsed.result())
        return outcome

    async def _see(self, service_pass: ServicePass, agents: observe.AgentReadings) -> Seen:
        """One service with its load balancer; metrics and logged events only explain, so they are read beside the rest."""
        topology, service = service_pass.topology, service_pass.service
        explaining = asyncio.ensure_future(self._explain(topology, service))
        balancer: BalancerReading | str | None = None

        async def look(again: bool) -> Observed:
            nonlocal balancer
            observed = await observe.one_look(agents, service, again)
            balancer = observed.balancer
            return observed

        try:
            outcome = await self._converge(service_pass, look)
            metrics, events = await explaining
        finally:
            explaining.cancel()
        return Seen(balancer, outcome, metrics, events)

    async def _explain(
        self, topology: Topology, service: Service
    ) -> tuple[Mapping[str, Value], tuple[HealthEvent, ...]]:
        if service.load_balancer is None:
            return {}, ()
        balancer = service.load_balancer.id
        addresses = {name: topology.speaker(name).address for name in service.names}
        try:
            async with asyncio.timeout(topology.timing.observe_slow.total_seconds()):
                read = await self.ports.metrics.probe_availability(balancer, tuple(addresses.values()))
                events = await self.ports.health_logs.recent(balancer, topology.timing.verify_every)
        except (TimeoutError, HopkeeperError):
            return {}, ()
        return {name: read.get(address, Value.UNKNOWN) for name, address in addresses.items()}, events

    async def _converge(self, service_pass: ServicePass, watch: Watch) -> Outcome:
        """One service's fault never stops another's pass: it is an ending, not an exception."""
        try:
            return await service_pass.run(watch)
        except HopkeeperError as error:
            again = service_pass.topology.timing.doubt_poll
            if isinstance(error, Transient):
                again = max(again, error.retry_after)
            return Outcome(Ending.FAILED, (f"{service_pass.service.name}: {error}",), again)

    async def _over(self, topology: Topology, pace: Pace, trigger: str, outcome: Outcome) -> Outcome:
        """Asks to be woken again when there is something left, and leaves one line behind."""
        if outcome.retry_after is not None:
            await come_back(self.ports, topology.name, outcome.retry_after)
        fields = {
            "topology": topology.name,
            "pace": pace,
            "trigger": trigger,
            "outcome": outcome.ending.word,
            "reasons": "; ".join(outcome.reasons),
        }
        log.info("pass over %s", fields, extra=fields)
        return outcome
