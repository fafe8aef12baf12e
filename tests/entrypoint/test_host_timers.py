"""Timers of the lab's host: when they are due, what they are passed, and one run at a time in one host."""

import asyncio
import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.entrypoint.apps.serving import SAMPLE, serving
from tools.functions_host.errors import ConfigurationError
from tools.functions_host.schedules import Schedule, Status
from tools.functions_host.timer_lock import TimerLock

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("*/10 * * * * *", "2026-01-01T12:00:10+00:00"),
        ("0 */5 * * * *", "2026-01-01T12:05:00+00:00"),
        ("*/5 * * * *", "2026-01-01T12:05:00+00:00"),
        ("0 30 9 * * 1-5", "2026-01-02T09:30:00+00:00"),
        ("0 0 0 1 JAN *", "2027-01-01T00:00:00+00:00"),
        ("0 0 0 13 * FRI", "2026-02-13T00:00:00+00:00"),
    ],
)
def test_seconds_come_first_and_times_are_utc(expression: str, following: str) -> None:
    assert Schedule(expression).after(NOON) == datetime.fromisoformat(following)


@pytest.mark.parametrize(
    "expression", ["", "x", "* * * *", "61 * * * * *", "0 0 0 L * *", "0 0 0 ? * *", "0 0 0 30 FEB *"]
)
def test_an_expression_that_never_or_only_elsewhere_fires_is_refused(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="schedule"):
        Schedule(expression)


def test_only_what_fires_at_most_once_a_minute_is_monitored() -> None:
    assert Schedule("*/10 * * * * *").frequent
    assert not Schedule("0 * * * * *").frequent


def test_a_missed_occurrence_makes_the_timer_past_due() -> None:
    schedule = Schedule("0 0 * * * *")
    stored = schedule.ran(NOON - timedelta(hours=3))
    assert schedule.is_past_due(stored, NOON - timedelta(minutes=1))
    assert not schedule.is_past_due(schedule.ran(NOON), NOON + timedelta(minutes=59))


def test_a_timer_that_never_ran_is_past_due_once_its_first_occurrence_is_over() -> None:
    schedule = Schedule("0 0 * * * *")
    stored = schedule.first_status(NOON)
    assert not schedule.is_past_due(stored, NOON + timedelta(minutes=30))
    assert schedule.is_past_due(stored, NOON + timedelta(minutes=61))


def test_a_changed_schedule_missed_nothing() -> None:
    stored = Schedule("0 0 * * * *").ran(NOON - timedelta(days=1))
    assert not Schedule("0 30 8 * * *").is_past_due(stored, NOON)


def test_a_status_survives_its_json() -> None:
    status = Schedule("0 0 * * * *").ran(NOON)
    assert Status.from_json(json.loads(json.dumps(status.to_json()))) == status


async def test_a_timer_fires_by_its_setting_again_and_again(tmp_path: Path) -> None:
    with serving(SAMPLE, tmp_path, SWEEP="* * * * * *") as host:
        first, second = (await host.journal_until("sweep", lambda seen: len(seen) >= 2))[:2]
    assert first["past_due"] is second["past_due"] is False
    assert first["status"] == {}, "more often than once a minute there is no monitor"


async def test_an_occurrence_missed_while_the_host_was_down_runs_at_once_as_past_due(tmp_path: Path) -> None:
    schedule = Schedule("0 0 0 1 1 *")
    stored = schedule.ran(datetime(2020, 6, 1, tzinfo=UTC))
    status = tmp_path / "state" / "timers" / "sweep.json"
    status.parent.mkdir(parents=True)
    status.write_text(json.dumps(stored.to_json()))
    with serving(SAMPLE, tmp_path, SWEEP="0 0 0 1 1 *") as host:
        (entry,) = await host.journal_until("sweep", lambda seen: len(seen) >= 1)
        assert entry["past_due"] is True
        assert entry["status"]["Next"] == "2021-01-01T00:00:00+00:00"
        master = {"x-functions-key": host.keys["master"]}
        assert (await host.ask("POST", "/admin/functions/sweep", json={}, headers=master)).status == 202
        _, by_hand = await host.journal_until("sweep", lambda seen: len(seen) >= 2)
    assert by_hand["past_due"] is False
    assert Status.from_json(json.loads(status.read_text())).next > datetime.now(UTC)


async def test_a_status_file_that_is_torn_is_begun_anew(tmp_path: Path) -> None:
    status = tmp_path / "state" / "timers" / "sweep.json"
    status.parent.mkdir(parents=True)
    status.write_text("{")
    with serving(SAMPLE, tmp_path, SWEEP="0 0 0 1 1 *") as host:
        assert await host.journal("sweep") == []
        assert "status" in host.log.read_text()
    assert Status.from_json(json.loads(status.read_text())).next > datetime.now(UTC)


async def test_of_two_hosts_one_fires_a_timer_and_the_other_once_that_one_has_ended(tmp_path: Path) -> None:
    first, second = (TimerLock(tmp_path / "sweep.lock", timedelta(seconds=0.2)) for _ in range(2))
    fired = asyncio.Event()

    async def fire() -> None:
        async with second.held():
            fired.set()

    async with first.held():
        other = asyncio.create_task(fire())
        with pytest.raises(TimeoutError):  # three periods: it is renewed
            await asyncio.wait_for(fired.wait(), 0.6)
    await asyncio.wait_for(other, 10)


async def test_after_kill_9_no_timer_fires_until_the_dead_hosts_lock_has_run_out(tmp_path: Path) -> None:
    often, lock = {"SWEEP": "* * * * * *"}, ["--timer-lock", "6"]
    with serving(SAMPLE, tmp_path, arguments=lock, **often) as host:
        await host.journal_until("sweep", lambda seen: len(seen) >= 1)
        os.kill(host.process.pid, signal.SIGKILL)
        killed = time.time()
    held = json.loads((tmp_path / "state" / "timers" / "sweep.lock").read_text())["until"]
    with serving(SAMPLE, tmp_path, arguments=lock, **often) as host:
        await host.journal_until("sweep", lambda seen: len(seen) >= 1)
        assert time.time() >= held > killed
