"""A failover of the whole stack, as a collector sees it: real processes, agents and load balancer."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from function_app.reconcile.telemetry import INSTRUMENTS, SPANS
from lab.acts import Stage
from lab.stack import NVAS, Stack
from lab.traffic import ProbeWatch, Traffic
from tests.collector import Taken, attributes, collector

WITHIN = 60.0
MEASURED = {each.name for each in INSTRUMENTS}


async def until[T](found: Callable[[], T]) -> T:
    end = time.monotonic() + WITHIN
    while not (seen := found()):
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.1)
    return seen


def trace_of(taken: Taken, holder: str) -> list[Any]:
    """The spans of the trace in which another member than `holder` was verified, once its trigger arrived as well."""
    for promote in (span for span in taken.spans if span.name == "SendPromote"):
        if attributes(promote)["hopkeeper.member"] == holder:
            continue
        spans = [span for span in taken.spans if span.trace_id == promote.trace_id]
        verified = any(attributes(span).get("hopkeeper.phase") == "granted → stable" for span in spans)
        if verified and any(span.name == "trigger" for span in spans):
            return spans
    return []


async def test_a_failover_is_one_trace_from_the_report_to_the_verification_and_the_agents_log_it() -> None:
    async with collector() as taken, Stack.make() as stack:
        stack.settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": taken.url}
        await stack.up()
        stage = Stage(stack, Traffic(), ProbeWatch({}), lambda _: None)
        holder = await stage.at_rest()
        taken.spans.clear()
        stack.kill_data_path(holder)
        spans = await until(lambda: trace_of(taken, holder))
        await until(lambda: {metric.name for metric in taken.metrics} >= MEASURED)
        logged = {name: commands_of(stack, name, spans[0].trace_id.hex()) for name in NVAS}
    root, *more = (span for span in spans if span.parent_span_id == b"")
    assert (root.name, more) == ("trigger", [])
    assert attributes(root)["hopkeeper.trigger"].startswith(f"report of {holder}: ")
    assert {span.name for span in spans} >= {*SPANS, "SendFence", "SendPromote"}
    assert {span.parent_span_id for span in spans} - {b""} <= {span.span_id for span in spans}
    assert "fence" in logged.pop(holder)
    assert "promote" in logged.popitem()[1]


def commands_of(stack: Stack, name: str, trace: str) -> list[str]:
    """What an agent's log says that it was commanded in this trace."""
    text = "".join(path.read_text() for path in (stack.directory / "logs").glob(f"*{name}*"))
    lines = [json.loads(line) for line in text.splitlines() if f'"trace": "{trace}"' in line]
    return [line["command"] for line in lines]
