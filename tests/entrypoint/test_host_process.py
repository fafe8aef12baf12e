"""The lab's Functions host as a process: start, refusals with a reason, settings, keys, an orderly end."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.entrypoint.apps.serving import REPOSITORY, SAMPLE, RunningHost, clean_environment, fails, serving

HEADER = "import azure.functions as func\napp = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
HELLO = HEADER + '@app.route(route="hello")\ndef hello(req: func.HttpRequest) -> func.HttpResponse:\n'


def app(directory: Path, code: str, **settings: str) -> Path:
    """An app of one file, main.py, in `directory`."""
    directory.mkdir(exist_ok=True)
    (directory / "main.py").write_text(code)
    (directory / "host.json").write_text('{"version": "2.0"}')
    values = {"PYTHON_SCRIPT_FILE_NAME": "main.py"} | settings
    (directory / "local.settings.json").write_text(json.dumps({"Values": values}))
    return directory


def test_it_says_where_it_listens_and_which_functions_it_serves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.functions_host", "--root", str(SAMPLE), "--port", "0"]
    environment = clean_environment() | {"AzureWebJobsStorage": f"directory:{tmp_path}"}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        process.terminate()
        lines = process.stdout.read().splitlines()
    assert ready[0] == "ready"
    assert f"  hello: httpTrigger [GET] {ready[1]}/api/hello/{{name?}}" in lines
    assert "  on_work: queueTrigger work" in lines
    assert "  sweep: timerTrigger * * * * * *" in lines
    assert f"  on_event: eventGridTrigger {ready[1]}/runtime/webhooks/EventGrid?functionName=on_event" in lines


def test_without_the_script_file_it_fails_and_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    status, said = fails(tmp_path, "--state", str(tmp_path / "state"))
    assert status == 1
    assert "0 functions" in said
    assert "PYTHON_SCRIPT_FILE_NAME" in said


def test_an_app_without_functions_fails(tmp_path: Path) -> None:
    status, said = fails(app(tmp_path / "app", HEADER), "--state", str(tmp_path / "state"))
    assert (status, "0 functions" in said) == (1, True)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_this_name\n", "nothing_of_this_name"),
        ("x = 1\n", "Could not find top level function app instances in main.py"),
        (HELLO.replace("(req:", "(request:") + "    ...\n", "req"),
        (HELLO + "    ...\n" + "other = app\n", "More than one"),
        (HEADER + '@app.blob_trigger(arg_name="b", path="p", connection="c")\ndef b(b): ...\n', "blobTrigger"),
        (HEADER + '@app.timer_trigger(arg_name="t", schedule="every day")\ndef t(t): ...\n', "every day"),
        (HEADER + '@app.timer_trigger(arg_name="t", schedule="%NONE%")\ndef t(t): ...\n', "%NONE%"),
        (HEADER + '@app.queue_trigger(arg_name="q", queue_name="q", connection="GONE")\ndef q(q): ...\n', "GONE"),
        (HEADER + '@app.route(route="{a:odd}")\ndef h(req): ...\n', "odd"),
    ],
    ids=["import", "no-app", "parameter", "two-apps", "unknown-trigger", "schedule", "setting", "connection", "route"],
)
def test_an_app_that_cannot_be_served_fails_with_the_reason(tmp_path: Path, code: str, reason: str) -> None:
    status, said = fails(app(tmp_path / "app", code), "--state", str(tmp_path / "state"))
    assert status == 1
    assert reason in said


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("host.json", "{", "not JSON"),
        ("host.json", '{"version": "1.0"}', "version"),
        ("host.json", '{"version": "2.0", "extensions": {"queues": {"maxPollingInterval": "2s"}}}', "2s"),
        ("host.json", '{"version": "2.0", "extensions": {"queues": {"batchSize": 64}}}', "batchSize"),
        ("local.settings.json", '{"IsEncrypted": true, "Values": {}}', "IsEncrypted"),
        ("local.settings.json", '{"Values": {"A": 1}}', "wrong: A"),
    ],
)
def test_a_wrong_settings_file_is_named_with_what_is_wrong(
    tmp_path: Path, file: str, content: str, reason: str
) -> None:
    root = app(tmp_path / "app", HELLO + "    ...\n")
    (root / file).write_text(content)
    status, said = fails(root, "--state", str(tmp_path / "state"), PYTHON_SCRIPT_FILE_NAME="main.py")
    assert status == 1
    assert str(root / file) in said
    assert reason in said


def test_without_the_extension_bundle_a_queue_trigger_fails_and_is_named(tmp_path: Path) -> None:
    queue = '@app.queue_trigger(arg_name="q", queue_name="q", connection="AzureWebJobsStorage")\ndef on_q(q): ...\n'
    status, said = fails(app(tmp_path / "app", HEADER + queue), AzureWebJobsStorage=f"directory:{tmp_path}")
    assert (status, "no extensionBundle, which the triggers of on_q are from" in said) == (1, True)


def test_a_taken_port_is_an_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = fails(SAMPLE, "--port", port, AzureWebJobsStorage=f"directory:{tmp_path}")
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said


async def test_the_environment_wins_over_local_settings(tmp_path: Path) -> None:
    with serving(SAMPLE, tmp_path, GREETING="from the environment") as host:
        assert (await host.ask("GET", "/api/hello")).json()["greeting"] == "from the environment"
    with serving(SAMPLE, tmp_path) as host:
        seen = (await host.ask("GET", "/api/hello")).json()
    assert seen["greeting"] == "from local settings"
    assert seen["cwd"] == str(SAMPLE)


async def test_an_app_in_its_own_directory_is_loaded_from_there_only(tmp_path: Path) -> None:
    """A package unpacked elsewhere must not find this repository's modules, nor be shadowed by them."""
    root = app(tmp_path / "app", "import lab_or_not\nimport simulated\n" + HELLO + "    return simulated.answer()\n")
    (root / "simulated.py").write_text(
        "import azure.functions as func\ndef answer():\n    return func.HttpResponse(__file__)\n"
    )
    (root / "lab_or_not.py").write_text(
        "import importlib.util\n"
        "for name in ('simulator', 'function_app', 'nva_agent', 'conftest'):\n"
        "    assert importlib.util.find_spec(name) is None, name\n"
    )
    with serving(root, tmp_path) as host:
        assert (await host.ask("GET", "/api/hello")).body.decode() == str(root / "simulated.py")


