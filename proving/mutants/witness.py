"""A pytest plugin that writes down which tests failed, and where the product was imported from.

Loaded inside the copy with `-p proving.mutants.witness`. A mutant that "survives" because the tests had imported another
tree, or never imported the mutated module at all, would say nothing about them.
"""

import json
import os
import sys
from pathlib import Path

import pytest

REPORT = "HOPKEEPER_MUTANT_WITNESS"
"""Environment variable: the file to write."""
PRODUCT = ("function_app", "hopkeeper_agent")


class Witness:
    """`failed` holds node ids in order; `broken` what could not even be collected."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failed: list[str] = []
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid}: {report.longreprtext[-1000:]}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        report = {
            "failed": self.failed,
            "broken": self.broken,
            "collected": session.testscollected,
            "modules": {
                name: str(getattr(module, "__file__", None))
                for name, module in sorted(sys.modules.items())
                if name.partition(".")[0] in PRODUCT
            },
        }
        self._path.write_text(json.dumps(report))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Witness(Path(os.environ[REPORT])))
