"""POST /api/alerts: Azure Monitor's webhooks, in the common alert schema and in the older metric schema.

An alert alone decides nothing: it wakes the topologies whose resources it names (safety.md section 4, last row).
"""

from typing import Any

import azure.functions as func

from function_app import wiring
from function_app.domain.errors import BadInput, Problem
from function_app.triggers.answers import answer, foreseen, json_body

blueprint = func.Blueprint()


@blueprint.route(route="alerts", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@foreseen
async def on_alert(req: func.HttpRequest) -> func.HttpResponse:
    woken = await wiring.use_cases().wake_for(targets(json_body(req)))
    return answer({"woken": list(woken)}, 202)


def targets(alert: Any) -> tuple[str, ...]:
    """The resource ids an alert is about. Raises BadInput for what is neither schema; test payloads may name none."""
    if not isinstance(alert, dict):
        raise _bad("$", "an alert is a JSON object")
    data = alert.get("data")
    match alert.get("schemaId"):
        case "azureMonitorCommonAlertSchema":
            named = _object(_object(data, "$.data").get("essentials"), "$.data.essentials").get("alertTargetIDs")
            where = "$.data.essentials.alertTargetIDs"
        case "AzureMonitorMetricAlert" | "AzureMonitorMetricAlertV2":
            context = _object(_object(data, "$.data").get("context"), "$.data.context")
            named, where = [context.get("resourceId")], "$.data.context.resourceId"
        case None:
            raise _bad("$.schemaId", "is missing: neither the common alert schema nor the metric alert schema")
        case other:
            raise _bad("$.schemaId", f"{other!r} is neither the common alert schema nor the metric alert schema")
    if named is None:
        return ()
    if not isinstance(named, list) or not all(isinstance(target, str) for target in named):
        raise _bad(where, "must name resource ids")
    return tuple(named)


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(path, "must be a JSON object")
    return value


def _bad(path: str, rule: str) -> BadInput:
    return BadInput((Problem(path, rule),))
