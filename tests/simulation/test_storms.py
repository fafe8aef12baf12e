"""About a minute of storms: the product's own decisions and executor over a simulated world, on virtual time."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from proving.storm import stories
from proving.storm.__main__ import main
from proving.storm.bugs import Bugs
from proving.storm.campaign import Chunk, campaign, law_broken, run_chunk
from proving.storm.directed import directed_plan
from proving.storm.draw import edits_plan, handover_plan, lasting_plan, random_plan, wide_plan, with_appliances
from proving.storm.exhaustive import SCENARIOS, single_plans
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.history import History, Result
from proving.storm.profiles import PROFILES, run
from proving.storm.retold import shortfalls
from proving.storm.shrink import Shrinker
from tests.simulation.planted import F1, PLANTED

KEPT = sorted(stories.KEPT.glob("*.json"))


@pytest.fixture(autouse=True)
def garbage_waits() -> Iterator[None]:
    """As in a campaign: what histories leave is collected once a test, which takes a sixth off their time."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def _run(plan: Plan) -> Result:
    result = History(plan).run()
    broken = result.violation or result.not_live
    assert broken is None, f"{plan.profile} {plan.seed}: {broken}"
    return result


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_random_histories_break_no_law(first: int) -> None:
    results = [_run(random_plan(seed)) for seed in range(first, first + 100)]
    assert sum(result.openings for result in results) > 50


@pytest.mark.parametrize("first", range(0, 150, 50))
def test_directed_histories_break_no_law(first: int) -> None:
    results = [_run(directed_plan(seed)) for seed in range(first, first + 50)]
    assert sum(result.openings for result in results) > 100


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_histories_of_planned_moves_break_no_law_by_handover(first: int) -> None:
    results = [_run(handover_plan(seed)) for seed in range(first, first + 40)]
    assert sum(result.openings for result in results) > 20


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_histories_in_wider_worlds_break_no_law(first: int) -> None:
    results = [_run(wide_plan(seed)) for seed in range(first, first + 30)]
    assert sum(result.openings for result in results) > 10


@pytest.mark.parametrize("plan_of", [random_plan, directed_plan, lasting_plan, edits_plan, wide_plan, handover_plan])
def test_histories_of_members_without_an_agent_break_no_law(plan_of: Callable[[int], Plan]) -> None:
    plans = [with_appliances(plan_of, share=1.0)(seed) for seed in range(20)]
    assert sum("bare-a" in plan.shape for plan in plans) > 3
    assert sum(_run(plan).openings for plan in plans) > 10


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_left_alone_moves_the_service_and_comes_to_rest(name: str) -> None:
    result = _run(SCENARIOS[name])
    assert result.openings >= 1
    assert len(result.counted) > 10


@pytest.mark.parametrize("first", range(0, 20, 5))
def test_a_mishap_at_a_single_point_of_an_operation_breaks_no_law(first: int) -> None:
    plans = single_plans()
    assert len(plans) > 1000
    for plan in plans[first::20]:  # together every fifth here, all of them and the pairs in `make storm`
        _run(plan)


@pytest.mark.parametrize("path", KEPT, ids=[path.stem for path in KEPT])
def test_a_story_that_once_found_a_fault_passes(path: Path) -> None:
    assert run(stories.load(path).plan).law is None


@pytest.mark.parametrize("plan", [random_plan(7), directed_plan(7), single_plans()[7]], ids=lambda plan: plan.profile)
def test_the_same_plan_gives_the_same_history(plan: Plan) -> None:
    one, other = History(plan, trace=True).run(), History(plan, trace=True).run()
    assert len(one.story) > 10
    assert one == other


