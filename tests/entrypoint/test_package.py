"""The zip that is deployed: what is in it, and that it is all that the app needs."""

import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pathspec
import pytest
import yaml

from lab import demo, serve
from lab.stack import TOPOLOGY, Stack
from tools.functions_host import worker_process
from tools.processes import ToolError
from tools.release import libraries, package, platform
from tools.release.libraries import Libraries
from tools.release.package import ROOT, Package, contents, unpacked

pytestmark = pytest.mark.timeout(300)  # the first test fetches the libraries

AT_THE_ROOT = {"function_app.py", "host.json", "main.py"}
BY_HAND_ONLY = ("function_app/cli/", "function_app/render/")
# As the last step of a deployment expects them.
FUNCTIONS = re.findall(r'(?m)^functions="([\w ]+)"', (ROOT / "infra/hooks/postdeploy.sh").read_text())[0].split()
CACHE = ROOT / "build" / "libraries"  # fetched once for all tests, and for `make package`
# With the standard library, the directories that it is given and nothing else, as -I and -S leave it: prints the functions
# that the app declares, and where each module came from. The platform's worker imports the script and requests the same;
# what the app imports only when it needs it, by name even (the large SDKs), is imported as well.
INDEX = """
import ast, importlib, importlib.util, json, pathlib, re, sys
sys.dont_write_bytecode = True
standard = [pathlib.Path(entry) for entry in sys.path]
sys.path[:] = [*sys.path, *sys.argv[1:]]
app = importlib.import_module("main").app
for file in pathlib.Path(sys.argv[-1], "function_app").rglob("*.py"):
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    words = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for name in [*names, *(word for word in words if re.fullmatch("azure([.][a-z]+)+", word))]:
        importlib.import_module(name)
files = [m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]
others = [n for n in ("simulator", "tests", "function_app.cli", "function_app.render") if importlib.util.find_spec(n)]
print(json.dumps({
    "functions": sorted(one.get_function_name() for one in app.get_functions()),
    "files": [file for file in files if not any(pathlib.Path(file).is_relative_to(one) for one in standard)],
    "others": others,
}))
"""


@pytest.fixture(scope="module")
def fetched() -> Libraries:
    return libraries.fetch(package.PINS, CACHE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, fetched: Libraries) -> Package:
    return package.build(ROOT, tmp_path_factory.mktemp("package") / "hopkeeper.zip", fetched.folder)


@pytest.fixture(scope="module")
def app(built: Package) -> Iterator[Path]:
    with unpacked(built.path) as folder:
        yield folder


