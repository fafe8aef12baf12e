"""Traces and metrics reach a collector as OTLP, and one that is gone or hangs costs a pass nothing."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from function_app.adapters.telemetry.otlp import QUEUE_MAX, Collector, TelemetryOverOtlp
from function_app.reconcile import trace
from function_app.reconcile.telemetry import INSTRUMENTS, Measure
from tests.collector import Taken, attributes, collector
from tests.unit.adapters.fake_agent import private_pem
from tests.unit.reconcile.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
SOON = 0.05
"""Seconds between two requests, in place of five."""
WITHIN = 30.0


async def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.02)


def over(url: str, **headers: str) -> TelemetryOverOtlp:
    return TelemetryOverOtlp(Collector(url, headers), SOON)


async def failed_over(telemetry: TelemetryOverOtlp) -> float:
    """A service that settles and whose holder fails then; gives how long the fast pass took that moved it."""
    scene = Scene()
    scene.ports = replace(scene.ports, telemetry=telemetry)
    await scene.settle()
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    began = time.perf_counter()
    await scene.fast()
    took = time.perf_counter() - began
    assert scene.serving() == ["nva-b"]
    await scene.settle()
    return took


@pytest.fixture
async def taken() -> Taken:
    """What a collector takes of a failover."""
    async with collector() as taken:
        telemetry = over(taken.url, **{"api-key": "k"})
        await failed_over(telemetry)
        await telemetry.close()
    return taken


def verifications(taken: Taken) -> list[Any]:
    return [span for span in taken.spans if attributes(span).get("hopkeeper.phase") == "granted → stable"]


def test_spans_of_a_failover_arrive_as_one_trace(taken: Taken) -> None:
    verified = verifications(taken)[-1]
    names = {span.name for span in taken.spans if span.trace_id == verified.trace_id}
    assert names >= {"pass", "look", "step", "decide", "intend", "SendFence", "SendPromote", "verify"}
    assert len(verified.links) == 1
    assert verified.start_time_unix_nano <= verified.end_time_unix_nano
    assert {each["service.name"] for each in taken.resources} == {"hopkeeper"}
    assert {each["api-key"] for each in taken.headers} == {"k"}


def test_every_metric_arrives_with_its_unit(taken: Taken) -> None:
    assert taken.values("hopkeeper.service.holder") == {
        ("nva-a", "fw", "hub"): 0.0,
        ("nva-b", "fw", "hub"): 1.0,
    }
    assert taken.values("hopkeeper.service.phase")["stable", "fw", "hub"] == 1
    assert taken.values("hopkeeper.pass.duration")["converged", "slow", "hub"] >= 1
    assert taken.values("hopkeeper.command.duration")["SendPromote", "fw", "True"] >= 1
    units = {metric.name: metric.unit for metric in taken.metrics}
    assert units == {each.name: each.unit for each in INSTRUMENTS}


async def test_a_span_that_failed_is_an_error_with_its_reason() -> None:
    async with collector() as taken:
        telemetry, ports = over(taken.url), Scene().ports
        with pytest.raises(ValueError, match="odd"), trace.span(replace(ports, telemetry=telemetry), "pass"):
            raise ValueError("odd")
        await until(lambda: taken.spans)
        await telemetry.close()
    (span,) = taken.spans
    assert (span.status.code, span.status.message) == (2, "ValueError: odd")
    assert attributes(span) == {}


@pytest.fixture(params=["refuses", "never answers"])
def dead(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a collector that is gone, or that accepts connections and is silent."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        if request.param == "never answers":
            door.listen(16)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


async def test_no_pass_waits_for_a_dead_collector(
    dead: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes follow each other until a request has failed, which takes these three seconds."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    telemetry, took = over(dead), []
    end = time.monotonic() + WITHIN
    while not any(f"{dead} took no telemetry" in record.message for record in caplog.records):
        assert time.monotonic() < end
        took.append(await failed_over(telemetry))
        await asyncio.sleep(0.1)
    assert len(took) > 3
    assert max(took) < 1.5
    await telemetry.close()


async def test_what_no_collector_takes_is_bounded_and_the_newest_of_it_is_kept() -> None:
    async with collector() as taken:
        telemetry = TelemetryOverOtlp(Collector(taken.url), period=3600)
        ports = replace(Scene().ports, telemetry=telemetry)
        for number in range(QUEUE_MAX + 10):
            with trace.span(ports, "step", epoch=number):
                pass
        await telemetry.close()
        await until(lambda: len(taken.spans) >= QUEUE_MAX)
        assert [attributes(span)["hopkeeper.epoch"] for span in taken.spans] == list(range(10, QUEUE_MAX + 10))


async def test_the_end_of_a_command_waits_a_few_seconds_at_most_for_what_is_left(dead: str) -> None:
    telemetry = over(dead)
    telemetry.measured([Measure("hopkeeper.service.epoch", 1, {})])
    began = time.monotonic()
    await telemetry.close()
    assert time.monotonic() - began < 8


SEEN = """
import asyncio, json, sys
import main
import azure.mgmt.network.aio, azure.identity.aio, azure.storage.queue.aio
from dataclasses import replace
from function_app import settings, wiring
from tests.unit.reconcile.scene import Scene

async def promotion():
    scene = Scene()
    made = wiring.build(settings.from_environment()).ports.telemetry
    scene.ports = replace(scene.ports, telemetry=made)
    await scene.fail_over()
    return made

made = asyncio.run(promotion())
found = [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]
print(json.dumps([type(made).__name__, found]))
"""


@pytest.mark.parametrize(
    ("collected", "wired"),
    [({}, "TelemetryUnsent"), ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "TelemetryOverOtlp")],
)
def test_neither_the_import_of_the_app_nor_a_promotion_imports_opentelemetry(
    collected: dict[str, str], wired: str
) -> None:
    """Without a collector never; with one not before the pass that began it all is over (`PERIOD`)."""
    key = private_pem(ec.generate_private_key(ec.SECP256R1()))
    base = {"AzureWebJobsStorage": "directory:/nowhere", "HOPKEEPER_SIGNING_KEY": key, "PYTHONPATH": str(ROOT)}
    given = base | {"PATH": "/usr/bin:/bin"} | collected
    done = subprocess.run(
        [sys.executable, "-c", SEEN], capture_output=True, text=True, env=given, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [wired, []]
