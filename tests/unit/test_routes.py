"""What each Route Server should learn, and what is said where it did not: from documents and rows alone."""

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from function_app.domain.routes.expected import Standing, standing
from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.routes.learned import checks, compare, predicted_drops
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.ranked.paths import Path, Rank, acknowledged, intend
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import FRONTEND, NOW, SUB, by_itself, document, ranked, stable, text, topology

FIRST, SECOND = IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5")
BOTH = (FIRST, SECOND)
DEFAULT = IPv4Network("0.0.0.0/0")
BEHIND = Standing({"fw": FRONTEND})


def row(
    instance: IPv4Address | str,
    network: IPv4Network | str,
    next_hop: IPv4Address | str,
    as_path: str,
    source: IPv4Address | str = "10.0.1.4",
) -> LearnedRoute:
    path = tuple(int(asn) for asn in as_path.split("-"))
    return LearnedRoute(IPv4Address(instance), IPv4Network(network), IPv4Address(next_hop), path, IPv4Address(source))


def on_both(network: IPv4Network | str, next_hop: IPv4Address | str, as_path: str) -> tuple[LearnedRoute, ...]:
    return tuple(row(instance, network, next_hop, as_path) for instance in BOTH)


def kinds(found: tuple[RouteFinding, ...]) -> list[FindingKind]:
    return [f.kind for f in found]


# --- a pair behind a load balancer -----------------------------------------------------------------------------------

PAIR = {"nva-a": on_both(DEFAULT, FRONTEND, "65001"), "nva-b": on_both(DEFAULT, FRONTEND, "65001")}


def test_what_is_as_implied_gives_no_finding() -> None:
    found = compare(topology(), "rs", PAIR, BOTH, BEHIND)
    assert found == ()
    assert [(c.service, c.speaker, c.verified) for c in checks(topology(), "rs", PAIR, found, BEHIND)] == [
        ("fw", "nva-a", True),
        ("fw", "nva-b", True),
    ]


@pytest.mark.parametrize(
    ("rows", "kind", "says"),
    [
        ((), FindingKind.MISSING, "0.0.0.0/0 from nva-a on rs is not learned on either instance"),
        (
            PAIR["nva-a"][:1],
            FindingKind.ONE_INSTANCE,
            "0.0.0.0/0 from nva-a on rs is learned on instance 10.0.2.4 only, not on 10.0.2.5",
        ),
        (
            on_both(DEFAULT, "10.0.1.4", "65001"),
            FindingKind.NEXT_HOP,
            "0.0.0.0/0 from nva-a on rs has next hop 10.0.1.4, not 10.0.1.100",
        ),
        (
            (PAIR["nva-a"][0], row(SECOND, DEFAULT, "10.0.1.4", "65001")),
            FindingKind.NEXT_HOP,
            "0.0.0.0/0 from nva-a on rs has next hop 10.0.1.4, not 10.0.1.100 (instance 10.0.2.5)",
        ),
        (
            on_both(DEFAULT, FRONTEND, "65009"),
            FindingKind.AS_PATH,
            "0.0.0.0/0 from nva-a on rs has AS path 65009, not 65001",
        ),
        (
            on_both(DEFAULT, FRONTEND, "65001-65001"),
            FindingKind.PATH_LENGTH,
            "0.0.0.0/0 from nva-a on rs has an AS path of 2, too long: 1 was ordered",
        ),
        (
            on_both(DEFAULT, FRONTEND, "65001-65515"),
            FindingKind.LOOP,
            "0.0.0.0/0 from nva-a on rs has 65515 in its AS path 65001-65515: a Route Server drops such a route",
        ),
        (
            (*PAIR["nva-a"], *on_both("10.9.0.0/16", "10.0.1.4", "65001")),
            FindingKind.EXTRA,
            "10.9.0.0/16 from nva-a on rs (next hop 10.0.1.4) is implied by nothing in the topology",
        ),
    ],
)
def test_each_fault_is_found_alone_and_said(rows: tuple[LearnedRoute, ...], kind: FindingKind, says: str) -> None:
    [finding] = compare(topology(), "rs", PAIR | {"nva-a": rows}, BOTH, BEHIND)
    assert (finding.kind, finding.where, finding.speaker, finding.sentence) == (kind, "rs", "nva-a", says)
    assert finding.wrong


