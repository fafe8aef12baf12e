"""Metric alert rules: evaluated once a minute over aggregates that have arrived, fired and resolved.

Decides only; posting is `webhooks.py`'s. Shape of the common alert schema from Azure's documentation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulator.metrics import MetricStore, Span, whole_intervals_until
from simulator.resources import Json
from simulator.state import State

EVALUATION_SECONDS = 60.0
RESOLVE_AFTER = 3  # evaluations in a row that are well again; Azure's rule for stateful metric alerts


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires when the average over the window, a number of whole minutes, is below the threshold."""

    name: str
    resource_id: str
    metric: str = "DipAvailability"
    threshold: float = 90.0
    window_seconds: float = 300.0
    severity: int = 1


@dataclass(slots=True)
class Standing:
    fired: datetime | None = None
    alert_id: str = ""
    well: int = 0


class Alerts:
    def __init__(self, state: State, metrics: MetricStore, rules: list[AlertRule]) -> None:
        self._state = state
        self._metrics = metrics
        self._standings = [(rule, Standing()) for rule in rules]
        self.sent: list[Json] = []
        self.subscribers: list[Callable[[Json], None]] = []
        if rules:
            state.agenda.after(state.pace.scaled(EVALUATION_SECONDS), self._evaluate)

    def _evaluate(self) -> None:
        for rule, standing in self._standings:
            now = self._state.now()
            minute = self._state.pace.scaled(60.0)
            arrived = whole_intervals_until(now - self._state.pace.scaled(self._state.faults.metrics_delay), minute)
            value = self._average(rule, Span(arrived - minute * round(rule.window_seconds / 60), arrived), minute)
            if value is not None:
                self._judge(rule, standing, value, now)
        self._state.agenda.after(self._state.pace.scaled(EVALUATION_SECONDS), self._evaluate)

    def _average(self, rule: AlertRule, span: Span, minute: timedelta) -> float | None:
        chosen = self._metrics.dimensions(rule.resource_id, rule.metric)
        found = self._metrics.aggregates(rule.resource_id, rule.metric, chosen, span, minute)
        return sum(aggregate.average for aggregate in found) / len(found) if found else None

    def _judge(self, rule: AlertRule, standing: Standing, value: float, now: datetime) -> None:
        if value < rule.threshold:
            standing.well = 0
            if standing.fired is None:
                standing.fired, standing.alert_id = now, self._state.new_id()
                self._send(rule, standing, value, resolved=None)
        elif standing.fired is not None:
            standing.well += 1
            if standing.well >= RESOLVE_AFTER:
                self._send(rule, standing, value, resolved=now)
                standing.fired, standing.well = None, 0

    def _send(self, rule: AlertRule, standing: Standing, value: float, resolved: datetime | None) -> None:
        alert = common_alert(rule, standing, value, resolved)
        self.sent.append(alert)
        for subscriber in self.subscribers:
            subscriber(alert)


def common_alert(rule: AlertRule, standing: Standing, value: float, resolved: datetime | None) -> Json:
    """The webhook body in the common alert schema, version 1.0."""
    subscription = rule.resource_id.split("/")[2]
    group = rule.resource_id.split("/")[4]
    if standing.fired is None:
        raise ValueError(f"alert {rule.name} has not fired")
    fired = standing.fired
    window = timedelta(seconds=rule.window_seconds)
    at = resolved or fired
    essentials: Json = {
        "alertId": f"/subscriptions/{subscription}/providers/Microsoft.AlertsManagement/alerts/{standing.alert_id}",
        "alertRule": rule.name,
        "severity": f"Sev{rule.severity}",
        "signalType": "Metric",
        "monitorCondition": "Resolved" if resolved else "Fired",
        "monitoringService": "Platform",
        "alertTargetIDs": [rule.resource_id.lower()],
        "configurationItems": [rule.resource_id.rsplit("/", 1)[-1].lower()],
        "originAlertId": f"{standing.alert_id}_{group}_microsoft.insights_metricAlerts_{rule.name}_0",
        "firedDateTime": iso(fired),
    }
    if resolved is not None:
        essentials["resolvedDateTime"] = iso(resolved)
    essentials |= {"description": "", "essentialsVersion": "1.0", "alertContextVersion": "1.0"}
    condition = {
        "metricName": rule.metric,
        "metricNamespace": "Microsoft.Network/loadBalancers",
        "operator": "LessThan",
        "threshold": f"{rule.threshold:g}",
        "timeAggregation": "Average",
        "dimensions": [],
        "metricValue": value,
    }
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": essentials,
            "alertContext": {
                "properties": None,
                "conditionType": "SingleResourceMultipleMetricCriteria",
                "condition": {
                    "windowSize": f"PT{int(rule.window_seconds // 60)}M",
                    "allOf": [condition],
                    "windowStartTime": iso(at - window),
                    "windowEndTime": iso(at),
                },
            },
        },
    }


def iso(moment: datetime) -> str:
    """ISO 8601 with a Z, as Azure writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
