"""`hopkeeper check --app`: what the last step of a deployment checks, for an app without functions looks well otherwise."""

import json
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from function_app.adapters.running_app import ask_app
from function_app.reconcile.deployed import FUNCTIONS, Answered, faults
from lab.stack import Stack

in_stack = pytest.mark.asyncio(loop_scope="module")

ALL = [{"name": name, "isDisabled": False} for name in sorted(FUNCTIONS, key=lambda name: name != "on_alert")]
"""Every function, `on_alert` first."""
SWEPT = {"product": "hopkeeper", "topologies": [], "sweep": {"at": "2026-01-01T00:00:00Z", "ageSeconds": 30}}


def looked(**changes: Any) -> Answered:
    """A fresh sweep, over two topologies that were looked at a minute ago, the second with these `changes`."""
    fresh = {"usable": True, "problems": [], "lastLookSeconds": 60}
    return Answered(200, SWEPT | {"topologies": [fresh | {"topology": "one"}, fresh | {"topology": "two"} | changes]})


WRONG = [
    (Answered(200, []), Answered(404), "0 functions"),
    (Answered(200, ALL[1:]), Answered(200, SWEPT), "it lacks on_alert"),
    (Answered(200, [ALL[0] | {"isDisabled": True}, *ALL[1:]]), Answered(200, SWEPT), "disabled: on_alert"),
    (Answered(401), Answered(401), "the master key"),
    (Answered(403), Answered(403), "access restrictions"),
    (Answered(503, "Function host is not running."), Answered(503), "it answers 503"),
    (Answered(why="Name or service not known"), Answered(why="x"), "Name or service not known"),
    (Answered(200, "<html>"), Answered(200, SWEPT), "does not tell its functions"),
    (Answered(200, ALL), Answered(503, {"error": "HOPKEEPER_SIGNING_KEY: must be set"}), "HOPKEEPER_SIGNING_KEY"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": None}), "no sweep has come through yet"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": {"ageSeconds": 901}}), "901 s ago, more than 900 s"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": {"ageSeconds": -86400}}), "86400 s in the future"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": {"ageSeconds": math.nan}}), "nan}, which has no age"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": {"ageSeconds": "30"}}), "'30'}, which has no age"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": {"at": "x"}}), "'x'}, which has no age"),
    (Answered(200, ALL), Answered(200, SWEPT | {"sweep": "now"}), "'now', which has no age"),
    (
        Answered(200, ALL),
        looked(lastLookSeconds=901),
        "topology two: the last completed look is 901 s old, more than 900 s",
    ),
    (Answered(200, ALL), looked(lastLookSeconds=None), "topology two: no look has been completed yet"),
    (Answered(200, ALL), looked(lastLookSeconds="1"), "topology two: its last look is '1' s old, which is no age"),
    (Answered(200, ALL), looked(lastLookSeconds=-86400), "topology two: its last look is 86400 s in the future"),
    (Answered(200, ALL), looked(usable=False, problems=["$: x"]), "topology two cannot be used: ['$: x']"),
    (Answered(200, ALL), Answered(200, SWEPT | {"topologies": ["x"]}), "names the topologies ['x']"),
    (Answered(200, [{"name": {}}, "x"]), Answered(200, SWEPT), "it has 0 functions"),
]


def test_an_app_with_every_function_and_a_fresh_sweep_is_right() -> None:
    assert faults("https://app", Answered(200, ALL), Answered(200, SWEPT), timedelta(minutes=15)) == ()


def test_an_app_that_looks_at_its_topologies_is_right() -> None:
    assert faults("https://app", Answered(200, ALL), looked(), timedelta(minutes=15)) == ()


def test_an_app_that_only_observes_is_not_checked_for_what_it_does_not_write() -> None:
    overview = looked(lastLookSeconds=None)
    observing = Answered(200, {**overview.body, "observing": True})
    assert faults("https://app", Answered(200, ALL), observing, timedelta(minutes=15)) == ()


@pytest.mark.parametrize(("functions", "overview", "said"), WRONG, ids=[wrong[2] for wrong in WRONG])
def test_what_is_wrong_is_said_once(functions: Answered, overview: Answered, said: str) -> None:
    (found,) = faults("https://app", functions, overview, timedelta(minutes=15))
    assert said in found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with Stack.make() as made:
        made.sweep = "0 0 0 1 1 *"
        await made.up(with_nvas=False)
        yield made


def check(url: str, key: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "function_app.cli", "check", "--app", url, "--key-file", "-", *options]
    return subprocess.run(command, input=f"{key}\n", capture_output=True, text=True, timeout=60, check=False)


@in_stack
async def test_the_functions_and_the_sweep_are_requested_of_the_app(stack: Stack) -> None:
    before = check(stack.host_url, stack.keys["master"])
    assert (before.returncode, "no sweep has come through yet" in before.stderr) == (1, True), before
    assert stack.session is not None
    headers = {"x-functions-key": stack.keys["master"]}
    async with stack.session.post(
        f"{stack.host_url}/admin/functions/sweep", json={"input": ""}, headers=headers
    ) as ran:
        assert ran.status == 202
    after = check(stack.host_url, stack.keys["master"], "--wait", "20")
    assert after.returncode == 0, after
    assert after.stdout.startswith(f"{stack.host_url}: {len(FUNCTIONS)} functions (apply, ")
    status: tuple[int, Any] = await stack.ask_app("GET", "/status")
    assert status[1]["sweep"]["ageSeconds"] < 60


@in_stack
async def test_a_key_that_does_not_open_the_list_is_said(stack: Stack) -> None:
    host_key = json.loads((stack.directory / "keys.json").read_text())["functions"]["default"]
    for key, said in (("wrong", "the master key"), (host_key, "a host key")):
        done = check(stack.host_url, key)
        assert (done.returncode, said in done.stderr) == (1, True), done


KEYS = [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b"\xffkey", "is no key, which is in ASCII"),
    (b"one\ntwo", "holds more than one key"),
]


@pytest.mark.parametrize(("content", "said"), KEYS)
def test_a_file_without_a_key_is_said_and_no_request_is_sent(content: bytes, said: str) -> None:
    command = [sys.executable, "-m", "function_app.cli", "check", "--app", "http://127.0.0.1:9", "--key-file", "-"]
    done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=False)
    error = done.stderr.decode()
    assert (done.returncode, said in error, error.count("\n")) == (2, True, 1), error


async def test_an_answer_that_is_nested_too_deeply_is_said() -> None:
    async def deep(_: web.Request) -> web.Response:
        return web.Response(text="[" * 100_000, content_type="application/json")

    site = web.Application()
    site.router.add_get("/{any:.*}", deep)
    async with TestServer(site) as server:
        functions, overview = await ask_app(str(server.make_url("/")), "key")
    (found,) = faults("https://app", functions, overview, timedelta(minutes=15))
    assert "it answers 200 with JSON that is nested too deeply" in found
    (found,) = faults("https://app", Answered(200, ALL), overview, timedelta(minutes=15))
    assert "it answers 200 with JSON that is nested too deeply" in found


def test_an_app_that_is_unreachable_is_said_with_what_to_look_at() -> None:
    done = check("http://127.0.0.1:9", "key")
    assert (done.returncode, "does not tell its functions" in done.stderr) == (1, True), done


def test_a_document_or_an_app_is_wanted() -> None:
    command = [sys.executable, "-m", "function_app.cli", "check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "--app URL with --key-file FILE" in done.stderr) == (2, True)
