"""Keeps one Route Server's peerings as the topology wants them: one permitted step a pass. Slow passes only."""

from dataclasses import dataclass

from function_app.domain.base.errors import HopkeeperError, Transient
from function_app.domain.base.refusal import Refusal
from function_app.domain.peerings.guards import PeeringContext, refuse
from function_app.domain.peerings.model import (
    CreatePeering,
    DeletePeering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
)
from function_app.domain.peerings.plan import PeeringPlan, plan
from function_app.domain.peerings.scale_sets import Fleet, Instance, with_instances
from function_app.domain.topology.model import Naming, RouteServer, ScaleSet, Topology
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.peerings.deletes import DeletesOf
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.records import Records


@dataclass(frozen=True, slots=True)
class Membership:
    """What one look at one Route Server led to; `reading` is None where it could not be read."""

    server: str
    reading: RouteServerReading | None
    outcome: Outcome
    plan: PeeringPlan | None = None

    @property
    def steps(self) -> tuple[PeeringStep, ...]:
        """What is still to be done, in its order, and then what a guard does not let be done."""
        return (*self.plan.steps, *self.plan.blocked) if self.plan else ()


async def keep_membership(ports: Ports, topology: Topology, server: RouteServer, dry_run: bool = False) -> Membership:
    """Reads a fresh, complete list and takes the next step if it is permitted; the one after it after another look."""
    deletes = DeletesOf(ports, topology, server)
    try:
        reading = await ports.route_servers.read(server)
        fleet = await _fleet(ports, topology, server, reading)
        topology = fleet.topology
        wanted = plan(topology, server, reading)
        holders = frozenset[str]()
        if any(isinstance(step, DeletePeering) for step in wanted.steps):
            await deletes.load()
            holders = await _holders(ports, topology)
    except HopkeeperError as error:
        again = topology.timing.doubt_poll
        return Membership(server.name, None, Outcome(Ending.HELD, (f"{server.name}: {error}",), again))
    context = PeeringContext(topology, reading, deletes.last, holders, fleet.possible)
    refused = {step: refuse(step, context) for step in (*wanted.steps[:1], *wanted.blocked)}
    permitted = [step for step in wanted.steps[:1] if not refused[step]]
    told = _told(server, wanted, refused) + tuple(f"{server.name}: {text}" for text in fleet.told)
    if dry_run:
        outcome = Outcome(Ending.PENDING) if permitted else _at_rest(context, server, wanted, refused)
    elif permitted:
        outcome = await _take(ports, context, deletes, permitted[0])
    else:
        outcome = _at_rest(context, server, wanted, refused)
    if fleet.unlisted and outcome.ending is Ending.CONVERGED:
        outcome = Outcome(Ending.HELD)
    return Membership(
        server.name, reading, Outcome(outcome.ending, outcome.reasons + told, outcome.retry_after), wanted
    )


async def _fleet(ports: Ports, topology: Topology, server: RouteServer, reading: RouteServerReading) -> Fleet:
    """With the instances of its scale sets; of one that cannot be listed nobody is taken for gone, or for new."""
    sets = [scale_set for scale_set in topology.scale_sets if server.name in scale_set.peers_with]
    listed = {scale_set.name: await _instances(ports, scale_set) for scale_set in sets}
    return with_instances(topology, server, reading, listed)


async def _instances(ports: Ports, scale_set: ScaleSet) -> tuple[Instance, ...] | str:
    """A set's instances, or why they are not known."""
    try:
        return await ports.scale_sets.instances(scale_set)
    except HopkeeperError as error:
        return str(error)


async def _holders(ports: Ports, topology: Topology) -> frozenset[str]:
    """Who serves with its own address as next hop."""
    records = Records(ports.documents)
    services = [s for s in topology.services if s.naming is Naming.SELF]
    held = [await records.load(topology, service, ports.clock.now()) for service in services]
    return frozenset(one.record.holder for one in held if one.record.holder is not None)


def _told(server: RouteServer, wanted: PeeringPlan, refused: dict[PeeringStep, tuple[Refusal, ...]]) -> tuple[str, ...]:
    """What an operator should know, whatever is done."""
    slots = wanted.allotment
    told = list(wanted.held)
    if slots.refused is not None:
        told.append(slots.refused)
    if slots.waiting:
        told.append(f"{slots.arithmetic}; waiting: {', '.join(s.name for s in slots.waiting)}")
    told += [f"{step.name}: {refusal}" for step, refusals in refused.items() for refusal in refusals]
    told += [f"{s.name}: nothing can take its place yet" for s in wanted.blocked if not refused[s]]
    return tuple(f"{server.name}: {text}" for text in told)


def _at_rest(
    context: PeeringContext,
    server: RouteServer,
    wanted: PeeringPlan,
    refused: dict[PeeringStep, tuple[Refusal, ...]],
) -> Outcome:
    """How a pass ends that takes no step."""
    again = context.topology.timing.doubt_poll
    if any(p.state in (Provisioning.UPDATING, Provisioning.DELETING) for p in context.reading.peerings):
        return Outcome(Ending.PENDING, (f"{server.name}: a peering is being written",), again)
    waits = [r.wait for step in wanted.steps[:1] for r in refused[step]]
    if waits and all(wait is not None for wait in waits):
        return Outcome(Ending.PENDING, (), max(again, *(wait for wait in waits if wait is not None)))
    if wanted.steps or wanted.blocked or wanted.allotment.refused is not None:
        return Outcome(Ending.REFUSED, (), again)
    return Outcome(Ending.HELD if wanted.held else Ending.CONVERGED)


async def _take(ports: Ports, context: PeeringContext, deletes: DeletesOf, step: PeeringStep) -> Outcome:
    """Starts one write and does not wait for it: it takes minutes (azure-facts), and the next pass looks at it."""
    again = context.topology.timing.doubt_poll
    server = context.server(step)
    try:
        if isinstance(step, CreatePeering):
            await ports.route_servers.create(server, step)
        else:
            wait = await deletes.still_to_tell(step)
            if wait is not None:
                told = f"{server.name}: {step.name} will be deleted in {wait.total_seconds():.0f} s: {step.why}"
                return Outcome(Ending.PENDING, (told,), wait)
            await deletes.note(step, context.reading)
            await ports.route_servers.delete(server, step)
    except HopkeeperError as error:
        later = error.retry_after if isinstance(error, Transient) else again
        return Outcome(Ending.HELD, (f"{server.name}: {step.name}: {error}",), max(again, later))
    return Outcome(Ending.PENDING, (f"{server.name}: {type(step).__name__} {step.name}: {step.why}",), again)