def test_a_kind_of_finding_is_published_as_its_name_in_lower_case_with_dashes() -> None:
    assert [kind.value for kind in FindingKind] == [kind.name.lower().replace("_", "-") for kind in FindingKind]


def test_what_a_row_or_a_finding_leaves_out_is_none() -> None:
    bare = LearnedRoute(FIRST, DEFAULT)
    assert (bare.next_hop, bare.as_path, bare.source_peer) == (None, None, None)
    finding = RouteFinding(FindingKind.LOOP, "rs", "it loops")
    assert (finding.speaker, finding.service, finding.prefix) == (None, None, None)


@pytest.mark.parametrize(
    ("path", "verified"),
    [("65001-65001", True), ("65009", True), ("65001-65515", False)],
)
def test_an_odd_as_path_is_reported_but_only_a_loop_leaves_a_service_unverified(path: str, verified: bool) -> None:
    learned = PAIR | {"nva-a": on_both(DEFAULT, FRONTEND, path)}
    found = compare(topology(), "rs", learned, BOTH, BEHIND)
    assert len(found) == 1
    [first, _] = checks(topology(), "rs", learned, found, BEHIND)
    assert first.verified is verified


def test_a_peer_whose_routes_were_not_read_is_not_judged() -> None:
    assert compare(topology(), "rs", {"nva-a": PAIR["nva-a"]}, BOTH, BEHIND) == ()


def test_a_next_hop_that_is_not_known_is_not_judged() -> None:
    learned = PAIR | {"nva-a": on_both(DEFAULT, "10.0.1.77", "65001")}
    assert compare(topology(), "rs", learned, BOTH, Standing()) == ()
    assert checks(topology(), "rs", learned, (), Standing()) == ()


def test_a_row_that_both_roles_show_counts_once() -> None:
    assert compare(topology(), "rs", PAIR | {"nva-a": PAIR["nva-a"] * 2}, BOTH, BEHIND) == ()


def test_a_speaker_announces_its_own_with_itself_as_next_hop_and_prepends_as_it_likes() -> None:
    doc = document()
    doc["speakers"][0]["announces"] = ["10.50.0.0/16"]
    desired = decode(text(doc), Place())
    mine = (*PAIR["nva-a"], *on_both("10.50.0.0/16", "10.0.1.4", "65001-65001-65001"))
    assert compare(desired, "rs", PAIR | {"nva-a": mine}, BOTH, BEHIND) == ()
    [finding] = compare(desired, "rs", PAIR, BOTH, BEHIND)
    assert (finding.kind, finding.prefix, finding.service) == (FindingKind.MISSING, IPv4Network("10.50.0.0/16"), None)


def test_a_default_route_whose_next_hop_is_a_frontend_is_right_where_both_instances_learned_it_so() -> None:
    """As the appliance of the documentation announces it: no service, `set ip next-hop` to the load balancer."""
    doc = document(1, services=[])
    doc["speakers"][0]["announces"] = [{"prefix": "0.0.0.0/0", "nextHop": {"address": "10.0.1.100"}}]
    desired = decode(text(doc), Place())
    right = on_both(DEFAULT, "10.0.1.100", "65001")
    assert compare(desired, "rs", {"nva-a": right}, BOTH, Standing()) == ()
    for instance, row in enumerate(right):
        learned = [*right]
        learned[instance] = replace(row, next_hop=IPv4Address("10.0.1.4"))
        [finding] = compare(desired, "rs", {"nva-a": tuple(learned)}, BOTH, Standing())
        assert finding.kind is FindingKind.NEXT_HOP
        assert "has next hop 10.0.1.4, not 10.0.1.100" in finding.sentence


def without(**what: Any) -> tuple[LearnedRoute, ...]:
    return tuple(replace(r, **what) for r in PAIR["nva-a"])


