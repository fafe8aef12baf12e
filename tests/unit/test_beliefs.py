"""Beliefs are read again, and every wait ends (safety.md section 2b)."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from function_app.domain.service.confirm import confirm
from function_app.domain.service.decide import decide
from function_app.domain.service.election import is_down_by_operator
from function_app.domain.service.observation import AdminState, Backend, BalancerReading, Observed, Role, Value
from function_app.domain.service.protocol import lift
from function_app.domain.service.record import Fence, Kind, Phase, Record, Tally
from function_app.domain.service.referents import Referents, moved, noted, referents_of
from function_app.domain.service.rehearsal import rehearse
from function_app.domain.service.steps import REFUSED as REFUSES
from function_app.domain.service.steps import FenceByBalancer, LiftByBalancer, SendFence, SendPromote
from tests.builders import FRONTEND, NOW, balancer, stable, status
from tests.unit.decisions import (
    DESIRED,
    FATAL,
    PROBED,
    PROVEN,
    SERVING,
    SILENT,
    STANDBY,
    TIMING,
    A,
    B,
    C,
    by_balancer,
    decided,
    fencing,
    granted,
    learning,
    look,
    looking,
    operation,
)

NAMED = referents_of(DESIRED, DESIRED.services[0])
ANSWERED, UNANSWERED = "Down_Probe_HttpStatusCodeError", "Down_Probe_TcpProbeTimeout"
REACHED_B = status(3, peers=(B,))
OVER = Tally(bad=TIMING.verify_looks, at=NOW - TIMING.doubt_poll)
BARELY_NOT = Tally(bad=TIMING.verify_looks - 1, at=NOW - TIMING.doubt_poll)
A_FENCED = {"fenced": {A: Fence(epoch=4, etag="e")}, "owed": {A: 4}, "may_serve": frozenset({A, B})}


def pool(**states: AdminState) -> BalancerReading:
    backends = {name.replace("_", "-"): Backend(state) for name, state in states.items()}
    return BalancerReading(etag='W/"1"', frontend=FRONTEND, backends=backends)


def operation_of(record: Record) -> tuple[Phase, str | None, str | None]:
    return record.phase, record.target, record.operation.kind if record.operation else None


# --- beliefs


@pytest.mark.parametrize("record", [stable(B, 4, **A_FENCED), granted(**A_FENCED)], ids=["stable", "granted"])
def test_a_fence_that_a_reading_does_not_show_is_made_again_for_the_same_holder(record: Record) -> None:
    rewritten = look(SILENT, status(4, Role.SERVING), status(4), balancer=pool(nva_a=AdminState.NONE))
    decision = decided(rewritten, record)
    assert operation_of(decision.record) == (Phase.FENCING, B, Kind.RENEW)
    assert (decision.record.fenced, decision.record.owed) == ({}, {A: 4})
    assert decision.effects == (SendFence(A, 5), FenceByBalancer(A, 5))


@pytest.mark.parametrize(
    "seen", [pool(nva_a=AdminState.DOWN), pool(nva_b=AdminState.NONE), None, "ARM is down"], ids=repr
)
def test_a_fence_is_believed_while_no_reading_undoes_it(seen: BalancerReading | str | None) -> None:
    record = stable(B, 4, **A_FENCED)
    looked = look(SILENT, status(4, Role.SERVING), status(4), balancer=seen)
    assert decided(looked, record).record.epoch == 4


HERE, THERE = "/pool/nva-a", "/another-pool/nva-a"


@pytest.mark.parametrize(
    ("seen", "believed"),
    [
        (replace(pool(), backends={A: Backend(AdminState.DOWN, address=HERE)}), True),
        (replace(pool(), backends={A: Backend(AdminState.DOWN)}), True),
        (replace(pool(), backends={A: Backend(AdminState.DOWN, address=THERE)}), False),
        (replace(pool(), strangers=frozenset({THERE})), True),
        (replace(pool(), strangers=frozenset({HERE})), False),
    ],
    ids=["there", "not said", "another pool", "a stranger", "no member any more"],
)
def test_a_fence_is_believed_of_the_address_at_which_it_was_proven_and_of_no_other(
    seen: BalancerReading, believed: bool
) -> None:
    fenced = {A: Fence(epoch=4, etag="e", address=HERE)}
    record = stable(B, 4, **A_FENCED | {"fenced": fenced})
    decision = decided(look(SILENT, status(4, Role.SERVING), status(4), balancer=seen), record)
    assert (decision.record.fenced == fenced) is believed
    assert (decision.record.epoch == 4) is believed


def test_a_grant_notes_at_which_address_a_fence_was_proven() -> None:
    seen = look(SILENT, status(3), status(3)).with_proof(A, replace(PROVEN, address=HERE))
    assert decided(seen, fencing()).record.fenced == {A: Fence(epoch=4, etag="e2", address=HERE)}


def test_a_record_says_what_its_names_stand_for_and_keeps_it_while_something_is_believed_of_them() -> None:
    seen = look(SERVING)
    first = replace(looking(seen, stable()), named=NAMED)
    assert decide(first).record.about == NAMED
    known = Referents(next_hop="/another-pool", members={A: "10.0.9.9", B: "10.0.9.9"})
    kept = decide(first.with_record(stable(about=known))).record.about
    assert kept == Referents(next_hop="/another-pool", members={**NAMED.members, A: "10.0.9.9"})


def test_a_fence_that_was_undone_is_no_proof_in_the_operation_that_follows() -> None:
    looked = look(SILENT, status(3), status(3), balancer=pool(nva_a=AdminState.NONE))
    decision = decided(looked, fencing(may_serve=frozenset({A, B}), fenced={A: Fence(epoch=3, etag="e")}))
    assert decision.record.phase is Phase.FENCING
    assert by_balancer(A) in decision.effects


def test_a_proof_of_this_pass_is_newer_than_the_reading_before_it_and_older_than_the_one_after() -> None:
    before = look(SILENT, status(3), status(3), balancer=pool(nva_a=AdminState.NONE))
    assert decided(before.with_proof(A, PROVEN), fencing()).record.phase is Phase.GRANTED
    after = before.after(before.with_proof(A, PROVEN))
    assert decided(after, fencing()).record.phase is Phase.FENCING


def test_a_failed_holder_is_replaced_though_a_fence_was_undone_and_that_member_is_fenced_as_well() -> None:
    rewritten = look(SILENT, FATAL, status(4), balancer=pool(nva_a=AdminState.NONE))
    decision = decided(rewritten, stable(B, 4, **A_FENCED))
    assert operation_of(decision.record) == (Phase.FENCING, C, Kind.FAILOVER)
    assert FenceByBalancer(A, 5) in decision.effects


def test_an_unreachable_member_that_the_load_balancer_admits_at_two_looks_is_fenced() -> None:
    """A restored machine serves by its disk, and takes no command of ours."""
    first = look(SERVING, SILENT, balancer=balancer(nva_a=PROBED, nva_b=PROBED))
    once = decided(first, stable()).record
    assert (once.phase, once.admitted) == (Phase.STABLE, {B: Tally(bad=1, at=NOW)})
    second = decided(replace(first, at=NOW + TIMING.doubt_poll), once)
    assert operation_of(second.record) == (Phase.FENCING, A, Kind.RENEW)
    assert second.record.may_serve == {A, B}
    assert second.effects == (SendFence(B, 4), FenceByBalancer(B, 4))


@pytest.mark.parametrize(
    ("b", "shown"), [(STANDBY, PROBED), (SILENT, ANSWERED), (SILENT, "Down_Admin")], ids=["answers", "down", "fenced"]
)
def test_a_member_that_answers_or_that_is_not_admitted_is_not_fenced_for_its_probe(b: object, shown: str) -> None:
    seen = look(SERVING, balancer=balancer(nva_a=PROBED, nva_b=shown))
    seen = replace(seen, agents={**seen.agents, B: b})
    record = decided(seen, stable(admitted={B: Tally(bad=1, at=NOW - TIMING.doubt_poll)}, owed={B: 3})).record
    assert (record.epoch, record.admitted) == (3, {})


def test_a_fence_for_which_nothing_is_owed_is_given_up_and_not_lifted() -> None:
    record = granted(fenced={A: Fence(epoch=4, etag="e"), B: Fence(epoch=4, etag="e")}, owed={B: 4})
    given_up, lifted = (lift(looking(look(SERVING), record), name) for name in (A, B))
    assert given_up is not None
    assert (given_up.record.fenced.keys(), given_up.effects) == ({B}, ())
    assert lifted is not None
    assert (lifted.record.fenced.keys(), lifted.effects) == ({A}, (LiftByBalancer(B, 4),))


def test_a_holder_that_only_we_cannot_reach_keeps_its_role_while_others_are_fenced_again() -> None:
    record = fencing(B, Kind.RENEW, may_serve=frozenset({A, B}))
    unreachable = look(status(4), SILENT, REACHED_B, balancer=pool(nva_a=AdminState.NONE))
    assert decided(unreachable, record).record.phase is Phase.GRANTED


# --- what an acknowledgement takes for granted

FLAWED = ("probe agent has AllProbedUp",)


def test_while_the_load_balancer_goes_by_more_than_the_probe_who_acknowledges_is_set_to_down_as_well() -> None:
    acked = look(status(4), status(3), status(3), balancer=replace(pool(), flaws=FLAWED))
    decision = decided(acked, fencing())
    assert (decision.record.phase, decision.record.owed) == (Phase.FENCING, {A: 4})
    assert by_balancer(A) in decision.effects
    assert decided(acked.with_proof(A, PROVEN), fencing()).record.phase is Phase.GRANTED


@pytest.mark.parametrize("seen", [None, "ARM is down"])
def test_the_last_reading_counts_until_another_one_shows_the_load_balancer_sound(seen: str | None) -> None:
    decision = decided(look(status(4), status(3), status(3), balancer=seen), fencing(flaws=FLAWED))
    assert decision.record.phase is Phase.FENCING
    sound = decided(look(status(4), status(3), status(3), balancer=pool()), fencing(flaws=FLAWED))
    assert (sound.record.phase, sound.record.flaws) == (Phase.GRANTED, ())


def test_where_down_was_tried_in_vain_an_acknowledgement_is_proof_enough() -> None:
    """Two may get new flows for as long as the load balancer is wrong; no member would for ever."""
    tried = {by_balancer(A): "rule bare has no probe"}
    decision = decided(look(status(4), status(3), status(3), tried=tried), fencing(flaws=FLAWED))
    assert decision.record.phase is Phase.GRANTED


def test_a_service_is_not_adopted_behind_a_load_balancer_that_is_wrong_while_a_member_serves() -> None:
    flawed = replace(pool(), flaws=FLAWED)
    held = decided(look(SERVING, balancer=flawed), learning(rounds=9))
    assert (held.record.phase, held.held) == (Phase.LEARN, ("not adopted: probe agent has AllProbedUp",))
    assert decided(look(STANDBY, balancer=flawed), learning(rounds=9)).record.phase is Phase.FENCING


def test_two_that_serve_are_a_conflict_that_no_fault_of_the_load_balancer_lets_last() -> None:
    flawed = replace(pool(), flaws=FLAWED)
    both = look(status(4, Role.SERVING), status(4, Role.SERVING), STANDBY, balancer=flawed)
    assert decided(both, learning(rounds=9)).record.phase is Phase.FENCING


def test_what_is_wrong_with_the_load_balancer_is_an_alarm_at_rest() -> None:
    first = decided(look(SERVING, balancer=replace(balancer(nva_a=PROBED), flaws=FLAWED)), stable(flaws=FLAWED))
    assert FLAWED[0] in first.alarms


# --- waits


EMPTY = pool(nva_a=AdminState.NONE, nva_b=AdminState.NONE, nva_c=AdminState.NONE)


def refused(record: Record) -> Record:
    promote = SendPromote(B, 4, "boot-1")
    why = f"{REFUSES}state cannot be made durable"
    return decided(look(status(4), status(3), status(4), balancer=EMPTY, tried={promote: why}), record).record


def test_a_target_that_refuses_is_followed_at_once_and_is_the_last_choice_for_a_while() -> None:
    """A full disk: it can promise nothing (safety.md section 4)."""
    record = refused(granted())
    assert operation_of(record) == (Phase.FENCING, A, Kind.NEXT)
    assert record.refused == {B: NOW}
    assert B in record.may_serve


def test_where_everybody_refused_lately_the_next_one_waits_until_patience_is_over() -> None:
    lately = {A: NOW - timedelta(minutes=1), C: NOW - timedelta(minutes=1)}
    assert refused(granted(refused=lately)).phase is Phase.GRANTED
    assert operation_of(refused(granted(refused=lately, stalled=OVER))) == (Phase.FENCING, A, Kind.NEXT)


@pytest.mark.parametrize(("ago", "chosen"), [(TIMING.spacing_forget, B), (TIMING.spacing_forget * 0.9, C)])
def test_a_refusal_is_forgotten(ago: timedelta, chosen: str) -> None:
    decision = decided(look(FATAL), stable(refused={B: NOW - ago}))
    assert decision.record.target == chosen


def test_a_member_whose_probe_gets_no_answer_is_a_later_choice_than_one_that_answers_503() -> None:
    seen = look(FATAL, balancer=balancer(nva_b=UNANSWERED, nva_c=ANSWERED))
    assert decided(seen, stable()).record.target == C
    alone = look(FATAL, c=SILENT, balancer=balancer(nva_b=UNANSWERED))
    assert decided(alone, stable()).record.target == B


UNFIT = status(4, fatal=("disk",))
FULL, LOST = ({SendPromote(B, 4, "boot-1"): why} for why in (f"{REFUSES}the disk is full", "no answer"))
SWITCHED = granted(operation=operation(Kind.SWITCHOVER))
ADMITTED = balancer(nva_b=PROBED)
UNDONE = replace(ADMITTED, backends={A: Backend(AdminState.NONE), C: Backend(AdminState.NONE, PROBED)})
BROKEN_PATH = "only our path to it is broken (no answer), its peers hear it"


@pytest.mark.parametrize(
    ("seen", "record", "then", "why"),
    [
        (
            look(status(4), STANDBY, status(4), balancer=EMPTY, tried=FULL),
            granted(),
            (Phase.FENCING, A, Kind.NEXT),
            "nva-b does not serve yet: refused: the disk is full",
        ),
        (
            look(status(4), STANDBY, status(4), balancer=EMPTY, tried=FULL),
            SWITCHED,
            (Phase.FENCING, A, Kind.BACK),
            "nva-b does not serve yet: refused: the disk is full",
        ),
        (
            look(UNFIT, STANDBY, status(4), balancer=EMPTY, tried=LOST),
            granted(stalled=OVER),
            (Phase.FENCING, C, Kind.NEXT),
            "nva-b does not serve yet: no answer",
        ),
        (
            look(status(4), SILENT, REACHED_B, balancer=EMPTY),
            granted(stalled=OVER),
            (Phase.FENCING, A, Kind.NEXT),
            f"left alone: nva-b: {BROKEN_PATH}",
        ),
        (
            look(SILENT, status(4, Role.SERVING), SILENT, balancer=UNDONE),
            stable(B, 4, admitted={C: Tally(bad=2, at=NOW)}, **A_FENCED),
            (Phase.FENCING, B, Kind.RENEW),
            "adminState of nva-a is no longer Down; the load balancer admits nva-c, whose agent does not answer",
        ),
        (
            look(STANDBY, SILENT, REACHED_B, balancer=ADMITTED),
            learning(),
            (Phase.FENCING, B, Kind.RENEW),
            "learned in part: the load balancer admits nva-b, which cannot be reached",
        ),
        (
            look(SERVING, SILENT, REACHED_B, balancer=ADMITTED),
            learning(),
            (Phase.FENCING, A, Kind.ADOPT),
            "learned: nva-a serves already",
        ),
    ],
    ids=[
        "a refusal",
        "a refusal in a switchover",
        "no answer",
        "a broken path",
        "a fence undone and another member admitted",
        "learned from the load balancer",
        "learned from an agent",
    ],
)
def test_whoever_follows_is_opened_with_the_reason(
    seen: Observed, record: Record, then: tuple[Phase, str, Kind], why: str
) -> None:
    if record.phase is Phase.LEARN:
        record = patient(record, OVER)
    opened = decided(seen, record).record
    assert operation_of(opened) == then
    assert opened.operation is not None
    assert opened.operation.reason == why


@pytest.mark.parametrize(
    ("seen", "record"),
    [
        (look(status(4), SERVING, status(4), balancer=EMPTY, tried=FULL), granted()),
        (look(STANDBY, SILENT, REACHED_B, balancer=ADMITTED), fencing(may_serve=frozenset({A, B}), stalled=OVER)),
    ],
    ids=["by its agent, at an older epoch", "by the load balancer's probe"],
)
def test_a_target_that_serves_is_not_followed_though_it_refuses_or_cannot_be_reached(
    seen: Observed, record: Record
) -> None:
    assert operation_of(decided(seen, record).record) == operation_of(record)


def test_learning_in_part_goes_on_while_no_member_is_fit() -> None:
    decision = decided(
        look(FATAL, SILENT, replace(FATAL, peers=REACHED_B.peers), balancer=EMPTY), patient(learning(), OVER)
    )
    assert decision.record.phase is Phase.LEARN
    assert decision.held[0] == "learned, but no member is fit to serve"
    assert decision.held[2] == f"nva-b: {BROKEN_PATH}"


UNREACHED = look(status(4), SILENT, REACHED_B, balancer=pool(nva_b=AdminState.NONE))


@pytest.mark.parametrize(
    "record",
    [granted(), fencing(may_serve=frozenset({A, B}))],
    ids=["granted, and PROMOTE cannot be sent", "fencing for a target that may serve"],
)
def test_a_target_that_only_we_cannot_reach_is_waited_for_and_then_followed(record: Record) -> None:
    def after(stalled: Tally) -> Record:
        return decided(UNREACHED, patient(record, stalled)).record

    assert after(BARELY_NOT).epoch == 4
    assert after(BARELY_NOT).stalled == Tally(bad=TIMING.verify_looks, at=NOW)
    assert operation_of(after(OVER)) == (Phase.FENCING, A, Kind.NEXT)
    assert after(OVER).stalled is None


def patient(record: Record, stalled: Tally) -> Record:
    return msgspec.structs.replace(record, stalled=stalled)


def test_a_target_that_the_load_balancer_admits_is_left_alone_however_long_it_is_unreachable() -> None:
    seen = replace(UNREACHED, balancer=balancer(nva_b=PROBED))
    assert decided(seen, granted(stalled=OVER)).record.phase is Phase.GRANTED


def test_a_fast_pass_uses_up_no_patience() -> None:
    seen = replace(UNREACHED, balancer=None)
    assert decided(seen, granted(stalled=BARELY_NOT)).record.stalled == BARELY_NOT


def test_learning_ends_by_a_fence_of_who_stays_unreachable() -> None:
    seen = look(status(0), SILENT, REACHED_B, balancer=pool(nva_a=AdminState.NONE))
    assert decided(seen, patient(learning(), BARELY_NOT)).record.phase is Phase.LEARN
    record = decided(seen, patient(learning(), OVER)).record
    assert operation_of(record) == (Phase.FENCING, A, Kind.ADOPT)
    assert B in record.may_serve


def test_learning_leaves_the_role_to_an_unreachable_member_that_the_load_balancer_admits() -> None:
    seen = look(status(0), SILENT, REACHED_B, balancer=balancer(nva_b=PROBED))
    record = decided(seen, patient(learning(), OVER)).record
    assert operation_of(record) == (Phase.FENCING, B, Kind.RENEW)


@pytest.mark.parametrize(
    ("probed", "then"),
    [
        ({"nva_a": ANSWERED, "nva_b": UNANSWERED}, (Phase.FENCING, A, Kind.NEXT)),
        ({"nva_a": UNANSWERED, "nva_b": UNANSWERED}, (Phase.GRANTED, B, Kind.PROBE)),
        ({"nva_a": ANSWERED, "nva_b": ANSWERED}, (Phase.GRANTED, B, Kind.PROBE)),
    ],
    ids=["only the old one is reached", "neither is", "both are"],
)
def test_a_move_on_the_probe_alone_is_undone_where_the_probe_reaches_the_old_holder_alone(
    probed: dict[str, str], then: tuple[Phase, str, Kind]
) -> None:
    seen = look(status(4), status(4, Role.SERVING), FATAL, balancer=balancer(**probed))
    record = granted(operation=operation(Kind.PROBE, served=True), stalled=OVER)
    assert operation_of(decided(seen, record).record) == then


def test_a_switchover_whose_old_holder_failed_and_takes_no_fence_becomes_a_failover_to_its_target() -> None:
    """On the way back no member would serve, and a switchover writes no Down."""
    seen = look(
        status(3, Role.SERVING, fatal=("disk",)), status(3), tried={SendFence(A, 4): "refused: the disk is full"}
    )
    decision = decided(seen, fencing(kind=Kind.SWITCHOVER))
    assert operation_of(decision.record) == (Phase.FENCING, B, Kind.NEXT)
    assert decision.record.epoch == 5


def test_a_target_that_serves_at_last_is_confirmed_with_patience_of_its_own() -> None:
    """It booted, and was unreachable for longer than the load balancer would have had to show its probe."""
    seen = look(status(4), status(4, Role.SERVING), balancer=balancer(nva_b=ANSWERED))
    after = decided(seen, granted(operation=operation(), stalled=OVER)).record
    assert operation_of(after) == (Phase.GRANTED, B, Kind.FAILOVER)
    assert after.stalled == Tally(bad=1, at=NOW)
    again = decided(seen, msgspec.structs.replace(after, stalled=OVER)).record
    assert operation_of(again) == (Phase.FENCING, A, Kind.PROBE)


@pytest.mark.parametrize(
    ("first", "then"), [(ANSWERED, (Phase.FENCING, A, Kind.PROBE)), (UNANSWERED, (Phase.STABLE, B, Kind.PROBE))]
)
def test_a_second_move_on_the_probe_alone_goes_only_to_a_member_that_the_probe_reaches(
    first: str, then: tuple[Phase, str, Kind]
) -> None:
    failing = Tally(bad=TIMING.load_balancer_fall, at=NOW - TIMING.doubt_poll)
    record = stable(B, 4, operation=operation(Kind.PROBE, confirmed=True), tallies={B: failing})
    seen = look(status(4), status(4, Role.SERVING), balancer=balancer(nva_a=first, nva_b=UNANSWERED))
    assert operation_of(decided(seen, record).record) == then


def test_a_move_on_the_probe_alone_is_followed_by_whoever_the_probe_reaches_whatever_is_not_known_of_the_first() -> (
    None
):
    """nva-a is Down by us, which hides its probe's path: waited for, it would leave nva-c idle."""
    shown = balancer(nva_a="Down_Admin", nva_b=UNANSWERED, nva_c=ANSWERED)
    record = granted(operation=operation(Kind.PROBE, served=True), stalled=OVER, owed={A: 3})
    seen = look(status(4), status(4, Role.SERVING), status(4), balancer=shown)
    assert operation_of(decided(seen, record).record) == (Phase.FENCING, C, Kind.NEXT)


