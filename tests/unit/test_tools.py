"""What CI installs is what the lab and the tests ask for."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from lab.networks.daemons import DAEMONS
from lab.packets import namespaces

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / ".ci" / "install-tools"
TABLE = INSTALL.read_text().partition('tools="')[2].partition('"')[0]
INSTALLED = dict(re.findall(r"^(\S+) +(\S+)$", TABLE, re.MULTILINE))


def test_ci_looks_for_every_program_that_the_lab_runs_and_installs_the_same_package() -> None:
    assert INSTALLED.items() >= namespaces.PROGRAMS.items()
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


OURS = "exit 101"
ADMINS = "#!/bin/sh\nexit 104\n"


def install(folder: Path, apt_get: str, missing: str = "/nowhere/tool") -> subprocess.CompletedProcess[str]:
    """Runs install-tools with `missing` alone on its list and this script for `apt-get`; its policy-rc.d is in `folder`."""
    bin_ = folder / "bin"
    bin_.mkdir(exist_ok=True)
    for name, script in {"apt-get": apt_get, "id": "echo 0", "systemctl": "exit 0"}.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_ / name).chmod(0o755)
    script = folder / "install-tools"
    script.write_text(INSTALL.read_text().replace(TABLE, f"\n{missing} hopkeeper-nothing\n"))
    environment = os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}", "HOPKEEPER_POLICY": str(folder / "policy-rc.d")}
    return subprocess.run(["sh", script], env=environment, capture_output=True, text=True, timeout=60, check=False)


KILL_9 = 'case "$*" in *update*) kill -9 "$PPID" ;; esac'
SEEN = 'cat "$HOPKEEPER_POLICY" >"$HOPKEEPER_POLICY.seen"'


@pytest.mark.parametrize("admins", [ADMINS, None])
@pytest.mark.parametrize("kills", [0, 1, 2])
def test_the_admins_policy_is_put_back_whatever_ended_the_runs_before(
    tmp_path: Path, admins: str | None, kills: int
) -> None:
    policy = tmp_path / "policy-rc.d"
    if admins is not None:
        policy.write_text(admins)
        policy.chmod(0o755)
    for _ in range(kills):
        assert install(tmp_path, KILL_9).returncode == -9
        assert OURS in policy.read_text()
    done = install(tmp_path, SEEN)
    assert done.returncode == 0, done
    assert OURS in (tmp_path / "policy-rc.d.seen").read_text()
    assert (policy.read_text() if policy.exists() else None) == admins
    if admins is not None:
        assert os.access(policy, os.X_OK)
    assert not list(tmp_path.glob("policy-rc.d.hopkeeper*"))


def test_the_admins_policy_is_put_back_too_where_nothing_is_missing_any_more(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(ADMINS)
    assert install(tmp_path, KILL_9).returncode == -9
    assert install(tmp_path, SEEN, missing="/bin/sh").returncode == 0
    assert policy.read_text() == ADMINS


def test_what_the_admin_wrote_after_a_killed_run_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(ADMINS)
    assert install(tmp_path, KILL_9).returncode == -9
    policy.write_text("#!/bin/sh\nexit 0\n")
    assert install(tmp_path, SEEN).returncode == 0
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
