"""Azure Scheduled Events: the platform announces that it will interrupt this machine, so that the app can drain it first.

An event is reported and changes nothing by itself: the probe goes on answering until the app has another holder. The agent
never approves an event early, as it does not know when the drain is over.
`decode` is pure; `Lookout` reads the instance metadata service.
Source: learn.microsoft.com, "Azure Metadata Service: Scheduled Events for Linux VMs" (api-version 2020-07-01).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import aiohttp

from hopkeeper_agent.decoding import Text, Url, seconds

log = logging.getLogger(__name__)

PATH = "/metadata/scheduledevents?api-version=2020-07-01"
TIMEOUT_SECONDS = 5.0
"""The first request of a VM may take two minutes, as it turns the service on; later requests then succeed."""

KINDS = {kind: kind.lower() for kind in ("Freeze", "Reboot", "Redeploy", "Preempt", "Terminate")}
EVENT_MAX = 128


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What is about to happen to this machine. `not_before` is None once it has begun."""

    kind: str
    not_before: datetime | None
    event: str

    def __str__(self) -> str:
        when = "under way" if self.not_before is None else f"not before {self.not_before.isoformat()}"
        return f"{self.kind} {when} ({self.event})"


def decode(document: Mapping[str, Any], machine: str) -> Maintenance | None:
    """The first event that affects this machine; None if there is none. Raises ValueError for another shape.

    `machine` is the VM's name in Azure. An event under way comes before all scheduled ones.
    """
    events = document.get("Events")
    if not isinstance(events, list):
        raise ValueError("Events: not a list")
    found = [read for event in events if (read := _event(event, machine)) is not None]
    began = datetime.min.replace(tzinfo=timezone.utc)
    return min(found, key=lambda event: (event.not_before or began, event.event), default=None)


def _event(event: Any, machine: str) -> Maintenance | None:
    if not isinstance(event, dict):
        raise ValueError("Events: not objects")
    kind = KINDS.get(str(event.get("EventType")))
    resources = event.get("Resources")
    is_affected = isinstance(resources, list) and machine in resources
    if kind is None or not is_affected or event.get("EventStatus") not in ("Scheduled", "Started"):
        return None
    # Empty once the event has started.
    text = event.get("NotBefore")
    try:
        not_before = parsedate_to_datetime(str(text)).astimezone(timezone.utc) if text else None
    except OverflowError as error:
        raise ValueError(f"NotBefore: {text} is beyond all calendars") from error
    return Maintenance(kind, not_before, str(event.get("EventId"))[:EVENT_MAX])


@dataclass(frozen=True, slots=True)
class MaintenanceSettings:
    """`machine`: the VM's name in Azure. `url`: the instance metadata service, read every `period_seconds`."""

    machine: Text
    url: Url = "http://169.254.169.254"
    period_seconds: Annotated[float, seconds(0.05, 3600)] = 5.0


class Lookout:
    """Reads the events until it is closed. While they cannot be read the last known event stands: it may still come."""

    def __init__(self, settings: MaintenanceSettings, changed: Callable[[], None]) -> None:
        """`changed` is called when an event appears, changes or is over."""
        self._settings = settings
        self._changed = changed
        self.coming: Maintenance | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _repeat(self) -> None:
        limit = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        # The metadata service refuses what comes through a proxy; aiohttp uses none unless configured to.
        async with aiohttp.ClientSession(timeout=limit, headers={"Metadata": "true"}) as client:
            while True:
                try:
                    before, self.coming = self.coming, await self._read(client)
                    if self.coming != before:
                        log.warning(
                            "maintenance", extra={"before": str(before), "why": f"Azure announces {self.coming}"}
                        )
                        self._changed()
                except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
                    log.warning("scheduled events cannot be read", extra={"why": f"{type(error).__name__}: {error}"})
                await asyncio.sleep(self._settings.period_seconds)

    async def _read(self, client: aiohttp.ClientSession) -> Maintenance | None:
        async with client.get(self._settings.url.rstrip("/") + PATH, allow_redirects=False) as response:
            response.raise_for_status()
            document = await response.json(content_type=None)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        return decode(document, self._settings.machine)
