"""safety.md section 4, row by row: what each reading says of the holder, and what is done about it."""

from collections.abc import Mapping
from copy import replace
from datetime import timedelta
from typing import Any

import pytest

from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.health import VERDICTS, HealthRow, Verdict, judge, silence_left, tally
from function_app.domain.service.observation import (
    AdminState,
    AgentReading,
    Appliance,
    Backend,
    MemberReading,
    NotAwaited,
    Observed,
    PeerView,
    Role,
    Value,
)
from function_app.domain.service.record import Kind, Operation, Phase, Record, Tally
from function_app.domain.service.steps import AwaitProbe, FenceByBalancer, SendFence, SendPromote
from function_app.domain.topology.model import AND
from tests.builders import NOW, SUB, balancer, ranked, stable, status, topology
from tests.unit.decisions import SILENT, STANDBY, TIMING, A, B, looking

SERVING = status(3, Role.SERVING, peers=("nva-b",))
DESIRED = topology(2)
SERVICE = DESIRED.services[0]
PERIOD = TIMING.doubt_poll
TWICE = {"nva-a": Tally(bad=2, at=NOW - timedelta(seconds=10))}
ONCE = {"nva-a": Tally(bad=1, at=NOW - timedelta(seconds=10))}


def look(a: MemberReading, b: AgentReading = STANDBY, lb: Any = None) -> Observed:
    return Observed(NOW, {"nva-a": a, "nva-b": b}, lb)


def decided(seen: Observed, record: Record | None = None) -> Decision:
    return decide(looking(seen, record or stable(), DESIRED))


def missed(seconds: float | None) -> PeerView:
    """A peer that fails on gossip and probe port, since then."""
    return PeerView(Value.BAD, Value.BAD, None if seconds is None else timedelta(seconds=seconds))


UP = balancer(nva_a="Up_Probe_Success", nva_b="Down_Probe_HttpStatusCodeError")
DOWN = balancer(nva_a="Down_Probe_HttpStatusCodeError", nva_b="Down_Probe_HttpStatusCodeError")

BARE = Appliance()

ROWS: list[tuple[HealthRow, Observed, Record]] = [
    (HealthRow.NOT_AWAITED, look(NotAwaited(), status(3, dead_peers=("nva-a",))), stable()),
    (HealthRow.FIT, look(SERVING, lb=UP), stable()),
    (HealthRow.FATAL, look(status(3, Role.SERVING, fatal=("forwarding is off",))), stable()),
    (HealthRow.PROBE_DOWN, look(SERVING, lb=DOWN), stable(tallies=TWICE)),
    (HealthRow.FIT_UNHEARD, look(SERVING, status(3, dead_peers=("nva-a",))), stable()),
    (HealthRow.PATH_BROKEN, look(SILENT, status(3, peers=("nva-a",))), stable()),
    (HealthRow.PATH_BROKEN_PROBE_DOWN, look(SILENT, status(3, peers=("nva-a",)), DOWN), stable(tallies=TWICE)),
    (HealthRow.SILENT, look(SILENT, status(3, dead_peers=("nva-a",))), stable()),
    (HealthRow.SILENT_YET, look(SILENT, replace(STANDBY, peers={A: missed(1.9)})), stable()),
    (HealthRow.SILENT_PROBE_UP, look(SILENT, status(3, dead_peers=("nva-a",)), UP), stable()),
    (HealthRow.SILENT_ALONE, look(SILENT, STANDBY), stable()),
    (HealthRow.SILENT_PROBE_DOWN, look(SILENT, STANDBY, DOWN), stable(tallies=TWICE)),
    (HealthRow.APPLIANCE_DOWN, look(BARE, status(3, peers=("nva-a",)), DOWN), stable(tallies=TWICE)),
    (HealthRow.APPLIANCE_SILENT, look(BARE, status(3, dead_peers=("nva-a",))), stable()),
    (HealthRow.APPLIANCE_SILENT_YET, look(BARE, replace(STANDBY, peers={A: missed(1.9)})), stable()),
    (HealthRow.APPLIANCE_ONE_VOICE, look(Appliance(Value.OK), status(3, dead_peers=("nva-a",))), stable()),
    (HealthRow.APPLIANCE_PROBE_UP, look(BARE, status(3, dead_peers=("nva-a",)), UP), stable()),
    (HealthRow.APPLIANCE_UP, look(BARE, status(3, peers=("nva-a",))), stable()),
    (HealthRow.APPLIANCE_UP, look(BARE, STANDBY, UP), stable()),
    (HealthRow.APPLIANCE_UP, look(Appliance(Value.OK), STANDBY), stable()),
    (HealthRow.APPLIANCE_UP, look(Appliance(Value.BAD), STANDBY, UP), stable()),
    (HealthRow.APPLIANCE_UP, look(Appliance(Value.BAD), status(3, peers=("nva-a",))), stable()),
    (HealthRow.APPLIANCE_UNREACHED, look(Appliance(Value.BAD), STANDBY), stable()),
    (HealthRow.APPLIANCE_UNSEEN, look(BARE, STANDBY), stable()),
]