async def test_packages_below_the_root_are_found(tmp_path: Path) -> None:
    root = app(tmp_path / "app", "import vendored\n" + HELLO + "    return func.HttpResponse(vendored.NAME)\n")
    packages = root / ".python_packages" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "vendored.py").write_text("NAME = 'vendored'\n")
    with serving(root, tmp_path) as host:
        assert (await host.ask("GET", "/api/hello")).body == b"vendored"


async def test_host_json_may_be_missing_and_overridden_by_settings(tmp_path: Path) -> None:
    root = app(tmp_path / "app", HELLO + "    return func.HttpResponse('hi')\n")
    (root / "host.json").unlink()
    with serving(root, tmp_path, AzureFunctionsJobHost__extensions__http__routePrefix="v1") as host:
        assert (await host.ask("GET", "/v1/hello")).body == b"hi"
        assert (await host.ask("GET", "/api/hello")).status == 404


async def test_a_disabled_function_is_listed_but_not_served(tmp_path: Path) -> None:
    with serving(SAMPLE, tmp_path, **{"AzureWebJobs.hello.Disabled": "true"}) as host:
        assert (await host.ask("GET", "/api/hello")).status == 404
        listed = await host.ask("GET", "/admin/functions", headers={"x-functions-key": host.keys["master"]})
        assert [one["name"] for one in listed.json() if one["isDisabled"]] == ["hello"]


async def test_keys_are_made_once_for_the_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with serving(SAMPLE, tmp_path) as host:
        first = dict(host.keys)
    assert file.stat().st_mode & 0o777 == 0o600
    with serving(SAMPLE, tmp_path) as host:
        assert dict(host.keys) == first
    assert set(first) == {"master", "functions", "perFunction", "system"}


async def test_given_keys_are_kept_and_completed(tmp_path: Path) -> None:
    given = {"master": "m", "functions": {"default": "f", "ci": "g"}, "perFunction": {"locked": {"default": "own"}}}
    (tmp_path / "keys.json").write_text(json.dumps(given))
    with serving(SAMPLE, tmp_path) as host:
        for key, status in (("own", 200), ("f", 200), ("g", 200), ("m", 200), ("other", 401)):
            assert (await host.ask("GET", "/api/locked", params={"code": key})).status == status
        assert host.keys["system"]["eventgrid_extension"]
        assert {name: host.keys[name] for name in ("master", "functions")} == {
            "master": "m",
            "functions": given["functions"],
        }
        assert host.keys["perFunction"]["locked"] == {"default": "own"}


async def test_each_function_has_a_key_of_its_own(tmp_path: Path) -> None:
    with serving(SAMPLE, tmp_path) as host:
        own = host.keys["perFunction"]["locked"]["default"]
        assert (await host.ask("GET", "/api/locked", params={"code": own})).status == 200
        assert len({held["default"] for held in host.keys["perFunction"].values()}) == len(host.keys["perFunction"])


