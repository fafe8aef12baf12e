"""`hopkeeper --app`: the same commands over the HTTP API of the real app, and the same answers as over its storage."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from function_app.cli import main
from lab import keys
from lab.stack import SERVICE, TOPOLOGY, Stack
from tests.entrypoint.alone import app_after_a_look

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]
HERE = (TOPOLOGY, SERVICE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Simulator and app without NVAs, and a sweep that never comes; one look has been made."""
    async with app_after_a_look() as made:
        (made.directory / "operate.key").write_text(keys.of_role(made.keys, keys.OPERATE) + "\n")
        (made.directory / "read.key").write_text(keys.of_role(made.keys, keys.READ))
        yield made


async def hopkeeper(*words: str, **settings: str) -> tuple[int | None, str, str]:
    """Status, standard output and standard error; of the environment only what says where programs are."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "USER")}
    process = await started(words, kept | settings)
    out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def started(words: tuple[str, ...], environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "function_app.cli", *words),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_interruptible,
    )


def _interruptible() -> None:
    """As in a terminal: where these tests run in the background, SIGINT would be ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def over_http(stack: Stack, *words: str, key: str = "operate") -> tuple[int | None, str, str]:
    return await hopkeeper(*words, "--app", stack.host_url, "--key-file", str(stack.directory / f"{key}.key"))


READS = (
    ("get", TOPOLOGY),
    ("status",),
    ("explain", TOPOLOGY, "nothing"),
    ("status", "nowhere"),
)


@pytest.mark.parametrize("words", READS, ids=" ".join)
async def test_what_is_read_over_http_is_what_is_read_directly(stack: Stack, words: tuple[str, ...]) -> None:
    code, out, error = await over_http(stack, *words, key="read")
    direct = await hopkeeper(*words, **stack.app_environment())
    assert (code, _without_ages(out)) == (direct[0], _without_ages(direct[1]))
    assert direct[2] == "direct: over storage and ARM; --app URL uses a running app\n" + error


async def test_what_goes_on_is_read_over_http_as_directly(stack: Stack) -> None:
    """Passes go on between the two: of the history the later answer has more entries."""
    answers = [
        (await over_http(stack, *words, key="read"), await hopkeeper(*words, **stack.app_environment()))
        for words in (("history", *HERE, "--json"), ("plan", TOPOLOGY), ("explain", *HERE))
    ]
    assert [(http[0], direct[0]) for http, direct in answers] == [(0, 0)] * 3
    history, plan, explanation = [(http[1], direct[1]) for http, direct in answers]
    before, after = [json.loads(text)["entries"] for text in history]
    assert before[-1] in after
    nothing = "egress-firewall: learn, no holder is known; nothing to do"
    assert [nothing in text.splitlines() for text in plan] == [True, True]
    assert [text.splitlines()[2] for text in explanation] == ["outcome: held"] * 2


def _without_ages(text: str) -> list[str]:
    return [line for line in text.splitlines() if " s ago" not in line]


async def test_the_status_of_an_app_that_is_named_in_the_environment_or_in_a_file_is_a_document(
    stack: Stack, tmp_path: Path
) -> None:
    key = str(stack.directory / "read.key")
    code, out, error = await hopkeeper(
        "status", TOPOLOGY, "--json", HOPKEEPER_APP=stack.host_url, HOPKEEPER_KEY_FILE=key
    )
    assert (code, json.loads(out)["topology"], error) == (1, TOPOLOGY, "")
    (tmp_path / "hopkeeper").mkdir()
    (tmp_path / "hopkeeper" / "config.toml").write_text(f'app = "{stack.host_url}"\nkey_file = "{key}"\n')
    code, out, error = await hopkeeper("verify", TOPOLOGY, "--json", XDG_CONFIG_HOME=str(tmp_path))
    assert (code, json.loads(out)["schema"], error) == (1, "hopkeeper/evidence/1", "")
    code, out, _ = await hopkeeper(
        "status", "--direct", XDG_CONFIG_HOME=str(tmp_path), AzureWebJobsStorage=f"directory:{tmp_path}"
    )
    assert (code, out) == (0, "no topology is in force: `hopkeeper apply FILE`\nno sweep came yet\n")


