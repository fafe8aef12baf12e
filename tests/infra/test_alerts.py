"""Alerts ask for documented metrics with documented dimensions and aggregations, and their bounds tell what they say."""

import re
from dataclasses import dataclass

import pytest

from tests.infra.compiler import ROOT, Resource, Snapshot, at, evaluated, texts
from tests.infra.deployments import DEPLOYMENTS, EVERYTHING, HUB, app_name, app_settings, network_id, snapshot


@dataclass(frozen=True, slots=True)
class Metric:
    """`aggregation` is the one that the page advises; `document` is where it is written."""

    aggregation: str
    dimensions: frozenset[str]
    document: str


BALANCER = "Microsoft.Network/loadBalancers"
SERVER = "Microsoft.Network/virtualHubs"
SERVER_DIMENSIONS = frozenset({"routeserviceinstance", "bgppeerip", "bgppeertype"})
# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/
DOCUMENTED = {
    (BALANCER, "DipAvailability"): Metric(
        "Average",
        frozenset({"ProtocolType", "BackendPort", "FrontendIPAddress", "FrontendPort", "BackendIPAddress"}),
        "Supported metrics for Microsoft.Network/loadBalancers",
    ),
    (SERVER, "BgpPeerStatus"): Metric(
        "Maximum", SERVER_DIMENSIONS, "Supported metrics for Microsoft.Network/virtualHubs"
    ),
    (SERVER, "CountOfRoutesLearnedFromPeer"): Metric(
        "Maximum", SERVER_DIMENSIONS, "Supported metrics for Microsoft.Network/virtualHubs"
    ),
}
METRIC, LOG = "Microsoft.Insights/metricAlerts", "Microsoft.Insights/scheduledQueryRules"
# "Create a metric alert rule" and "Create a log search alert rule": what Azure takes, in minutes.
FREQUENCIES = {METRIC: {1, 5, 15, 30, 60}, LOG: {1, 5, 10, 15, 30, 45, 60}}
WINDOWS = {METRIC: {1, 5, 15, 30, 60, 360, 720, 1440}, LOG: {1, 5, 10, 15, 30, 45, 60, 120}}
INGESTION_MINUTES = 5  # that telemetry may be late
SWEEP_MINUTES_MAX = 10
ONE = "properties.criteria.allOf.0"


def minutes(written: str) -> int:
    found = re.fullmatch(r"PT(\d+)([MH])", written)
    assert found is not None, written
    return int(found[1]) * (60 if found[2] == "H" else 1)


def problems(its: Snapshot) -> list[str]:
    return [f"{each['name']}: {problem}" for each in its.resources(METRIC) for problem in _problems(each)] + [
        f"{each['name']}: {path} {at(each, path)}"
        for type_ in (METRIC, LOG)
        for each in its.resources(type_)
        for path, allowed in (
            ("properties.evaluationFrequency", FREQUENCIES[type_]),
            ("properties.windowSize", WINDOWS[type_]),
        )
        if minutes(at(each, path)) not in allowed
    ]


def _problems(alert: Resource) -> list[str]:
    about = (at(alert, f"{ONE}.metricNamespace"), at(alert, f"{ONE}.metricName"))
    if about not in DOCUMENTED:
        return [f"no metric {about}"]
    metric, dimensions = DOCUMENTED[about], {each["name"] for each in at(alert, f"{ONE}.dimensions", ())}
    found = [f"no dimension {name}" for name in sorted(dimensions - metric.dimensions)]
    if at(alert, f"{ONE}.timeAggregation") != metric.aggregation:
        found.append(f"{about[1]} is read as {metric.aggregation}")
    if about[0] == BALANCER and dimensions:
        found.append("is split: the standby of a pair would alert for ever")
    if about[0] == SERVER and dimensions != {"bgppeerip"}:
        found.append("is not split by peer over both instances")
    scopes = {"/".join(scope.split("/")[6:8]) for scope in at(alert, "properties.scopes")}
    if {at(alert, "properties.targetResourceType"), *scopes} != {about[0]}:
        found.append("watches another type than its metric's")
    return found


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_alerts_ask_for_what_is_documented(deployment: str) -> None:
    assert problems(snapshot(deployment)) == []


