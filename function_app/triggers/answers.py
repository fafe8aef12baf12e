"""How HTTP triggers answer: JSON, or lines where text is wanted; a bad body is 400 with what is wrong, a temporary fault 503 with
Retry-After, and every error has one shape (`reconcile.documents.error`).

Never 500 for something foreseen: an action group repeats its webhook on 503, but not on 500 (azure-facts.md section 4).
"""

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import azure.functions as func
import msgspec
from msgspec import UNSET

from function_app.domain.base.errors import (
    BadInput,
    Changed,
    HopkeeperError,
    NotAuthentic,
    NotNow,
    NotPermitted,
    NotThere,
    Problem,
    Transient,
)
from function_app.reconcile.changes import CannotWork
from function_app.reconcile.documents.error import ErrorAnswer, ErrorDetail, Wrong
from function_app.reconcile.documents.findings import preflight_finding
from function_app.reconcile.documents.outcome import outcome_document
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.triggers.limit import bounded
from function_app.triggers.requests import prefers_text

CAUSES_MOST = 8
YAML = "text/yaml"
TEXT = "text/plain"
log = logging.getLogger("hopkeeper.trigger")

type HttpHandler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(
        msgspec.json.encode(body), status_code=status, headers=headers, mimetype="application/json"
    )


def text_answer(lines: Iterable[str]) -> func.HttpResponse:
    return func.HttpResponse("\n".join((*lines, "")), mimetype=TEXT)


def shown(request: func.HttpRequest, document: Any, lines: Callable[[], Iterable[str]]) -> func.HttpResponse:
    """The document, or its lines where text is preferred."""
    return text_answer(lines()) if prefers_text(request) else answer(document)


def order_answer(topology: str, outcome: Outcome) -> func.HttpResponse:
    """409 where it was refused, 200 where it was taken, whatever came of it since."""
    given = outcome_document(topology, outcome)
    if outcome.ending is not Ending.REFUSED:
        return answer(given)
    refused = ErrorDetail(message="the order is refused", problems=(), causes=outcome.reasons)
    return answer(msgspec.structs.replace(given, error=refused), 409)


def foreseen(handler: HttpHandler) -> HttpHandler:
    """Bounds the handler, and turns Hopkeeper's errors into answers. Anything else is a bug: logged with its trace,
    answered 503 to be retried."""

    work = bounded(handler)

    @wraps(work)
    async def answered(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await work(req)
        except HopkeeperError as error:
            return _error_answer(error)
        except Exception:
            log.exception("a trigger failed")
            detail = ErrorDetail(message="an unforeseen fault; the log has it", problems=(), causes=())
            return answer(ErrorAnswer(error=detail), 503, {"Retry-After": "10"})

    return answered


STATUS_OF: tuple[tuple[type[HopkeeperError], int], ...] = (
    (NotThere, 404),
    (NotNow, 409),
    (BadInput, 400),
    (Changed, 412),
    (NotAuthentic, 401),
    (NotPermitted, 403),
    (HopkeeperError, 503),
)
"""The first that an error is."""


def _error_answer(error: HopkeeperError) -> func.HttpResponse:
    code = next(status for kind, status in STATUS_OF if isinstance(error, kind))
    problems = error.problems if isinstance(error, BadInput) else ()
    found = tuple(map(preflight_finding, error.findings)) if isinstance(error, CannotWork) else UNSET
    detail = ErrorDetail(
        message=_message(error, problems),
        findings=found,
        problems=tuple(map(_wrong, problems)),
        causes=() if code == 401 else tuple(_causes(error)),  # who is not known learns no more than that
    )
    headers = {}
    if code == 503:
        wait = error.retry_after.total_seconds() if isinstance(error, Transient) else 10
        headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return answer(ErrorAnswer(error=detail), code, headers)


def _message(error: HopkeeperError, problems: tuple[Problem, ...]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else str(error)


def _wrong(problem: Problem) -> Wrong:
    return Wrong(path=problem.path, rule=problem.rule, line=UNSET if problem.line is None else problem.line)


def _causes(error: BaseException) -> Iterator[str]:
    """Why, each the cause of the one before; what an error has taken into its own words already is not repeated."""
    said, cause = str(error), error.__cause__
    for _ in range(CAUSES_MOST):
        if cause is None:
            return
        text = str(cause) or type(cause).__name__
        if text not in said:
            yield text
        said, cause = text, cause.__cause__
