"""What BGP sessions mean for a holder that announces itself (`self`), and where they are the Route Server's fault."""

from dataclasses import replace as with_changes

from function_app.domain.service.decide import decide
from function_app.domain.service.observation import Observed, Role
from tests.builders import NOW, ranked, stable, status
from tests.fakes import INSTANCES
from tests.unit.decisions import (
    NO_REDUNDANCY,
    NO_WORD,
    SERVING,
    SILENT,
    STANDBY,
    UNFIT,
    A,
    B,
    C,
    look,
    looking,
    unready,
)

CUT_OFF = status(3, Role.SERVING, sessions_up=False)
UNREACHED = "nva-a has no BGP session and announces itself: nothing reaches it"


def test_a_holder_that_announces_itself_is_followed_once_it_has_no_session() -> None:
    decision = decide(looking(look(CUT_OFF), stable(), ranked(3)))
    assert decision.record.target == B
    assert decision.because == (f"failover to nva-b at epoch 4: {UNREACHED}; nva-b takes over",)


def test_where_no_member_has_a_session_the_route_server_is_at_fault_and_nothing_moves() -> None:
    cut_off = status(3, sessions_up=False)
    decision = decide(looking(look(CUT_OFF, cut_off, cut_off), stable(), ranked(3)))
    assert decision.record == stable()
    assert decision.alarms[0] == "no announcer has all its BGP sessions Established: the Route Server, or the way to it"
    assert decision.alarms[1:] == (NO_REDUNDANCY.format(unready(B), unready(C)),)


def test_the_sessions_of_injectors_are_an_alarm_though_members_have_none() -> None:
    injected = ranked(2, ("rri-1",))
    idle = with_changes(SERVING, sessions={}), with_changes(STANDBY, sessions={})
    seen = Observed(NOW, dict(zip((A, B, "rri-1"), (*idle, status(3, sessions_up=False)), strict=True)))
    assert "no announcer has all its BGP sessions" in decide(looking(seen, stable(), injected)).alarms[0]


def test_a_holder_that_announces_itself_is_followed_by_one_that_has_a_session() -> None:
    one = with_changes(status(3), sessions={INSTANCES[0]: True, INSTANCES[1]: False})
    decision = decide(looking(look(CUT_OFF, status(3, sessions_up=False), one), stable(), ranked(3)))
    assert decision.record.target == C


def test_a_holder_that_announces_itself_keeps_its_role_without_a_session_while_no_other_member_is_fit() -> None:
    decision = decide(looking(look(CUT_OFF, UNFIT, UNFIT), stable(), ranked(3)))
    assert decision.record.target == A
    assert f"{UNREACHED}; but no other member is fit, so it keeps its role" in decision.held


def test_a_holder_that_announces_itself_and_does_not_answer_is_judged_by_its_peers_alone() -> None:
    decision = decide(looking(look(SILENT), stable(), ranked(3)))
    assert f"left alone: nva-a: {NO_WORD}" in decision.held
