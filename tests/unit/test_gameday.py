"""Game days, their pure half: which faults a topology has, which bound is published for each, and what makes a verdict."""

import re
from ipaddress import IPv4Address

import pytest
import yaml

from function_app.domain.topology.model import Topology
from proving.gameday.document import Change, Course, Limit
from proving.gameday.faults import MACHINE, Kind, faults, named, pairs, published
from proving.gameday.flows import Programmed
from proving.gameday.paces import PACES
from proving.gameday.verdict import judged
from proving.stories.stage import EXAMPLES, decoded, enrolled

DOCS = EXAMPLES.parent / "docs"
(FACTS,) = (path.read_text() for path in DOCS.glob("azure*.md"))
GUIDE = (DOCS / "gameday.md").read_text()


def topology(example: str) -> Topology:
    return decoded(enrolled(yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())))


ALL = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def of_machines(found: Topology) -> set[str]:
    blind = {s.name for s in found.speakers if s.role == "witness"}  # a witness forwards nothing
    every = {(kind, s.name) for s in found.speakers for kind in MACHINE}
    return {f"{kind}:{name}" for kind, name in every if name not in blind or kind is not Kind.DATA_PATH}


def of_route_servers(found: Topology) -> set[str]:
    ends = [(server.name, speaker.name) for server in found.route_servers for speaker in found.peered_with(server.name)]
    instances = {f"instance:{server.name}:{number}" for server in found.route_servers for number in (1, 2)}
    return instances | {f"peering:{server}:{speaker}" for server, speaker in ends}


def of_balancers(found: Topology) -> set[str]:
    behind = [service.load_balancer for service in found.services if service.load_balancer]
    names = {pool.id.rsplit("/", 1)[1] for balancer in behind for pool in balancer.pools}
    return {f"{kind}:{name}" for name in names for kind in ("probe", "pool", "pool-emptied")}


@pytest.mark.parametrize("example", ALL)
def test_every_machine_instance_peering_and_pool_of_an_example_has_its_faults(example: str) -> None:
    found = topology(example)
    names = [fault.name for fault in faults(found)]
    assert len(set(names)) == len(names)
    wanted = of_machines(found) | of_route_servers(found) | of_balancers(found)
    assert wanted | {"arm-slow", "arm-refuses", "storage", "app"} <= set(names)


@pytest.mark.parametrize("example", ALL)
def test_a_fault_that_is_not_simulated_says_why(example: str) -> None:
    left_out = [fault for fault in faults(topology(example)) if fault.act is None]
    assert {"partition", "clock", "loss"} <= {fault.name for fault in left_out}
    assert all(fault.why for fault in left_out)


def test_a_machine_without_an_agent_has_no_process_of_ours_to_kill() -> None:
    played = {fault.name for fault in faults(topology("appliances")) if fault.act is not None}
    assert {"silence:fw-a", "data-path:fw-a"} <= played
    assert not {"process:fw-a", "disk:fw-a"} & played


def test_a_fault_is_found_by_its_name_and_two_by_both() -> None:
    found = topology("active-passive")
    assert [fault.where for fault in named(found, "silence:nva-a")] == ["nva-a"]
    assert [fault.kind for fault in named(found, "arm-slow+silence:nva-a")] == [Kind.ARM_SLOW, Kind.SILENCE]
    for unknown in ("silence:nva-x", "clock"):
        with pytest.raises(KeyError):
            named(found, unknown)


def test_a_pair_ends_with_another_machine_that_falls_silent() -> None:
    found = pairs(topology("active-passive"))
    assert all(last.kind is Kind.SILENCE and first.where != last.where for first, last in found)
    assert "arm-refuses+silence:nva-a" in {f"{first.name}+{last.name}" for first, last in found}


