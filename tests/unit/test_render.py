"""The BGP configurations that a topology implies: as they were looked over, and as real daemons take them.

    python -m tests.unit.test_render

writes the goldens anew, to be looked over before they are kept.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from click.testing import CliRunner

from function_app.cli import main
from function_app.domain.errors import BadInput
from function_app.domain.topology import Topology
from function_app.domain.topology_document import decode
from function_app.domain.topology_laws import Place
from function_app.render import Vendor, render
from function_app.render.implied import Frontends, Instances
from tests.unit.agent.daemons import BGPD, MISSING

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GOLDENS = Path(__file__).with_name("goldens") / "render"
AGENT = Path(__file__).with_name("agent") / "goldens"
INCLUDE = "/var/lib/hopkeeper-speaker/bird.conf"

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


def pair(text: str) -> tuple[IPv4Address, IPv4Address]:
    first, second = map(IPv4Address, text.split(","))
    return first, second


@dataclass(frozen=True)
class Case:
    """A topology's text, one of its speakers, and what the operator says besides."""

    document: str
    speaker: str
    instances: Instances
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
}
GOLDEN = [("active-passive", v) for v in Vendor] + [(n, v) for n in CASES if n != "active-passive" for v in Vendor]


def golden(name: str, vendor: Vendor) -> Path:
    return GOLDENS / f"{name}.{vendor}.conf"


def said(text: str) -> list[str]:
    """The lines that are not comments, without indentation."""
    return [line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] not in "!#"]


@pytest.mark.parametrize(("name", "vendor"), GOLDEN)
def test_a_golden_configuration_is_what_is_rendered(name: str, vendor: Vendor) -> None:
    assert CASES[name].text(vendor) == golden(name, vendor).read_text()


def test_every_golden_is_of_a_case() -> None:
    assert {path.name for path in GOLDENS.iterdir()} == {golden(*case).name for case in GOLDEN}


@pytest.mark.parametrize("vendor", Vendor)
@pytest.mark.parametrize("name", CASES)
def test_every_instance_is_a_neighbour_of_the_route_servers_asn(name: str, vendor: Vendor) -> None:
    text = "\n".join(said(CASES[name].text(vendor)))
    wanted = {a for server in CASES[name].topology.speaker(CASES[name].speaker).peers_with
              for a in CASES[name].instances[server]}  # fmt: skip
    assert {IPv4Address(a) for a in re.findall(r"neighbor (\d+\.\d+\.\d+\.\d+)", text)} == wanted
    assert "65515" in text


@pytest.mark.parametrize("vendor", Vendor)
def test_the_hold_time_is_the_topologys_and_a_keepalive_is_a_third_of_it(vendor: Vendor) -> None:
    said_so = {
        Vendor.CISCO_IOSXE: "timers 3 10",
        Vendor.FRR: "timers 3 10",
        Vendor.JUNOS: "hold-time 10",  # sends a third by itself, as ExaBGP does
        Vendor.EXABGP: "hold-time 10;",
        Vendor.BIRD: "keepalive time 3;",
        Vendor.VYOS: "timers keepalive 3",
    }
    assert said_so[vendor] in CASES["several"].text(vendor)


@pytest.mark.parametrize(
    ("vendor", "line"),
    [
        (Vendor.CISCO_IOSXE, "set as-path prepend 65001 65001 65001 65001"),
        (Vendor.VYOS, "set policy route-map SET-NEXTHOP rule 20 set as-path prepend '65001 65001 65001 65001'"),
        (Vendor.EXABGP, "route 172.16.0.0/12 next-hop 10.0.1.4 as-path [ 65001 65001 65001 65001 65001 ];"),
    ],
)
def test_at_rest_a_lower_priority_has_the_longer_path(vendor: Vendor, line: str) -> None:
    """nva-a comes second: four is the length of the first, five of the second, own AS included."""
    assert line in said(CASES["several"].text(vendor))


@pytest.mark.parametrize("vendor", [Vendor.CISCO_IOSXE, Vendor.VYOS, Vendor.JUNOS])
def test_each_kind_has_its_next_hop(vendor: Vendor) -> None:
    """The frontend, itself, and the first member; nothing is prepended behind a frontend."""
    lines = [line for line in said(CASES["several"].text(vendor)) if re.search("next-hop |prepend", line)]
    shown = [m[1] for line in lines if (m := re.search(r"next-hop (\S+)", line))]
    assert shown == ["10.0.1.100", "10.0.1.4", "10.0.1.6"]
    assert len([line for line in lines if "prepend" in line]) == 2


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


def refusals(
    document: str, speaker: str, vendor: str = "junos", instances: Instances = HUB, frontends: Frontends = FRONTEND
) -> list[str]:
    with pytest.raises(BadInput) as caught:
        render(decode(document, Place()), speaker, vendor, instances, frontends)
    return [str(problem) for problem in caught.value.problems]


ONE = example("active-passive")


def test_an_unknown_vendor_is_refused() -> None:
    assert refusals(ONE, "nva-a", vendor="nokia") == [
        "vendor: 'nokia' is none of cisco-iosxe, junos, frr, bird, exabgp, vyos"
    ]


def test_an_unknown_speaker_is_refused() -> None:
    assert refusals(ONE, "nva-z") == ["$.speakers: no speaker is named 'nva-z' (there are: nva-a, nva-b)"]


def test_a_speaker_that_peers_with_nobody_is_refused() -> None:
    (problem,) = refusals(example("vip-by-injector"), "ws2", instances={}, frontends={})
    assert problem == "$.speakers[1].peersWith: 'ws2' peers with nobody: nothing to configure"


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
def test_instances_must_be_the_two_of_each_route_server(instances: Instances, problem: str) -> None:
    assert refusals(ONE, "nva-a", instances=instances) == [problem]


def test_a_frontend_of_no_service_is_told_even_where_none_is_needed() -> None:
    (problem,) = refusals(ONE, "nva-a", vendor="frr", frontends={"fw": IPv4Address("10.0.1.9")})
    assert problem == "frontends.fw: no service behind a load balancer is named 'fw'"


def test_a_missing_frontend_and_one_of_no_service_are_both_told() -> None:
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
    assert f'include "{INCLUDE}";' in text
    (tmp_path / "bird.conf").write_text(text.replace(INCLUDE, str(AGENT / "bird" / "default-route.conf")))
    checked("bird", "-p", "-c", tmp_path / "bird.conf")


@pytest.mark.skipif(MISSING["frr"] is not None, reason=str(MISSING["frr"]))
@pytest.mark.parametrize("name", CASES)
def test_frr_takes_a_golden_with_what_the_agent_types(name: str, tmp_path: Path) -> None:
    typed = (AGENT / "frr" / "default-route.conf").read_text()
    asn = CASES[name].topology.speaker(CASES[name].speaker).asn
    (tmp_path / "bgpd.conf").write_text(golden(name, Vendor.FRR).read_text() + typed.replace("bgp 65001", f"bgp {asn}"))
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


def test_the_command_tells_every_problem_and_prints_nothing_else() -> None:
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
    for case, language in GOLDEN:
        golden(case, language).write_text(CASES[case].text(language))
