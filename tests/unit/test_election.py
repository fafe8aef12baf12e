"""Who may be elected, who is taken first, and what a candidate must show."""

from copy import replace
from datetime import timedelta

import pytest

from function_app.domain.service.election import elect, is_drained, maintained
from function_app.domain.service.health import is_ready
from function_app.domain.service.observation import AgentStatus, Observed
from function_app.domain.service.record import Drain, Record
from tests.builders import NOW, balancer, stable, status
from tests.fakes import INSTANCES
from tests.unit.decisions import FATAL, SERVING, SILENT, STANDBY, A, B, C, decided, look, looking


@pytest.mark.parametrize(
    ("reading", "ready"),
    [
        (STANDBY, True),
        (replace(STANDBY, sessions={INSTANCES[0]: True, INSTANCES[1]: False}), False),
        (replace(STANDBY, sessions={}), False),
        (replace(STANDBY, sessions={}, unseen=True), True),
        (replace(STANDBY, fatal=("disk",)), False),
        (SILENT, False),
    ],
)
def test_a_candidate_is_ready_when_it_is_fit_and_every_session_is_established_or_not_the_agents_to_see(
    reading: AgentStatus, ready: bool
) -> None:
    assert is_ready(looking(look(SERVING, reading), stable()), B) is ready


def elected(seen: Observed, record: Record) -> str | None:
    return elect(looking(seen, record), without=A)


def test_a_member_that_an_operator_took_out_is_not_elected_and_one_that_we_did_is() -> None:
    down = look(FATAL, balancer=balancer(nva_b="Down_Admin"))
    assert elected(down, stable()) == C
    assert elected(down, stable(owed={B: 2})) == B


def test_a_member_that_does_not_answer_or_is_unfit_is_not_elected() -> None:
    assert elected(look(FATAL, SILENT, SILENT), stable()) is None
    unfit = status(3, fatal=("disk",))
    assert elected(look(FATAL, unfit), stable()) == C
    assert elected(look(FATAL, unfit, unfit), stable()) is None


def test_a_drain_ends_when_it_says() -> None:
    record = stable(drains={B: Drain(until=NOW, by="ann")})
    assert is_drained(looking(look(SERVING, at=NOW - timedelta(seconds=1)), record), B)
    assert not is_drained(looking(look(SERVING), record), B)
    assert elected(look(FATAL), record) == B


def test_a_candidate_without_a_session_is_the_last_resort() -> None:
    without = status(3, sessions_up=False)
    assert decided(look(FATAL, without), stable()).record.target == C
    decision = decided(look(FATAL, without, SILENT), stable())
    assert decision.record.target == B
    assert "as a last resort" in decision.because[0]


def test_a_member_that_lasts_is_elected_before_one_that_is_about_to_be_rebooted() -> None:
    assert elected(look(FATAL, replace(STANDBY, maintenance="reboot not before 2026-01-01 03:15:00Z")), stable()) == C


@pytest.mark.parametrize(("freeze", "counts"), [("stay", False), ("move", True)])
def test_a_freeze_that_is_announced_counts_only_where_the_operator_says_so(freeze: str, counts: bool) -> None:
    coming = "freeze not before 2026-01-01 03:15:00Z"
    seen = looking(look(replace(SERVING, maintenance=coming)), stable())
    failover = replace(seen.service.failover, freeze=freeze)
    seen = replace(seen, service=replace(seen.service, failover=failover))
    assert maintained(seen, A) == (coming if counts else None)


def test_nothing_is_announced_for_a_member_that_does_not_answer() -> None:
    assert maintained(looking(look(SILENT), stable()), A) is None