@pytest.mark.parametrize(
    ("example", "kind", "holder", "seconds"),
    [
        ("active-passive", Kind.SILENCE, "nva-a", 104.0),
        ("active-passive", Kind.DATA_PATH, "nva-a", 25.0),
        ("active-passive", Kind.PROBE, "nva-a", 122.0),
        ("active-passive", Kind.DISK, "nva-a", None),
        ("sandwich", Kind.PROBE, "nva-a", None),
        ("as-path-preference", Kind.SILENCE, "nva-a", 11.0),
        ("as-path-preference", Kind.DATA_PATH, "nva-a", 14.0),
        ("appliances", Kind.SILENCE, "fw-a", 238.0),
        ("appliances", Kind.DATA_PATH, "fw-a", None),
        ("active-active", Kind.SILENCE, "router-a", None),
    ],
)
def test_the_bound_of_a_fault_is_that_of_how_it_is_found(
    example: str, kind: Kind, holder: str, seconds: float | None
) -> None:
    found = topology(example)
    bound = published(kind, holder, holder, found.services[0], found)
    assert (bound.total.total_seconds() if bound is not None else None) == seconds
    assert published(kind, "another", holder, found.services[0], found) is None


def course(lost: float, over: float | None, two: float = 0.0) -> Course:
    return Course(lost=lost, over=over, two=two, after=(), changes=(Change(since=0.0, lost=0.0, reached=()),))


LIMIT = Limit(detection="", fence="", seconds=25.0, acting=19.0, two=15.0)


@pytest.mark.parametrize(
    ("on", "off", "limit", "verdict"),
    [
        (course(8.0, 8.0), course(300.0, None), LIMIT, "within"),
        (course(8.0, 25.0), course(0.0, 0.0), LIMIT, "within"),
        (course(8.0, 26.0), course(300.0, None), LIMIT, "late"),
        (course(300.0, None), course(300.0, None), LIMIT, "late"),
        (course(25.0, 25.0), course(5.0, 5.0), LIMIT, "costly"),
        (course(8.0, 8.0, two=16.0), course(300.0, None), LIMIT, "costly"),
        (course(300.0, None), course(300.0, None), None, "as without"),
        (course(5.0, 5.0), course(5.0, 5.0), None, "as without"),
        (course(6.0, 6.0), course(5.0, 5.0), None, "late"),
        (course(300.0, None), course(5.0, 5.0), None, "late"),
        (course(6.0, 9.0), course(5.0, 9.0), None, "costly"),
    ],
)
def test_what_is_over_later_or_costs_more_than_published_or_than_nothing_is_said(
    on: Course, off: Course, limit: Limit | None, verdict: str
) -> None:
    assert judged(on, off, limit) == verdict


def test_a_prefix_is_programmed_after_its_time_and_once_in_thirty_seconds() -> None:
    first, second, third = (frozenset({IPv4Address(f"10.0.0.{n}")}) for n in (1, 2, 3))
    programmed = Programmed(first, 2.0)
    seen = []
    for now, hops in ((0.0, second), (1.9, second), (2.0, second), (3.0, third), (31.9, third), (32.0, third)):
        programmed.follow(hops, now)
        seen.append(programmed.hops)
    assert seen == [first, first, second, second, second, third]


def test_a_route_that_returns_before_it_is_programmed_was_never_gone() -> None:
    programmed = Programmed(frozenset({IPv4Address("10.0.0.1")}), 2.0)
    programmed.follow(frozenset(), 0.0)
    programmed.follow(programmed.hops, 1.0)
    programmed.follow(frozenset(), 2.5)
    assert programmed.hops


def test_a_pace_is_as_sure_as_its_section_of_the_facts_says() -> None:
    sections = dict(re.findall(r"^## (\d+)\. [^\n]*\n(.*?)(?=^## |\Z)", FACTS, re.MULTILINE | re.DOTALL))
    for pace in PACES:
        assert f"| {pace.sure} |" in FACTS
        assert (pace.section == "") == (pace.sure == "open")
        assert not pace.section or pace.sure in sections[pace.section]


def test_the_guide_has_a_row_for_every_kind_of_fault() -> None:
    table = GUIDE.partition("## What breaks")[2].partition("\n\nMachines")[0]
    rows = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \|", table, re.MULTILINE)
    assert {kind for row in rows for kind in re.findall(r"`([\w-]+)`", row)} == {kind.value for kind in Kind}


def test_the_report_that_the_guide_shows_is_there() -> None:
    assert (DOCS / "gameday" / "active-passive.html").exists()