def index(root: Path, *beside: Path) -> subprocess.CompletedProcess[str]:
    """As the platform: the package's libraries first, then what the worker has (`beside`), the app's own files last."""
    path = [root / libraries.FOLDER, *beside, root]
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", INDEX, *map(str, path)],
        env=os.environ | {"HOPKEEPER_SWEEP_SCHEDULE": "0 0 0 1 1 *"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def compiled(names: set[str]) -> set[str]:
    """What the byte code of the modules among them is called."""
    return {importlib.util.cache_from_source(name) for name in names if name.endswith(".py")}


def test_the_package_holds_all_that_runs_and_nothing_else(built: Package, fetched: Libraries) -> None:
    runs = {f"function_app/{name}" for name in files(ROOT / "function_app") if "__pycache__/" not in name}
    own = {name for name in built.files if not name.startswith(f"{libraries.FOLDER}/") and not name.endswith(".pyc")}
    assert own == AT_THE_ROOT | {path for path in runs if not path.startswith(BY_HAND_ONLY)}
    assert "function_app/domain/topology/model.py" in own
    assert set(built.files) - own - compiled(own) == {f"{libraries.FOLDER}/{name}" for name in files(fetched.folder)}
    with zipfile.ZipFile(built.path) as content:
        assert tuple(content.namelist()) == built.files
        assert content.testzip() is None


def test_libraries_lie_where_the_worker_looks() -> None:
    assert worker_process.DEPENDENCIES == libraries.FOLDER


def test_every_library_runs_on_the_platforms_python_and_c_library(fetched: Libraries) -> None:
    """PEP 425 tags: pure, or for CPython 3.13 (or its stable interface) and a glibc of 2.28 at most, as Debian's is newer."""
    fits = re.compile(r"(py3|py2\.py3)-none-any|cp3\d+-(cp313|abi3)-manylinux(2014|1|_2_(\d|1\d|2[0-8]))_x86_64")
    found = list(fetched.folder.glob("*.dist-info/WHEEL"))
    assert len(found) > 30
    for wheel in found:
        tags = re.findall(r"(?m)^Tag: (.+)$", wheel.read_text())
        assert any(fits.fullmatch(tag) for tag in tags), (wheel, tags)


@pytest.mark.parametrize(("part", "least"), [("function_app", 150), (libraries.FOLDER, 500), ("", 650)])
def test_every_module_comes_compiled_for_the_platforms_python(app: Path, part: str, least: int) -> None:
    """PEP 552: flags 0b01, hash-based and not checked: nothing in it depends on when it was made."""
    folder = app / part
    sources = {path for path in folder.rglob("*.py") if "test" not in path.as_posix()}
    assert len(sources) > least
    missing = {path for path in sources if not Path(importlib.util.cache_from_source(str(path))).is_file()}
    assert missing == set()
    for compiled in folder.rglob("*.pyc"):
        head = compiled.read_bytes()[:8]
        assert (head[:4], head[4:]) == (importlib.util.MAGIC_NUMBER, b"\x01\0\0\0")


def test_every_library_brings_the_text_of_its_licence(fetched: Libraries) -> None:
    """Whoever hands them on hands their licences on."""
    brought = list(fetched.folder.glob("*.dist-info"))
    texts = {one for one in brought for path in one.rglob("*") if re.search("(?i)licen[cs]e|copying", path.name)}
    assert set(brought) - texts == set()
    assert len(brought) == len(fetched.wheels)


def zipped_by_azd(folder: Path) -> set[str]:
    """What azd takes of a Python app's directory: createDeployableZip, cli/azd/pkg/project/project_utils.go (ae35809f4)."""
    ignore = folder / package.IGNORED
    rules = pathspec.GitIgnoreSpec.from_lines(ignore.read_text().splitlines()) if ignore.exists() else None

    def kept(path: Path) -> bool:
        if rules is not None:
            return not rules.match_file(path.relative_to(folder).as_posix() + "/" * path.is_dir())
        return not path.is_dir() or (path.name.lower() != "__pycache__" and not (path / "pyvenv.cfg").exists())

    found = set()
    for path in folder.rglob("*"):
        above = [one for one in path.parents if one.is_relative_to(folder) and one != folder]
        own = path.is_file() and path.name not in (package.IGNORED, "local.settings.json")
        if own and ".azure" not in path.parts and all(kept(one) for one in (path, *above)):
            found.add(path.relative_to(folder).as_posix())
    return found


def test_azd_deploys_the_files_of_the_zip(built: Package, tmp_path: Path) -> None:
    folder = package.lay_out(built.path, tmp_path / "package")
    assert zipped_by_azd(folder) == set(built.files)
    (folder / package.IGNORED).unlink()
    assert {name for name in built.files if name.endswith(".pyc")} & zipped_by_azd(folder) == set()


def test_nothing_is_built_after_the_package() -> None:
    """azd builds a Python app remotely unless `remoteBuild` is false (azure-dev, resolveFunctionAppRemoteBuild)."""
    service = yaml.safe_load((ROOT / "azure.yaml").read_text())["services"]["app"]
    assert service["remoteBuild"] is False


def test_a_remote_build_by_mistake_finds_nothing_to_build(built: Package) -> None:
    assert not {"requirements.txt", "pyproject.toml", "setup.py"} & set(built.files)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, at another place, of another time and for their owner only."""
    folder = tmp_path_factory.mktemp("project")
    for name in (*contents(ROOT), package.IGNORED):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
        copy.chmod(0o600)
        os.utime(copy, (1_000_000_000, 1_000_000_000))
    return folder


def by_another(program: str, *arguments: Path, umask: int = 0o077, seed: str = "77") -> str:
    """What a program of this repository prints, run with another umask and another order of sets, elsewhere."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": "Pacific/Auckland"},
        cwd=arguments[-1].parent,
        umask=umask,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def fetched_again(fetched: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Libraries:
    """To another place, where some had been fetched before and were lost: all are fetched and compiled anew."""
    cache = tmp_path_factory.mktemp("elsewhere") / "cache"
    kept = cache / fetched.folder.parent.name / fetched.folder.name
    shutil.copytree(fetched.folder.parent, kept.parent)
    shutil.rmtree(kept / "azure" / "mgmt")
    fetch = "import pathlib as p, sys; from tools.release import libraries as l; l.fetch(*map(p.Path, sys.argv[1:]))"
    by_another(fetch, package.PINS, cache)
    return libraries.fetch(package.PINS, cache)


BUILD = "import pathlib as p, sys; from tools.release import package; print(package.build(*map(p.Path, sys.argv[1:])).sha256)"


def test_the_apps_own_part_is_the_same_whoever_builds_it(project: Path, tmp_path: Path) -> None:
    digests = {
        package.build(ROOT, tmp_path / "here.zip").sha256,
        by_another(BUILD, project, tmp_path / "there.zip"),
        by_another(BUILD, ROOT, tmp_path / "later.zip", umask=0o002, seed="1"),
    }
    assert len(digests) == 1


def test_the_same_files_and_pins_give_the_same_bytes(
    built: Package, project: Path, fetched_again: Libraries, tmp_path: Path
) -> None:
    assert package.build(project, tmp_path / "again.zip", fetched_again.folder).sha256 == built.sha256


def test_libraries_are_fetched_once_for_the_same_pins(fetched: Libraries, tmp_path: Path) -> None:
    """Without an index too: what is there is taken, and what is not there is said."""
    pins = tmp_path / "app.txt"
    shutil.copy(package.PINS, pins)
    assert libraries.fetch(pins, CACHE) == fetched
    with pins.open("a") as more:
        more.write(f"--no-index\n--find-links {tmp_path / 'empty'}\n")
    with pytest.raises(ToolError, match="It needs the package index the first time"):
        libraries.fetch(pins, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def wheel_of(folder: Path, content: str) -> str:
    """A wheel of the library `part`, version 1.0, in `folder`; gives its SHA-256."""
    made = folder / "part-1.0-py3-none-any.whl"
    files = {
        "part.py": content,
        "part-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: part\nVersion: 1.0\n",
        "part-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("part-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    return hashlib.sha256(made.read_bytes()).hexdigest()


def test_a_library_of_another_content_under_the_pinned_version_is_refused(tmp_path: Path) -> None:
    pinned = wheel_of(tmp_path, "harmless = True\n")
    pins = tmp_path / "pins.txt"
    pins.write_text(f"--no-index\n--find-links {tmp_path}\npart==1.0 --hash=sha256:{pinned}\n")
    assert libraries.fetch(pins, tmp_path / "before").wheels == {"part": pinned}
    other = wheel_of(tmp_path, "harmless = False\n")
    with pytest.raises(ToolError, match=f"(?s)are others than it names.*Expected sha256 {pinned}.*Got +{other}"):
        libraries.fetch(pins, tmp_path / "after")
    assert list((tmp_path / "after").iterdir()) == []


def test_a_library_whose_content_is_not_pinned_is_refused(tmp_path: Path) -> None:
    wheel_of(tmp_path, "")
    pins = tmp_path / "pins.txt"
    pins.write_text(f"--no-index\n--find-links {tmp_path}\npart==1.0\n")
    with pytest.raises(ToolError, match="Hashes are required"):
        libraries.fetch(pins, tmp_path / "cache")


@pytest.mark.parametrize(
    "lost", ["azure/mgmt", "msgspec/__init__.py", "aiohttp/client.py", "../wheels.json", "../files.json"]
)
@pytest.mark.parametrize("how", ["gone", "cut short"])
def test_libraries_that_lost_a_file_are_not_packaged(
    fetched: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, how: str
) -> None:
    """Here there is no index to fetch them from again, so that it is said; the test below fetches them."""
    cache = tmp_path / "cache"
    shutil.copytree(fetched.folder.parent, cache / fetched.folder.parent.name)
    assert libraries.fetch(package.PINS, cache).wheels == fetched.wheels
    damaged = cache / fetched.folder.parent.name / fetched.folder.name / lost
    if how == "cut short":
        one = damaged if damaged.is_file() else next(path for path in damaged.rglob("*.py") if path.stat().st_size)
        one.write_bytes(one.read_bytes()[:-1])
    elif damaged.is_dir():
        shutil.rmtree(damaged)
    else:
        damaged.unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ToolError, match="files of the cache were lost"):
        libraries.fetch(package.PINS, cache)


def test_libraries_that_lost_a_file_are_fetched_again(fetched: Libraries, fetched_again: Libraries) -> None:
    assert (fetched_again.folder / "azure" / "mgmt").is_dir()
    found = fetched_again.folder.parent
    assert [path.name for path in found.parent.iterdir()] == [found.name] == [fetched.folder.parent.name]


def test_what_lies_about_under_the_libraries_name_is_not_taken_for_them(tmp_path: Path) -> None:
    (tmp_path / package.IGNORED).write_text((ROOT / package.IGNORED).read_text())
    for name in ("host.json", f"{libraries.FOLDER}/old.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert contents(tmp_path) == ("host.json",)


def test_a_package_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / package.IGNORED).write_text("*\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "noise.so").write_bytes(random.Random(1).randbytes(package.SIZE_LIMIT + 1))
    with pytest.raises(ToolError, match=r"the limit is 30,000,000.*SIZE_LIMIT"):
        package.build(tmp_path / "project", tmp_path / "large.zip", tmp_path / "more")


@pytest.mark.parametrize(
    "name",
    [
        "local.settings.json",
        ".env",
        ".venv/bin/python",
        "venv313/bin/python",
        "app.key",
        "requirements.txt",
        "function_app/app.key",
        "function_app/adapters/.env",
        "function_app/adapters/.venv/lib/x.py",
        "function_app/local.settings.json",
        "function_app/notes.md",
        "function_app/id_rsa",
        "function_app/adapters/key",
        "function_app/domain/service/guards.py.orig",
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
        with pytest.raises(ToolError, match="make package"), unpacked(path):
            pass


@pytest.mark.parametrize("program", [serve.main, demo.main])
def test_host_and_demo_say_what_is_wrong_with_a_package(
    tmp_path: Path, program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(["--package", str(tmp_path / "none.zip")]) == 1
    assert "none.zip is neither a directory nor a zip" in capsys.readouterr().err


def test_a_zip_is_unpacked_alone_and_gone_afterwards(built: Package) -> None:
    with unpacked(built.path) as folder:
        assert files(folder) == set(built.files)
    assert not folder.exists()


def test_the_app_comes_up_with_the_package_and_nothing_else(app: Path) -> None:
    done = index(app)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert printed["functions"] == sorted(FUNCTIONS)
    assert {Path(file).is_relative_to(app) for file in printed["files"]} == {True}
    assert printed["others"] == []


def test_a_module_that_the_package_lacks_is_missed(app: Path, tmp_path: Path) -> None:
    shutil.copytree(app, tmp_path / "app", ignore=shutil.ignore_patterns("decide.py"))
    done = index(tmp_path / "app")
    assert done.returncode != 0
    assert "function_app.domain" in done.stderr
    assert "decide" in done.stderr


@pytest.mark.parametrize("library", ["msgspec", "azure/mgmt"])
def test_a_library_that_the_package_lacks_is_missed_beside_the_platforms_worker(
    app: Path, tmp_path: Path, library: str
) -> None:
    """The worker brings libraries along too, but not those of the developers' environment."""
    beside = platform.worker()
    copy = tmp_path / "app"
    shutil.copytree(app, copy)
    assert index(copy, beside).returncode == 0
    shutil.rmtree(copy / libraries.FOLDER / library)
    done = index(copy, beside)
    assert done.returncode != 0
    assert f"No module named '{library.replace('/', '.')}'" in done.stderr


@pytest.mark.parametrize("library", ["msgspec", "cryptography"])
def test_the_labs_host_finds_no_library_that_the_package_lacks(app: Path, tmp_path: Path, library: str) -> None:
    """As `PACKAGE=build/hopkeeper.zip make host` runs it: here it is installed, and would be found if it were looked for."""
    shutil.copytree(app, tmp_path / "app")
    shutil.rmtree(tmp_path / "app" / libraries.FOLDER / library)
    settings = {"PYTHON_SCRIPT_FILE_NAME": "main.py", "HOPKEEPER_SWEEP_SCHEDULE": "0 0 0 1 1 *"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tools.functions_host",
            "--root",
            str(tmp_path / "app"),
            "--state",
            str(tmp_path / "state"),
        ],
        env=os.environ | settings | {"AzureWebJobsStorage": f"directory:{tmp_path / 'state'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"No module named '{library}'" in done.stderr


def test_the_worker_is_all_that_lies_beside_the_package() -> None:
    folder = platform.worker()
    assert (folder / "azure_functions_runtime" / "__init__.py").is_file()
    assert not {"aiohttp", "pytest", "msgspec", "_pytest", "lab"} & {path.name for path in folder.iterdir()}


async def test_the_package_serves_in_the_labs_host(app: Path) -> None:
    async with Stack.make() as stack:
        stack.sweep = "0 0 0 1 1 *"
        await stack.up(app, with_nvas=False)
        code, plan = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}?dry_run=true")
        assert (code, [step["step"] for step in plan["peerings"][0]["steps"]]) == (200, ["CreatePeering"] * 2)