@pytest.mark.parametrize(("row", "seen", "record"), ROWS, ids=[r[0].name for r in ROWS])
def test_each_row_is_judged_as_itself(row: HealthRow, seen: Observed, record: Record) -> None:
    assert judge(looking(seen, record, DESIRED), "nva-a").row is row


def test_every_row_has_a_case_and_a_verdict() -> None:
    assert {r[0] for r in ROWS} == set(HealthRow) == set(VERDICTS)


@pytest.mark.parametrize(("row", "seen", "record"), ROWS, ids=[r[0].name for r in ROWS])
def test_only_a_failed_holder_is_replaced(row: HealthRow, seen: Observed, record: Record) -> None:
    opened = decided(seen, record).record.phase is Phase.FENCING
    assert opened == (VERDICTS[row] is Verdict.FAILED)


@pytest.mark.parametrize(
    ("standby", "said"),
    [
        (BARE, "nva-b takes over, and nothing shows whether it is well"),
        (Appliance(Value.BAD), "nva-b takes over, as a last resort: the app's own check of it fails"),
        (Appliance(Value.OK), "nva-b takes over"),
    ],
)
def test_the_reason_of_a_move_says_what_shows_how_the_new_holder_is(standby: Appliance, said: str) -> None:
    moved = decided(look(status(3, Role.SERVING, fatal=("no forwarding",)), standby, UP))
    assert moved.because[0].endswith(said)


def views(**seen: PeerView) -> dict[str, AgentReading]:
    """nva-a is silent; each of the others says this of it."""
    statuses = {f"nva-{letter}": replace(STANDBY, peers={A: view}) for letter, view in seen.items()}
    return {A: SILENT, **statuses}


BAD, REACHED = PeerView(Value.BAD, Value.BAD), PeerView(Value.OK, Value.UNKNOWN)


@pytest.mark.parametrize(
    ("agents", "row"),
    [
        (views(b=BAD, c=BAD), HealthRow.SILENT),
        (views(b=BAD, c=REACHED), HealthRow.PATH_BROKEN),
        (views(b=BAD, c=PeerView(Value.UNKNOWN, Value.UNKNOWN)), HealthRow.SILENT_ALONE),
        (views(b=PeerView(Value.BAD, Value.UNKNOWN)), HealthRow.SILENT_ALONE),
        (views(b=PeerView(Value.UNKNOWN, Value.BAD)), HealthRow.SILENT_ALONE),
        (views(b=PeerView(Value.UNKNOWN, Value.UNKNOWN)), HealthRow.SILENT_ALONE),
    ],
    ids=["all miss it", "one receives it", "one does not know", "gossip only", "probe port only", "no peer knows"],
)
def test_a_silent_member_failed_only_where_every_peer_misses_it_on_both_ways(
    agents: Mapping[str, AgentReading], row: HealthRow
) -> None:
    assert judge(looking(Observed(NOW, agents), stable(), DESIRED), A).row is row


@pytest.mark.parametrize(
    ("ages", "left"),
    [((0.4,), 1.6), ((2.0,), None), ((5.0, 0.5), 1.5), ((5.0, None), None), ((None,), None)],
    ids=str,
)
def test_silence_is_evidence_behind_a_load_balancer_once_it_lasted_at_every_peer(
    ages: tuple[float | None, ...], left: float | None
) -> None:
    seen = Observed(NOW, views(**dict(zip("bc", map(missed, ages), strict=False))))
    expected = None if left is None else timedelta(seconds=left)
    assert silence_left(DESIRED.services[0], seen, TIMING) == expected
    assert judge(looking(seen, stable(), DESIRED), A).row is (
        HealthRow.SILENT if left is None else HealthRow.SILENT_YET
    )
    assert silence_left(ranked(2).services[0], seen, TIMING) is None
    assert judge(looking(seen, stable(), ranked(2)), A).row is HealthRow.SILENT