def test_what_a_row_does_not_report_is_not_judged_but_a_next_hop_must_be_known() -> None:
    assert compare(topology(), "rs", PAIR | {"nva-a": without(as_path=None)}, BOTH, BEHIND) == ()
    [finding] = compare(topology(), "rs", PAIR | {"nva-a": without(next_hop=None)}, BOTH, BEHIND)
    assert finding.kind is FindingKind.NEXT_HOP
    assert finding.sentence.endswith("has no next hop that could be read, so not 10.0.1.100 for certain")
    [finding] = compare(topology(), "rs", PAIR | {"nva-a": without(as_path=())}, BOTH, BEHIND)
    assert finding.sentence.endswith("has AS path empty, not 65001")


def test_a_route_that_nothing_implies_is_named_with_its_next_hops_by_peer() -> None:
    extra = on_both("10.9.0.0/16", "10.0.1.9", "65001")
    unknown = replace(extra[0], next_hop=None, network=IPv4Network("10.8.0.0/16"))
    other = replace(extra[1], next_hop=IPv4Address("10.0.1.10"))
    learned = {"nva-b": (*PAIR["nva-b"], unknown), "nva-a": (*PAIR["nva-a"], *extra, other)}
    assert [f.sentence for f in compare(topology(), "rs", learned, BOTH, BEHIND)] == [
        "10.9.0.0/16 from nva-a on rs (next hop 10.0.1.10, 10.0.1.9) is implied by nothing in the topology",
        "10.8.0.0/16 from nva-b on rs (next hop unknown) is implied by nothing in the topology",
    ]


def test_several_rows_of_one_prefix_give_the_same_findings_in_any_order() -> None:
    rows = (row(FIRST, DEFAULT, "10.0.1.7", "65001"), row(FIRST, DEFAULT, "10.0.1.6", "65001"), PAIR["nva-a"][1])
    found = [compare(topology(), "rs", PAIR | {"nva-a": each}, BOTH, BEHIND) for each in (rows, rows[::-1])]
    assert found[0] == found[1]
    assert [f.sentence.rpartition("next hop ")[2] for f in found[0]] == [
        "10.0.1.6, not 10.0.1.100 (instance 10.0.2.4)",
        "10.0.1.7, not 10.0.1.100 (instance 10.0.2.4)",
    ]


def test_a_check_counts_findings_of_its_own_route_server_and_peers_that_were_read() -> None:
    found = compare(topology(), "rs", {"nva-a": ()}, BOTH, BEHIND)
    elsewhere = tuple(replace(f, where="rs-2") for f in found)
    for findings, verified in ((found, False), (elsewhere, True)):
        [check] = checks(topology(), "rs", {"nva-a": ()}, findings, BEHIND)
        assert (check.speaker, check.verified) == ("nva-a", verified)
        assert check.missing == (() if verified else (found[0].sentence,))


# --- ranked kinds ----------------------------------------------------------------------------------------------------


def at_rest(paths: dict[str, Path]) -> Rank:
    rank = intend(Rank(), 1, paths, NOW)
    for name in paths:
        rank = acknowledged(rank, name, (1, rank.seq), NOW)
    return rank


def test_the_length_that_a_record_ordered_is_the_length_that_is_expected() -> None:
    rank = at_rest({"nva-a": Path(4, "nva-a"), "nva-b": Path(5, "nva-b")})
    now = standing({"fw": stable(rank=rank)}, {"fw": IPv4Address("10.0.1.4")})
    learned = {
        "nva-a": on_both(DEFAULT, "10.0.1.4", "65001-65001-65001-65001"),
        "nva-b": on_both(DEFAULT, "10.0.1.5", "65001-65001-65001-65001"),
    }
    [finding] = compare(ranked(), "rs", learned, BOTH, now)
    assert (finding.kind, finding.speaker) == (FindingKind.PATH_LENGTH, "nva-b")
    assert finding.sentence.endswith("has an AS path of 4, too short: 5 was ordered")


def test_a_length_that_may_still_change_is_not_judged() -> None:
    rank = at_rest({"nva-a": Path(4, "nva-a"), "nva-b": Path(5, "nva-b")})
    rank = intend(rank, 2, {"nva-b": Path(3, "nva-b")}, NOW)
    now = standing({"fw": stable(rank=rank)}, {"fw": IPv4Address("10.0.1.4")})
    assert now.lengths == {("fw", "nva-a"): 4}


