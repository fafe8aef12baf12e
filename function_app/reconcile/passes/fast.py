"""The fast pass: every service of a topology by its agents alone, at once, beside whatever else is running.

It waits for no lease, no slow pass and no management API, except for the load balancer of a silent member:
what its probe finds, then the fence that a decision requires.
"""

import asyncio

from function_app.reconcile import observe, trace
from function_app.reconcile.passes.finish import converge, finish
from function_app.reconcile.passes.outcome import Outcome, Pace, worst
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.topologies import InForce
from function_app.reconcile.telemetry import PASS


async def fast_pass(
    ports: Ports, in_force: InForce, trigger: str, requested: observe.AgentReadings | None = None
) -> Outcome:
    """`requested`: statuses of its agents that were requested before. Raises Unavailable where storage does not answer."""
    topology = in_force.topology
    with trace.span(ports, PASS, topology=topology.name, pace=Pace.FAST.value, trigger=trigger) as said:
        agents = requested or observe.AgentReadings(ports, topology)
        outcome = await _services(ports, agents, trigger)
        said["outcome"] = outcome.ending.word
        return await finish(ports, topology, Pace.FAST, trigger, outcome)


async def _services(ports: Ports, agents: observe.AgentReadings, trigger: str) -> Outcome:
    woken, topology = ports.clock.now(), agents.topology
    passes = (ServicePass(ports, topology, service, Pace.FAST, trigger, woken) for service in topology.services)
    parts = (converge(each, agents.watch_for_a_step(each.service)) for each in passes)
    try:
        return worst(tuple(await asyncio.gather(*parts)))
    finally:
        agents.close()
