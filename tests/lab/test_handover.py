"""The measurement of planned moves: what it makes of a load balancer's log, and one short move with real processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.handover import Round, broken, lasted, rows
from lab.packets.eligibility import changes

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"127.0.0.11": "nva-a", "127.0.0.12": "nva-b"}
SAID = "INFO tools.load_balancer.balancer: eligible backends:"
LOG = [
    "ready 127.0.0.100:7777",
    f"2026-11-29 10:00:01,500 {SAID} 127.0.0.11",
    "2026-11-29 10:00:03,000 INFO tools.load_balancer.probing: backend 127.0.0.12 is up",
    f"2026-11-29 10:00:03,000 {SAID} 127.0.0.11, 127.0.0.12",
    f"2026-11-29 10:00:04,000 {SAID} none",
    f"2026-11-29 10:00:06,000 {SAID} 127.0.0.12",
]


def played(**changed: Any) -> Round:
    whole: dict[str, Any] = {"handover": "seamless", "to": "nva-b", "with_two": 5.0, "with_none": 0.0, "whole": 12.0}
    return Round(**(whole | {"flows": 900, "lost": 0, "admitted": ()} | changed))


def test_the_log_says_when_whom_the_load_balancer_admits() -> None:
    found = changes(LOG, NAMES)
    first = found[0][0]
    assert [(round(at - first, 3), names) for at, names in found] == [
        (0, ("nva-a",)),
        (1.5, ("nva-a", "nva-b")),
        (2.5, ()),
        (4.5, ("nva-b",)),
    ]


def test_seconds_with_two_and_with_none_are_those_between_two_moments() -> None:
    admitted = [(10.0, ("a",)), (12.0, ("a", "b")), (13.0, ()), (15.0, ("b",))]
    assert (lasted(admitted, 2, 0, 20), lasted(admitted, 0, 0, 20)) == (1, 2)
    assert (lasted(admitted, 2, 12.5, 14), lasted(admitted, 0, 12.5, 14)) == (0.5, 1)


@pytest.mark.parametrize(
    ("one", "wrong"),
    [
        (played(), []),
        (played(lost=1), ["seamless to nva-b: none admitted for 0.000 s, 1 flows lost"]),
        (played(with_none=0.1), ["seamless to nva-b: none admitted for 0.100 s, 0 flows lost"]),
        (played(handover="exclusive", with_two=0.0, with_none=25.0, lost=5000), []),
        (played(handover="exclusive", with_two=0.001), ["exclusive to nva-b: two admitted for 0.001 s"]),
        (played(handover="prompt", with_two=14.9, with_none=18.9, lost=9), []),
        (played(handover="prompt", with_two=15.1), ["prompt to nva-b: two admitted for 15.100 s"]),
    ],
)
def test_a_mode_is_held_to_what_it_promises(one: Round, wrong: list[str]) -> None:
    assert broken([one]) == wrong


def test_the_table_has_the_median_and_the_most_of_each_mode() -> None:
    table = rows([played(), played(with_two=7.0, flows=100), played(handover="prompt", lost=3)])
    assert table[2] == "| `seamless` | 2 | 6.0 s (most 7.0 s) | 0.0 s (most 0.0 s) | 12.0 s (most 12.0 s) | 1000 | 0 |"
    assert table[3].startswith("| `prompt` | 1 |")


@pytest.mark.timeout(240)
def test_a_seamless_move_of_real_processes_loses_no_flow(tmp_path: Path) -> None:
    report = tmp_path / "handover.json"
    argv = [sys.executable, "-m", "lab.handover", "--rounds", "1", "--modes", "seamless", "--out", str(report)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=230, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (only,) = json.loads(report.read_text())["rounds"]
    assert (only["lost"], only["with_none"]) == (0, 0)
    assert only["with_two"] > 0
    assert only["flows"] > 1000
