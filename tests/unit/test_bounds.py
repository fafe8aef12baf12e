"""The worst failover times come from the configuration, part by part."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from function_app.cli import main
from function_app.domain.base.timing import Timing
from function_app.domain.service.bounds import (
    PATHS,
    Bound,
    Detection,
    FencedBy,
    Probe,
    WithAgent,
    bounds,
    ranked_bounds,
    with_agents,
    worst,
)
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Handover

ROOT = Path(__file__).resolve().parents[2]


def total(timing: Timing, detection: Detection, fence: FencedBy, probe: Probe | None = None) -> float:
    found = [b for b in bounds(timing, probe or Probe()) if (b.detection, b.fence) == (detection, fence)]
    return found[0].total.total_seconds()


def seconds(bound: Bound) -> dict[str, float]:
    return {name: part.total_seconds() for name, part in bound.parts}


LOOKED = {"look at the agents": 1}
ORDERED = {"look at the agents, and at what Azure shows": 8}
REPORTED = {"report": 1} | LOOKED
CHECKED = {"self-check": 4} | REPORTED  # the fourth second ends three checks of which the first had just begun
MISSED = {"heartbeats missed": 0.4, "probe port tried": 0.6} | REPORTED
LET_GO = {"load balancer's probe, and its health": 15 + 5, "third look at the agents": 1}
LASTED = {"silence lasts": 2, "second look at the agents": 1} | LET_GO
PROBED = {"load balancer's probe": 15, "looks at its health": 80, "look": 8}  # a sweep of 60 s, then 2 x 10 s
ACKNOWLEDGED = {"fence and proof": 2, "promotion": 2, "load balancer sees the new holder": 15}
CUT_OFF = ACKNOWLEDGED | {"fence and proof": 60}
OUTRANKED = {"shorter path accepted": 2, "routes programmed": 6}

DEFAULTS: dict[tuple[Detection, FencedBy], dict[str, float]] = {
    (Detection.ORDERED, FencedBy.AGENT): ORDERED | ACKNOWLEDGED,
    (Detection.SAYS, FencedBy.AGENT): CHECKED | ACKNOWLEDGED,
    (Detection.SILENT, FencedBy.AGENT): MISSED | LASTED | ACKNOWLEDGED,
    (Detection.SILENT, FencedBy.BALANCER): MISSED | LASTED | CUT_OFF,
    (Detection.PROBE, FencedBy.AGENT): PROBED | ACKNOWLEDGED,
    (Detection.PROBE_ALONE, FencedBy.BALANCER): PROBED | CUT_OFF,
    (Detection.ORDERED, FencedBy.OUTRANKED): ORDERED | OUTRANKED,
    (Detection.SAYS, FencedBy.OUTRANKED): CHECKED | OUTRANKED,
    (Detection.SILENT, FencedBy.OUTRANKED): MISSED | OUTRANKED,
}
"""In seconds, with the default settings and a probe of 5 s x 2."""


WATCHED = {"watch": 4} | REPORTED
LIFTED = {"fence and proof": 60, "lift and its proof": 60, "load balancer sees the new holder": 15}
BARE: dict[tuple[Detection, FencedBy], dict[str, float]] = {
    (Detection.ORDERED, FencedBy.BALANCER): ORDERED | LIFTED,
    (Detection.WATCHED, FencedBy.BALANCER): WATCHED | LASTED | LIFTED,
    (Detection.PROBE_ALONE, FencedBy.BALANCER): PROBED | LIFTED,
    (Detection.ORDERED, FencedBy.OUTRANKED): ORDERED | OUTRANKED,
    (Detection.WATCHED, FencedBy.OUTRANKED): WATCHED | OUTRANKED,
}
"""The same where no member has an agent: with those that watch them, and without."""


def of_the_defaults(agents: WithAgent = WithAgent.ALL) -> dict[tuple[Detection, FencedBy], Bound]:
    found = (*bounds(Timing(), Probe(), agents=agents), *ranked_bounds(Timing(), agents))
    return {(b.detection, b.fence): b for b in found}


def test_the_default_bounds_are_these_part_by_part_and_in_this_order() -> None:
    found = {path: seconds(bound) for path, bound in of_the_defaults().items()}
    assert found == DEFAULTS
    assert [list(parts) for parts in found.values()] == [list(parts) for parts in DEFAULTS.values()]


def test_without_agents_there_is_a_bound_with_those_that_watch_and_one_without_and_the_target_is_lifted() -> None:
    found = {path: seconds(bound) for path, bound in of_the_defaults(WithAgent.NONE).items()}
    assert found == BARE
    assert [list(parts) for parts in found.values()] == [list(parts) for parts in BARE.values()]


def test_a_planned_move_without_agents_admits_no_two_and_none_until_the_target_is_lifted() -> None:
    ordered = of_the_defaults(WithAgent.NONE)[Detection.ORDERED, FencedBy.BALANCER]
    assert (ordered.overlap, ordered.gap) == (timedelta(0), timedelta(seconds=60 + 60 + 15))


def test_where_some_members_have_no_agent_every_path_is_there_and_any_target_may_have_to_be_lifted() -> None:
    mixed = of_the_defaults(WithAgent.SOME)
    assert mixed.keys() == DEFAULTS.keys() | BARE.keys()
    promoted = {"promotion": "lift and its proof"}
    for path, bound in of_the_defaults().items():
        if path[1] is not FencedBy.OUTRANKED:
            assert list(seconds(mixed[path])) == [promoted.get(name, name) for name in seconds(bound)]
            assert mixed[path].total - bound.total == timedelta(seconds=60 - 2)


def test_a_service_has_the_bounds_of_the_members_that_it_has() -> None:
    found = {}
    for name in ("active-passive", "appliances-watched", "mixed-pair", "fast-failover"):
        topology = decode((ROOT / "examples" / f"{name}.yaml").read_text(), Place())
        found[name] = with_agents(topology.services[0], topology)
    assert found == {
        "active-passive": WithAgent.ALL,
        "appliances-watched": WithAgent.NONE,
        "mixed-pair": WithAgent.SOME,
        "fast-failover": WithAgent.NONE,
    }


@pytest.mark.parametrize(
    ("agents", "head"), [(WithAgent.ALL, "in seconds:"), (WithAgent.NONE, "without an agent, in seconds:")]
)
def test_the_documented_bounds_are_the_real_ones(agents: WithAgent, head: str) -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().split(head)[1].split("\n\n")[1]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\d+) \|$", table, re.MULTILINE)
    documented = {(Detection(detection), FencedBy(fence)): float(total) for detection, fence, total in rows}
    assert documented == {path: bound.total.total_seconds() for path, bound in of_the_defaults(agents).items()}


def planned_and_failed(handover: Handover) -> list[tuple[float, float | None, float]]:
    """Overlap, gap and the whole, in seconds, of a planned move and of a failover by acknowledgement."""
    paths = {(b.detection, b.fence): b for b in bounds(Timing(), Probe(), handover)}
    found = (paths[detection, FencedBy.AGENT] for detection in (Detection.ORDERED, Detection.SAYS))
    return [(b.overlap.total_seconds(), b.gap and b.gap.total_seconds(), b.total.total_seconds()) for b in found]


def test_each_handover_says_how_long_the_load_balancer_admits_two_and_none() -> None:
    """A probe of 5 s x 2 finds out within 15 s; 2 s each for a command; a failure leaves no member admitted until it ends."""
    assert planned_and_failed(Handover.PROMPT) == [(15, 19, 27), (15, None, 25)]
    assert planned_and_failed(Handover.EXCLUSIVE) == [(0, 34, 42), (0, None, 40)]
    gap = timedelta(0)
    seamless = bounds(Timing(), Probe(), Handover.SEAMLESS)
    assert [(b.overlap.total_seconds(), b.gap) for b in seamless][:2] == [(37, gap), (15, None)]
    assert seamless[0].total.total_seconds() == 8 + 2 + 2 + 15 + 2 + 15
    assert seamless[1:] == bounds(Timing(), Probe())[1:]


def test_a_member_that_is_fenced_at_the_load_balancer_is_not_admitted_beside_another_in_any_handover() -> None:
    for handover in Handover:
        found = [b for b in bounds(Timing(), Probe(), handover) if b.fence is FencedBy.BALANCER]
        assert {b.overlap for b in found} == {timedelta(0)}
        assert found == [b for b in bounds(Timing(), Probe()) if b.fence is FencedBy.BALANCER]


SETTINGS: list[tuple[dict[str, object], Detection, FencedBy, float]] = [
    ({"check_period": timedelta(seconds=2)}, Detection.SAYS, FencedBy.AGENT, 4),
    ({"check_fall": 5}, Detection.SAYS, FencedBy.AGENT, 2),
    ({"gossip_period": timedelta(milliseconds=200)}, Detection.SILENT, FencedBy.AGENT, 1),
    ({"gossip_fall": 4}, Detection.SILENT, FencedBy.AGENT, 0.1 + 0.2),
    ({"silence": timedelta(seconds=5)}, Detection.SILENT, FencedBy.BALANCER, 3),
    ({"silence": timedelta(0)}, Detection.SILENT, FencedBy.AGENT, -3 - 21),
    ({"sweep": timedelta(seconds=90)}, Detection.PROBE, FencedBy.AGENT, 30),
    ({"doubt_poll": timedelta(seconds=15)}, Detection.PROBE, FencedBy.AGENT, 10),
    ({"load_balancer_fall": 4}, Detection.PROBE, FencedBy.AGENT, 40),
    ({"observe_slow": timedelta(seconds=9)}, Detection.ORDERED, FencedBy.AGENT, 1),
    ({"observe_fast": timedelta(seconds=2)}, Detection.SILENT, FencedBy.BALANCER, 3),
    ({"observe_slow": timedelta(seconds=9)}, Detection.PROBE_ALONE, FencedBy.BALANCER, 1),
    ({"command_timeout": timedelta(seconds=3)}, Detection.SAYS, FencedBy.AGENT, 2),
    ({"command_timeout": timedelta(seconds=61)}, Detection.SILENT, FencedBy.BALANCER, 1 + 59),
]


@pytest.mark.parametrize(("settings", "detection", "fence", "more"), SETTINGS, ids=[next(iter(s[0])) for s in SETTINGS])
def test_each_setting_counts_as_often_as_it_is_waited_for(
    settings: dict[str, object], detection: Detection, fence: FencedBy, more: float
) -> None:
    changed = replace(Timing(), **settings)
    assert total(changed, detection, fence) == pytest.approx(total(Timing(), detection, fence) + more)


def test_every_path_has_a_bound_that_is_the_sum_of_its_parts() -> None:
    found = bounds(Timing(), Probe())
    assert [(b.detection, b.fence) for b in found] == list(PATHS)
    assert all(b.total == sum((t for _, t in b.parts), timedelta(0)) for b in found)


def test_a_setting_moves_exactly_the_bounds_that_it_is_part_of() -> None:
    slower = replace(Timing(), fence_timeout=timedelta(seconds=100))
    assert (
        total(slower, Detection.SILENT, FencedBy.BALANCER) == total(Timing(), Detection.SILENT, FencedBy.BALANCER) + 40
    )
    assert total(slower, Detection.SAYS, FencedBy.AGENT) == total(Timing(), Detection.SAYS, FencedBy.AGENT)


def test_a_slower_probe_is_counted_where_it_detects_and_where_it_sees_the_new_holder() -> None:
    slow = Probe(timedelta(seconds=10), 2)
    assert total(Timing(), Detection.SAYS, FencedBy.AGENT, slow) == total(Timing(), Detection.SAYS, FencedBy.AGENT) + 15
    assert (
        total(Timing(), Detection.PROBE, FencedBy.AGENT, slow) == total(Timing(), Detection.PROBE, FencedBy.AGENT) + 30
    )
    silent = (Detection.SILENT, FencedBy.BALANCER)
    assert total(Timing(), *silent, slow) == total(Timing(), *silent) + 30


def test_the_worst_is_the_one_that_only_the_probe_can_tell() -> None:
    assert worst(Timing(), Probe()).total_seconds() == total(Timing(), Detection.PROBE_ALONE, FencedBy.BALANCER)


def test_what_nothing_watches_is_never_noticed_by_a_watch() -> None:
    topology = decode((ROOT / "examples" / "appliances-watched.yaml").read_text(), Place())
    service = topology.services[0]
    watched = kind_of(service).bounds(service, topology, Probe())
    assert Detection.WATCHED in {bound.detection for bound in watched}
    members = tuple(speaker for speaker in topology.speakers if speaker.role != "witness")
    alone = kind_of(service).bounds(service, replace(topology, speakers=members), Probe())
    assert alone == tuple(bound for bound in watched if bound.detection is not Detection.WATCHED)


def test_the_quickest_path_comes_first_and_a_legend_of_four_lines_at_most_last() -> None:
    done = CliRunner().invoke(main, ["bounds", str(ROOT / "examples" / "appliances-watched.yaml")])
    totals = [float(found) for found in re.findall(r"^ *([\d.]+) s  ", done.output, re.MULTILINE)]
    assert totals == sorted(totals)
    assert len(totals) > 1
    legend = done.output.rpartition("s, none for at most")[2].splitlines()[1:]
    assert 0 < len(legend) <= 4
    assert "where the app's own host has just died, a row with looks takes 70 s more" in " ".join(legend)
    assert {"F1", "F2", "ceiling", "sweep", "fenceTimeout"} <= set(re.findall(r"\w+", " ".join(legend)))
