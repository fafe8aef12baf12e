"""What each order writes, does and says, and how a form is read. What it comes to: reconcile/test_orders, test_rehearsal."""

from copy import replace
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.service.decision import Decision
from function_app.domain.service.observation import AgentReading, Observed, Role
from function_app.domain.service.orders import (
    VERBS,
    DrainOrder,
    FailoverOrder,
    Order,
    PauseOrder,
    RehearseOrder,
    ResumeOrder,
    SwitchoverOrder,
    UndrainOrder,
    obey,
    order_from,
    verb_of,
)
from function_app.domain.service.record import Drain, Kind, Pause, Phase, Record, Rehearsal, Tally
from function_app.domain.service.rehearsal import is_rehearsed
from function_app.domain.service.steps import Effect, FenceByBalancer
from tests.builders import NOW, balancer, stable, status
from tests.unit.decisions import (
    PROBED,
    REFUSED,
    SERVING,
    SILENT,
    SOON,
    STANDBY,
    TIMING,
    A,
    B,
    C,
    by_agent,
    granted,
    learning,
    look,
    looking,
    operation,
)

HOUR = timedelta(hours=1)
PAUSED = Pause(until=NOW + HOUR, by="ann", reason="upgrade")
UNFIT = status(3, fatal=("disk",))
DRAINED = Drain(until=NOW + HOUR, by="ann")
POOL = balancer(nva_a=PROBED, nva_b=REFUSED, nva_c=REFUSED)
REST, AT_REST = look(SERVING), stable()


def in_pool(a: AgentReading = SERVING, b: AgentReading = STANDBY, c: AgentReading = STANDBY) -> Observed:
    """The load balancer was read too."""
    return look(a, b, c, balancer=POOL)


@dataclass(frozen=True)
class Case:
    order: Order
    seen: Observed = REST
    record: Record = AT_REST
    held: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    changes: dict[str, Any] | None = None


def moved(kind: Kind) -> dict[str, Any]:
    opened = operation(kind, deadline=NOW + TIMING.operation_deadline, reason="ordered by ann")
    return {"epoch": 4, "phase": Phase.FENCING, "target": B, "operation": opened}


def rehearsed(member: str) -> dict[str, Any]:
    until = NOW + TIMING.operation_deadline
    return {
        "because": (f"the fence of {member} is rehearsed, ordered by ann",),
        "effects": (FenceByBalancer(member, 3),),
        "changes": {"owed": {member: 3}, "rehearsal": Rehearsal(member=member, epoch=3, until=until)},
    }


