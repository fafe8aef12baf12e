"""How HTTP functions say what went wrong: the status, one shape, and every reason from the outermost on."""

import json
from datetime import timedelta
from itertools import pairwise

import azure.functions as func
import pytest

from function_app.domain.base.errors import (
    BadInput,
    Changed,
    HopkeeperError,
    NotAuthentic,
    NotNow,
    NotPermitted,
    NotThere,
    Problem,
    Superseded,
    Unavailable,
    Unusable,
)
from function_app.triggers.answers import foreseen


async def said(error: Exception, *causes: Exception) -> func.HttpResponse:
    """What is answered where a handler raises this, from these."""

    @foreseen
    async def fails(req: func.HttpRequest) -> func.HttpResponse:
        chain = [error, *causes]
        for effect, cause in pairwise(chain):
            effect.__cause__ = cause
        raise error

    return await fails(func.HttpRequest("GET", "http://app/api/x", body=b""))


STATUSES = [
    (BadInput.of("$", "is wrong"), 400),
    (NotAuthentic("the key is another one's"), 401),
    (NotPermitted("the role read is missing"), 403),
    (NotThere.of("$.name", "is not there"), 404),
    (NotNow.of("$.services", "retire it first"), 409),
    (Changed("it is another one now"), 412),
    (Superseded("it changed"), 503),
    (Unavailable("no answer"), 503),
    (Unusable("of no use"), 503),
]


@pytest.mark.parametrize(("error", "status"), STATUSES, ids=[type(error).__name__ for error, _ in STATUSES])
async def test_every_error_of_ours_has_its_status_and_the_one_shape(error: HopkeeperError, status: int) -> None:
    answer = await said(error)
    body = json.loads(answer.get_body())
    assert (answer.status_code, answer.headers.get("Retry-After") is not None) == (status, status == 503)
    assert (list(body), list(body["error"])) == (["error", "schema"], ["message", "problems", "causes"])
    assert body["error"]["message"] == str(error)


async def test_causes_are_told_from_the_outermost_on_and_none_twice() -> None:
    """What an error has taken into its own words already is no further cause."""
    error = Unavailable("reading rs-hub: 503 of management.azure.com", timedelta(seconds=2.5))
    answer = await said(error, OSError("503 of management.azure.com"), OSError("reset by peer"), TimeoutError())
    assert json.loads(answer.get_body())["error"]["causes"] == ["reset by peer", "TimeoutError"]
    assert answer.headers["Retry-After"] == "3"


async def test_who_is_not_known_learns_no_cause() -> None:
    answer = await said(NotAuthentic("not signed by an agent that is enrolled"), ValueError("of nva-a"))
    assert json.loads(answer.get_body())["error"]["causes"] == []


async def test_a_fault_of_ours_is_repeated_later_and_its_words_stay_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await said(KeyError("a secret detail"))
    assert (answer.status_code, b"secret" in answer.get_body()) == (503, False)
    assert "a secret detail" in caplog.text


async def test_of_several_faults_the_message_has_the_first_and_how_many_more_there_are() -> None:
    faults = (Problem("$.a", "is missing", 3), Problem("$.b", "is missing"))
    error = json.loads((await said(BadInput(faults))).get_body())["error"]
    assert error["message"] == "$.a: is missing (and 1 more)"
    assert error["problems"] == [
        {"path": "$.a", "rule": "is missing", "line": 3},
        {"path": "$.b", "rule": "is missing"},
    ]
