"""The doors by which the platform enters the app, played to the real libraries over the package that is deployed."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.entrypoint.entering import (
    FUNCTIONS,
    RECORDED,
    REPOSITORY,
    Entry,
    enter_after_a_death,
    enter_ordinarily,
    enter_through_placeholder,
    settings_of_the_template,
)
from tools.functions_host.errors import WorkerGoneError
from tools.functions_host.protocol import PROTOS
from tools.release import package

MARKER = "function_app.py"
# What the recorded invocations are answered with by an app that has no topology: every trigger answers, none is a fault.
ANSWERS = ["200", "400", "202", "200", "404", "404", *[None] * 8]
# A function that answers where it is, put beside the app's own.
PROBE = """
import importlib.util, json, os, sys
import azure.functions as func
SEEN = {"cwd": os.getcwd(), "path": sys.path[:], "environ": dict(os.environ)}
import main
app = main.app
ours = ("main", "function_app")
SEEN["files"] = [m.__file__ for name, m in sys.modules.items() if name.split(".")[0] in ours]
strangers = ("simulator", "conftest", "nva_agent", "function_app.cli", "function_app.render")
SEEN["strangers"] = [name for name in strangers if importlib.util.find_spec(name)]
@app.route(route="probe")
def probe(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"import": SEEN, "now": os.getcwd()}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = package.build(REPOSITORY, tmp_path_factory.mktemp("package") / "hopkeeper.zip")
    with package.unpacked(made.path) as folder:
        yield folder


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return settings_of_the_template(tmp_path / "storage")


@contextlib.asynccontextmanager
async def ending(entry: Entry) -> AsyncIterator[Entry]:
    try:
        yield entry
    finally:
        entry.channel.kill()
        await entry.channel.ended()


def changed(built: Path, tmp_path: Path, change: Callable[[Path], Any]) -> Path:
    """A copy of the package, changed."""
    copy = tmp_path / "app"
    shutil.copytree(built, copy)
    change(copy)
    return copy


@pytest.mark.parametrize("kind", ["flex", "consumption"])
async def test_a_placeholder_that_becomes_the_app_finds_every_function(
    built: Path, tmp_path: Path, settings: dict[str, str], kind: str
) -> None:
    async with ending(await enter_through_placeholder(built, tmp_path / "first", settings, kind)) as entry:
        assert entry.succeeded, entry.answer
        assert (entry.uses_default_indexing, entry.names) == (False, FUNCTIONS)
        assert await entry.load(entry.found) == [True] * len(FUNCTIONS)


