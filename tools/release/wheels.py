"""Builds a wheel of one of the project's distributions, with nothing but Python and pip: whoever wants one needs no more."""

import os
import shutil
import tempfile
from pathlib import Path

from tools.release.run_pip import PINNED, run_pip

EPOCH = "315532800"  # 1980-01-01, the earliest that a zip can say: a wheel's dates
PINS = PINNED / "build.txt"
UMASK = 0o022


def wheel(out: Path, source: Path) -> Path:
    """Builds the wheel into the directory `out`. Raises ToolError with pip's own words.

    The same source gives the same bytes: what builds it is pinned with its digest, and dates and modes are fixed.
    """
    with tempfile.TemporaryDirectory(prefix="hopkeeper-wheel-") as folder:
        # From a copy: setuptools leaves a build directory behind, and packs what an earlier one left.
        copy, made, backend = Path(folder, "source"), Path(folder, "wheel"), Path(folder, "backend")
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
        for path in copy.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        hashed = ["--only-binary=:all:", "--require-hashes", "--requirement", str(PINS)]
        _pip("install", *hashed, "--target", str(backend))
        _pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(made), str(copy), backend=backend)
        found = next(made.glob("*.whl"))
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(found, out / found.name))


def _pip(verb: str, *arguments: str, backend: Path | None = None) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH} | ({"PYTHONPATH": str(backend)} if backend else {})
    run_pip("the wheel could not be built", verb, *arguments, env=environment, umask=UMASK)
