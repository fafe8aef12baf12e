"""The BGP configurations that a topology implies: as they were looked over, and as real daemons take them.

    python -m tests.unit.test_render

writes the goldens anew, to be looked over before they are kept.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from click.testing import CliRunner
from hopkeeper_agent.speakers import bird_text, frr_text
from hopkeeper_agent.speakers.settings import Client
from msgspec import structs

from function_app.cli import main
from function_app.domain.base.errors import BadInput
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.render import Vendor, render
from function_app.render.implied import Frontends, InstanceAddresses
from function_app.render.vendors import PASSES_NOTHING_ON
from tests.unit.agent.daemons import BGPD, MISSING

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GOLDENS = Path(__file__).with_name("goldens") / "render"
AGENT = Path(__file__).with_name("agent") / "goldens"
INCLUDE = "/var/lib/hopkeeper-speaker/bird.conf"

PANOS_BGP = "set network virtual-router default protocol bgp"
AGENTS = "agent: {port: 8443}"
VIRTUAL = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/virtualHubs"
BALANCERS = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/loadBalancers"
SEVERAL = f"""
schema: hopkeeper/v1
name: dual
networks: [10.0.0.0/8]
routeServers: [{{name: rs-hub, id: {VIRTUAL}/rs-hub}}, {{name: rs-spoke, id: {VIRTUAL}/rs-spoke}}]
speakers:
  - {{name: nva-a, address: 10.0.1.4, asn: 65001, {AGENTS}, peersWith: [rs-hub, rs-spoke]}}
  - {{name: nva-b, address: 10.0.1.5, asn: 65002, {AGENTS}, peersWith: [rs-hub, rs-spoke]}}
  - {{name: quiet, address: 10.0.1.6, asn: 65003, {AGENTS}, peersWith: [rs-hub]}}
services:
  - name: egress
    mode: active-active
    prefixes: [0.0.0.0/0]
    nextHop: {{loadBalancer: {{id: {BALANCERS}/ilb, frontend: fe, backendPool: nvas, probe: p}}}}
    members: [{{speaker: nva-a}}, {{speaker: nva-b}}]
  - name: on-premises
    mode: active-passive
    prefixes: [192.168.0.0/16, 172.16.0.0/12]
    nextHop: {{self: {{}}}}
    members: [{{speaker: nva-a, priority: 1}}, {{speaker: nva-b, priority: 2}}]
  - name: vip
    mode: active-passive
    prefixes: [100.64.0.1/32]
    nextHop: {{member: {{announcers: [nva-a]}}}}
    members: [{{speaker: quiet}}, {{speaker: nva-b, priority: 7}}]
timing: {{bgpHold: PT10S}}
"""
# The published ten NVAs behind two hubs ("Going beyond 8 peers in Azure Route Server"), with the variant whose hub owns a
# prefix.
TEN = f"""
schema: hopkeeper/v1
name: ten
networks: [10.13.76.0/24]
routeServers: [{{name: rs, id: {VIRTUAL}/rs}}]
speakers:
  - {{name: hub-a, address: 10.13.76.84, asn: 65000, role: hub, peersWith: [rs], announces: [100.0.0.200/32]}}
  - {{name: hub-b, address: 10.13.76.85, asn: 65000, role: hub, peersWith: [rs]}}
""" + "".join(
    f"  - {{name: nva-{n}, address: 10.13.76.{n}, asn: {65000 + n}, peersWith: [hub-a, hub-b], announces: [100.0.0.{n}/32]}}\n"
    for n in range(100, 110)
)
# A hub with an agent that is an NVA besides: it announces for a service, with a client that announces for it too.
MIXED = f"""
schema: hopkeeper/v1
name: mixed
networks: [10.0.0.0/16]
routeServers: [{{name: rs-hub, id: {VIRTUAL}/rs-hub}}]
speakers:
  - {{name: both, address: 10.0.1.4, asn: 65001, role: hub, {AGENTS}, peersWith: [rs-hub]}}
  - {{name: behind, address: 10.0.1.5, asn: 65002, {AGENTS}, peersWith: [both], announces: [10.9.0.0/24, 10.8.0.0/24]}}
  - {{name: silent, address: 10.0.1.6, asn: 65002, peersWith: [both]}}
