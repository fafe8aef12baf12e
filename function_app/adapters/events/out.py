"""Events published as CloudEvents on an Event Grid topic. No decision depends on one arriving."""

import importlib
from types import ModuleType
from typing import Any, ClassVar, cast

import msgspec

from function_app.adapters.arm.client import Azure, Closable, calling
from function_app.reconcile.documents.event import Event

EVENTS_SDK = "azure.eventgrid.aio"
MESSAGING = "azure.core.messaging"


class EventsOverEventGrid:
    publishes: ClassVar[bool] = True

    def __init__(self, azure: Azure, endpoint: str) -> None:
        """`endpoint` is the topic's: `https://{topic}.{region}-1.eventgrid.azure.net/api/events`."""
        self._azure = azure
        self._endpoint = endpoint

    async def publish(self, event: Event) -> None:
        """One CloudEvent: source `/hopkeeper/{topology}`, type `Hopkeeper.{kind}`, id and time the event's. The data is the
        event. Raises Unavailable."""
        async with calling(f"publishing {event.kind} of {event.topology}", self._azure.cloud.timeout):
            client = await self._azure.client(EVENTS_SDK, self._endpoint, self._make)
            made = importlib.import_module(MESSAGING).CloudEvent(
                id=event.id,
                time=event.at,
                source=f"/hopkeeper/{event.topology}",
                type=f"Hopkeeper.{event.kind}",
                subject=event.subject,
                data=msgspec.json.decode(msgspec.json.encode(event)),
            )
            await client.send(made)

    def _make(self, sdk: ModuleType, credential: Any) -> Closable:
        return cast(Closable, sdk.EventGridPublisherClient(self._endpoint, credential, **self._azure.options))


class EventsUnpublished:
    """Where no topic is configured: nothing is published."""

    publishes: ClassVar[bool] = False

    async def publish(self, event: Event) -> None:
        return None
