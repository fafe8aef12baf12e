"""Which prefixes hang on a peering: a service's, a speaker's own, what a hub passes on, what is relayed."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from function_app.domain.peerings.coverage import lost_with
from function_app.domain.peerings.model import Peering, Provisioning
from function_app.domain.topology.announces import announced
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import SUB, document, text, topology
from tests.unit.test_peerings import own, reading


def lost(desired: Topology, name: str, *peerings: Peering) -> list[str]:
    server = desired.route_servers[0]
    return sorted(map(str, lost_with(desired, server, reading(*peerings), f"hopkeeper-hub_{name}")))


@pytest.mark.parametrize("session", ["NotConnected", "Connecting", "Unknown"])
def test_a_peering_without_a_session_is_no_announcer_and_the_only_connected_one_is_kept(session: str) -> None:
    """Both others are written and dead: the last route would be withdrawn with the first one's peering."""
    others = [replace(own(f"nva-{n}", f"10.0.1.{i}"), connection_state=session) for n, i in (("b", 5), ("c", 6))]
    connected = replace(own("nva-a", "10.0.1.4"), connection_state="Connected")
    assert lost(topology(3), "nva-a", connected, *others) == ["0.0.0.0/0"]
    assert lost(topology(3), "nva-a", connected, others[0], own("nva-c", "10.0.1.6")) == []


def behind_hubs(**of_a_client: Any) -> Topology:
    """Two NVAs that peer with two hubs only, and one of them announces a prefix of its own."""
    doc = document(services=[])
    for speaker in doc["speakers"]:
        speaker["peersWith"] = ["hub-a", "hub-b"]
    doc["speakers"][0] |= {"announces": ["100.0.0.100/32"]} | of_a_client
    doc["speakers"] += [
        {"name": f"hub-{x}", "address": f"10.0.1.8{4 + i}", "asn": 65000, "role": "hub", "peersWith": ["rs"]}
        for i, x in enumerate("ab")
    ]
    return decode(text(doc), Place())


HUB_A, HUB_B = own("hub-a", "10.0.1.84", asn=65000), own("hub-b", "10.0.1.85", asn=65000)


def test_a_hub_announces_for_all_its_clients_and_the_last_hub_is_kept() -> None:
    desired = behind_hubs()
    assert lost(desired, "hub-a", HUB_A, HUB_B) == []
    assert lost(desired, "hub-a", HUB_A) == ["100.0.0.100/32"]
    assert lost(desired, "hub-a", HUB_A, own("hub-b", "10.0.1.85", Provisioning.FAILED, 65000)) == ["100.0.0.100/32"]


def test_a_prefix_of_a_client_counts_only_behind_the_hub_it_peers_with() -> None:
    desired = behind_hubs(peersWith=["hub-a"])
    assert lost(desired, "hub-a", HUB_A, HUB_B) == ["100.0.0.100/32"]
    assert lost(desired, "hub-b", HUB_A, HUB_B) == []


def test_each_prefix_is_looked_at_by_itself() -> None:
    doc = document(3)
    doc["services"].append(
        doc["services"][0]
        | {"name": "dns", "prefixes": ["10.9.0.53/32"], "nextHop": {"self": {}}, "members": [{"speaker": "nva-c"}]}
    )
    doc["services"][0]["members"] = doc["services"][0]["members"][:2]
    desired = decode(text(doc), Place())
    all_three = [own(f"nva-{x}", f"10.0.1.{4 + i}") for i, x in enumerate("abc")]
    assert lost(desired, "nva-a", *all_three) == []
    assert lost(desired, "nva-c", *all_three) == ["10.9.0.53/32"]


def test_a_speaker_that_nothing_hangs_on_may_go() -> None:
    doc = document(2)
    doc["services"][0]["members"] = doc["services"][0]["members"][:1]
    desired = decode(text(doc), Place())
    assert lost(desired, "nva-b", own("nva-b", "10.0.1.5")) == []


def test_behind_a_peering_of_a_departed_speaker_may_be_anything_that_is_wanted_here() -> None:
    desired = decode(text(document(2)), Place())
    gone = own("nva-z", "10.0.1.60")
    assert lost(desired, "nva-z", gone) == ["0.0.0.0/0"]
    assert lost(desired, "nva-z", gone, own("nva-a", "10.0.1.4")) == []


def test_a_peering_that_does_not_work_takes_nothing_with_it_unless_its_session_still_stands() -> None:
    desired = decode(text(document(2)), Place())
    failed = own("nva-a", "10.0.1.4", Provisioning.FAILED)
    assert lost(desired, "nva-a", failed) == []
    standing = Peering(failed.name, failed.address, failed.asn, failed.state, "Connected")
    assert lost(desired, "nva-a", standing) == ["0.0.0.0/0"]


def relaying() -> Topology:
    """nva-a peers with both Route Servers, and passes a prefix of the first on to the second."""
    doc = document(1)
    doc["routeServers"].append({"name": "spoke", "id": f"{SUB}/virtualHubs/spoke"})
    doc["speakers"][0] |= {
        "peersWith": ["rs", "spoke"],
        "relays": [{"from": "rs", "to": "spoke", "prefixes": ["192.168.0.0/16"]}],
    }
    return decode(text(doc), Place())