services:
  - name: egress
    mode: active-active
    prefixes: [0.0.0.0/0]
    nextHop: {{loadBalancer: {{id: {BALANCERS}/ilb, frontend: fe, backendPool: nvas, probe: p}}}}
    members: [{{speaker: both}}, {{speaker: behind}}]
"""
MIXED_CLIENTS = [
    Client(IPv4Address("10.0.1.5"), 65002, tuple(map(IPv4Network, ("0.0.0.0/0", "10.8.0.0/24", "10.9.0.0/24")))),
    Client(IPv4Address("10.0.1.6"), 65002, ()),
]
RELAYING = f"""
schema: hopkeeper/v1
name: dual-homed
networks: [10.0.0.0/8]
routeServers: [{{name: rs-hub, id: {VIRTUAL}/rs-hub}}, {{name: rs-spoke, id: {VIRTUAL}/rs-spoke}}]
speakers:
  - name: nva
    address: 10.1.1.4
    asn: 65001
    peersWith: [rs-hub, rs-spoke]
    announces: [10.77.0.0/24]
    asOverride: true
    relays:
      - {{from: rs-hub, to: rs-spoke, prefixes: [10.1.0.0/16, 192.168.0.0/16]}}
      - {{from: rs-spoke, to: rs-hub, prefixes: [10.20.0.0/16]}}
"""


def pair(text: str) -> tuple[IPv4Address, IPv4Address]:
    first, second = map(IPv4Address, text.split(","))
    return first, second


@dataclass(frozen=True)
class Case:
    """A topology's text, one of its speakers, and what the operator says besides."""

    document: str
    speaker: str
    instances: InstanceAddresses
    frontends: Frontends

    @property
    def topology(self) -> Topology:
        return decode(self.document, Place())

    def text(self, vendor: str) -> str:
        return render(self.topology, self.speaker, vendor, self.instances, self.frontends)


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.yaml").read_text()


HUB = {"rs-hub": pair("10.0.2.4,10.0.2.5")}
FRONTEND = {"egress-firewall": IPv4Address("10.0.1.100")}
CASES = {
    "active-passive": Case(example("active-passive"), "nva-a", HUB, FRONTEND),
    "self": Case(example("as-path-preference"), "nva-b", HUB, {}),
    "member": Case(example("vip-by-injector"), "watch1", {"rs": pair("10.10.9.4,10.10.9.5")}, {}),
    "several": Case(
        SEVERAL, "nva-a", HUB | {"rs-spoke": pair("10.1.2.5,10.1.2.4")}, {"egress": IPv4Address("10.0.1.100")}
    ),
    "announces-nothing": Case(SEVERAL, "quiet", HUB, {"egress": IPv4Address("10.0.1.100")}),
    "hub": Case(TEN, "hub-a", {"rs": pair("10.13.76.4,10.13.76.5")}, {}),
    "client": Case(TEN, "nva-100", {}, {}),
    "mixed": Case(MIXED, "both", HUB, {"egress": IPv4Address("10.0.1.100")}),
    "relay": Case(RELAYING, "nva", {"rs-hub": pair("10.1.0.4,10.1.0.5"), "rs-spoke": pair("10.20.0.4,10.20.0.5")}, {}),
}
OF_AGENTS = [(name, "agent") for name in ("active-passive", "member", "mixed")]
PASSED_ON = {"hub", "mixed", "relay"}
GOLDEN = [(n, v) for n in CASES for v in Vendor if n not in PASSED_ON or v not in PASSES_NOTHING_ON]


def golden(name: str, vendor: str) -> Path:
    return GOLDENS / f"{name}.{vendor}.{'toml' if vendor == 'agent' else 'conf'}"


def said(text: str) -> list[str]:
    """The lines that are not comments, without indentation."""
    return [line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] not in "!#"]


