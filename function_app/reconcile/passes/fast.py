"""The fast pass: every service of a topology by its agents alone, at once, beside whatever else is running.

It waits for no lease, no slow pass and no management API, except for the load balancer of a silent member:
what its probe finds, then the fence that a decision requires.
"""

import asyncio

from function_app.domain.service.observation import Unreachable
from function_app.domain.topology.model import Topology
from function_app.reconcile import observe, trace
from function_app.reconcile.passes.finish import converge, finish
from function_app.reconcile.passes.outcome import Outcome, Pace, worst
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.topologies import InForce
from function_app.reconcile.telemetry import PASS


async def fast_pass(ports: Ports, in_force: InForce, trigger: str) -> Outcome:
    """Raises Unavailable where storage does not answer."""
    topology = in_force.topology
    with trace.span(ports, PASS, topology=topology.name, pace=Pace.FAST.value, trigger=trigger) as said:
        outcome = await _services(ports, topology, trigger)
        said["outcome"] = outcome.ending.word
        return await finish(ports, topology, Pace.FAST, trigger, outcome)


async def _services(ports: Ports, topology: Topology, trigger: str) -> Outcome:
    woken = ports.clock.now()
    agents = observe.AgentReadings(ports, topology)
    _, readings = await agents.read()
    silent = any(isinstance(reading, Unreachable) for reading in readings.values())
    if silent and any(service.load_balancer for service in topology.services):
        ports.load_balancers.warm()  # a fence is likely: its SDK takes seconds to import
    parts = (
        converge(ServicePass(ports, topology, s, Pace.FAST, trigger, woken), agents.watch(s)) for s in topology.services
    )
    return worst(tuple(await asyncio.gather(*parts)))