@pytest.mark.parametrize(
    ("reason", "path"),
    [
        (None, Value.UNKNOWN),
        ("Down_Admin", Value.UNKNOWN),
        (PROBED, Value.OK),
        (ANSWERED, Value.OK),
        (UNANSWERED, Value.BAD),
    ],
)
def test_a_status_that_is_not_200_proves_that_the_probe_is_answered(reason: str | None, path: Value) -> None:
    assert Backend(AdminState.NONE, reason).path is path


# --- several pools around one pair


def test_a_pool_that_is_added_means_no_other_place_and_one_that_is_taken_away_does() -> None:
    one = Referents(next_hop="in", members={A: "10.0.1.4"})
    two = Referents(next_hop="in, out", members={A: "10.0.1.4"})
    assert list(moved(one, two, {A})) == []
    assert noted(one, two, {A}) == two
    assert list(moved(two, one, {A})) == ["the next hop is in now and was in, out"]
    assert noted(two, one, {A}) == two
    assert noted(two, one, ()) == one


def test_a_member_that_an_operator_took_out_of_one_of_two_pools_is_not_elected_nor_rehearsed_on() -> None:
    half = replace(balancer(nva_a=PROBED), backends={B: Backend(AdminState.NONE, ANSWERED, partly_down=True)})
    seen = look(SERVING, STANDBY, STANDBY, balancer=half)
    assert is_down_by_operator(looking(seen, stable()), B)
    assert not is_down_by_operator(looking(seen, stable(owed={B: 3})), B)
    assert rehearse(looking(seen, stable()), B, "alice").held == (
        "adminState of nva-b is Down in one of its pools, and not by us",
    )


