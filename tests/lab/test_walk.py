"""The operating guide's first walk, word for word: its commands in one shell, against the stack, with the real `az`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import walk

ROOT = Path(__file__).resolve().parents[2]
AZ = ROOT / "build" / "az" / "bin" / "az"
WALK = (ROOT / "docs" / "operating.md").read_text().partition("\n## ")[2].partition("\n## ")[0]
READY_SECONDS = 60


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory in which `make walk` serves."""
    if not AZ.exists():
        pytest.skip("Azure's command line is not installed (make az installs it): the walk was not tried")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nva_agent")])}
    with subprocess.Popen(
        [sys.executable, "-m", "lab.walk"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        try:
            assert served.stdout.readline().startswith("ready")
            yield tmp_path
        finally:
            served.send_signal(signal.SIGTERM)
            served.wait(READY_SECONDS)


@pytest.mark.timeout(300)
def test_the_first_walk_of_the_operating_guide_works_word_for_word(place: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nva_agent")])}
    walk(WALK, place, env, least=4)
