"""What a ranked service's record takes from a look, and what is ordered next. The orders themselves: test_ranking.py."""

from dataclasses import replace as with_changes
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AgentReading, Observed, Role
from function_app.domain.service.ranked.paths import Path, PathOrder, Rank, acknowledged, intend, landed
from function_app.domain.service.record import Kind, Phase, Record, Spacing, Tally
from function_app.domain.service.steps import SendFence, SendPath, SendPromote
from function_app.domain.topology.model import Topology
from tests.builders import NOW, ranked, stable, status
from tests.unit.decisions import SILENT, SOON, A, B, C, fencing, looking, operation

OWN, INJECTED = ranked(3), ranked(2, ("rri-1",))
KIND = kind_of(OWN.services[0])
BEFORE, EVER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
LOST_ONE = status(3, sessions_up=False)
UNFIT = status(3, Role.SERVING, fatal=("forwarding is off",))
ORDERS = {name: PathOrder(3, 1, Path(4 + place, name)) for place, name in enumerate((A, B, C))}


def rank(at: datetime = BEFORE) -> Rank:
    """Each announces itself, acknowledged then, and landed: at rest."""
    found = intend(Rank(), 3, {name: order.path for name, order in ORDERS.items()}, at)
    for name in ORDERS:
        found = acknowledged(found, name, (3, 1), at)
    return landed(found, EVER, OWN.timing.bgp_hold)


def seen(*agents: AgentReading, **more: Any) -> Observed:
    """The first agents of nva-a, nva-b, nva-c, rri-1 report this; the rest stand by, fit."""
    reported = dict.fromkeys((A, B, C, "rri-1"), status(3)) | dict(zip((A, B, C), agents, strict=False))
    return Observed(**{"at": NOW, "agents": reported, "ordered": ORDERS} | more)


def view(observed: Observed, record: Record, desired: Topology = OWN) -> Look:
    return looking(observed, record, desired)


def at_rest(**changes: Any) -> Record:
    return stable(A, 3, **({"rank": rank()} | changes))


def moving(target: str = B, **changes: Any) -> Record:
    """Epoch 4 is opened for the target; nva-a was the holder, and all paths are those at rest."""
    return fencing(target, **({"rank": rank()} | changes))


# --- what the look shows of the orders


def test_lengths_at_rest_are_distinct_from_four_up_in_the_order_of_the_announcers() -> None:
    assert [KIND.length_at_rest(OWN.services[0], name) for name in (A, B, C)] == [4, 5, 6]


def test_an_announcer_that_reports_no_order_is_sent_its_last_one_again_at_a_newer_turn() -> None:
    noted = KIND.noted(view(seen(ordered={A: ORDERS[A], C: ORDERS[C]}, at=SOON), at_rest()))
    assert noted.rank is not None
    assert [noted.rank.announcers[name].latest for name in (A, B, C)] == [
        ORDERS[A],
        PathOrder(3, 2, Path(5, B)),
        ORDERS[C],
    ]
    assert noted.rank.changed == SOON


def test_a_status_that_is_no_newer_than_the_acknowledgement_does_not_say_that_the_order_is_lost() -> None:
    given = at_rest(rank=rank(NOW))
    assert KIND.noted(view(seen(ordered={}), given)) == given
    assert KIND.noted(view(seen(ordered={}, at=SOON), given)) != given


def test_the_hold_time_that_an_agent_reports_is_kept_for_when_it_is_silent() -> None:
    slow = with_changes(status(3), hold_time=timedelta(seconds=240))
    noted = KIND.noted(view(seen(status(3), slow), at_rest()))
    assert noted.rank is not None
    assert [noted.rank.announcers[name].hold for name in (A, B, C)] == [None, timedelta(seconds=240), None]
    assert KIND.noted(view(seen(status(3), SILENT), noted)) == noted


NEWER = {B: PathOrder(3, 2, Path(2, B))}
UNKNOWN_ORDER = "an announcer was given an order that this record does not know"
STORED: list[tuple[str, Observed, Record, str | None]] = [
    ("a newer order than is recorded", seen(ordered=ORDERS | NEWER), at_rest(), UNKNOWN_ORDER),
    ("the recorded orders", seen(), at_rest(), None),
    ("no order", seen(ordered={}), at_rest(), None),
    ("a newer order, accepted in this pass", seen(ordered=NEWER, announced={B: (3, 2)}), at_rest(), None),
    ("an order of one that was never ordered any", seen(ordered={"rri-1": ORDERS[A]}), at_rest(), None),
    ("an order where no rank is recorded", seen(ordered=NEWER), at_rest(rank=None), None),
]