def test_injectors_name_the_holder() -> None:
    desired = ranked(2, ("watch-1",))
    now = Standing({"fw": IPv4Address("10.0.1.5")})
    right = {"watch-1": on_both(DEFAULT, "10.0.1.5", "65001")}
    assert compare(desired, "rs", right, BOTH, now) == ()
    [finding] = compare(desired, "rs", {"watch-1": on_both(DEFAULT, "10.0.1.4", "65001")}, BOTH, now)
    assert finding.kind is FindingKind.NEXT_HOP


# --- ten NVAs behind two hubs, as published ("beyond eight peers") ---------------------------------------------------

INSTANCES = (IPv4Address("10.13.76.4"), IPv4Address("10.13.76.5"))
HUBS = {"hub-1": "10.13.76.84", "hub-2": "10.13.76.85"}
NVAS = range(100, 110)


def ten_nvas(hub_owns: bool = False, **changes: Any) -> Topology:
    hubs = [
        {"name": name, "address": address, "asn": 65000, "role": "hub", "peersWith": ["rs"]}
        for name, address in HUBS.items()
    ]
    for hub in hubs if hub_owns else ():
        hub["announces"] = ["100.0.0.200/32"]
    nvas = [
        {
            "name": f"nva-{n}",
            "address": f"10.13.76.{n}",
            "asn": 65000 + n,
            "peersWith": ["hub-1", "hub-2"],
            "announces": [f"100.0.0.{n}/32"],
        }
        for n in NVAS
    ]
    return decode(
        text(
            {
                "schema": "hopkeeper/v1",
                "name": "hub",
                "networks": ["10.13.76.0/24"],
                "routeServers": [{"name": "rs", "id": f"{SUB}/virtualHubs/rs"}],
                "speakers": hubs + nvas,
            }
            | changes
        ),
        Place(),
    )


def published(hub: str) -> tuple[LearnedRoute, ...]:
    """The published table: next hop is the NVA, AS path the hub's ASN and the NVA's, source the hub."""
    return tuple(
        row(instance, f"100.0.0.{n}/32", f"10.13.76.{n}", f"65000-{65000 + n}", HUBS[hub])
        for instance in INSTANCES
        for n in NVAS
    )


TABLE = {hub: published(hub) for hub in HUBS}


def test_the_published_table_of_ten_nvas_behind_two_hubs_is_what_is_expected() -> None:
    assert compare(ten_nvas(), "rs", TABLE, INSTANCES, Standing()) == ()


def test_a_hub_that_owns_a_prefix_announces_it_with_itself_as_next_hop() -> None:
    own = {
        hub: (*rows, *(row(i, "100.0.0.200/32", HUBS[hub], "65000", HUBS[hub]) for i in INSTANCES))
        for hub, rows in TABLE.items()
    }
    assert compare(ten_nvas(hub_owns=True), "rs", own, INSTANCES, Standing()) == ()
    assert kinds(compare(ten_nvas(), "rs", own, INSTANCES, Standing())) == [FindingKind.EXTRA] * 2
    assert kinds(compare(ten_nvas(hub_owns=True), "rs", TABLE, INSTANCES, Standing())) == [FindingKind.MISSING] * 2


def test_the_finding_of_a_hub_that_names_itself_for_a_client_says_to_leave_the_next_hop() -> None:
    spoilt = tuple(
        replace(r, next_hop=IPv4Address(HUBS["hub-1"])) if r.as_path[1] == 65103 else r for r in TABLE["hub-1"]
    )
    [finding] = compare(ten_nvas(), "rs", TABLE | {"hub-1": spoilt}, INSTANCES, Standing())
    assert finding.kind is FindingKind.HUB_NEXT_HOP
    assert finding.sentence == (
        "100.0.0.103/32 from hub-1 on rs has next hop 10.13.76.84, the hub itself, not 10.13.76.103 of nva-103: "
        "hub-1 must pass clients' routes on with the next hop unchanged"
    )


