"""POST /api/alerts: Azure Monitor's webhooks, in whichever of its schemas.

An alert alone decides nothing: it wakes the topologies whose resources it names (safety.md section 4, last row), so one
rule serves the common schema, the metric, activity log and log search schemas and those to come: what ids it holds.

The sender is no person but an action group, which repeats a webhook on 408, 429, 503 and 504 only (azure-facts.md section 5). So
what is no JSON is logged, named in the answer and accepted, for no person reads a 400, and it is never repeated; and it
wakes for the ids that can be read in it, for a hint is enough.
"""

import logging

import azure.functions as func
from msgspec import UNSET, Struct, UnsetType

from function_app import wiring
from function_app.domain.base.errors import BadInput
from function_app.triggers.answers import answer
from function_app.triggers.caller import AppRole
from function_app.triggers.requests import AnyParameters, json_body, lenient_text
from function_app.triggers.surface import JSON, Call, Endpoint, Surface

BODY_MAX = 1024 * 1024  # log search alerts carry what they found
blueprint = Surface()
log = logging.getLogger("hopkeeper.trigger")


class Woken(Struct, frozen=True, kw_only=True):
    """The topologies that were woken, and what of the alert could not be read, where it could not."""

    woken: tuple[str, ...]
    unread: tuple[str, ...] | UnsetType = UNSET


@blueprint.serves(
    Endpoint("POST", route="alerts", role=AppRole.ALERT, gives=Woken, query=AnyParameters, status=202, takes=JSON)
)
async def on_alert(call: Call[AnyParameters]) -> func.HttpResponse:
    """Wakes every topology that names a resource of an alert."""
    unread: list[str] = []
    try:
        said = json_body(call.request, BODY_MAX)
    except BadInput as error:
        said, unread = lenient_text(call.request, BODY_MAX), [str(problem) for problem in error.problems]
    woken = await wiring.use_cases().wake_for(said)
    if unread:
        log.warning("an alert could not be read, and woke %s: %s", woken or "no topology", "; ".join(unread))
        return answer(Woken(woken=woken, unread=tuple(unread)), 202)
    log.info("alert woke %s", woken or "no topology", extra={"woken": list(woken)})
    return answer(Woken(woken=woken), 202)
