"""What operators do by hand: reconcile (or only plan it), give an order for a service, and read the status.

Each function has a key of its own: give the one of `order` only to those who may move traffic.
"""

import azure.functions as func

from function_app import wiring
from function_app.domain.base.errors import BadInput
from function_app.reconcile.documents.outcome import Outcomes
from function_app.reconcile.documents.plan import Plans
from function_app.reconcile.documents.status import Status
from function_app.triggers.answers import answer, foreseen, json_body, order_status, outcome_answer, take_only
from function_app.views.status import overview_lines, status_lines

blueprint = func.Blueprint()


@blueprint.route(route="reconcile/{topology?}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def reconcile(req: func.HttpRequest) -> func.HttpResponse:
    take_only(req, "dry_run")
    use_cases = wiring.use_cases()
    name = req.route_params.get("topology")
    names = (name,) if name else await use_cases.topologies.names()
    if _dry_run(req):
        plans = [await use_cases.plan(each) for each in names]
        return answer(plans[0] if name else Plans(plans=tuple(plans)))
    outcomes = [outcome_answer(each, await use_cases.look(each, "by hand")) for each in names]
    return answer(outcomes[0] if name else Outcomes(outcomes=tuple(outcomes)))


@blueprint.route(
    route="topologies/{topology}/services/{service}/{verb}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION
)
@foreseen
async def order(req: func.HttpRequest) -> func.HttpResponse:
    """One verb for one service: 200 with `accepted` where it was taken, 409 with `refused` and the reason where not."""
    take_only(req)
    topology, service = req.route_params["topology"], req.route_params["service"]
    said = json_body(req, empty="{}")
    outcome = await wiring.use_cases().order(topology, service, req.route_params["verb"], said)
    return answer(outcome_answer(topology, outcome), order_status(outcome))


@blueprint.route(route="status/{topology?}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def status(req: func.HttpRequest) -> func.HttpResponse:
    """JSON, or the lines of the command line where text is preferred: `Accept: text/plain`."""
    take_only(req)
    name, use_cases = req.route_params.get("topology"), wiring.use_cases()
    found = await use_cases.status(name) if name else await use_cases.overview()
    if "text/plain" not in req.headers.get("accept", ""):
        return answer(found)
    lines = status_lines(found) if isinstance(found, Status) else overview_lines(found)
    return func.HttpResponse("\n".join((*lines, "")), mimetype="text/plain")


def _dry_run(req: func.HttpRequest) -> bool:
    value = req.params.get("dry_run", "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise BadInput.of("?dry_run", f"must be true or false, is {value!r}")
    return value in ("true", "1")
