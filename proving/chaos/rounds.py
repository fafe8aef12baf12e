"""Rounds of chaos: something that serves breaks, the Functions host is killed at a chosen step, and all must come right.

| cause       | the fault                                                                | proof               |
|-------------|--------------------------------------------------------------------------|---------------------|
| data path   | the holder's data path is killed; its agent lives and reports            | acknowledgement, F1 |
| whole NVA   | kill -9 of everything on the holder; it boots again once another serves  | load balancer, F2   |
| both        | the same, and the new holder's data path too while the old one is fenced | F1, and a lift      |
| record lost | the record is deleted while the host is dead                             | learning            |
"""

import time
from dataclasses import dataclass
from enum import StrEnum

from proving.chaos.stage import Stage
from proving.chaos.steps import ORDER, Fault, Sight, Step
from tools.processes import ToolError


class Cause(StrEnum):
    """What breaks; see the module."""

    DATA_PATH = "data path"
    WHOLE_NVA = "whole NVA"
    BOTH = "both"
    RECORD_LOST = "record lost"


@dataclass(frozen=True, slots=True)
class Plan:
    """One round: what breaks, and at which step the host is killed."""

    cause: Cause
    step: Step


_BY_AGENT = (Step.NOTICED, Step.OPENED, Step.FENCED, Step.GRANTED, Step.PROMOTED, Step.SERVING, Step.VERIFIED)
_BY_BALANCER = (
    *(Step.NOTICED, Step.OPENED, Step.DOWN_ACCEPTED, Step.DOWN_IN_EFFECT),
    *(Step.GRANTED, Step.PROMOTED, Step.SERVING, Step.VERIFIED),
    *(Step.ACKNOWLEDGED, Step.LEFT, Step.BELIEVED_LESS, Step.LIFT_ACCEPTED, Step.LIFT_IN_EFFECT, Step.RELEASED),
)
_LIFTING_THE_TARGET = (Step.GRANTED, Step.TARGET_BELIEVED_LESS, Step.TARGET_LIFT_ACCEPTED, Step.PROMOTED)


def plans() -> tuple[Plan, ...]:
    """One cycle: every step of every cause, failovers by agent and by load balancer alternating."""
    by_agent = [Plan(Cause.DATA_PATH, step) for step in _BY_AGENT]
    by_balancer = [Plan(Cause.WHOLE_NVA, step) for step in _BY_BALANCER]
    other = [*(Plan(Cause.BOTH, step) for step in _LIFTING_THE_TARGET), Plan(Cause.RECORD_LOST, Step.LEARNING)]
    mixed = []
    for i in range(max(len(by_agent), len(by_balancer))):
        mixed += by_agent[i : i + 1] + by_balancer[i : i + 1] + other[i : i + 1]
    return tuple(mixed)


@dataclass(frozen=True, slots=True)
class Killed:
    """One kill: the step that had been reached, and how long everything took to come to rest."""

    cause: Cause
    wanted: Step
    step: Step
    fault_to_kill_seconds: float
    to_rest_seconds: float


async def play(stage: Stage, plan: Plan) -> tuple[Killed, ...]:
    """One round, from rest to rest; gives its kills. Raises ToolError where something did not come right."""
    sight = await stage.at_rest()
    fault = Fault(sight.target, sight.epoch)
    await stage.forget_requests()
    match plan.cause:
        case Cause.DATA_PATH:
            return await _data_path(stage, plan, fault)
        case Cause.WHOLE_NVA:
            return await _whole_nva(stage, plan, fault)
        case Cause.BOTH:
            return await _both(stage, plan, fault)
        case Cause.RECORD_LOST:
            return await _record_lost(stage, plan, fault)


async def _data_path(stage: Stage, plan: Plan, fault: Fault) -> tuple[Killed, ...]:
    began = time.monotonic()
    stage.stack.kill_data_path(fault.holder)
    step = await stage.kill_at(plan.step, fault)
    killed = time.monotonic()
    await stage.start_host()
    await stage.taken_over(fault)
    await stage.at_rest()
    rested = time.monotonic()
    stage.stack.start_data_path(fault.holder)
    return (Killed(plan.cause, plan.step, step, _between(began, killed), _between(killed, rested)),)


async def _whole_nva(stage: Stage, plan: Plan, fault: Fault) -> tuple[Killed, ...]:
    """The dead NVA boots again once the other one is verified; the steps of its return come after that."""
    began = time.monotonic()
    await stage.kill_nva(fault.holder)
    if ORDER.index(plan.step) <= ORDER.index(Step.VERIFIED):
        step = await stage.kill_at(plan.step, fault)
        killed = time.monotonic()
        await stage.start_host()
        await stage.taken_over(fault)
        await stage.stack.start_nva(fault.holder)
    else:
        await stage.taken_over(fault)
        await stage.stack.start_nva(fault.holder)
        step = await stage.kill_at(plan.step, fault)
        killed = time.monotonic()
        await stage.start_host()
    await stage.at_rest()
    return (Killed(plan.cause, plan.step, step, _between(began, killed), _between(killed, time.monotonic())),)


async def _both(stage: Stage, plan: Plan, fault: Fault) -> tuple[Killed, ...]:
    """While the host is dead the fenced NVA boots again and the data path of its successor dies: the way back is a lift."""
    began = time.monotonic()
    await stage.kill_nva(fault.holder)
    await stage.taken_over(fault)
    first_step = await stage.kill_at(Step.VERIFIED, fault)
    first = time.monotonic()
    await stage.stack.start_nva(fault.holder)
    sight = await stage.until(f"{fault.holder} gave way", lambda s: _stands_back(s, fault.holder))
    second_fault = Fault(sight.target, sight.epoch, sight.has("fenced"))
    stage.stack.kill_data_path(second_fault.holder)
    await stage.until("no member answers 200", lambda s: not s.answering)
    await stage.forget_requests()
    await stage.start_host()
    step = await stage.kill_at(plan.step, second_fault)
    killed = time.monotonic()
    await stage.start_host()
    await stage.taken_over(second_fault)
    await stage.at_rest()
    rested = time.monotonic()
    stage.stack.start_data_path(second_fault.holder)
    return (
        Killed(plan.cause, Step.VERIFIED, first_step, _between(began, first), _between(first, rested)),
        Killed(plan.cause, plan.step, step, _between(began, killed), _between(killed, rested)),
    )


def _stands_back(sight: Sight, member: str) -> bool:
    return (role := sight.roles.get(member)) is not None and role.role == "standby"


async def _record_lost(stage: Stage, plan: Plan, fault: Fault) -> tuple[Killed, ...]:
    """Nothing else is wrong: whoever serves is adopted again."""
    await stage.kill_host()
    first = time.monotonic()
    stage.record.unlink()
    await stage.start_host()
    step = await stage.kill_at(plan.step, fault)
    killed = time.monotonic()
    await stage.start_host()
    sight = await stage.at_rest()
    rested = time.monotonic()
    if sight.target != fault.holder:
        raise ToolError(f"{fault.holder} served and {sight.target} was adopted")
    return (
        Killed(plan.cause, Step.AT_REST, Step.AT_REST, 0.0, _between(first, rested)),
        Killed(plan.cause, plan.step, step, _between(first, killed), _between(killed, rested)),
    )


def _between(start: float, end: float) -> float:
    return round(end - start, 3)
