"""A new holder and the load balancer's probe: how it is confirmed, how long we wait, and which readings may predate the
grant (ADR 8)."""

from copy import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from function_app.domain.service.observation import (
    FAILING,
    AdminState,
    AgentStatus,
    Backend,
    BalancerReading,
    PeerView,
    Role,
    Unreachable,
    Value,
)
from function_app.domain.service.patience import SHOWN_LATE
from function_app.domain.service.record import Kind, Operation, Phase, Record, Tally
from function_app.domain.service.steps import SendPromote
from tests.builders import NOW, balancer, stable, status
from tests.unit.decisions import (
    LONG_AGO,
    PROBED,
    REFUSED,
    SERVING,
    SILENT,
    STANDBY,
    TIMING,
    A,
    B,
    C,
    decided,
    fencing,
    granted,
    look,
    operation,
)


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        (PROBED, Phase.STABLE),
        (FAILING, Phase.GRANTED),
        (REFUSED, Phase.GRANTED),
        ("Down_Admin", Phase.GRANTED),
        ("Down_Other", Phase.GRANTED),
    ],
)
def test_a_promotion_is_verified_by_the_probe_alone(reason: str, phase: Phase) -> None:
    """One that has just failed once is that of a standby, and its load balancer may have it down a moment later."""
    seen = look(status(4), status(4, Role.SERVING), status(4), balancer=balancer(nva_b=reason))
    assert decided(seen, granted(owed={B: 4})).record.phase in {phase, Phase.GRANTED}
    free = replace(seen, balancer=replace(balancer(), backends={B: Backend(AdminState.NONE, reason)}))
    assert decided(free, granted()).record.phase is phase


@pytest.mark.parametrize(
    ("seen", "after_all"),
    [
        ("the load balancer could not be read", True),
        (replace(balancer(), backends={}), True),
        (replace(balancer(), backends={B: Backend(AdminState.NONE, None)}), True),
        (None, False),
    ],
    ids=["ARM is down", "not in the pool", "health is empty", "not read"],
)
def test_a_promotion_that_cannot_be_verified_is_believed_after_enough_looks_and_never_before(
    seen: BalancerReading | str | None, after_all: bool
) -> None:
    """Its probe may not have risen yet, and a stable holder whose probe fails twice is replaced."""
    looked = look(status(4), status(4, Role.SERVING), status(4), balancer=seen)
    assert decided(looked, granted()).record.phase is Phase.GRANTED
    assert decided(looked, granted(stalled=waited(TIMING.verify_looks - 1))).record.phase is Phase.GRANTED
    assert (decided(looked, granted(stalled=waited(TIMING.verify_looks))).record.phase is Phase.STABLE) is after_all


def waited(looks: int, since: timedelta = TIMING.doubt_poll) -> Tally:
    return Tally(bad=looks, at=NOW - since)


def test_patience_with_a_new_holder_is_a_number_of_looks_and_no_clock_ends_it() -> None:
    """A host that slept through its own fence, or whose clock is wrong, gives no holder up."""
    seen = look(status(4), status(4, Role.SERVING), status(4), balancer=balancer(nva_b=REFUSED))
    late = operation(started=LONG_AGO, deadline=NOW - timedelta(minutes=5))
    first = decided(seen, granted(operation=late)).record
    assert first.phase is Phase.GRANTED
    assert first.stalled == Tally(bad=1, at=NOW)
    assert decided(seen, first).record == first
    lately = waited(TIMING.verify_looks - 1, since=TIMING.doubt_poll * 0.9)
    assert decided(seen, granted(stalled=lately)).record.stalled == lately


def test_a_promotion_that_the_agent_has_not_taken_is_not_verified() -> None:
    command = SendPromote(B, 4, "boot-1")
    seen = look(status(4), status(3), status(4), balancer=balancer(nva_b=PROBED), tried={command: "no answer"})
    assert decided(seen, granted()).record.phase is Phase.GRANTED


def test_a_holder_that_is_not_verified_after_enough_looks_is_followed_and_not_before() -> None:
    seen = look(status(4), status(4, Role.SERVING), status(4), balancer=balancer(nva_b=REFUSED))
    assert decided(seen, granted(stalled=waited(TIMING.verify_looks - 1))).record.phase is Phase.GRANTED
    record = decided(seen, granted(stalled=waited(TIMING.verify_looks))).record
    assert (record.phase, record.target) == (Phase.FENCING, A)
    assert record.operation is not None
    assert record.operation.kind == Kind.PROBE
    assert record.stalled is None