@pytest.mark.parametrize(("name", "vendor"), GOLDEN)
def test_a_golden_configuration_is_what_is_rendered(name: str, vendor: Vendor) -> None:
    assert CASES[name].text(vendor) == golden(name, vendor).read_text()


def test_every_golden_is_of_a_case() -> None:
    assert {path.name for path in GOLDENS.iterdir()} == {golden(*case).name for case in (*GOLDEN, *OF_AGENTS)}


@pytest.mark.parametrize(("name", "vendor"), GOLDEN)
def test_every_instance_hub_and_client_is_a_neighbour_with_its_asn(name: str, vendor: Vendor) -> None:
    case, text = CASES[name], "\n".join(said(CASES[name].text(vendor)))
    me = case.topology.speaker(case.speaker)
    others = [s for s in case.topology.speakers if s.name in me.peers_with or me.name in s.peers_with]
    wanted = {s.address: s.asn for s in others}
    wanted |= {a: 65515 for server in me.peers_with if server in case.instances for a in case.instances[server]}
    found = re.findall(r'(?:neighbor |peer-address ip |^edit ")(\d+\.\d+\.\d+\.\d+)', text, re.MULTILINE)
    assert {IPv4Address(a) for a in found} == wanted.keys()
    assert all(str(asn) in text for asn in wanted.values())


@pytest.mark.parametrize("vendor", Vendor)
def test_the_hold_time_is_the_topologys_and_a_keepalive_is_a_third_of_it(vendor: Vendor) -> None:
    said_so = {
        Vendor.CISCO_IOSXE: "timers 3 10",
        Vendor.FRR: "timers 3 10",
        Vendor.JUNOS: "hold-time 10",  # sends a third by itself, as ExaBGP does
        Vendor.EXABGP: "hold-time 10;",
        Vendor.BIRD: "keepalive time 3;",
        Vendor.VYOS: "timers keepalive 3",
        Vendor.FORTIOS: "set keep-alive-timer 3",
        Vendor.PANOS: "connection-options keep-alive-interval 3",
        Vendor.F5_IMISH: "timers 3 10",
        Vendor.OPNSENSE_FRR: "timers 3 10",
    }
    assert said_so[vendor] in CASES["several"].text(vendor)


@pytest.mark.parametrize(
    ("vendor", "line"),
    [
        (Vendor.CISCO_IOSXE, "set as-path prepend 65001 65001 65001 65001"),
        (Vendor.VYOS, "set policy route-map SET-NEXTHOP rule 20 set as-path prepend '65001 65001 65001 65001'"),
        (Vendor.FORTIOS, 'set set-aspath "65001" "65001" "65001" "65001"'),
        (Vendor.PANOS, f"{PANOS_BGP} policy export rules hopkeeper-20 action allow update as-path prepend 4"),
        (Vendor.F5_IMISH, "set as-path prepend 65001 65001 65001 65001"),
        (Vendor.OPNSENSE_FRR, "set as-path prepend 65001 65001 65001 65001"),
        (Vendor.EXABGP, "route 172.16.0.0/12 next-hop 10.0.1.4 as-path [ 65001 65001 65001 65001 65001 ];"),
    ],
)
def test_at_rest_a_lower_priority_has_the_longer_path(vendor: Vendor, line: str) -> None:
    """nva-a comes second: four is the length of the first, five of the second, own AS included."""
    assert line in said(CASES["several"].text(vendor))


@pytest.mark.parametrize("vendor", sorted(set(Vendor) - {Vendor.FRR, Vendor.BIRD, Vendor.EXABGP}))
def test_each_kind_has_its_next_hop(vendor: Vendor) -> None:
    """The frontend, itself, and the first member; nothing is prepended behind a frontend."""
    lines = said(CASES["several"].text(vendor))
    shown = [m[1] for line in lines if (m := re.search(r"next-?hop (\d\S+)", line))]
    assert shown == ["10.0.1.100", "10.0.1.4", "10.0.1.6"]
    assert len([line for line in lines if "prepend" in line]) == 2


