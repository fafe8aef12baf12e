"""Which instances of a scale set become speakers of a Route Server, and which scale sets a topology may have."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.peerings.guards import PeeringContext, refuse
from function_app.domain.peerings.model import DeletePeering, Peering, Provisioning
from function_app.domain.peerings.plan import plan
from function_app.domain.peerings.scale_sets import Fleet, Instance, with_instances
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import SUB, document, text
from tests.fakes import foreign
from tests.unit.test_peerings import names, own, reading

FLEET = {
    "name": "fleet",
    "id": f"{SUB.replace('Microsoft.Network', 'Microsoft.Compute')}/virtualMachineScaleSets/nva",
    "asn": 65010,
    "peersWith": ["rs"],
    "announces": ["100.64.0.0/24"],
}


def topology(members: int = 1, **of_the_set: Any) -> Topology:
    return decode(text(document(members, scaleSets=[FLEET | of_the_set])), Place())


def fleet(desired: Topology, *instances: Instance, there: tuple[Peering, ...] = ()) -> Fleet:
    return with_instances(desired, desired.route_servers[0], reading(*there), {"fleet": instances})


def instance(number: int, address: str | None = None, leaving: bool = False) -> Instance:
    return Instance(str(number), IPv4Address(address or f"10.0.3.{number}"), leaving)


def added(found: Fleet) -> list[str]:
    return [f"{s.name} {s.address}" for s in found.topology.speakers if s.asn == 65010]


def peered(number: int, connected: str | None = None) -> Peering:
    there = own(f"fleet-{number}", f"10.0.3.{number}", asn=65010)
    return Peering(there.name, there.address, there.asn, there.state, connected)


def test_instances_become_speakers_with_what_the_set_says() -> None:
    found = fleet(topology(priority=7), instance(10), instance(2))
    assert added(found) == ["fleet-2 10.0.3.2", "fleet-10 10.0.3.10"]
    speaker = found.topology.speaker("fleet-2")
    assert (speaker.peers_with, speaker.priority, list(map(str, speaker.announces))) == (("rs",), 7, ["100.64.0.0/24"])
    assert found.notes == ()


def test_an_instance_that_is_leaving_keeps_the_peering_it_has_and_gets_none() -> None:
    desired = topology()
    both = (instance(1, leaving=True), instance(2, leaving=True))
    assert added(fleet(desired, *both, there=(peered(1),))) == ["fleet-1 10.0.3.1"]


def test_an_instance_that_is_gone_leaves_a_peering_that_goes_under_the_guards() -> None:
    desired = topology()
    there = (own("nva-a", "10.0.1.4"), peered(1), peered(2))
    found = fleet(desired, instance(2), there=there)
    steps = plan(found.topology, desired.route_servers[0], reading(*there))
    assert names([*steps.steps]) == ["DeletePeering hopkeeper-hub_fleet-1"]


def test_a_set_without_instances_leaves_no_peering_behind() -> None:
    desired = topology(announces=[])
    there = (own("nva-a", "10.0.1.4"), peered(1))
    found = fleet(desired, there=there)
    steps = plan(found.topology, desired.route_servers[0], reading(*there)).steps
    assert names([*steps]) == ["DeletePeering hopkeeper-hub_fleet-1"]


@pytest.mark.parametrize("remove", [[], ["hopkeeper-hub_fleet-1", "hopkeeper-hub_fleet-2"]])
def test_an_empty_listing_deletes_no_peering_that_may_be_the_last_to_announce_what_the_set_announces(
    remove: list[str],
) -> None:
    doc = document(1, scaleSets=[FLEET])
    doc["routeServers"][0]["remove"] = remove
    desired = decode(text(doc), Place())
    there = (own("nva-a", "10.0.1.4"), peered(1), peered(2))
    found = fleet(desired, there=there)
    planned = plan(found.topology, desired.route_servers[0], reading(*there))
    assert names([*planned.steps, *planned.blocked]) == [f"DeletePeering hopkeeper-hub_fleet-{n}" for n in (1, 2)]
    assert bool(planned.steps) is bool(remove)
    for step in planned.blocked:
        spoken = [str(r) for r in refuse(step, PeeringContext(found.topology, reading(*there)))]
        assert any("is the last peering that announces 100.64.0.0/24" in each for each in spoken)


def test_a_set_that_cannot_be_listed_keeps_what_may_be_its_instances_and_no_other_peering() -> None:
    """What has its instances' names, and what is not declared in its AS: an instance may have taken over an address."""
    desired = topology(2)
    there = (
        own("nva-z", "10.0.1.60"),
        own("nva-y", "10.0.1.61", asn=65010),
        peered(1),
        own("fleet-2", "10.0.3.2", asn=65011),
        own("fleet-west", "10.0.1.62"),
    )
    found = with_instances(desired, desired.route_servers[0], reading(*there), {"fleet": "fleet: 404"})
    planned = plan(found.topology, desired.route_servers[0], reading(*there))
    assert sorted(names([*planned.steps])) == [
        "CreatePeering hopkeeper-hub_nva-a",
        "CreatePeering hopkeeper-hub_nva-b",
        "DeletePeering hopkeeper-hub_fleet-west",
        "DeletePeering hopkeeper-hub_nva-z",
    ]
    assert planned.blocked == ()
    assert found.notes == ("fleet: 404: no peering that may be an instance's is made or deleted",)