@pytest.mark.parametrize(("serves", "confirmed"), [(status(3), False), (SERVING, True)], ids=["standby", "serving"])
def test_only_a_holder_that_served_already_is_confirmed_by_its_grant(serves: AgentStatus, confirmed: bool) -> None:
    """What health says of it is of now: nothing has changed for its probe (ADR 8)."""
    record = decided(look(status(4), serves), fencing(operation=operation(confirmed=not confirmed))).record
    assert record.phase is Phase.GRANTED
    assert (record.operation and record.operation.confirmed) is confirmed


# --- once it is stable


UP, DOWN = balancer(nva_a=PROBED, nva_b=REFUSED), balancer(nva_a=REFUSED, nva_b=REFUSED)


def fresh(confirmed: bool = False, ago: timedelta = timedelta(minutes=1)) -> Operation:
    return operation(Kind.BACK, started=NOW - ago, confirmed=confirmed)


def failing(looks: int) -> dict[str, Tally]:
    return {A: Tally(bad=looks, at=NOW - TIMING.doubt_poll * 0.9)}


def test_the_probe_alone_does_not_move_traffic_from_one_that_may_have_stood_by_when_it_was_seen() -> None:
    """It serves again seconds after it stood by: health says `Up_Probe_Success` from before that, and fails later."""
    seen = look(SERVING, balancer=DOWN)
    last = TIMING.verify_looks - 1
    waiting = decided(seen, stable(tallies=failing(last), operation=fresh()))
    assert waiting.record.phase is Phase.STABLE
    assert waiting.held[0].endswith(
        f"failed {last} time(s); it was not seen to rise since the promotion, so {last + 1} are waited for"
    )
    assert decided(seen, stable(tallies=failing(last + 1), operation=fresh())).record.phase is Phase.FENCING


@pytest.mark.parametrize(
    "last", [fresh(confirmed=True), fresh(ago=TIMING.spacing_forget)], ids=["probe seen to rise", "long ago"]
)
def test_the_probe_alone_moves_traffic_from_one_that_it_was_seen_to_find(last: Operation) -> None:
    decision = decided(look(SERVING, balancer=DOWN), stable(tallies=failing(2), operation=last))
    assert decision.record.phase is Phase.FENCING


def test_a_silent_holder_whose_probe_fails_is_replaced_however_fresh_it_is() -> None:
    decision = decided(look(SILENT, balancer=DOWN), stable(tallies=failing(2), operation=fresh()))
    assert decision.record.phase is Phase.FENCING


@pytest.mark.parametrize("phase", [Phase.GRANTED, Phase.STABLE])
def test_an_up_confirms_a_new_holder_only_after_its_probe_was_seen_to_fail(phase: Phase) -> None:
    record = stable(operation=fresh(), phase=phase)

    def confirmed(record: Record) -> bool:
        return record.operation is not None and record.operation.confirmed

    at_once = decided(look(SERVING, balancer=UP), record).record
    assert (at_once.phase, confirmed(at_once)) == (Phase.STABLE, False)
    fell = decided(look(SERVING, balancer=DOWN), record).record
    still = decided(look(SERVING, balancer=DOWN), fell).record
    assert not confirmed(fell)
    assert not confirmed(still)
    assert confirmed(decided(look(SERVING, balancer=UP), fell).record)


def test_a_standby_whose_probe_was_seen_to_fail_is_confirmed_by_its_first_up_as_the_holder() -> None:
    """What a look at rest found is in the record; a failover looks at the agents alone."""
    seen = decided(look(SERVING, balancer=UP), stable()).record
    assert seen.probe_down == {B}
    given = replace(seen, phase=Phase.GRANTED, target=B, may_serve=frozenset({B}), operation=fresh())
    pool = balancer(nva_a=REFUSED, nva_b=PROBED)
    record = decided(look(STANDBY, status(3, Role.SERVING), balancer=pool), given).record
    assert (record.phase, record.operation and record.operation.confirmed) == (Phase.STABLE, True)
    assert record.probe_down == {A}


def test_a_reading_that_says_nothing_of_a_member_leaves_what_was_known_of_its_probe() -> None:
    silent = balancer(nva_a=PROBED, nva_b="Down_Admin")
    assert decided(look(SERVING, balancer=silent), stable(probe_down=frozenset({B}))).record.probe_down == {B}


def not_serving(epoch: int) -> AgentStatus:
    """It was ordered to serve at this epoch, and its machine has booted since."""
    serving = status(epoch, Role.SERVING)
    mine = replace(serving.services["fw"], answering=False, unconfirmed=True)
    return replace(serving, services={"fw": mine})


