"""The sample app's Event Grid triggers, as a blueprint: one for each schema's type."""

import sys
from typing import Any

import azure.functions as func

blueprint = func.Blueprint()


def _note(entry: dict[str, Any]) -> None:
    # The journal is the app's; importing it back at load time would be a circle.
    sys.modules["sample_app"].journal.append(entry)


@blueprint.event_grid_trigger(arg_name="event")
def on_event(event: func.EventGridEvent) -> None:
    _note({"function": "on_event", "type": type(event).__name__, "id": event.id, "data": event.get_json()})
    if event.subject == "fail":
        raise RuntimeError("event refused")


@blueprint.event_grid_trigger(arg_name="event")
async def on_cloud_event(event: func.CloudEvent) -> None:
    _note({"function": "on_cloud_event", "type": type(event).__name__, "id": event.id, "source": event.source})