def test_every_metric_is_watched_and_every_alert_notifies_the_action_group() -> None:
    its = snapshot(EVERYTHING)
    assert {at(alert, f"{ONE}.metricName") for alert in its.resources(METRIC)} == {name for _, name in DOCUMENTED}
    (group,) = its.resources("Microsoft.Insights/actionGroups")
    alerts = [
        alert for type_ in (METRIC, LOG, "Microsoft.Insights/activityLogAlerts") for alert in its.resources(type_)
    ]
    assert [alert["name"] for alert in alerts if group["id"] not in str(at(alert, "properties.actions"))] == []
    assert at(group, "properties.emailReceivers.0.emailAddress") == "network-operations@example.com"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"BgpPeerStatus"', '"BgpPeerState"', "no metric"),
        ('"timeAggregation": "Average"', '"timeAggregation": "Total"', "DipAvailability is read as Average"),
        ('"timeAggregation": "Maximum"', '"timeAggregation": "Minimum"', "BgpPeerStatus is read as Maximum"),
        ('"name": "bgppeerip"', '"name": "peerip"', "no dimension peerip"),
        ('"name": "bgppeerip"', '"name": "routeserviceinstance"', "is not split by peer over both instances"),
        (
            '"timeAggregation": "Average"',
            '"timeAggregation": "Average", "dimensions": [{"name": "BackendIPAddress"}]',
            "is split",
        ),
        ('"windowSize": "PT5M"', '"windowSize": "PT7M"', "windowSize PT7M"),
        (f'"targetResourceType": "{SERVER}"', f'"targetResourceType": "{BALANCER}"', "watches another type"),
    ],
)
def test_what_is_not_documented_is_named(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in problems(snapshot(EVERYTHING).replaced(old, new)))


# --- the bounds, for pools of two to ten backends: a load balancer for each

POOLS = range(2, 11)
SHARED, ACTIVE_ACTIVE = 3, 4  # backends of the one whose pool is not alone, and of the one where all serve
MANY = f"""using './main.bicep'

param location = 'uksouth'
param routeServers = [{{ id: '{network_id("virtualHubs", "rs")}', minimumRoutes: 7 }}]
param appSubnetId = '{network_id("virtualNetworks", "vnet")}/subnets/snet-functions'
param agentSubnetIds = ['{network_id("virtualNetworks", "vnet")}/subnets/snet-nva']
param loadBalancers = map(range({POOLS.start}, {len(POOLS)}), n => {{
  id: '{HUB}/providers/Microsoft.Network/loadBalancers/lb-${{n}}'
  backends: n
  activePassive: n != {ACTIVE_ACTIVE}
  onePool: n != {SHARED}
}})
"""


def many() -> Snapshot:
    return evaluated("many.bicepparam", {}, texts() | {"infra/bicep/many.bicepparam": MANY})


def bounds(its: Snapshot, backends: int) -> dict[str, Resource]:
    """The conditions on a load balancer with so many backends, by the name of the alert."""
    return {
        re.sub(r"-\d+-.*", "", alert["name"]): at(alert, ONE)
        for alert in its.resources(METRIC)
        if at(alert, "properties.scopes.0").endswith(f"/lb-{backends}")
    }


def fires(condition: Resource, backends: int, healthy: int) -> bool:
    average = 100 * healthy / backends
    return {
        "LessThan": average < condition["threshold"],
        "GreaterThan": average > condition["threshold"],
    }[condition["operator"]]


@pytest.mark.parametrize("backends", [each for each in POOLS if each not in (SHARED, ACTIVE_ACTIVE)])
def test_the_bounds_differ_for_none_one_and_two_that_serve(backends: int) -> None:
    its = bounds(many(), backends)
    assert [fires(its["nobody-serves"], backends, healthy) for healthy in (0, 1, 2)] == [True, False, False]
    assert [fires(its["two-serve"], backends, healthy) for healthy in (0, 1, 2)] == [False, False, True]


