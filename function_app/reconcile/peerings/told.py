"""A Route Server's places and the steps that are due, as plain data: the same in `hopkeeper plan` and in the status."""

from typing import Any

from function_app.domain.peerings.model import DeletePeering, PeeringStep
from function_app.reconcile.peerings.keep import Membership


def told_slots(membership: Membership) -> dict[str, Any] | None:
    """The arithmetic, and whom it leaves out; None where the Route Server could not be read."""
    if membership.plan is None:
        return None
    slots = membership.plan.allotment
    return {
        "most": slots.most,
        "taken": slots.taken,
        "foreign": list(slots.foreign),
        "room": slots.room,
        "wanted": slots.wanted,
        "waiting": [s.name for s in slots.waiting],
        "said": slots.refused or slots.arithmetic,
    }


def told_steps(membership: Membership) -> list[dict[str, Any]]:
    """In the order in which they would be taken; `exposureSeconds` where a speaker is without a peering meanwhile."""
    plan = membership.plan
    return [_step(s, s in plan.blocked) for s in membership.steps] if plan is not None else []


def _step(step: PeeringStep, blocked: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"step": type(step).__name__, "peering": step.name, "why": step.why}
    if isinstance(step, DeletePeering) and step.exposure is not None:
        told["exposureSeconds"] = step.exposure.total_seconds()
    return told | ({"blocked": True} if blocked else {})
