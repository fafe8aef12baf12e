"""Builds a wheel of one of the project's distributions, with nothing but Python and pip: whoever wants one needs no more."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.processes import ToolError

EPOCH = "315532800"  # 1980-01-01, the earliest that a zip can say: a wheel's dates


def wheel(out: Path, source: Path) -> Path:
    """Builds the wheel into the directory `out`. Raises ToolError with pip's own words."""
    with tempfile.TemporaryDirectory(prefix="hopkeeper-wheel-") as folder:
        # From a copy: setuptools leaves a build directory behind, and packs what an earlier one left.
        copy = Path(folder) / "source"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
        made = Path(folder) / "wheel"
        quiet = ["--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "--wheel-dir", str(made), str(copy)],
            env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        found = sorted(made.glob("*.whl"))
        if done.returncode != 0 or len(found) != 1:
            raise ToolError(f"the wheel could not be built:\n{done.stderr.strip()}")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(found[0], out / found[0].name))