@pytest.mark.parametrize("seen", [not_serving(3), status(2)], ids=["it has booted", "it stands by at an older epoch"])
def test_a_holder_that_is_promoted_again_is_given_the_looks_of_a_new_one_for_its_probe_failed_for_that(
    seen: AgentStatus,
) -> None:
    others = {C: Tally(bad=7, at=NOW)}
    before = stable(tallies=failing(9) | others, operation=fresh(confirmed=True), probe_down=frozenset({A}))
    promoted = decided(look(seen), before)
    assert [type(effect) for effect in promoted.effects] == [SendPromote]
    assert promoted.record.tallies == others
    serving = decided(look(SERVING, balancer=DOWN), promoted.record)
    assert serving.record.phase is Phase.STABLE
    long_failing = with_fields(promoted.record, tallies=failing(TIMING.verify_looks))
    assert decided(look(SERVING, balancer=DOWN), long_failing).record.phase is Phase.FENCING


@pytest.mark.parametrize("phase", [Phase.STABLE, Phase.GRANTED])
def test_a_holder_that_is_promoted_again_is_a_new_one_before_any_look_has_shown_its_probe_fail(phase: Phase) -> None:
    before = stable(phase=phase, operation=with_fields(fresh(confirmed=True), kind=Kind.RENEW))
    promoted = decided(look(not_serving(3)), before)
    assert [type(effect) for effect in promoted.effects] == [SendPromote]
    assert promoted.record.operation is not None
    assert not promoted.record.operation.confirmed
    found_failing = with_fields(promoted.record, tallies=failing(TIMING.load_balancer_fall))
    assert decided(look(SERVING, balancer=DOWN), found_failing).record.phase is phase


def test_a_granted_holder_that_booted_is_not_replaced_for_what_its_probe_found_until_it_is_promoted_again() -> None:
    before = stable(
        phase=Phase.GRANTED,
        tallies=failing(TIMING.load_balancer_fall),
        operation=with_fields(fresh(confirmed=True), kind=Kind.RENEW),
        probe_down=frozenset({A}),
    )
    promoted = decided(look(not_serving(3), balancer=DOWN), before)
    assert [type(effect) for effect in promoted.effects] == [SendPromote]
    assert (promoted.record.phase, promoted.record.tallies) == (Phase.GRANTED, {})


def test_a_holder_that_serves_at_an_older_epoch_keeps_what_its_probe_found_when_it_is_promoted() -> None:
    """A foreign write opens an epoch and changes nothing of its data path."""
    before = stable(
        phase=Phase.GRANTED,
        tallies=failing(1),
        operation=with_fields(fresh(confirmed=True), kind=Kind.RENEW),
        probe_down=frozenset({A}),
    )
    promoted = decided(look(status(2, Role.SERVING)), before)
    assert [type(effect) for effect in promoted.effects] == [SendPromote]
    assert promoted.record.tallies == failing(1)


@pytest.mark.parametrize(
    ("holder", "phase"),
    [(SILENT, Phase.FENCING), (status(2), Phase.GRANTED)],
    ids=["out of reach", "it can be promoted"],
)
def test_where_an_operation_goes_back_to_a_holder_out_of_reach_its_failing_probe_counts(
    holder: AgentStatus | Unreachable, phase: Phase
) -> None:
    """The one that serves fails as it is to be replaced: FENCE gets no answer, and nothing else shows that it is gone."""
    counts = {A: Tally(bad=TIMING.load_balancer_fall - 1, at=NOW - 2 * TIMING.doubt_poll)}
    before = stable(phase=Phase.GRANTED, operation=fresh(), tallies=counts)
    assert decided(look(holder, balancer=DOWN), before).record.phase is phase


def test_one_that_never_serves_however_often_it_is_promoted_again_is_found_out() -> None:
    before = stable(tallies=failing(9), operation=fresh(), probe_down=frozenset({A}))
    assert decided(look(not_serving(3)), before).record == before


# --- what only the pool shows, and what refuses


LATE = SHOWN_LATE // TIMING.doubt_poll


def shown_down(reason: str | None = None, also: tuple[str | None, ...] = ()) -> BalancerReading:
    return replace(UP, backends={**UP.backends, A: Backend(AdminState.DOWN, reason, also=also)})