def test_a_client_that_one_hub_does_not_carry_would_be_lost_with_the_other() -> None:
    short = tuple(r for r in TABLE["hub-2"] if r.as_path[1] != 65107)
    found = compare(ten_nvas(), "rs", TABLE | {"hub-2": short}, INSTANCES, Standing())
    assert [(f.kind, f.where, f.speaker, f.sentence) for f in found] == [
        (
            FindingKind.HUB_LACKS_CLIENT,
            "rs",
            "hub-2",
            "hub-2 carries nothing of its client nva-107 to rs: 100.0.0.107/32",
        ),
        (
            FindingKind.ONE_HUB,
            "rs",
            "hub-1",
            "losing hub-1 would lose 100.0.0.107/32 on rs: no other peer carries it to both instances",
        ),
    ]


def test_a_client_on_one_instance_only_would_be_lost_there_with_the_other_hub() -> None:
    short = tuple(r for r in TABLE["hub-2"] if (r.as_path[1], r.instance) != (65107, INSTANCES[1]))
    found = compare(ten_nvas(), "rs", TABLE | {"hub-2": short}, INSTANCES, Standing())
    assert kinds(found) == [FindingKind.ONE_INSTANCE, FindingKind.ONE_HUB]


def test_losing_a_hub_is_not_predicted_before_the_routes_of_every_hub_were_read() -> None:
    assert compare(ten_nvas(), "rs", {"hub-1": TABLE["hub-1"]}, INSTANCES, Standing()) == ()


def test_a_client_with_one_hub_only_is_worth_knowing_and_not_wrong() -> None:
    doc = ten_nvas()
    alone = tuple(structs.replace(s, peers_with=("hub-1",)) if s.name == "nva-105" else s for s in doc.speakers)
    desired = structs.replace(doc, speakers=alone)
    learned = TABLE | {"hub-2": tuple(r for r in TABLE["hub-2"] if r.as_path[1] != 65105)}
    [finding] = compare(desired, "rs", learned, INSTANCES, Standing())
    assert (finding.kind, finding.where, finding.wrong) == (FindingKind.ONE_HUB, "rs", False)
    assert finding.sentence == "nva-105 has one hub of rs only: losing hub-1 would lose all that it announces"


def test_what_a_hub_loses_is_predicted_whatever_other_peers_have_not_been_read() -> None:
    doc = ten_nvas()
    router = structs.replace(
        doc.speaker("nva-100"), name="plain", address=IPv4Address("10.13.76.9"), peers_with=("rs",)
    )
    desired = structs.replace(doc, speakers=(*doc.speakers, structs.replace(router, own=())))
    short = tuple(r for r in TABLE["hub-2"] if r.as_path[1] != 65107)
    found = compare(desired, "rs", TABLE | {"hub-2": short}, INSTANCES, Standing())
    assert kinds(found) == [FindingKind.HUB_LACKS_CLIENT, FindingKind.ONE_HUB]


def test_a_row_of_an_unknown_instance_carries_nothing() -> None:
    """Of the two instances, both have both hubs; a third one is not of this Route Server."""
    stray = replace(TABLE["hub-1"][0], instance=IPv4Address("10.13.76.6"))
    learned = TABLE | {"hub-1": (*TABLE["hub-1"], stray)}
    assert compare(ten_nvas(), "rs", learned, INSTANCES, Standing()) == ()


def test_a_prefix_of_several_clients_is_missing_and_no_single_client_is_named() -> None:
    desired = behind_hubs()
    learned = {"hub-1": on_both(DEFAULT, FRONTEND, "65000-65001"), "hub-2": ()}
    found = [f for f in compare(desired, "rs", learned, BOTH, BEHIND) if f.speaker == "hub-2"]
    assert [f.sentence for f in found] == ["0.0.0.0/0 from hub-2 on rs is not learned on either instance"]


def test_clients_that_a_hub_does_not_carry_are_named_in_order() -> None:
    doc = ten_nvas()
    turned = {"nva-100": "100.0.0.109/32", "nva-109": "100.0.0.100/32"}
    speakers = tuple(
        structs.replace(s, own=by_itself(IPv4Network(turned[s.name]))) if s.name in turned else s
        for s in doc.speakers
        if s.name in {*turned, *HUBS}
    )
    found = compare(structs.replace(doc, speakers=speakers), "rs", {"hub-1": (), "hub-2": ()}, INSTANCES, Standing())
    assert [f.sentence.partition(" to ")[0] for f in found] == [
        f"{hub} carries nothing of its client {client}" for hub in HUBS for client in turned
    ]