def test_a_member_that_answers_us_or_a_peer_is_not_silent_however_short_the_others_have_missed_it() -> None:
    just_now = missed(0.4)
    answers = Observed(NOW, views(b=just_now) | {A: SERVING})
    received = Observed(NOW, views(b=just_now, c=PeerView(Value.OK, Value.OK, timedelta(0))))
    assert silence_left(DESIRED.services[0], answers, TIMING) is None
    assert silence_left(DESIRED.services[0], received, TIMING) is None


@pytest.mark.parametrize(("age", "left"), [(2.0, 13.0), (15.0, 0.0), (119.0, 0.0), (None, 15.0)])
def test_what_the_probe_finds_of_a_silent_holder_is_waited_for_until_it_must_have_found_out(
    age: float | None, left: float
) -> None:
    known = stable(noticed_within=timedelta(seconds=15))
    seen = look(SILENT, replace(STANDBY, peers={A: missed(age)}))
    (wait,) = decided(seen, known).effects
    assert wait == AwaitProbe(A, 3, up=False, first_counts=True)
    assert isinstance(wait, AwaitProbe)
    assert wait.within == timedelta(seconds=left)
    assert wait.failing_after == max(wait.within - timedelta(seconds=10), timedelta(0))
    assert decided(seen.with_tried(wait, "it is up"), known).held == (
        "left alone: nva-a: its agent does not answer (no answer), gossip and probe port fail at its peers, but it is up",
    )
    assert decided(seen.with_awaited(wait), known).record.phase is Phase.FENCING
    assert decided(seen, stable()).record.phase is Phase.FENCING  # not known how long its probe takes


@pytest.mark.parametrize(("age", "row"), [(119.0, HealthRow.SILENT_PROBE_UP), (120.0, HealthRow.SILENT)])
def test_a_probe_that_succeeds_counts_more_than_silence_until_patience_is_over(age: float, row: HealthRow) -> None:
    missing = replace(STANDBY, peers={A: missed(age)})
    known = stable(noticed_within=timedelta(seconds=15))
    assert judge(looking(look(SILENT, missing, UP), known, DESIRED), A).row is row
    opened = decided(look(SILENT, missing), known).record.phase is Phase.FENCING
    assert opened == (row is HealthRow.SILENT)


def test_silence_that_need_not_last_is_not_waited_for_at_the_load_balancer() -> None:
    at_once = topology(2, timing={"silence": "PT0S"})
    record, missing = stable(noticed_within=timedelta(seconds=15)), replace(STANDBY, peers={A: missed(0.4)})
    for shown in (None, UP):
        seen = looking(look(SILENT, missing, shown), record, at_once)
        assert decide(seen).record.phase is Phase.FENCING


def test_who_is_missed_just_now_and_answers_no_probe_has_failed() -> None:
    seen = look(SILENT, replace(STANDBY, peers={A: missed(0.4)}), DOWN)
    assert judge(looking(seen, stable(tallies=TWICE), DESIRED), A).row is HealthRow.SILENT


def test_these_rows_and_no_others_replace_the_holder() -> None:
    opened = {row for row, seen, record in ROWS if decided(seen, record).record.phase is Phase.FENCING}
    by_probe = {HealthRow.PROBE_DOWN, HealthRow.SILENT_PROBE_DOWN, HealthRow.PATH_BROKEN_PROBE_DOWN}
    appliances = {HealthRow.APPLIANCE_DOWN, HealthRow.APPLIANCE_SILENT}
    assert opened == {HealthRow.FATAL, HealthRow.SILENT} | by_probe | appliances


NOT_ON_DISK = replace(SERVING, services={"fw": replace(SERVING.services["fw"], durable=False)}, fatal=("disk", "route"))


