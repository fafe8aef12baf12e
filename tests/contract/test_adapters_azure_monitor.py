"""Metrics, health events and events out through the real SDKs, over HTTPS, against the simulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.events.out import EventsOverEventGrid, EventsUnpublished
from function_app.adapters.monitor.logs import HealthLogsOverLogAnalytics, HealthLogsUnread
from function_app.adapters.monitor.metrics import MetricsOverMonitor, MetricsUnread
from function_app.domain.base.errors import Unavailable
from function_app.domain.service.observation import Value
from function_app.reconcile.documents.event import Event
from simulator.data_plane import HealthEvent as Logged
from simulator.data_plane import Probed
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import WANTED, fake_arm

LB = WANTED.load_balancer_id
A, B, C = IPv4Address("10.0.1.4"), IPv4Address("10.0.1.5"), IPv4Address("10.0.1.6")
WORKSPACE = "22222222-2222-2222-2222-222222222222"
NOW = datetime(2026, 1, 1, 3, 0, 30, tzinfo=UTC)


@dataclass
class StillClock:
    at: datetime

    def now(self) -> datetime:
        return self.at

    async def sleep(self, duration: timedelta) -> None:
        self.at += duration


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A one-minute aggregate takes 60 ms here, and is 100 ms late."""
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=1000)) as running:
        yield running


async def test_probe_availability_comes_late_and_then_per_backend(sim: Simulator, azure: Azure) -> None:
    metrics = MetricsOverMonitor(azure, sim.url, WallClock())
    up, down = Probed(True, "Up_Probe_Success"), Probed(False, "Down_Probe_TcpProbeTimeout")
    sim.world.data_plane.report(WANTED.load_balancer, {str(A): up, str(B): down})
    sim.world.set_faults({"metrics_delay": 300_000})
    late = await metrics.probe_availability(LB, (A, B))
    assert late == {A: Value.UNKNOWN, B: Value.UNKNOWN}
    sim.world.set_faults({"metrics_delay": 1})
    wanted = {A: Value.OK, B: Value.BAD, C: Value.UNKNOWN}
    async with asyncio.timeout(10):
        while (seen := await metrics.probe_availability(LB, (A, B, C))) != wanted:
            assert Value.BAD is not seen[A]
            await asyncio.sleep(0.02)


async def test_a_monitor_that_refuses_is_unavailable(sim: Simulator, azure: Azure) -> None:
    sim.world.set_faults({"monitor": "throttle", "arm_retry_after": 21})
    with pytest.raises(Unavailable, match=r"DipAvailability.*429") as caught:
        await MetricsOverMonitor(azure, sim.url, WallClock()).probe_availability(LB, (A,))
    assert caught.value.retry_after == timedelta(seconds=21)
    with pytest.raises(Unavailable, match=r"health events.*429"):
        await HealthLogsOverLogAnalytics(azure, WORKSPACE, sim.url).recent(LB, timedelta(hours=1))


