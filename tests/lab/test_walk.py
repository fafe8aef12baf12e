"""The operating guide's first walk, word for word: its commands in one shell, against the stack, with the real `az`."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AZ = ROOT / "build" / "az" / "bin" / "az"
WALK = (ROOT / "docs" / "operating.md").read_text().partition("\n## ")[2].partition("\n## ")[0]
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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


def script() -> tuple[str, list[tuple[int, str]]]:
    """The walk as one script that says where each block ends, and after which block which lines must have been said."""
    commands, expected, number = ["set -euo pipefail"], [], 0
    for kind, text in BLOCK.findall(WALK):
        if kind == "sh":
            number += 1
            commands.append(f"{text}echo '=== {number} ==='")
        else:
            expected += [(number, line) for line in text.splitlines()]
    return "\n".join(commands), expected


@pytest.mark.timeout(300)
def test_the_first_walk_of_the_operating_guide_works_word_for_word(place: Path) -> None:
    commands, expected = script()
    walked = subprocess.run(
        ["bash", "-c", commands],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nva_agent")])},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert walked.returncode == 0, walked.stdout[-3000:] + walked.stderr[-3000:]
    said = dict(enumerate(re.split(r"=== \d+ ===", walked.stdout), 1))
    assert len(expected) >= 4
    for number, line in expected:
        assert line in said[number], said[number]
