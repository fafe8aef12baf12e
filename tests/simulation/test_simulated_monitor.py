"""Metrics, alerts and health events of the simulated Azure on virtual time."""

import json
from datetime import timedelta
from typing import Any

import pytest

from lab.kit.credential import authorization
from simulator import arm, kql, monitor
from simulator.clock import Pace, VirtualClock
from simulator.data_plane import probed
from simulator.faults import UnknownFaultError
from simulator.seeds import HubSeed, hub_seed
from simulator.state import ArmError
from simulator.wire import Request
from simulator.world import World

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
UP, DOWN = probed(True, None), probed(False, None)


class Azure:
    def __init__(self, factor: float = 1.0) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock, hub_seed(WANTED), Pace(factor))

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.world.settle()

    def report(self, ip: str, *, up: bool) -> None:
        self.world.data_plane.report(WANTED.load_balancer, {ip: UP if up else DOWN})

    def batch(self, **query: str) -> list[dict[str, Any]]:
        query = {
            "metricnames": "DipAvailability",
            "starttime": (self.clock.now() - timedelta(minutes=10)).isoformat(),
            "endtime": self.clock.now().isoformat(),
            "interval": "PT1M",
            "filter": "BackendIPAddress eq '*'",
            **query,
        }
        body = json.dumps({"resourceids": [WANTED.load_balancer_id]}).encode()
        reply = monitor.batch(self.world, Request("POST", "/", query, {}, body, "https://monitor"))
        (value,) = reply.body["values"]
        assert value["resourceid"] == WANTED.load_balancer_id.lower()
        series: list[dict[str, Any]] = value["value"][0]["timeseries"]
        return series


def averages(series: list[dict[str, Any]]) -> dict[str, list[float]]:
    return {one["metadatavalues"][0]["value"]: [point["average"] for point in one["data"]] for one in series}


def test_an_aggregate_is_weighted_by_time_and_arrives_late() -> None:
    azure = Azure()
    azure.report("10.0.1.4", up=True)
    azure.report("10.0.1.5", up=False)
    azure.pass_seconds(45)
    azure.report("10.0.1.4", up=False)
    azure.pass_seconds(15)
    assert averages(azure.batch()) == {"10.0.1.4": [], "10.0.1.5": []}
    azure.pass_seconds(120)
    assert averages(azure.batch()) == {"10.0.1.4": [75.0], "10.0.1.5": [0.0]}


def test_intervals_shrink_by_the_time_factor() -> None:
    azure = Azure(factor=60)
    azure.report("10.0.1.4", up=True)
    azure.pass_seconds(5)  # five one-minute intervals, of which the last two have not arrived
    assert averages(azure.batch())["10.0.1.4"] == [100.0, 100.0, 100.0]


def test_without_a_filter_all_backends_are_one_series() -> None:
    azure = Azure()
    azure.report("10.0.1.4", up=True)
    azure.report("10.0.1.5", up=False)
    azure.pass_seconds(180)
    (series,) = azure.batch(filter="")
    assert (series["metadatavalues"], [point["average"] for point in series["data"]]) == ([], [50.0])


def test_a_filter_names_one_backend() -> None:
    azure = Azure()
    azure.report("10.0.1.4", up=True)
    azure.report("10.0.1.5", up=False)
    azure.pass_seconds(180)
    assert averages(azure.batch(filter="BackendIPAddress eq '10.0.1.5'")) == {"10.0.1.5": [0.0]}


def test_a_batch_is_at_most_fifty_resources() -> None:
    azure = Azure()
    body = json.dumps({"resourceids": ["/subscriptions/s"] * 51}).encode()
    with pytest.raises(ArmError, match="1 to 50"):
        monitor.batch(azure.world, Request("POST", "/", {}, {}, body, "https://monitor"))


def test_our_own_admin_state_shows_in_dip_availability() -> None:
    azure = Azure()
    azure.report("10.0.1.4", up=True)
    pool = f"{WANTED.load_balancer_id}/backendAddressPools/{WANTED.pool}"
    body = json.dumps(
        {
            "properties": {
                "loadBalancerBackendAddresses": [
                    {"name": "nva-a", "properties": {"ipAddress": "10.0.1.4", "adminState": "Down"}}
                ]
            }
        }
    ).encode()
    arm.answer(azure.world, Request("PUT", pool, {"api-version": "2025-05-01"}, authorization(), body, "https://arm"))
    azure.pass_seconds(60)
    azure.pass_seconds(180)
    assert averages(azure.batch())["10.0.1.4"][-1] == 0.0


def test_an_alert_fires_minutes_late_and_resolves_after_three_good_evaluations() -> None:
    azure = Azure()
    azure.report("10.0.1.4", up=True)
    azure.report("10.0.1.5", up=True)
    azure.pass_seconds(600)
    assert azure.world.alerts.sent == []
    azure.report("10.0.1.4", up=False)
    azure.pass_seconds(119)
    assert azure.world.alerts.sent == []
    azure.pass_seconds(61)
    (fired,) = azure.world.alerts.sent
    assert fired["data"]["essentials"]["monitorCondition"] == "Fired"
    condition = fired["data"]["alertContext"]["condition"]["allOf"][0]
    assert (condition["threshold"], condition["metricValue"]) == ("90", 50.0)
    azure.report("10.0.1.4", up=True)
    azure.pass_seconds(180)
    assert len(azure.world.alerts.sent) == 1
    azure.pass_seconds(240)
    _, resolved = azure.world.alerts.sent
    assert resolved["data"]["essentials"]["monitorCondition"] == "Resolved"
    assert resolved["data"]["essentials"]["alertId"] == fired["data"]["essentials"]["alertId"]


def test_a_fault_that_is_none_is_refused_and_changes_nothing() -> None:
    azure = Azure()
    before = azure.world.state.faults
    for changes in ({"arm": "maybe"}, {"nothing": 1}, {"propagation": -1}, {"health_stale": 1}):
        with pytest.raises(UnknownFaultError):
            azure.world.set_faults({"monitor": "refuse", **changes})
    assert azure.world.state.faults == before


ROWS = [{"Name": "b", "Size": "2"}, {"Name": "a", "Size": "1"}]


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["where Name == 'a'"], [["a", "1"]]),
        (["where Name in~ ('A', 'c')"], [["a", "1"]]),
        (["where Name =~ 'B' and Size == '2'", "project Size"], [["2"]]),
        (["sort by Name asc", "take 1"], [["a", "1"]]),
        (["order by Name desc", "project Name"], [["b"], ["a"]]),
        (["count"], [[2]]),
    ],
)
def test_the_stages_of_a_query(stages: list[str], expected: list[list[object]]) -> None:
    columns, rows = kql.run(list(ROWS), ["Name", "Size"], stages, VirtualClock().now())
    assert [[row[name] for name in columns] for row in rows] == expected


@pytest.mark.parametrize("stage", ["summarize avg(Count)", "where Colour == 'red'", "where Name ~ 'a'", "sort Name"])
def test_a_stage_that_is_not_understood_is_refused(stage: str) -> None:
    with pytest.raises(kql.QueryError):
        kql.run(list(ROWS), ["Name", "Size"], [stage], VirtualClock().now())