def test_a_seed_has_the_same_history_in_a_process_that_hashes_otherwise() -> None:
    """Sets are ordered by hashes: the history of seed 1256 once went by the order of the members of one."""
    histories = {
        subprocess.run(
            (sys.executable, "-m", "proving.storm", "--profile", "random", "--seed", "1256", "--trace"),
            env=os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for hashes in ("1", "4")
    }
    assert len(histories) == 1
    assert b"everything heals" in histories.pop()


def test_results_depend_neither_on_the_number_of_processes_nor_on_parts() -> None:
    alone, shared = (campaign({"random": range(50)}, jobs)["random"] for jobs in (1, 2))
    assert (alone.histories, alone.events) == (shared.histories, shared.events)
    assert alone.histories == 50
    parts = [campaign({"random": seeds}, jobs=1)["random"] for seeds in (range(20), range(20, 50))]
    assert sum(part.events for part in parts) == alone.events


@pytest.mark.parametrize(("law", "bugs", "plan"), PLANTED, ids=[law for law, _, _ in PLANTED])
def test_a_law_notices_what_breaks_it(law: str, bugs: Bugs, plan: Plan) -> None:
    assert History(plan).run().law is None
    assert History(plan, bugs).run().law == law


RESTORED = replace(SCENARIOS["switchover"], heal_at=600.0)
ALONE = Fault(25.0, Kind.SPLIT, "nva-a", 1e9, "both")
UNSEEN_SECONDS = 180.0
"""The boot window, the load balancer's probe, and two looks at its health."""


@pytest.mark.parametrize(
    ("faults", "serves_too"),
    [
        ((Fault(30.0, Kind.CRASH, "nva-a", 10.0, "rolled"),), False),
        ((Fault(30.0, Kind.CRASH, "nva-a", 10.0, "rolled"), ALONE), False),
        ((Fault(30.0, Kind.CRASH, "nva-a", 10.0, "rekeyed"),), False),
        ((Fault(30.0, Kind.CRASH, "nva-a", 10.0, "rekeyed"), ALONE), True),
        (
            (Fault(30.0, Kind.CRASH, "nva-a", 10.0, "rolled"), ALONE, Fault(25.0, Kind.CUT, "nva-a", 1e9, "both")),
            True,
        ),
    ],
    ids=["reached by all", "by the app", "by peers, and the app's keys are new", "by neither, keys", "by neither"],
)
def test_a_machine_that_was_put_back_to_a_backup_serves_only_where_no_word_reaches_it_and_not_for_long(
    faults: tuple[Fault, ...], serves_too: bool
) -> None:
    history = History(replace(RESTORED, faults=RESTORED.faults + faults))
    seconds = 0

    def watch() -> None:
        nonlocal seconds
        admitted = [a for a in history.world.agents.values() if a.will and history.world.admits(a.name)]
        seconds += len(admitted) > 1
        history.world.timeline.after(1.0, watch)

    history.world.timeline.after(1.0, watch)
    assert history.run().law is None
    assert (0 < seconds <= UNSEEN_SECONDS) if serves_too else seconds == 0


def test_a_failing_plan_is_shrunk_to_what_it_takes_and_its_story_replays(tmp_path: Path) -> None:
    bugs = Bugs(promotes_all=True)

    def broken(plan: Plan) -> str | None:
        return History(plan, bugs).run().law

    crowded = replace(directed_plan(3), members=3, faults=tuple(sorted(directed_plan(3).faults + F1.faults, key=_at)))
    law = broken(crowded)
    assert law is not None
    small = Shrinker(broken, law).shrink(crowded)
    assert len(small.faults) < len(crowded.faults)
    path = stories.save(stories.Story(law, "planted", small), tmp_path)
    assert broken(stories.load(path).plan) == law


def _at(fault: object) -> float:
    return fault.at  # type: ignore[attr-defined, no-any-return]


def test_a_world_that_fails_counts_as_a_violation() -> None:
    impossible = replace(random_plan(1), begins="stable", members=0)
    assert law_broken(impossible) == "world"


def test_a_chunk_adds_up_what_its_histories_came_to() -> None:
    profile, tally = run_chunk(Chunk("random", range(5)))
    assert profile == "random"
    assert tally.histories == 5
    assert tally.events == sum(History(PROFILES["random"].plan(seed)).run().events for seed in range(5))


def test_the_command_writes_its_report_and_replays_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "storm.json"
    assert main(["--profile", "random", "--seeds", "20", "--jobs", "1", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert {"histories", "events", "events_per_second", "violations", "not_live", "profiles"} <= report.keys()
    assert report["profiles"]["random"]["histories"] == report["histories"] == 20
    assert main(["--profile", "random", "--seed", "3", "--trace"]) == 0
    assert "everything heals" in capsys.readouterr().out


def test_every_promotion_and_every_hold_of_a_history_can_be_explained() -> None:
    asked, wrong = 0, []
    for plan in map(random_plan, range(80)):
        if any(fault.kind is Kind.CLOCK for fault in plan.faults):
            continue  # a host whose clock is wrong files what it did under its own time
        history = History(plan, trace=True)
        history.run()
        count, missing = shortfalls(history.world)
        asked += count
        wrong += missing
    assert asked > 200
    assert not wrong
