"""The bench: one sample of a reaction in the real stack, what it keeps, and an event for one of two topologies."""

import json
import tempfile
from pathlib import Path

import pytest

from proving.bench.__main__ import keep
from proving.bench.reaction import reaction
from proving.bench.rest import rest
from proving.bench.samples import Case
from proving.bench.still import NETWORK, Azure, still_app


@pytest.mark.timeout(200)
async def test_a_report_moves_the_service_and_the_floor_moves_its_own_beside_a_bystander_that_never_answers() -> None:
    (case,) = [case async for case in reaction("directory", 1, bystander=True)]
    assert (len(case.ours), len(case.floor)) == (1, 1)
    assert case.ours[0] > 0
    assert case.floor[0] > 0


async def test_the_app_in_this_process_wakes_the_topology_that_an_event_concerns_and_verifies_its_routes() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with still_app(directory, "directory", Azure(speakers=3, prefixes=2)) as app:
            await app.store(["t-0", "t-1"])
            now = app.fresh()
            assert await now.wake_for({"subject": f"{NETWORK.format('t-1')}/virtualHubs/rs"}) == ("t-1",)
            assert app.due.get_nowait() == "t-1"
            for _ in range(5):
                await now.look("t-1", "a test")
            look = (await now.status("t-1")).last_look
            assert look is not None
            assert (look.outcome, look.routes.verified, look.routes.complete) == ("converged", True, True)
            assert app.azure.reads == 5


async def test_a_pair_with_every_default_that_has_nothing_to_do_costs_no_more_than_is_written_down() -> None:
    """A pass a sweep, what Azure shows of a pair, and four queries of routes each `verifyEvery` (docs/performance.md)."""
    counted = {case.name.partition(": ")[2]: case.ours[0] for case in [case async for case in rest("", 1)]}
    most = {
        "slow passes": 1440,
        "reads of ARM": 11_400,
        "writes of ARM": 2_400,
        "queries of Azure Monitor": 2_880,
        "writes of the storage": 7_500,
    }
    assert counted.keys() == most.keys()
    assert {name: many for name, many in counted.items() if many > most[name] or not many} == {}


def test_a_case_that_is_measured_again_takes_the_place_of_what_was_kept_of_it(tmp_path: Path) -> None:
    out = tmp_path / "build" / "bench.json"
    keep(out, Case("one", ours=[9.0], floor=[1.0]))
    keep(out, Case("two", ours=[2.0], floor=[1.0]))
    keep(out, Case("one", ours=[3.0, 1.0, 40.0], floor=[2.0]))
    kept = {case["case"]: case["ours"] for case in json.loads(out.read_text())["cases"]}
    assert kept == {"two": [2.0], "one": [3.0, 1.0, 40.0]}


def test_the_row_of_a_case_shows_least_median_and_most_of_both_and_the_ratio_of_the_medians() -> None:
    row = Case("one", ours=[3.0, 1.0, 1240.0], floor=[2.0]).row()
    assert row == "| one | ms | 3 | 1 | 3 | 1,240 | 2 | 2 | 2 | 1.50 |"
