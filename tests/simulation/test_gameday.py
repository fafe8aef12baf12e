"""Game days over the stage: each example's holder dies, and the command prints what comes of it."""

import json
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from function_app.cli import main as hopkeeper
from function_app.cli.root import Brought
from proving.gameday.document import GameDay, is_well
from proving.gameday.report import page
from proving.gameday.run import NotAtRest, run
from proving.gameday.verdict import played
from proving.stories.stage import EXAMPLES
from tests.contract.test_typed_documents import validate
from tests.unit.test_gameday import topology

pytestmark = pytest.mark.timeout(300)
ROOT = EXAMPLES.parent
HUBS = str(EXAMPLES / "ten-nvas-two-hubs.yaml")
RECORDED = ROOT / "contracts" / "documents" / "examples" / "gameday-active-passive.json"
FIRST = {
    "active-active": "silence:router-a",
    "appliances": "silence:fw-a",
    "appliances-sandwich": "probe:plb-nva:fw-a",
    "appliances-watched": "silence:fw-a",
    "as-path-preference": "silence:nva-a",
    "dual-homed-active-active": "silence:nva-1",
    "dual-homed-active-passive": "data-path:nva-1",
    "dual-homed-expressroute": "silence:nva-1",
    "fast-failover": "silence:ws1",
    "mixed-pair": "silence:fw-a",
    "nva-as-hub": "silence:hub-b",
    "outward-symmetry": "data-path:nva-a",
    "sandwich": "process:nva-a",
    "scale-set": "freeze:nva-a",
    "ten-nvas-two-hubs": "silence:hub-a",
    "vip-by-injector": "silence:ws1",
}
"""One fault of each example; active-passive's is compared with the report."""


@pytest.mark.parametrize(("example", "fault"), FIRST.items())
def test_a_fault_of_an_example_is_over_as_published(example: str, fault: str) -> None:
    found = played(topology(example), EXAMPLES / f"{example}.yaml", fault, seed=0)
    assert is_well(found), msgspec.json.format(msgspec.json.encode(found)).decode()


def test_every_example_has_its_fault() -> None:
    assert {*FIRST, "active-passive"} == {path.stem for path in EXAMPLES.glob("*.yaml")}


def test_a_seed_plays_as_it_was_recorded() -> None:
    """The report of the guide is what the code of today makes."""
    recorded = msgspec.json.decode(RECORDED.read_bytes(), type=GameDay)
    wanted = next(each for each in recorded.played if each.fault == "silence:nva-a")
    assert played(topology("active-passive"), EXAMPLES / "active-passive.yaml", "silence:nva-a", 0) == wanted


def test_the_report_of_the_guide_is_of_the_recorded_game_day() -> None:
    recorded = msgspec.json.decode(RECORDED.read_bytes(), type=GameDay)
    assert recorded.is_well
    assert page(recorded) == (ROOT / "docs" / "gameday" / "active-passive.html").read_text(), "run make report"


def test_another_seed_begins_at_another_moment() -> None:
    first, second = (run(Path(HUBS), "silence:nva-104", seed, with_app=False) for seed in (0, 1))
    assert first.courses != second.courses


def test_a_machine_whose_agent_is_killed_forwards_and_loses_its_sessions() -> None:
    """No new flow is lost: the others' routes are programmed while it still forwards."""
    (flow,) = played(topology("vip-by-injector"), EXAMPLES / "vip-by-injector.yaml", "process:ws1", 0).flows
    assert (flow.with_hopkeeper.lost, flow.with_hopkeeper.after) == (0.0, ("ws2",))


def test_a_silent_machine_keeps_its_sessions_for_the_hold_time() -> None:
    found = played(topology("ten-nvas-two-hubs"), EXAMPLES / "ten-nvas-two-hubs.yaml", "silence:nva-104", 0)
    assert [flow.flow for flow in found.flows] == ["100.0.0.104/32 at rs"]
    reached = [(change.since, change.reached) for change in found.flows[0].without.changes]
    assert reached[0] == (0.0, ("nva-104",))
    assert reached[-1][0] > 180.0
    assert reached[-1][1] == ()


def test_a_topology_that_does_not_come_to_rest_says_what_is_missing(tmp_path: Path) -> None:
    document = (EXAMPLES / "fast-failover.yaml").read_text()
    file = tmp_path / "t.yaml"
    file.write_text(document + "timing: {learnFor: PT40M, doubtPoll: PT10M, sweep: PT15M}\n")
    with pytest.raises(NotAtRest, match="not at rest within 1200 s: vip not stable"):
        run(file, "silence:ws1", 0, with_app=True)


# --- the command


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(hopkeeper, ["gameday", *words])
    return result.exit_code, result.output


def test_the_command_prints_a_line_each_fault_and_writes_the_report(tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    code, output = call(HUBS, "--only", "silence:hub-a", "--only", "app", "--jobs", "1", "--html", str(html))
    assert code == 0, output
    rows = [line.split("  ")[0] for line in output.splitlines()]
    assert rows[:3] == ["fault", "silence:hub-a", "app"]
    assert "not simulated: clock:" in output
    assert "2 faults, seed 0: as published" in output
    assert "<script" not in html.read_text()
    assert "Game day of ten-nvas" in html.read_text()


def test_the_command_prints_a_document_of_its_schema() -> None:
    code, output = call(HUBS, "--only", "silence:nva-104", "--jobs", "1", "--json")
    assert code == 0, output
    validate("gameday", json.loads(output))


def test_a_trace_is_the_narrative_of_one_fault() -> None:
    code, output = call(str(EXAMPLES / "vip-by-injector.yaml"), "--trace", "silence:ws1")
    assert code == 0
    assert "ws1 is gone without a word" in output.splitlines()[0]
    assert "failover to ws2" in output


def test_a_pair_is_played_one_after_the_other() -> None:
    code, output = call(HUBS, "--pairs", "--only", "app+silence:nva-104", "--jobs", "1")
    assert code == 0, output
    assert "as without" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((HUBS, "--trace", "silence:nva-1"), "there is no fault 'silence:nva-1'; there are silence:hub-a"),
        ((str(ROOT / "README.md"),), "cannot be played"),
        ((HUBS + "x",), "does not exist"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_reason(words: tuple[str, ...], said: str) -> None:
    code, output = call(*words)
    assert code == 2
    assert said in output


def test_two_services_behind_one_load_balancer_are_refused(tmp_path: Path) -> None:
    text = (EXAMPLES / "active-passive.yaml").read_text()
    service = text.partition("services:\n")[2]
    second = service.replace("egress-firewall", "second").replace("0.0.0.0/0", "10.9.0.0/16").replace("nvas", "others")
    file = tmp_path / "two.yaml"
    file.write_text(text + second)
    code, output = call(str(file))
    assert code == 2
    assert "behind one load balancer" in output


def test_a_command_that_no_installed_package_brings_says_where_it_is() -> None:
    absent = click.Group("hopkeeper", {"absent": Brought("absent")})
    result = CliRunner().invoke(absent, ["absent", "file"])
    assert result.exit_code == 2
    assert "comes with a checkout of Hopkeeper" in result.output