def test_a_new_holder_is_verified_once_every_pool_has_it_up() -> None:
    serving = {B: status(4, Role.SERVING), A: status(4)}
    half = replace(balancer(), backends={B: Backend(AdminState.NONE, PROBED, also=(ANSWERED,))})
    both = replace(balancer(), backends={B: Backend(AdminState.NONE, PROBED, also=(PROBED,))})
    record = granted()
    waiting = confirm(looking(Observed(NOW, serving, half), record), B)
    assert (waiting.record.phase, waiting.held) == (
        Phase.GRANTED,
        (f"nva-b serves at epoch 4, but the probe says {ANSWERED}",),
    )
    assert confirm(looking(Observed(NOW, serving, both), record), B).record.phase is Phase.STABLE


@pytest.mark.parametrize(("listed", "named"), [((B,), True), ((A, B), False)])
def test_a_hold_for_a_member_that_the_pool_does_not_list_names_the_way_out(
    listed: tuple[str, ...], named: bool
) -> None:
    tried = {SendFence(A, 4): "no answer", FenceByBalancer(A, 4, wary=True): "it is not in the pool"}
    seen = replace(pool(), backends={name: Backend(AdminState.NONE) for name in listed})
    looked = replace(look(SILENT, STANDBY, STANDBY, balancer=seen), tried=tried)
    (held,) = decided(looked, fencing(owed={A: 4})).held
    assert held.endswith(f"`forget` {A}") is named


