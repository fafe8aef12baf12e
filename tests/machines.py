"""Fresh interpreters for what is released: each has the libraries that it is given, and no other."""

import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.processes import ToolError
from tools.release.wheels import wheel


def visible(*roots: str) -> dict[str, Path]:
    """The top-level files of these libraries and of all that they need, by name."""
    found: dict[str, Path] = {}
    due, seen = list(roots), set()
    while due:
        name = due.pop()
        if name in seen:
            continue
        seen.add(name)
        own = distribution(name)
        for file in own.files or ():
            if ".." not in file.parts:
                found[file.parts[0]] = Path(str(own.locate_file(file.parts[0])))
        wanted = [Requirement(one) for one in own.requires or ()]
        due += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def machine(folder: Path, *libraries: str) -> Path:
    """An interpreter that has these libraries and no other; gives its path."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    for name, path in visible(*libraries).items():
        (site / name).symlink_to(path)
    return folder / "bin" / "python"


def environment() -> dict[str, str]:
    """Nothing of ours is on any path."""
    return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}


def built_wheel(folder: Path, source: Path) -> Path:
    """Of a distribution of this repository."""
    try:
        return wheel(folder, source)
    except ToolError as error:
        if "No matching distribution found for setuptools" in str(error):
            pytest.skip("pip cannot fetch setuptools here: the wheel was not built")
        raise


def pip_install(python: Path, wheel: Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--force-reinstall"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *quiet, str(wheel)]
    done = subprocess.run(pip, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