@pytest.mark.parametrize(("observed", "record", "why"), [row[1:] for row in STORED], ids=[row[0] for row in STORED])
def test_only_an_order_that_the_record_does_not_know_contradicts_it(
    observed: Observed, record: Record, why: str | None
) -> None:
    assert KIND.contradicted(view(observed, record)) == why


# --- an operation


def test_the_target_is_granted_and_promoted_once_the_best_path_names_it() -> None:
    decision = KIND.prove(view(seen(), moving(A)), A)
    operation = moving(A).operation
    assert operation is not None
    assert decision.record == replace(moving(A), phase=Phase.GRANTED, operation=replace(operation, granted=NOW))
    assert decision.effects == (SendPromote(A, 4, "boot-1"),)
    assert decision.because == ("nva-a is granted epoch 4: by nva-a it has the shortest AS path that may be announced",)


def test_until_then_its_shorter_path_is_ordered() -> None:
    decision = KIND.prove(view(seen(), moving()), B)
    assert decision.effects == (SendPath(B, 4, 2, Path(3, B)),)
    assert decision.record.rank is not None
    assert decision.record.rank.changed == NOW
    assert decision.record.phase is Phase.FENCING


def test_a_record_of_another_kind_of_next_hop_orders_no_path() -> None:
    for record in (moving(rank=None), at_rest(rank=None)):
        observed = view(seen(), record)
        assert KIND.prove(observed, B) == Decision(record)
        assert KIND.announce(observed, Decision(record)) == Decision(record)


NOT_ON_BOTH = "nva-b is not Established with every live Route Server instance"


def test_a_target_that_cannot_be_named_gives_way_to_the_fit_member_that_the_best_path_still_names() -> None:
    decision = KIND.prove(view(seen(status(3), LOST_ONE), moving()), B)
    operation = decision.record.operation
    assert operation is not None
    assert (decision.record.target, decision.record.epoch, operation.kind) == (A, 5, Kind.BACK)
    assert operation.reason == f"{NOT_ON_BOTH}; the best path still names nva-a"


@pytest.mark.parametrize(("counted", "left"), [(1, None), (3, 2)])
def test_a_failover_that_moved_nothing_does_not_count_for_spacing(counted: int, left: int | None) -> None:
    record = moving(spacing=Spacing(count=counted, last=NOW))
    back = KIND.prove(view(seen(status(3), LOST_ONE), record), B).record
    assert back.spacing == (Spacing(count=left, last=NOW) if left else None)
    ordered = moving(spacing=record.spacing, operation=operation(Kind.SWITCHOVER))
    assert KIND.prove(view(seen(status(3), LOST_ONE), ordered), B).record.spacing == record.spacing


@pytest.mark.parametrize("holder", [status(3, Role.SERVING, fatal=("forwarding is off",)), SILENT, LOST_ONE])
def test_no_member_that_failed_or_is_silent_or_that_nothing_reaches_is_gone_back_to(holder: AgentReading) -> None:
    decision = KIND.prove(view(seen(holder, LOST_ONE), moving()), B)
    assert decision == Decision(moving(), held=(NOT_ON_BOTH,))


def refused(why: str) -> tuple[Record, Look]:
    """nva-a failed, nva-b was ordered a shorter path, and this came of it."""
    order = SendPath(B, 4, 2, Path(3, B))
    record = moving(rank=intend(rank(), 4, {B: order.path}, NOW))
    return record, view(seen(UNFIT, tried={order: why}), record)


def test_a_target_that_refuses_its_path_is_followed_by_the_next_one_and_is_the_last_choice() -> None:
    _, look = refused("refused: state cannot be made durable")
    decision = KIND.prove(look, B)
    operation = decision.record.operation
    assert operation is not None
    assert (decision.record.target, decision.record.epoch, operation.kind) == (C, 5, Kind.NEXT)
    assert decision.record.refused == {B: NOW}
    assert decision.effects == (SendPath(C, 5, 3, Path(2, C)),)


def test_a_target_that_did_not_take_its_path_is_waited_for_until_patience_is_over() -> None:
    record, look = refused("no answer")
    assert KIND.prove(look, B).record == record
    over = replace(record, stalled=Tally(bad=OWN.timing.verify_looks, at=NOW))
    assert KIND.prove(look.with_record(over), B).record.target == C