async def test_a_key_of_one_function_opens_no_other(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"perFunction": {"hello": {"default": "own"}}}))
    with serving(SAMPLE, tmp_path) as host:
        assert (await host.ask("GET", "/api/locked", params={"code": "own"})).status == 401


@pytest.mark.parametrize("content", ["{", "[]", '{"functions": []}', '{"master": 1}'])
def test_a_key_file_that_makes_no_sense_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    status, said = fails(SAMPLE, "--keys", str(file), AzureWebJobsStorage=f"directory:{tmp_path}")
    assert (status, str(file) in said) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving(SAMPLE, tmp_path) as host:
        assert host.stop(number) == 0


async def test_a_request_being_answered_is_cut_off_at_the_end(tmp_path: Path) -> None:
    """The platform does not warn a Python worker of its end: a pass may be cut off anywhere."""
    with serving(SAMPLE, tmp_path) as host:
        held = asyncio.create_task(host.ask("GET", "/api/slow", params={"until": str(tmp_path / "never")}))
        await host.journal_until("slow", lambda seen: len(seen) == 1)
        assert await asyncio.to_thread(host.stop) == 0
        with pytest.raises(aiohttp.ClientError):
            await held
        assert "cut off: slow" in host.log.read_text()


async def test_a_killed_worker_fails_what_ran_in_it_and_is_replaced_by_one_with_the_same_functions(
    tmp_path: Path,
) -> None:
    with serving(SAMPLE, tmp_path) as host:
        held = asyncio.create_task(host.ask("GET", "/api/slow", params={"until": str(tmp_path / "never")}))
        await host.journal_until("slow", lambda seen: len(seen) == 1)
        await kill_worker(host)
        assert (await held).status == 500
        assert await host.journal("slow") == [], "another process"
        assert (await host.ask("GET", "/api/hello")).json()["cwd"] == str(SAMPLE)


async def test_the_third_death_of_the_worker_ends_the_host(tmp_path: Path) -> None:
    with serving(SAMPLE, tmp_path) as host:
        for _ in range(3):
            assert (await host.ask("GET", "/api/hello")).status == 200
            await kill_worker(host)
        assert await asyncio.to_thread(host.process.wait, 10) == 1
        assert "ended 3 times" in host.log.read_text()


async def test_a_run_over_function_timeout_ends_its_worker_and_whatever_else_runs_there(tmp_path: Path) -> None:
    timeout = {"AzureFunctionsJobHost__functionTimeout": "00:00:01"}
    with serving(SAMPLE, tmp_path, **timeout) as host:
        never = {"until": str(tmp_path / "never")}
        first, second = (asyncio.create_task(host.ask("GET", "/api/slow", params=never)) for _ in range(2))
        assert [(await each).status for each in (first, second)] == [500, 500]
        assert "ran longer than functionTimeout (0:00:01)" in host.log.read_text()
        assert (await host.ask("GET", "/api/hello")).status == 200


def test_through_the_placeholder_an_app_without_function_app_py_has_0_functions(tmp_path: Path) -> None:
    """The platform's worker looks for that file before it knows the app's settings (ADR 9)."""
    root = app(tmp_path / "app", HELLO + "    ...\n")
    status, said = fails(root, "--placeholder", "--state", str(tmp_path / "state"))
    assert (status, "0 functions" in said, str(root / "function_app.py") in said) == (1, True, True)


async def kill_worker(host: RunningHost) -> None:
    """SIGKILL for the worker process; until the host has said that it ended."""
    (child,) = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()
    seen = host.log.read_text().count("the worker process ended")
    os.kill(int(child), signal.SIGKILL)
    async with asyncio.timeout(15):
        while host.log.read_text().count("the worker process ended") == seen:  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(0.02)


async def test_a_function_that_never_ends_does_not_keep_it(tmp_path: Path) -> None:
    with serving(SAMPLE, tmp_path) as host:
        stuck = asyncio.create_task(host.ask("GET", "/api/stuck"))
        await host.journal_until("stuck", lambda seen: len(seen) == 1)
        assert await asyncio.to_thread(host.stop) == 0
        assert "stopped while still running, and cut off: stuck" in host.log.read_text()
        with pytest.raises(aiohttp.ClientError):
            await stuck


def test_the_sample_app_needs_nothing_of_the_repository(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "copy")
    with serving(tmp_path / "copy", tmp_path) as host:
        assert host.stop() == 0
