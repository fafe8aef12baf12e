"""Which peerings are made and removed, and which never are."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from function_app.domain.guards import PeeringContext, refuse
from function_app.domain.peerings import (
    CreatePeering,
    DeletePeering,
    Peering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
    plan,
)
from function_app.domain.topology import Topology
from tests.builders import document, topology
from tests.fakes import INSTANCES, foreign


def own(name: str, address: str, state: Provisioning = Provisioning.SUCCEEDED, asn: int = 65001) -> Peering:
    return Peering(f"hopkeeper-hub_{name}", IPv4Address(address), asn, state)


def reading(*peerings: Peering, provisioned: bool = True) -> RouteServerReading:
    return RouteServerReading(INSTANCES, peerings, provisioned)


def steps(desired: Topology, *peerings: Peering) -> list[PeeringStep]:
    return list(plan(desired, desired.route_servers[0], reading(*peerings)).steps)


def names(found: list[PeeringStep]) -> list[str]:
    return [f"{type(s).__name__} {s.name}" for s in found]


A, B = own("nva-a", "10.0.1.4"), own("nva-b", "10.0.1.5")


def test_missing_peerings_are_created_and_right_ones_left_alone() -> None:
    assert names(steps(topology(), A)) == ["CreatePeering hopkeeper-hub_nva-b"]
    assert steps(topology(), A, B) == []


def test_creates_come_before_deletes() -> None:
    gone = own("nva-z", "10.0.1.60")
    assert names(steps(topology(), A, gone)) == [
        "CreatePeering hopkeeper-hub_nva-b",
        "DeletePeering hopkeeper-hub_nva-z",
    ]


def test_a_moved_speaker_is_a_replacement_because_azure_changes_no_peering_in_place() -> None:
    moved = own("nva-b", "10.0.1.55")
    assert names(steps(topology(), A, moved)) == ["DeletePeering hopkeeper-hub_nva-b"]


def test_a_failed_peering_of_ours_is_written_again() -> None:
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    assert names(steps(topology(), A, failed)) == ["CreatePeering hopkeeper-hub_nva-b"]


def test_a_foreign_peering_is_never_planned_away_and_named_where_it_holds_our_place() -> None:
    desired = topology()
    found = plan(desired, desired.route_servers[0], reading(A, foreign("by-hand", "10.0.1.5")))
    assert found.steps == ()
    assert found.held == ("nva-b: already peered as 'by-hand', which is not ours",)


def test_a_peering_of_another_topology_whose_name_begins_like_ours_is_foreign() -> None:
    theirs = Peering("hopkeeper-hub-west_nva-z", IPv4Address("10.0.1.77"), 65001, Provisioning.SUCCEEDED)
    assert steps(topology(), A, B, theirs) == []


CREATE = CreatePeering("rs", "hopkeeper-hub_nva-b", IPv4Address("10.0.1.5"), 65001, "not peered")
DELETE = DeletePeering("rs", "hopkeeper-hub_nva-b", "gone")
EIGHT = tuple(foreign(f"other-{i}", f"10.0.9.{i}") for i in range(1, 9))

GUARDED: list[tuple[str, PeeringStep, RouteServerReading, str]] = [
    ("own only", DeletePeering("rs", "by-hand", ""), reading(A, foreign("by-hand")), "'by-hand' is not ours"),
    ("route server is provisioned", CREATE, reading(A, provisioned=False), "not provisioned yet"),
    ("one write in flight", CREATE, reading(own("nva-a", "10.0.1.4", Provisioning.UPDATING)), "is being written"),
    ("one write in flight", CREATE, reading(A, foreign("x", state=Provisioning.DELETING)), "is being written"),
    ("at most eight", CREATE, reading(*EIGHT), "8 of 8 peers are taken"),
    ("at most eight", CREATE, reading(*EIGHT[:7], foreign("x", state=Provisioning.FAILED)), "not ours: other-1"),
    ("last announcer is kept", DELETE, reading(B), "is the last peering that announces"),
    ("last announcer is kept", DELETE, reading(own("nva-a", "10.0.1.4", Provisioning.FAILED), B), "is the last"),
]


@pytest.mark.parametrize(("guard", "step", "seen", "reason"), GUARDED, ids=[f"{g[0]} {g[3]}" for g in GUARDED])
def test_each_guard_speaks(guard: str, step: PeeringStep, seen: RouteServerReading, reason: str) -> None:
    spoken = {r.guard: r.reason for r in refuse(step, PeeringContext(topology(), seen))}
    assert reason in spoken[guard]


@pytest.mark.parametrize("step", [CREATE, DELETE])
def test_a_harmless_step_is_not_refused(step: PeeringStep) -> None:
    assert refuse(step, PeeringContext(topology(), reading(A, *EIGHT[:3]))) == ()


def test_repairing_a_failed_peering_takes_no_new_slot() -> None:
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    assert refuse(CREATE, PeeringContext(topology(), reading(A, *EIGHT[:6], failed))) == ()


def test_the_eight_can_be_set_lower_but_the_topology_never_asks_for_more() -> None:
    doc: Any = document()
    doc["timing"]["peersMax"] = 2
    desired = topology(timing=doc["timing"])
    spoken = refuse(CREATE, PeeringContext(desired, reading(A, foreign("x"))))
    assert [r.guard for r in spoken] == ["at most eight"]
