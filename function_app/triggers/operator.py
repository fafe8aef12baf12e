"""What operators ask by hand: reconcile (or only plan it), and the status."""

import azure.functions as func

from function_app import wiring
from function_app.domain.errors import BadInput, Problem
from function_app.triggers.answers import answer, foreseen, outcome_answer

blueprint = func.Blueprint()


@blueprint.route(route="reconcile/{topology?}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def reconcile(req: func.HttpRequest) -> func.HttpResponse:
    use_cases = wiring.use_cases()
    name = req.route_params.get("topology")
    names = (name,) if name else await use_cases.topologies.names()
    if _dry_run(req):
        plans = [await use_cases.plan(each) for each in names]
        return answer(plans[0] if name else {"plans": plans})
    outcomes = [outcome_answer(each, await use_cases.look(each, "by hand")) for each in names]
    return answer(outcomes[0] if name else {"outcomes": outcomes})


@blueprint.route(route="status/{topology?}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def status(req: func.HttpRequest) -> func.HttpResponse:
    name = req.route_params.get("topology")
    return answer(await wiring.status(name))


def _dry_run(req: func.HttpRequest) -> bool:
    value = req.params.get("dry_run", "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise BadInput((Problem("?dry_run", f"must be true or false, is {value!r}"),))
    return value in ("true", "1")
