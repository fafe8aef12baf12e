"""An operator's order for one service, taken or refused within the call, and carried out like any fast pass."""

from function_app.domain.service.orders import Order, RehearseOrder, verb_of
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import observe, trace
from function_app.reconcile.act.rehearse import rehearse
from function_app.reconcile.passes.come_back import come_back
from function_app.reconcile.passes.outcome import Outcome, Pace
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.topologies import InForce
from function_app.reconcile.telemetry import TRIGGER


async def operate(ports: Ports, in_force: InForce, service: Service, order: Order) -> Outcome:
    """Looks at the agents, takes the order or refuses it, and goes on as a fast pass does."""
    trigger = f"order: {verb_of(order)} by {order.by}"
    with trace.span(ports, TRIGGER, trigger=trigger, topology=in_force.topology.name):
        if isinstance(order, RehearseOrder):
            return await rehearse(ports, in_force, service, order)
        return await _carried_out(ports, in_force.topology, service, order, trigger)


async def _carried_out(ports: Ports, topology: Topology, service: Service, order: Order, trigger: str) -> Outcome:
    service_pass = ServicePass(ports, topology, service, Pace.FAST, trigger, ports.clock.now())
    agents = observe.AgentReadings(ports, topology)
    watch = observe.watch_with_pool(agents, service) if order.reads_pool else agents.watch(service)
    outcome = await service_pass.run(watch, order)
    if outcome.retry_after is not None:
        await come_back(ports, topology.name, outcome.retry_after)
    return outcome
