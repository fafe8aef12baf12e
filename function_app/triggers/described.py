"""GET /api/openapi.json: every endpoint, with what it takes and gives."""

from functools import cache
from typing import Any

import azure.functions as func

from function_app.triggers import agent_reports, changing, health_alerts, operator, reading
from function_app.triggers.answers import answer
from function_app.triggers.caller import AppRole
from function_app.triggers.openapi import description
from function_app.triggers.requests import Parameters
from function_app.triggers.surface import Call, Endpoint, Surface

blueprint = Surface()
SURFACES = (
    agent_reports.blueprint,
    health_alerts.blueprint,
    operator.blueprint,
    reading.blueprint,
    changing.blueprint,
    blueprint,
)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document; `contracts/openapi.json` is the same."""
    return description(each for surface in SURFACES for each in surface.served)


@blueprint.serves(Endpoint("GET", route="openapi.json", role=AppRole.READ, gives=dict[str, Any], query=Parameters))
async def openapi(call: Call[Parameters]) -> func.HttpResponse:
    """This document."""
    return answer(document())
