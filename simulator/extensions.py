"""Resources and questions at any scope: `{scope}/providers/{provider}/…`, for Azure Monitor and Event Grid.

The activity log is what the simulator published, in the shape of the REST reference's EventData ("Activity Logs - List").
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from simulator import event_subscriptions, monitor
from simulator.alerts import iso
from simulator.identity import TENANT
from simulator.long_running import accepted, deleted
from simulator.metric_definitions import DEFINITIONS, GRAINS
from simulator.resources import Json, key_of, path_of
from simulator.state import ArmError
from simulator.wire import Reply, Request
from simulator.world import World

CLAUSE = re.compile(r"\s*(\w+)\s+(eq|ge|le)\s+'?([^']*?)'?\s*", re.IGNORECASE)

type Handler = Callable[[World, Request, re.Match[str]], Reply]


@dataclass(frozen=True, slots=True)
class Extension:
    """`type` is what it is called; what a request needs to be allowed is in `permissions.py`."""

    form: re.Pattern[str]
    methods: dict[str, Handler]
    type: str


def _metrics(world: World, request: Request, found: re.Match[str]) -> Reply:
    return monitor.individual(world, request, found["scope"])


def _definitions(world: World, _request: Request, found: re.Match[str]) -> Reply:
    """Which metrics a resource has: those of its type's table (REST reference, Metric Definitions - List)."""
    resource = world.state.resources.get(found["scope"])
    if resource is None:
        raise ArmError(404, "ResourceNotFound", f"The Resource '{found['scope']}' was not found.")
    known = DEFINITIONS.get(resource["type"].lower())
    if known is None:
        raise ArmError(405, "MethodNotAllowed", f"The simulator does not know which metrics {resource['type']} has.")
    value = [
        {
            "id": f"{resource['id']}/providers/microsoft.insights/metricdefinitions/{one.name}",
            "resourceId": resource["id"],
            "namespace": resource["type"],
            "name": _said(one.name, one.label),
            "displayDescription": one.description,
            "isDimensionRequired": False,
            "unit": one.unit,
            "primaryAggregationType": "Average",
            "supportedAggregationTypes": ["Average", "Minimum", "Maximum"],
            "metricAvailabilities": [{"timeGrain": grain, "retention": "P93D"} for grain in GRAINS],
            "dimensions": [_said(name) for name in one.dimensions],
        }
        for one in known
    ]
    return Reply(200, {"value": value})


# Event subscriptions


def _event_subscription(world: World, request: Request, found: re.Match[str]) -> Reply:
    if found["name"] is None:
        value = event_subscriptions.of_scope(world.state.resources, found["scope"])
        return Reply(200, {"value": value})
    document = world.state.resources.get(_id(found))
    if document is None:
        raise ArmError(
            404, "ResourceNotFound", f"Event subscription {found['name']} of {found['scope']} was not found."
        )
    return Reply(200, document)


def _put_event_subscription(world: World, request: Request, found: re.Match[str]) -> Reply:
    if found["name"] is None:
        raise ArmError(400, "InvalidRequest", "The event subscription has no name.")
    document, created, operation = world.event_subscriptions.put(_id(found), found["scope"], request.document())
    # Recorded: 201 also says what is being made, and has no Retry-After.
    return accepted(world, request, operation, Reply(201 if created else 200, document))


def _delete_event_subscription(world: World, request: Request, found: re.Match[str]) -> Reply:
    return deleted(world, request, world.event_subscriptions.delete(_id(found)))


def _id(found: re.Match[str]) -> str:
    return f"{found['scope']}/providers/{event_subscriptions.EVENT_SUBSCRIPTION}/{found['name']}"


# The activity log


def _activity_log(world: World, request: Request, found: re.Match[str]) -> Reply:
    """Raises ArmError for a filter that the simulator has not, rather than answer too much."""
    entries = [_entry(change) for change in world.state.published]
    prefix = f"{key_of(found['scope'])}/"
    entries = [entry for entry in entries if key_of(entry["resourceId"]).startswith(prefix)]
    for part in filter(None, re.split(r"\s+and\s+", request.query.get("$filter", ""), flags=re.IGNORECASE)):
        clause = CLAUSE.fullmatch(part)
        keep = TESTS.get((clause[1].lower(), clause[2].lower())) if clause is not None else None
        if keep is None or clause is None:
            known = ", ".join(sorted({name for name, _ in TESTS}))
            raise ArmError(400, "BadRequest", f"The simulator filters by {known}, not by {part.strip()!r}.")
        entries = [entry for entry in entries if keep(entry, clause[3])]
    return Reply(200, {"value": sorted(entries, key=lambda entry: str(entry["eventTimestamp"]), reverse=True)})