BY_ITSELF = f"""
schema: hopkeeper/v1
name: by-itself
networks: [10.0.0.0/16]
routeServers: [{{name: rs-hub, id: {VIRTUAL}/rs-hub}}]
speakers:
  - name: csr
    address: 10.0.1.4
    asn: 65001
    peersWith: [rs-hub]
    announces:
      - 10.77.0.0/24
      - {{prefix: 0.0.0.0/0, nextHop: {{frontend: egress}}}}
      - {{prefix: 10.78.0.0/24, nextHop: {{address: 10.0.1.99}}}}
  - {{name: nva, address: 10.0.1.5, asn: 65002, {AGENTS}, peersWith: []}}
services:
  - name: egress
    mode: active-active
    prefixes: [10.79.0.0/24]
    nextHop: {{loadBalancer: {{id: {BALANCERS}/ilb, frontend: fe, backendPool: nvas, probe: p}}}}
    members: [{{speaker: nva}}]
"""


@pytest.mark.parametrize("vendor", Vendor)
def test_what_a_speaker_announces_by_itself_has_the_next_hop_that_the_topology_names(vendor: Vendor) -> None:
    """The speaker itself, the frontend, and an address."""
    text = render(decode(BY_ITSELF, Place()), "csr", vendor, HUB, {"egress": IPv4Address("10.0.1.100")})
    shown = re.findall(r"next[-_]?hop(?: =)? (10\.\d+\.\d+\.\d+)", "\n".join(said(text)))
    assert list(dict.fromkeys(shown)) == ["10.0.1.4", "10.0.1.99", "10.0.1.100"]
    assert "next hop is 10.0.1.99" in text or vendor in (Vendor.FRR, Vendor.BIRD, Vendor.OPNSENSE_FRR)


def without_agents(topology: Topology) -> Topology:
    return structs.replace(topology, speakers=tuple(structs.replace(s, agent=None) for s in topology.speakers))


def test_without_an_agent_the_configuration_of_frr_and_bird_announces_services_itself() -> None:
    case = CASES["several"]
    bare = without_agents(case.topology)
    texts = {v: render(bare, case.speaker, v, case.instances, case.frontends) for v in (Vendor.FRR, Vendor.BIRD)}
    assert said(texts[Vendor.FRR]) == said(case.text(Vendor.OPNSENSE_FRR))
    bird = said(texts[Vendor.BIRD])
    assert [line for line in bird if line.startswith("bgp_next_hop = 1")] == [
        "bgp_next_hop = 10.0.1.100;",
        "bgp_next_hop = 10.0.1.4;",
        "bgp_next_hop = 10.0.1.6;",
    ]
    assert bird.count("bgp_path.prepend(65001);") == 4 + 3


def test_the_frontend_that_it_names_is_needed_also_where_an_agent_would_announce_services() -> None:
    for vendor in Vendor:
        assert refusals(BY_ITSELF, "csr", vendor, HUB, {}) == [
            "frontends.egress: the address of frontend 'fe' is needed: it is the next hop"
        ]


def test_what_a_speaker_is_a_part_of_is_never_taken_back() -> None:
    """Also by a member of the kind `member`, which announces nothing itself."""
    text = CASES["announces-nothing"].text(Vendor.FRR)
    assert "ip prefix-list route-server-in seq 5 deny 100.64.0.1/32" in said(text)
    assert "ip prefix-list route-server-out seq 5 deny any" in said(text)


def test_the_order_in_which_instances_are_given_changes_nothing() -> None:
    case = CASES["active-passive"]
    first, second = case.instances["rs-hub"]
    for vendor in Vendor:
        assert render(case.topology, "nva-a", vendor, {"rs-hub": (second, first)}, FRONTEND) == case.text(vendor)


def test_where_the_agent_announces_no_frontend_is_needed() -> None:
    case = CASES["active-passive"]
    for vendor in (Vendor.FRR, Vendor.BIRD):
        assert render(case.topology, "nva-a", vendor, HUB) == case.text(vendor)