@pytest.mark.parametrize(
    ("seen", "evidence"),
    [
        (
            look(SERVING, status(3, peers=(A,)), UP),
            (
                "A serving at epoch 3, probe answers 200",
                "P peers say ok",
                "L Up_Probe_Success, adminState None",
            ),
        ),
        (
            look(NOT_ON_DISK, status(3, dead_peers=(A,)), balancer(nva_a="Down_Admin")),
            (
                "A serving at epoch 3 (not on disk yet), probe answers 200, fatal: disk; route",
                "P peers say bad",
                "L Down_Admin, adminState Down",
            ),
        ),
        (
            look(STANDBY, lb=replace(UP, backends={A: Backend(AdminState.NONE)})),
            (
                "A standby at epoch 3, probe answers 503",
                "P peers say unknown",
                "L no reason, adminState None",
            ),
        ),
        (look(status(3, service="other")), ("A no role yet", "P peers say unknown", "L not read")),
        (look(SILENT), ("A unreachable: no answer", "P peers say unknown", "L not read")),
        (Observed(NOW, {}), ("A unreachable: not requested", "P peers say unknown", "L not read")),
    ],
    ids=["all well", "nothing well", "no reason", "no role", "silent", "not requested"],
)
def test_a_verdict_shows_every_reading_that_was_looked_at(seen: Observed, evidence: tuple[str, ...]) -> None:
    assert judge(looking(seen, stable(), DESIRED), A).evidence == evidence


HALF = replace(UP, backends={A: replace(UP.backends[A], partly_unlisted=True), B: UP.backends[B]})


def test_a_holder_that_a_pool_of_several_lacks_has_failed_once_that_was_seen_twice() -> None:
    record = stable(tallies=TWICE)
    verdict = judge(looking(look(BARE, BARE, HALF), record, DESIRED), A)
    assert (verdict.row, verdict.because) == (
        HealthRow.APPLIANCE_DOWN,
        "nva-a: a backend pool of the service does not list it",
    )
    assert judge(looking(look(BARE, BARE, HALF), stable(), DESIRED), A).row is HealthRow.APPLIANCE_UP


def test_a_failure_that_no_reading_shows_any_more_is_no_failure() -> None:
    counted = stable(tallies={A: Tally(bad=2, at=NOW)})
    assert judge(looking(look(SERVING), counted, DESIRED), A).row is HealthRow.FIT
    assert (
        judge(looking(look(SERVING, lb=balancer(nva_a="Up_Probe_Success")), counted, DESIRED), A).row is HealthRow.FIT
    )


def test_a_503_speaks_only_against_one_that_serves() -> None:
    seen = look(SERVING, lb=balancer(nva_b="Down_Probe_HttpStatusCodeError"))
    assert judge(looking(seen, stable(tallies={B: Tally(bad=2, at=NOW)}), DESIRED), B).row is HealthRow.FIT


def test_a_silent_holder_whose_peers_miss_it_is_fenced_both_ways_at_once() -> None:
    effects = decided(look(SILENT, status(3, dead_peers=("nva-a",)))).effects
    assert effects == (SendFence("nva-a", 4), FenceByBalancer("nva-a", 4, wary=False))


def test_a_holder_that_answers_is_fenced_by_its_agent_alone() -> None:
    assert decided(look(status(3, Role.SERVING, fatal=("x",)))).effects == (SendFence("nva-a", 4),)


def test_a_peer_that_hears_it_on_either_way_outweighs_one_that_does_not() -> None:
    three = topology(3)
    seen = Observed(
        NOW, {"nva-a": SILENT, "nva-b": status(3, dead_peers=("nva-a",)), "nva-c": status(3, peers=("nva-a",))}
    )
    assert judge(looking(seen, stable(), three), "nva-a").row is HealthRow.PATH_BROKEN


def test_a_probe_that_failed_once_is_only_a_doubt_and_the_grant_is_sent_again() -> None:
    decision = decided(look(SERVING, lb=DOWN))
    assert decision.record.phase is Phase.STABLE
    assert [type(e) for e in decision.effects] == [SendPromote]
    assert decision.record.tallies["nva-a"].bad == 1


def test_one_look_counts_once_however_often_it_is_decided_on() -> None:
    first = decided(look(SERVING, lb=DOWN))
    assert decided(look(SERVING, lb=DOWN), first.record).record.tallies["nva-a"].bad == 1