def test_a_client_of_one_hub_that_peers_with_the_route_server_too_or_where_there_is_one_hub_is_as_intended() -> None:
    doc = ten_nvas()

    def one_hub(*peers: str, drop: str = "") -> list[FindingKind]:
        """Findings where nva-105 peers with `peers` only."""
        mine = (structs.replace(s, peers_with=peers) if s.name == "nva-105" else s for s in doc.speakers)
        desired = structs.replace(doc, speakers=tuple(s for s in mine if s.name != drop))
        learned = {hub: rows for hub, rows in TABLE.items() if hub != drop}
        found = compare(desired, "rs", learned, INSTANCES, Standing())
        return [f.kind for f in found if not f.wrong]

    assert one_hub("hub-1") == [FindingKind.ONE_HUB]
    assert one_hub("hub-1", "rs") == []
    assert one_hub("hub-1", drop="hub-2") == []


def test_a_prefix_of_the_hubs_own_is_missing_from_the_other_and_not_lost_with_this_one() -> None:
    learned = TABLE | {"hub-1": (*TABLE["hub-1"], *on_instances("100.0.0.200/32", HUBS["hub-1"], "65000"))}
    found = compare(ten_nvas(hub_owns=True), "rs", learned, INSTANCES, Standing())
    assert [(f.kind, f.speaker) for f in found] == [(FindingKind.MISSING, "hub-2")]


def test_all_that_is_lost_with_a_hub_is_named_in_order() -> None:
    learned = {"hub-1": tuple(reversed(TABLE["hub-1"])), "hub-2": ()}
    *_, last = compare(ten_nvas(), "rs", learned, INSTANCES, Standing())
    assert last.sentence == (
        "losing hub-1 would lose 100.0.0.100/32, 100.0.0.101/32, 100.0.0.102/32 and 7 more on rs: "
        "no other peer carries it to both instances"
    )


def test_a_client_of_one_hub_that_peers_with_another_route_server_has_one_hub_all_the_same() -> None:
    doc = ten_nvas()
    speakers = tuple(
        structs.replace(s, peers_with=("hub-1", "rs-2")) if s.name == "nva-105" else s for s in doc.speakers
    )
    learned = TABLE | {"hub-2": tuple(r for r in TABLE["hub-2"] if r.as_path[1] != 65105)}
    found = compare(structs.replace(doc, speakers=speakers), "rs", learned, INSTANCES, Standing())
    assert [(f.kind, f.speaker) for f in found] == [(FindingKind.ONE_HUB, "hub-1")]


def on_instances(network: str, next_hop: str, as_path: str) -> tuple[LearnedRoute, ...]:
    return tuple(row(instance, network, next_hop, as_path) for instance in INSTANCES)


def test_a_next_hop_that_is_neither_the_clients_nor_the_hubs_is_wrong_and_no_fault_of_the_hubs_rule() -> None:
    spoilt = tuple(
        replace(r, next_hop=IPv4Address("10.13.76.9")) if r.as_path[1] == 65103 else r for r in TABLE["hub-1"]
    )
    [finding] = compare(ten_nvas(), "rs", TABLE | {"hub-1": spoilt}, INSTANCES, Standing())
    assert finding.kind is FindingKind.NEXT_HOP
    assert finding.sentence == "100.0.0.103/32 from hub-1 on rs has next hop 10.13.76.9, not 10.13.76.103"


ROWS = st.tuples(st.sampled_from(sorted(HUBS)), st.sampled_from(NVAS), st.sampled_from(INSTANCES))


