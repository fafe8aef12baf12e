"""Azure Monitor as a wire format: metrics of one resource, metrics of many (getBatch), and logs queries.

Data points carry real timestamps; an interval is the requested one shrunk by the time factor. Shapes from recorded traffic
(individual), the metrics batch migration page (batch) and the ALBHealthEvent table reference (logs).
"""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from simulator import kql
from simulator.metric_definitions import (
    DEFINITIONS,
    Definition,
    demand_dimensions,
    demand_grain,
    demand_metric,
)
from simulator.metrics import Dimensions, Span
from simulator.resources import Json, key_of
from simulator.state import ArmError, FlatError
from simulator.wire import Reply, Request, error_reply
from simulator.world import World

METRICS_JSON = {"Content-Type": "application/json"}
IDS_MAX = 50  # per getBatch call
TOP = 10  # series answered when a filter is given and no `top`
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$")
CLAUSE = re.compile(r"(\w+)\s+eq\s+'([^']*)'", re.IGNORECASE)
HEALTH_TABLE = "ALBHealthEvent"
HEALTH_COLUMNS = {
    "TenantId": "string",
    "TimeGenerated": "datetime",
    "LoadBalancerResourceId": "string",
    "FrontendIP": "string",
    "HealthEventType": "string",
    "Severity": "string",
    "Description": "string",
    "OperationName": "string",
    "SourceSystem": "string",
    "Type": "string",
    "_ResourceId": "string",
}


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """The parameters of a metrics request. `interval` is as the client wrote it, `step` is that shrunk."""

    names: tuple[str, ...]
    span: Span
    interval: str
    step: timedelta
    aggregations: tuple[str, ...]
    filters: dict[str, set[str]]
    top: int | None


def individual(world: World, request: Request, resource_id: str) -> Reply:
    """GET {resource}/providers/Microsoft.Insights/metrics. Raises ArmError."""
    resource = world.state.resources.get(resource_id)
    if resource is None:
        raise ArmError(404, "ResourceNotFound", f"The Resource '{resource_id}' was not found.")
    query = {name.lower(): value for name, value in request.query.items()}
    timespan = query.get("timespan")
    start, _, end = timespan.partition("/") if timespan else ("", "", "")
    wanted = _decoded(world, query, (start or None, end or None))
    body = {
        "cost": 0,
        "timespan": f"{_iso(wanted.span.start)}/{_iso(wanted.span.end)}",
        "interval": wanted.interval,
        "value": _metrics(world, resource, resource_id, wanted),
        "namespace": resource["type"],
        "resourceregion": resource.get("location", "global"),
    }
    return Reply(200, body, dict(METRICS_JSON))


def batch(world: World, request: Request) -> Reply:
    """POST /subscriptions/{s}/metrics:getBatch. Raises ArmError: what is refused has the envelope here (304791203)."""
    try:
        return _batch(world, request)
    except FlatError as error:
        raise ArmError(error.status, error.code, error.message) from error


def _batch(world: World, request: Request) -> Reply:
    world.permissions.demand("Microsoft.Insights/metrics/read", request.path.rpartition("/")[0])
    ids = request.document().get("resourceids")
    if not isinstance(ids, list) or not 0 < len(ids) <= IDS_MAX:
        raise ArmError(400, "BadRequest", f"resourceids must name 1 to {IDS_MAX} resources.")
    query = {name.lower(): value for name, value in request.query.items()}
    wanted = _decoded(world, query, (query.get("starttime"), query.get("endtime")))
    values = []
    for resource_id in ids:
        resource = world.state.resources.get(resource_id) or {"type": query.get("metricnamespace", "")}
        values.append(
            {
                "cost": 0,
                "starttime": _iso(wanted.span.start),
                "endtime": _iso(wanted.span.end),
                "interval": wanted.interval,
                "value": _metrics(world, resource, str(resource.get("id", resource_id)), wanted),
                "namespace": query.get("metricnamespace", resource.get("type", "")),
                "resourceregion": resource.get("location", "global"),
                "resourceid": resource_id.lower(),
            }
        )
    return Reply(200, {"values": values}, dict(METRICS_JSON))


