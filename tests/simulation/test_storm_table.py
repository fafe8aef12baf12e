"""S18: over the same faults, no more new flows are lost than without the app, plus what `bounds` publishes for acting."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from function_app.domain.service.bounds import Detection
from function_app.domain.topology.model import Handover
from proving.storm.table import CASES, HEAD, bounds_of, main, published, row

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("name", BY_NAME)
def test_hopkeeper_costs_no_more_than_doing_nothing_and_the_published_cost(name: str) -> None:
    found = row(BY_NAME[name], range(2))
    assert found.excess <= 0, found
    if BY_NAME[name].path is None:
        assert not any(cost.moved for cost in found.with_app)


def test_a_vm_that_dies_costs_seconds_with_hopkeeper_and_everything_without() -> None:
    found = row(BY_NAME["VM dies for good"], range(2))
    assert all(cost.lost > 250.0 for cost in found.without)
    assert all(0.0 < cost.lost < 30.0 for cost in found.with_app)


def test_a_planned_move_admits_two_or_none_for_no_longer_than_its_handover_says() -> None:
    """safety.md section 2a, in the figures that `bounds` publishes."""
    for handover in Handover:
        case = BY_NAME[f"planned switchover, `handover: {handover}`"]
        bound = next(found for found in bounds_of(case) if found.detection is Detection.ORDERED)
        assert bound.gap is not None
        for cost in row(case, range(6)).with_app:
            assert cost.moved
            assert cost.two <= bound.overlap.total_seconds()
            assert cost.lost <= bound.gap.total_seconds()


def test_the_law_notices_a_move_that_costs_more_than_is_published() -> None:
    case = replace(BY_NAME["planned switchover, `handover: exclusive`"], path=None)
    assert published(case) == 0.0
    assert row(case, range(1)).excess > 0


def test_the_command_writes_every_class_of_faults(tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    assert main(["--seeds", "1", "--jobs", "1", "--out", str(out), "--only", "0.4 s"]) == 0
    table = json.loads(out.read_text())
    assert table["seeds"] == 1
    assert [entry["fault"] for entry in table["rows"]] == ["holder frozen 0.4 s"]
    assert table["rows"][0]["lost_with"] == {"median": 0.4, "max": 0.4}


def test_the_guide_has_every_class_of_faults_in_its_order() -> None:
    guide = Path("docs/proving.md").read_text().splitlines()
    assert guide[guide.index(HEAD.splitlines()[1]) - 1] == HEAD.splitlines()[0]
    shown = [
        line.split("|")[1].strip()
        for line in guide
        if line.startswith("| ") and line.count("|") == HEAD.count("|") // 2
    ]
    assert shown[1:] == [case.name for case in CASES]
