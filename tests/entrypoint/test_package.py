"""The zip that is deployed: what is in it, and that it is all that the app needs."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from lab import demo, serve
from lab.processes import LabError
from lab.release import package
from lab.release.package import ROOT, Package, contents, unpacked
from lab.stack import TOPOLOGY, Stack

AT_THE_ROOT = {"constraints.txt", "function_app.py", "host.json", "main.py", "requirements.txt"}
BY_HAND_ONLY = ("function_app/cli.py", "function_app/render/")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package.build(ROOT, tmp_path_factory.mktemp("package") / "hopkeeper.zip")


@pytest.fixture(scope="module")
def app(built: Package) -> Iterator[Path]:
    with unpacked(built.path) as folder:
        yield folder


def test_the_package_holds_all_that_runs_and_nothing_else(built: Package) -> None:
    parts = (path.relative_to(ROOT) for path in (ROOT / "function_app").rglob("*") if path.is_file())
    runs = {path.as_posix() for path in parts if "__pycache__" not in path.parts}
    assert set(built.files) == AT_THE_ROOT | {path for path in runs if not path.startswith(BY_HAND_ONLY)}
    assert "function_app/domain/topology.py" in built.files
    with zipfile.ZipFile(built.path) as content:
        assert tuple(content.namelist()) == built.files
        assert content.testzip() is None


def test_every_file_that_the_platforms_build_reads_is_in_the_package(built: Package) -> None:
    options = [line.split() for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("-")]
    assert options
    assert {file for _, file in options} <= set(built.files)


def test_what_the_package_leaves_out_the_platform_is_told_to_build(built: Package) -> None:
    assert not any("site-packages" in name for name in built.files)
    assert yaml.safe_load((ROOT / "azure.yaml").read_text())["services"]["app"]["remoteBuild"] is True


def test_the_same_files_give_the_same_bytes(built: Package, tmp_path: Path) -> None:
    for name in (*built.files, package.IGNORED):
        copy = tmp_path / "project" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
        copy.chmod(0o600)
        os.utime(copy, (1_000_000_000, 1_000_000_000))
    assert package.build(tmp_path / "project", tmp_path / "again.zip").sha256 == built.sha256


@pytest.mark.parametrize(
    "name",
    [
        "local.settings.json",
        ".env",
        ".venv/bin/python",
        "function_app/__pycache__/settings.cpython-313.pyc",
        "hopkeeper.egg-info/PKG-INFO",
        "build/hopkeeper.zip",
        "tests/unit/test_guards.py",
        "nva_agent/hopkeeper_agent/main.py",
        "lab/stack.py",
        "infra/bicep/main.bicep",
    ],
)
def test_what_does_not_run_or_is_secret_stays_out(tmp_path: Path, name: str) -> None:
    (tmp_path / package.IGNORED).write_text((ROOT / package.IGNORED).read_text())
    for path in (tmp_path / name, tmp_path / "host.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert contents(tmp_path) == ("host.json",)


def test_what_is_neither_a_directory_nor_a_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.zip").write_text("not one")
    for path in (tmp_path / "app.zip", tmp_path / "none.zip"):
        with pytest.raises(LabError, match="make package"), unpacked(path):
            pass


@pytest.mark.parametrize("program", [serve.main, demo.main])
def test_host_and_demo_say_what_is_wrong_with_a_package(
    tmp_path: Path, program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(["--package", str(tmp_path / "none.zip")]) == 1
    assert "none.zip is neither a directory nor a zip" in capsys.readouterr().err


def test_a_zip_is_unpacked_alone_and_gone_afterwards(built: Package) -> None:
    with unpacked(built.path) as folder:
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == set(built.files)
    assert not folder.exists()


async def test_the_package_serves_in_the_labs_host(app: Path) -> None:
    async with Stack.make() as stack:
        stack.sweep = "0 0 0 1 1 *"
        await stack.up(app, with_nvas=False)
        code, plan = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}?dry_run=true")
        assert (code, [step["step"] for step in plan["peerings"][0]["steps"]]) == (200, ["CreatePeering"] * 2)
