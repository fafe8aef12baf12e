"""What a topology document may say, and the error when it may not."""

from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.topology.document import decode, decode_stored
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Announcement, Mode, Naming, OwnNextHop
from tests.builders import document, text, topology

ROOT = Path(__file__).resolve().parents[2]


def refusals(doc: Any) -> list[str]:
    with pytest.raises(BadInput) as caught:
        decode(doc if isinstance(doc, str) else text(doc), Place())
    return [str(problem) for problem in caught.value.problems]


EXAMPLES: dict[str, list[tuple[Mode, Naming | None, tuple[str, ...]]]] = {
    "active-passive": [(Mode.ACTIVE_PASSIVE, None, ("nva-a", "nva-b"))],
    "active-active": [(Mode.ACTIVE_ACTIVE, None, ("router-a", "router-b"))],
    "as-path-preference": [(Mode.ACTIVE_PASSIVE, Naming.SELF, ("nva-a", "nva-b"))],
    "appliances": [(Mode.ACTIVE_PASSIVE, None, ("fw-a", "fw-b"))],
    "appliances-watched": [(Mode.ACTIVE_PASSIVE, None, ("fw-a", "fw-b"))],
    "appliances-sandwich": [(Mode.ACTIVE_PASSIVE, None, ("fw-a", "fw-b"))],
    "mixed-pair": [(Mode.ACTIVE_PASSIVE, None, ("nva-b", "fw-a"))],
    "fast-failover": [(Mode.ACTIVE_PASSIVE, Naming.MEMBER, ("watch1",))],
    "sandwich": [(Mode.ACTIVE_PASSIVE, None, ("nva-a", "nva-b"))],
    "outward-symmetry": [(Mode.ACTIVE_PASSIVE, None, ("nva-a", "nva-b"))],
    "vip-by-injector": [(Mode.ACTIVE_PASSIVE, Naming.MEMBER, ("watch1",))],
    "ten-nvas-two-hubs": [],
    "nva-as-hub": [],
    "dual-homed-active-active": [],
    "dual-homed-active-passive": [(Mode.ACTIVE_PASSIVE, Naming.SELF, ("nva-1", "nva-2"))],
    "dual-homed-expressroute": [],
    "scale-set": [(Mode.ACTIVE_PASSIVE, None, ("nva-a", "nva-b"))],
}
"""By file, its services; the networks lab plays those that have none, and says what they should learn."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_published_examples_are_accepted(name: str) -> None:
    services = decode((ROOT / "examples" / f"{name}.yaml").read_text(), Place()).services
    assert [(service.mode, service.naming, service.announcers) for service in services] == EXAMPLES[name]


def test_every_example_is_tried() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.yaml")} == EXAMPLES.keys()


def test_a_document_says_what_it_means() -> None:
    decoded = topology(3)
    assert decoded.services[0].prefixes == (IPv4Network("0.0.0.0/0"),)
    assert decoded.services[0].names == ("nva-a", "nva-b", "nva-c")
    assert [s.name for s in decoded.peered_with("rs")] == ["nva-a", "nva-b", "nva-c"]


def _set(path: list[Any], value: Any) -> dict[str, Any]:
    doc = document()
    at: Any = doc
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return doc


FIRST = ["speakers", 0]
SERVICE = ["services", 0]

BROKEN: list[tuple[list[Any], Any, str]] = [
    (["colour"], "red", "$.colour: no such key (there are schema, name, networks, "),
    (
        [*FIRST, "adress"],
        "10.0.1.9",
        "$.speakers[0].adress: no such key: did you mean address? (there are name, address, ",
    ),
    (["schema"], "hopkeeper/v2", "$.schema: 'hopkeeper/v2' is none of hopkeeper/v1: did you mean hopkeeper/v1?"),
    (
        [*FIRST, "asn"],
        65515,
        "$.speakers[0].asn: ASN 65515 is reserved by Azure or IANA: take one of 64512 to 65534 but 65515 and 65517 to 65520",
    ),
    (
        [*FIRST, "asn"],
        64500,
        "$.speakers[0].asn: ASN 64500 is reserved by Azure or IANA: take one of 64512 to 65534 but 65515 and 65517 to 65520",
    ),
    (
        [*FIRST, "asn"],
        70000,
        "$.speakers[0].asn: must be at most 65534, is 70000: a two-byte ASN, the only kind that a Route Server peers with",
    ),
    ([*FIRST, "address"], "10.9.9.9", "$.speakers[0].address: 10.9.9.9 is outside the declared networks (10.0.0.0/16)"),
    ([*FIRST, "address"], "169.254.169.254", "$.speakers[0].address: 169.254.169.254 is never a speaker"),
    ([*FIRST, "address"], "168.63.129.16", "$.speakers[0].address: 168.63.129.16 is never a speaker"),
    ([*FIRST, "address"], "127.0.0.1", "$.speakers[0].address: 127.0.0.1 is a loopback address"),
    ([*FIRST, "address"], "10.0.1.5", "$.speakers[1].address: 10.0.1.5 already belongs to speaker 'nva-a'"),
    ([*FIRST, "address"], "10.0.1.04", "$.speakers[0].address: Leading zeros are not permitted"),
    (
        [*FIRST, "address"],
        167772420,
        "$.speakers[0].address: Expected an IPv4 address in dotted decimal, got 167772420",
    ),
    ([*FIRST, "address"], "::ffff:10.0.1.4", "$.speakers[0].address: Expected an IPv4 address in dotted decimal"),
    (
        [*FIRST, "agent", "address"],
        "fd00::4",
        "$.speakers[0].agent.address: Expected an IPv4 address in dotted decimal",
    ),
    (
        [*FIRST, "watch"],
        {"kind": "http", "port": 80, "path": '/"'},
        "$.speakers[0].watch.path: '/\"' is not a path: / first",
    ),
    ([*FIRST, "watch"], {"kind": "udp"}, "$.speakers[0].watch.kind: 'udp' is none of http, ping, tcp"),
    ([*FIRST, "agent"], {"address": "10.0.9.4"}, "$.speakers[0].agent.port: is missing"),
    ([*FIRST, "name"], "nva-b", "$.speakers[1].name: the name 'nva-b' is taken"),
    ([*FIRST, "name"], "NVA A", "$.speakers[0].name: 'NVA A' is not a name: lower-case letters"),
    (
        [*FIRST, "peersWith"],
        ["elsewhere"],
        "$.speakers[0].peersWith[0]: no Route Server or hub speaker is named 'elsewhere'",
    ),
    ([*FIRST, "name"], "nva-", "$.speakers[0].name: 'nva-' is not a name: lower-case letters"),
    ([*FIRST, "agent", "certificate"], "MIIB", "$.speakers[0].agent.certificate: is not one certificate in PEM"),
    (
        ["routeServers", 0, "id"],
        "rs-hub",
        "$.routeServers[0].id: 'rs-hub' is not an Azure resource id: /subscriptions/",
    ),
    (
        [*SERVICE, "mode"],
        "passive",
        "$.services[0].mode: 'passive' is none of active-passive, active-active: did you mean active-passive?",
    ),
    ([*SERVICE, "members", 0, "speaker"], "nva-z", "$.services[0].members[0].speaker: no speaker is named 'nva-z'"),
    ([*SERVICE, "members", 0, "speaker"], "nva-b", "$.services[0].members: 'nva-b' is a member twice"),
    ([*SERVICE, "minHealthy"], 1, "$.services[0].minHealthy: only an active-active service has minHealthy"),
    ([*SERVICE, "prefixes"], ["10.0.0.1/8"], "$.services[0].prefixes[0]: 10.0.0.1/8 has host bits set"),
    (
        [*SERVICE, "prefixes"],
        [f"10.{n // 256}.{n % 256}.0/24" for n in range(601)],
        "$.services[0].prefixes: 601 prefixes: one signed command names at most 600",
    ),
    ([*SERVICE, "prefixes"], [], "$.services[0].prefixes: needs at least 1, has 0"),
    (
        [*SERVICE, "prefixes"],
        ["fd00::/8"],
        "$.services[0].prefixes[0]: Expected an IPv4 network in dotted decimal, got 'fd00::/8': Hopkeeper handles IPv4 only",
    ),
    (["timing", "silence"], 0, "$.timing.silence: 0 is no duration: write PT0S"),
    (["timing", "silence"], 2, "$.timing.silence: 2 is no duration: it has a unit: 2 s is PT2S"),
    ([*SERVICE, "nextHop"], {}, "$.services[0].nextHop: needs exactly one of loadBalancer, self, member"),
    (
        [*SERVICE, "nextHop", "self"],
        {},
        "$.services[0].nextHop: needs exactly one of loadBalancer, self, member",
    ),
    (["speakers", 0, "role"], "witness", "$.speakers[0].peersWith: a witness has no peers"),
    (["speakers", 0, "role"], "witness", "$.speakers[0].role: a witness serves and announces nothing"),
    (
        [*SERVICE, "nextHop"],
        {"other": {}},
        "$.services[0].nextHop.other: no such key (there are loadBalancer, self, member)",
    ),
    (
        [*SERVICE, "nextHop"],
        {"member": {"announcers": ["nva-x"]}},
        "$.services[0].nextHop.member.announcers: no speaker is named 'nva-x'",
    ),
    (
        [*SERVICE, "nextHop"],
        {"member": {"announcers": ["nva-a", "nva-a"]}},
        "$.services[0].nextHop.member.announcers: an announcer is listed twice",
    ),
    ([*FIRST, "peersWith"], ["rs", "nva-b"], "$.speakers[0].peersWith[1]: speaker 'nva-b' is no hub"),
    ([*FIRST, "name"], "rs", "$.routeServers: 'rs' is also a speaker's name"),
    ([*FIRST, "asOverride"], True, "$.speakers[0].asOverride: needs `relays`"),
    (
        [*FIRST, "relays"],
        [{"from": "rs", "to": "rs-2", "prefixes": ["10.1.0.0/16"]}],
        "$.speakers[0].relays[0].to: 'nva-a' does not peer with a Route Server named 'rs-2'",
    ),
    (
        [*FIRST, "relays"],
        [{"from": "rs", "to": "rs", "prefixes": ["10.1.0.0/16"]}],
        "$.speakers[0].relays[0]: a relay leads from one Route Server to another",
    ),
    (["routeServers", 0, "adopt"], {"nva-x": "theirs"}, "$.routeServers[0].adopt: no speaker 'nva-x' peers with 'rs'"),
    (["routeServers", 0, "adopt"], {"nva-a": "hopkeeper-x_y"}, "$.routeServers[0].adopt.nva-a: 'hopkeeper-x_y' is"),
    (["timing", "gossipFall"], 0, "$.timing.gossipFall: must be at least 1"),
    (["timing", "peersMax"], 9, "$.timing.peersMax: a Route Server takes at most 8 peers"),
    (["timing", "gossipPeriod"], "PT5S", "$.timing.gossipFall: gossipFall x gossipPeriod must not be longer"),
    (["timing", "sweep"], "a while", "$.timing.sweep: 'a while' is no duration: PT30S is half a minute"),
]


@pytest.mark.parametrize(("path", "value", "expected"), BROKEN, ids=[f"{b[0][-1]}={str(b[1])[:40]}" for b in BROKEN])
def test_a_broken_document_is_refused_with_the_path_and_the_rule(path: list[Any], value: Any, expected: str) -> None:
    found = refusals(_set(path, value))
    assert any(refusal.startswith(expected) for refusal in found), found


def test_nine_peers_on_one_route_server_are_refused() -> None:
    assert refusals(document(9))[0].startswith("$.routeServers[0]: 9 speakers peer with 'rs'")


def test_eight_peers_on_one_route_server_are_accepted() -> None:
    assert len(topology(8).peered_with("rs")) == 8


def test_two_services_never_claim_one_backend_pool_however_its_id_is_spelled() -> None:
    doc = document()
    second = {**doc["services"][0], "name": "other", "prefixes": ["192.168.0.0/16"]}
    pool = doc["services"][0]["nextHop"]["loadBalancer"]
    second["nextHop"] = {
        "loadBalancer": {
            **pool,
            "id": pool["id"]
            .upper()
            .replace("/SUBSCRIPTIONS", "/subscriptions")
            .replace("/RESOURCEGROUPS", "/resourcegroups")
            .replace("/PROVIDERS", "/providers"),
        }
    }
    found = refusals({**doc, "services": [*doc["services"], second]})
    assert found == [
        "$.services[1].nextHop.loadBalancer.backendPool: backend pool 'nvas' already belongs to service 'fw': one service a pool"
    ]


@pytest.mark.parametrize(
    ("where", "path"),
    [
        (lambda d: d.update(networks=["10.0.0.0"]), "$.networks[0]"),
        (lambda d: d["speakers"][0].update(announces=["10.0.0.0"]), "$.speakers[0].announces[0].prefix"),
        (lambda d: d["services"][0].update(prefixes=["10.0.0.0"]), "$.services[0].prefixes[0]"),
    ],
)
def test_a_prefix_has_a_length_wherever_it_stands_and_a_stored_one_without_is_used_and_named(
    where: Callable[[dict[str, Any]], object], path: str
) -> None:
    doc = document()
    where(doc)
    rule = f"{path}: 10.0.0.0 has no length: write 10.0.0.0/32 for the one address, or the length of the network"
    with pytest.raises(BadInput) as caught:
        decode(text(doc), Place())
    assert [str(problem) for problem in caught.value.problems] == [rule]
    if path != "$.networks[0]":  # no speaker is at that one address
        _, recent = decode_stored(text(doc), Place())
        assert [str(problem) for problem in recent] == [rule]


def test_a_prefix_that_a_speaker_announces_stands_alone_or_with_its_next_hop() -> None:
    doc = document()
    doc["speakers"][0]["announces"] = ["10.8.0.0/16", {"prefix": "10.9.0.0/16", "nextHop": {"frontend": "fw"}}]
    alone, named = decode(text(doc), Place()).speakers[0].own
    assert (alone.prefix, alone.next_hop) == (IPv4Network("10.8.0.0/16"), None)
    assert named == Announcement(prefix=IPv4Network("10.9.0.0/16"), next_hop=OwnNextHop(frontend="fw"))


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"prefix": "10.9.0.0/16", "via": "10.0.1.9"}, "$.speakers[0].announces[0].via: no such key (there are prefix, nextHop)"),
        ({"nextHop": {"frontend": "fw"}}, "$.speakers[0].announces[0].prefix: is missing"),
        ({"prefix": "10.9.0.0/16", "nextHop": ""}, "$.speakers[0].announces[0].nextHop: '' is not a mapping (address, frontend)"),
        ("10.9.0.1/16", "$.speakers[0].announces[0].prefix: 10.9.0.1/16 has host bits set: write 10.9.0.0/16"),
        (7, "$.speakers[0].announces[0].prefix: Expected an IPv4 network in dotted decimal, got 7"),
    ],
)  # fmt: skip
def test_what_a_speaker_announces_is_decoded_strictly(entry: object, rule: str) -> None:
    doc = document()
    doc["speakers"][0]["announces"] = [entry]
    with pytest.raises(BadInput) as caught:
        decode(text(doc), Place())
    assert [str(problem) for problem in caught.value.problems] == [rule]


def test_one_prefix_is_never_announced_for_two_services_by_one_speaker() -> None:
    doc = document()
    balancer = {**doc["services"][0]["nextHop"]["loadBalancer"], "backendPool": "others"}
    second = {**doc["services"][0], "name": "other", "nextHop": {"loadBalancer": balancer}}
    assert (
        "0.0.0.0/0 is announced for both 'fw' and 'other'"
        in refusals({**doc, "services": [*doc["services"], second]})[0]
    )


def test_every_broken_law_is_named_not_only_the_first() -> None:
    doc = document()
    doc["speakers"][0] |= {"asn": 65515, "address": "10.9.9.9"}
    assert len(refusals(doc)) == 2


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("a: &x 1\nb: *x", "line 2, column 4: aliases are not allowed"),
        ("name: a\nname: b", "line 2, column 1: the key 'name' is there twice"),
        ("name: !!python/object/apply:os.system ['true']", "line 1, column 7: tags are not allowed (tag:yaml"),
        ('a: !!int "0x10"', "line 1, column 4: tags are not allowed (tag:yaml.org,2002:int)"),
        ("a: !!set {b}", "line 1, column 4: tags are not allowed"),
        ("a: !own [b]", "line 1, column 4: tags are not allowed (!own)"),
        ("{", "line 2, column 1: did not find expected node content"),
        ("", "$: nothing is not a mapping (schema, name, "),
        ("- 1", "$: a list is not a mapping (schema, name, "),
        ('name: "\\ud800"', "line 1, column 10: found invalid Unicode character escape code"),
        ("x: \x07", "$: not YAML: unacceptable character"),
        ("x: " + "[" * 5000, "$: not YAML"),
        ("x" * 300_000, "$: the document has 300000 characters"),
    ],
    ids=[
        "alias",
        "duplicate key",
        "tag",
        "int",
        "set",
        "own tag",
        "torn",
        "empty",
        "list",
        "half a pair",
        "control character",
        "deep",
        "large",
    ],
)
def test_yaml_surprises_are_refused(yaml: str, expected: str) -> None:
    assert refusals(yaml)[0].startswith(expected), refusals(yaml)


def test_a_name_ends_where_its_line_does() -> None:
    given = text(document()).replace("name: nva-a", 'name: "nva-a\\n"', 1)
    assert any("'nva-a\\n' is not a name" in refused for refused in refusals(given))


def test_yes_and_dates_and_nan_stay_text() -> None:
    assert (
        "branchToBranch: 'yes' is not true or false" in refusals(_set(["routeServers", 0, "branchToBranch"], "yes"))[0]
    )
    assert "asn: '.nan' is not a whole number" in refusals(text(document()).replace("asn: 65001", "asn: .nan", 1))[0]


@pytest.mark.parametrize("null", ["null", "~", ""])
def test_null_is_written_as_null_or_a_tilde_or_nothing(null: str) -> None:
    written = text(document()).replace("asn: 65001", f"asn: 65001\n  vm: {null}", 1)
    assert decode(written, Place()).speakers[0].vm is None


def with_a_hub(**of_the_hub: Any) -> dict[str, Any]:
    """Two NVAs that peer with a hub speaker only."""
    doc = document(services=[])
    for speaker in doc["speakers"]:
        speaker["peersWith"] = ["hub-a"]
    hub = {"name": "hub-a", "address": "10.0.1.84", "asn": 65000, "role": "hub", "peersWith": ["rs"]} | of_the_hub
    return doc | {"speakers": [*doc["speakers"], hub]}


def test_speakers_may_peer_with_a_hub_in_place_of_a_route_server() -> None:
    decoded = decode(text(with_a_hub()), Place())
    assert [s.name for s in decoded.clients("hub-a")] == ["nva-a", "nva-b"]
    assert [s.name for s in decoded.peered_with("rs")] == ["hub-a"]


def test_a_hub_peers_with_a_route_server_and_with_no_other_hub() -> None:
    assert refusals(with_a_hub(peersWith=[])) == [
        "$.speakers[2].peersWith: a hub peers with a Route Server: it passes routes to one"
    ]
    doc = with_a_hub()
    doc["speakers"][0] |= {"role": "hub", "peersWith": ["rs", "hub-a"]}
    assert "$.speakers[0].peersWith[1]: a hub peers with Route Servers, not with another hub" in refusals(doc)


def test_more_than_eight_may_want_to_peer_where_slots_go_by_priority() -> None:
    doc = document(9)
    assert any("takes at most 8; let the others peer with hub speakers" in refusal for refusal in refusals(doc))
    doc["routeServers"][0]["slots"] = "byPriority"
    assert len(decode(text(doc), Place()).peered_with("rs")) == 9


def test_a_member_that_is_misspelt_is_the_only_fault_and_the_right_name_is_proposed() -> None:
    doc = document()
    del doc["speakers"][1]["agent"]
    doc["speakers"][1]["watch"] = {"kind": "tcp", "port": 443}
    doc["services"][0]["nextHop"]["loadBalancer"]["addresses"] = {"nva-b": "10.0.1.55"}
    doc["services"][0]["members"][1]["speaker"] = "nvab"
    with pytest.raises(BadInput) as caught:
        decode(text(doc), Place())
    assert [str(problem) for problem in caught.value.problems] == [
        "$.services[0].members[1].speaker: no speaker is named 'nvab': did you mean nva-b? (there are nva-a, nva-b)"
    ]


def test_a_peer_that_is_misspelt_is_named_with_what_there_is() -> None:
    doc = document()
    doc["speakers"][0]["peersWith"] = ["rss"]
    with pytest.raises(BadInput) as caught:
        decode(text(doc), Place())
    assert [str(problem) for problem in caught.value.problems] == [
        "$.speakers[0].peersWith[0]: no Route Server or hub speaker is named 'rss': did you mean rs? (there are rs)"
    ]