def _decoded(world: World, query: dict[str, str], ends: tuple[str | None, str | None]) -> MetricsQuery:
    try:
        end = moment(ends[1]) if ends[1] else world.now
        start = moment(ends[0]) if ends[0] else end - timedelta(hours=1)
        interval = query.get("interval", "PT1M")
        demand_grain(interval)
        length = _duration(interval)
        top = int(query["top"]) if "top" in query else None
    except ValueError as error:
        raise FlatError(400, "BadRequest", f"The request could not be understood: {error}") from error
    filters: dict[str, set[str]] = {}
    for name, value in CLAUSE.findall(query.get("filter") or query.get("$filter") or ""):
        filters.setdefault(name.lower(), set()).add(value.lower())
    return MetricsQuery(
        tuple(name.strip() for name in query.get("metricnames", "").split(",") if name.strip()),
        Span(start, end),
        interval,
        world.state.pace.scaled(length.total_seconds()),
        tuple(one.strip().lower() for one in query.get("aggregation", "average").split(",")),
        filters,
        top,
    )


def _metrics(world: World, resource: Json, resource_id: str, wanted: MetricsQuery) -> list[Json]:
    """Raises FlatError for what the resource's type has not."""
    fixed = {m["name"].lower(): m for m in world.fixed_metrics if key_of(m["resourceId"]) == key_of(resource_id)}
    seeded = tuple(Definition(m["name"], str(m.get("localizedName", m["name"])), "", m["unit"]) for m in fixed.values())
    kind = str(resource["type"])
    known = DEFINITIONS.get(kind.lower(), ()) + seeded
    definitions = [demand_metric(kind, name, known) for name in wanted.names]
    for definition in definitions:
        demand_dimensions(definition, tuple(wanted.filters))
    return [_metric(world, resource_id, one, wanted, fixed.get(one.name.lower())) for one in definitions]


def _metric(world: World, resource_id: str, one: Definition, wanted: MetricsQuery, fixed: Json | None) -> Json:
    series = _fixed(fixed, wanted) if fixed is not None else _measured(world, resource_id, one.name, wanted)
    return {
        "id": f"{resource_id}/providers/Microsoft.Insights/metrics/{one.name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": one.name, "localizedValue": one.label},
        "displayDescription": one.description or one.label,
        "unit": one.unit,
        "timeseries": series,
        "errorCode": "Success",
    }


def _fixed(metric: Json, wanted: MetricsQuery) -> list[Json]:
    # Recorded: a span that starts at 23:59:59 holds the point of 23:59:00.
    start = wanted.span.start.replace(second=0, microsecond=0)
    points = [point for point in metric["values"] if start <= moment(point["timeStamp"]) < wanted.span.end]
    return [{"metadatavalues": [], "data": points}]


def _measured(world: World, resource_id: str, name: str, wanted: MetricsQuery) -> list[Json]:
    """One series for all without a filter, else one for each value of the dimensions the filter names."""
    known = [dims for dims in world.metrics.dimensions(resource_id, name) if _passes(dims, wanted.filters)]
    groups = _grouped(known, wanted.filters)
    visible = min(wanted.span.end, world.now - world.state.pace.scaled(world.state.faults.metrics_delay))
    limit = (wanted.top or TOP) if wanted.filters else len(groups)
    found = []
    for label, members in sorted(groups.items())[:limit]:
        aggregates = world.metrics.aggregates(resource_id, name, members, Span(wanted.span.start, visible), wanted.step)
        kinds = [kind for kind in wanted.aggregations if kind in KINDS]
        data = [{"timeStamp": _iso(one.start)} | {kind: getattr(one, kind) for kind in kinds} for one in aggregates]
        labels = [{"name": {"value": k.lower(), "localizedValue": k.lower()}, "value": v} for k, v in label]
        found.append({"metadatavalues": labels, "data": data})
    return found


def _grouped(known: list[Dimensions], filters: dict[str, set[str]]) -> dict[Dimensions, list[Dimensions]]:
    """By the values of the dimensions that the filters name."""
    groups: dict[Dimensions, list[Dimensions]] = {}
    for dims in known:
        label = tuple(pair for pair in dims if pair[0].lower() in filters)
        groups.setdefault(label, []).append(dims)
    return groups


