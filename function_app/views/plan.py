"""The plan as a person reads it: by Route Server, network and service what a pass would do first, and what keeps it from more."""

from collections.abc import Iterator

from msgspec import UNSET
from msgspec.structs import replace

from function_app.reconcile.documents.plan import NetworkPlan, PeeringPlan, Plan, ServicePlan, Step


def plan_lines(plan: Plan) -> Iterator[str]:
    """For a terminal. Where nothing would be done it says so."""
    yield f"{plan.topology}: what a pass would do first; nothing is done now"
    yield from (f"  its document: {problem}" for problem in plan.problems)
    for peerings in plan.peerings:
        yield from _peerings(peerings)
    yield from _networks(plan.networks)
    for service in plan.services:
        yield from _service(service)


def step_lines(plan: Plan) -> Iterator[str]:
    """The same, without evidence."""
    bare = replace(plan, services=tuple(replace(service, evidence={}) for service in plan.services))
    return plan_lines(bare)


def _peerings(plan: PeeringPlan) -> Iterator[str]:
    yield f"{plan.route_server}: {_what(plan.steps)}"
    if plan.slots is not None:
        yield f"  {plan.slots.said}"
    yield from (f"  {_step(step)}" for step in plan.steps)
    yield from (f"  refused: {_of(plan.route_server, why)}" for why in plan.refused)


def _networks(plan: NetworkPlan) -> Iterator[str]:
    if not plan.steps and not plan.refused:
        return
    yield f"networks: {_what(plan.steps)}"
    for repair in plan.steps:
        flags = ", ".join(f"{name}: {value}" for name, value in repair.flags.items())
        yield f"  repair {repair.target} ({flags}): {repair.why}"
    yield from (f"  refused: {why}" for why in plan.refused)


def _service(plan: ServicePlan) -> Iterator[str]:
    yield f"{plan.service}: {plan.phase}, {_who(plan)}; {_what(plan.effects)}"
    if (plan.next, plan.effects) != (plan.phase, ()):
        yield f"  then   {plan.next}, epoch {plan.epoch}" + (f", {plan.target} is to serve" if plan.target else "")
    yield from (f"  does   {effect}" for effect in plan.effects)
    yield from (f"  because {why}" for why in plan.because)
    yield from (f"  held: {_of(plan.service, why)}" for why in plan.held)
    if plan.load_balancer not in (None, "read"):
        yield f"  its load balancer: {plan.load_balancer}"
    for member, readings in sorted(plan.evidence.items()):
        yield from (f"  {member}: {reading}" for reading in readings)


def _who(plan: ServicePlan) -> str:
    return "no holder is known" if plan.holder is None else f"{plan.holder} serves"


def _what(steps: tuple[object, ...]) -> str:
    return f"{len(steps)} step{'s' * (len(steps) > 1)}" if steps else "nothing to do"


def _step(step: Step) -> str:
    waits = "" if step.blocked is UNSET else " (waits for another one to go)"
    away = "" if step.exposure_seconds is UNSET else f"; without a peering for {step.exposure_seconds:g} s"
    return f"{step.step} {step.peering}{waits}: {step.why}{away}"


def _of(name: str, why: str) -> str:
    return why.removeprefix(f"{name}: ")
