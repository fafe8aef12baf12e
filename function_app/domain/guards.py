"""The guards: pure predicates that each step must pass, in one commented tuple a list, with the reason when it does not.

They only take away. What a step needs for being right at all (proofs, epochs) stands in `decide`; what every effect
owes at execution stands in `reconcile.act`; what a topology must keep stands in `topology_laws` (safety.md section 5).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from function_app.domain.observation import AdminState, Observed
from function_app.domain.peerings import (
    CreatePeering,
    DeletePeering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
    is_ours,
)
from function_app.domain.record import Record
from function_app.domain.topology import Service, Topology


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that may not be taken, the guard that spoke, and why."""

    guard: str
    reason: str

    def __str__(self) -> str:
        return f"{self.guard}: {self.reason}"


# --- services --------------------------------------------------------------------------------------------------------


def _nothing_is_up(service: Service, observed: Observed, record: Record) -> str | None:
    up = [n for n in service.names if (b := observed.backend(n)) is not None and b.admin_state is AdminState.UP]
    return f"adminState of {', '.join(up)} is Up, which ignores the probe for ever: set it to None" if up else None


def _members_are_known(service: Service, observed: Observed, record: Record) -> str | None:
    strangers = sorted((record.may_serve | record.owed) - set(service.names))
    return (
        f"{', '.join(strangers)} may still be serving but left the topology: put it back, or drain it"
        if strangers
        else None
    )


type ServiceGuard = Callable[[Service, Observed, Record], str | None]

SERVICE_GUARDS: tuple[ServiceGuard, ...] = (
    _nothing_is_up,  # a forbidden configuration freezes the service: no fence could hold there
    _members_are_known,  # nobody who may be serving is forgotten: it could not be fenced
)


def refuse_service(service: Service, observed: Observed, record: Record) -> tuple[Refusal, ...]:
    """Why nothing at all may be done to this service now; empty when it may."""
    return _spoken((guard, guard(service, observed, record)) for guard in SERVICE_GUARDS)


# --- peerings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeeringContext:
    """What a peering guard may look at: the topology and a fresh, complete list."""

    topology: Topology
    reading: RouteServerReading


def _own_only(step: PeeringStep, context: PeeringContext) -> str | None:
    return None if is_ours(step.name, context.topology.name) else f"{step.name!r} is not ours"


def _one_write_in_flight(step: PeeringStep, context: PeeringContext) -> str | None:
    busy = [p.name for p in context.reading.peerings if p.state in (Provisioning.UPDATING, Provisioning.DELETING)]
    return f"{', '.join(busy)} is being written: one write at a time per Route Server" if busy else None


def _route_server_is_provisioned(step: PeeringStep, context: PeeringContext) -> str | None:
    return None if context.reading.provisioned else "the Route Server is not provisioned yet"


def _at_most_eight(step: PeeringStep, context: PeeringContext) -> str | None:
    there = {p.name.casefold() for p in context.reading.peerings}
    most = context.topology.timing.peers_max
    if not isinstance(step, CreatePeering) or step.name.casefold() in there or len(there) < most:
        return None
    foreign = [p.name for p in context.reading.peerings if not is_ours(p.name, context.topology.name)]
    named = f"; not ours: {', '.join(sorted(foreign))}" if foreign else ""
    return f"{len(there)} of {most} peers are taken (Updating, Deleting, Failed and foreign ones count){named}"


def _last_announcer_is_kept(step: PeeringStep, context: PeeringContext) -> str | None:
    if not isinstance(step, DeletePeering) or not context.topology.services:
        return None
    left = [
        p.name
        for p in context.reading.peerings
        if p.name != step.name and is_ours(p.name, context.topology.name) and p.state is Provisioning.SUCCEEDED
    ]
    return None if left else f"{step.name!r} is the last peering that announces for this topology"


type PeeringGuard = Callable[[PeeringStep, PeeringContext], str | None]

PEERING_GUARDS: tuple[PeeringGuard, ...] = (
    _own_only,  # never somebody else's, whatever the plan says
    _route_server_is_provisioned,  # a write meanwhile answers 409 HubBgpConnectionParentHubMustHaveProvisionedRoutingState
    _one_write_in_flight,  # a second write answers 409 or 429: wait for the first
    _at_most_eight,  # the ninth would be refused by Azure, or worse, accepted for somebody else's place
    _last_announcer_is_kept,  # removing it would withdraw the service's prefixes
)


def refuse_peering(step: PeeringStep, context: PeeringContext) -> tuple[Refusal, ...]:
    """Why this step may not be taken now; empty when it may."""
    return _spoken((guard, guard(step, context)) for guard in PEERING_GUARDS)


def _spoken(answers: Iterable[tuple[Callable[..., object], str | None]]) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(guard.__name__.removeprefix("_").replace("_", " "), reason)
        for guard, reason in answers
        if reason is not None
    )