@pytest.mark.parametrize(
    ("points", "value"),
    [
        ([(60, 100.0)], Value.OK),
        ([(60, 0.0)], Value.BAD),
        ([(60, 83.3)], Value.OK),
        ([(60, 33.3)], Value.BAD),
        ([(60, 50.0)], Value.UNKNOWN),
        ([(180, 0.0), (120, 100.0), (60, None)], Value.OK),
        ([(120, 100.0), (180, 0.0)], Value.OK),
        ([(60, None)], Value.UNKNOWN),
        ([(300, 100.0)], Value.UNKNOWN),
        ([], Value.UNKNOWN),
    ],
)
async def test_the_newest_fresh_interval_counts_by_majority(
    tmp_path: Path, points: list[tuple[int, float | None]], value: Value
) -> None:
    """`points` are (seconds before now at which the interval began, its average)."""
    data = [
        {"timeStamp": (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")}
        | ({} if average is None else {"average": average})
        for age, average in points
    ]
    queries: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        label = {"name": {"value": "backendipaddress", "localizedValue": "backendipaddress"}, "value": str(A)}
        name = {"value": "DipAvailability", "localizedValue": "Health Probe Status"}
        metric = {"id": f"{LB}/providers/Microsoft.Insights/metrics/DipAvailability", "name": name, "unit": "Count"}
        series = [{"metadatavalues": [label], "data": data}]
        return web.json_response({"values": [{"value": [metric | {"type": "x", "timeseries": series}]}]})

    async with fake_arm(answer, tmp_path) as azure:
        metrics = MetricsOverMonitor(azure, azure.cloud.endpoint, StillClock(NOW))
        assert await metrics.probe_availability(LB, (A, B)) == {A: value, B: Value.UNKNOWN}
    [query] = queries
    assert query["metricnames"] == "DipAvailability"
    assert query["filter"] == "BackendIPAddress eq '10.0.1.4' or BackendIPAddress eq '10.0.1.5'"
    assert (query["interval"], query["aggregation"], query["top"]) == ("PT1M", "Average", "2")


async def test_no_metrics_are_requested_for_no_addresses(sim: Simulator, azure: Azure) -> None:
    assert await MetricsOverMonitor(azure, sim.url, WallClock()).probe_availability(LB, ()) == {}
    assert len(sim.requests) == 0


async def test_recent_health_events_are_those_of_the_load_balancer_newest_first(sim: Simulator, azure: Azure) -> None:
    now = sim.world.now
    other = LB.replace("lb-nva", "lb-other")
    for age, where, kind in (
        (50, LB, "DataPathAvailabilityWarning"),
        (10, LB.upper(), "NoHealthyBackends"),
        (5, other, "X"),
    ):
        at = now - timedelta(minutes=age)
        sim.world.data_plane.health_events.append(Logged(at, where, kind, "Critical", "10.0.1.100", f"this is {kind}"))
    logs = HealthLogsOverLogAnalytics(azure, WORKSPACE, sim.url)
    events = await logs.recent(LB, timedelta(hours=1))
    assert [(e.kind, e.description) for e in events] == [
        ("NoHealthyBackends", "this is NoHealthyBackends"),
        ("DataPathAvailabilityWarning", "this is DataPathAvailabilityWarning"),
    ]
    assert abs(events[0].at - (now - timedelta(minutes=10))) < timedelta(seconds=1)
    assert events[0].at.tzinfo is not None
    assert [e.kind for e in await logs.recent(LB, timedelta(minutes=20))] == ["NoHealthyBackends"]


async def test_an_id_cannot_break_out_of_the_query(tmp_path: Path) -> None:
    queries: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        queries.append((await request.json())["query"])
        return web.json_response({"tables": [{"name": "PrimaryResult", "columns": [], "rows": []}]})

    async with fake_arm(answer, tmp_path) as azure:
        logs = HealthLogsOverLogAnalytics(azure, WORKSPACE, azure.cloud.endpoint)
        assert await logs.recent('/x\\"|take 1', timedelta(hours=1)) == ()
    assert r'=~ "/x\\\"|take 1" | project' in queries[0]


EVENT = Event(
    id="history/hub/fw/1.json#0", kind="Promoted", at=NOW, topology="hub", subject="fw", reasons=("nva-a failed",)
)


async def test_an_event_is_published_as_a_cloud_event_with_its_own_id_and_time(sim: Simulator, azure: Azure) -> None:
    await EventsOverEventGrid(azure, f"{sim.url}/topics/hopkeeper/api/events").publish(EVENT)
    [event] = sim.event_grid.topics["hopkeeper"]
    assert (event["source"], event["type"], event["subject"]) == ("/hopkeeper/hub", "Hopkeeper.Promoted", "fw")
    assert event["specversion"] == "1.0"
    assert event["data"] == json.loads(msgspec.json.encode(EVENT))
    assert (event["id"], datetime.fromisoformat(event["time"])) == (EVENT.id, NOW)


async def test_a_topic_that_refuses_is_unavailable(sim: Simulator, azure: Azure) -> None:
    with pytest.raises(Unavailable, match="publishing Promoted of hub: Resource not found"):
        await EventsOverEventGrid(azure, f"{sim.url}/elsewhere").publish(EVENT)


async def test_where_nothing_is_configured_nothing_is_known_and_nothing_is_sent() -> None:
    assert await MetricsUnread().probe_availability(LB, (A, B)) == {A: Value.UNKNOWN, B: Value.UNKNOWN}
    assert await HealthLogsUnread().recent(LB, timedelta(hours=1)) == ()
    events: Any = EventsUnpublished()
    assert await events.publish(EVENT) is None
