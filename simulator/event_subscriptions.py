"""Event subscriptions as resources: made, read, listed and deleted at any scope; one with a webhook gets events.

Held to cloud-custodian's AzureEventSubscriptionsTest. Which webhooks there are, and what they want, is for `event_grid.py`.
"""

import re
from collections.abc import Callable

from simulator.resources import Json, Resources, key_of
from simulator.state import ArmError, Operation, OperationKind, OperationStatus, State

EVENT_SUBSCRIPTION = "Microsoft.EventGrid/eventSubscriptions"
PATH = re.compile(
    r"(?P<scope>/subscriptions/.+?)/providers/Microsoft\.EventGrid/eventSubscriptions(?:/(?P<name>[^/]+))?",
    re.IGNORECASE,
)
WAITS = (5.0,)
RETRY_POLICY = {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
ALL_TYPES = tuple(
    f"Microsoft.Resources.Resource{what}{how}"
    for what in ("Write", "Delete", "Action")
    for how in ("Success", "Failure", "Cancel")
)

type Webhook = Callable[[str, Json], None]  # its URL, its filter


class EventSubscriptions:
    def __init__(self, state: State) -> None:
        self._state = state
        self._made: list[Webhook] = []
        self._gone: list[Callable[[str], None]] = []
        self._urls: dict[str, str] = {}

    def watch(self, made: Webhook, gone: Callable[[str], None]) -> None:
        """Call these when a webhook begins, and when it ends, to get events."""
        self._made.append(made)
        self._gone.append(gone)

    def put(self, resource_id: str, scope: str, body: Json) -> tuple[Json, bool, Operation]:
        """Create or replace one. Raises ArmError."""
        given = body.get("properties") or {}
        destination = given.get("destination") or {}
        if "endpointType" not in destination:
            raise ArmError(400, "InvalidRequest", "The event subscription has no destination.")
        known = self._state.resources.get(resource_id)
        wanted = dict(given.get("filter") or {})
        if not wanted.get("includedEventTypes"):
            wanted["includedEventTypes"] = list(ALL_TYPES)
        document: Json = {
            "properties": {
                "topic": scope,
                "provisioningState": "Creating" if known is None else "Updating",
                "destination": _readable(destination),
                "filter": wanted,
                "labels": given.get("labels"),
            },
            "id": resource_id,
            "name": resource_id.rpartition("/")[2],
            "type": EVENT_SUBSCRIPTION,
        }
        self._state.resources.put(document)

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            facts = document["properties"]
            facts["provisioningState"] = "Succeeded" if done else "Failed"
            facts["filter"] = {"subjectBeginsWith": "", "subjectEndsWith": "", **wanted}
            facts["eventDeliverySchema"] = given.get("eventDeliverySchema", "EventGridSchema")
            facts["retryPolicy"] = given.get("retryPolicy", dict(RETRY_POLICY))
            if done:
                operation.result = document
                self._begin_webhook(document, destination)

        operation = self._state.begin(OperationKind.WRITE, document, WAITS, finish)
        return document, known is None, operation

    def delete(self, resource_id: str) -> Operation | None:
        known = self._state.resources.get(resource_id)
        if known is None:
            return None

        def finish(operation: Operation) -> None:
            if operation.status is OperationStatus.SUCCEEDED:
                self._state.resources.remove(resource_id)
                self._end_webhook(known)

        return self._state.begin(OperationKind.DELETE, known, WAITS, finish)

    def _begin_webhook(self, document: Json, destination: Json) -> None:
        self._end_webhook(document)
        url = (destination.get("properties") or {}).get("endpointUrl")
        if url:
            self._urls[key_of(document["id"])] = url
            for made in self._made:
                made(url, document["properties"]["filter"])

    def _end_webhook(self, document: Json) -> None:
        url = self._urls.pop(key_of(document["id"]), None)
        if url is not None:
            for gone in self._gone:
                gone(url)


def _readable(destination: Json) -> Json:
    """A webhook's URL may hold a secret: ARM answers it up to its query only."""
    facts = dict(destination.get("properties") or {})
    url = facts.pop("endpointUrl", None)
    if url is not None:
        facts["endpointBaseUrl"] = url.partition("?")[0]
    return {"properties": facts, "endpointType": destination["endpointType"]}


def of_scope(resources: Resources, scope: str) -> list[Json]:
    """Those at a scope; of a subscription also those of what it holds."""
    inside = key_of(scope) + "/"
    found = [doc for doc in resources.of_type(EVENT_SUBSCRIPTION) if key_of(doc["id"]).startswith(inside)]
    if len(scope.split("/")) == 3:
        return found
    return [doc for doc in found if key_of(doc["id"]).rpartition("/providers/")[0] == key_of(scope)]
