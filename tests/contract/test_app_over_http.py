"""What the command line makes of an app's answers, whatever they are: nothing is lost of a reason, and no key goes astray."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from function_app.adapters.app_over_http import AppOverHttp, AzLogin, FunctionKey
from function_app.domain.base.errors import (
    BadInput,
    Changed,
    HopkeeperError,
    NotAuthentic,
    NotNow,
    NotPermitted,
    NotThere,
    Unavailable,
    Unusable,
)
from function_app.reconcile.changes import CannotWork
from function_app.reconcile.documents.findings import PreflightFinding, preflight_finding
from function_app.reconcile.store.topologies import ANYTHING, NOTHING
from function_app.settings import NamedApp, named_app
from tests.entrypoint.test_app_commands import hopkeeper

OUTCOME = {"topology": "hub", "outcome": "refused", "reasons": ["fw: it is paused"], "retryAfterSeconds": None}


def error(message: str, *problems: dict[str, Any], causes: tuple[str, ...] = ()) -> str:
    return json.dumps({"error": {"message": message, "problems": problems, "causes": causes}})


@asynccontextmanager
async def answering(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[TestServer]:
    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    site = web.Application()
    site.router.add_route("*", "/{any:.*}", handle)
    async with TestServer(site) as server:
        yield server


@asynccontextmanager
async def app_of(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[AppOverHttp]:
    async with answering(answer) as server:
        app = AppOverHttp(str(server.make_url("/")), FunctionKey("the-key"))
        try:
            yield app
        finally:
            await app.close()


WRONG: list[tuple[int, str, type[HopkeeperError], str]] = [
    (400, error("$.name: is wrong", {"path": "$.name", "rule": "is wrong", "line": 3}), BadInput, "$.name: is wrong"),
    (404, error("no", {"path": "$.name", "rule": "is not there"}), NotThere, "is not there"),
    (409, error("no", {"path": "$", "rule": "serves"}), NotNow, "serves"),
    (412, error("it changed", causes=("by ann",)), Changed, "it changed: by ann"),
    (503, error("storage does not answer", causes=("Cannot connect",)), Unavailable, "does not answer: Cannot connect"),
    (502, "<html>Bad\n gateway</html>", Unavailable, "502, not of Hopkeeper: <html>Bad gateway</html>"),
    (302, "", Unavailable, "302, not of Hopkeeper"),
    (401, "", NotAuthentic, "401: the app does not take this key"),
    (401, error("neither a token nor a session"), NotAuthentic, "401: neither a token nor a session"),
    (403, "<html>Ip Forbidden</html>", NotPermitted, "restrictions do not admit this machine"),
    (403, error("ana has not the role read"), NotPermitted, "403: ana has not the role read"),
    (200, "{}", Unusable, "the answer cannot be read"),
    (200, "[" * 100_000, Unusable, "the answer cannot be read"),
]


@pytest.mark.parametrize(("code", "body", "kind", "said"), WRONG, ids=[f"{each[0]} {each[1][:9]}" for each in WRONG])
async def test_an_answer_that_is_no_status_keeps_its_reason(
    code: int, body: str, kind: type[HopkeeperError], said: str
) -> None:
    async with app_of(lambda _: web.Response(status=code, text=body)) as app:
        with pytest.raises(HopkeeperError) as caught:
            await app.status("hub")
    assert (type(caught.value), said in str(caught.value)) == (kind, True), caught.value


async def test_the_findings_of_a_document_that_cannot_work_are_kept() -> None:
    examples = Path(__file__).resolve().parents[2] / "contracts" / "documents" / "examples"
    findings = json.loads((examples / "preflight-findings.json").read_text())["findings"]
    refused = {"message": "it cannot work", "problems": [], "causes": [], "findings": findings}
    body = json.dumps({"error": refused})
    async with app_of(lambda _: web.Response(status=409, text=body)) as app:
        with pytest.raises(CannotWork) as caught:
            await app.put("hub", "x", ANYTHING, anyway=False)
    assert [preflight_finding(found) for found in caught.value.findings] == [
        msgspec.convert(found, PreflightFinding) for found in findings
    ]


async def test_what_was_seen_is_what_a_change_expects() -> None:
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(text="name: hub", headers={"ETag": '"0x1"'})
        seen.append(request.headers.get("If-Match") or f"none: {request.headers.get('If-None-Match')}")
        return web.json_response({"error": {"message": "changed", "problems": [], "causes": []}}, status=412)

    async with app_of(answer) as app:
        for expects in ((await app.document("hub")).unchanged, NOTHING, ANYTHING):
            with pytest.raises(Changed):
                await app.put("hub", "name: hub", expects, anyway=False)
    assert seen == ['"0x1"', "none: *", "none: None"]


async def test_an_etag_that_was_left_out_on_the_way_is_said_and_nothing_is_written() -> None:
    def answer(request: web.Request) -> web.Response:
        assert request.method == "GET", "nothing is sent"
        return web.Response(text="name: hub")

    async with app_of(answer) as app:
        document = await app.document("hub")
        with pytest.raises(
            Unusable, match=r"without its ETag, which a proxy before http.* left out: nothing was written"
        ):
            await app.put("hub", "name: hub", document.unchanged, anyway=False)


async def test_a_topology_that_is_taken_away_has_no_answer_but_that() -> None:
    seen: list[str] = []

    def remove(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path_qs}")
        return web.Response(status=204)

    async with app_of(remove) as app:
        await app.remove("hub", anyway=True)
        await app.remove("hub", anyway=False)
    assert seen == ["DELETE /api/topologies/hub?anyway=true", "DELETE /api/topologies/hub"]


async def test_a_line_of_a_problem_is_kept() -> None:
    body = error("x", {"path": "$.a", "rule": "b", "line": 3}, {"path": "$.c", "rule": "d"})
    async with app_of(lambda _: web.Response(status=400, text=body)) as app:
        with pytest.raises(BadInput) as caught:
            await app.plan_of("x")
    assert [problem.line for problem in caught.value.problems] == [3, None]


async def test_a_refused_order_is_an_answer_and_names_are_parts_of_the_path() -> None:
    seen: list[web.Request] = []

    def refuse(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response(OUTCOME, status=409)

    async with app_of(refuse) as app:
        outcome = await app.order("hub", "a/b ?", "pause", {"by": "ann"})
    assert (outcome.outcome, outcome.reasons) == ("refused", ("fw: it is paused",))
    assert seen[0].raw_path == "/api/topologies/hub/services/a%2Fb%20%3F/pause"
    assert (seen[0].headers["x-functions-key"], seen[0].content_type) == ("the-key", "application/json")


async def test_the_token_of_az_login_is_shown_where_there_is_no_key(tmp_path: Path) -> None:
    az = tmp_path / "az"
    token = {"accessToken": "a-token", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
    az.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/called\ncat <<'END'\n{json.dumps(token)}\nEND\n")
    az.chmod(0o755)
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(f"{request.path} {request.headers.get('Authorization', '')}")
        return web.Response(status=404, text=error("no", {"path": "$.name", "rule": "there is no topology 'hub'"}))

    async with answering(answer) as server:
        url, path = str(server.make_url("/")), f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"
        words = ("status", "hub", "--app", url)
        code, _, said = await hopkeeper(*words, HOPKEEPER_AUDIENCE="api://hopkeeper", PATH=path)
        assert (code, said, seen) == (
            2,
            "hopkeeper: $.name: there is no topology 'hub'\n",
            ["/api/entra/status/hub Bearer a-token"],
        )
        assert "--resource api://hopkeeper" in (tmp_path / "called").read_text()
        az.write_text("#!/bin/sh\necho 'Please run: az login' >&2\nexit 1\n")
        code, _, said = await hopkeeper(*words, HOPKEEPER_AUDIENCE="api://hopkeeper", PATH=path)
    assert (code, "no token of az login for api://hopkeeper/.default" in said, len(seen)) == (2, True, 1), said


async def test_a_login_that_was_not_used_has_nothing_to_close() -> None:
    await AzLogin("api://hopkeeper").close()


def test_no_app_is_named_by_nothing(tmp_path: Path) -> None:
    assert named_app(env={"HOME": str(tmp_path)}) is None


def test_the_option_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "hopkeeper").mkdir()
    (tmp_path / "hopkeeper" / "config.toml").write_text(
        'app = "https://kept"\nkey_file = "/kept.key"\naudience = "api://a"\n'
    )
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    kept = NamedApp("https://kept", Path("/kept.key"), "api://a")
    assert named_app(env=env) == named_app("https://kept/", env=env) == kept
    other = env | {"HOPKEEPER_APP": "https://other", "HOPKEEPER_KEY_FILE": "/other.key"}
    assert named_app(env=other) == NamedApp("https://other", Path("/other.key"), None)
    assert named_app("https://third", Path("/third.key"), other) == NamedApp("https://third", Path("/third.key"), None)


def test_a_key_of_the_file_is_not_for_another_app(tmp_path: Path) -> None:
    (tmp_path / "hopkeeper").mkdir()
    (tmp_path / "hopkeeper" / "config.toml").write_text('app = "https://kept"\nkey_file = "/kept.key"\n')
    with pytest.raises(BadInput, match="of https://other must be set"):
        named_app("https://other", env={"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app = ", "cannot be read"),
        ('apps = "x"', "apps: must be a text under one of app"),
        ("app = 1", "app: must be"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_with_its_name(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "hopkeeper").mkdir()
    (tmp_path / "hopkeeper" / "config.toml").write_text(text)
    with pytest.raises(BadInput, match=rf"config.toml.*{said}"):
        named_app(env={"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "url", ["http://app", "http://10.0.0.1", "ftp://127.0.0.1", "app.azurewebsites.net", "https://"]
)
def test_a_key_is_sent_encrypted_or_not_at_all(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no https URL"):
        named_app(url, Path("key"), {"HOME": str(tmp_path)})
    for safe in ("http://127.0.0.1:7071", "http://localhost", "http://[::1]:1", "https://app"):
        assert named_app(safe, Path("key"), {"HOME": str(tmp_path)}) is not None