def test_looks_count_in_the_probes_own_period_however_often_passes_look() -> None:
    once = tally(None, Value.BAD, NOW, TIMING)
    assert once == Tally(bad=1, at=NOW)
    assert tally(once, Value.BAD, NOW + PERIOD * 0.9, TIMING) is once
    assert tally(once, Value.OK, NOW + PERIOD * 0.9, TIMING) is once
    assert tally(once, Value.BAD, NOW + PERIOD, TIMING) == Tally(bad=2, at=NOW + PERIOD)


def test_a_count_by_a_clock_that_was_ahead_holds_nothing_up() -> None:
    ahead = Tally(bad=1, at=NOW + timedelta(minutes=10))
    assert tally(ahead, Value.BAD, NOW, TIMING) == Tally(bad=2, at=NOW)


def test_a_count_ends_after_rise_good_looks_and_unknown_leaves_it() -> None:
    def after(value: Value, periods: int, count: Tally | None) -> Tally | None:
        return tally(count, value, NOW + PERIOD * periods, TIMING)

    bad = after(Value.BAD, 1, None)
    assert after(Value.UNKNOWN, 2, bad) == bad
    once = after(Value.OK, 3, bad)
    assert once == Tally(bad=1, good=1, at=NOW + PERIOD * 3)
    assert after(Value.OK, 4, once) is None


@pytest.mark.parametrize(("fall", "fresh_holders", "enough"), [(4, 2, 4), (2, 12, 12)])
def test_a_count_stops_where_it_decides_nothing_more_so_that_a_lasting_fault_writes_nothing(
    fall: int, fresh_holders: int, enough: int
) -> None:
    timing = replace(TIMING, load_balancer_fall=fall, operation_deadline=PERIOD * fresh_holders)
    count = Tally(bad=enough, at=NOW - PERIOD)
    assert tally(count, Value.BAD, NOW, timing) is count
    assert tally(replace(count, bad=enough - 1), Value.BAD, NOW, timing) == Tally(bad=enough, at=NOW)


def test_the_probe_alone_moves_traffic_once_and_is_held_when_it_fails_again() -> None:
    last = Operation(id="fw-3", kind=Kind.PROBE, reason="", started=NOW - timedelta(minutes=5), deadline=NOW)
    decision = decided(look(SERVING, lb=DOWN), stable(tallies=TWICE, operation=last))
    assert decision.record.phase is Phase.STABLE
    assert "the probe's path is at fault" in decision.held[0]


def test_an_alert_or_a_metric_alone_decides_nothing() -> None:
    assert decided(look(SERVING, lb=UP)).settled


def test_our_own_down_says_nothing_about_the_member() -> None:
    assert Backend(AdminState.DOWN, "Down_Admin").probed is Value.UNKNOWN
    assert Backend(AdminState.NONE, None).probed is Value.UNKNOWN
    assert Backend(AdminState.NONE, "NA").probed is Value.UNKNOWN


def test_several_that_serve_beside_the_holder_are_fenced_one_at_a_time() -> None:
    three = topology(3)
    readings = {"nva-a": SERVING, "nva-b": status(2, Role.SERVING), "nva-c": status(2, Role.SERVING)}
    decision = decide(looking(Observed(NOW, readings), stable(), three))
    assert decision.effects == (SendFence("nva-b", 3),)
    assert decision.because[0].startswith("conflict: ")


def test_sessions_that_are_down_are_an_alarm_and_never_a_failover() -> None:
    no_sessions = status(3, Role.SERVING, sessions_up=False)
    decision = decided(look(no_sessions, lb=UP))
    assert decision.settled
    assert "BGP sessions that are not Established" in decision.alarms[0]


def test_a_holder_that_goes_on_answering_although_checks_fail_is_an_alarm() -> None:
    decision = decided(look(replace(SERVING, excused=("echo: no reply",)), lb=UP))
    assert (
        decision.alarms[0] == "nva-a goes on answering although checks fail, as no member passes them: echo: no reply"
    )


def test_all_sessions_down_points_at_the_route_server() -> None:
    decision = decided(look(status(3, Role.SERVING, sessions_up=False), status(3, sessions_up=False), UP))
    assert "no announcer has all its BGP sessions Established" in decision.alarms[0]


