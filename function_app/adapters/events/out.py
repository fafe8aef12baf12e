"""Happenings published as CloudEvents on an Event Grid topic. No decision depends on one arriving."""

import importlib
import json
from types import ModuleType
from typing import Any, cast

from function_app.adapters.arm.client import Azure, Closable, calling
from function_app.reconcile.ports import Happening

EVENTS_SDK = "azure.eventgrid.aio"
MESSAGING = "azure.core.messaging"


class EventsOverEventGrid:
    def __init__(self, azure: Azure, endpoint: str) -> None:
        """`endpoint` is the topic's: `https://{topic}.{region}-1.eventgrid.azure.net/api/events`."""
        self._azure = azure
        self._endpoint = endpoint

    async def publish(self, happening: Happening) -> None:
        """One CloudEvent: source `/hopkeeper/{topology}`, type `Hopkeeper.{kind}`, subject the service, or else the topology.

        Values of `data` that JSON has no form for are written as their text. Raises Unavailable.
        """
        async with calling(f"publishing {happening.kind} of {happening.topology}", self._azure.cloud.timeout):
            client = await self._azure.client(EVENTS_SDK, self._endpoint, self._make)
            event = importlib.import_module(MESSAGING).CloudEvent(
                source=f"/hopkeeper/{happening.topology}",
                type=f"Hopkeeper.{happening.kind}",
                subject=happening.service or happening.topology,
                data=json.loads(json.dumps(dict(happening.data), default=str)),
            )
            await client.send(event)

    def _make(self, sdk: ModuleType, credential: Any) -> Closable:
        return cast(Closable, sdk.EventGridPublisherClient(self._endpoint, credential, **self._azure.cloud.options))


class EventsUnpublished:
    """Where no topic is configured: nothing is published."""

    async def publish(self, happening: Happening) -> None:
        return None
