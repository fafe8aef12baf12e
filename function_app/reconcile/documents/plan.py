"""What a slow pass would do first: per Route Server its steps and refusals, per service the decision and its evidence."""

from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.domain.networks.flags import RepairFlags
from function_app.domain.peerings.model import DeletePeering, PeeringStep
from function_app.reconcile.documents.part import Part
from function_app.reconcile.peerings.keep import Membership


class Slots(Part, frozen=True, kw_only=True):
    """The places of a Route Server: `most` there can be, `taken` now, `room` left by the `foreign` ones, `wanted` by
    speakers of the topology, of which `waiting` get none. `said` is the arithmetic in words, or why it is refused."""

    most: int
    taken: int
    foreign: tuple[str, ...]
    room: int
    wanted: int
    waiting: tuple[str, ...]
    said: str


class Step(Part, frozen=True, kw_only=True):
    """One write to a Route Server. `exposureSeconds`: how long a speaker is without a peering meanwhile. `blocked`: wanted,
    but another peering has to go first."""

    step: str
    peering: str
    why: str
    exposure_seconds: float | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET


class PeeringPlan(Part, frozen=True, kw_only=True):
    """`slots` is null where the Route Server could not be read; `steps` come in the order in which they are taken."""

    route_server: str
    slots: Slots | None
    steps: tuple[Step, ...]
    refused: tuple[str, ...]


class Repair(Part, frozen=True, kw_only=True):
    """The flags that would be written of one network peering or Route Server."""

    target: str
    flags: dict[str, bool | str]
    why: str


class NetworkPlan(Part, frozen=True, kw_only=True):
    """Repairs of flags, and what keeps them from being made."""

    steps: tuple[Repair, ...]
    refused: tuple[str, ...]


class ServicePlan(Part, frozen=True, kw_only=True):
    """`phase` and `holder` as recorded, `next`, `epoch` and `target` after the first step. `evidence` by member;
    `loadBalancer` is "read", why it could not be read, or null where the service has none."""

    service: str
    phase: str
    next: str
    epoch: int
    holder: str | None
    target: str | None
    effects: tuple[str, ...]
    because: tuple[str, ...]
    held: tuple[str, ...]
    evidence: dict[str, tuple[str, ...]]
    load_balancer: str | None


class Plan(Part, frozen=True, kw_only=True):
    """`generation` is the version of the topology in force; `problems` say why that is not the newest document."""

    schema: Literal["hopkeeper/plan/1"] = "hopkeeper/plan/1"
    topology: str
    generation: str
    problems: tuple[str, ...]
    dry_run: bool = True
    peerings: tuple[PeeringPlan, ...]
    networks: NetworkPlan
    services: tuple[ServicePlan, ...]


class Plans(Part, frozen=True, kw_only=True):
    """The plans of every topology."""

    schema: Literal["hopkeeper/plans/1"] = "hopkeeper/plans/1"
    plans: tuple[Plan, ...]


def slots(membership: Membership) -> Slots | None:
    if membership.plan is None:
        return None
    allotment = membership.plan.allotment
    return Slots(
        most=allotment.most,
        taken=allotment.taken,
        foreign=allotment.foreign,
        room=allotment.room,
        wanted=allotment.wanted,
        waiting=tuple(speaker.name for speaker in allotment.waiting),
        said=allotment.refused or allotment.arithmetic,
    )


def steps(membership: Membership) -> tuple[Step, ...]:
    blocked = membership.plan.blocked if membership.plan is not None else ()
    return tuple(_step(step, step in blocked) for step in membership.steps)


def _step(step: PeeringStep, blocked: bool) -> Step:
    exposure = step.exposure if isinstance(step, DeletePeering) else None
    return Step(
        step=type(step).__name__,
        peering=step.name,
        why=step.why,
        exposure_seconds=UNSET if exposure is None else exposure.total_seconds(),
        blocked=True if blocked else UNSET,
    )


def peering_plan(membership: Membership) -> PeeringPlan:
    return PeeringPlan(
        route_server=membership.server,
        slots=slots(membership),
        steps=steps(membership),
        refused=membership.outcome.reasons,
    )


def repair(step: RepairFlags) -> Repair:
    return Repair(target=step.target.name, flags={str(flag): value for flag, value in step.flags}, why=step.why)
