"""Event Grid as a wire format: events about our own writes posted to subscribers, and custom topics that accept events.

Delivery is at least once and unordered, after a validation handshake. Shapes from the Event Grid documentation's
samples; claims and evidence are left out, as no subscriber may rely on them.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from simulator.alerts import iso
from simulator.deliveries import Courier, Delivery, Retry
from simulator.resources import Json, path_of
from simulator.wire import Reply, Request
from simulator.world import World

# Event Grid's documented back-off; it goes on for a day, the simulator stops after the ten-minute step.
RETRY = Retry((10.0, 30.0, 60.0, 300.0, 600.0), lambda status: status in (400, 401, 413))
HANDSHAKE_TRIES = 120
HANDSHAKE_PAUSE_SECONDS = 0.25  # not scaled: the subscriber is a program that is still starting
DATA_VERSION = "2"
BATCH_TYPES = ("application/cloudevents-batch+json", "application/cloudevents+json", "application/json")


@dataclass(slots=True)
class Subscriber:
    url: str
    validated: asyncio.Event
    failure: str | None = None
    wanted: Json = field(default_factory=dict)
    """The filter of an event subscription; without one, everything."""

    def wants(self, event: Json) -> bool:
        types = self.wanted.get("includedEventTypes")
        subject = str(event["subject"]).lower()
        return (
            (not types or event["eventType"] in types)
            and subject.startswith(str(self.wanted.get("subjectBeginsWith", "")).lower())
            and subject.endswith(str(self.wanted.get("subjectEndsWith", "")).lower())
        )


class EventGrid:
    def __init__(self, world: World, courier: Courier, urls: tuple[str, ...]) -> None:
        self._world = world
        self._courier = courier
        self._urls = urls
        self.subscribers: list[Subscriber] = []
        self.deliveries: list[Delivery] = []
        self.topics: dict[str, list[Json]] = {}

    def start(self) -> None:
        self._world.state.subscribers.append(self._on_change)
        self._world.event_subscriptions.watch(self.subscribe, self.unsubscribe)
        for url in self._urls:
            self.subscribe(url)

    def subscribe(self, url: str, wanted: Json | None = None) -> None:
        subscriber = Subscriber(url, asyncio.Event(), wanted=wanted or {})
        self.subscribers.append(subscriber)
        self._courier.spawn(self._validate(subscriber))

    def unsubscribe(self, url: str) -> None:
        self.subscribers = [subscriber for subscriber in self.subscribers if subscriber.url != url]

    async def _validate(self, subscriber: Subscriber) -> None:
        """The handshake: nothing is delivered to a subscriber that has not echoed its code."""
        code = self._world.state.new_id()
        event = {
            "id": self._world.state.new_id(),
            "topic": "/subscriptions/simulator",
            "subject": "",
            "data": {"validationCode": code, "validationUrl": f"{subscriber.url}#{code}"},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": iso(self._world.now),
            "metadataVersion": "1",
            "dataVersion": DATA_VERSION,
        }
        for _ in range(HANDSHAKE_TRIES):
            delivery = Delivery(subscriber.url, _headers("SubscriptionValidation"), [event])
            await self._courier.carry(delivery, Retry((), lambda _status: True))
            if isinstance(delivery.answer, dict) and delivery.answer.get("validationResponse") == code:
                subscriber.validated.set()
                return
            subscriber.failure = f"handshake: {delivery.attempts[-1]}"
            await asyncio.sleep(HANDSHAKE_PAUSE_SECONDS)

    def _on_change(self, change: Json) -> None:
        event = resource_event(change)
        for subscriber in filter(lambda one: one.wants(event), self.subscribers):
            for _ in range(self._world.state.faults.event_copies):
                self._courier.spawn(self._deliver(subscriber, event))

    async def _deliver(self, subscriber: Subscriber, event: Json) -> None:
        delivery = Delivery(subscriber.url, _headers("Notification"), [event])
        self.deliveries.append(delivery)
        await subscriber.validated.wait()
        await self._courier.carry(delivery, RETRY)

    def accept(self, topic: str, request: Request) -> Reply:
        """POST /topics/{name}/api/events: CloudEvents, one or a batch, kept for reading back."""
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in BATCH_TYPES:
            return _refused(f"content type {kind!r} is not one of {', '.join(BATCH_TYPES)}")
        found = _json(request)
        events = found if isinstance(found, list) else [found]
        for event in events:
            missing = [name for name in ("id", "source", "type", "specversion") if not _has(event, name)]
            if missing:
                return _refused(f"a CloudEvent without {', '.join(missing)}")
        self.topics.setdefault(topic, []).extend(events)
        return Reply(200)


def resource_event(change: Json) -> Json:
    """A Microsoft.Resources event in the Event Grid schema for one change of the world."""
    document = change["resource"]
    path = path_of(document["id"])
    action = f"{path.type}/{change['kind'].lower()}"
    return {
        "subject": document["id"],
        "eventType": f"Microsoft.Resources.Resource{change['kind']}Success",
        "eventTime": iso(change["time"]),
        "id": change["id"],
        "data": {
            "authorization": {
                "scope": document["id"],
                "action": action,
                "evidence": {"role": "Simulator"},
            },
            "claims": {},
            "correlationId": change["id"],
            **({"httpRequest": _http_request(document["id"])} if change["kind"] == "Delete" else {}),
            "resourceProvider": path.namespace,
            "resourceUri": document["id"],
            "operationName": action,
            "status": "Succeeded",
            "subscriptionId": path.subscription,
            "tenantId": "00000000-0000-0000-0000-000000000000",
        },
        "dataVersion": DATA_VERSION,
        "metadataVersion": "1",
        "topic": f"/subscriptions/{path.subscription}",
    }


def _http_request(resource_id: str) -> Json:
    """The documentation's samples have it for a delete and not for a write."""
    return {
        "clientRequestId": "",
        "clientIpAddress": "127.0.0.1",
        "method": "DELETE",
        "url": f"https://management.azure.com{resource_id}",
    }


def _headers(kind: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json; charset=utf-8",
        "aeg-event-type": kind,
        "aeg-subscription-name": "SIMULATOR",
        "aeg-data-version": DATA_VERSION,
        "aeg-metadata-version": "1",
    }


def _json(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except ValueError:
        return None


def _has(event: object, name: str) -> bool:
    return isinstance(event, dict) and bool(event.get(name))


def _refused(why: str) -> Reply:
    return Reply(400, {"error": {"code": "BadRequest", "message": why, "details": []}})