@pytest.mark.parametrize(
    ("vendor", "own", "client"),
    [
        (Vendor.CISCO_IOSXE, "set ip next-hop 10.13.76.84", "set ip next-hop unchanged"),
        (Vendor.VYOS, "set policy route-map SET-NEXTHOP rule 10 set ip-next-hop 10.13.76.84",
         "set policy route-map SET-NEXTHOP rule 20 set ip-next-hop unchanged"),
        (Vendor.JUNOS, "set policy-options policy-statement hopkeeper-out term own-routes then next-hop 10.13.76.84",
         "set protocols bgp group route-servers multihop no-nexthop-change"),
        (Vendor.FRR, "set ip next-hop 10.13.76.84", "neighbor 10.13.76.5 attribute-unchanged next-hop"),
        (Vendor.BIRD, "bgp_next_hop = 10.13.76.84;", "next hop keep;"),
    ],
)  # fmt: skip
def test_a_hub_sets_its_own_next_hop_and_keeps_its_clients(vendor: Vendor, own: str, client: str) -> None:
    lines = said(CASES["hub"].text(vendor))
    assert own in lines
    assert client in lines


def test_the_agent_says_of_clients_what_the_rendered_configuration_says() -> None:
    """Where there is an agent, its file has BIRD's function; FRR's lists it keeps as they were rendered."""
    clients = [s for s in decode(TEN, Place()).speakers if s.role != "hub"]
    known = [Client(s.address, s.asn, s.announces) for s in clients]
    (function,) = re.findall(r"function hopkeeper_of_a_client.*?\n}\n", CASES["hub"].text(Vendor.BIRD), re.DOTALL)
    assert function in bird_text.render({}, 65000, (), clients=known)
    assert "hopkeeper_of_a_client() {" not in CASES["mixed"].text(Vendor.BIRD)
    for case, of in (("hub", known), ("mixed", MIXED_CLIENTS)):
        running = frr_text.parse_running(CASES[case].text(Vendor.FRR), 65000)
        assert set(running.lists.values()) == set(frr_text.client_lists(of))


@pytest.mark.parametrize("vendor", sorted(PASSES_NOTHING_ON))
@pytest.mark.parametrize("name", sorted(PASSED_ON))
def test_a_firewall_s_language_is_not_rendered_for_what_passes_on_routes_of_others(name: str, vendor: Vendor) -> None:
    case = CASES[name]
    assert refusals(case.document, case.speaker, vendor, case.instances, case.frontends) == [
        f"vendor: {case.speaker!r} passes on routes of others: that is rendered for "
        "cisco-iosxe, junos, frr, bird, exabgp, vyos, opnsense-frr"
    ]


@pytest.mark.parametrize("vendor", sorted(PASSES_NOTHING_ON))
def test_a_firewall_announces_and_takes_nothing_but_what_is_named(vendor: Vendor) -> None:
    """The last rule out refuses; the first ones in refuse every prefix that starts here, the default route first."""
    text = CASES["active-passive"].text(vendor)
    refused_out, refused_in = {
        Vendor.FORTIOS: (
            "edit 65000 set action deny",
            "edit 1 set action deny set prefix 0.0.0.0 0.0.0.0 unset ge unset le",
        ),
        Vendor.F5_IMISH: ("route-map hopkeeper-out deny 65000", "ip prefix-list hopkeeper-in seq 5 deny 0.0.0.0/0"),
        Vendor.PANOS: (
            f"{PANOS_BGP} policy export rules hopkeeper-nothing-else action deny",
            "rules hopkeeper-own match address-prefix 0.0.0.0/0 exact yes "
            f"{PANOS_BGP} policy import rules hopkeeper-own action deny",
        ),
    }[vendor]
    assert refused_out in " ".join(said(text))
    assert refused_in in " ".join(said(text))


@pytest.mark.parametrize(
    ("vendor", "line"),
    [
        (Vendor.FORTIOS, "set capability-graceful-restart disable"),
        (Vendor.PANOS, f"{PANOS_BGP} routing-options graceful-restart enable no"),
        (Vendor.F5_IMISH, "no bgp graceful-restart"),
        (Vendor.OPNSENSE_FRR, "bgp graceful-restart-disable"),
    ],
)
def test_no_firewall_restarts_gracefully(vendor: Vendor, line: str) -> None:
    assert line in said(CASES["active-passive"].text(vendor))


