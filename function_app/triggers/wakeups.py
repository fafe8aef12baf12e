"""The queue: a slow pass over one topology, woken by an event, an alert, the sweep, or a pass that has more to do."""

import logging

import azure.functions as func
import msgspec

from function_app import wiring
from function_app.domain.base.errors import BadInput
from function_app.triggers.limit import bounded

blueprint = func.Blueprint()
log = logging.getLogger("hopkeeper.trigger")


@blueprint.queue_trigger(arg_name="message", queue_name=wiring.WAKE_UP_QUEUE, connection="AzureWebJobsStorage")
@bounded
async def on_wakeup(message: func.QueueMessage) -> None:
    """A wake-up for a topology that is gone or unusable is dropped: the status says why, repeating it would not help."""
    topology = _topology(message.get_body())
    if topology is None:
        log.warning("a wake-up that names no topology was dropped")
        return
    try:
        await wiring.use_cases().look(topology, "wake-up")
    except BadInput as error:
        log.warning("a wake-up was dropped: %s", error)


def _topology(body: bytes) -> str | None:
    try:
        message = msgspec.json.decode(body)
    except ValueError:
        return None
    name = message.get("topology") if isinstance(message, dict) else None
    return name if isinstance(name, str) else None
