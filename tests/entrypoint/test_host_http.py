"""HTTP triggers of the lab's host: routes, keys, translation to and from the worker, concurrency."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import aiohttp
import pytest
from yarl import URL

from tests.entrypoint.apps.serving import SAMPLE, RunningHost, serving


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with serving(SAMPLE, tmp_path_factory.mktemp("http")) as running:
        yield running


async def test_an_optional_segment_may_be_there_or_not(host: RunningHost) -> None:
    assert (await host.ask("GET", "/api/hello")).json()["route"] == {}
    assert (await host.ask("GET", "/api/hello/")).json()["route"] == {}
    assert (await host.ask("GET", "/api/hello/world")).json()["route"] == {"name": "world"}


async def test_a_path_with_more_segments_than_the_route_is_404(host: RunningHost) -> None:
    assert (await host.ask("GET", "/api/hello/world/again")).status == 404


async def test_route_values_are_percent_decoded_but_for_a_slash(host: RunningHost) -> None:
    url = URL(f"{host.url}/api/hello/a%20b%2Fc%FF", encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (await answer.json())["route"] == {"name": "a b%2Fc%FF"}


async def test_a_body_without_a_length_does_not_reach_the_function(host: RunningHost) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"of unknown length"

    answer = await host.ask("POST", "/api/echo", data=chunks())
    assert (answer.status, answer.body) == (200, b"")


async def test_a_doubled_slash_is_404(host: RunningHost) -> None:
    assert (await host.ask("GET", "/api/hello/")).status == 200
    for path in ("/api/hello//", "/api//hello", "//api/hello"):
        assert (await host.ask("GET", path)).status == 404, path


async def test_the_root_answers_200_whatever_the_app_does(host: RunningHost) -> None:
    assert (await host.ask("GET", "/")).status == 200


async def test_a_constrained_route_wins_over_a_catch_all_when_it_matches(host: RunningHost) -> None:
    assert (await host.ask("GET", "/api/items/12")).json() == {"function": "item", "id": "12"}
    assert (await host.ask("GET", "/api/items/x/y")).json() == {"function": "items", "rest": "x/y"}


async def test_header_names_reach_the_function_in_lower_case(host: RunningHost) -> None:
    headers = (await host.ask("GET", "/api/hello", headers={"X-Some-Header": "Value"})).json()["headers"]
    assert headers["x-some-header"] == "Value"
    assert all(name == name.lower() for name in headers)


async def test_several_values_of_a_query_name_are_joined_and_empty_ones_left_out(host: RunningHost) -> None:
    assert (await host.ask("GET", "/api/hello?a=1&a=2&b=&c=%26")).json()["query"] == {"a": "1,2", "c": "&"}


async def test_the_function_sees_the_whole_url_and_an_empty_body(host: RunningHost) -> None:
    seen = (await host.ask("GET", "/api/hello/w?x=1")).json()
    assert seen["url"] == f"{host.url}/api/hello/w?x=1"
    assert seen["body"] == ""


async def test_bodies_pass_as_bytes_both_ways_with_status_and_headers(host: RunningHost) -> None:
    body = bytes(range(256))
    answer = await host.ask("POST", "/api/echo?status=418", data=body, headers={"Content-Type": "application/x-thing"})
    assert (answer.status, answer.body) == (418, body)
    assert answer.headers["Content-Type"] == "application/x-thing"
    assert answer.headers["X-Echoed"] == "yes"


async def test_a_compressed_body_reaches_the_function_as_it_came(host: RunningHost) -> None:
    body = b"\x1f\x8b not really gzip"
    answer = await host.ask("POST", "/api/echo", data=body, headers={"Content-Encoding": "gzip"})
    assert answer.body == body


async def test_an_answer_without_a_body_stays_without(host: RunningHost) -> None:
    answer = await host.ask("GET", "/api/nothing")
    assert (answer.status, answer.body) == (204, b"")


async def test_a_returned_text_is_a_200_in_utf8(host: RunningHost) -> None:
    answer = await host.ask("GET", "/api/text")
    assert (answer.status, answer.body.decode()) == (200, "grüße")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_a_cookie_keeps_its_attributes(host: RunningHost) -> None:
    cookie = (await host.ask("GET", "/api/cookie")).headers["Set-Cookie"].lower()
    assert cookie.startswith("a=b")
    for attribute in ("path=/", "max-age=60", "expires=thu, 01 jan 2026 00:00:00 gmt", "httponly", "samesite=strict"):
        assert attribute in cookie


async def test_a_function_that_raises_is_500_without_a_word_to_the_caller(host: RunningHost) -> None:
    answer = await host.ask("GET", "/api/raise")
    assert (answer.status, answer.body) == (500, b"")
    failures = [line for line in host.log.read_text().splitlines() if "a secret detail" in line]
    assert failures, "the log has the reason"
    assert all("of two lines" in line for line in failures), "one line a record"


@pytest.mark.parametrize("path", ["/api/unknown", "/other/hello", "/hello", "/api"])
async def test_a_path_no_route_takes_is_404(host: RunningHost, path: str) -> None:
    assert (await host.ask("GET", path)).status == 404


async def test_a_method_no_route_takes_is_404_as_on_the_platform(host: RunningHost) -> None:
    assert (await host.ask("POST", "/api/hello")).status == 404
    assert (await host.ask("HEAD", "/api/hello")).status == 404


async def test_literals_of_a_route_ignore_case(host: RunningHost) -> None:
    assert (await host.ask("GET", "/API/Hello/World")).json()["route"] == {"name": "World"}


async def test_a_function_key_opens_by_header_or_query(host: RunningHost) -> None:
    key = host.keys["functions"]["default"]
    assert (await host.ask("GET", "/api/locked", headers={"x-functions-key": key})).status == 200
    assert (await host.ask("GET", "/api/locked", params={"code": key})).status == 200


async def test_without_its_key_a_function_is_401(host: RunningHost) -> None:
    assert (await host.ask("GET", "/api/locked")).status == 401
    assert (await host.ask("GET", "/api/locked", headers={"x-functions-key": "wrong"})).status == 401
    event_grid = host.keys["system"]["eventgrid_extension"]
    assert (await host.ask("GET", "/api/locked", headers={"x-functions-key": event_grid})).status == 401


async def test_only_the_master_key_opens_an_admin_function(host: RunningHost) -> None:
    for key, status in ((host.keys["functions"]["default"], 401), (host.keys["master"], 200)):
        assert (await host.ask("GET", "/api/master", headers={"x-functions-key": key})).status == status


async def test_a_hanging_function_blocks_no_other(host: RunningHost) -> None:
    held = asyncio.create_task(host.ask("GET", "/api/hold"))
    assert (await host.ask("GET", "/api/hello")).status == 200
    assert not held.done()
    assert (await host.ask("POST", "/api/free")).status == 200
    assert (await held).status == 200


async def test_the_host_status_wants_the_master_key_and_says_running(host: RunningHost) -> None:
    assert (await host.ask("GET", "/admin/host/status")).status == 401
    status = await host.ask("GET", "/admin/host/status", headers={"x-functions-key": host.keys["master"]})
    assert status.json()["state"] == "Running"
    assert (await host.ask("GET", "/admin/host/ping")).status == 200


async def test_the_function_list_names_every_function_with_its_trigger(host: RunningHost) -> None:
    answer = await host.ask("GET", "/admin/functions", headers={"x-functions-key": host.keys["master"]})
    bound = {one["name"]: [binding["type"] for binding in one["config"]["bindings"]] for one in answer.json()}
    assert "httpTrigger" in bound["hello"]
    assert "eventGridTrigger" in bound["on_event"]
    assert "queueTrigger" in bound["on_work"]
    assert "timerTrigger" in bound["sweep"]
    assert (await host.ask("GET", "/admin/functions")).status == 401


async def test_a_function_can_be_run_by_hand(host: RunningHost) -> None:
    master = {"x-functions-key": host.keys["master"]}
    text = f"by hand at {datetime.now(UTC)}"
    answer = await host.ask("POST", "/admin/functions/ON_DONE", json={"input": text}, headers=master)
    assert answer.status == 202
    await host.journal_until("on_done", lambda entries: any(entry["body"] == text for entry in entries))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/admin/functions/unknown", b"{}", 404),
        ("/admin/functions/on_done", b"x", 400),
        ("/admin/functions/on_done", b"[]", 400),
        ("/admin/functions/on_done", b'{"input": {}}', 400),
    ],
)
async def test_a_run_by_hand_that_makes_no_sense_is_refused(
    host: RunningHost, path: str, body: bytes, status: int
) -> None:
    master = {"x-functions-key": host.keys["master"], "Content-Type": "application/json"}
    assert (await host.ask("POST", path, data=body, headers=master)).status == status
    assert (await host.ask("POST", path, data=body)).status == 401


async def test_an_http_function_by_hand_is_accepted_and_never_runs(host: RunningHost) -> None:
    master = {"x-functions-key": host.keys["master"]}
    assert (await host.ask("POST", "/admin/functions/hello", json={"input": ""}, headers=master)).status == 202
    assert (await host.ask("POST", "/admin/functions/hello", data=b"{}", headers=master)).status == 415


async def test_the_admin_api_refuses_a_good_key_of_another_kind_with_403(host: RunningHost) -> None:
    for key, status in ((host.keys["functions"]["default"], 403), ("wrong", 401)):
        answer = await host.ask("GET", "/admin/functions", headers={"x-functions-key": key})
        assert (answer.status, answer.headers.get("WWW-Authenticate")) == (status, "Bearer" if status == 401 else None)


async def test_keys_ignore_case_and_an_empty_header_hides_the_query(host: RunningHost) -> None:
    key = host.keys["functions"]["default"]
    assert (await host.ask("GET", "/api/locked", params={"CODE": key.upper()})).status == 200
    answer = await host.ask("GET", "/api/locked", params={"code": key}, headers={"x-functions-key": ""})
    assert answer.status == 401