CASES = {
    "a pause lasts an hour": Case(
        PauseOrder(by="ann", reason="upgrade"), because=("paused by ann",), changes={"pause": PAUSED}
    ),
    "what is not paused is not resumed": Case(ResumeOrder(), held=("it is not paused",)),
    "a pause ends": Case(
        ResumeOrder(by="bob"), record=stable(pause=PAUSED), because=("resumed by bob",), changes={"pause": None}
    ),
    "a switchover is opened": Case(
        SwitchoverOrder(to=B, by="ann"),
        because=("switchover to nva-b at epoch 4: ordered by ann",),
        effects=(by_agent(A),),
        changes=moved(Kind.SWITCHOVER),
    ),
    "a switchover amid an operation is refused with its reason": Case(
        SwitchoverOrder(to=C),
        look(status(4), status(4, Role.SERVING), status(4)),
        granted(operation=operation(reason="the disk is full")),
        held=("an operation is under way: the disk is full",),
    ),
    "an order is taken while the member serves that it expects to": Case(
        SwitchoverOrder(to=B, by="ann", expect=A),
        because=("switchover to nva-b at epoch 4: ordered by ann",),
        effects=(by_agent(A),),
        changes=moved(Kind.SWITCHOVER),
    ),
    "an order is refused once another member serves than it expects": Case(
        DrainOrder(member=A, by="ann", expect=B),
        held=("nva-a serves, and nva-b was expected to: look at the status, and order it again",),
    ),
    "an order that expects a member to serve is refused while none is known to": Case(
        PauseOrder(expect=A),
        record=learning(),
        held=("no member is known to serve, and nva-a was expected to: look at the status, and order it again",),
    ),
    "a switchover needs its holder": Case(
        SwitchoverOrder(to=B),
        look(SILENT),
        held=("nva-a does not answer, and a switchover needs its acknowledgement",),
    ),
    "nothing is moved while it is learned who serves": Case(
        FailoverOrder(to=B),
        record=learning(),
        held=("it is learning who serves: nothing is moved before that is known",),
    ),
    "a failover by hand takes the best other member from a holder that is fit": Case(
        FailoverOrder(by="ann"),
        record=stable(stalled=Tally(bad=1, at=NOW), admitted={C: Tally(bad=1, at=NOW)}),
        because=("failover by hand to nva-b at epoch 4: ordered by ann",),
        effects=(by_agent(A),),
        changes=moved(Kind.FORCED) | {"stalled": None, "admitted": {}},
    ),
    "a failover by hand without another member is refused, and says why of each": Case(
        FailoverOrder(),
        look(SERVING, UNFIT, UNFIT),
        held=("no other member is fit to serve", "nva-b: its agent says disk", "nva-c: its agent says disk"),
    ),
    "a failover by hand to one that is unfit is refused": Case(
        FailoverOrder(to=C), look(SERVING, c=UNFIT), held=("nva-c: its agent says disk",)
    ),
    "a drain is noted and those that are over are forgotten": Case(
        DrainOrder(member=B, by="ann"),
        record=stable(drains={A: Drain(until=NOW, by="bob"), C: Drain(until=SOON, by="bob")}),
        because=("nva-b is drained by ann",),
        changes={"drains": {B: DRAINED, C: Drain(until=SOON, by="bob")}},
    ),
    "a stranger is not drained": Case(DrainOrder(member="x"), held=("x is no member (there are nva-a, nva-b, nva-c)",)),
    "a drain ends": Case(
        UndrainOrder(member=B, by="bob"),
        record=stable(drains={B: DRAINED, C: DRAINED}),
        because=("nva-b is undrained by bob",),
        changes={"drains": {C: DRAINED}},
    ),
    "one that is not drained is not undrained": Case(UndrainOrder(member=B), held=("nva-b is not drained",)),
    "the last by priority is rehearsed": Case(RehearseOrder(by="ann"), in_pool(), **rehearsed(C)),
    "the named one is rehearsed": Case(RehearseOrder(by="ann", member=B), in_pool(), **rehearsed(B)),
    "the only standby that is not drained is spared": Case(
        RehearseOrder(by="ann"), in_pool(), stable(drains={C: DRAINED}), **rehearsed(C)
    ),
    "a standby is not rehearsed where only a drained one would be left": Case(
        RehearseOrder(by="ann"), in_pool(), stable(drains={B: DRAINED}), **rehearsed(B)
    ),
    "a standby is not rehearsed where none but a drained holder would be left": Case(
        RehearseOrder(member=B),
        in_pool(c=UNFIT),
        stable(drains={A: DRAINED}),
        held=("minimum stays healthy: 0 healthy members would be left, at least 1 are wanted",),
    ),
    "nothing is rehearsed while a holder is still to be confirmed": Case(
        RehearseOrder(),
        look(status(4), status(4, Role.SERVING), status(4), balancer=POOL),
        granted(operation=operation(reason="the disk is full")),
        held=("an operation is under way: the disk is full",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_order_is_written_done_and_said_in_full(name: str) -> None:
    case = CASES[name]
    record = msgspec.structs.replace(case.record, **case.changes or {})
    expected = Decision(record, case.effects, case.held, case.because)
    assert obey(looking(case.seen, case.record), case.order) == expected


# --- a rehearsal under way

OWED = Rehearsal(member=B, epoch=3, until=SOON)


@pytest.mark.parametrize(
    ("changes", "under_way"),
    [
        ({}, True),
        ({"until": NOW + TIMING.operation_deadline}, True),
        ({"until": NOW + TIMING.operation_deadline + timedelta(seconds=1)}, False),
        ({"until": NOW}, False),
        ({"member": C}, False),
        ({"epoch": 2}, False),
    ],
    ids=["now", "begun now", "by a clock that was ahead", "over", "of another one", "of an older epoch"],
)
def test_a_member_is_left_to_its_rehearsal_until_the_deadline_of_that(changes: dict[str, Any], under_way: bool) -> None:
    record = stable(owed={B: 3}, rehearsal=msgspec.structs.replace(OWED, **changes))
    assert is_rehearsed(looking(REST, record), B) is under_way


def test_whoever_is_not_owed_for_a_rehearsal_is_not_in_one() -> None:
    assert not is_rehearsed(looking(REST, stable(rehearsal=OWED)), B)
    assert not is_rehearsed(looking(REST, stable(owed={C: 3}, rehearsal=OWED)), C)


def test_the_pass_that_rehearses_knows_what_came_of_it() -> None:
    tried = replace(REST, tried={FenceByBalancer(B, 3): "ARM answers 503"})
    assert not is_rehearsed(looking(tried, stable(owed={B: 3}, rehearsal=OWED)), B)


# --- how a form is read


@pytest.mark.parametrize("verb", VERBS)
def test_a_form_goes_by_its_verb(verb: str) -> None:
    given = {"by": "ann", "to": "nva-b", "member": "nva-b"}
    taken = {key: value for key, value in given.items() if key in VERBS[verb].__struct_fields__}
    assert verb_of(order_from(verb, taken)) == verb


def test_what_a_form_leaves_out_is_left_to_us() -> None:
    assert order_from("failover", {}) == FailoverOrder(by="an operator", to=None)
    assert order_from("rehearse", {"member": None}) == RehearseOrder(by="an operator", member=None)
    assert order_from("pause", {}) == PauseOrder(by="an operator", minutes=60.0, reason="")


def test_an_order_lasts_thirty_days_at_most_and_names_who_gave_it_in_a_hundred_characters() -> None:
    longest = order_from("drain", {"member": B, "minutes": 43200, "by": "a" * 101})
    assert longest == DrainOrder(member=B, minutes=43200, by="a" * 100)
    with pytest.raises(BadInput, match=r"must be at most 43200, is 43200\.5"):
        order_from("drain", {"member": B, "minutes": 43200.5})