def test_only_pools_alone_on_their_load_balancer_are_watched_and_only_pairs_for_two() -> None:
    assert set(bounds(many(), 2)) == {"nobody-serves", "two-serve"}
    assert set(bounds(many(), SHARED)) == set()
    assert set(bounds(many(), ACTIVE_ACTIVE)) == {"nobody-serves"}


def test_a_bound_that_does_not_survive_active_passive_is_seen() -> None:
    assert fires(bounds(many(), 2)["nobody-serves"] | {"threshold": 75}, 2, 1)


def test_a_peer_that_sends_fewer_routes_than_it_should_is_alerted() -> None:
    conditions = [at(alert, ONE) for alert in many().resources(METRIC)]
    (routes,) = [each for each in conditions if each["metricName"] == "CountOfRoutesLearnedFromPeer"]
    assert (routes["operator"], routes["threshold"]) == ("LessThan", 7)


# --- the dead man's alert (its query is checked as one in test_queries.py)


def sleeps(its: Snapshot) -> list[str]:
    alert = its.one(LOG)
    query = re.fullmatch(
        r'requests \| where name == "(\w+)" and .*\bsuccess\b.* and timestamp > ago\((\d+)m\)',
        at(alert, f"{ONE}.query"),
    )
    if query is None:
        return [f"query {at(alert, f'{ONE}.query')}"]
    functions = set(re.findall(r"async def (\w+)\(", (ROOT / "function_app" / "triggers" / "sweep.py").read_text()))
    found = [] if query[1] in functions else [f"there is no function {query[1]}"]
    schedule = app_settings(its)["HOPKEEPER_SWEEP_SCHEDULE"]
    period = int(re.findall(r"\d+", schedule)[1])
    found += [] if int(query[2]) == 3 * period + INGESTION_MINUTES else [f"{query[2]} min for a period of {period}"]
    longest, window = 3 * SWEEP_MINUTES_MAX + INGESTION_MINUTES, minutes(at(alert, "properties.windowSize"))
    found += [] if window >= longest else [f"the window of {window} min hides what is {longest} min old"]
    absent = tuple(at(alert, f"{ONE}.{key}") for key in ("timeAggregation", "operator", "threshold"))
    return found + ([] if absent == ("Count", "LessThan", 1) else [f"absence is not {absent}"])


@pytest.mark.parametrize("deployment", [each for each in DEPLOYMENTS if each.startswith("again")])
def test_the_dead_man_alert_fires_when_no_sweep_succeeded_for_three_periods(deployment: str) -> None:
    its = snapshot(deployment)
    assert sleeps(its) == []
    assert its.one(LOG)["name"].endswith(app_name(its))


@pytest.mark.parametrize("deployment", [each for each in DEPLOYMENTS if each.startswith("first")])
def test_no_log_alert_is_made_before_there_is_an_app(deployment: str) -> None:
    assert snapshot(deployment).resources(LOG) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name == \\"sweep\\"', 'name == \\"sweeper\\"', "there is no function sweeper"),
        ("ago(8m)", "ago(6m)", "6 min for a period of 1"),
        ("0 */1 * * * *", "0 */5 * * * *", "8 min for a period of 5"),
        ('"windowSize": "PT45M"', '"windowSize": "PT15M"', "the window of 15 min"),
        ("requests | where", "request | where", "query request "),
        ('"timeAggregation": "Count"', '"timeAggregation": "Total"', "absence is not"),
    ],
)
def test_a_dead_man_alert_that_sleeps_is_seen(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in sleeps(snapshot(EVERYTHING).replaced(old, new)))


def test_the_health_of_machines_is_watched_where_they_are_named() -> None:
    machines = snapshot(EVERYTHING).one("Microsoft.Insights/activityLogAlerts")
    assert at(machines, "properties.scopes") == [f"{HUB}/providers/Microsoft.Compute/virtualMachines/nva-a"]
    assert snapshot("first, public").resources("Microsoft.Insights/activityLogAlerts") == []
