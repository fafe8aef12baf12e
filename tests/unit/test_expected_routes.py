"""Which routes the topology and the records imply: by kind of peer, and which ways a hub may choose."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from function_app.domain.routes.expected import (
    ExpectedRoute,
    Standing,
    Way,
    collapse,
    dropped,
    expected_routes,
    standing,
)
from function_app.domain.service.ranked.paths import Path, Rank, acknowledged, intend
from function_app.domain.service.record import Phase
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import FRONTEND, NOW, SUB, document, ranked_document, stable, text, topology

DEFAULT = IPv4Network("0.0.0.0/0")
A, B, HUB = IPv4Address("10.0.1.4"), IPv4Address("10.0.1.5"), IPv4Address("10.0.1.84")


def decoded(doc: dict[str, Any]) -> Topology:
    return decode(text(doc), Place())


def behind_a_hub(doc: dict[str, Any], **of_the_hub: Any) -> dict[str, Any]:
    """Every speaker of `doc` becomes a client of hub-1, which peers with rs, and peers with another Route Server."""
    doc["routeServers"].append({"name": "rs-2", "id": f"{SUB}/virtualHubs/rs-2"})
    for speaker in doc["speakers"]:
        speaker["peersWith"] = ["hub-1", "rs-2"]
    hub = {"name": "hub-1", "address": str(HUB), "asn": 65000, "role": "hub", "peersWith": ["rs"]}
    doc["speakers"].append(hub | of_the_hub)
    return doc


def ways(desired: Topology, now: Standing, server: str = "rs") -> dict[tuple[str, str], tuple[Way, ...]]:
    return {(each.peer, str(each.network)): each.ways for each in expected_routes(desired, server, now)}


def test_a_member_behind_a_load_balancer_announces_the_frontend_without_prepends() -> None:
    way = Way("nva-a", FRONTEND, (65001,), length=1, service="fw")
    assert ways(topology(1), Standing({"fw": FRONTEND})) == {("nva-a", "0.0.0.0/0"): (way,)}
    unknown = Way("nva-a", None, (65001,), length=1, service="fw")
    assert ways(topology(1), Standing()) == {("nva-a", "0.0.0.0/0"): (unknown,)}


def test_what_a_speaker_announces_by_itself_has_no_length_and_no_service() -> None:
    doc = document(1, services=[])
    doc["speakers"][0]["announces"] = ["100.0.2.0/24", "100.0.1.0/24"]
    way = Way("nva-a", A, (65001,))
    found = expected_routes(decoded(doc), "rs", Standing())
    assert [(e.server, str(e.network), e.ways, e.service) for e in found] == [
        ("rs", "100.0.1.0/24", (way,), None),
        ("rs", "100.0.2.0/24", (way,), None),
    ]


def test_what_a_speaker_announces_by_itself_may_name_an_address_or_a_frontend() -> None:
    doc = document(1, services=[])
    doc["speakers"][0]["announces"] = [{"prefix": "100.0.1.0/24", "nextHop": {"address": "10.0.1.99"}}]
    assert ways(decoded(doc), Standing())["nva-a", "100.0.1.0/24"] == (
        Way("nva-a", IPv4Address("10.0.1.99"), (65001,)),
    )
    doc = document(1)
    doc["speakers"][0]["announces"] = [{"prefix": "100.0.1.0/24", "nextHop": {"frontend": "fw"}}]
    for known, next_hop in (({"fw": FRONTEND}, FRONTEND), ({}, None)):
        found = ways(decoded(doc), Standing(known))
        assert found["nva-a", "100.0.1.0/24"] == (Way("nva-a", next_hop, (65001,)),)


def test_a_hub_leaves_the_next_hop_that_its_client_named() -> None:
    doc = behind_a_hub(document(1, services=[]))
    doc["speakers"][0]["announces"] = [{"prefix": "100.0.1.0/24", "nextHop": {"address": "10.0.1.99"}}]
    way = Way("nva-a", IPv4Address("10.0.1.99"), (65000, 65001))
    assert ways(decoded(doc), Standing()) == {("hub-1", "100.0.1.0/24"): (way,)}


def test_members_of_a_ranked_service_announce_themselves_with_the_length_that_each_acknowledged() -> None:
    now = Standing({"fw": A}, {("fw", "nva-a"): 4, ("other", "nva-b"): 5})
    assert ways(decoded(ranked_document()), now) == {
        ("nva-a", "0.0.0.0/0"): (Way("nva-a", A, (65001,), length=4, service="fw"),),
        ("nva-b", "0.0.0.0/0"): (Way("nva-b", B, (65001,), length=None, service="fw"),),
    }


def test_an_injector_names_the_holder() -> None:
    way = Way("watch-1", B, (65001,), length=4, service="fw")
    now = Standing({"fw": B}, {("fw", "watch-1"): 4})
    assert ways(decoded(ranked_document(2, ("watch-1",))), now) == {("watch-1", "0.0.0.0/0"): (way,)}


def test_a_hub_puts_its_asn_before_a_clients_and_leaves_the_next_hop() -> None:
    doc = behind_a_hub(document(1), announces=["100.0.0.200/32"])
    doc["speakers"][0]["announces"] = ["100.0.0.4/32"]
    assert ways(decoded(doc), Standing({"fw": FRONTEND})) == {
        ("hub-1", "0.0.0.0/0"): (Way("nva-a", FRONTEND, (65000, 65001), length=2, service="fw"),),
        ("hub-1", "100.0.0.4/32"): (Way("nva-a", A, (65000, 65001)),),
        ("hub-1", "100.0.0.200/32"): (Way("hub-1", HUB, (65000,)),),
    }


def test_only_a_hub_passes_on_what_its_peers_announce() -> None:
    """A router that others peer with by mistake is not taken for a hub."""
    desired = decoded(behind_a_hub(document(1)))
    hub = desired.speaker("hub-1")
    router = Topology(
        schema=desired.schema,
        name=desired.name,
        networks=desired.networks,
        route_servers=desired.route_servers,
        speakers=(desired.speakers[0], type(hub)(name=hub.name, address=hub.address, asn=hub.asn, peers_with=("rs",))),
        services=desired.services,
    )
    assert ways(router, Standing()) == {}


def relaying(as_override: bool) -> Topology:
    doc = document(1, services=[])
    doc["routeServers"].append({"name": "spoke", "id": f"{SUB}/virtualHubs/spoke"})
    doc["speakers"][0] |= {
        "peersWith": ["rs", "spoke"],
        "asOverride": as_override,
        "relays": [
            {"from": "spoke", "to": "rs", "prefixes": ["10.1.0.0/16"]},
            {"from": "rs", "to": "spoke", "prefixes": ["172.16.0.0/12"]},
        ],
    }
    return decoded(doc)


def test_a_relay_that_overrides_announces_itself_and_any_path_behind_its_asn() -> None:
    way = Way("nva-a", A, (65001,), more=True)
    assert ways(relaying(True), Standing()) == {("nva-a", "10.1.0.0/16"): (way,)}
    assert ways(relaying(True), Standing(), "spoke") == {("nva-a", "172.16.0.0/12"): (way,)}
    assert dropped(relaying(True)) == ()


def test_what_a_relay_passes_on_without_override_is_not_expected_but_dropped() -> None:
    assert ways(relaying(False), Standing()) == {}
    assert [(d.speaker, d.relay.to, d.as_path) for d in dropped(relaying(False))] == [
        ("nva-a", "rs", (65001, 65515)),
        ("nva-a", "spoke", (65001, 65515)),
    ]


# --- which of its clients' announcements a hub passes on -----------------------------------------------------------------


def origins(desired: Topology, holder: str | None) -> list[str]:
    now = Standing(holders={"fw": holder} if holder is not None else {})
    (route,) = expected_routes(desired, "rs", now)
    return [way.origin for way in route.ways]


def test_of_clients_that_announce_themselves_for_a_service_the_hub_passes_on_the_holders() -> None:
    desired = decoded(behind_a_hub(ranked_document()))
    assert origins(desired, "nva-b") == ["nva-b"]
    assert origins(desired, "nva-a") == ["nva-a"]


def test_while_no_client_of_the_hub_holds_the_service_any_of_them_may_be_passed_on() -> None:
    desired = decoded(behind_a_hub(ranked_document()))
    assert origins(desired, None) == ["nva-a", "nva-b"]
    assert origins(desired, "nva-z") == ["nva-a", "nva-b"]


def test_clients_that_announce_a_frontend_or_the_holder_are_equals_for_the_hub() -> None:
    assert origins(decoded(behind_a_hub(document())), "nva-b") == ["nva-a", "nva-b"]
    injectors = decoded(behind_a_hub(ranked_document(1, ("watch-1", "watch-2"))))
    assert origins(injectors, "watch-1") == ["watch-1", "watch-2"]


def test_what_a_client_announces_by_itself_is_passed_on_whoever_holds_the_service() -> None:
    doc = behind_a_hub(ranked_document())
    doc["speakers"][0]["announces"] = ["10.9.0.0/16"]
    mine, of_service = sorted(
        expected_routes(decoded(doc), "rs", Standing(holders={"fw": "nva-b"})), key=lambda r: r.service or ""
    )
    assert [(way.origin, way.service) for way in mine.ways] == [("nva-a", None)]
    assert [(way.origin, way.service) for way in of_service.ways] == [("nva-b", "fw")]


def test_the_holder_of_one_service_decides_nothing_about_another() -> None:
    doc = behind_a_hub(ranked_document())
    doc["services"].append(doc["services"][0] | {"name": "dns", "prefixes": ["10.9.0.53/32"]})
    found = ways(decoded(doc), Standing(holders={"fw": "nva-b", "dns": "nva-z"}))
    assert [w.origin for w in found["hub-1", "0.0.0.0/0"]] == ["nva-b"]
    assert [w.origin for w in found["hub-1", "10.9.0.53/32"]] == ["nva-a", "nva-b"]


def test_a_route_starts_at_the_speakers_that_announce_it_for_themselves() -> None:
    route = ExpectedRoute("rs", "hub-1", DEFAULT, (Way("nva-a", A, (65000, 65001)), Way("hub-1", HUB, (65000,))))
    assert (route.starts_at("hub-1"), route.starts_at("nva-a"), route.starts_at("nva-b")) == (True, True, False)


# --- what records say --------------------------------------------------------------------------------------------------


def test_a_record_says_the_holder_and_without_a_rank_no_lengths() -> None:
    assert standing({"fw": stable("nva-b")}, {"fw": FRONTEND}) == Standing({"fw": FRONTEND}, {}, {"fw": "nva-b"})
    holderless = stable(may_serve=frozenset(), phase=Phase.FENCING, target=None)
    assert holderless.holder is None
    assert standing({"fw": holderless}, {}) == Standing()


def test_of_a_rank_only_lengths_at_rest_are_expected() -> None:
    rank = intend(Rank(), 1, {"nva-a": Path(4, "nva-a"), "nva-b": Path(5, "nva-b")}, NOW)
    rank = acknowledged(rank, "nva-a", (1, rank.seq), NOW)
    assert standing({"fw": stable(rank=rank)}, {}).lengths == {("fw", "nva-a"): 4}


def test_a_way_compares_its_as_path_without_prepends_and_to_its_end() -> None:
    way = Way("nva-a", A, (65000, 65001, 65001))
    assert (way.collapsed, way.more) == ((65000, 65001), False)


def test_an_as_path_without_prepends_has_no_asn_twice_in_a_row() -> None:
    assert collapse(()) == ()
    assert collapse((65001, 65001, 65001)) == (65001,)
    assert collapse((65000, 65001, 65001, 65000)) == (65000, 65001, 65000)
    assert collapse((65000, 65001)) == (65000, 65001)
