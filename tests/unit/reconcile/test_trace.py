"""The spans of what a pass does: one trace from the trigger through look, decision and commands to the verification."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.service.record import Phase, Record
from function_app.domain.topology.laws import Place
from function_app.reconcile import trace
from function_app.reconcile.ports import CommandAnswer
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.telemetry import COMMANDS, Span
from function_app.reconcile.use_cases import UseCases
from tests.builders import document, text, topology
from tests.fakes import FakeWorld
from tests.unit.reconcile.scene import Scene

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
REPORT = json.dumps({"agent": "nva-a", "topology": "hub", "signer": PEM, "reason": "fatal: data-path"})
KEY = "records/hub/fw.json"


class Carrying(FakeWorld):
    """Keeps the traceparent of each command."""

    def __init__(self) -> None:
        super().__init__(topology(2))
        self.carried: list[str] = []

    async def command(self, *args: Any) -> CommandAnswer:
        self.carried.append(trace.traceparent())
        return await super().command(*args)


class Traced:
    """A settled service whose holder is unfit, and the spans from here on."""

    def __init__(self, records: bool = True) -> None:
        self.world = Carrying()
        self.scene = Scene(world=self.world)
        self.app = UseCases(self.scene.ports, Topologies(self.scene.documents, Place()))
        self.telemetry = self.scene.ports.telemetry
        self.telemetry.records = records

    async def settle(self) -> "Traced":
        doc = document()
        doc["speakers"][0]["agent"]["certificate"] = PEM
        await self.app.apply(text(doc))
        await self.scene.settle()
        self.scene.clock.at += timedelta(seconds=1)
        self.scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
        self.telemetry.spans.clear()
        self.world.carried.clear()
        return self

    @property
    def spans(self) -> list[Span]:
        return self.telemetry.spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def path(self, span: Span) -> list[str]:
        """Its name after those above it."""
        above = {each.context: each for each in self.spans}
        found = [span]
        while found[0].parent is not None:
            found.insert(0, above[found[0].parent])
        return [each.name for each in found]


async def test_a_report_and_all_that_follows_from_it_is_one_trace_to_the_verification_in_a_later_pass() -> None:
    traced = await Traced().settle()
    await traced.app.report(REPORT)
    (begun,) = traced.named("trigger")
    assert begun.said["trigger"] == "report of nva-a: fatal: data-path"
    assert {tuple(traced.path(span)) for span in traced.spans} >= {
        ("trigger", "pass", "service", "look"),
        ("trigger", "pass", "service", "step", "decide"),
        ("trigger", "pass", "service", "step", "intend"),
        ("trigger", "pass", "service", "step", "SendFence"),
        ("trigger", "pass", "service", "step", "SendPromote"),
    }
    assert traced.scene.record.phase is Phase.GRANTED
    await traced.scene.settle()
    verified = next(span for span in traced.spans if span.said.get("phase") == "granted → stable")
    assert (verified.name, traced.path(verified)[:2]) == ("verify", ["trigger", "pass"])
    assert verified.context.trace == begun.context.trace
    (looked,) = (span for span in traced.spans if span.context == verified.link)
    assert (looked.name, looked.context.trace != begun.context.trace) == ("service", True)


async def test_the_commands_to_agents_carry_the_trace_and_the_span_that_they_belong_to() -> None:
    traced = await Traced().settle()
    await traced.app.report(REPORT)
    commands = {str(span.context): span.name for span in traced.spans if span.name in COMMANDS}
    assert {commands[each] for each in traced.world.carried} == {"SendFence", "SendPromote"}
    assert {span.context.trace for span in traced.spans} == {traced.spans[0].context.trace}


async def test_a_span_lasts_from_when_the_trigger_came_and_holds_those_below_it() -> None:
    traced = await Traced().settle()
    came = traced.scene.clock.at
    await traced.app.report(REPORT)
    above = {span.context: span for span in traced.spans}
    assert traced.named("trigger")[0].began == came
    for span in traced.spans:
        if span.parent is not None and span.link is None:
            assert above[span.parent].began <= span.began <= span.ended


async def test_a_command_that_fails_says_why_and_a_step_what_it_decided() -> None:
    traced = await Traced().settle()
    traced.scene.world.kill("nva-a")
    traced.scene.world.arm_up = False
    await traced.scene.fast()
    (fence,) = traced.named("FenceByBalancer")
    assert fence.failed
    assert (fence.said["member"], fence.said["service"]) == ("nva-a", "fw")
    step = next(span for span in traced.spans if span.said.get("phase") == "stable → fencing")
    assert step.said["epoch"] == traced.scene.record.epoch
    assert "nva-b" in step.said["because"][0]


async def test_without_telemetry_the_record_remembers_no_trace_and_is_what_it_was() -> None:
    traced = await Traced(records=False).settle()
    await traced.app.report(REPORT)
    assert traced.scene.record.operation.trace == ""
    assert [span.name for span in traced.spans] == ["trigger"]
    assert len(set(traced.world.carried)) == 1
    assert traced.scene.serving() == ["nva-b"]


@pytest.mark.parametrize("found", ["", "00-none", "00-" + "g" * 32 + "-" + "1" * 16 + "-01"])
async def test_a_record_whose_trace_is_none_is_acted_on_all_the_same(found: str) -> None:
    traced = await Traced().settle()
    await traced.app.report(REPORT)
    record = traced.scene.record
    changed = msgspec.structs.replace(record, operation=msgspec.structs.replace(record.operation, trace=found))
    await traced.scene.documents.put(KEY, msgspec.json.encode(changed))
    await traced.scene.settle()
    assert traced.scene.serving() == ["nva-b"]


def test_a_record_of_an_older_version_has_no_trace() -> None:
    at = "2026-01-01T00:00:00Z"
    body = {"id": "fw-2", "kind": "failover", "reason": "", "started": at, "deadline": at}
    read = msgspec.json.decode(json.dumps({"service": "fw", "operation": body}), type=Record)
    assert read.operation.trace == ""


async def test_what_raises_ends_its_span_with_the_reason_and_the_task_is_where_it_was() -> None:
    traced = Traced()
    with pytest.raises(ValueError, match="odd"), trace.span(traced.scene.ports, "pass"):
        raise ValueError("odd")
    assert traced.spans[-1].failed == "ValueError: odd"
    assert trace.current() == ""
