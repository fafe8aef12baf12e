"""Bicep by its own compiler, offline: what it says of the files, and what a deployment of them would make.

Every evaluation is of a copy, with exactly the environment that is given. An evaluation takes seconds: its answer is kept
in build/bicep, by the digest of all that it depends on.
"""

import copy
import fcntl
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra" / "bicep"
NO_COMPILER = "no Bicep compiler"
"""The reason of every test that is skipped for want of one."""
KEPT = ROOT / "build" / "bicep"
# The templates, and what they read into machines of the lab.
READ = ("infra/bicep", "lab/echo.py", "lab/packets", "nva_agent/packaging")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP = "rg-hopkeeper"
LOCATION = "uksouth"
PLACE = (
    f"--subscription-id={SUBSCRIPTION}",
    "--tenant-id=33333333-3333-3333-3333-333333333333",
    f"--resource-group={GROUP}",
    f"--location={LOCATION}",
    "--deployment-name=main",
)
GONE = object()

# What `environment()` gives in a cloud, as far as the templates ask: an evaluation knows no cloud, and leaves all that
# depends on one as text. Source: "environment" in "Deployment functions for Bicep".
CLOUDS = {
    "AzureCloud": {
        "name": "AzureCloud",
        "resourceManager": "https://management.azure.com/",
        "authentication.loginEndpoint": "https://login.microsoftonline.com/",
        "suffixes.storage": "core.windows.net",
    },
    "AzureChinaCloud": {
        "name": "AzureChinaCloud",
        "resourceManager": "https://management.chinacloudapi.cn/",
        "authentication.loginEndpoint": "https://login.chinacloudapi.cn/",
        "suffixes.storage": "core.chinacloudapi.cn",
    },
}
ENVIRONMENT = re.compile(r"environment\(\)\.(\w+(?:\.\w+)*)")

type Texts = Mapping[str, str]
type Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a deployment would make. Expressions that need a running resource stand there as text in brackets."""

    made: tuple[Resource, ...]
    outputs: Mapping[str, Any]

    def resources(self, type_: str) -> list[Resource]:
        return [each for each in self.made if each["type"] == type_]

    def one(self, type_: str) -> Resource:
        """Raises ValueError where there is not exactly one."""
        (found,) = self.resources(type_)
        return found

    def spoilt(self, type_: str, path: str, value: object = GONE) -> Self:
        """A copy in which a property of every resource of a type is another or, without a value, gone.

        `path` may lead through elements of lists: `properties.rules.0.name`. Raises LookupError where nothing changes.
        """
        made = copy.deepcopy(self.made)
        changed = False
        *parents, last = path.split(".")
        for resource in made:
            if resource["type"] != type_:
                continue
            inside = at(resource, ".".join(parents))
            if isinstance(inside, list) and int(last) < len(inside):
                changed = True
                inside[int(last)] = value
                if value is GONE:
                    del inside[int(last)]
            elif isinstance(inside, dict) and (value is not GONE or last in inside) and inside.get(last, GONE) != value:
                changed = True
                inside.pop(last, None)
                inside |= {} if value is GONE else {last: value}
        if not changed:
            raise LookupError(f"no {type_} has {path} to spoil")
        return type(self)(made, self.outputs)

    def replaced(self, old: str, new: str) -> Self:
        """A copy with another text wherever `old` stands. Raises LookupError where it does not."""
        text = json.dumps(self.made)
        if old not in text:
            raise LookupError(f"nothing holds {old!r}")
        return type(self)(tuple(json.loads(text.replace(old, new))), self.outputs)

    def without(self, type_: str, named: str = "") -> Self:
        """A copy without the resources of a type whose id holds `named`. Raises LookupError where there is none."""
        kept = tuple(each for each in self.made if each["type"] != type_ or named not in each["id"])
        if len(kept) == len(self.made):
            raise LookupError(f"there is no {type_} {named}")
        return type(self)(kept, self.outputs)


def at(value: Any, path: str, default: Any = None) -> Any:
    """What is at a dotted path, through objects and, by number, lists."""
    for key in filter(None, path.split(".")):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return default
    return value


@cache
def find() -> Path | None:
    found = subprocess.run(["sh", ROOT / ".ci" / "find-bicep"], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def compiler() -> Path:
    """Skips the test where there is none."""
    return find() or pytest.skip(NO_COMPILER)


def texts() -> dict[str, str]:
    """Every file that a compilation may read, by its path below the project."""
    paths = (path for name in READ for path in (ROOT / name, *(ROOT / name).rglob("*")))
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths if path.is_file() and path.suffix != ".pyc"}


def planted(name: str, old: str, new: str) -> dict[str, str]:
    """All files, with a fault put into one below infra/bicep. Raises LookupError where there is nothing to replace."""
    path, files = f"infra/bicep/{name}", texts()
    if old not in files[path]:
        raise LookupError(f"{name} holds no {old!r} to spoil")
    return files | {path: files[path].replace(old, new, 1)}


def lint(files: Texts, environment: Mapping[str, str]) -> list[str]:
    """What the compiler has to say of every template and every parameter file, a line each."""
    with _copied(files) as folder:
        said = [_run(folder, environment, "lint", f"--pattern=**/*.{kind}") for kind in ("bicep", "bicepparam")]
    lines = {line for each in said for line in (each.stdout + each.stderr).splitlines() if line}
    return sorted(line.replace(f"{folder}/", "") for line in lines)


def unformatted(files: Texts) -> list[str]:
    """The files that `bicep format` would write differently."""
    with _copied(files) as folder:
        for kind in ("bicep", "bicepparam"):
            _run(folder, {}, "format", f"--pattern=**/*.{kind}").check_returncode()
        names = [path.relative_to(folder) for path in folder.rglob("*.bicep*")]
        return sorted(
            str(name) for name in names if (folder / name).read_text() != files.get(f"infra/bicep/{name}", "")
        )


def evaluated(
    parameters: str, environment: Mapping[str, str], files: Texts | None = None, cloud: str = "AzureCloud"
) -> Snapshot:
    """What a parameter file (its path below infra/bicep) would make. Raises AssertionError with the compiler's words."""
    answer = _answer(parameters, environment, _in_cloud(files or texts(), cloud))
    assert answer["snapshot"] is not None, f"{parameters}: {answer['said']}"
    assert answer["snapshot"]["diagnostics"] == [], parameters
    return Snapshot(tuple(answer["snapshot"]["predictedResources"]), answer["snapshot"]["outputs"])


