"""Alerts ask for documented metrics with documented dimensions and aggregations, and their bounds tell what they say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.infra.bicep_text import ROOT, Resource, files, parsed, planted, text


@dataclass(frozen=True, slots=True)
class Metric:
    """`aggregation` is the one that the page advises; `document` is where it is written."""

    aggregation: str
    dimensions: frozenset[str]
    document: str


BALANCER = "Microsoft.Network/loadBalancers"
HUB = "Microsoft.Network/virtualHubs"
HUB_DIMENSIONS = frozenset({"routeserviceinstance", "bgppeerip", "bgppeertype"})
# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/
DOCUMENTED = {
    (BALANCER, "DipAvailability"): Metric(
        "Average",
        frozenset({"ProtocolType", "BackendPort", "FrontendIPAddress", "FrontendPort", "BackendIPAddress"}),
        "Supported metrics for Microsoft.Network/loadBalancers",
    ),
    (HUB, "BgpPeerStatus"): Metric("Maximum", HUB_DIMENSIONS, "Supported metrics for Microsoft.Network/virtualHubs"),
    (HUB, "CountOfRoutesLearnedFromPeer"): Metric(
        "Maximum", HUB_DIMENSIONS, "Supported metrics for Microsoft.Network/virtualHubs"
    ),
}
# "Create a metric alert rule" and "Create a log search alert rule": what Azure takes, in minutes.
FREQUENCIES = {"metric": {1, 5, 15, 30, 60}, "log": {1, 5, 10, 15, 30, 45, 60}}
WINDOWS = {"metric": {1, 5, 15, 30, 60, 360, 720, 1440}, "log": {1, 5, 10, 15, 30, 45, 60, 120}}
REQUESTS = {
    "timestamp",
    "id",
    "name",
    "success",
    "resultCode",
    "duration",
    "operation_Id",
    "itemCount",
}  # "AppRequests"

ONE = "properties.criteria.allOf[]"


def alerts(texts: Mapping[str, str], kind: str = "metricAlerts") -> dict[str, Resource]:
    resources = parsed(texts)["modules/alerts.bicep"].resources()
    return {each.symbol: each for each in resources if f"/{kind}@" in each.type}


def only(alert: Resource, path: str) -> str:
    (value,) = alert.values[path]
    return value


def problems(texts: Mapping[str, str]) -> list[str]:
    found = []
    for symbol, alert in alerts(texts).items():
        about = (only(alert, f"{ONE}.metricNamespace"), only(alert, f"{ONE}.metricName"))
        if about not in DOCUMENTED:
            found.append(f"{symbol}: no metric {about}")
            continue
        metric, dimensions = DOCUMENTED[about], set(alert.values.get(f"{ONE}.dimensions[].name", ()))
        if only(alert, f"{ONE}.timeAggregation") != metric.aggregation:
            found.append(f"{symbol}: {about[1]} is read as {metric.aggregation}")
        found += [f"{symbol}: no dimension {name}" for name in sorted(dimensions - metric.dimensions)]
        if about[0] == BALANCER and dimensions:
            found.append(f"{symbol}: is split: the standby of a pair would alert for ever")
        if about[0] == HUB and dimensions != {"bgppeerip"}:
            found.append(f"{symbol}: is not told by peer over both instances")
        if only(alert, "properties.targetResourceType") != about[0]:
            found.append(f"{symbol}: watches another type than its metric's")
    return found + _times(texts)


def _times(texts: Mapping[str, str]) -> list[str]:
    variables = parsed(texts)["modules/alerts.bicep"].variables()
    found = []
    for kind, type_ in (("metric", "metricAlerts"), ("log", "scheduledQueryRules")):
        for symbol, alert in alerts(texts, type_).items():
            for path, allowed in (("evaluationFrequency", FREQUENCIES[kind]), ("windowSize", WINDOWS[kind])):
                written = only(alert, f"properties.{path}")
                written = text(variables[written]).strip("'") if written in variables else written
                if int(written.removeprefix("PT").removesuffix("M")) not in allowed:
                    found.append(f"{symbol}: {path} {written}")
    return found


def bound(texts: Mapping[str, str], symbol: str, backends: int) -> tuple[str, int]:
    """The operator and threshold of an alert on a load balancer with so many backends, as Bicep divides."""
    alert = alerts(texts)[symbol]
    hundredths = re.fullmatch(r"(\d+) / lb\.backends", only(alert, f"{ONE}.threshold"))
    assert hundredths is not None
    return only(alert, f"{ONE}.operator"), int(hundredths[1]) // backends


def fires(texts: Mapping[str, str], symbol: str, backends: int, healthy: int) -> bool:
    operator, threshold = bound(texts, symbol, backends)
    average = 100 * healthy / backends
    return {"LessThan": average < threshold, "GreaterThan": average > threshold}[operator]


def test_alerts_ask_for_what_is_documented() -> None:
    assert problems(files()) == []
    assert {only(alert, f"{ONE}.metricName") for alert in alerts(files()).values()} == {name for _, name in DOCUMENTED}


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("metricName: 'BgpPeerStatus'", "metricName: 'BgpPeerState'", "no metric"),
        ("timeAggregation: 'Average'", "timeAggregation: 'Total'", "DipAvailability is read as Average"),
        ("timeAggregation: 'Maximum'", "timeAggregation: 'Minimum'", "BgpPeerStatus is read as Maximum"),
        ("name: 'bgppeerip'", "name: 'peerip'", "no dimension peerip"),
        ("name: 'bgppeerip'", "name: 'routeserviceinstance'", "is not told by peer over both instances"),
        (
            "            timeAggregation: 'Average'\n",
            "            timeAggregation: 'Average'\n"
            "            dimensions: [{ name: 'BackendIPAddress', operator: 'Include', values: ['*'] }]\n",
            "is split",
        ),
        ("var fiveMinutes = 'PT5M'", "var fiveMinutes = 'PT7M'", "windowSize PT7M"),
        (
            "targetResourceType: 'Microsoft.Network/virtualHubs'",
            "targetResourceType: 'Microsoft.Network/loadBalancers'",
            "type",
        ),
    ],
)
def test_what_is_not_documented_is_named(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in problems(planted("modules/alerts.bicep", old, new)))


@pytest.mark.parametrize("backends", range(2, 11))
def test_the_bounds_tell_nobody_one_and_two_apart(backends: int) -> None:
    texts = files()
    assert [fires(texts, "nobody", backends, healthy) for healthy in (0, 1, 2)] == [True, False, False]
    assert [fires(texts, "two", backends, healthy) for healthy in (0, 1, 2)] == [False, False, True]


def test_a_bound_that_does_not_survive_active_passive_is_seen() -> None:
    usual = planted("modules/alerts.bicep", "threshold: 50 / lb.backends", "threshold: 150 / lb.backends")
    assert fires(usual, "nobody", 2, 1)


def test_only_pools_alone_on_their_load_balancer_are_watched_and_only_pairs_for_two() -> None:
    content = files()
    assert "loadBalancers: map(filter(loadBalancers, each => each.onePool)," in content["main.bicep"]
    assert (
        "for (lb, i) in loadBalancers: if (lb.activePassive) {\n    name: 'two-serve" in content["modules/alerts.bicep"]
    )


def dead_man(texts: Mapping[str, str]) -> list[str]:
    alert = alerts(texts, "scheduledQueryRules")["deadMan"]
    query = only(alert, f"{ONE}.query")
    functions = set(re.findall(r"async def (\w+)\(", (ROOT / "function_app" / "triggers" / "sweep.py").read_text()))
    asked = re.fullmatch(
        r'requests \| where name == "(\w+)" and success and timestamp > ago\(\$\{(\d+) \* sweepMinutes \+ ingestionMinutes\}m\)',
        query,
    )
    if asked is None or not {"name", "success", "timestamp"} <= REQUESTS:
        return [f"query {query}"]
    found = [] if asked[1] in functions else [f"there is no function {asked[1]}"]
    found += [] if asked[2] == "3" else [f"{asked[2]} periods"]
    variables = parsed(texts)["modules/alerts.bicep"].variables()
    longest = 3 * 10 + int(text(variables["ingestionMinutes"]))
    window = int(only(alert, "properties.windowSize").removeprefix("PT").removesuffix("M"))
    found += [] if window >= longest else [f"the window of {window} min hides what is {longest} min old"]
    absent = (only(alert, f"{ONE}.timeAggregation"), only(alert, f"{ONE}.operator"), only(alert, f"{ONE}.threshold"))
    return found + ([] if absent == ("Count", "LessThan", "1") else [f"absence is not {absent}"])


def test_the_dead_man_alert_fires_when_no_sweep_succeeded_for_three_periods() -> None:
    assert dead_man(files()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name == "sweep"', 'name == "sweeper"', "there is no function sweeper"),
        ("ago(${3 * sweep", "ago(${1 * sweep", "1 periods"),
        ("windowSize: 'PT45M'", "windowSize: 'PT15M'", "the window of 15 min"),
        ("requests | where", "request | where", "query request "),
        ("timeAggregation: 'Count'", "timeAggregation: 'Total'", "absence is not"),
    ],
)
def test_a_dead_man_alert_that_sleeps_is_seen(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in dead_man(planted("modules/alerts.bicep", old, new)))