@settings(max_examples=60, deadline=None)
@given(st.sets(ROWS, max_size=12))
def test_no_row_goes_missing_unsaid_and_no_lonely_hub_either(gone: set[tuple[str, int, IPv4Address]]) -> None:
    learned = {
        hub: tuple(r for r in rows if (hub, r.as_path[1] - 65000, r.instance) not in gone)
        for hub, rows in TABLE.items()
    }
    found = compare(ten_nvas(), "rs", learned, INSTANCES, Standing())
    findings = {
        (f.speaker, prefix) for f in found if f.kind is not FindingKind.ONE_HUB for prefix in prefixes_in(f.sentence)
    }
    assert findings == {(hub, f"100.0.0.{n}/32") for hub, n, _ in gone}
    other = {"hub-1": "hub-2", "hub-2": "hub-1"}
    lonely = {other[hub] for hub, n, i in gone if (other[hub], n, i) not in gone}
    assert {f.speaker for f in found if f.kind is FindingKind.ONE_HUB} == lonely


def prefixes_in(sentence: str) -> list[str]:
    return re.findall(r"100\.0\.0\.\d+/32", sentence)


# --- services and mixed speakers behind a hub ------------------------------------------------------------------------


def behind_hubs() -> Topology:
    """The pair of `document`, each a client of two hubs, and hub-1 a member itself."""
    doc = document()
    for speaker in doc["speakers"]:
        speaker["peersWith"] = ["hub-1", "hub-2"]
    for i, name in enumerate(HUBS):
        hub = {"name": name, "address": f"10.0.1.{84 + i}", "asn": 65000, "role": "hub", "peersWith": ["rs"]}
        doc["speakers"].append(hub)
    doc["speakers"][2] |= {"agent": {"port": 8443}}
    doc["services"][0]["members"].append({"speaker": "hub-1", "priority": 10})
    return decode(text(doc), Place())


def test_a_hub_shows_one_of_its_clients_announcements_of_a_service() -> None:
    desired = behind_hubs()
    for path, wanted in (("65000-65001", []), ("65000", []), ("65000-65009", [FindingKind.AS_PATH])):
        learned = {"hub-1": on_both(DEFAULT, FRONTEND, path), "hub-2": on_both(DEFAULT, FRONTEND, "65000-65001")}
        found = compare(desired, "rs", learned, BOTH, BEHIND)
        assert kinds(found) == wanted
        assert [c.speaker for c in checks(desired, "rs", learned, found, BEHIND)] == ["hub-1", "hub-2"]


def test_a_row_is_compared_with_the_way_whose_next_hop_it_has_rather_than_whose_as_path() -> None:
    doc = ten_nvas()
    anycast = by_itself(IPv4Network("100.0.0.1/32"))
    clients = tuple(structs.replace(doc.speaker(name), own=anycast) for name in ("nva-100", "nva-101"))
    desired = structs.replace(doc, speakers=(doc.speaker("hub-1"), doc.speaker("hub-2"), *clients))
    learned = {"hub-1": on_instances("100.0.0.1/32", "10.13.76.101", "65000-65100")}
    [finding] = compare(desired, "rs", learned, INSTANCES, Standing())
    assert finding.sentence == "100.0.0.1/32 from hub-1 on rs has AS path 65000-65100, not 65000-65101"


def test_a_hub_that_names_itself_for_a_service_leaves_the_service_unverified() -> None:
    desired = behind_hubs()
    learned = {
        "hub-1": on_both(DEFAULT, FRONTEND, "65000-65001"),
        "hub-2": on_both(DEFAULT, "10.0.1.85", "65000-65001"),
    }
    found = compare(desired, "rs", learned, BOTH, BEHIND)
    assert kinds(found) == [FindingKind.HUB_NEXT_HOP]
    assert [c.verified for c in checks(desired, "rs", learned, found, BEHIND)] == [True, False]


def test_a_service_is_unverified_where_a_hub_carries_nothing_of_its_member_whatever_else_that_announces() -> None:
    doc = document(1)
    doc["speakers"][0] |= {"peersWith": ["hub-1"], "announces": ["10.50.0.0/16", "0.0.0.0/1"]}
    hub = {"name": "hub-1", "address": "10.0.1.84", "asn": 65000, "role": "hub", "peersWith": ["rs"]}
    doc["speakers"].append(hub)
    desired = decode(text(doc), Place())
    found = compare(desired, "rs", {"hub-1": ()}, BOTH, BEHIND)
    assert sorted((f.kind, f.service or "", f.sentence.rpartition(": ")[2]) for f in found) == [
        (FindingKind.HUB_LACKS_CLIENT, "", "0.0.0.0/1, 10.50.0.0/16"),
        (FindingKind.HUB_LACKS_CLIENT, "fw", "0.0.0.0/0"),
    ]
    assert [(c.service, c.verified) for c in checks(desired, "rs", {"hub-1": ()}, found, BEHIND)] == [("fw", False)]


