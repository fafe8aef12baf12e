"""A fence rehearsal under every mishap at every point of it, also while the holder dies: no law is broken."""

import random

import pytest
from msgspec.structs import replace

from proving.storm.directed import directed_plan
from proving.storm.draw import random_plan
from proving.storm.exhaustive import SCENARIOS, points_of, singles
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.history import History

A, B = "nva-a", "nva-b"
REHEARSE = Fault(5.0, Kind.ORDER, B, how="rehearse")


def scenario(seed: int, *more: Fault, heal_at: float = 60.0) -> Plan:
    """Two members behind a load balancer, like every scenario of the exhaustive campaign."""
    return replace(SCENARIOS["switchover"], seed=seed, faults=(REHEARSE, *more), heal_at=heal_at)


PLANS = {
    "left alone": scenario(901),
    "the holder dies": scenario(902, Fault(6.0, Kind.CRASH, A, 30.0), heal_at=100.0),
    "the holder's data path dies late": scenario(903, Fault(9.0, Kind.FATAL, A, 30.0), heal_at=100.0),
    "the member dies": scenario(904, Fault(6.0, Kind.CRASH, B, 30.0), heal_at=100.0),
    "the operator moves the service to it": scenario(905, Fault(7.0, Kind.ORDER, B, how="switchover"), heal_at=80.0),
    "a pause comes": scenario(906, Fault(6.0, Kind.ORDER, B, 30.0, "pause"), heal_at=80.0),
}


def broken(plan: Plan) -> str | None:
    result = History(plan).run()
    found = result.violation or result.not_live
    return str(found) if found is not None else None


def test_a_rehearsal_writes_at_the_load_balancer_twice() -> None:
    assert points_of(PLANS["left alone"]).count("lb.set") >= 2


@pytest.mark.parametrize("name", PLANS)
def test_a_rehearsal_breaks_no_law(name: str) -> None:
    assert broken(PLANS[name]) is None


@pytest.mark.parametrize("name", PLANS)
def test_a_mishap_at_a_single_point_of_a_rehearsal_breaks_no_law(name: str) -> None:
    plans = list(singles(PLANS[name]))
    assert len(plans) > 50
    assert {plan.points: why for plan in plans[::10] if (why := broken(plan))} == {}


def with_rehearsals(plan: Plan) -> Plan:
    """The plan, and eight orders to rehearse some member, at any time before it heals."""
    draw = random.Random(plan.seed)
    names = [f"nva-{letter}" for letter in "abcd"[: plan.members]]
    orders = [
        Fault(draw.uniform(1.0, plan.heal_at - 1.0), Kind.ORDER, draw.choice(names), how="rehearse") for _ in range(8)
    ]
    return replace(plan, faults=tuple(sorted((*plan.faults, *orders), key=lambda fault: fault.at)))


@pytest.mark.parametrize("seed", range(6))
def test_rehearsals_in_the_middle_of_any_history_break_no_law(seed: int) -> None:
    assert broken(with_rehearsals(random_plan(seed))) is None
    assert broken(with_rehearsals(directed_plan(seed))) is None