async def test_an_order_is_taken_refused_and_followed_over_http(stack: Stack) -> None:
    code, out, _ = await over_http(stack, "pause", *HERE, "--minutes", "5", "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "accepted")
    end = time.monotonic() + 30
    while (found := await over_http(stack, "reconcile", TOPOLOGY))[1].startswith(
        "pending"
    ):  # another pass has its turn
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    assert (found[0], found[1].splitlines()[0]) == (1, "paused")
    code, out, _ = await over_http(stack, "resume", *HERE, "--expect", "nva-b")
    assert (code, out.splitlines()[0]) == (1, "refused")
    assert "nva-b was expected to" in out
    code, out, error = await over_http(stack, "resume", *HERE, "--wait", "--at-most", "1")
    assert (code, out.splitlines()[0]) == (1, "accepted")
    assert f"not at rest after 1 s: it goes on without this command; hopkeeper status {TOPOLOGY}" in error


async def test_who_interrupts_an_order_that_was_taken_is_said_that_it_goes_on(stack: Stack) -> None:
    named = ("--app", stack.host_url, "--key-file", str(stack.directory / "operate.key"))
    process = await started(("pause", *HERE, "--minutes", "1", "--wait", *named), dict(os.environ))
    assert process.stdout is not None
    assert await process.stdout.readline() == b"accepted\n"
    process.send_signal(signal.SIGINT)
    _, error = await process.communicate()
    said = f"interrupted: the order was taken and goes on without you; hopkeeper status {TOPOLOGY}"
    assert (process.returncode, error.decode().splitlines()[-1]) == (1, said)
    assert (await over_http(stack, "resume", *HERE))[0] == 0


async def test_a_watched_status_is_drawn_until_it_is_interrupted(stack: Stack) -> None:
    named = ("--app", stack.host_url, "--key-file", str(stack.directory / "read.key"))
    process = await started(("status", "--watch", "--every", "0.5", *named), dict(os.environ))
    assert process.stdout is not None
    heads = 0
    while heads < 2:  # a drawing has more lines where the app has yet to sweep
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line, f"it ended after {heads} of two drawings"
        heads += line.startswith(f"{TOPOLOGY}:".encode())
    process.send_signal(signal.SIGINT)
    _, error = await process.communicate()
    assert (process.returncode, error) == (0, b"")


async def test_a_document_is_put_in_force_taken_back_and_refused_over_http(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "changed.yaml"
    before = (await over_http(stack, "get", TOPOLOGY))[1]
    file.write_text(before.replace("priority: 200", "priority: 190"))
    code, out, _ = await over_http(stack, "apply", str(file))
    assert (code, out.splitlines()[-1]) == (0, f"{file}: topology '{TOPOLOGY}' is in force")
    assert [line.strip() for line in out.splitlines() if line[0] in "+-"][2:] == [
        "-    priority: 200",
        "+    priority: 190",
    ]
    assert f"{TOPOLOGY}: what a pass would do first; nothing is done now" in out.splitlines()
    code, out, _ = await over_http(stack, "apply", "--previous", TOPOLOGY, "--json")
    assert (code, json.loads(out)["schema"]) == (0, "hopkeeper/applied/1")
    assert (await over_http(stack, "get", TOPOLOGY))[1] == before
    code, out, error = await over_http(stack, "delete", TOPOLOGY, "--yes")
    assert (code, out, "`retire` it" in error) == (1, "", True), error
    file.write_text(before.replace("name: nva-a", "name: nva-z", 1))
    code, _, error = await over_http(stack, "apply", str(file))
    assert (code, error.splitlines()[0].startswith(f"{file} cannot be used: ")) == (2, True), error


async def test_a_key_that_does_not_open_a_function_is_said(stack: Stack) -> None:
    code, _, error = await over_http(stack, "pause", *HERE, key="read")
    assert (code, "401: the app does not take this key or token for it" in error) == (2, True), error


async def test_an_app_that_does_not_answer_is_said_with_the_way_around_it(stack: Stack) -> None:
    key = str(stack.directory / "read.key")
    code, out, error = await hopkeeper("status", TOPOLOGY, "--app", "http://127.0.0.1:9", "--key-file", key)
    assert (code, out) == (3, "")
    assert error.startswith("hopkeeper: the app at http://127.0.0.1:9 does not answer GET /api/status/hub-lab: ")
    assert (
        "--direct goes over storage and ARM in its place, with az login and AzureWebJobsStorage__accountName" in error
    )


USAGE = [
    (("--app", "http://10.0.0.1", "--key-file", "x"), "is no https URL"),
    (("--app", "http://127.0.0.1:9"), "--key-file or HOPKEEPER_KEY_FILE: of http://127.0.0.1:9 must be set"),
    (("--app", "http://127.0.0.1:9", "--key-file", "/nowhere"), "/nowhere cannot be read: No such file or directory"),
    (("--app", "http://127.0.0.1:9", "--direct"), "--app URL or --direct, not both"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[each[1] for each in USAGE])
async def test_an_app_that_is_named_wrongly_is_not_called(words: tuple[str, ...], said: str) -> None:
    code, _, error = await hopkeeper("status", *words)
    assert (code, said in error) == (2, True), error


async def test_only_what_needs_nothing_in_force_uses_no_app() -> None:
    uses = {
        name for name, command in main.commands.items() if {"app", "direct"} <= {each.name for each in command.params}
    }
    assert set(main.commands) - uses <= {"bounds", "check", "completion", "gameday", "init", "render", "schema"}
