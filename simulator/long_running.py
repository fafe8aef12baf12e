"""Long-running operations on the wire: the headers that let a client follow one, and the answers to its polls.

Each provider has its own manner. Network and groups: from recordings (azure-powershell RouteServerTests, azure-cli
test_resource_group). Compute: index id 33961189227. Event Grid: cloud-custodian AzureEventSubscriptionsTest.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from simulator.resources import Json
from simulator.state import ArmError, Operation, OperationKind, OperationStatus
from simulator.wire import NO_BODY, Reply, Request, retry_headers
from simulator.world import World

OPERATION = re.compile(
    r"/subscriptions/[^/]+(?:/providers/[^/]+(?:/locations/[^/]+)?)?/(operations|operationresults|operationsstatus)/([^/]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Manner:
    """URLs below the subscription. Without `status` there is only a result to poll."""

    status: str
    result: str
    follows_actions: bool = False  # an action has Azure-AsyncOperation as well as Location


MANNERS = {
    "microsoft.compute": Manner(
        "/providers/Microsoft.Compute/locations/{location}/operations/{id}?",
        "/providers/Microsoft.Compute/locations/{location}/operations/{id}?monitor=true&",
        follows_actions=True,
    ),
    "microsoft.eventgrid": Manner(
        "/providers/Microsoft.EventGrid/operationsStatus/{id}?", "/providers/Microsoft.EventGrid/operationResults/{id}?"
    ),
    "microsoft.resources": Manner("", "/operationresults/{id}?"),
}
NETWORK = Manner(
    "/providers/Microsoft.Network/locations/{location}/operations/{id}?",
    "/providers/Microsoft.Network/locations/{location}/operationResults/{id}?",
)

UNNOTIFIED = re.compile("/virtualhubs/[^/]+/ipconfigurations/")  # recorded without Azure-AsyncNotification
UNSAID_SECONDS = 30.0  # azure.mgmt.core.polling.arm_polling.ARMPolling's default


def accepted(world: World, request: Request, operation: Operation, reply: Reply) -> Reply:
    """`reply` with the headers that let a client follow the operation."""
    manner = _manner(operation)
    if manner.status and (operation.kind is not OperationKind.ACTION or manner.follows_actions):
        reply.headers["Azure-AsyncOperation"] = _url(request, operation, manner.status)
        reply.headers |= _notified(operation)
    if operation.kind is not OperationKind.WRITE:
        reply.headers["Location"] = _url(request, operation, manner.result)
    reply.headers["x-ms-request-id"] = operation.id
    return _with_wait(world, operation, reply)


def written(world: World, request: Request, outcome: tuple[Json, bool, Operation | None]) -> Reply:
    """The reply to a PUT: (document, whether it is new, the operation if one was started)."""
    document, created, operation = outcome
    reply = Reply(201 if created else 200, document)
    return reply if operation is None else accepted(world, request, operation, reply)


def deleted(world: World, request: Request, operation: Operation | None) -> Reply:
    """The reply to a DELETE; without an operation there was nothing."""
    return Reply(204) if operation is None else accepted(world, request, operation, Reply(202))


def poll(world: World, request: Request, kind: str, operation_id: str) -> Reply:
    """Raises ArmError."""
    operation = world.state.operations.get(operation_id)
    if operation is None:
        raise ArmError(404, "OperationNotFound", f"The operation with id {operation_id} is not found.")
    if kind == "operationresults" or "monitor" in request.query:
        return _poll_result(world, request, operation)
    return _poll_status(world, request, operation)


def _poll_status(world: World, request: Request, operation: Operation) -> Reply:
    reply = Reply(200, {"status": operation.status.value})
    match _namespace(operation):
        case "microsoft.compute":
            ended = {} if operation.ended is None else {"endTime": _iso(operation.ended)}
            reply.body = {"startTime": _iso(operation.started), **ended, **reply.body, "name": operation.id}
        case "microsoft.eventgrid":
            url = _url(request, operation, _manner(operation).status)
            reply.body = {"id": url, "name": operation.id, **reply.body}
    if operation.status is OperationStatus.IN_PROGRESS:
        return _with_wait(world, operation, reply)
    if operation.error is not None:
        error = operation.error
        reply.body["error"] = {"code": error.code, "message": error.message, "details": []}
    return reply


def _poll_result(world: World, request: Request, operation: Operation) -> Reply:
    manner = _manner(operation)
    headers = {"Location": _url(request, operation, manner.result), "x-ms-request-id": operation.id}
    if manner.status and operation.kind is not OperationKind.ACTION:
        headers["Azure-AsyncOperation"] = _url(request, operation, manner.status)
        headers |= _notified(operation)
    if operation.status is OperationStatus.IN_PROGRESS:
        return _with_wait(world, operation, Reply(202, None if manner is NETWORK else NO_BODY, headers))
    if operation.error is not None:
        raise operation.error
    if manner is NETWORK:
        gone = operation.kind is OperationKind.DELETE
        return Reply(204, headers=headers) if gone else Reply(200, operation.result, headers)
    return Reply(200, NO_BODY if operation.result is None else operation.result)


def _notified(operation: Operation) -> dict[str, str]:
    is_notified = _manner(operation) is NETWORK and not UNNOTIFIED.search(operation.target)
    return {"Azure-AsyncNotification": "Enabled"} if is_notified else {}


def _with_wait(world: World, operation: Operation, reply: Reply) -> Reply:
    if operation.waits:
        reply.headers |= retry_headers(operation.wait_at(world.now), world.state.pace)
    elif world.state.pace.factor != 1:
        # Without Retry-After clients wait half a minute, which is Azure's half minute here too.
        reply.headers |= retry_headers(world.state.pace.scaled(UNSAID_SECONDS), world.state.pace)
    return reply


def _namespace(operation: Operation) -> str:
    """Of the provider that carries the operation out: the last one that the target names; a group has none."""
    return operation.target.rpartition("/providers/")[2].partition("/")[0] if "/providers/" in operation.target else ""


def _manner(operation: Operation) -> Manner:
    return MANNERS.get(_namespace(operation) or "microsoft.resources", NETWORK)


def _url(request: Request, operation: Operation, form: str) -> str:
    """On the host that the client used, with the api-version that it used."""
    base = f"{request.base_url}/subscriptions/{operation.target.split('/')[2]}"
    version = request.query.get("api-version", "2025-05-01")
    return f"{base}{form.format(location=operation.location, id=operation.id)}api-version={version}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
