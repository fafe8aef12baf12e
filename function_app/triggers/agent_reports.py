"""POST /api/reports: an agent reports that something changed. The one trigger that is acted on within the call.

The report must be signed by the enrolled agent; it is a hint all the same: the pass reads the agents' statuses itself.
"""

import azure.functions as func

from function_app import wiring
from function_app.triggers.answers import answer, foreseen, outcome_answer, text_body

blueprint = func.Blueprint()


@blueprint.route(route="reports", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def on_report(req: func.HttpRequest) -> func.HttpResponse:
    reported = await wiring.use_cases().report(text_body(req))
    return answer(outcome_answer(reported.topology, reported.outcome))
