"""What is said of the routes that a Route Server advertises to its peers."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from function_app.domain.routes.advertised import compare_advertised
from function_app.domain.routes.findings import FindingKind
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import SUB, document, text

BOTH = FIRST, SECOND = IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5")
SPOKE, BRANCH = "10.1.0.0/16", "172.16.0.0/12"


def desired(relayed: list[str] | None = None, **changes: Any) -> Topology:
    """The pair of `document`; nva-a relays the branch's prefixes from rs to a second Route Server."""
    doc = document(2, **changes)
    doc["routeServers"].append({"name": "spoke", "id": f"{SUB}/virtualHubs/spoke"})
    doc["speakers"][0] |= {
        "peersWith": ["rs", "spoke"],
        "relays": [
            {"from": "spoke", "to": "rs", "prefixes": [SPOKE]},
            {"from": "rs", "to": "spoke", "prefixes": relayed or [BRANCH, "192.168.0.0/16"]},
        ],
    }
    return decode(text(doc), Place())


def row(instance: IPv4Address, network: str, as_path: tuple[int, ...] | None = (65515, 12076)) -> LearnedRoute:
    return LearnedRoute(instance, IPv4Network(network), instance, as_path)


def on_both(*networks: str, as_path: tuple[int, ...] | None = (65515, 12076)) -> tuple[LearnedRoute, ...]:
    return tuple(row(instance, network, as_path) for instance in BOTH for network in networks)


RELAYED = on_both(BRANCH, "192.168.0.0/16")


def found(peer: str, routes: tuple[LearnedRoute, ...], topology: Topology | None = None) -> list[tuple[str, str]]:
    """Kind and sentence of each finding, all of this Route Server and this peer."""
    findings = compare_advertised(topology or desired(), "rs", {peer: routes}, BOTH)
    assert {(f.where, f.speaker) for f in findings} <= {("rs", peer)}
    return [(f.kind, f.sentence) for f in findings]


def test_equal_routes_on_both_instances_with_all_that_is_to_be_relayed_are_as_they_should_be() -> None:
    assert found("nva-a", RELAYED) == []
    assert found("nva-b", ()) == []


def test_a_prefix_that_one_instance_does_not_advertise_is_found_with_that_instance() -> None:
    rows = (*on_both("10.7.0.0/16"), row(FIRST, "10.9.0.0/16"), row(FIRST, "10.8.0.0/16"), row(SECOND, "10.6.0.0/16"))
    assert found("nva-b", rows) == [
        ("advertised-differs", "instance 10.0.2.4 of rs does not advertise 10.6.0.0/16 to nva-b, the other does"),
        (
            "advertised-differs",
            "instance 10.0.2.5 of rs does not advertise 10.8.0.0/16, 10.9.0.0/16 to nva-b, the other does",
        ),
    ]


def test_a_row_of_an_unknown_instance_is_compared_with_nothing() -> None:
    assert found("nva-b", (row(IPv4Address("10.0.2.6"), "10.9.0.0/16"),)) == []


def test_what_a_speaker_is_to_relay_must_be_advertised_to_it_by_the_route_server_that_it_comes_from() -> None:
    sentence = "rs does not advertise 172.16.0.0/12, 192.168.0.0/16 to nva-a, which is to relay it to spoke"
    assert found("nva-a", ()) == [("not-advertised", sentence)]
    [(_, one)] = found("nva-a", on_both(BRANCH))
    assert one == "rs does not advertise 192.168.0.0/16 to nva-a, which is to relay it to spoke"
    at_the_spoke = compare_advertised(desired(), "spoke", {"nva-a": on_both(SPOKE)}, BOTH)
    assert at_the_spoke == ()
    assert [f.where for f in compare_advertised(desired(), "spoke", {"nva-a": RELAYED}, BOTH)] == ["spoke"]


def test_prefixes_that_are_not_advertised_are_named_in_order() -> None:
    networks = [f"172.{16 + n}.0.0/16" for n in (9, 1, 8, 0, 5)]
    [(_, sentence)] = found("nva-a", (), desired(networks))
    assert "advertise 172.16.0.0/16, 172.17.0.0/16, 172.21.0.0/16 and 2 more to nva-a" in sentence


def test_one_instance_that_advertises_it_is_enough_to_relay() -> None:
    kinds = [kind for kind, _ in found("nva-a", (*on_both(BRANCH), row(FIRST, "192.168.0.0/16")))]
    assert kinds == ["advertised-differs"]


def test_a_services_prefix_that_comes_back_to_its_agent_is_worth_knowing_and_says_what_drops_it() -> None:
    for path, then in (
        ((65515, 65001), "its loop guard drops it (AS 65001 is in the path)"),
        ((65515, 65002), "its filter must drop it"),
        (None, "its filter must drop it"),
    ):
        [finding] = compare_advertised(desired(), "rs", {"nva-b": on_both("0.0.0.0/0", as_path=path)}, BOTH)
        assert finding.sentence == f"0.0.0.0/0 of fw comes back to nva-b from rs: {then}"
        assert (finding.kind, finding.where, finding.wrong) == (FindingKind.COMES_BACK, "rs", False)
        assert (finding.speaker, finding.service, finding.prefix) == ("nva-b", "fw", IPv4Network("0.0.0.0/0"))


def test_the_loop_guard_is_relied_on_only_where_it_holds_for_every_row() -> None:
    rows = (row(FIRST, "0.0.0.0/0", (65515, 65001)), row(SECOND, "0.0.0.0/0", (65515, 65002)))
    [(_, sentence)] = found("nva-b", rows)
    assert sentence.endswith("its filter must drop it")


def test_only_prefixes_of_services_of_the_peers_own_agent_come_back() -> None:
    doc = document(2)
    fw = doc["services"][0]
    services = [
        fw
        | {"name": "other", "prefixes": ["10.66.0.0/16"], "nextHop": {"self": {}}, "members": [{"speaker": "nva-a"}]},
        fw | {"prefixes": ["100.64.3.0/24", "100.64.1.0/24", "100.64.2.0/24"]},
    ]
    rows = on_both("10.66.0.0/16", "100.64.2.0/24", "100.64.3.0/24", "10.99.0.0/16")
    findings = compare_advertised(desired(services=services), "rs", {"nva-b": rows}, BOTH)
    assert [str(f.prefix) for f in findings] == ["100.64.2.0/24", "100.64.3.0/24"]


def test_findings_are_sorted_by_peer_and_only_peers_that_were_read_are_judged() -> None:
    one = {"nva-b": (row(FIRST, "10.9.0.0/16"),), "nva-a": (*RELAYED, row(FIRST, "10.9.0.0/16"))}
    assert [f.speaker for f in compare_advertised(desired(), "rs", one, BOTH)] == ["nva-a", "nva-b"]
    assert compare_advertised(desired(), "rs", {}, BOTH) == ()


def test_a_sentence_names_three_prefixes_and_counts_the_rest() -> None:
    networks = [f"10.{n}.0.0/16" for n in range(1, 6)]
    [(_, four)] = found("nva-b", tuple(row(FIRST, n) for n in networks[:4]))
    assert "advertise 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 and 1 more to" in four
    [(_, five)] = found("nva-b", tuple(row(FIRST, n) for n in networks))
    assert "10.3.0.0/16 and 2 more to" in five
    [(_, three)] = found("nva-b", tuple(row(FIRST, n) for n in networks[:3]))
    assert "10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 to" in three
