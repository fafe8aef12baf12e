"""When a better member takes over from one that serves: `failover.preempt` and `returnAfter`."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.observation import AgentReading
from function_app.domain.service.record import Drain, Record
from tests.builders import NOW, document, stable, status, topology
from tests.unit.decisions import SERVING, SILENT, SOON, STANDBY, TIMING, UNREADY, A, B, look, looking, operation


def returning(
    record: Record, priorities: tuple[int, int, int] = (200, 190, 180), a: AgentReading = STANDBY
) -> Decision:
    """nva-b holds epoch 3 in a service whose `preempt` is `ready`; a better one returns an hour after the last move."""
    one = document(3)["services"][0] | {"failover": {"preempt": "ready", "returnAfter": "PT1H"}}
    for member, priority in zip(one["members"], priorities, strict=True):
        member["priority"] = priority
    return decide(looking(look(a, SERVING), record, topology(3, services=[one])))


def held_by_b(ago: timedelta = timedelta(hours=1), **changes: Any) -> Record:
    return stable(B, operation=operation(started=NOW - ago), **changes)


READY = {A: NOW - TIMING.ready_for}


def test_a_better_member_returns_from_the_moment_that_it_may_and_not_before() -> None:
    early = held_by_b(timedelta(hours=1) - timedelta(seconds=1), ready_since=READY)
    assert returning(early).record == early
    decision = returning(held_by_b(ready_since=READY))
    assert decision.record.target == A
    assert decision.because == ("switchover to nva-a at epoch 4: nva-a returns: it outranks nva-b",)


@pytest.mark.parametrize(
    ("priorities", "a", "drains", "ready"),
    [
        ((200, 190, 180), STANDBY, {}, {A: NOW}),
        ((200, 190, 190), STANDBY, {}, {A: NOW}),
        ((190, 190, 180), STANDBY, {}, {}),
        ((200, 190, 180), UNREADY, {}, {}),
        ((200, 190, 180), status(2), {}, {}),
        ((200, 190, 180), SILENT, {}, {}),
        ((200, 190, 180), STANDBY, {A: Drain(until=SOON, by="ann")}, {}),
    ],
    ids=["ready", "beside an equal of the holder", "equal", "no session", "late", "silent", "drained"],
)
def test_only_a_ready_member_of_higher_priority_that_acknowledged_and_is_not_drained_waits_to_return(
    priorities: tuple[int, int, int], a: AgentReading, drains: dict[str, Drain], ready: dict[str, datetime]
) -> None:
    record = held_by_b(timedelta(minutes=1), drains=drains)
    decision = returning(returning(record, priorities, a).record, priorities, a)
    assert decision.record.ready_since == ready