KINDS = ("average", "minimum", "maximum")


def _passes(dims: Dimensions, filters: dict[str, set[str]]) -> bool:
    values = {name.lower(): value.lower() for name, value in dims}
    return all("*" in wanted or values.get(name) in wanted for name, wanted in filters.items())


def query_logs(world: World, request: Request) -> Reply:
    """POST /v1/workspaces/{id}/query over the health events kept by the world. Raises ArmError."""
    document = request.document()
    try:
        table, stages = kql.split(str(document.get("query", "")))
        world.permissions.demand_anywhere("Microsoft.OperationalInsights/workspaces/query/read")
        world.permissions.demand_anywhere(f"Microsoft.OperationalInsights/workspaces/query/{table}/read")
        if table != HEALTH_TABLE:
            raise kql.QueryError(f"'{table}': the simulator has only the table {HEALTH_TABLE}")
        rows = _health_rows(world, document.get("timespan"))
        columns, rows = kql.run(rows, list(HEALTH_COLUMNS), stages, world.now)
    except (kql.QueryError, ValueError, TypeError) as error:
        raise ArmError(400, "BadArgumentError", f"The request had some invalid properties: {error}") from error
    body = {
        "tables": [
            {
                "name": "PrimaryResult",
                "columns": [{"name": name, "type": HEALTH_COLUMNS.get(name) or _type(rows, name)} for name in columns],
                "rows": [[_cell(row[name]) for name in columns] for row in rows],
            }
        ]
    }
    return Reply(200, body, {"Content-Type": "application/json; charset=utf-8"})


def _health_rows(world: World, timespan: str | None) -> list[kql.Row]:
    start, end = _timespan(timespan, world.now)
    return [
        {
            "TenantId": "00000000-0000-0000-0000-000000000000",
            "TimeGenerated": event.time,
            "LoadBalancerResourceId": event.resource_id,
            "FrontendIP": event.frontend_ip,
            "HealthEventType": event.kind,
            "Severity": event.severity,
            "Description": event.description,
            "OperationName": "LoadBalancerHealthEvent",
            "SourceSystem": "Azure",
            "Type": HEALTH_TABLE,
            "_ResourceId": event.resource_id.lower(),
        }
        for event in world.data_plane.health_events
        if start <= event.time <= end
    ]


def _timespan(text: str | None, now: datetime) -> tuple[datetime, datetime]:
    """`PT5M`, `start/end`, `start/PT5M` or nothing."""
    if not text:
        return datetime(1, 1, 1, tzinfo=UTC), now
    first, _, second = text.partition("/")
    if not second:
        return now - _duration(first), now
    if second.startswith("P"):
        return moment(first), moment(first) + _duration(second)
    return moment(first), moment(second)


def query_logs_batch(world: World, request: Request) -> Reply:
    """POST /v1/$batch: each query answered by itself, whatever becomes of the others."""
    responses = []
    for one in request.document().get("requests") or ():
        body = json.dumps(one.get("body") or {}).encode()
        try:
            reply = query_logs(world, replace(request, body=body))
        except ArmError as error:
            reply = error_reply(error)
        responses.append({"id": one.get("id"), "status": reply.status, "headers": reply.headers, "body": reply.body})
    return Reply(200, {"responses": responses}, {"Content-Type": "application/json; charset=utf-8"})


def _type(rows: list[kql.Row], name: str) -> str:
    """Of a column that a query made."""
    return "datetime" if any(isinstance(row[name], datetime) for row in rows) else "long"


def _cell(value: object) -> object:
    return _iso(value) if isinstance(value, datetime) else value


def moment(text: str) -> datetime:
    found = datetime.fromisoformat(text.strip().replace(" ", "T"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _iso(moment: datetime) -> str:
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def _duration(text: str) -> timedelta:
    found = DURATION.match(text)
    if found is None or not any(found.groups()):
        raise ValueError(f"not a duration: {text!r}")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