def test_a_target_is_not_followed_by_one_that_refused_as_well_nor_where_injectors_lead() -> None:
    record, look = refused("refused: state cannot be made durable")
    both = replace(record, refused={C: NOW})
    assert KIND.prove(look.with_record(both), B).record == both
    unfit = {A: status(3, Role.SERVING, fatal=("forwarding is off",))}
    injected = replace(moving(rank=None), stalled=Tally(bad=99, at=NOW))
    lost = seen(agents=dict.fromkeys((B, "rri-1"), LOST_ONE) | unfit)
    with_rank = replace(
        injected, rank=acknowledged(intend(Rank(), 4, {"rri-1": Path(4, A)}, BEFORE), "rri-1", (4, 1), BEFORE)
    )
    decision = kind_of(INJECTED.services[0]).prove(view(lost, with_rank, INJECTED), B)
    assert decision.record.target == B


def test_a_target_that_nothing_reaches_is_followed_by_one_that_refused_once_patience_is_over() -> None:
    record = moving(refused={C: NOW}, stalled=Tally(bad=OWN.timing.verify_looks, at=NOW))
    first, second = LOST_ONE.sessions
    half = with_changes(LOST_ONE, sessions={first: True, second: False})
    assert KIND.prove(view(seen(UNFIT, half), record), B).record == record
    assert KIND.prove(view(seen(UNFIT, LOST_ONE, LOST_ONE), record), B).record == record
    assert KIND.prove(view(seen(UNFIT, LOST_ONE), record), B).record.target == C


def test_of_members_that_announce_themselves_one_that_nothing_reaches_is_elected_after_one_that_refused() -> None:
    record = moving(refused={C: NOW})
    assert elect(view(seen(UNFIT, LOST_ONE), record), without=A) == C
    injected = view(seen(UNFIT, LOST_ONE), record, ranked(3, ("rri-1",)))
    assert elect(injected, without=A) == B


def test_while_another_order_is_still_to_be_sent_no_member_is_gone_back_to() -> None:
    record = moving(rank=intend(rank(), 4, {C: Path(7, C)}, NOW))
    decision = KIND.prove(view(seen(status(3), LOST_ONE), record), B)
    assert decision == Decision(record, (SendPath(C, 4, 2, Path(7, C)),), (NOT_ON_BOTH,))


def test_an_order_that_failed_holds_the_operation_and_is_named_with_the_reason() -> None:
    order = SendPath(B, 4, 2, Path(3, B))
    record = moving(rank=intend(rank(), 4, {B: order.path}, NOW))
    tried = {order: "it did not answer", SendFence(A, 4): "never mind"}
    decision = KIND.prove(view(seen(SILENT, tried=tried), record), B)
    assert decision.record.phase is Phase.FENCING
    assert decision.held == (NOT_ON_BOTH, "nva-b was not moved: it did not answer")


def test_a_command_of_another_kind_that_failed_does_not_keep_an_announcer_from_leading() -> None:
    decision = KIND.prove(view(seen(tried={SendFence(B, 4): "it did not answer"}), moving()), B)
    assert decision.effects == (SendPath(B, 4, 2, Path(3, B)),)


# --- at rest


def test_the_announcers_of_a_service_at_rest_are_ordered_nothing() -> None:
    assert KIND.announce(view(seen(), at_rest()), Decision(at_rest(), settled=True)) == Decision(
        at_rest(), settled=True
    )


def short() -> Record:
    """nva-b holds with a path of three, and that has landed an hour ago."""
    moved = acknowledged(intend(rank(), 4, {B: Path(3, B)}, BEFORE), B, (4, 2), BEFORE)
    return stable(B, 4, rank=landed(moved, NOW, OWN.timing.bgp_hold))


def test_paths_return_to_rest_once_the_damping_window_is_over() -> None:
    later = view(seen(ordered={}, announced={A: (3, 1), B: (4, 2), C: (3, 1)}), short())
    decision = KIND.announce(later, Decision(short(), settled=True))
    assert decision.effects == (SendPath(A, 4, 3, Path(5, A)),)
    assert not decision.settled


def test_what_holds_the_order_is_said_beside_what_keeps_the_paths_from_rest() -> None:
    kind = kind_of(INJECTED.services[0])
    named = Rank()
    for turn, member in enumerate((A, B), start=1):
        named = intend(named, 3, {"rri-1": Path(4, member)}, NOW)
        named = acknowledged(named, "rri-1", (3, turn), NOW)
    record = stable(A, 3, rank=named)
    lopsided = seen(ordered={}, announced={"rri-1": (3, 2)}).with_agent("rri-1", LOST_ONE)
    decision = kind.announce(view(lopsided, record, INJECTED), Decision(record))
    assert decision.effects == ()
    assert decision.held == (
        "no announcer that answers is Established with every live Route Server instance",
        "what rri-1 announced before may still be there: AS paths are not back at rest",
    )