TESTS: dict[tuple[str, str], Callable[[Json, str], bool]] = {
    ("eventtimestamp", "ge"): lambda entry, value: monitor.moment(entry["eventTimestamp"]) >= monitor.moment(value),
    ("eventtimestamp", "le"): lambda entry, value: monitor.moment(entry["eventTimestamp"]) <= monitor.moment(value),
    ("resourcegroupname", "eq"): lambda entry, value: str(entry["resourceGroupName"]).lower() == value.lower(),
    ("resourceuri", "eq"): lambda entry, value: key_of(entry["resourceId"]) == key_of(value),
    ("resourceid", "eq"): lambda entry, value: key_of(entry["resourceId"]) == key_of(value),
    ("resourceprovider", "eq"): lambda entry, value: (
        str(entry["resourceProviderName"]["value"]).lower() == value.lower()
    ),
    ("status", "eq"): lambda entry, value: str(entry["status"]["value"]).lower() == value.lower(),
    ("caller", "eq"): lambda entry, value: entry["caller"] == value,
    ("eventchannels", "eq"): lambda _entry, _value: True,  # all that is published is of the administrator's channels
}


def _entry(change: Json) -> Json:
    document = change["resource"]
    path = path_of(document["id"])
    operation = f"{path.type}/{change['kind'].lower()}"
    return {
        "authorization": {"action": operation, "scope": document["id"]},
        "caller": TENANT,
        "channels": "Operation",
        "correlationId": change["id"],
        "category": _said("Administrative"),
        "eventDataId": change["id"],
        "eventName": _said("EndRequest", "End request"),
        "eventTimestamp": iso(change["time"]),
        "id": f"{document['id']}/events/{change['id']}/ticks/0",
        "level": "Informational",
        "operationId": change["id"],
        "operationName": _said(operation),
        "resourceGroupName": path.group or "",
        "resourceId": document["id"],
        "resourceProviderName": _said(path.namespace),
        "resourceType": _said(path.type),
        "status": _said("Succeeded"),
        "subStatus": _said(""),
        "submissionTimestamp": iso(change["time"]),
        "subscriptionId": path.subscription,
        "tenantId": TENANT,
    }


def _said(value: str, label: str | None = None) -> Json:
    return {"value": value, "localizedValue": label or value}


def _form(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


EXTENSIONS = (
    Extension(
        _form(r"(?P<scope>.+)/providers/microsoft\.insights/metrics"), {"GET": _metrics}, "Microsoft.Insights/metrics"
    ),
    Extension(
        _form(r"(?P<scope>.+)/providers/microsoft\.insights/metricDefinitions"),
        {"GET": _definitions},
        "Microsoft.Insights/metricDefinitions",
    ),
    Extension(
        _form(r"(?P<scope>/subscriptions/[^/]+)/providers/microsoft\.insights/eventtypes/management/values"),
        {"GET": _activity_log},
        "Microsoft.Insights/eventtypes/values",
    ),
    Extension(
        event_subscriptions.PATH,
        {"GET": _event_subscription, "PUT": _put_event_subscription, "DELETE": _delete_event_subscription},
        "Microsoft.EventGrid/eventSubscriptions",
    ),
)


def answer(world: World, request: Request) -> Reply | None:
    """The reply to a request of an extension; None for what is none. Raises ArmError."""
    for extension in EXTENSIONS:
        found = extension.form.fullmatch(request.path)
        if found is not None:
            act = extension.methods.get(request.method)
            if act is None:
                there = ", ".join(extension.methods)
                message = f"The simulator does not answer {request.method} of {extension.type}; it answers {there}."
                raise ArmError(405, "MethodNotAllowed", message)
            return act(world, request, found)
    return None
