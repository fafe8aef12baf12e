"""The README's demo, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def holds_in_each(act: dict[str, Any]) -> None:
    phases = list(act["phases"].values())
    assert phases == sorted(phases), act
    assert 0 < act["outage_seconds"] < 30
    assert act["two_serving_moments"] == 0


@pytest.mark.timeout(180)
def test_the_demo_plays_three_acts_and_never_two_serve(tmp_path: Path) -> None:
    report = tmp_path / "demo.json"
    argv = [sys.executable, "-m", "lab.demo", "--report", str(report)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    measured = json.loads(report.read_text())
    assert measured["outcome"] == "ok"
    assert (measured["peerings"], measured["next_hop_verified"]) == (2, True)
    first, second, third = measured["acts"]
    for act in (first, second, third):
        holds_in_each(act)
    assert "acknowledged" in first["proof"]
    assert "fenced at the load balancer" in second["proof"]
    assert third["held_seconds"] >= 3
    assert third["phases"]["fenced"] > third["held_seconds"]