@pytest.mark.parametrize(
    ("peering", "kept"),
    [
        (peered(1), True),
        (Peering("hopkeeper-hub_fleet-1.2", None, None, Provisioning.SUCCEEDED), True),
        (own("nva-y", "10.0.1.61", asn=65010), True),
        (own("nva-y", "10.0.1.61", asn=65011), False),
        (own("nva-a", "10.0.1.61", asn=65010), False),
        (own("other-1", "10.0.1.61", asn=65010), False),
        (own("fleet-7", "10.0.1.61"), False),
    ],
)
def test_no_delete_that_may_concern_an_instance_of_a_set_that_cannot_be_listed_passes_the_guards(
    peering: Peering, kept: bool
) -> None:
    doc = document(2, scaleSets=[FLEET, FLEET | {"name": "other", "announces": []}])
    doc["routeServers"][0]["remove"] = ["hopkeeper-hub_fleet-7"]
    desired = decode(text(doc), Place())
    found = with_instances(desired, desired.route_servers[0], reading(peering), {"fleet": "404", "other": ()})
    context = PeeringContext(found.topology, reading(peering), unlisted=found.possible)
    guards = [r.guard for r in refuse(DeletePeering("rs", peering.name, "gone"), context)]
    assert ("instances are listed" in guards) is kept


def test_the_last_instance_that_announces_a_prefix_is_kept_while_another_is_being_made() -> None:
    desired = topology()
    there = (own("nva-a", "10.0.1.4"), peered(1))
    found = fleet(desired, instance(2), there=there)
    steps = plan(found.topology, desired.route_servers[0], reading(*there)).steps
    assert names([*steps]) == ["CreatePeering hopkeeper-hub_fleet-2", "DeletePeering hopkeeper-hub_fleet-1"]


def test_a_gone_instance_whose_session_stands_is_not_drained_yet() -> None:
    desired = topology()
    found = fleet(desired, there=(peered(1, "Connected"), peered(2, "NotConnected")))
    assert added(found) == ["fleet-1 10.0.3.1"]
    assert found.notes == ("hopkeeper-hub_fleet-1: fleet-1 is gone, its session is Connected: kept until it is not",)


def test_an_instance_with_a_new_address_is_one_speaker_not_two() -> None:
    desired = topology()
    found = fleet(desired, instance(1, "10.0.3.99"), there=(peered(1, "Connected"),))
    assert added(found) == ["fleet-1 10.0.3.99"]


def test_an_instance_with_the_address_of_a_speaker_is_that_speaker() -> None:
    assert added(fleet(topology(), instance(1, "10.0.1.4"))) == []


def test_an_instance_in_any_of_the_networks_is_peered() -> None:
    desired = decode(text(document(1, scaleSets=[FLEET], networks=["10.0.0.0/16", "10.7.0.0/16"])), Place())
    assert added(fleet(desired, instance(1, "10.7.0.4"))) == ["fleet-1 10.7.0.4"]


def test_an_instance_outside_the_networks_is_left_out_and_reported() -> None:
    found = fleet(topology(), instance(1, "192.168.0.4"))
    assert added(found) == []
    assert found.notes == ("fleet-1: 192.168.0.4 is outside the declared networks: not peered",)


def test_a_connected_peering_of_a_declared_speaker_is_no_instance() -> None:
    desired = topology()
    there = own("fleet-west", "10.0.3.77", Provisioning.SUCCEEDED, 65010)
    connected = Peering(there.name, there.address, there.asn, there.state, "Connected")
    assert added(fleet(desired, there=(connected,))) == []


def connected(name: str, address: str | None, asn: int = 65010) -> Peering:
    where = IPv4Address(address) if address is not None else None
    return Peering(f"hopkeeper-hub_{name}", where, asn, Provisioning.SUCCEEDED, "Connected")


