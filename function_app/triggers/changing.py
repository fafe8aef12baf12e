"""Changes of topologies: what is wanted. Each function has a key of its own: give it only to those who may move traffic, and
make things worse: a key does not tell `anyway` from a change that can work."""

from typing import Annotated

import azure.functions as func
from msgspec import Meta

from function_app import wiring
from function_app.reconcile.documents.topologies import Applied
from function_app.triggers.answers import YAML, answer
from function_app.triggers.caller import AppRole
from function_app.triggers.requests import DOCUMENT_MAX, Parameters, expectation, text_body
from function_app.triggers.surface import Call, Endpoint, Surface

blueprint = Surface()


class ApplyQuery(Parameters, frozen=True):
    """Of a document that is put in force."""

    anyway: Annotated[bool, Meta(description="Also where preflight finds an error in it: `operate-unsafe`.")] = False


@blueprint.serves(
    Endpoint(
        "PUT",
        route="topologies/{topology}",
        role=AppRole.OPERATE,
        gives=Applied,
        query=ApplyQuery,
        takes=YAML,
        refuses=(409, 412),
    )
)
async def apply(call: Call[ApplyQuery]) -> func.HttpResponse:
    """Puts a document in force, whole or not at all."""
    if call.query.anyway:
        call.caller.require(AppRole.OPERATE_UNSAFE, "`anyway` puts a document in force that cannot work")
    text = text_body(call.request, DOCUMENT_MAX)
    given = await wiring.use_cases().put(call.named("topology"), text, expectation(call.request), call.query.anyway)
    return answer(given, headers={"ETag": f'"{given.etag}"'})


class RemoveQuery(Parameters, frozen=True):
    """Of a topology that is taken away."""

    anyway: Annotated[bool, Meta(description="Also where peerings stay behind, or that is not known.")] = False


@blueprint.serves(
    Endpoint(
        "DELETE",
        route="topologies/{topology}",
        role=AppRole.OPERATE_UNSAFE,
        gives=None,
        query=RemoveQuery,
        status=204,
        media="",
        refuses=(404, 409, 412),
    )
)
async def remove(call: Call[RemoveQuery]) -> func.HttpResponse:
    """Takes a topology away, which manages no service any more and leaves no peering behind."""
    await wiring.use_cases().remove(call.named("topology"), expectation(call.request), call.query.anyway)
    return func.HttpResponse(status_code=204)
