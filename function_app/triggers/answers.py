"""How HTTP triggers answer: JSON always; a bad body is 400 with what is wrong, a temporary fault 503 with Retry-After.

Never 500 for something foreseen: an action group repeats its webhook on 503, but not on 500 (azure-facts.md section 4).
"""

import logging
import math
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import azure.functions as func
import msgspec

from function_app.domain.base.errors import BadInput, NotAuthentic, NotThere, Problem, Transient
from function_app.reconcile.documents.outcome import OutcomeAnswer
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.triggers.limit import bounded

BODY_MAX = 64 * 1024
NO_LENGTH = (
    "the body came in chunks, without a length, and the platform passes none of it on: send it with Content-Length"
)
log = logging.getLogger("hopkeeper.trigger")

type HttpHandler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(
        msgspec.json.encode(body), status_code=status, headers=headers, mimetype="application/json"
    )


def outcome_answer(topology: str, outcome: Outcome) -> OutcomeAnswer:
    return OutcomeAnswer(
        topology=topology,
        outcome=outcome.ending.word,
        reasons=outcome.reasons,
        retry_after_seconds=outcome.retry_after.total_seconds() if outcome.retry_after is not None else None,
    )


def order_status(outcome: Outcome) -> int:
    """The HTTP status of an order: 409 where it was refused, 200 where it was taken, whatever came of it since."""
    return 409 if outcome.ending is Ending.REFUSED else 200


def take_only(request: func.HttpRequest, *parameters: str) -> None:
    """Raises BadInput for any other query parameter: one that is misspelt would act as if it were not there. `code` is the
    function key, `clientId` its name."""
    for name in request.params:
        if name not in (*parameters, "code", "clientId"):
            raise BadInput.of(f"?{name}", f"is none of {', '.join(parameters) or 'any: there are none'}")


def json_body(request: func.HttpRequest, most: int = BODY_MAX, *, empty: str = "") -> Any:
    """The body as JSON, or `empty` where there is none. Raises BadInput for anything else, also for more than `most` bytes.

    What no JSON that we write could hold is refused with it: NaN, and half a surrogate pair, which is in no UTF-8.
    """
    body = text_body(request, most) or empty
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadInput.of("$", f"the body is not JSON: {error}") from error


def text_body(request: func.HttpRequest, most: int = BODY_MAX) -> str:
    """The body as text, without the byte order mark that some clients begin with, and empty where there is none.

    Raises BadInput for one in chunks too: the platform passes on an empty one instead.
    """
    body = request.get_body() or b""
    if not body and "chunked" in request.headers.get("transfer-encoding", "").lower():
        raise BadInput.of("$", NO_LENGTH)
    if len(body) > most:
        raise BadInput.of("$", f"the body has {len(body)} bytes, at most {most} are read")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput.of("$", "the body is not UTF-8") from error


def lenient_text(request: func.HttpRequest, most: int = BODY_MAX) -> str:
    """What can be read of the first `most` bytes of a body that is no JSON: only for hints, never for what is ordered.

    In UTF-16 and UTF-32 too, as far as it is ASCII, as ids are.
    """
    body = (request.get_body() or b"")[:most]
    return body.replace(b"\0", b"").decode("utf-8", "replace")


def _problem(problem: Problem) -> dict[str, str | int]:
    line = {"line": problem.line} if problem.line is not None else {}
    return {"path": problem.path, "rule": problem.rule, **line}


def foreseen(handler: HttpHandler) -> HttpHandler:
    """Bounds the handler, and turns Hopkeeper's errors into answers. Anything else is a bug: logged with its trace,
    answered 503 to be retried."""

    work = bounded(handler)

    @wraps(work)
    async def answered(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await work(req)
        except BadInput as error:
            code = 404 if isinstance(error, NotThere) else 400
            return answer({"error": [_problem(problem) for problem in error.problems]}, code)
        except NotAuthentic as error:
            return answer({"error": str(error)}, 401)
        except Transient as error:
            seconds = max(1, math.ceil(error.retry_after.total_seconds()))
            return answer({"error": str(error)}, 503, {"Retry-After": str(seconds)})
        except Exception:
            log.exception("a trigger failed")
            return answer({"error": "an unforeseen fault; the log has it"}, 503, {"Retry-After": "10"})

    return answered
