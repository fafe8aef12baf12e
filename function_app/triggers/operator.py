"""What operators order by hand: reconcile (or only plan it), and a verb for a service.

Each function has a key of its own: give the one of `order` only to those who may move traffic, and make things worse: a key does
not tell one order from another.
"""

from functools import partial
from typing import Annotated

import azure.functions as func
from msgspec import Meta

from function_app import wiring
from function_app.domain.service.orders import VERBS, Order
from function_app.reconcile.documents.outcome import OutcomeAnswer, Outcomes, outcome_document
from function_app.reconcile.documents.plan import Plan, Plans
from function_app.triggers.answers import answer, order_answer
from function_app.triggers.caller import AppRole, Caller
from function_app.triggers.requests import Parameters, json_body
from function_app.triggers.surface import JSON, Call, Endpoint, Surface

blueprint = Surface()


class ReconcileQuery(Parameters, frozen=True):
    """Of a pass by hand."""

    dry_run: Annotated[bool, Meta(description="The plan alone: nothing is done.")] = False


@blueprint.serves(
    Endpoint(
        "POST",
        route="reconcile/{topology?}",
        role=AppRole.OPERATE,
        gives=OutcomeAnswer | Outcomes | Plan | Plans,
        query=ReconcileQuery,
        refuses=(404,),
    )
)
async def reconcile(call: Call[ReconcileQuery]) -> func.HttpResponse:
    """Makes one pass now over a topology, or over all of them."""
    use_cases, name = wiring.use_cases(), call.topology()
    names = (name,) if name else await use_cases.topologies.names()
    if call.query.dry_run:
        plans = [await use_cases.plan(each) for each in names]
        return answer(plans[0] if name else Plans(plans=tuple(plans)))
    outcomes = [outcome_document(each, await use_cases.look(each, "by hand")) for each in names]
    return answer(outcomes[0] if name else Outcomes(outcomes=tuple(outcomes)))


@blueprint.serves(
    Endpoint(
        "POST",
        route="topologies/{topology}/services/{service}/{verb}",
        role=AppRole.OPERATE,
        gives=OutcomeAnswer,
        query=Parameters,
        takes=JSON,
        body=tuple(VERBS.values()),
        refusal=OutcomeAnswer,
        refuses=(404, 409),
    )
)
async def order(call: Call[Parameters]) -> func.HttpResponse:
    """One verb for one service: 200 where it was taken, 409 with `refused` and the reason where not. What can make things
    worse wants `operate-unsafe`."""
    topology, service = call.named("topology"), call.named("service")
    said = json_body(call.request, empty="{}")
    if call.caller.name and isinstance(said, dict):
        said["by"] = call.caller.name  # whoever signed in: what the body says is not needed, and not believed
    outcome = await wiring.use_cases().order(topology, service, call.named("verb"), said, partial(_permit, call.caller))
    return order_answer(topology, outcome)


def _permit(caller: Caller, order: Order) -> None:
    if why := order.unsafe():
        caller.require(AppRole.OPERATE_UNSAFE, why)
