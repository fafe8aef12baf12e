"""What passes log for programs, and the trace that one pass shares with its commands."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.reconcile import trace
from function_app.reconcile.documents.lines import StateLine
from function_app.reconcile.telemetry import Measure, of_state
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


async def test_what_is_held_adds_up_to_how_long_it_was(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.settle()
    caplog.clear()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    began = scene.clock.at
    for _ in range(4):
        scene.clock.at += timedelta(minutes=1)
        await scene.slow()
    states = lines(caplog, "state")
    assert [state["held"] for state in states] == [True] * 4
    assert sum(state["heldSeconds"] for state in states) == (scene.clock.at - began).total_seconds()
    scene.world.arm_up = True
    scene.world.revive("nva-a")
    await scene.settle()
    assert (lines(caplog, "state")[-1]["held"], lines(caplog, "state")[-1]["heldSeconds"]) == (False, 0)


async def test_what_a_slow_pass_measures_is_what_its_state_line_says(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(3)
    await scene.settle()
    caplog.clear()
    scene.ports.telemetry.measures.clear()
    await scene.slow()
    (state,) = lines(caplog, "state")
    measures = scene.ports.telemetry.measures
    assert values(measures, "serving") == {(): state["serving"]} == {(): 1}
    assert values(measures, "spares") == {(): state["spares"]} == {(): 2}
    assert values(measures, "epoch") == {(): state["epoch"]}
    assert values(measures, "holder") == {("nva-a",): 1, ("nva-b",): 0, ("nva-c",): 0}
    assert values(measures, "phase") == {("stable",): 1, ("learn",): 0, ("fencing",): 0, ("granted",): 0}


def values(measures: list[Measure], name: str) -> dict[tuple[Any, ...], float]:
    """Of a metric of the service, by what it carries besides."""
    of = {"topology": "hub", "service": "fw"}
    found = [each for each in measures if each.name == f"hopkeeper.service.{name}"]
    assert all(of.items() <= each.said.items() for each in found)
    return {tuple(each.said[key] for key in each.said if key not in of): each.value for each in found}


async def test_what_is_not_known_is_not_measured(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.settle()
    caplog.clear()
    await scene.slow()
    (state,) = lines(caplog, "state")
    line = msgspec.convert(state | {"spares": None}, StateLine)
    assert "hopkeeper.service.spares" not in {each.name for each in of_state(line, ("nva-a",))}


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
    ports = Scene().ports
    ports.telemetry.records = True
    assert (trace.traceparent(), trace.current()) == ("", "")
    with trace.span(ports, "pass"):
        version, of, span, flags = trace.traceparent().split("-")
        assert (version, of, flags, len(span)) == ("00", trace.current(), "01", 16)
        with trace.span(ports, "look"):
            version, again, inner, flags = trace.traceparent().split("-")
            assert (version, again, flags) == ("00", of, "01")
            assert inner != span
    assert trace.traceparent() == ""
