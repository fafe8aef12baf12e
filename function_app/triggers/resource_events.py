"""Event Grid: something was written in Azure. Wakes the topologies that name the resource; changes nothing itself.

Nothing that an event says makes this fail, whatever its shape: a failure is answered 500, and Event Grid repeats the whole
batch. What still fails is storage, where repeating is right.
"""

import logging

import azure.functions as func

from function_app import wiring
from function_app.triggers.limit import bounded

blueprint = func.Blueprint()
log = logging.getLogger("hopkeeper.trigger")


@blueprint.event_grid_trigger(arg_name="event")
@bounded
async def on_resource_event(event: func.EventGridEvent) -> None:
    """Its subject, and every resource that stands in its data: `resourceUri`, `authorization.scope`, of resource health."""
    woken = await wiring.use_cases().wake_for([event.subject, event.get_json()])
    log.info("resource event woke %s", woken or "no topology", extra={"woken": list(woken)})