@pytest.mark.parametrize("rose", [True, False])
def test_a_fence_that_is_made_again_leaves_a_holder_that_still_rises_its_looks(rose: bool) -> None:
    rewritten = look(SILENT, status(4, Role.SERVING), status(4), balancer=pool(nva_a=AdminState.NONE))
    record = granted(**A_FENCED, operation=operation(confirmed=rose))
    renewed = decided(rewritten, record).record
    shown = look(status(5), status(4, Role.SERVING), status(4))
    again = decided(shown, renewed).record
    assert (again.phase, again.operation and again.operation.confirmed) == (Phase.GRANTED, rose)


@pytest.mark.parametrize(
    ("reasons", "left_alone"),
    [((UNANSWERED, None), False), ((PROBED, None), True), ((None, None), True), ((UNANSWERED, UNANSWERED), True)],
)
def test_a_target_that_serves_and_is_never_reached_by_its_probe_is_followed_by_a_member_that_is_no_last_choice(
    reasons: tuple[str | None, str | None], left_alone: bool
) -> None:
    of_a, of_b = reasons
    backends = {A: Backend(AdminState.NONE, of_a), B: Backend(AdminState.NONE, of_b)}
    seen = replace(
        look(SERVING, STANDBY, FATAL, balancer=replace(pool(), backends=backends)),
        tried={SendPromote(A, 4, "boot-1"): f"{REFUSES}its disk is full"},
    )
    record = fencing(A, Kind.ADOPT, phase=Phase.GRANTED, stalled=OVER)
    decision = decided(seen, record)
    assert (decision.record.target == A) is left_alone


