"""Keeps one Route Server's peerings as the topology wants them: one permitted step a pass. Slow passes only."""

from dataclasses import dataclass

from function_app.domain.errors import HopkeeperError, Transient
from function_app.domain.guards import PeeringContext, refuse
from function_app.domain.peerings import (
    CreatePeering,
    Peering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
    is_ours,
    plan,
)
from function_app.domain.topology import RouteServer, Topology
from function_app.reconcile.outcome import CONVERGED, Ending, Outcome
from function_app.reconcile.ports import Ports


@dataclass(frozen=True, slots=True)
class Membership:
    """What one look at one Route Server led to; `reading` is None where it could not be read."""

    server: str
    reading: RouteServerReading | None
    outcome: Outcome
    steps: tuple[PeeringStep, ...] = ()

    def own(self, topology: Topology) -> tuple[Peering, ...]:
        return tuple(p for p in self.reading.peerings if is_ours(p.name, topology.name)) if self.reading else ()


async def keep_membership(ports: Ports, topology: Topology, server: RouteServer, dry_run: bool = False) -> Membership:
    """Reads a fresh, complete list and takes the first permitted step; the next one after another look."""
    again = topology.timing.doubt_poll
    try:
        reading = await ports.route_servers.read(server)
    except HopkeeperError as error:
        return Membership(server.name, None, Outcome(Ending.HELD, (f"{server.name}: {error}",), again))
    wanted = plan(topology, server, reading)
    context = PeeringContext(topology, reading)
    refused = {step: refuse(step, context) for step in wanted.steps}
    permitted = [step for step, refusals in refused.items() if not refusals]
    reasons = [f"{server.name}: {held}" for held in wanted.held]
    reasons += [f"{server.name}: {step.name}: {refusal}" for step, refusals in refused.items() for refusal in refusals]
    if dry_run:
        ending = Ending.PENDING if permitted else Ending.REFUSED if reasons else Ending.CONVERGED
        return Membership(server.name, reading, Outcome(ending, tuple(reasons)), wanted.steps)
    if permitted:
        outcome = await _take(ports, topology, server, permitted[0])
        return Membership(server.name, reading, outcome, wanted.steps)
    in_flight = any(p.state in (Provisioning.UPDATING, Provisioning.DELETING) for p in reading.peerings)
    if wanted.steps:
        ending = Ending.PENDING if in_flight else Ending.REFUSED
        return Membership(server.name, reading, Outcome(ending, tuple(reasons), again), wanted.steps)
    if in_flight:
        return Membership(
            server.name, reading, Outcome(Ending.PENDING, (f"{server.name}: a peering is being written",), again)
        )
    held = Outcome(Ending.HELD, tuple(reasons)) if reasons else CONVERGED
    return Membership(server.name, reading, held)


async def _take(ports: Ports, topology: Topology, server: RouteServer, step: PeeringStep) -> Outcome:
    """Starts one write and does not wait for it: it takes minutes (azure-facts), and the next pass looks at it."""
    again = topology.timing.doubt_poll
    try:
        if isinstance(step, CreatePeering):
            await ports.route_servers.create(server, step)
        else:
            await ports.route_servers.delete(server, step)
    except HopkeeperError as error:
        later = error.retry_after if isinstance(error, Transient) else again
        return Outcome(Ending.HELD, (f"{server.name}: {step.name}: {error}",), max(again, later))
    return Outcome(Ending.PENDING, (f"{server.name}: {type(step).__name__} {step.name}: {step.why}",), again)
