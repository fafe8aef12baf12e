"""What a topology says of itself: names, announcers, commanded agents, resources, and whose a peering is."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from function_app.domain.topology import model
from function_app.domain.topology.document import SIZE_MAX, decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Naming, Topology
from function_app.domain.topology.peering_names import (
    AGAIN,
    adopted_for,
    free_name,
    is_ours,
    is_own,
    peering_name,
    speaker_named,
)
from tests.builders import SUB, document, ranked, text, topology
from tests.unit.test_topology_laws import COMPUTE, refusals, wide


def of_the_wide_document() -> Topology:
    return decode(text(wide()), Place())


def test_members_are_named_by_priority_and_equals_by_name() -> None:
    doc = document(3)
    doc["services"][0]["members"] = [
        {"speaker": "nva-c", "priority": 50},
        {"speaker": "nva-b", "priority": 50},
        {"speaker": "nva-a", "priority": 10},
    ]
    service = decode(text(doc), Place()).services[0]
    assert service.names == ("nva-b", "nva-c", "nva-a")
    assert service.member("nva-a").priority == 10


def test_who_announces_and_which_member_is_announced_follows_from_the_kind_of_next_hop() -> None:
    behind, own, injected = topology().services[0], ranked().services[0], ranked(2, ("ws1",)).services[0]
    assert (behind.naming, own.naming, injected.naming) == (None, Naming.SELF, Naming.MEMBER)
    assert (behind.announcers, own.announcers, injected.announcers) == (behind.names, own.names, ("ws1",))
    assert {naming.value for naming in Naming} == {"self", "member"} < set(model.NextHop.kinds())
    assert injected.agents == {"nva-a", "nva-b", "ws1"}
    assert behind.load_balancer is not None
    assert (own.load_balancer, injected.load_balancer) == (None, None)


def test_everything_is_found_by_its_name() -> None:
    wide = of_the_wide_document()
    assert wide.speaker("relay").asn == 65020
    assert wide.service("fw").name == "fw"
    assert [s.name for s in wide.peered_with("rs-2")] == ["relay"]
    assert [s.name for s in wide.clients("hub-a")] == ["behind"]
    assert [s.name for s in wide.announced_by("nva-a")] == ["fw"]
    assert wide.announced_by("relay") == ()


def test_members_announcers_and_witnesses_are_commanded_and_no_other() -> None:
    assert of_the_wide_document().commanded == {"nva-a", "nva-b", "watch"}
    assert ranked(2, ("ws1",)).commanded == {"nva-a", "nva-b", "ws1"}


def test_every_resource_of_the_document_is_named_in_lower_case() -> None:
    network = SUB.casefold()
    assert of_the_wide_document().resource_ids == {
        f"{network}/virtualhubs/rs",
        f"{network}/virtualhubs/rs-2",
        f"{network}/networkinterfaces/nic",
        f"{network}/loadbalancers/ilb",
        f"{network}/virtualnetworks/spoke/virtualnetworkpeerings/to-hub",
        f"{network}/virtualnetworks/spoke/virtualnetworkpeerings/to-far",
        f"{COMPUTE.casefold()}/virtualmachinescalesets/fleet",
        f"{COMPUTE.casefold()}/virtualmachinescalesets/other",
    }


def test_a_backend_pool_is_one_however_it_is_spelled() -> None:
    balancer = topology().services[0].load_balancer
    assert balancer is not None
    assert balancer.pool_id == f"{SUB}/loadbalancers/ilb/backendaddresspools/nvas".casefold()


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("hopkeeper-hub_nva-a", "nva-a"),
        ("HopKeeper-Hub_NVA-A", "nva-a"),
        ("hopkeeper-hub_nva-a.2", "nva-a"),
        ("hopkeeper-hub_nva-a.9", "nva-a"),
        ("hopkeeper-hub_gone", "gone"),
        ("Theirs", "nva-b"),
        ("hopkeeper-hub2_nva-a", None),
        ("hopkeeper-", None),
        ("other", None),
    ],
)
def test_a_connection_is_ours_by_its_name_or_because_it_was_adopted(name: str, speaker: str | None) -> None:
    doc = document()
    doc["routeServers"][0]["adopt"] = {"nva-b": "theirs"}
    topology = decode(text(doc), Place())
    server = topology.route_servers[0]
    assert speaker_named(topology, server, name) == speaker
    assert is_own(topology, server, name) is (speaker is not None)
    assert is_ours(name, "hub") is (speaker not in (None, "nva-b"))
    assert adopted_for(server, name) == ("nva-b" if name == "Theirs" else None)


def test_a_further_peering_of_a_speaker_takes_the_first_free_name() -> None:
    first = peering_name("Hub", "nva-a")
    assert first == "hopkeeper-Hub_nva-a"
    assert free_name("Hub", "nva-a", frozenset()) == first
    taken = [first.casefold()]
    for end in AGAIN:
        assert free_name("Hub", "nva-a", frozenset(taken)) == first + end
        taken.append((first + end).casefold())
    assert AGAIN == (".2", ".3", ".4", ".5", ".6", ".7", ".8", ".9")


def test_a_document_may_have_256_ki_characters_and_no_more() -> None:
    written = text(document())
    padded = written + "#" * (SIZE_MAX - len(written))
    assert decode(padded, Place()).name == "hub"
    assert SIZE_MAX == 262144
    assert refusals(document()) == []


SHAPES = [shape for shape in vars(model).values() if isinstance(shape, type) and issubclass(shape, Struct)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_no_shape_takes_a_key_that_it_does_not_know(shape: type[Struct]) -> None:
    assert shape is Struct or shape.__struct_config__.forbid_unknown_fields


def test_what_is_not_written_down_of_a_peer_is_this() -> None:
    written = of_the_wide_document()
    server, speaker, scale_set = written.route_servers[0], written.speakers[0], written.scale_sets[0]
    assert (server.branch_to_branch, server.routing_preference, server.owned) == (None, None, False)
    assert server.slots == "refuse"
    assert (speaker.role, speaker.priority, speaker.as_override, speaker.vm) == ("router", 100, False, None)
    assert speaker.agent is not None
    assert speaker.agent.probe is None
    assert (scale_set.priority, scale_set.announces) == (100, ())


def test_what_is_not_written_down_of_a_network_peering_is_left_as_it_is() -> None:
    peering = of_the_wide_document().network_peerings[0]
    assert (peering.use_remote_gateways, peering.allow_gateway_transit, peering.allow_forwarded_traffic) == (None,) * 3
    assert peering.owned is False


def test_what_is_not_written_down_of_a_service_is_this() -> None:
    service = of_the_wide_document().services[0]
    assert (service.failover.preempt, service.failover.rehearse) == ("never", "adopted")
    assert service.failover.return_after == timedelta(minutes=30)
    assert (service.min_healthy, service.outward, service.snat) == (None, None, False)
    neighbour = model.Neighbour(address=IPv4Address("192.0.2.1"), asn=65200)
    outward = model.Outward(neighbours=(neighbour,), prefixes=(IPv4Network("10.0.0.0/16"),))
    assert (outward.standby, outward.prepend) == ("prepend", 3)
    assert (model.Member(speaker="a").priority, model.Member(speaker="a").backend) == (100, None)


RANGES: list[tuple[list[Any], int, int]] = [
    (["speakers", 0, "priority"], 0, 65535),
    (["speakers", 0, "asn"], 1, 65534),
    (["speakers", 0, "agent", "port"], 1, 65535),
    (["speakers", 0, "agent", "probe"], 1, 65535),
    (["scaleSets", 0, "asn"], 1, 65534),
    (["services", 0, "outward", "prepend"], 1, 16),
    (["services", 0, "outward", "neighbours", 0, "asn"], 1, 4294967295),
]


@pytest.mark.parametrize(("path", "least", "most"), RANGES, ids=[".".join(map(str, row[0])) for row in RANGES])
def test_a_number_is_within_its_range(path: list[Any], least: int, most: int) -> None:
    for value, accepted in ((least - 1, False), (least, True), (most, True), (most + 1, False)):
        doc = wide()
        doc["services"][0]["outward"] = {
            "neighbours": [{"address": "192.0.2.1", "asn": 1}],
            "prefixes": ["10.0.0.0/16"],
        }
        at: Any = doc
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        assert (refusals(doc) == []) is accepted, (path, value)


def test_a_service_that_does_not_say_moves_promptly_and_stays_where_it_is_frozen_for_seconds() -> None:
    service = topology().services[0]
    assert (service.handover.value, service.failover.freeze) == ("prompt", "stay")


def test_a_pool_of_other_interfaces_knows_a_speaker_by_its_address_there_alone() -> None:
    speaker = msgspec.structs.replace(topology().speaker("nva-a"), interface=f"{SUB}/networkInterfaces/nva-a-nic")
    there = IPv4Address("10.0.7.4")
    pool = model.BackendPool(id="/lb", backend_pool="out", probe="p", addresses={"nva-a": there})
    assert pool.known(speaker) == msgspec.structs.replace(speaker, address=there, interface=None)
    elsewhere = msgspec.structs.replace(speaker, name="nva-b")
    assert pool.known(elsewhere) == elsewhere


@pytest.mark.parametrize("handover", ["prompt", "exclusive", "seamless"])
def test_a_service_that_one_member_at_a_time_serves_behind_a_load_balancer_says_what_is_admitted_while_it_moves(
    handover: str,
) -> None:
    services = [document()["services"][0] | {"handover": handover}]
    assert topology(services=services).services[0].handover == handover