async def test_a_worker_that_follows_a_dead_one_runs_the_same_functions_without_a_request_for_them(
    built: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    async with ending(await enter_through_placeholder(built, tmp_path / "first", settings)) as first:
        before = await answers(first, first.found)
    async with ending(await enter_after_a_death(built, tmp_path / "second", settings)) as second:
        assert second.succeeded, second.answer
        assert await second.load(first.found) == [True] * len(FUNCTIONS)
        assert await answers(second, first.found) == before == ANSWERS


async def answers(entry: Entry, functions: list[Any]) -> list[str | None]:
    """Every recorded invocation, one after the other: the status code of each HTTP one. None may fail."""
    ids, given = {one.name: one.function_id for one in functions}, []
    for invocation in RECORDED["invocations"]:
        response = await entry.invoke(invocation, ids[invocation["function"]])
        assert response.result.status == PROTOS.StatusResult.Success, (invocation, response)
        given.append(response.return_value.http.status_code or None)
    return given


async def test_core_tools_start_the_app_by_its_local_settings(tmp_path: Path) -> None:
    values = json.loads((REPOSITORY / "local.settings.json").read_text())["Values"]
    async with ending(await enter_ordinarily(REPOSITORY, tmp_path / "only", values)) as entry:
        assert entry.succeeded, entry.answer
        assert entry.names == FUNCTIONS


async def test_without_the_marker_file_a_placeholder_finds_0_functions_and_says_success(
    built: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    """Why function_app.py is in the package: the proxy looks for it before it knows PYTHON_SCRIPT_FILE_NAME (ADR 9)."""
    bare = changed(built, tmp_path, lambda app: (app / MARKER).unlink())
    async with ending(await enter_through_placeholder(bare, tmp_path / "first", settings)) as entry:
        assert (entry.succeeded, entry.uses_default_indexing, entry.names) == (True, True, [])
    # Every other door works, so that nothing else shows it.
    async with ending(await enter_after_a_death(bare, tmp_path / "second", settings)) as entry:
        assert entry.succeeded


async def test_without_the_script_setting_the_marker_alone_does_not_run_the_app(
    built: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    """PYTHON_SCRIPT_FILE_NAME must stay: without it `function_app` is imported, and there the package hides the file."""
    del settings["PYTHON_SCRIPT_FILE_NAME"]
    async with ending(await enter_through_placeholder(built, tmp_path / "first", settings)) as entry:
        assert (entry.succeeded, entry.names) == (False, [])


def test_the_marker_file_has_no_code(built: Path) -> None:
    """It is never imported: the package of that name wins. Code in it would only seem to run."""
    assert all(line.startswith("#") for line in (built / MARKER).read_text().splitlines())


@pytest.mark.parametrize("missing", ["function_app/wiring.py", "function_app/domain/service/decide.py"])
async def test_an_app_that_cannot_be_imported_fails_at_every_door_and_names_what_is_missing(
    built: Path, tmp_path: Path, settings: dict[str, str], missing: str
) -> None:
    """On the platform three such failures end the host process, and its callers get 404 until then."""
    torn = changed(built, tmp_path, lambda app: (app / missing).unlink())
    stem = Path(missing).stem
    async with ending(await enter_through_placeholder(torn, tmp_path / "first", settings)) as entry:
        assert (entry.succeeded, entry.names) == (False, [])
        assert stem in entry.answer.result.exception.message
    async with ending(await enter_after_a_death(torn, tmp_path / "second", settings)) as entry:
        assert not entry.succeeded
        assert stem in entry.answer.result.exception.message


async def probed(built: Path, tmp_path: Path, settings: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    """What a script beside the app's own sees while it is imported through the placeholder, and the app's folder."""
    app = changed(built, tmp_path, lambda app: (app / "probing.py").write_text(PROBE))
    settings["PYTHON_SCRIPT_FILE_NAME"] = "probing.py"
    async with ending(await enter_through_placeholder(app, tmp_path / "first", settings)) as entry:
        (probe,) = (one for one in entry.found if one.name == "probe")
        invocation = {"invocation_id": "1", "input_data": RECORDED["invocations"][0]["input_data"]}
        return app, json.loads((await entry.invoke(invocation, probe.function_id)).return_value.http.body.bytes)


async def test_while_the_app_is_imported_its_root_is_last_on_the_path_and_the_folder_is_another(
    built: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    """No file of the app may be opened by a relative path at import, nor have the name of a library."""
    app, place = await probed(built, tmp_path, settings)
    assert Path(place["import"]["cwd"]).name == r"functions\standby\wwwroot"
    path = place["import"]["path"]
    last_library = max(at for at, entry in enumerate(path) if entry.endswith("site-packages"))
    assert path.index(str(app)) > last_library, "the proxy puts it last, and the library once more"
    assert place["now"] == str(app)
    # The environment is the message's and nothing else.
    expected = {name for name, value in settings.items() if value} | set(RECORDED["assigned"])
    assert set(place["import"]["environ"]) == expected


async def test_every_module_of_the_app_comes_from_the_package_and_nothing_of_the_project_is_found_beside_it(
    built: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    app, place = await probed(built, tmp_path, settings)
    assert len(place["import"]["files"]) > 50
    assert {Path(file).is_relative_to(app) for file in place["import"]["files"]} == {True}
    assert place["import"]["strangers"] == []


async def test_a_request_to_a_dead_worker_fails_with_that_reason(
    built: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    async with ending(await enter_after_a_death(built, tmp_path / "only", settings)) as entry:
        request = asyncio.ensure_future(entry.channel.ask(worker_status_request=PROTOS.WorkerStatusRequest()))
        await request
        entry.channel.kill()
        await entry.channel.gone.wait()
        with pytest.raises(WorkerGoneError):
            await entry.channel.ask(worker_status_request=PROTOS.WorkerStatusRequest())