def test_pan_os_keeps_the_speaker_s_private_asn_in_the_path() -> None:
    line = f"{PANOS_BGP} peer-group route-servers type ebgp remove-private-as no"
    assert line in said(CASES["active-passive"].text(Vendor.PANOS))


@pytest.mark.parametrize("vendor", Vendor)
def test_a_client_needs_no_instances_for_its_hubs(vendor: Vendor) -> None:
    text = CASES["client"].text(vendor)
    assert "10.13.76.84" in text
    assert "10.13.76.85" in text
    assert refusals(TEN, "nva-100", vendor, {"hub-a": pair("10.13.76.4,10.13.76.5")}) == [
        "instances.hub-a: no Route Server is named 'hub-a'",
        "frontends.egress-firewall: no service behind a load balancer is named 'egress-firewall'",
    ]


def test_an_instance_with_a_clients_address_is_refused() -> None:
    (problem,) = refusals(TEN, "hub-a", instances={"rs": pair("10.13.76.4,10.13.76.100")}, frontends={})
    assert problem == "instances.rs: 10.13.76.100 already belongs to speaker 'nva-100'"


@pytest.mark.parametrize("vendor", [Vendor.CISCO_IOSXE, Vendor.FRR, Vendor.VYOS, Vendor.JUNOS])
def test_as_override_stands_where_the_topology_says_so_and_nowhere_else(vendor: Vendor) -> None:
    without = RELAYING.replace("asOverride: true", "asOverride: false")
    case = CASES["relay"]
    assert any(line.endswith("as-override") for line in said(case.text(vendor)))
    text = render(decode(without, Place()), "nva", vendor, case.instances)
    assert not any(line.endswith("as-override") for line in said(text))
    assert "asOverride is off" in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ("prefixes: [10.20.0.0/16]", "prefixes: [10.1.0.0/16]"),
            "$.speakers[0].relays: 10.1.0.0/16 is relayed both from and to 'rs-hub': it would go round",
        ),
        (
            ("prefixes: [10.20.0.0/16]", "prefixes: [10.77.0.0/24]"),
            "$.speakers[0].relays: 10.77.0.0/24 is relayed, but it starts at this speaker or at its client",
        ),
    ],
)
def test_a_relay_that_filters_cannot_hold_apart_is_refused(change: tuple[str, str], problem: str) -> None:
    assert refusals(RELAYING.replace(*change), "nva", instances=CASES["relay"].instances, frontends={}) == [problem]


def test_a_prefix_relayed_from_two_route_servers_goes_from_each_to_the_same_ones() -> None:
    servers = "".join(f"{{name: rs-{n}, id: {VIRTUAL}/rs-{n}}}, " for n in range(2))
    document = RELAYING.replace("routeServers: [", f"routeServers: [{servers}")
    document = document.replace("peersWith: [", "peersWith: [rs-0, rs-1, ")
    document += "      - {from: rs-0, to: rs-1, prefixes: [192.168.0.0/16]}\n"
    more = {f"rs-{n}": pair(f"10.3{n}.0.4,10.3{n}.0.5") for n in range(2)}
    (problem,) = refusals(document, "nva", instances={**CASES["relay"].instances, **more}, frontends={})
    rule = "192.168.0.0/16 is relayed from several Route Servers, but not from each to the same ones"
    assert problem == f"$.speakers[0].relays: {rule}"


def refusals(
    document: str,
    speaker: str,
    vendor: str = "junos",
    instances: InstanceAddresses = HUB,
    frontends: Frontends = FRONTEND,
) -> list[str]:
    with pytest.raises(BadInput) as caught:
        render(decode(document, Place()), speaker, vendor, instances, frontends)
    return [str(problem) for problem in caught.value.problems]


ONE = example("active-passive")