def test_who_has_taken_over_the_address_of_an_instance_that_is_gone_is_the_speaker_there() -> None:
    found = fleet(topology(), instance(2, "10.0.3.1"), there=(connected("fleet-1", "10.0.3.1"),))
    assert added(found) == ["fleet-2 10.0.3.1"]
    assert found.notes == ()


def test_an_instance_that_is_another_speaker_says_nothing_about_the_next_one() -> None:
    assert added(fleet(topology(), instance(1, "10.0.1.4"), instance(2))) == ["fleet-2 10.0.3.2"]
    assert added(fleet(topology(), Instance("3", IPv4Address("10.0.3.3")))) == ["fleet-3 10.0.3.3"]


def test_peerings_of_others_say_nothing_about_an_instance() -> None:
    desired = topology()
    others = (foreign("by-hand"), own("nva-a", "10.0.1.4"))
    leaving = fleet(desired, instance(1, leaving=True), there=(*others, peered(1)))
    assert added(leaving) == ["fleet-1 10.0.3.1"]
    not_ours = foreign("by-hand", "10.0.3.1")
    assert added(fleet(desired, instance(1, leaving=True), there=(not_ours,))) == []
    gone = fleet(desired, there=(*others, peered(2), connected("fleet-1", "10.0.3.1")))
    assert added(gone) == ["fleet-1 10.0.3.1"]


def test_only_a_connected_peering_at_an_address_in_the_sets_as_keeps_an_instance_that_is_gone() -> None:
    desired = topology()
    elsewhere, unknown = connected("fleet-1", "10.0.3.1", asn=65011), connected("fleet-2", None)
    found = fleet(desired, there=(elsewhere, unknown, connected("fleet-3", "10.0.3.3")))
    assert added(found) == ["fleet-3 10.0.3.3"]


def test_of_a_set_that_cannot_be_listed_a_peering_is_a_speaker_at_its_address_that_announces_nothing_for_certain() -> (
    None
):
    desired = topology()
    vague = Peering("hopkeeper-hub_fleet-2", IPv4Address("10.0.3.2"), None, Provisioning.SUCCEEDED)
    there = (foreign("by-hand"), peered(1), vague, own("fleet-3", "10.0.3.3", asn=65077), own("nva-a", "10.0.1.4"))
    found = with_instances(desired, desired.route_servers[0], reading(*there), {"fleet": "fleet: 404"})
    speakers = {s.name: s for s in found.topology.speakers}
    assert {name: speakers[name].asn for name in ("fleet-1", "fleet-2", "fleet-3")} == {
        "fleet-1": 65010,
        "fleet-2": 65010,
        "fleet-3": 65077,
    }
    assert {s.announces for name, s in speakers.items() if name != "nva-a"} == {()}
    assert found.unlisted == {"fleet"}
    assert found.possible == {f"hopkeeper-hub_fleet-{n}": "fleet" for n in (1, 2, 3)}


def test_a_set_that_was_not_listed_changes_nothing() -> None:
    desired = topology()
    found = with_instances(desired, desired.route_servers[0], reading(peered(1)), {})
    assert (found.topology, found.notes, found.unlisted, dict(found.possible)) == (desired, (), frozenset(), {})


def test_events_of_an_instance_belong_to_the_topology() -> None:
    assert str(FLEET["id"]).casefold() in topology().resource_ids


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"name": "nva-a"}, "the name 'nva-a' is taken"),
        ({"name": "rs"}, "the name 'rs' is taken"),
        ({"id": f"{SUB}/virtualHubs/rs"}, "a scale set's id ends in"),
        ({"asn": 65515}, "ASN 65515 is reserved"),
        ({"peersWith": ["nva-a"]}, "no Route Server is named 'nva-a'"),
        ({"peersWith": []}, "needs at least 1, has 0"),
        ({"name": "f" * 60}, "longer than 80"),
        ({"agent": {"port": 8443}}, "agent: no such key"),
    ],
)
def test_a_scale_set_that_cannot_be_is_refused(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadInput, match=rule):
        topology(**change)


def test_no_speaker_has_the_name_of_an_instance() -> None:
    doc = document(1, scaleSets=[FLEET])
    doc["speakers"].append({"name": "fleet-3", "address": "10.0.1.9", "asn": 65001, "peersWith": ["rs"]})
    with pytest.raises(BadInput, match="speaker 'fleet-3' has the name of an instance"):
        decode(text(doc), Place())
