"""What passes log for programs, and the trace that one pass shares with its commands."""

import json
from datetime import timedelta
from typing import Any

import pytest

from function_app.reconcile import trace
from tests.unit.reconcile.scene import Scene


def lines(caplog: pytest.LogCaptureFixture, kind: str) -> list[dict[str, Any]]:
    said = [record.getMessage() for record in caplog.records if record.name == "hopkeeper.pass"]
    return [json.loads(text.removeprefix(f"{kind} ")) for text in said if text.startswith(f"{kind} {{")]


@pytest.fixture(autouse=True)
def informed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "hopkeeper.pass")


async def test_a_pass_logs_how_it_ended_and_a_slow_one_the_state_of_each_service(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(3)
    await scene.settle()
    caplog.clear()
    await scene.slow()
    (ended,), (state,) = lines(caplog, "pass"), lines(caplog, "state")
    assert (ended["topology"], ended["pace"], ended["trigger"], ended["outcome"]) == (
        "hub",
        "slow",
        "test",
        "converged",
    )
    assert (state["service"], state["holder"], state["serving"], state["spares"]) == ("fw", "nva-a", 1, 2)
    assert (state["phase"], state["held"], state["operationSeconds"]) == ("stable", False, 0)
    assert (state["mayServe"], state["owed"], state["mode"]) == (1, 0, "active-passive")
    assert state["trace"] == ended["trace"]
    assert len(ended["trace"]) == 32


async def test_what_is_held_says_since_when_a_change_is_under_way_and_why(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.settle()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    scene.clock.at += timedelta(minutes=1)
    for _ in range(4):
        await scene.slow()
    state = lines(caplog, "state")[-1]
    assert (state["held"], state["serving"]) == (True, 0)
    assert state["operation"] == "failover"
    assert state["operationSeconds"] > 0
    assert state["reasons"] == list(lines(caplog, "pass")[-1]["reasons"][: len(state["reasons"])])


async def test_a_fast_pass_logs_no_state_and_has_a_trace_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.settle()
    caplog.clear()
    await scene.fast()
    await scene.fast()
    first, second = lines(caplog, "pass")
    assert (first["pace"], lines(caplog, "state")) == ("fast", [])
    assert first["trace"] != second["trace"]


def test_a_trace_is_handed_on_as_w3c_trace_context_and_outside_of_a_pass_there_is_none() -> None:
    assert trace.traceparent() == {}
    trace.begin()
    first, second = trace.traceparent()["traceparent"], trace.traceparent()["traceparent"]
    version, of, span, flags = first.split("-")
    assert (version, of, flags, len(span)) == ("00", trace.current(), "01", 16)
    assert first != second