def test_an_unknown_vendor_is_refused() -> None:
    assert refusals(ONE, "nva-a", vendor="nokia") == [f"vendor: 'nokia' is none of {', '.join(Vendor)}, agent"]


@pytest.mark.parametrize(
    ("said_so", "meant"),
    [
        ("cisco", "cisco-iosxe"),
        ("Juniper", "junos"),
        ("fortigate", "fortios"),
        ("paloalto", "panos"),
        ("pan-os", "panos"),
        ("f5", "f5-imish"),
        ("bigip", "f5-imish"),
        ("opnsense", "opnsense-frr"),
        ("exabpg", "exabgp"),
    ],
)
def test_the_nearest_vendor_is_suggested(said_so: str, meant: str) -> None:
    (problem,) = refusals(ONE, "nva-a", vendor=said_so)
    assert problem.endswith(f"; did you mean {meant}?")
    status, output = cli("--vendor", said_so, FILE, "nva-a")
    assert status == 2
    assert f"did you mean {meant}?" in output


def test_an_unknown_speaker_is_refused() -> None:
    assert refusals(ONE, "nva-z") == [
        "$.speakers: no speaker is named 'nva-z': did you mean nva-b? (there are nva-a, nva-b)"
    ]


def test_a_speaker_without_peers_is_refused() -> None:
    (problem,) = refusals(example("vip-by-injector"), "ws2", instances={}, frontends={})
    assert problem == "$.speakers[1].peersWith: 'ws2' has no peers: nothing to configure"


@pytest.mark.parametrize(
    ("instances", "problem"),
    [
        ({}, "instances.rs-hub: the addresses of both instances are needed (its virtualRouterIps)"),
        (
            {"rs-hub": pair("10.0.2.4,10.0.2.4")},
            "instances.rs-hub: a Route Server has two instances with different addresses",
        ),
        ({"rs-hub": pair("10.0.2.4,10.0.1.4")}, "instances.rs-hub: 10.0.1.4 already belongs to speaker 'nva-a'"),
        (HUB | {"rs-x": pair("10.0.3.4,10.0.3.5")}, "instances.rs-x: no Route Server is named 'rs-x'"),
    ],
)
def test_instances_must_be_the_two_of_each_route_server(instances: InstanceAddresses, problem: str) -> None:
    assert refusals(ONE, "nva-a", instances=instances) == [problem]


def test_a_frontend_of_no_service_is_named_even_where_none_is_needed() -> None:
    (problem,) = refusals(ONE, "nva-a", vendor="frr", frontends={"fw": IPv4Address("10.0.1.9")})
    assert problem == "frontends.fw: no service behind a load balancer is named 'fw'"


def test_a_missing_frontend_and_one_of_no_service_are_both_named() -> None:
    assert refusals(ONE, "nva-a", frontends={"fw": IPv4Address("10.0.1.9")}) == [
        "frontends.fw: no service behind a load balancer is named 'fw'",
        "frontends.egress-firewall: the address of frontend 'fe' is needed: it is the next hop",
    ]


@pytest.mark.parametrize("hold", ["PT2S", "PT9.5S", "PT65536S"])
def test_a_hold_time_that_bgp_cannot_say_is_refused(hold: str) -> None:
    (problem,) = refusals(f"{ONE}\ntiming: {{bgpHold: {hold}}}\n", "nva-a")
    assert problem.startswith("$.timing.bgpHold: BGP's hold time is a whole number of seconds from 3 to 65535")