SEEN_BEFORE = {A: Tally(bad=1, at=NOW - TIMING.doubt_poll)}


@pytest.mark.parametrize(
    ("listed", "complete", "tallies", "moves"),
    [
        ((B, C), True, SEEN_BEFORE, True),
        ((B, C), True, {}, False),
        ((B, C), False, SEEN_BEFORE, False),
        ((), True, SEEN_BEFORE, False),
        ((A, B), True, SEEN_BEFORE, False),
    ],
    ids=["out of the pool", "at its first look", "as far as is known", "as is everybody", "listed"],
)
def test_a_fit_holder_that_no_pool_lists_is_followed_by_a_member_that_is_listed(
    listed: tuple[str, ...], complete: bool, tallies: dict[str, Tally], moves: bool
) -> None:
    seen = replace(pool(), backends={name: Backend(AdminState.NONE) for name in listed}, complete=complete)
    record = decided(look(SERVING, STANDBY, STANDBY, balancer=seen), stable(tallies=tallies)).record
    assert (operation_of(record) == (Phase.FENCING, B, Kind.FAILOVER)) is moves
    if moves:
        assert record.operation is not None
        assert record.operation.reason == "nva-a: no backend pool lists it; nva-b takes over"


def test_a_candidate_that_no_pool_lists_is_the_last_choice() -> None:
    seen = replace(pool(), backends={name: Backend(AdminState.NONE) for name in (A, C)})
    fatal = status(3, Role.SERVING, fatal=("disk",))
    assert decided(look(fatal, STANDBY, STANDBY, balancer=seen), stable()).record.target == C


def test_a_target_that_cannot_be_lifted_as_no_pool_lists_it_is_followed_once_patience_is_over() -> None:
    listed = replace(pool(), backends={name: Backend(AdminState.NONE) for name in (A, C)})
    seen = look(
        status(4), status(4, Role.SERVING), status(4), balancer=listed, tried={LiftByBalancer(B, 4): "not there"}
    )
    assert decided(seen, granted(owed={B: 3})).record.phase is Phase.GRANTED
    assert operation_of(decided(seen, granted(owed={B: 3}, stalled=OVER)).record) == (Phase.FENCING, A, Kind.NEXT)
