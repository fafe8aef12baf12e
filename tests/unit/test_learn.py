"""Which records are believed, and how one that is not is learned again (safety.md section 2, `learn`; finding 2)."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from function_app.domain.service.learn import UNREAD, behind
from function_app.domain.service.observation import Observed, Role
from function_app.domain.service.record import Ack, Drain, Fence, Phase, Record, Tally, unknown
from tests.builders import NOW, balancer, stable, status
from tests.unit.decisions import (
    FATAL,
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
    decided,
    fencing,
    learning,
    look,
    looking,
)


@pytest.mark.parametrize(
    ("seen", "record"),
    [
        (look(status(4, Role.SERVING)), fencing()),
        (look(status(4), status(4, Role.SERVING)), stable(A, 4)),
        (look(status(4, Role.SERVING)), stable(A, 4, fenced={A: Fence(epoch=3, etag="e")}, owed={A: 3})),
        (look(replace(STANDBY, services={"fw": replace(STANDBY.services["fw"], heard=5, warranted=5)})), stable(A, 4)),
        (look(SILENT, SILENT, status(4)), fencing()),
        (look(SILENT, status(4)), fencing()),
        (look(SILENT, SILENT, balancer=balancer(nva_b=PROBED)), fencing()),
    ],
    ids=[
        "no member is granted",
        "another is",
        "it is believed fenced",
        "an epoch that only peers reported",
        "who need not make way was fenced",
        "the target was fenced",
        "the target is silent and answers the probe",
    ],
)
def test_a_record_that_cannot_be_the_newest_is_not_believed(seen: Observed, record: Record) -> None:
    """It was put back: PROMOTE at its epoch exists only for its target, once granted and no longer fenced; until then
    FENCE does only for those who may be serving in its place."""
    learned = decided(seen, record)
    assert learned.record.phase is Phase.LEARN
    assert learned.record.may_serve == {A, B, C}
    assert learned.effects == ()


@pytest.mark.parametrize(
    ("seen", "record"),
    [
        (look(status(4)), fencing()),
        (look(status(4), status(4), status(4)), stable(A, 4, may_serve=frozenset({A, B, C}), phase=Phase.LEARN)),
        (look(status(4, Role.SERVING), status(4)), stable(A, 4)),
        (look(SILENT, SILENT, balancer=balancer(nva_b=REFUSED)), fencing()),
        (look(SILENT, SILENT, balancer=balancer(nva_b=PROBED)), fencing(may_serve=frozenset({A, B}))),
        (look(SILENT, STANDBY, balancer=balancer(nva_b=PROBED)), fencing()),
        (look(SILENT, SILENT, balancer=balancer(nva_c=PROBED)), fencing()),
    ],
    ids=[
        "the old holder acknowledged",
        "learning",
        "the others were fenced after the grant",
        "the target is silent and its probe fails",
        "the target may be serving as it is",
        "the target answers and stood by a moment ago",
        "the probe of one that is no target",
    ],
)
def test_a_record_that_may_well_be_the_newest_is_believed(seen: Observed, record: Record) -> None:
    assert behind(looking(seen, record)) is None


def test_one_epoch_ahead_of_the_record_is_enough_to_learn_again() -> None:
    before = stable(owed={C: 2}, fenced={C: Fence(epoch=2, etag="e")}, acks={B: Ack(epoch=3, boot_id="x")})
    record = decided(look(SERVING, status(4)), before).record
    assert record.phase is Phase.LEARN
    assert record.may_serve == {A, B, C}
    assert (record.fenced, record.acks, record.operation) == ({}, {}, None)
    assert record.owed == {C: 2}


def test_out_of_learning_everybody_may_serve() -> None:
    record = decided(look(SERVING), learning()).record
    assert record.phase is Phase.FENCING
    assert record.may_serve == {A, B, C}


@pytest.mark.parametrize(
    ("seen", "record"),
    [
        (look(SERVING, c=SILENT), learning()),
        (look(SERVING), learning(rounds=TIMING.learn_rounds - 2)),
        (look(SERVING), learning(rounds=0, last=NOW - timedelta(seconds=1))),
        (look(SERVING), learning(since=NOW)),
        (look(SERVING), learning(rounds=TIMING.learn_rounds - 1, last=NOW)),
    ],
    ids=["one silent", "a round short", "rounds short", "time short", "one look twice"],
)
def test_learning_takes_complete_rounds_and_time_and_does_nothing_meanwhile(seen: Observed, record: Record) -> None:
    mute = replace(SERVING, services={"fw": replace(SERVING.services["fw"], advertised=None)})
    agents = {**seen.agents, A: mute}
    decision = decided(replace(seen, agents=agents, balancer=balancer(nva_a="Up_Probe_Success")), record)
    assert decision.record.phase is Phase.LEARN
    assert decision.effects == ()
    assert "learning" in decision.held[0]


def test_a_learning_that_is_still_to_begin_begins_now() -> None:
    begun = decided(look(SERVING), learning(since=SOON)).record.learning
    assert begun is not None
    assert begun.since == NOW


def test_learning_that_finds_no_member_fit_says_why_of_each() -> None:
    by_hand = balancer(nva_a="Down_Admin", nva_b="Up_Probe_Success", nva_c="Up_Probe_Success")
    drained = msgspec.structs.replace(learning(), drains={B: Drain(until=NOW + timedelta(hours=1), by="ann")})
    decision = decided(look(STANDBY, c=FATAL, balancer=by_hand), drained)
    assert decision.record.phase is Phase.LEARN
    assert decision.held == (
        "learned, but no member is fit to serve",
        "nva-a: its adminState is Down, and the record does not say that we set it: an operator must undo it",
        "nva-b: it is drained",
        "nva-c: its agent says forwarding is off",
    )


@pytest.mark.parametrize(
    ("seen", "target"),
    [
        (look(STANDBY), None),
        (look(SERVING), A),
        (look(STANDBY, balancer=balancer(nva_a="Down_Admin", nva_b=PROBED, nva_c=PROBED)), B),
        (look(STANDBY, balancer="the management API does not answer"), A),
    ],
    ids=["it was not read", "one serves already", "an operator took one out", "it cannot be read"],
)
def test_learning_chooses_a_new_holder_only_by_a_look_that_read_the_load_balancer_or_tried_to(
    seen: Observed, target: str | None
) -> None:
    """The one that an operator set to Down would get no flows, and be replaced by the first look that sees it."""
    decision = decided(seen, learning())
    assert decision.record.target == target
    assert target is not None or UNREAD in decision.held[0]


def test_one_that_serves_with_a_probe_that_fails_is_not_adopted() -> None:
    down = balancer(nva_a="Down_Probe_HttpStatusCodeError")
    failing = msgspec.structs.replace(learning(), tallies={A: Tally(bad=2, at=NOW)})
    assert decided(look(SERVING, balancer=down), failing).record.target == B
    assert decided(look(SERVING, balancer=down), learning()).record.target == A


def test_where_no_record_can_be_believed_every_member_may_serve_and_none_holds() -> None:
    record = unknown("fw", frozenset({A, B}), NOW)
    assert record.phase is Phase.LEARN
    assert record.may_serve == {A, B}
    assert record.holder is None


def test_a_service_that_was_active_active_until_now_is_learned_again() -> None:
    """Its record names no member that is to serve, and every member may be serving."""
    shared = stable(may_serve=frozenset({A, B, C}), operation=None)
    record = msgspec.structs.replace(shared, target=None)
    decision = decided(look(SERVING, SERVING, SERVING), record)
    assert decision.record.phase is Phase.LEARN
    assert decision.record.may_serve == {A, B, C}
