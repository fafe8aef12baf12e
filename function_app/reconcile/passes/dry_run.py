"""What a slow pass would do first, and why: the same decisions and guards, with no effects and nothing written."""

import asyncio

from function_app.domain.service.health import judge
from function_app.domain.service.observation import BalancerReading
from function_app.domain.topology.model import Service
from function_app.reconcile import observe
from function_app.reconcile.documents.history import effect_text
from function_app.reconcile.documents.plan import NetworkPlan, Plan, ServicePlan, peering_plan, repair
from function_app.reconcile.networks import keep_networks
from function_app.reconcile.passes.outcome import named
from function_app.reconcile.passes.service import preview
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import InForce


async def plan(ports: Ports, in_force: InForce) -> Plan:
    """Per Route Server the steps and refusals, per service the decision and its evidence. Raises Unavailable."""
    topology = in_force.topology
    agents = observe.AgentReadings(ports, topology)
    services = await asyncio.gather(*(_service(agents, service) for service in topology.services))
    memberships = await asyncio.gather(
        *(keep_membership(ports, topology, s, dry_run=True) for s in topology.route_servers)
    )
    records = await Records(ports.documents).load_all(topology, ports.clock.now())
    networks = await keep_networks(ports, topology, tuple(memberships), records, dry_run=True)
    return Plan(
        topology=topology.name,
        generation=in_force.generation,
        problems=tuple(map(str, in_force.problems)),
        peerings=tuple(map(peering_plan, memberships)),
        networks=NetworkPlan(steps=tuple(map(repair, networks.steps)), refused=networks.outcome.reasons),
        services=tuple(services),
    )


async def _service(agents: observe.AgentReadings, service: Service) -> ServicePlan:
    ports, topology = agents.ports, agents.topology
    observed = await observe.one_look(agents, service)
    seen, decision = await preview(topology, service, observed, ports)
    before = seen.record
    return ServicePlan(
        service=service.name,
        phase=before.phase,
        next=decision.record.phase,
        epoch=decision.record.epoch,
        holder=before.holder,
        target=decision.record.target,
        effects=tuple(map(effect_text, decision.effects)),
        because=named(decision.because, topology.name),
        held=named(decision.held, topology.name),
        evidence={name: judge(seen, name).evidence for name in service.names},
        load_balancer="read" if isinstance(observed.balancer, BalancerReading) else observed.balancer,
    )


def reasons(planned: Plan) -> tuple[str, ...]:
    """A plan in a line each, for the outcome of a pass that only observes: steps, effects, and what is held."""
    steps = [
        f"{p.route_server}: would {step.step} {step.peering}: {step.why}" for p in planned.peerings for step in p.steps
    ]
    effects = [f"{s.service}: would {effect}" for s in planned.services for effect in s.effects]
    held = [f"{s.service}: held: {why}" for s in planned.services for why in s.held]
    return (*steps, *effects, *held)