def test_what_is_relayed_to_a_route_server_is_announced_there_and_not_where_it_came_from() -> None:
    desired = relaying()
    speaker, (hub, spoke) = desired.speakers[0], desired.route_servers
    default, relayed = IPv4Network("0.0.0.0/0"), IPv4Network("192.168.0.0/16")
    assert announced(desired, speaker, hub.name) == {default}
    assert announced(desired, speaker, spoke.name) == {default, relayed}


def test_what_is_relayed_hangs_on_the_peerings_of_the_route_server_that_it_is_relayed_to() -> None:
    desired = relaying()
    fits, misfit, gone = own("nva-a", "10.0.1.4"), own("nva-a", "10.0.1.99"), own("nva-z", "10.0.1.60")
    for server, relayed in zip(desired.route_servers, ([], ["192.168.0.0/16"]), strict=True):
        for peering in (fits, misfit, gone):
            found = lost_with(desired, server, reading(peering), peering.name)
            assert sorted(map(str, found)) == ["0.0.0.0/0", *relayed]
        assert lost_with(desired, server, reading(fits, gone), gone.name) == frozenset()


def test_behind_a_peering_that_fits_a_speaker_is_that_speaker_alone_whatever_it_is_called() -> None:
    doc = document(2, services=[])
    for number, speaker in enumerate(doc["speakers"], 1):
        speaker["announces"] = [f"100.0.{number}.0/24"]
    desired = decode(text(doc), Place())
    assert lost(desired, "nva-z", own("nva-z", "10.0.1.4")) == ["100.0.1.0/24"]


def test_behind_a_peering_that_does_not_fit_is_its_own_speaker_and_the_one_at_its_address_and_no_other() -> None:
    doc = document(3, services=[])
    for number, speaker in enumerate(doc["speakers"], 1):
        speaker["announces"] = [f"100.0.{number}.0/24"]
    desired = decode(text(doc), Place())
    assert lost(desired, "nva-a", own("nva-a", "10.0.1.99")) == ["100.0.1.0/24"]
    assert lost(desired, "nva-a", own("nva-a", "10.0.1.5", asn=65009)) == ["100.0.1.0/24", "100.0.2.0/24"]
    assert lost(desired, "nva-a", own("nva-a", "10.0.1.4", asn=65009)) == ["100.0.1.0/24"]


def test_behind_a_peering_of_no_speaker_may_be_an_instance_of_a_scale_set_of_this_route_server() -> None:
    compute = SUB.replace("Microsoft.Network", "Microsoft.Compute")
    fleet = {"asn": 65010, "peersWith": ["rs"]}
    doc = document(1, services=[])
    doc["routeServers"].append({"name": "spoke", "id": f"{SUB}/virtualHubs/spoke"})
    doc["scaleSets"] = [
        fleet | {"name": name, "id": f"{compute}/virtualMachineScaleSets/{name}", "announces": [prefix]} | changes
        for name, prefix, changes in (
            ("here", "100.0.1.0/24", {}),
            ("there", "100.0.2.0/24", {"peersWith": ["spoke"]}),
            ("other", "100.0.3.0/24", {"asn": 65011}),
        )
    ]
    desired = decode(text(doc), Place())
    assert lost(desired, "nva-z", own("nva-z", "10.0.1.60", asn=65010)) == ["100.0.1.0/24"]
    assert lost(desired, "other-7", own("other-7", "10.0.1.60", asn=65010)) == ["100.0.1.0/24", "100.0.3.0/24"]
    assert lost(desired, "nva-z", own("nva-z", "10.0.1.60", asn=65001)) == []
    vague = Peering("hopkeeper-hub_nva-z", None, None, Provisioning.SUCCEEDED)
    assert lost(desired, "nva-z", vague) == ["100.0.1.0/24", "100.0.3.0/24"]


def test_only_a_peering_that_succeeded_counts_as_announcing_for_another_that_goes() -> None:
    desired = decode(text(document(2)), Place())
    there = own("nva-a", "10.0.1.4")
    for state, left in ((Provisioning.SUCCEEDED, []), (Provisioning.UPDATING, ["0.0.0.0/0"])):
        assert lost(desired, "nva-a", there, own("nva-b", "10.0.1.5", state)) == left


def test_names_of_peerings_are_compared_without_case() -> None:
    desired = decode(text(document(2)), Place())
    there = Peering("Hopkeeper-Hub_NVA-A", own("nva-a", "10.0.1.4").address, 65001, Provisioning.SUCCEEDED)
    assert lost(desired, "nva-a", there) == ["0.0.0.0/0"]


def test_what_another_peering_may_announce_is_not_lost_with_this_one() -> None:
    """Even where that one is Failed with its session up, so that it does not count as announcing for certain."""
    doc = document(2, services=[])
    for number, speaker in enumerate(doc["speakers"], 1):
        speaker["announces"] = [f"100.0.{number}.0/24"]
    desired = decode(text(doc), Place())
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    connected = Peering(failed.name, failed.address, failed.asn, failed.state, "Connected")
    assert lost(desired, "nva-a", own("nva-a", "10.0.1.4"), connected) == ["100.0.1.0/24"]
