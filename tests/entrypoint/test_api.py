"""The HTTP API in the worker's own library, over the simulator: what every reading route answers, and how it says no."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from lab import keys
from lab.stack import SERVICE, TOPOLOGY, Stack
from tests.entrypoint.alone import app_after_a_look

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMAS = Path(__file__).resolve().parents[2] / "contracts" / "documents"
HERE = f"/topologies/{TOPOLOGY}"
READS = {
    "/status": "overview",
    f"/status/{TOPOLOGY}": "status",
    "/topologies": "topologies",
    f"{HERE}/services/{SERVICE}/history?most=5": "history",
    f"{HERE}/services/{SERVICE}/history?after=2026-01-01T00:00:00Z": "history",
    f"{HERE}/services/{SERVICE}/explain": "explanation",
    f"{HERE}/services/{SERVICE}/explain?at=2026-01-02T03:04:05Z": "explanation",
    f"{HERE}/plan": "plan",
    f"{HERE}/verify": "evidence",
    f"{HERE}/lint": "preflight",
    f"{HERE}/events": "events",
}
"""What is read, and the document that it gives."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Simulator and app without NVAs, and a sweep that never comes; one look has been made."""
    async with app_after_a_look() as made:
        yield made


async def asked(
    stack: Stack, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and body of an answer to an operator."""
    assert stack.session is not None
    key = {"x-functions-key": keys.of_role(stack.keys, keys.OPERATE)}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{stack.host_url}/api{path}"
    async with stack.session.request(method, url, data=body, headers=key | sent) as response:
        return response.status, response.headers, await response.text()


def validate(document: str, value: Any) -> None:
    schema = json.loads((SCHEMAS / f"{document}.schema.json").read_text())
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


@pytest.mark.parametrize(("path", "document"), READS.items(), ids=READS)
async def test_what_is_read_is_its_document(stack: Stack, path: str, document: str) -> None:
    code, headers, body = await asked(stack, "GET", path)
    assert (code, headers["Content-Type"]) == (200, "application/json")
    value = json.loads(body)
    validate(document, value)
    assert value["schema"] == f"hopkeeper/{document}/1"


async def test_a_change_is_waited_for_and_answered_when_it_comes(stack: Stack) -> None:
    mark = json.loads((await asked(stack, "GET", f"{HERE}/events"))[2])["mark"]
    waiting = asyncio.create_task(asked(stack, "GET", f"{HERE}/events?wait=25&after={mark}"))
    await asked(stack, "POST", f"{HERE}/services/{SERVICE}/pause", '{"minutes": 5}')
    assert json.loads((await waiting)[2])["changed"]
    assert (await asked(stack, "POST", f"{HERE}/services/{SERVICE}/resume"))[0] == 200


async def test_the_openapi_document_is_the_one_in_contracts(stack: Stack) -> None:
    code, _, body = await asked(stack, "GET", "/openapi.json")
    assert (code, json.loads(body)) == (200, json.loads((SCHEMAS.parent / "openapi.json").read_text()))


AS_TEXT = {
    "/status": TOPOLOGY,
    f"/status/{TOPOLOGY}": f"{TOPOLOGY}: ",
    f"{HERE}/services/{SERVICE}/history": "woken by",
    f"{HERE}/services/{SERVICE}/explain": "evidence (as of",
    f"{HERE}/verify": "write tokens spent",
    f"{HERE}/lint": "error",
}


@pytest.mark.parametrize(("path", "line"), AS_TEXT.items(), ids=AS_TEXT)
async def test_where_text_is_preferred_lines_are_read(stack: Stack, path: str, line: str) -> None:
    code, headers, body = await asked(stack, "GET", path, Accept="text/plain")
    assert (code, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert line in body


async def test_the_document_in_force_is_read_as_it_was_written_with_the_etag_that_the_list_names(stack: Stack) -> None:
    code, headers, body = await asked(stack, "GET", HERE)
    assert (code, headers["Content-Type"].partition(";")[0]) == (200, "text/yaml")
    assert body == (stack.storage / "topologies" / f"{TOPOLOGY}.yaml").read_text()
    listed = json.loads((await asked(stack, "GET", "/topologies"))[2])["topologies"]
    assert [(one["topology"], one["usable"], f'"{one["etag"]}"') for one in listed] == [
        (TOPOLOGY, True, headers["ETag"])
    ]


def document_of(stack: Stack) -> str:
    return (stack.storage / "topologies" / f"{TOPOLOGY}.yaml").read_text()


async def test_a_document_is_compared_planned_and_judged_before_it_is_in_force(stack: Stack) -> None:
    text = document_of(stack)
    code, headers, body = await asked(stack, "POST", f"{HERE}/diff", text)
    assert (code, headers["Content-Type"].partition(";")[0], body) == (200, "text/plain", "")
    _, _, body = await asked(stack, "POST", f"{HERE}/diff", text + "# more\n")
    assert body.splitlines()[:2] == [f"--- {TOPOLOGY}, in force", f"+++ {TOPOLOGY}, proposed"]
    assert "+# more" in body.splitlines()
    for path, document in (("/plan", "plan"), ("/lint?azure=false", "preflight"), ("/lint", "preflight")):
        code, _, body = await asked(stack, "POST", path, text)
        assert code == 200, body
        validate(document, json.loads(body))
    _, _, body = await asked(stack, "POST", "/lint?azure=false", "name: [", Accept="text/plain")
    assert body.startswith("error")


async def test_a_document_is_put_in_force_by_who_has_seen_the_one_before(stack: Stack) -> None:
    text = document_of(stack)
    etag = (await asked(stack, "GET", HERE))[1]["ETag"]
    code, headers, body = await asked(stack, "PUT", HERE, f"{text}# second\n", If_Match=etag)
    applied = json.loads(body)
    validate("applied", applied)
    assert (code, headers["ETag"]) == (200, f'"{applied["etag"]}"')
    assert applied["difference"].endswith("\n+# second\n")
    code, _, body = await asked(stack, "PUT", HERE, f"{text}# third\n", If_Match=etag)
    assert (code, applied["etag"] in json.loads(body)["error"]["message"]) == (412, True)
    code, _, body = await asked(stack, "PUT", HERE, f"{text}# third\n", If_None_Match="*")
    assert code == 412
    validate("error", json.loads(body))
    assert (await asked(stack, "GET", f"{HERE}?previous=true"))[2] == text
    assert (await asked(stack, "PUT", HERE, text, If_Match=headers["ETag"]))[0] == 200


UNPUT = [
    ("PUT", HERE, "name: [", 400, "line 2, column 1"),
    ("PUT", HERE, "", 400, "$"),
    ("PUT", f"{HERE}?any=1", "x", 400, "?any"),
    ("PUT", "/topologies/other", None, 400, "$.name"),
    ("POST", "/topologies/other/diff", None, 404, "$.name"),
    ("POST", f"{HERE}/diff", "[]", 400, "$"),
    ("POST", "/plan", "[]", 400, "$"),
    ("POST", "/plan?azure=1", "[]", 400, "?azure"),
    ("POST", "/lint?azure=perhaps", "[]", 400, "?azure"),
    ("DELETE", "/topologies/other", None, 404, "$.name"),
    ("DELETE", HERE, None, 409, "$.services[0]"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "where"), UNPUT, ids=[f"{each[0]} {each[1]} {each[2]}" for each in UNPUT]
)
async def test_a_change_that_cannot_be_made_changes_nothing_and_says_why(
    stack: Stack, method: str, path: str, body: str | None, code: int, where: str
) -> None:
    """None stands for the document in force."""
    before = document_of(stack)
    status, _, said = await asked(stack, method, path, before if body is None and method != "DELETE" else body)
    error = json.loads(said)
    validate("error", error)
    assert (status, error["error"]["problems"][0]["path"]) == (code, where), said
    assert document_of(stack) == before


async def test_an_if_none_match_that_names_an_etag_is_no_condition_of_a_change(stack: Stack) -> None:
    code, _, body = await asked(stack, "PUT", HERE, document_of(stack), If_None_Match='"x"')
    assert (code, json.loads(body)["error"]["problems"]) == (
        400,
        [{"path": "If-None-Match", "rule": "must be *, is '\"x\"'"}],
    )


WRONG = [
    ("/status/nowhere", 404, "$.name", "there is no topology 'nowhere'"),
    ("/status?x=1", 400, "?x", "is none of any: there are none"),
    ("/topologies?x=1", 400, "?x", "is none of any: there are none"),
    ("/topologies/nowhere", 404, "$.name", "there is no topology 'nowhere'"),
    (f"{HERE}?previous=maybe", 400, "?previous", "must be true or false, is 'maybe'"),
    ("/topologies/nowhere?previous=true", 404, "$.name", "there is no document of topology"),
    (f"{HERE}/services/nothing/history", 404, "service", "has no service 'nothing' (there are "),
    (f"{HERE}/services/{SERVICE}/history?most=0", 400, "?most", "must be a whole number >= 1, is '0'"),
    (f"{HERE}/services/{SERVICE}/history?most=x", 400, "?most", "must be a whole number, is 'x'"),
    (f"{HERE}/services/{SERVICE}/history?after=2026-01-01T00:00:00", 400, "?after", "must say its offset from UTC"),
    (f"{HERE}/services/nothing/explain", 404, "service", "has no service 'nothing'"),
    (f"{HERE}/services/{SERVICE}/explain?at=noon", 400, "?at", "must be a time, as 2026-01-02T03:04:05Z, is 'noon'"),
    (f"{HERE}/services/{SERVICE}/explain?at=0001-01-01T00:00:00%2B12:00", 400, "?at", "at the end of time"),
    ("/topologies/nowhere/events", 404, "$.name", "there is no topology 'nowhere'"),
    (f"{HERE}/events?wait=26", 400, "?wait", "must be a whole number <= 25, is '26'"),
    ("/openapi.json?x=1", 400, "?x", "is none of any"),
    (f"{HERE}/plan?fresh=1", 400, "?fresh", "is none of any"),
    ("/topologies/nowhere/plan", 404, "$.name", "there is no topology 'nowhere'"),
    (f"{HERE}/verify?fresh=2", 400, "?fresh", "must be true or false, is '2'"),
    ("/topologies/nowhere/lint", 404, "$.name", "there is no topology 'nowhere'"),
]


@pytest.mark.parametrize(("path", "code", "where", "rule"), WRONG, ids=[each[0] for each in WRONG])
async def test_what_is_wrong_with_a_question_is_said_in_one_shape(
    stack: Stack, path: str, code: int, where: str, rule: str
) -> None:
    status, _, body = await asked(stack, "GET", path)
    answer = json.loads(body)
    validate("error", answer)
    assert (status, [one["path"] for one in answer["error"]["problems"]]) == (code, [where])
    assert rule in answer["error"]["problems"][0]["rule"]
    assert rule in answer["error"]["message"]


async def test_a_refused_order_gives_its_reasons_in_the_shape_of_every_error(stack: Stack) -> None:
    code, _, body = await asked(stack, "POST", f"{HERE}/services/{SERVICE}/switchover", '{"to": "nva-b"}')
    answer = json.loads(body)
    validate("outcome", answer)
    assert (code, answer["outcome"], answer["error"]["causes"]) == (409, "refused", answer["reasons"])
    assert "learning who serves" in answer["reasons"][0]