def test_an_epoch_that_a_member_only_claims_is_an_alarm_and_neither_learned_from_nor_waited_for() -> None:
    claims = status(9)
    claims = replace(claims, services={"fw": replace(claims.services["fw"], warranted=3)})
    seen = look(SERVING, claims, UP).with_tried(SendFence("nva-b", 3), "refused: epoch 3 is lower")
    decision = decided(seen)
    assert decision.record.phase is Phase.STABLE
    assert decision.alarms[0] == "nva-b claims epoch 9, and shows no command of ours: it is not believed"


@pytest.mark.parametrize(
    ("reason", "also", "moves"),
    [
        ("Down_Admin", (), True),
        ("Up_Probe_Success", ("Down_Admin",), True),
        ("Up_Probe_Success", (), False),
        ("Up_Probe_Success", ("Up_Probe_Success",), False),
    ],
)
def test_a_down_of_the_holder_that_health_contradicts_is_waited_for_as_the_pool_may_be_shown_late(
    reason: str | None, also: tuple[str | None, ...], moves: bool
) -> None:
    down = Backend(AdminState.DOWN, reason, also=also)
    decision = decided(look(SERVING, lb=replace(UP, backends={**UP.backends, A: down})))
    assert (decision.record.target == B) is moves
    if not moves:
        assert decision.held == ("adminState of nva-a is Down, but health says Up_Probe_Success: one of them is late",)
        assert not decision.settled


def test_a_holder_that_failed_is_followed_whatever_is_shown_of_its_admin_state() -> None:
    down = Backend(AdminState.DOWN, "Up_Probe_Success")
    fatal = status(3, Role.SERVING, fatal=("x",))
    assert decided(look(fatal, lb=replace(UP, backends={**UP.backends, A: down}))).record.target == B


def test_a_down_that_is_not_ours_is_left_alone_with_an_alarm() -> None:
    """Also one of ours whose record was lost: the two look the same (ADR 1)."""
    kept_out = balancer(nva_a="Up_Probe_Success", nva_b="Down_Admin")
    foreign = decided(look(SERVING, lb=kept_out))
    assert foreign.effects == ()
    assert (
        foreign.alarms[0]
        == "adminState of nva-b is Down, and not by us: an operator's, or ours of a record that was lost or forgot it"
    )
    assert "no redundancy: the next failure is an outage" in foreign.alarms[1]
    pools = [f"{SUB}/loadBalancers/{lb}/backendAddressPools/nvas/fw-b".lower() for lb in ("ilb", "plb")]
    shown = replace(kept_out.backends["nva-b"], address=AND.join(pools))
    found = decided(look(SERVING, lb=replace(kept_out, backends={**kept_out.backends, "nva-b": shown})))
    ilb, plb = (
        f"`az network lb address-pool address update -g hub --lb-name {lb} --pool-name nvas -n fw-b --set adminState=None`"
        for lb in ("ilb", "plb")
    )
    assert found.alarms[0] == f"{foreign.alarms[0]}; to take it back: {ilb}, {plb}"
    owed = decided(Observed(NOW, {"nva-a": SERVING, "nva-b": SILENT}, kept_out), stable(owed={"nva-b": 2}))
    assert not [alarm for alarm in owed.alarms if "adminState" in alarm]


SOON = "reboot not before 2026-01-01 03:15:00Z"


def test_a_holder_that_is_about_to_be_rebooted_hands_over_before() -> None:
    decision = decided(look(replace(SERVING, maintenance=SOON)))
    assert decision.record.target == "nva-b"
    assert decision.record.operation is not None
    assert decision.record.operation.kind == Kind.SWITCHOVER
    assert SOON in decision.record.operation.reason


def test_no_role_is_moved_to_one_that_is_about_to_be_rebooted_too() -> None:
    both = look(replace(SERVING, maintenance=SOON), replace(STANDBY, maintenance=SOON))
    assert decided(both).record.phase is Phase.STABLE


def test_a_witness_reports_that_a_holder_is_silent_where_the_other_member_cannot() -> None:
    """The other member's own way to it is not part of its gossip; the witness misses it on both."""
    seen = Observed(NOW, {"nva-a": SILENT, "nva-b": STANDBY, "watch": status(dead_peers=("nva-a",))})
    assert judge(looking(seen, stable(), DESIRED), "nva-a").row is HealthRow.SILENT
