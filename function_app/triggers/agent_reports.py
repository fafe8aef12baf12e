"""POST /api/reports: an agent says that something changed. The one trigger that is acted on within the call.

The report must be signed by the enrolled agent; what it says is a hint all the same: the pass asks the agents itself.
"""

import azure.functions as func

from function_app import wiring
from function_app.triggers.answers import answer, foreseen, outcome_answer, text_body

blueprint = func.Blueprint()


@blueprint.route(route="reports", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def on_report(req: func.HttpRequest) -> func.HttpResponse:
    topology, agent, reason = await wiring.verified_report(text_body(req))
    outcome = await wiring.use_cases().look_at_once(topology, f"report of {agent}: {reason}")
    return answer(outcome_answer(topology, outcome))