# --- relays: dual-homed networks -------------------------------------------------------------------------------------


def dual_homed(as_override: bool) -> Topology:
    """A Route Server in the spoke and one in a hub; nva-1 passes the spoke's prefix up and a branch's down."""
    relays = [
        {"from": "rs-spoke", "to": "rs-hub", "prefixes": ["10.1.0.0/16"]},
        {"from": "rs-hub", "to": "rs-spoke", "prefixes": ["172.16.0.0/12"]},
    ]
    servers = ("rs-spoke", "rs-hub")
    speaker = {"name": "nva-1", "address": "10.0.1.4", "asn": 65001, "peersWith": [*servers], "relays": relays}
    return decode(
        text(
            {
                "schema": "hopkeeper/v1",
                "name": "hub",
                "networks": ["10.0.0.0/16"],
                "routeServers": [{"name": n, "id": f"{SUB}/virtualHubs/{n}"} for n in servers],
                "speakers": [speaker | {"asOverride": as_override}],
            }
        ),
        Place(),
    )


def test_a_relay_without_override_is_predicted_to_be_dropped_and_not_missed() -> None:
    found = predicted_drops(dual_homed(as_override=False))
    assert [(f.kind, f.where, f.speaker) for f in found] == [
        (FindingKind.DROPPED, "rs-hub", "nva-1"),
        (FindingKind.DROPPED, "rs-spoke", "nva-1"),
    ]
    assert found[0].sentence == (
        "10.1.0.0/16, relayed by nva-1 from rs-spoke, will be dropped by rs-hub: its AS path 65001-65515 holds 65515; "
        "set asOverride on nva-1"
    )
    assert compare(dual_homed(as_override=False), "rs-hub", {"nva-1": ()}, BOTH, Standing()) == ()


def test_what_a_relay_without_override_passes_on_all_the_same_is_implied_by_the_topology() -> None:
    learned = {"nva-1": on_both("10.1.0.0/16", "10.0.1.4", "65001")}
    assert compare(dual_homed(as_override=False), "rs-hub", learned, BOTH, Standing()) == ()


def test_a_relay_with_override_is_expected_with_its_own_asn_in_the_place_of_65515() -> None:
    desired = dual_homed(as_override=True)
    assert predicted_drops(desired) == ()
    assert kinds(compare(desired, "rs-spoke", {"nva-1": ()}, BOTH, Standing())) == [FindingKind.MISSING]
    for path in ("65001-65001-12076-64999", "65001-65001"):
        learned = {"nva-1": on_both("172.16.0.0/12", "10.0.1.4", path)}
        assert compare(desired, "rs-spoke", learned, BOTH, Standing()) == ()
    looped = {"nva-1": on_both("172.16.0.0/12", "10.0.1.4", "65001-65515-12076")}
    assert kinds(compare(desired, "rs-spoke", looped, BOTH, Standing())) == [FindingKind.LOOP]
    foreign = {"nva-1": on_both("172.16.0.0/12", "10.0.1.9", "65009-12076")}
    hop, path = compare(desired, "rs-spoke", foreign, BOTH, Standing())
    assert (hop.kind, path.kind) == (FindingKind.NEXT_HOP, FindingKind.AS_PATH)
    assert path.sentence.endswith("has AS path 65009-12076, not 65001-…")


def test_a_relay_passes_on_what_it_says_and_nothing_else() -> None:
    learned = {"nva-1": (*on_both("172.16.0.0/12", "10.0.1.4", "65001"), *on_both("10.1.0.0/16", "10.0.1.4", "65001"))}
    found = compare(dual_homed(as_override=True), "rs-spoke", learned, BOTH, Standing())
    assert [(f.kind, f.prefix) for f in found] == [(FindingKind.EXTRA, IPv4Network("10.1.0.0/16"))]
