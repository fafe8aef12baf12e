"""`handover`: what is waited for, and who may serve meanwhile, one decision at a time (safety.md section 2a)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.observation import Observed, Role
from function_app.domain.service.orders import FailoverOrder, Order, PauseOrder, ReleaseOrder, obey
from function_app.domain.service.record import Kind, Phase, Record, Tally
from function_app.domain.service.steps import (
    REFUSED,
    AwaitProbe,
    FenceByBalancer,
    LiftByBalancer,
    SendFence,
    SendPromote,
)
from function_app.domain.topology.model import Handover, Topology
from tests.builders import NOW, balancer, document, stable, status, topology
from tests.unit.decisions import FATAL, PROVEN, SILENT, TIMING, A, B, C, fencing, look, looking, operation

WITHIN = timedelta(seconds=15)


def wanting(handover: Handover) -> Topology:
    services = [document(3)["services"][0] | {"handover": handover.value}]
    return topology(3, services=services)


def decided(seen: Observed, record: Record, handover: Handover = Handover.EXCLUSIVE) -> Decision:
    return decide(looking(seen, record, wanting(handover)))


def gone(member: str, epoch: int = 4) -> AwaitProbe:
    return AwaitProbe(member, epoch, up=False)


def up(member: str, epoch: int = 4) -> AwaitProbe:
    return AwaitProbe(member, epoch, up=True)


# --- exclusive --------------------------------------------------------------------------------------------------------


def test_an_acknowledgement_alone_grants_nothing_while_the_load_balancer_may_still_admit_the_old_holder() -> None:
    waiting = decided(look(status(4)), fencing(noticed_within=WITHIN))
    assert (waiting.record.phase, waiting.effects) == (Phase.FENCING, (gone(A),))
    assert [effect.within for effect in waiting.effects if isinstance(effect, AwaitProbe)] == [WITHIN]
    assert decided(look(status(4), awaited=frozenset({gone(A)})), fencing()).record.phase is Phase.GRANTED


@pytest.mark.parametrize("handover", [Handover.PROMPT, Handover.SEAMLESS])
def test_where_it_is_not_wanted_the_acknowledgement_is_enough(handover: Handover) -> None:
    assert decided(look(status(4)), fencing(), handover).record.phase is Phase.GRANTED


@pytest.mark.parametrize("waited", [gone(A, 3), gone(C), up(A)], ids=["an older operation", "another member", "up"])
def test_a_wait_counts_for_its_member_and_operation_alone(waited: AwaitProbe) -> None:
    assert decided(look(status(4), awaited=frozenset({waited})), fencing()).effects == (gone(A),)


def test_one_that_is_fenced_at_the_load_balancer_is_not_waited_for() -> None:
    assert decided(look(SILENT, proofs={A: PROVEN}), fencing(owed={A: 4})).record.phase is Phase.GRANTED


def test_a_member_that_the_load_balancer_goes_on_admitting_is_fenced_there_but_not_for_a_planned_move() -> None:
    seen = look(status(4), tried={gone(A): "still up"})
    failover = decided(seen, fencing())
    assert (failover.effects, failover.record.owed) == ((FenceByBalancer(A, 4),), {A: 4})
    planned = decided(seen, fencing(B, Kind.SWITCHOVER))
    assert (planned.record.target, planned.record.operation and planned.record.operation.kind) == (A, Kind.BACK)


def test_a_member_that_is_back_is_lifted_once_its_probe_has_found_out_that_it_stands_by() -> None:
    owed = stable(B, 4, owed={A: 4}, fenced={})
    seen = look(status(4), status(4, Role.SERVING), status(4))
    assert decided(seen, owed).effects == (gone(A),)
    assert decided(replace(seen, awaited=frozenset({gone(A)})), owed).effects == (LiftByBalancer(A, 4),)
    held = decided(replace(seen, tried={gone(A): "still up"}), owed)
    assert (held.effects, held.held) == ((), ("nva-a is not lifted yet: still up",))


def test_how_long_the_probe_needs_is_kept_from_the_last_reading_that_told() -> None:
    seen = look(status(3, Role.SERVING), balancer=replace(balancer(), noticed_within=WITHIN))
    kept = decided(seen, stable()).record
    assert kept.noticed_within == WITHIN
    silent = look(status(3, Role.SERVING), balancer=balancer())
    assert decided(silent, kept).record.noticed_within == WITHIN


# --- seamless ---------------------------------------------------------------------------------------------------------


def seamless(seen: Observed, record: Record) -> Decision:
    return decided(seen, record, Handover.SEAMLESS)


def sharing(**changes: Any) -> Record:
    """nva-a, which held epoch 3, and nva-b share epoch 4."""
    both: dict[str, Any] = {"may_serve": frozenset({A, B}), "operation": operation(Kind.SWITCHOVER, sharing=True)}
    return fencing(B, **(both | changes))


SERVES = status(4, Role.SERVING)
AWAITED = frozenset({up(B)})


def test_a_planned_move_lets_both_serve_and_the_old_holder_is_promoted_to_the_new_epoch_first() -> None:
    drained = stable(A, 3, drains={A: {"until": NOW + timedelta(hours=1), "by": "me"}})
    record = msgspec.convert(msgspec.to_builtins(drained), Record)
    opened = seamless(look(status(3, Role.SERVING), status(3), status(3)), record)
    assert (opened.record.phase, opened.record.target, opened.record.may_serve) == (Phase.FENCING, B, {A, B})
    assert opened.record.is_shared
    assert opened.effects == (SendPromote(A, 4, "boot-1"),)


@pytest.mark.parametrize("handover", [Handover.PROMPT, Handover.EXCLUSIVE])
def test_nobody_else_shares(handover: Handover) -> None:
    drained = stable(A, 3, drains={A: {"until": NOW + timedelta(hours=1), "by": "me"}})
    record = msgspec.convert(msgspec.to_builtins(drained), Record)
    opened = decided(look(status(3, Role.SERVING), status(3), status(3)), record, handover)
    assert not opened.record.is_shared
    assert opened.effects == (SendFence(A, 4),)


def test_a_failover_never_shares() -> None:
    opened = seamless(look(FATAL), stable())
    assert (opened.record.may_serve, opened.effects) == ({A}, (SendFence(A, 4),))


def test_the_target_is_promoted_once_the_old_holder_serves_at_the_new_epoch() -> None:
    """An agent that serves stands by once it hears that a peer serves at a higher epoch."""
    assert seamless(look(status(3, Role.SERVING), status(3)), sharing()).effects == (SendPromote(A, 4, "boot-1"),)
    assert seamless(look(SERVES, status(3)), sharing()).effects == (SendPromote(B, 4, "boot-1"),)


def test_the_probe_of_the_target_is_awaited_while_both_serve_and_then_the_old_holder_is_fenced_at_a_newer_epoch() -> (
    None
):
    assert seamless(look(SERVES, SERVES), sharing()).effects == (up(B),)
    ended = seamless(look(SERVES, SERVES, awaited=AWAITED), sharing())
    assert (ended.record.epoch, ended.record.target, ended.record.may_serve) == (5, B, {A, B})
    assert not ended.record.is_shared
    assert ended.effects == (SendFence(A, 5),)


def test_a_target_that_is_fenced_is_taken_back_into_the_pool_before_it_is_promoted() -> None:
    owed = sharing(owed={B: 3})
    lift = LiftByBalancer(B, 4)
    assert seamless(look(SERVES, status(3)), owed).effects == (lift,)
    assert seamless(look(SERVES, status(3), lifted={B: 4}), owed).record.owed == {}
    failed = seamless(look(SERVES, status(3), tried={lift: "ARM answers 503"}), owed)
    assert failed.effects == (SendPromote(B, 4, "boot-1"),)


@pytest.mark.parametrize(
    ("seen", "target"),
    [
        (look(SERVES, status(4, Role.SERVING, fatal=("no echo",))), A),
        (look(SERVES, status(3), tried={SendPromote(B, 4, "boot-1"): f"{REFUSED}no disk"}), A),
        (look(status(4, Role.SERVING, fatal=("no echo",)), SERVES), B),
    ],
    ids=["the target failed", "the target refused", "the old holder failed"],
)
def test_whoever_can_serves_alone_where_sharing_does_not_work_out(seen: Observed, target: str) -> None:
    ended = seamless(seen, sharing()).record
    assert (ended.epoch, ended.target, ended.is_shared) == (5, target, False)
    assert ended.may_serve == {A, B}


def test_sharing_ends_with_the_old_holder_once_patience_is_over() -> None:
    seen = look(SERVES, SERVES, tried={up(B): "the probe is bad"}, balancer=balancer())
    held = seamless(seen, sharing())
    assert (held.record.epoch, held.held) == (4, ("both may serve: the probe is bad",))
    tired = sharing(stalled=Tally(bad=TIMING.verify_looks, at=NOW - timedelta(hours=1)))
    ended = seamless(seen, tired)
    assert (ended.record.target, ended.record.epoch) == (A, 5)
    assert ended.because == ("back to the old holder to nva-a at epoch 5: the probe is bad",)


def test_what_two_that_share_do_is_no_contradiction_of_the_record() -> None:
    assert seamless(look(SERVES, SERVES), sharing()).record.phase is Phase.FENCING
    alone = seamless(look(SERVES, SERVES), sharing(operation=operation(Kind.SWITCHOVER)))
    assert alone.record.phase is Phase.LEARN


@pytest.mark.parametrize("order", [PauseOrder(), ReleaseOrder()], ids=["pause", "release"])
def test_what_would_keep_two_serving_is_refused_and_says_when_it_ends(order: Order) -> None:
    shared = looking(look(SERVES, SERVES), sharing(), wanting(Handover.SEAMLESS))
    refused = obey(shared, order)
    assert refused.record == shared.record
    assert "two members may serve until the load balancer has nva-b up" in refused.held[0]
    assert obey(shared, FailoverOrder(to=A)).record.epoch > shared.record.epoch


def test_a_record_of_before_has_nobody_sharing() -> None:
    old = msgspec.json.encode(fencing()).replace(b',"sharing":false', b"").replace(b',"noticed_within":null', b"")
    assert b"sharing" not in old
    assert msgspec.json.decode(old, type=Record) == fencing()
