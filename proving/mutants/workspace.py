"""A copy of the tree that takes one patch at a time, and the processes that run tests in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proving.mutants.patch import Patch
from proving.mutants.witness import REPORT

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "node_modules", "__pycache__", "*.egg-info", "*.pyc", ".*_cache"
)
TEST_SECONDS = 30
"""What one test may take before a patch that makes it hang counts as noticed."""
RUN_SECONDS = 600
"""What one process may take altogether."""
FAILED = 1
"""pytest's exit code for tests that ran and failed; others are broken runs and prove nothing."""


class RunError(Exception):
    """A run that says nothing about the patch: the tests could not be collected, or they imported another tree."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run showed: the first thing that noticed a fault (None: nothing did), and every failed test."""

    killer: str | None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workspace:
    """One copy. Not for concurrent use."""

    root: Path

    @classmethod
    def copied(cls, tree: Path, to: Path) -> "Workspace":
        shutil.copytree(tree, to, ignore=LEFT_OUT, symlinks=True)
        return cls(to.resolve())

    @contextmanager
    def patched(self, patch: Patch) -> Iterator[None]:
        """The copy with this patch applied, and as it was before afterwards. Raises DoesNotApplyError, SyntaxError."""
        before = {file: (self.root / file).read_text() for file in patch.files if (self.root / file).exists()}
        for file, text in patch.applied(self.root).items():
            (self.root / file).write_text(text)
        try:
            yield
        finally:
            for file, text in before.items():
                (self.root / file).write_text(text)

    def test(self, ids: Sequence[str], loads: Sequence[str] = (), stop_at_first: bool = True) -> Seen:
        """Runs tests here. `loads` names modules that they must have imported. Raises RunError."""
        witness = self.root / "build" / "witness.json"
        witness.parent.mkdir(exist_ok=True)
        witness.unlink(missing_ok=True)
        plugins = ["-p", "no:cacheprovider", "-p", "proving.mutants.witness", f"--timeout={TEST_SECONDS}"]
        first = ["-x"] if stop_at_first else []
        code, output = self._run(["pytest", *plugins, *first, "--tb=no", *ids], {REPORT: str(witness)})
        if code is None:
            return Seen(f"no end within {RUN_SECONDS} s")
        if not witness.exists():
            raise RunError(f"pytest ended with {code} and wrote no report: {output[-2000:]}")
        report = json.loads(witness.read_text())
        if fault := self._fault(report, code, loads):
            raise RunError(f"{', '.join(ids)}: {fault}; {output[-2000:]}")
        failed = tuple(report["failed"])
        return Seen(failed[0] if failed else None, failed)

    def _fault(self, report: Mapping[str, Any], code: int, loads: Sequence[str]) -> str | None:
        """Why a run says nothing about the patch."""
        elsewhere = [n for n, f in report["modules"].items() if not Path(f).resolve().is_relative_to(self.root)]
        if elsewhere:
            return f"not imported from the copy: {', '.join(elsewhere)}"
        if report["broken"] or code not in (0, FAILED) or not report["collected"]:
            return f"pytest ended with {code}: {'; '.join(report['broken'])}"
        unseen = [name for name in loads if name not in report["modules"]]
        return f"never imported {', '.join(unseen)}" if unseen else None

    def _run(self, module: list[str], extra: dict[str, str]) -> tuple[int | None, str]:
        """(exit code, or None where it had to be ended; what it printed)."""
        # The copy first, and never the editable installation: that is found by a finder that comes last.
        path = os.pathsep.join((str(self.root), str(self.root / "nva_agent")))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **extra}
        output = self.root / "build" / "output.txt"
        output.parent.mkdir(exist_ok=True)
        with output.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.root,
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(RUN_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(process)
        return code, output.read_text(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of the run, which has a session of its own: tests start programs themselves."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
