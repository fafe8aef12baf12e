"""What the platform would end, unannounced or without a word, ends or is refused here before, with what to do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from function_app.domain.base.errors import BadInput
from function_app.reconcile.deployed import FUNCTIONS
from function_app.triggers.answers import foreseen
from function_app.triggers.limit import LIMIT, Overran, bounded
from function_app.triggers.requests import NO_LENGTH, json_body, text_body
from tests.entrypoint.entering import REPOSITORY
from tests.entrypoint.test_host_queue_listener import on_virtual_time
from tests.functions import functions
from tools.functions_host.http_functions import ANSWER_WITHIN
from tools.functions_host.settings import host_json, time_span

HOST_JSON = json.loads((REPOSITORY / "host.json").read_text())


async def never(*_: Any) -> Any:
    await asyncio.Event().wait()


def after[T](handler: Callable[[], Awaitable[T]]) -> tuple[T | Overran, float]:
    """What it gave or raised, and the seconds until then, on a virtual clock."""

    async def story() -> tuple[T | Overran, float]:
        try:
            given: T | Overran = await handler()
        except Overran as overran:
            given = overran
        return given, asyncio.get_running_loop().time()

    return on_virtual_time(story)


def test_a_pass_that_never_ends_is_cut_off_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    given, seconds = after(bounded(never))
    assert (type(given), seconds) == (Overran, LIMIT.total_seconds())
    assert "never did not end within 200 s and was cut off" in caplog.text


def test_a_call_that_never_ends_is_answered_503_to_be_repeated() -> None:
    request = func.HttpRequest("POST", "http://app/api/reconcile", body=b"")
    answer, seconds = after(lambda: foreseen(never)(request))
    assert isinstance(answer, func.HttpResponse)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert b"cut off" in answer.get_body()
    assert seconds < ANSWER_WITHIN.total_seconds()


def test_a_timeout_of_the_works_own_is_not_taken_for_the_limit() -> None:
    async def fails() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        after(bounded(fails))


def test_no_function_of_the_app_is_without_a_limit() -> None:
    assert set(functions()) == set(FUNCTIONS)
    limits = {name: getattr(one.get_user_function(), "limit", None) for name, one in functions().items()}
    assert [name for name, limit in limits.items() if limit != LIMIT] == []


def test_the_limit_is_far_below_what_kills_the_worker_and_below_what_answers_for_it() -> None:
    timeout = time_span(HOST_JSON["functionTimeout"])
    assert LIMIT * 2 <= timeout == host_json(REPOSITORY / "host.json", {}).function_timeout
    assert LIMIT + timedelta(seconds=20) <= ANSWER_WITHIN


@pytest.mark.parametrize("category", ["Host.Startup", "Host.General", "Host.Results", "Function"])
def test_an_app_without_functions_and_a_failed_start_are_in_the_log(category: str) -> None:
    assert HOST_JSON["logging"]["logLevel"][category] == "Information"


@pytest.mark.parametrize("read", [text_body, json_body, lambda request: json_body(request, empty="{}")])
def test_a_body_that_came_without_a_length_is_refused_and_not_taken_for_an_empty_one(
    read: Callable[[func.HttpRequest], Any],
) -> None:
    request = func.HttpRequest("POST", "http://app/api/x", headers={"Transfer-Encoding": "chunked"}, body=b"")
    with pytest.raises(BadInput) as refused:
        read(request)
    assert refused.value.problems[0].rule == NO_LENGTH


def test_no_body_at_all_is_an_order_without_words() -> None:
    assert json_body(func.HttpRequest("POST", "http://app/api/x", body=b""), empty="{}") == {}


@pytest.mark.parametrize(
    "body",
    [
        rb'{"\ud800": 1}',
        rb'{"by": "a\udfffb"}',
        rb'{"by": "\udc00\ud800"}',
        rb'{"to": ["\ud800"]}',
        b'{"minutes": NaN}',
        b'{"minutes": 5, "minutes": 600}',
        b'{"a": [{"b": 1, "b": 1}]}',
    ],
)
async def test_what_no_json_can_hold_is_a_bad_body_and_not_a_fault(body: bytes) -> None:
    """A surrogate without its other half is in no UTF-8: the answer could not repeat it, no document could store it."""

    @foreseen
    async def order(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(str(json_body(req)))

    response = await order(func.HttpRequest("POST", "http://app/api/x", body=body))
    assert response.status_code == 400
    assert json.loads(response.get_body())["error"]["problems"][0]["rule"].startswith("the body is not JSON: ")


def test_a_character_beyond_the_first_plane_is_read_also_where_json_escapes_both_halves() -> None:
    request = func.HttpRequest("POST", "http://app/api/x", body=rb'{"by": "\ud83d\ude00"}')
    assert json_body(request) == {"by": "\N{GRINNING FACE}"}