def refused(parameters: str, environment: Mapping[str, str]) -> str:
    """Why a parameter file is refused, in the compiler's words. Raises AssertionError where it is not."""
    answer = _answer(parameters, environment, _in_cloud(texts(), "AzureCloud"))
    assert answer["snapshot"] is None, f"{parameters} is not refused"
    return str(answer["said"])


def _in_cloud(files: Texts, cloud: str) -> dict[str, str]:
    """Raises KeyError for what CLOUDS does not know."""
    return {
        name: ENVIRONMENT.sub(lambda found: f"'{CLOUDS[cloud][found[1]]}'", content)
        if name.endswith(".bicep")
        else content
        for name, content in files.items()
    }


def _answer(parameters: str, environment: Mapping[str, str], files: Texts) -> dict[str, Any]:
    inputs = [version(), PLACE, parameters, sorted(environment.items()), sorted(files.items())]
    kept = KEPT / f"{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()}.json"
    KEPT.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers ask for the same: one of them evaluates
        if not kept.exists():
            with _copied(files) as folder:
                made = folder / parameters.replace(".bicepparam", ".snapshot.json")
                done = _run(folder, environment, "snapshot", parameters, "--mode=overwrite", *PLACE)
                snapshot = json.loads(made.read_text()) if done.returncode == 0 else None
            written = kept.with_suffix(".new")
            written.write_text(json.dumps({"said": done.stdout + done.stderr, "snapshot": snapshot}))
            written.rename(kept)
    answer: dict[str, Any] = json.loads(kept.read_text())
    return answer


@cache
def version() -> str:
    return _run(ROOT, {}, "--version").stdout.strip()


def _run(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    found = str(compiler())
    own = {name: os.environ[name] for name in ("HOME", "PATH", "XDG_CACHE_HOME", "BICEP_CACHE") if name in os.environ}
    return subprocess.run(
        [found, *arguments], cwd=folder, env={**own, **environment}, capture_output=True, text=True, check=False
    )


@contextmanager
def _copied(files: Texts) -> Iterator[Path]:
    """infra/bicep in a copy of the files."""
    with tempfile.TemporaryDirectory(prefix="bicep-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        yield Path(folder, "infra", "bicep")
