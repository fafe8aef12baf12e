"""Keeps one Route Server's peerings as the topology wants them: one permitted step a pass. Slow passes only."""

from dataclasses import dataclass
from datetime import timedelta

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
from function_app.domain.peerings.scale_sets import Fleet, Instance, may_be_alive, with_instances
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.model import RouteServer, ScaleSet, Topology
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
    """Reads a fresh, complete list and takes the next step if it is permitted; the one after it after another look.

    Raises nothing of ours: a Route Server that cannot be read, or that refuses a write, is an outcome.
    """
    deletes = DeletesOf(ports, topology, server)
    try:
        fleet, context, wanted = await _look(ports, topology, server, deletes)
        if not dry_run:
            await deletes.withdrawn((*wanted.steps, *wanted.blocked))
    except HopkeeperError as error:
        again = topology.timing.doubt_poll
        return Membership(server.name, None, Outcome(Ending.FAILED, (f"{server.name}: {error}",), again))
    refused = {step: refuse(step, context) for step in (*wanted.steps[:1], *wanted.blocked)}
    permitted = [step for step in wanted.steps[:1] if not refused[step]]
    reasons = _reasons(server, wanted, refused) + tuple(f"{server.name}: {text}" for text in fleet.notes)
    if dry_run:
        outcome = Outcome(Ending.PENDING) if permitted else _at_rest(context, server, wanted, refused)
    elif permitted:
        outcome = await _take(ports, context, deletes, permitted[0])
    else:
        outcome = _at_rest(context, server, wanted, refused)
    if fleet.unlisted and outcome.ending is Ending.CONVERGED:
        outcome = Outcome(Ending.HELD)
    outcome = Outcome(outcome.ending, outcome.reasons + reasons, outcome.retry_after)
    return Membership(server.name, context.reading, outcome, wanted)


async def _look(
    ports: Ports, topology: Topology, server: RouteServer, deletes: DeletesOf
) -> tuple[Fleet, PeeringContext, PeeringPlan]:
    """The Route Server as it is, with what guards need for a step on it. Raises HopkeeperError."""
    reading = await ports.route_servers.read(server)
    fleet = await _fleet(ports, topology, server, reading)
    wanted = plan(fleet.topology, server, reading)
    holders = frozenset[str]()
    deleting = any(isinstance(step, DeletePeering) for step in wanted.steps)
    if deleting or topology.scale_sets:
        await deletes.load()
    if deleting:
        holders = await _holders(ports, fleet.topology)
    return fleet, PeeringContext(fleet.topology, reading, deletes.last, holders, fleet.possible), wanted


async def _fleet(ports: Ports, topology: Topology, server: RouteServer, reading: RouteServerReading) -> Fleet:
    """The topology with the instances of its scale sets; one that cannot be listed keeps the speakers it has."""
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
    """The members that serve with their own address as next hop."""
    records = Records(ports.documents)
    services = [s for s in topology.services if kind_of(s).holder_announces]
    held = [await records.load(topology, service, ports.clock.now()) for service in services]
    return frozenset(one.record.holder for one in held if one.record.holder is not None)


def _reasons(
    server: RouteServer, wanted: PeeringPlan, refused: dict[PeeringStep, tuple[Refusal, ...]]
) -> tuple[str, ...]:
    """What an operator should know, whether or not a step is taken."""
    slots = wanted.allotment
    reasons = list(wanted.held)
    if slots.refused is not None:
        reasons.append(slots.refused)
    if slots.waiting:
        reasons.append(f"{slots.arithmetic}; waiting: {', '.join(s.name for s in slots.waiting)}")
    reasons += [f"{step.name}: {refusal}" for step, refusals in refused.items() for refusal in refusals]
    reasons += [f"{s.name}: nothing can take its place yet" for s in wanted.blocked if not refused[s]]
    return tuple(f"{server.name}: {text}" for text in reasons)


def _at_rest(
    context: PeeringContext,
    server: RouteServer,
    wanted: PeeringPlan,
    refused: dict[PeeringStep, tuple[Refusal, ...]],
) -> Outcome:
    """How a pass ends that takes no step.

    | there is                                              | ending                                    |
    |-------------------------------------------------------|-------------------------------------------|
    | a peering that Azure is writing                       | PENDING                                   |
    | a step that only has to wait                          | PENDING, until then                       |
    | another step, a blocked one, or too few places        | REFUSED                                   |
    | something that is wanted and not planned              | HELD                                      |
    | nothing                                               | CONVERGED                                 |
    """
    again = context.topology.timing.doubt_poll
    if any(p.state in (Provisioning.UPDATING, Provisioning.DELETING) for p in context.reading.peerings):
        return Outcome(Ending.PENDING, (f"{server.name}: a peering is being written",), again)
    wait = _wait(refused[wanted.steps[0]]) if wanted.steps else None
    if wait is not None:
        return Outcome(Ending.PENDING, (), max(again, wait))
    if wanted.steps or wanted.blocked or wanted.allotment.refused is not None:
        return Outcome(Ending.REFUSED, (), again)
    return Outcome(Ending.HELD if wanted.held else Ending.CONVERGED)


def _wait(refusals: tuple[Refusal, ...]) -> timedelta | None:
    """How long until every guard would let the step through; None where one refuses for another reason than time."""
    waits = [refusal.wait for refusal in refusals if refusal.wait is not None]
    return max(waits) if waits and len(waits) == len(refusals) else None


def _is_unsure(context: PeeringContext, step: DeletePeering) -> bool:
    there = (p for p in context.reading.peerings if p.name.casefold() == step.name.casefold())
    return any(may_be_alive(context.topology, context.server(step), peering) for peering in there)


async def _take(ports: Ports, context: PeeringContext, deletes: DeletesOf, step: PeeringStep) -> Outcome:
    """Starts one write and does not wait for it: it takes minutes (azure-facts.md section 1), and the next pass looks at it."""
    again = context.topology.timing.doubt_poll
    server = context.server(step)
    try:
        if isinstance(step, CreatePeering):
            await ports.route_servers.create(server, step)
        else:
            wait = await deletes.announced_for(step, unsure=_is_unsure(context, step))
            if wait is not None:
                notice = f"{server.name}: {step.name} will be deleted in {wait.total_seconds():.0f} s: {step.why}"
                return Outcome(Ending.PENDING, (notice,), wait)
            await deletes.note(step, context.reading)
            await ports.route_servers.delete(server, step)
    except HopkeeperError as error:
        ending, later = Ending.FAILED, again
        if isinstance(error, Transient):
            ending, later = Ending.PENDING, error.retry_after
        return Outcome(ending, (f"{server.name}: {step.name}: {error}",), max(again, later))
    return Outcome(Ending.PENDING, (f"{server.name}: {type(step).__name__} {step.name}: {step.why}",), again)
