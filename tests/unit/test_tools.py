"""What CI installs is what the lab and the tests ask for."""

import re
from pathlib import Path

from lab.networks.daemons import DAEMONS
from lab.packets import private

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / ".ci" / "install-tools").read_text().partition('tools="')[2].partition('"')[0]
INSTALLED = dict(re.findall(r"^(\S+) +(\S+)$", TABLE, re.MULTILINE))


def test_ci_looks_for_every_program_that_the_lab_runs_and_installs_the_same_package() -> None:
    assert INSTALLED.items() >= private.PROGRAMS.items()
    assert set(INSTALLED.values()) >= {daemon.package for daemon in DAEMONS.values() if daemon.package}


def test_ci_installs_every_package_whose_absence_leaves_a_test_out() -> None:
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "lab").rglob("*.py")]
    named = {
        package for path in sources for package in re.findall(r"Debian package ([a-z0-9-]+)[)\"']", path.read_text())
    }
    assert named
    assert named <= set(INSTALLED.values())


def test_ci_installs_before_it_tests_and_lets_no_test_be_left_out() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-2:] == [".ci/install-tools", "make check test NO_SKIPS=1"]
    recipes = (ROOT / "Makefile").read_text()
    assert re.search(r"^PYTEST := .*-m pytest \$\(if \$\(NO_SKIPS\),--no-skips\)$", recipes, re.MULTILINE)
    assert recipes.count("-m pytest") == 1
