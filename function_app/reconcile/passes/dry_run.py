"""What a slow pass would do first, and why: the same decisions and guards, with no effects and nothing written."""

import asyncio
from collections.abc import Mapping
from typing import Any

from function_app.domain.service.health import judge
from function_app.domain.service.observation import BalancerReading, Observed
from function_app.domain.topology.model import Service
from function_app.reconcile import observe
from function_app.reconcile.networks import keep_networks
from function_app.reconcile.passes.service import preview
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.peerings.told import told_slots, told_steps
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.journal import describe
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import InForce


async def plan(ports: Ports, in_force: InForce) -> Mapping[str, Any]:
    """The plan as plain data: per Route Server the steps and refusals, per service the decision and its evidence."""
    topology = in_force.topology
    agents = await observe.agents(ports, topology, topology.timing.observe_fast)
    balancers = await asyncio.gather(*(observe.balancer(ports, topology, s) for s in topology.services))
    memberships = await asyncio.gather(
        *(keep_membership(ports, topology, s, dry_run=True) for s in topology.route_servers)
    )
    records = await Records(ports.documents).load_all(topology, ports.clock.now())
    networks = await keep_networks(ports, topology, tuple(memberships), records, dry_run=True)
    looks = [Observed(ports.clock.now(), agents, balancer) for balancer in balancers]
    services = [await _service(ports, in_force, s, seen) for s, seen in zip(topology.services, looks, strict=True)]
    return {
        "topology": topology.name,
        "generation": in_force.generation,
        "problems": [str(p) for p in in_force.problems],
        "dryRun": True,
        "peerings": [
            {
                "routeServer": m.server,
                "slots": told_slots(m),
                "steps": told_steps(m),
                "refused": list(m.outcome.reasons),
            }
            for m in memberships
        ],
        "networks": {
            "steps": [
                {"target": step.target.name, "flags": {str(flag): value for flag, value in step.flags}, "why": step.why}
                for step in networks.steps
            ],
            "refused": list(networks.outcome.reasons),
        },
        "services": services,
    }


async def _service(ports: Ports, in_force: InForce, service: Service, observed: Observed) -> Mapping[str, Any]:
    topology = in_force.topology
    look, decision = await preview(topology, service, observed, ports)
    before = look.record
    return {
        "service": service.name,
        "phase": before.phase,
        "next": decision.record.phase,
        "epoch": decision.record.epoch,
        "holder": before.holder,
        "target": decision.record.target,
        "effects": [describe(effect) for effect in decision.effects],
        "because": list(decision.because),
        "held": list(decision.held),
        "evidence": {n: list(judge(look, n).evidence) for n in service.names},
        "loadBalancer": "read" if isinstance(observed.balancer, BalancerReading) else observed.balancer,
    }


def what_it_would_do(planned: Mapping[str, Any]) -> tuple[str, ...]:
    """A plan in a line each: the steps, the effects, and what is held."""
    steps = [
        f"{p['routeServer']}: would {step['step']} {step['peering']}: {step['why']}"
        for p in planned["peerings"]
        for step in p["steps"]
    ]
    effects = [f"{s['service']}: would {effect}" for s in planned["services"] for effect in s["effects"]]
    held = [f"{s['service']}: held: {why}" for s in planned["services"] for why in s["held"]]
    return (*steps, *effects, *held)
