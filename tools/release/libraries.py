"""The libraries of what is handed out, as the platform runs them.

Flex Consumption runs CPython 3.13 on Debian with glibc 2.28 or later, x86-64: wheels for that are taken wherever this is
run, none is built, so the developer's own machine does not matter. Pins (tools/release/pins) name each with the SHA-256 of
its wheel, and pip takes no other: the same pins give the same files, as long as the same Python compiles them.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.release.run_pip import run_pip

FOLDER = ".python_packages/lib/site-packages"  # below the app's root, where the platform's worker looks
WHEELS = (
    "--only-binary=:all:",
    "--platform=manylinux2014_x86_64",
    "--platform=manylinux_2_28_x86_64",
    "--python-version=3.13",
    "--implementation=cp",
)
# Byte code, which Python takes without a look at the source. The platform mounts a package read-only, so that every new
# instance and every restarted worker would compile anew: 8 s for these libraries on the machine where it was measured,
# 3 s with it. A Python of another minor version, which has other byte code, compiles as before.
COMPILED = ("-q", "--invalidation-mode=unchecked-hash")
# What an installer adds for itself, and what differs between two installations of the same wheels.
OF_THE_INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
# What a wheel has installed beside its modules: scripts, settings, manual pages.
BESIDE = ("bin", "etc", "share")
# Beside the libraries: of each its wheel, and of each file its digest.
WHEELS_OF, FILES_OF = "wheels.json", "files.json"


@dataclass(frozen=True, slots=True)
class Libraries:
    """A directory to import from; `wheels` gives the SHA-256 of the wheel of each, by canonical name."""

    folder: Path
    wheels: Mapping[str, str]

    def find(self, name: str) -> Distribution:
        """The one of that canonical name. Raises PackageNotFoundError."""
        for one in distributions(path=[str(self.folder)]):
            if canonicalize_name(one.metadata["Name"]) == name:
                return one
        raise PackageNotFoundError(name)


def fetch(pins: Path, cache: Path) -> Libraries:
    """The libraries that the file `pins` names: from the directory `cache` where the same were fetched before, and again
    where a file of those is missing or another than then.

    Raises ToolError with pip's own words, OSError.
    """
    key = "\0".join([pins.read_text(), *WHEELS, *BESIDE, *COMPILED, sys.version])
    found = cache / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not _whole(found):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as made:
            _install(pins, Path(made, "new"))
            try:
                if found.exists():
                    os.replace(found, Path(made, "old"))
                os.replace(Path(made, "new"), found)
            except OSError:  # another run was first
                if not _whole(found):
                    raise
    return Libraries(found / "libraries", json.loads((found / WHEELS_OF).read_text()))


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder`, by its path there, but of the list of these."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / FILES_OF
    }


def _whole(found: Path) -> bool:
    """Whether every file is there as it was fetched: what a clean-up or a full disk took would be missed in Azure only."""
    try:
        kept = json.loads((found / FILES_OF).read_text())
        return bool(kept == _digests(found))
    except (OSError, ValueError):
        return False


def _install(pins: Path, out: Path) -> None:
    target, report = out / "libraries", out / "report.json"
    out.mkdir()
    where = ["--target", str(target), "--report", str(report), "--require-hashes", "--requirement", str(pins)]
    failing = (
        f"the libraries of {pins.name} could not be fetched, or are others than it names. It needs the package index the "
        "first time that these pins are built, and again after `make clean` or where files of the cache were lost; "
        "`make pins` writes them anew"
    )
    run_pip(failing, "install", "--no-compile", *WHEELS, *where)
    wheels = {name: digest for name, (_, digest) in reported(report).items()}
    report.unlink()
    (out / WHEELS_OF).write_text(json.dumps(wheels, indent=1, sort_keys=True))
    for name in BESIDE:
        shutil.rmtree(target / name, ignore_errors=True)
    for metadata in target.glob("*.dist-info"):
        for name in OF_THE_INSTALLER:
            (metadata / name).unlink(missing_ok=True)
    compile_all(target, FOLDER)
    (out / FILES_OF).write_text(json.dumps(_digests(out), indent=1))


def reported(report: Path) -> dict[str, tuple[str, str]]:
    """Of each library in pip's report of an installation, by canonical name: its version, and the SHA-256 of its wheel."""
    return {
        canonicalize_name(one["metadata"]["name"]): (
            one["metadata"]["version"],
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in json.loads(report.read_text())["install"]
    }


def compile_all(folder: Path, place: str = "") -> None:
    """Compiles the Python files below `folder`, which will lie at `place` below the app's root, beside themselves.

    In a Python of its own: what else one has loaded can be seen in byte code. The place where it was made is not in it.
    Raises OSError, subprocess.CalledProcessError for what is no Python.
    """
    command = [sys.executable, "-I", "-m", "compileall", *COMPILED, "-s", str(folder), "-p", place, str(folder)]
    subprocess.run(command, check=True, capture_output=True)
