"""Event Grid: something was written in Azure. Wakes the topologies that name the resource; changes nothing itself."""

import logging
from collections.abc import Iterator
from typing import Any

import azure.functions as func

from function_app import wiring
from function_app.triggers.limit import bounded

blueprint = func.Blueprint()
log = logging.getLogger("hopkeeper.trigger")


@blueprint.event_grid_trigger(arg_name="event")
@bounded
async def on_resource_event(event: func.EventGridEvent) -> None:
    woken = await wiring.use_cases().wake_for(resources(event.subject or "", event.get_json()))
    log.info("resource event woke %s", woken or "nobody", extra={"woken": list(woken)})


def resources(subject: str, data: Any) -> tuple[str, ...]:
    """Every resource id that an event names: its subject, `resourceUri`, `scope`, and those of resource health."""
    return tuple(dict.fromkeys(value for value in (subject, *_named(data)) if value.startswith("/subscriptions/")))


def _named(data: Any) -> Iterator[str]:
    if not isinstance(data, dict):
        return
    for key in ("resourceUri", "targetResourceId", "id", "scope"):
        if isinstance(data.get(key), str):
            yield data[key]
    for key in ("resourceInfo", "properties", "authorization"):
        yield from _named(data.get(key))