def checked(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


@pytest.mark.skipif(MISSING["bird"] is not None, reason=str(MISSING["bird"]))
@pytest.mark.parametrize("name", CASES)
def test_bird_takes_a_golden_with_the_agents_file_included(name: str, tmp_path: Path) -> None:
    text = golden(name, Vendor.BIRD).read_text()
    case = CASES[name]
    assert (f'include "{INCLUDE}";' in text) == (case.topology.speaker(case.speaker).agent is not None)
    written = "clients" if case.topology.clients(case.speaker) else "default-route"
    (tmp_path / "bird.conf").write_text(text.replace(INCLUDE, str(AGENT / "bird" / f"{written}.conf")))
    checked("bird", "-p", "-c", tmp_path / "bird.conf")


@pytest.mark.skipif(MISSING["frr"] is not None, reason=str(MISSING["frr"]))
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("vendor", [Vendor.FRR, Vendor.OPNSENSE_FRR])
def test_frr_takes_a_golden_with_what_the_agent_types(name: str, vendor: Vendor, tmp_path: Path) -> None:
    typed = (AGENT / "frr" / "default-route.conf").read_text() if vendor is Vendor.FRR else ""
    asn = CASES[name].topology.speaker(CASES[name].speaker).asn
    (tmp_path / "bgpd.conf").write_text(golden(name, vendor).read_text() + typed.replace("bgp 65001", f"bgp {asn}"))
    assert "config line" not in checked(BGPD, "-S", "-Z", "-C", "-f", tmp_path / "bgpd.conf")


@pytest.mark.parametrize("name", CASES)
def test_exabgp_takes_a_golden(name: str) -> None:
    text = golden(name, Vendor.EXABGP).read_text()
    exabgp = Path(sys.executable).with_name("exabgp")
    output = checked(exabgp, "validate", "-v", "-r", golden(name, Vendor.EXABGP))
    assert output.count("next-hop") >= sum(line.startswith("route ") for line in said(text))


def cli(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["render", *words])
    return done.exit_code, done.output


FILE = str(EXAMPLES / "active-passive.yaml")
GIVEN = ("--instances", "rs-hub=10.0.2.4,10.0.2.5", "--frontend", "egress-firewall=10.0.1.100")


@pytest.mark.parametrize("vendor", Vendor)
def test_the_command_prints_the_golden(vendor: Vendor) -> None:
    assert cli("--vendor", str(vendor), FILE, "nva-a", *GIVEN) == (0, golden("active-passive", vendor).read_text())


def test_a_vendor_is_named_in_any_case() -> None:
    expected = (0, golden("active-passive", Vendor.FORTIOS).read_text())
    assert cli("--vendor", "FortiOS", FILE, "nva-a", *GIVEN) == expected


def test_panos_says_once_a_peer_what_is_to_be_filled_in() -> None:
    text = golden("active-passive", Vendor.PANOS).read_text()
    named = re.findall(
        r"^#   set .* peer (hopkeeper-\S+) local-address (?:interface INTERFACE|ip 10\.0\.1\.4/LENGTH)$", text, re.M
    )
    assert named == [f"hopkeeper-10-0-2-{i}" for i in (4, 4, 5, 5)]
    assert "GROUP" not in text


@pytest.mark.parametrize(("name", "count"), [("active-passive", 1), ("self", 0)])
def test_fortios_says_what_a_probe_and_a_default_route_need_where_there_are_any(name: str, count: int) -> None:
    text = golden(name, Vendor.FORTIOS).read_text()
    assert text.count("config system probe-response, set mode http-probe") == count
    assert text.count("capability-default-originate") == ("set prefix 0.0.0.0 0.0.0.0\n            set network" in text)


def test_the_command_prints_every_problem_and_nothing_else() -> None:
    status, output = cli("--vendor", "junos", FILE, "nva-a")
    assert status == 2
    assert [line.strip().split(":")[0] for line in output.splitlines()[1:]] == [
        "instances.rs-hub",
        "frontends.egress-firewall",
    ]


@pytest.mark.parametrize("instances", ["rs-hub", "rs-hub=10.0.2.4", "=10.0.2.4,10.0.2.5", "rs-hub=10.0.2.4,ten"])
def test_the_command_says_what_an_address_option_must_look_like(instances: str) -> None:
    status, output = cli("--vendor", "frr", FILE, "nva-a", "--instances", instances)
    assert status == 2
    assert "Invalid value for '--instances'" in output


if __name__ == "__main__":
    for case, language in (*GOLDEN, *OF_AGENTS):
        golden(case, language).write_text(CASES[case].text(language))
