"""POST /api/reports: an agent reports that something changed. The one trigger that is acted on within the call.

The report must be signed by the enrolled agent; it is a hint all the same: the pass reads the agents' statuses itself.
"""

import azure.functions as func

from function_app import wiring
from function_app.reconcile.documents.outcome import OutcomeAnswer, outcome_document
from function_app.triggers.answers import answer
from function_app.triggers.caller import AppRole
from function_app.triggers.requests import Parameters, text_body
from function_app.triggers.surface import Call, Endpoint, Surface

blueprint = Surface()


@blueprint.serves(
    Endpoint(
        "POST", route="reports", role=AppRole.REPORT, gives=OutcomeAnswer, query=Parameters, takes="application/jose"
    ),
)
async def on_report(call: Call[Parameters]) -> func.HttpResponse:
    """An agent's signed report that something changed."""
    reported = await wiring.use_cases().report(text_body(call.request))
    return answer(outcome_document(reported.topology, reported.outcome))