def test_a_down_that_only_the_pool_shows_soon_after_a_move_counts_after_enough_looks_in_a_row() -> None:
    """It may be ours, from before the holder was lifted: the pool may be shown as it was a minute ago."""
    seen, record = look(SERVING, balancer=shown_down()), stable(operation=fresh())
    first = decided(seen, record)
    assert first.held == ("adminState of nva-a is Down, but health says nothing: one of them is late",)
    assert first.record.stalled == Tally(bad=1, at=NOW)
    last = with_fields(record, stalled=waited(LATE - 1))
    assert decided(seen, last).record.phase is Phase.STABLE
    assert decided(seen, with_fields(record, stalled=waited(LATE))).record.target == B
    assert decided(look(SERVING, balancer=UP), last).record.stalled is None


@pytest.mark.parametrize(
    ("shown", "ago"),
    [
        (shown_down(), TIMING.spacing_forget),
        (shown_down("Down_Admin"), timedelta(minutes=1)),
        (shown_down(None, also=("Down_Admin",)), timedelta(minutes=1)),
    ],
    ids=["long after the last move", "health names it", "health of another pool names it"],
)
def test_a_down_that_can_only_be_an_operators_counts_at_once(shown: BalancerReading, ago: timedelta) -> None:
    assert decided(look(SERVING, balancer=shown), stable(operation=fresh(ago=ago))).record.target == B


@pytest.mark.parametrize(
    ("holder", "answer", "others", "target"),
    [
        (status(2), "refused: the disk is full", (STANDBY, STANDBY), B),
        (status(2), "no answer", (STANDBY, STANDBY), A),
        (status(2, Role.SERVING), "refused: the disk is full", (STANDBY, STANDBY), A),
        (status(2), "refused: the disk is full", (SILENT, SILENT), A),
    ],
    ids=["it stands by and refuses", "it does not answer", "it serves at an older epoch", "no other could"],
)
def test_a_holder_that_does_not_serve_and_refuses_to_is_followed_by_one_that_could(
    holder: AgentStatus, answer: str, others: tuple[AgentStatus | Unreachable, ...], target: str
) -> None:
    """Its agent finds itself fit all the same, and its probe fails for that alone: nothing else would ever move the service."""
    command = SendPromote(A, 3, holder.boot_id)
    decision = decided(look(holder, *others).with_tried(command, answer), stable(operation=fresh()))
    assert decision.record.target == target
    assert (A in decision.record.refused) is (target == B)


def granted_ago(ago: timedelta, **changes: Any) -> Record:
    """nva-a serves since then, and its probe was found to fail twice; it takes 10 s to notice anything."""
    last = with_fields(fresh(confirmed=changes.pop("confirmed", False)), granted=NOW - ago)
    return stable(tallies=failing(2), operation=last, noticed_within=timedelta(seconds=10), **changes)


@pytest.mark.parametrize(
    ("record", "moves"),
    [
        (granted_ago(timedelta(seconds=69)), False),
        (granted_ago(timedelta(seconds=70)), True),
        (granted_ago(timedelta(seconds=69), confirmed=True), True),
        (granted_ago(timedelta(seconds=69), phase=Phase.GRANTED), True),
    ],
    ids=["just now", "a minute and the probe's time ago", "its probe was seen to rise", "an operation went back to it"],
)
def test_a_new_holder_out_of_our_reach_that_its_peers_hear_is_not_replaced_for_what_its_probe_found_before(
    record: Record, moves: bool
) -> None:
    hears = replace(STANDBY, peers={A: PeerView(Value.OK, Value.UNKNOWN)})
    decision = decided(look(SILENT, hears, hears, balancer=DOWN), record)
    assert (decision.record.target == B) is moves
    assert moves or decision.held[0].startswith("left alone: nva-a: its agent does not answer us")


@pytest.mark.parametrize(
    ("tried", "phase", "moves"),
    [(A, Phase.GRANTED, False), (None, Phase.GRANTED, True), (B, Phase.GRANTED, True), (A, Phase.STABLE, True)],
    ids=["its own", "none", "another's", "at rest"],
)
@pytest.mark.parametrize("peers", [Value.OK, Value.UNKNOWN])
def test_a_granted_holder_that_answers_no_promote_is_looked_at_once_more_before_its_failing_probe_counts(
    tried: str | None, phase: Phase, moves: bool, peers: Value
) -> None:
    """The answer may be lost and the PROMOTE be in effect, and a probe that failed before is a standby's."""
    sees = replace(STANDBY, peers={A: PeerView(peers, Value.UNKNOWN)})
    seen = look(SILENT, sees, sees, balancer=DOWN)
    seen = seen.with_tried(SendPromote(tried, 3, "boot-1"), "no answer") if tried else seen
    decision = decided(seen, stable(phase=phase, tallies=failing(2), operation=fresh()))
    assert (decision.record.target == B) is moves
    assert moves or decision.held[0].startswith("left alone: nva-a: its agent does not answer")
