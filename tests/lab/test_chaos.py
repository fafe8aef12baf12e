"""Chaos: what its signs say, when two probes count as both serving, and a small run of the real thing."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from proving.chaos.__main__ import chaos
from proving.chaos.rounds import Cause, Plan, plans
from proving.chaos.steps import Fault, Role, Sight, Step, not_converged, reached
from proving.chaos.troubles import Planned, Trouble
from proving.chaos.watch import Overlaps

A, B = "nva-a", "nva-b"
FAULT = Fault(holder=A, epoch=3)


def record(phase: str, epoch: int = 4, target: str = B, **more: Any) -> Mapping[str, Any]:
    return {"phase": phase, "epoch": epoch, "target": target, "may_serve": [target], "fenced": {}, "owed": {}, **more}


def roles(a: Role | None, b: Role | None) -> dict[str, Role]:
    return {name: role for name, role in ((A, a), (B, b)) if role is not None}


STANDBY_3, STANDBY_4 = Role(3, "standby"), Role(4, "standby")
SERVING_3, SERVING_4 = Role(3, "serving"), Role(4, "serving")
OWED: dict[str, Any] = {"owed": {A: 4}}
FENCED: dict[str, Any] = {**OWED, "fenced": {A: {"epoch": 4, "etag": "e"}}, "may_serve": [A, B]}

BY_AGENT = (
    (Step.NOTICED, Sight(record("stable", 3, A), roles(SERVING_3, STANDBY_3))),
    (Step.OPENED, Sight(record("fencing", may_serve=[A]), roles(SERVING_3, STANDBY_3))),
    (Step.FENCED, Sight(record("fencing", may_serve=[A]), roles(STANDBY_4, STANDBY_3))),
    (Step.GRANTED, Sight(record("granted"), roles(STANDBY_4, STANDBY_3))),
    (Step.PROMOTED, Sight(record("granted"), roles(STANDBY_4, SERVING_4))),
    (Step.SERVING, Sight(record("granted"), roles(STANDBY_4, SERVING_4), answering={B})),
    (Step.RELEASED, Sight(record("stable"), roles(STANDBY_4, SERVING_4), answering={B})),
)
GONE = roles(SERVING_3, STANDBY_3)
BACK = roles(STANDBY_4, SERVING_4)
BY_BALANCER = (
    (Step.OPENED, Sight(record("fencing", may_serve=[A], **OWED), GONE)),
    (Step.DOWN_ACCEPTED, Sight(record("fencing", may_serve=[A], **OWED), GONE, pool_writes=1)),
    (Step.DOWN_IN_EFFECT, Sight(record("fencing", may_serve=[A], **OWED), GONE, {A}, pool_writes=1)),
    (Step.GRANTED, Sight(record("granted", **FENCED), GONE, {A}, pool_writes=1)),
    (Step.VERIFIED, Sight(record("stable", **FENCED), roles(SERVING_3, SERVING_4), {A}, {B}, 1)),
    (Step.ACKNOWLEDGED, Sight(record("stable", **FENCED), BACK, {A}, {B}, 1)),
    (Step.LEFT, Sight(record("stable", **{**FENCED, "may_serve": [B]}), BACK, {A}, {B}, 1)),
    (Step.BELIEVED_LESS, Sight(record("stable", **OWED), BACK, {A}, {B}, 1)),
    (Step.LIFT_ACCEPTED, Sight(record("stable", **OWED), BACK, {A}, {B}, 2)),
    (Step.LIFT_IN_EFFECT, Sight(record("stable", **OWED), BACK, frozenset(), {B}, 2)),
    (Step.RELEASED, Sight(record("stable"), BACK, frozenset(), {B}, 2)),
)


@pytest.mark.parametrize(("step", "sight"), BY_AGENT + BY_BALANCER)
def test_each_step_of_a_failover_shows_by_its_own_signs(step: Step, sight: Sight) -> None:
    assert reached(sight, FAULT) is step


def test_nothing_is_reached_while_the_holder_answers() -> None:
    assert reached(Sight(record("stable", 3, A), roles(SERVING_3, STANDBY_3), answering={A}), FAULT) is None


def test_a_record_that_is_gone_shows_nothing_and_one_that_learns_shows_learning() -> None:
    assert reached(Sight(None), FAULT) is None
    assert reached(Sight(record("learn", 0)), FAULT) is Step.LEARNING


def test_the_lift_of_a_target_differs_from_its_grant() -> None:
    fault = Fault(holder=A, epoch=3, fenced=frozenset({B}))
    fenced = Sight(record("granted", fenced={B: {}}, owed={B: 2}), roles(STANDBY_4, STANDBY_3), {B})
    believed_less = replace(fenced, record=record("granted", owed={B: 2}))
    assert reached(fenced, fault) is Step.GRANTED
    assert reached(believed_less, fault) is Step.TARGET_BELIEVED_LESS
    assert reached(replace(believed_less, pool_writes=1), fault) is Step.TARGET_LIFT_ACCEPTED


def test_at_rest_means_one_holder_durably_serving_and_nothing_owed() -> None:
    rest = Sight(record("stable"), BACK, frozenset(), {B})
    assert not_converged(rest, {A, B}) == ()


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"record": record("granted")}, "phase granted"),
        ({"record": record("stable", may_serve=[A, B])}, "may_serve"),
        ({"record": record("stable", fenced={A: {}})}, "fenced"),
        ({"record": record("stable", owed={A: 4})}, "owed"),
        ({"roles": roles(STANDBY_4, STANDBY_4)}, "durably serving"),
        ({"roles": roles(SERVING_3, SERVING_4)}, "stand by"),
        ({"answering": {A, B}}, "200 is answered by"),
        ({"answering": set()}, "200 is answered by"),
        ({"down": {A}}, "Down in the data plane"),
    ],
)
def test_each_thing_that_is_left_over_is_named(changed: dict[str, Any], missing: str) -> None:
    rest = Sight(record("stable"), BACK, frozenset(), {B})
    (named,) = not_converged(replace(rest, **changed), {A, B})
    assert missing in named


def overlaps(answers: str) -> list[tuple[str, ...]]:
    """Of answers like "A b A": a capital is a 200."""
    seen, found = Overlaps(), []
    for answer in answers.split():
        if others := seen.answer(answer.upper(), answer.isupper()):
            found.append((answer.upper(), *others))
    return found


@pytest.mark.parametrize(
    ("answers", "both"),
    [
        ("A b A b A", []),
        ("A B", []),  # A may have stopped before B began
        ("A B a B", []),
        ("A B A", [("A", "B")]),
        ("A B B A", [("A", "B")]),
        ("A B A B", [("A", "B"), ("B", "A")]),
        ("A a B A", []),  # A had stopped, and B may have stopped before A began again
        ("a B A B", [("B", "A")]),
        ("A b C A", [("A", "C")]),
    ],
)
def test_both_serve_only_where_one_answers_200_before_and_after_the_others_200(
    answers: str, both: list[tuple[str, ...]]
) -> None:
    assert overlaps(answers) == both


def test_a_cycle_of_rounds_kills_at_every_step() -> None:
    wanted = {plan.step for plan in plans()} | {Step.AT_REST}
    assert wanted == set(Step)


@pytest.mark.timeout(100)
async def test_a_host_killed_in_a_failover_leaves_one_serving_member_and_a_record_at_rest() -> None:
    rounds = (Plan(Cause.DATA_PATH, Step.OPENED), Plan(Cause.WHOLE_NVA, Step.DOWN_ACCEPTED))
    said: list[str] = []
    run = await chaos(rounds, kills=2, say=said.append)
    assert run.failure is None
    document = json.loads(json.dumps(run.document()))
    assert (document["kills"], document["both_serving"], document["not_converged"]) == (2, 0, 0)
    assert [kill["cause"] for kill in document["rounds"]] == ["data path", "whole NVA"]
    assert sum(document["steps"].values()) == 2
    assert document["probe_answers"] > 100
    assert run.good
    assert len(said) == 2


@pytest.mark.timeout(100)
async def test_a_short_freeze_moves_nothing_and_a_fence_that_another_writer_undid_is_made_again() -> None:
    troubles = (Planned(Trouble.FROZEN, 0.4), Planned(Trouble.WRITTEN))
    said: list[str] = []
    run = await chaos((), kills=0, say=said.append, troubles=troubles)
    assert run.failure is None
    document = json.loads(json.dumps(run.document()))
    assert (document["troubles"], document["both_serving"], document["not_converged"]) == (2, 0, 0)
    assert document["moved"] == {"written": 1}
