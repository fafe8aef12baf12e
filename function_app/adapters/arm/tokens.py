"""Tokens of ARM's long-running operations: one pass starts an operation, a later one fetches its answer.

A token contains the SDK's continuation token and is untrusted when it is read from storage: no request goes to a host other
than ARM's. What is requested, and what the answer means, is for the adapters that use it.
"""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.polling.base_polling import BadResponse, BadStatus

from function_app.adapters.arm.document import Json
from function_app.domain.base.errors import BadInput, Unusable

TOKEN_MAX = 1 << 20  # characters; one has about 3,000, and more only if ARM answered with the routes at once
URL_HEADERS = ("location", "azure-asyncoperation", "operation-location")

type Begin = Callable[[Json], Awaitable[Any]]
"""Resumes an operation: the SDK's begin method, called with these options."""


@dataclass(frozen=True, slots=True)
class OperationToken:
    """What a token contains: resource id, child (a peering's name, or empty), the SDK's token, whether it is done."""

    resource: str
    child: str
    sdk: str
    done: bool


def token_of(resource: str, child: str, poller: Any) -> str:
    """An opaque token for an operation that has just begun."""
    operation = OperationToken(resource, child, poller.continuation_token(), poller.polling_method().finished())
    return base64.urlsafe_b64encode(json.dumps(asdict(operation)).encode()).decode()


def operation_of(token: str, endpoint: str) -> OperationToken:
    """The operation of a token. Raises BadInput: forged, broken, or with a URL that is not of our ARM endpoint."""
    try:
        data = json.loads(base64.urlsafe_b64decode(token)) if len(token) <= TOKEN_MAX else None
    except ValueError as error:
        raise _invalid("it cannot be decoded") from error
    match data:
        case {"resource": str(resource), "child": str(child), "sdk": str(sdk), "done": bool(done)}:
            _refuse_foreign(sdk, endpoint)
            return OperationToken(resource, child, sdk, done)
    raise _invalid("it does not hold resource, child, sdk and done")


async def answer_of(operation: OperationToken, begin: Begin) -> object | None:
    """The operation's answer as ARM sent it, None while it is running; at most one poll and one read.

    Raises BadInput where ARM does not know the operation any more (start it again), Unusable where it has ended without a
    usable answer, and azure-core's errors.
    """
    answers: list[Any] = []
    options = {"continuation_token": operation.sdk, "cls": _body, "raw_response_hook": answers.append}
    try:
        poller = await begin(options)
        await poller.polling_method().update_status()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _invalid("the SDK cannot take it up again") from error
    except (BadStatus, BadResponse) as error:  # neither an AzureError nor with the answer, which the hook has
        refused = HttpResponseError(response=answers[-1].http_response)
        if refused.status_code in (404, 410):
            raise _invalid("ARM does not know the operation any more") from error
        raise refused from error
    except HttpResponseError as error:
        raise _ended(error) from error
    if not poller.polling_method().finished():
        return None
    try:
        body: object = await poller.result()
    except ValueError as error:
        raise Unusable(f"the answer cannot be read: {error or type(error).__name__}") from error
    except HttpResponseError as error:
        raise _ended(error) from error
    if body is None:
        raise Unusable("the answer is empty")
    return body


def _ended(error: HttpResponseError) -> HttpResponseError | Unusable:
    """A 2xx answer that is no JSON, or reports a failed operation, is final; a refused request may succeed later."""
    if error.status_code is None or error.status_code >= 400:
        return error
    return Unusable(f"the answer is of no use: {error.message}")


def immediate_answer_of(operation: OperationToken) -> object:
    """The answer, where ARM gave it with the first response (`done`). Raises Unusable, or BadInput for a broken token."""
    try:
        return json.loads(base64.b64decode(_data(operation.sdk)["response"]["content"]))
    except ValueError as error:
        raise Unusable(f"the answer is no JSON: {error}") from error


def _invalid(why: str) -> BadInput:
    return BadInput.of("token", why)


def _body(response: object, _model: object, _headers: object) -> object:
    """The body as ARM sent it: the SDK's own models cannot represent ARM's nulls (azure-facts.md section 6)."""
    return response.http_response.json()  # type: ignore[attr-defined]


def _refuse_foreign(token: str, endpoint: str) -> None:
    """Raises BadInput unless every URL in the SDK's token begins with our ARM endpoint, letter for letter."""
    ours = f"{endpoint.rstrip('/')}/".casefold()
    for url in _urls(token):
        if not url.casefold().startswith(ours):
            raise _invalid(f"its URL {url[:80]!r} is not of {endpoint}")


def _urls(token: str) -> list[str]:
    """The URLs that a poller of this token may request: the first request's, and those of the polling headers."""
    data = _data(token)
    headers = {str(name).casefold(): str(value) for name, value in data["response"]["headers"].items()}
    return [str(data["request"]["url"]), *(headers[name] for name in URL_HEADERS if name in headers)]


def _data(token: str) -> Json:
    """What the SDK wrote into its token (base64 of JSON), with the parts that are used here. Raises BadInput."""
    try:
        data = json.loads(base64.b64decode(token))["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise _invalid("what the SDK wrote into it cannot be read") from error
    match data:
        case {"request": {"url": str()}, "response": {"headers": dict(), "content": str()}}:
            return dict(data)
    raise _invalid("what the SDK wrote into it is not what it writes")
