"""What a speaker announces, and to which peers, by the topology alone."""

from ipaddress import IPv4Network

from function_app.domain.topology.announces import announced, of_services, originated
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import SUB, document, text

DEFAULT, OWN, RELAYED = (IPv4Network(each) for each in ("0.0.0.0/0", "100.0.0.100/32", "192.168.0.0/16"))


def dual_homed(**of_the_hub: object) -> Topology:
    """nva-a announces for `fw` and itself and relays to the Route Server in the spoke; nva-b is a client of hub-1."""
    doc = document(2)
    doc["routeServers"].append({"name": "spoke", "id": f"{SUB}/virtualHubs/spoke"})
    doc["services"][0]["members"] = [{"speaker": "nva-a"}]
    doc["speakers"][0] |= {
        "peersWith": ["rs", "spoke"],
        "announces": [str(OWN)],
        "relays": [{"from": "rs", "to": "spoke", "prefixes": [str(RELAYED)]}],
    }
    doc["speakers"][1] |= {"peersWith": ["hub-1"], "announces": ["100.0.0.101/32"]}
    hub = {"name": "hub-1", "address": "10.0.1.84", "asn": 65000, "role": "hub", "peersWith": ["rs"]}
    doc["speakers"].append(hub | of_the_hub)
    return decode(text(doc), Place())


def test_what_starts_at_a_speaker_is_its_own_and_its_services() -> None:
    desired = dual_homed()
    assert originated(desired, desired.speaker("nva-a")) == {DEFAULT, OWN}
    assert [(p, s.name) for p, s in of_services(desired, desired.speaker("nva-a"))] == [(DEFAULT, "fw")]
    assert originated(desired, desired.speaker("hub-1")) == frozenset()


def test_what_is_relayed_is_announced_only_to_the_route_server_that_the_relay_leads_to() -> None:
    desired = dual_homed()
    assert announced(desired, desired.speaker("nva-a"), "rs") == {DEFAULT, OWN}
    assert announced(desired, desired.speaker("nva-a"), "spoke") == {DEFAULT, OWN, RELAYED}


def test_a_hub_announces_its_own_and_what_starts_at_its_clients() -> None:
    desired = dual_homed(announces=["100.0.0.200/32"])
    clients, own = IPv4Network("100.0.0.101/32"), IPv4Network("100.0.0.200/32")
    assert announced(desired, desired.speaker("hub-1"), "rs") == {clients, own}
    assert announced(desired, desired.speaker("nva-b"), "hub-1") == {clients}
