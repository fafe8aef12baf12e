"""The rules R1 to R6 and their neighbours, one decision at a time: what is granted, fenced, lifted, believed, counted.

Each test stands for a rule that a mutant breaks (`proving/mutants`); whole passes are in reconcile/test_failover.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.base.timing import Timing, broken_laws
from function_app.domain.peerings import guards as of_peerings
from function_app.domain.peerings.model import DeletePeering, Peering, Provisioning, RouteServerReading
from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.guards import Draining, Opening, refuse
from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AdminState,
    AgentReading,
    Appliance,
    Backend,
    BalancerReading,
    FenceProof,
    Observed,
    Role,
)
from function_app.domain.service.orders import FailoverOrder, PauseOrder, SwitchoverOrder, obey, order_from
from function_app.domain.service.protocol import open_operation, unproven
from function_app.domain.service.record import (
    Ack,
    Drain,
    Fence,
    Kind,
    Learning,
    Pause,
    Phase,
    Record,
    Spacing,
    Tally,
    unknown,
)
from function_app.domain.service.steps import FenceByBalancer, LiftByBalancer, SendFence, SendPromote
from tests.builders import NOW, balancer, document, stable, status, topology
from tests.fakes import INSTANCES
from tests.unit.decisions import (
    FATAL,
    LONG_AGO,
    PROVEN,
    SERVICE,
    SERVING,
    SILENT,
    SOON,
    STANDBY,
    TIMING,
    A,
    B,
    C,
    by_agent,
    by_balancer,
    decided,
    fencing,
    granted,
    learning,
    look,
    looking,
    operation,
)

# --- R1, R2: the grant ------------------------------------------------------------------------------------------------


def test_no_promote_exists_before_its_target_is_in_may_serve() -> None:
    opened = decided(look(FATAL), stable())
    assert [type(e) for e in opened.effects] == [SendFence]
    assert B not in opened.record.may_serve
    given = decided(look(status(4)), fencing())
    assert given.record.phase is Phase.GRANTED
    assert B in given.record.may_serve
    assert given.effects == (SendPromote(B, 4, "boot-1"),)


@pytest.mark.parametrize(
    "seen",
    [
        look(SILENT),
        look(SILENT, tried={by_agent(A): "no answer"}),
        look(SILENT, tried={by_agent(A): "no answer", by_balancer(A): "ARM answers 503"}),
        look(STANDBY),
        look(SILENT, proofs={A: FenceProof(3, "e1")}),
    ],
    ids=["silent", "fence sent", "both failed", "stands by at an older epoch", "older proof"],
)
def test_nothing_but_a_proof_of_this_epoch_lets_a_grant_happen(seen: Observed) -> None:
    assert decided(seen, fencing()).record.phase is Phase.FENCING


def test_one_that_serves_at_this_epoch_has_acknowledged_nothing() -> None:
    both = stable(A, 4, may_serve=frozenset({A, B}))
    assert B in decided(look(status(4, Role.SERVING), status(4, Role.SERVING), status(4)), both).record.may_serve
    assert B not in decided(look(status(4, Role.SERVING), status(4), status(4)), both).record.may_serve


def test_one_that_stands_by_and_would_not_after_a_reboot_has_acknowledged_nothing() -> None:
    standing_by = status(4)
    hasty = replace(standing_by, services={"fw": replace(standing_by.services["fw"], durable=False)})
    assert decided(look(hasty), fencing()).record.phase is Phase.FENCING
    assert decided(look(standing_by), fencing()).record.phase is Phase.GRANTED


def test_every_other_that_may_serve_needs_its_own_proof() -> None:
    both = fencing(B, may_serve=frozenset({A, C}))
    for seen in (look(status(4), c=SERVING), look(SERVING, c=status(4))):
        assert decided(seen, both).record.phase is Phase.FENCING
    assert decided(look(status(4), c=status(4)), both).record.phase is Phase.GRANTED


def test_the_one_that_an_earlier_operation_may_have_promoted_is_fenced_too() -> None:
    delayed = fencing(B, may_serve=frozenset({A, C}))
    assert set(decided(look(SERVING, c=SERVING), delayed).effects) == {by_agent(A), by_agent(C)}


# --- R3, R4: proofs ---------------------------------------------------------------------------------------------------


def test_acknowledgements_are_noted_with_the_grant_and_end_with_their_operation() -> None:
    given = decided(look(status(4)), fencing()).record
    assert given.acks == {A: Ack(epoch=4, boot_id="boot-1")}
    assert given.may_serve == {B}
    opened = decided(look(FATAL), stable(acks={B: Ack(epoch=3, boot_id="boot-1")})).record
    assert opened.acks == {}


def test_a_proof_at_the_load_balancer_is_noted_and_the_member_stays_in_may_serve() -> None:
    given = decided(look(SILENT, proofs={A: PROVEN}), fencing(owed={A: 4})).record
    assert given.fenced == {A: Fence(epoch=4, etag="e2")}
    assert given.may_serve == {A, B}


def test_a_proof_of_another_operation_is_none() -> None:
    for epoch in (3, 5):
        seen = look(SILENT, proofs={A: FenceProof(epoch, "e1")})
        assert unproven(looking(seen, fencing())) == [A]


def test_a_fence_at_the_load_balancer_is_owed_before_it_is_written_and_wary_only_after_an_earlier_one() -> None:
    fresh = decided(look(SILENT), fencing())
    assert fresh.record.owed == {A: 4}
    assert wary(fresh) == [False]
    again = decided(look(SILENT), fencing(owed={A: 2}))
    assert again.record.owed == {A: 2}
    assert wary(again) == [True]


def test_after_learning_each_fence_is_wary_until_the_grant_as_a_lost_record_may_have_lifted_the_member() -> None:
    learned = fencing(operation=operation(Kind.RENEW, learned=True))
    assert wary(decided(look(SILENT), learned)) == [True]
    assert wary(decided(look(SILENT), fencing(operation=operation(Kind.RENEW)))) == [False]


@pytest.mark.parametrize(("phase", "learned", "goes_on"), [(Phase.FENCING, True, True), (Phase.GRANTED, True, False)])
def test_what_ends_a_learned_operation_before_its_grant_is_learned_as_well(
    phase: Phase, learned: bool, goes_on: bool
) -> None:
    record = fencing(phase=phase, operation=operation(Kind.ADOPT, learned=learned))
    opened = open_operation(looking(look(SILENT), record), C, Kind.NEXT, "why").record.operation
    assert opened is not None
    assert opened.learned is goes_on


def wary(decision: Decision) -> list[bool]:
    return [e.wary for e in decision.effects if isinstance(e, FenceByBalancer)]


@pytest.mark.parametrize(("in_one_of_two", "owed"), [(False, {}), (True, {A: 4})])
def test_a_fence_beside_an_operators_down_is_owed_nothing_unless_that_is_in_one_of_two_pools_only(
    in_one_of_two: bool, owed: dict[str, int]
) -> None:
    """Ours is written in both pools then: in the other one it is ours to take back."""
    half = Backend(AdminState.NONE, "Up_Probe_Success", also=("Down_Admin",), partly_down=True)
    down = half if in_one_of_two else Backend(AdminState.DOWN, "Down_Admin")
    seen = look(Appliance(), balancer=replace(balancer(), backends={A: down, B: Backend(AdminState.NONE)}))
    decision = decided(seen, fencing())
    assert decision.record.owed == owed
    assert [e.beside_operator for e in decision.effects if isinstance(e, FenceByBalancer)] == [not in_one_of_two]


def test_what_failed_in_this_look_is_not_tried_again_before_the_next() -> None:
    seen = look(SILENT, tried={by_agent(A): "no answer", by_balancer(A): "ARM answers 503"})
    decision = decided(seen, fencing(owed={A: 4}))
    assert decision.effects == ()
    assert decision.held == (UNPROVEN,)
    command = SendPromote(B, 4, "boot-1")
    assert command not in decided(look(status(4), tried={command: "refused"}), granted()).effects


UNPROVEN = "no proof that nva-a does not serve: its agent: no answer; the load balancer: ARM answers 503"
IF_OFF = (
    "If nva-a is certainly off (deallocated, powered off): "
    '`hopkeeper forget TOPOLOGY fw nva-a --gone "deallocated at ..."`; if it still serves, two will'
)


@pytest.mark.parametrize(("left", "words"), [(1, UNPROVEN), (0, f"{UNPROVEN}. {IF_OFF}")])
def test_an_operators_word_is_called_for_only_once_the_time_of_the_operation_is_over(left: int, words: str) -> None:
    seen = look(SILENT, tried={by_agent(A): "no answer", by_balancer(A): "ARM answers 503"})
    due = operation(deadline=NOW + timedelta(seconds=left))
    assert decided(seen, fencing(owed={A: 4}, operation=due)).held == (words,)


def test_a_switchover_never_cuts_anybody_off() -> None:
    assert decided(look(SILENT), fencing(kind=Kind.SWITCHOVER)).effects == (by_agent(A),)


# --- R6: lifting ------------------------------------------------------------------------------------------------------

FENCED: dict[str, Any] = {"fenced": {A: Fence(epoch=4, etag="e2")}, "owed": {A: 4}, "may_serve": frozenset({A, B})}
HOLDS = look(STANDBY, status(4, Role.SERVING), status(4))


def test_a_fence_is_believed_no_more_before_it_is_lifted() -> None:
    left = stable(B, 4, **FENCED | {"may_serve": frozenset({B})})
    decision = decided(replace(HOLDS, agents={**HOLDS.agents, A: status(4)}), left)
    assert decision.record.fenced == {}
    assert decision.record.owed == {A: 4}
    assert decision.effects == (LiftByBalancer(A, 4),)


def test_a_lift_counts_when_the_data_plane_has_let_go_not_when_it_was_tried() -> None:
    record = stable(B, 4, owed={A: 4})
    seen = replace(HOLDS, agents={**HOLDS.agents, A: status(4)})
    tried = decided(replace(seen, tried={LiftByBalancer(A, 4): "ARM answers 503"}), record)
    assert tried.record.owed == {A: 4}
    assert decided(replace(seen, lifted={A: 4}), record).record.owed == {}


def test_no_lift_is_written_while_nothing_could_show_it_and_what_is_missing_is_said() -> None:
    """As before the load balancer's rule goes by the agents' probe (docs/from-what-you-have.md, step 3)."""
    record = stable(B, 4, owed={A: 4})
    pool = replace(balancer(nva_a="", nva_b=""), unjoined="no rule joins pool nvas and probe hopkeeper")
    seen = replace(HOLDS, agents={**HOLDS.agents, A: status(4)}, balancer=pool)
    decision = decided(seen, record)
    assert (decision.effects, decision.record.owed) == ((), {A: 4})
    assert "nva-a is lifted once that is mended: no rule joins pool nvas and probe hopkeeper" in decision.held
    assert decided(replace(seen, balancer=replace(pool, unjoined="")), record).effects == (LiftByBalancer(A, 4),)


def test_a_lift_of_an_earlier_operation_does_not_count_in_this_one() -> None:
    record = stable(B, 4, owed={A: 4})
    seen = replace(HOLDS, agents={**HOLDS.agents, A: status(4)}, lifted={A: 3})
    assert decided(seen, record).effects == (LiftByBalancer(A, 4),)


def test_no_member_is_lifted_or_leaves_may_serve_before_it_has_acknowledged() -> None:
    for reading in (SILENT, status(3, Role.SERVING), status(3)):
        decision = decided(replace(HOLDS, agents={**HOLDS.agents, A: reading}), stable(B, 4, **FENCED))
        assert decision.record.fenced.keys() == {A}
        assert decision.record.may_serve == {A, B}
        assert LiftByBalancer(A, 4) not in decision.effects


# --- epochs -----------------------------------------------------------------------------------------------------------


def test_an_operation_is_above_every_epoch_that_anybody_has_seen() -> None:
    assert decided(look(FATAL), stable()).record.epoch == 4
    learned = unknown("fw", frozenset({A, B, C}), NOW)
    ready = msgspec.structs.replace(learned, learning=Learning(since=LONG_AGO, rounds=5))
    assert decided(look(status(9), status(7), status(1), balancer="ARM does not answer"), ready).record.epoch == 10


# --- an operation under way -------------------------------------------------------------------------------------------


def test_a_target_that_fails_before_its_grant_is_followed_by_the_next_candidate() -> None:
    for reading in (status(3, fatal=("disk",)), SILENT):
        record = decided(look(status(4, fatal=("disk",)), reading), fencing()).record
        assert (record.phase, record.target, record.epoch) == (Phase.FENCING, C, 5)


def test_no_member_is_fenced_for_a_target_that_may_serve_and_is_silent_to_us_only() -> None:
    adopting = fencing(A, Kind.ADOPT, may_serve=frozenset({A, B}))
    decision = decided(look(SILENT), adopting)
    assert decision.record == adopting
    assert decision.effects == ()


def test_a_switchover_whose_target_fails_goes_back_to_the_old_holder() -> None:
    record = decided(look(SERVING, status(3, fatal=("disk",))), fencing(kind=Kind.SWITCHOVER)).record
    assert (record.target, record.operation and record.operation.kind) == (A, Kind.BACK)


def test_a_granted_target_that_fails_is_followed_by_the_next_candidate() -> None:
    record = decided(look(status(4), status(4, fatal=("disk",)), status(4)), granted()).record
    assert (record.phase, record.target, record.epoch) == (Phase.FENCING, A, 5)
    assert record.operation is not None
    assert record.operation.kind == Kind.FAILOVER


def test_our_own_down_on_the_holder_is_lifted_and_an_operators_moves_the_service() -> None:
    down = balancer(nva_a="Down_Admin")
    assert decided(look(SERVING, balancer=down), stable(owed={A: 3})).record.phase is Phase.STABLE
    assert decided(look(SERVING, balancer=down), stable()).record.phase is Phase.FENCING


def test_no_member_holds_while_others_are_not_proven() -> None:
    assert fencing().holder is None
    assert learning().holder is None
    assert granted().holder == B


# --- spacing, returning, draining -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "count"), [(NOW - timedelta(minutes=1), 5), (NOW - TIMING.spacing_forget, 5), (LONG_AGO, 1)]
)
def test_automatic_failovers_in_a_row_are_counted_until_an_hour_of_quiet(last: Any, count: int) -> None:
    before = Spacing(count=4, last=last)
    assert decided(look(FATAL), stable(spacing=before)).record.spacing == Spacing(count=count, last=NOW)


def test_a_failover_on_the_probe_alone_counts_too() -> None:
    seen = look(SERVING, balancer=balancer(nva_a="Down_Probe_HttpStatusCodeError"))
    record = decided(seen, stable(tallies={A: Tally(bad=2, at=NOW - timedelta(seconds=9))})).record
    assert record.operation is not None
    assert record.operation.kind == Kind.PROBE
    assert record.spacing == Spacing(count=1, last=NOW)


def test_an_hour_of_quiet_ends_the_spacing_however_long_that_would_be() -> None:
    timing = Timing(spacing_max=timedelta(hours=3), spacing_step=timedelta(hours=3))
    for last, spoken in ((NOW - timedelta(minutes=59), ["spacing"]), (LONG_AGO, [])):
        record = stable(spacing=Spacing(count=9, last=last))
        seen = Look(SERVICE, timing, look(FATAL), record, NOW)
        assert [r.guard for r in refuse(Opening(Kind.FAILOVER, B), seen)] == spoken


def test_a_drained_holder_serves_on_until_another_one_is_ready() -> None:
    drained = stable(drains={A: Drain(until=SOON, by="ann")})
    unready = replace(STANDBY, sessions={INSTANCES[0]: False})
    assert decided(look(SERVING, unready, unready), drained).record.phase is Phase.STABLE
    assert decided(look(SERVING), drained).record.target == B


def test_a_drain_moves_the_service_to_no_member_that_gets_no_new_flows() -> None:
    """A fast pass does not read the load balancer: it goes by what the last one that did has found."""
    drains = {A: Drain(until=SOON, by="ann")}
    assert decided(look(SERVING), stable(drains=drains, last_choices=frozenset({B}))).record.target == C
    assert decided(look(SERVING), stable(drains=drains, last_choices=frozenset({B, C}))).record.target == A


def returning(
    ready_for: timedelta,
    shown: BalancerReading | None = None,
    refused: dict[str, datetime] | None = None,
    **failover: Any,
) -> str | None:
    """Who is meant to hold after a look at nva-b holding, while nva-a outranks it and has been ready for so long."""
    one = document(3)["services"][0] | {"failover": failover}
    service = topology(3, services=[one]).services[0]
    long_held = operation(started=LONG_AGO - timedelta(days=1))
    record = stable(B, ready_since={A: NOW - ready_for}, operation=long_held, refused=refused or {})
    seen = replace(look(STANDBY, status(3, Role.SERVING)), balancer=shown)
    return decide(Look(service, TIMING, seen, record, NOW)).record.target


def test_a_better_member_that_an_operator_took_out_of_the_pool_does_not_return() -> None:
    shown = balancer(nva_a="Down_Admin", nva_b="Up_Probe_Success", nva_c="Down_Probe_HttpStatusCodeError")
    assert returning(TIMING.ready_for, shown, preempt="ready") == B


def test_a_better_member_returns_only_if_configured_so_and_ready_for_long_enough() -> None:
    assert returning(TIMING.ready_for) == B
    assert returning(TIMING.ready_for - timedelta(seconds=1), preempt="ready") == B
    assert returning(TIMING.ready_for, preempt="ready") == A


@pytest.mark.parametrize(
    ("reason", "holder"),
    [("Down_Probe_HttpStatusCodeError", A), ("Down_Probe_TcpProbeTimeout", B)],
    ids=["its probe is answered", "its probe gets no answer"],
)
def test_a_better_member_that_the_probe_gets_no_answer_of_does_not_return(reason: str, holder: str) -> None:
    shown = balancer(**{A: reason, B: "Up_Probe_Success"})
    assert returning(TIMING.ready_for, shown, preempt="ready") == holder


def test_a_better_member_that_refused_to_serve_lately_does_not_return() -> None:
    assert returning(TIMING.ready_for, refused={A: LONG_AGO}, preempt="ready") == A
    assert returning(TIMING.ready_for, refused={A: NOW}, preempt="ready") == B


# --- guards and orders ------------------------------------------------------------------------------------------------


def context(agents: Mapping[str, AgentReading], members: int = 3) -> Look:
    desired = topology(members)
    return looking(Observed(NOW, agents), stable(), desired)


def test_half_of_all_members_gone_at_once_makes_blind_for_drains_as_well() -> None:
    four = context({A: SERVING, B: STANDBY, C: SILENT, "nva-d": SILENT}, members=4)
    for step in (Opening(Kind.SWITCHOVER, B), Draining(B)):
        assert "not blind" in [r.guard for r in refuse(step, four)]


def test_a_member_to_be_drained_or_drained_already_is_not_one_of_those_left() -> None:
    two = context({A: SERVING, B: SILENT}, members=2)
    assert "minimum stays healthy" in [r.guard for r in refuse(Draining(A), two)]
    three = context({A: SERVING, B: STANDBY, C: SILENT})
    drained = replace(three, record=stable(drains={B: Drain(until=SOON, by="ann")}))
    assert "minimum stays healthy" in [r.guard for r in refuse(Draining(A), drained)]


def test_a_foreign_peering_announces_nothing_for_us() -> None:
    mine = Peering("hopkeeper-hub_nva-a", INSTANCES[0], 65001, Provisioning.SUCCEEDED)
    theirs = Peering("theirs", IPv4Address("10.0.1.5"), 65001, Provisioning.SUCCEEDED)
    listed = RouteServerReading(INSTANCES, (mine, theirs))
    refusals = of_peerings.refuse(
        DeletePeering("rs", mine.name, "gone"), of_peerings.PeeringContext(topology(), listed)
    )
    assert [r.guard for r in refusals] == ["last announcer is kept"]


def ordered(order: Any, record: Record, seen: Observed | None = None) -> tuple[str, ...]:
    """Why the order is refused; empty where it is taken."""
    decision = obey(looking(seen or look(SERVING), record), order)
    return decision.held if decision.record == record else ()


def test_a_pause_counts_from_when_it_is_accepted() -> None:
    late = replace(looking(look(SERVING), stable()), now=NOW + timedelta(seconds=9))
    pause = obey(late, PauseOrder(minutes=2, by="ann")).record.pause
    assert pause == Pause(until=NOW + timedelta(seconds=129), by="ann")


def test_nothing_is_moved_while_learning_to_a_failed_member_or_amid_an_operation() -> None:
    assert "learning" in ordered(FailoverOrder(by="ann", to=B), learning())[0]
    failed = look(SERVING, replace(STANDBY, fatal=("disk",)))
    assert "disk" in ordered(FailoverOrder(by="ann", to=B), stable(), failed)[0]
    assert "under way" in ordered(SwitchoverOrder(to=C, by="ann"), fencing())[0]


@pytest.mark.parametrize("order", [SwitchoverOrder(to=B, by="ann"), FailoverOrder(by="ann", to=B)])
def test_no_order_is_taken_on_a_record_that_agents_contradict(order: SwitchoverOrder | FailoverOrder) -> None:
    """The record was put back: a member that it does not know may be serving, and no pass would fence it."""
    ahead = look(status(2), status(3), status(4, Role.SERVING))
    assert "an agent is at epoch 4" in ordered(order, stable(), ahead)[0]
    beside = look(SERVING, status(3), status(3, Role.SERVING))
    assert "this record never granted it" in ordered(order, stable(), beside)[0]


@pytest.mark.parametrize("minutes", [0, -1, 30 * 24 * 60 + 1, True, "60"])
def test_an_order_lasts_more_than_nothing_and_at_most_thirty_days(minutes: Any) -> None:
    with pytest.raises(BadInput, match="minutes"):
        order_from("pause", {"minutes": minutes})


# --- timing -----------------------------------------------------------------------------------------------------------


def test_what_a_pass_has_proven_it_keeps_and_what_it_has_lifted_is_down_no_more() -> None:
    seen = look(SERVING, balancer=balancer(nva_a="Down_Admin"), tried={by_agent(B): "no answer"})
    lifted = seen.with_lifted(A, 4).with_proof(B, PROVEN)
    assert lifted.backend(A) == Backend(AdminState.NONE)
    again = look(SERVING).after(lifted)
    assert (again.proofs, again.lifted, again.tried) == ({B: PROVEN}, {A: 4}, {})


@pytest.mark.parametrize(
    ("timing", "name"),
    [
        (Timing(command_timeout=timedelta(seconds=61)), "operationDeadline"),
        (Timing(fence_settle=timedelta(seconds=60)), "fenceTimeout"),
    ],
)
def test_a_fence_ends_within_its_operation(timing: Timing, name: str) -> None:
    assert [problem.path for problem in broken_laws(timing)] == [f"$.timing.{name}"]
