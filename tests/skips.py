"""What may be skipped: nothing but what stands in NAMED. A pytest plugin says at the end of each run what was, and why.

With `--no-skips`, which CI gives, a run fails if it left out a test for any other reason, by `skip`, `xfail` or
deselection. Where a test says a name of the table although it does not hold, the run fails everywhere.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
"""The folder beside a clone that holds whole recordings and tools which are not part of this project."""


@dataclass(frozen=True, slots=True)
class Named:
    why: str
    """Why nothing is lost by it."""
    holds: Callable[[], bool]
    """Whether it is so, here and now."""


NAMED: Mapping[str, Named] = {
    "no ../shared": Named(
        "it holds what data of the tests was derived from, and they need only what was derived",
        lambda: not SHARED.is_dir(),
    ),
    "no Bicep compiler": Named(
        "no registry of packages has it; who changes infra/bicep has Azure's tools, and they bring it",
        lambda: subprocess.run(["sh", ROOT / ".ci" / "find-bicep"], capture_output=True, check=False).returncode != 0,
    ),
}
"""A test's reason is one of these names, alone or before a colon: `pytest.skip("no ../shared: ...")`."""


def shared(path: str) -> Path:
    """A folder of ../shared. Skips without ../shared; what is missing in it is the test's to fail for."""
    if not SHARED.is_dir():
        pytest.skip(f"no ../shared: {path}")
    return SHARED / path


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """One test, or file, that was not run to its end as a test that must pass."""

    reason: str
    where: str


@dataclass(eq=False)
class Skips:
    """The plugin. In a worker of xdist it only hands over what was deselected; reports come to the controller by themselves."""

    config: pytest.Config
    strict: bool
    named: Mapping[str, Named] = field(default_factory=lambda: NAMED)
    left_out: set[LeftOut] = field(default_factory=set)
    _deselected: set[str] = field(default_factory=set)

    @property
    def _is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self.left_out.add(LeftOut(f"xfail: {report.wasxfail}", report.nodeid))
        elif report.skipped:
            self.left_out.add(LeftOut(reason(report.longrepr), report.nodeid))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.left_out.add(LeftOut(reason(report.longrepr), report.nodeid))

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._deselected.update(item.nodeid for item in items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """xdist's: what a worker handed over when it ended. One that crashed hands over nothing, and the run has failed."""
        self._deselected.update(getattr(node, "workeroutput", {}).get("deselected", ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._is_worker:
            session.config.workeroutput["deselected"] = sorted(self._deselected)  # type: ignore[attr-defined]
            return
        self.left_out |= {LeftOut("deselected", nodeid) for nodeid in self._deselected}
        if session.exitstatus == pytest.ExitCode.OK and self.faults():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.lines():
            terminalreporter.write_line(line)
        for line in self.faults():
            terminalreporter.write_line(line, red=True)

    def name_of(self, said: str) -> str | None:
        """The name in the table that a reason begins with."""
        name = said.partition(":")[0]
        return name if name in self.named else None

    def faults(self) -> list[str]:
        """What fails the run, in words."""
        found = [
            f"error: {one.where} says {name!r}, and that is not so"
            for one in sorted(self.left_out)
            if (name := self.name_of(one.reason)) is not None and not self.named[name].holds()
        ]
        unnamed = [one for one in self.left_out if self.name_of(one.reason) is None]
        if self.strict and unnamed:
            found.append(f"error: left out for no reason that is named in tests/skips.py: {len(unnamed)}")
            if lacking := missing_packages():
                found.append(f"make tools, as root, installs what is missing here: {lacking}")
        return found

    def lines(self) -> list[str]:
        """Every reason with how many tests of which files it left out."""
        if not self.left_out:
            return ["skipped: nothing"]
        lines = [f"skipped: {len(self.left_out)}"]
        for said in sorted({one.reason for one in self.left_out}):
            files = [one.where.partition("::")[0] for one in self.left_out if one.reason == said]
            name = self.name_of(said)
            lines.append(f"  {said} ({self.named[name].why if name else 'not a named reason'})")
            lines += [f"    {file}: {files.count(file)}" for file in sorted(set(files))]
        return lines


def reason(longrepr: Any) -> str:
    """What a report says of its skip: (file, line, "Skipped: why")."""
    said = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(said).removeprefix("Skipped: ")


def missing_packages() -> str:
    done = subprocess.run(
        ["sh", str(ROOT / ".ci" / "install-tools"), "--missing"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout.strip()
