"""The agent's configuration that a topology implies, as the agent itself reads it."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent.checks import ForwardingTrial, HttpTrial, PingTrial, SessionsTrial, TcpTrial
from hopkeeper_agent.config import Config
from hopkeeper_agent.config import decode as decoded_by_the_agent
from hopkeeper_agent.role import Toward
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from msgspec.structs import replace

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Agent
from function_app.render import render
from tests.unit.test_render import AGENTS, CASES, FILE, GIVEN, HUB, MIXED, RELAYING, VIRTUAL, cli, golden, refusals

SANDWICH = Path(__file__).parents[2] / "examples" / "sandwich.yaml"
PEM = "-----BEGIN CERTIFICATE-----\n      MIIBdummy+/=\n      -----END CERTIFICATE-----"
WATCHED = f"""
schema: hopkeeper/v1
name: watched
networks: [10.0.0.0/16]
routeServers: [{{name: rs-hub, id: {VIRTUAL}/rs-hub}}]
speakers:
  - name: nva-a
    address: 10.0.1.4
    asn: 65001
    peersWith: [rs-hub]
    announces: [10.77.0.0/24]
    vm: /subscriptions/0/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/nva-a-vm
    agent: {{port: 9443, probe: 8081}}
  - name: nva-b
    address: 10.0.1.5
    asn: 65002
    peersWith: [rs-hub]
    agent:
      port: 8443
      probe: 8082
      certificate: |
        {PEM.replace("      ", "        ")}
  - {{name: bare, address: 10.0.1.6, asn: 65003, peersWith: [rs-hub]}}
  - {{name: idle, address: 10.0.1.7, asn: 65004, peersWith: [rs-hub], {AGENTS}}}
  - {{name: eye, address: 10.0.1.8, asn: 65005, peersWith: [], role: witness, {AGENTS}}}
services:
  - name: egress
    mode: active-passive
    prefixes: [0.0.0.0/0]
    nextHop: {{self: {{}}}}
    members: [{{speaker: nva-a, priority: 2}}, {{speaker: nva-b}}]
    outward:
      neighbours: [{{address: 192.168.100.1, asn: 64600}}]
      prefixes: [10.0.0.0/16]
timing: {{bgpHold: PT10S, gossipPeriod: PT0.2S, gossipFall: 4, checkPeriod: PT2S, checkFall: 2}}
"""


def file_of(document: str, speaker: str) -> str:
    return render(decode(document, Place()), speaker, "agent", HUB)


def config(document: str, speaker: str) -> Config:
    return decoded_by_the_agent(file_of(document, speaker))


def exabgp(read: Config) -> BgpSettings:
    assert read.speaker is not None
    assert isinstance(read.speaker.settings, BgpSettings)
    return read.speaker.settings


@pytest.mark.parametrize("name", ["active-passive", "mixed", "member"])
def test_a_golden_file_is_what_is_rendered(name: str) -> None:
    assert CASES[name].text("agent") == golden(name, "agent").read_text()


def test_it_is_the_agent_of_this_speaker_with_the_ports_of_the_topology() -> None:
    read = config(WATCHED, "nva-a")
    assert (read.agent.identity.agent, read.agent.identity.topology) == ("nva-a", "watched")
    assert read.agent.address == IPv4Address("10.0.1.4")
    assert (read.ports.command, read.ports.probe) == (9443, 8081)
    assert read.maintenance is not None
    assert read.maintenance.machine == "nva-a-vm"
    assert (read.tempo.period_seconds, read.tempo.fall) == (0.2, 4)


def test_its_peers_are_the_other_agents_that_the_app_commands_each_with_the_place_of_its_certificate() -> None:
    read = config(WATCHED, "nva-a")
    assert [(peer.name, str(peer.address), peer.probe, str(peer.certificate)) for peer in read.peers] == [
        ("nva-b", "10.0.1.5", 8082, "/etc/hopkeeper/peers/nva-b.crt"),
        ("eye", "10.0.1.8", 8080, "/etc/hopkeeper/peers/eye.crt"),
    ]
    assert "# MIIBdummy+/=" in file_of(WATCHED, "nva-a").splitlines()


INJECTED = (
    WATCHED.replace("agent: {port: 9443, probe: 8081}", "MORE")
    .replace("self: {}", "member: {announcers: [nva-b]}")
    .partition("    outward:")[0]
)
"""A member without an agent; MORE is further keys of its speaker."""


@pytest.mark.parametrize(
    ("more", "trial", "fall", "rise"),
    [
        ("", PingTrial(IPv4Address("10.0.1.4")), 3, 5),
        ("watch: {kind: tcp, port: 443, fall: 4, rise: 2}", TcpTrial(IPv4Address("10.0.1.4"), 443), 4, 2),
        ("watch: {kind: http, port: 8008, path: '/up?deep=1'}", HttpTrial("http://10.0.1.4:8008/up?deep=1"), 3, 5),
        ("watch: {kind: http, port: 80}", HttpTrial("http://10.0.1.4:80/"), 3, 5),
    ],
)
def test_it_watches_members_that_have_no_agent_as_the_topology_says_else_by_ping(
    more: str, trial: object, fall: int, rise: int
) -> None:
    (watch,) = config(INJECTED.replace("MORE", more), "eye").watch
    assert (watch.name, watch.trial, watch.fall, watch.rise) == ("nva-a", trial, fall, rise)
    assert config(WATCHED, "eye").watch == ()


def test_an_agent_beside_its_member_is_unfit_while_the_member_does_not_answer() -> None:
    companion = "agent: {port: 8443, address: 10.0.9.4}\n    watch: {kind: tcp, port: 443, fall: 4, rise: 2}"
    read = config(INJECTED.replace("MORE", companion), "nva-a")
    (check,) = (c for c in read.checks if c.fatal)
    assert (check.trial, check.fall, check.rise) == (TcpTrial(IPv4Address("10.0.1.4"), 443), 4, 2)


COMPANIONS = decode(SANDWICH.read_text(), Place())
"""Members behind two load balancers, and each with an agent at another address."""


def companion(name: str, **agent: Any) -> Config:
    """The agent of `nva-a` in the sandwich, where that of `name` has these keys."""
    speakers = [replace(s, agent=Agent(port=8443, **agent)) if s.name == name else s for s in COMPANIONS.speakers]
    return decoded_by_the_agent(render(replace(COMPANIONS, speakers=tuple(speakers)), "nva-a", "agent", HUB))


def test_an_agent_answers_the_probe_wherever_a_load_balancer_probes_its_speaker() -> None:
    assert companion("nobody").ports.probe_also == (IPv4Address("10.0.3.4"),)
    elsewhere = companion("nva-a", address=IPv4Address("10.0.9.4"), probe=8080)
    assert elsewhere.ports.probe_also == (IPv4Address("10.0.1.4"), IPv4Address("10.0.3.4"))


def test_an_agent_with_an_address_of_its_own_listens_there_and_announces_as_its_speaker() -> None:
    read = companion("nva-a", address=IPv4Address("10.0.9.4"), probe=8080)
    assert read.agent.address == IPv4Address("10.0.9.4")
    assert exabgp(read).address == IPv4Address("10.0.1.4")
    assert [c.name for c in read.checks] == ["route-server"], "the forwarding of another machine says nothing"
    (peer,) = companion("nva-b", address=IPv4Address("10.0.9.5"), probe=8080).peers
    assert str(peer.address) == "10.0.9.5"


def test_its_neighbours_are_both_instances_and_the_routers_on_premises() -> None:
    settings = exabgp(config(WATCHED, "nva-a"))
    assert [(str(n.address), n.asn, n.toward) for n in settings.neighbours] == [
        ("10.0.2.4", 65515, Toward.ROUTE_SERVERS),
        ("10.0.2.5", 65515, Toward.ROUTE_SERVERS),
        ("192.168.100.1", 64600, Toward.OUTWARD),
    ]
    assert (settings.asn, settings.hold_time) == (65001, 10)
    assert settings.announces == (IPv4Network("10.77.0.0/24"),)


def test_its_checks_have_the_pace_of_the_topology() -> None:
    checks = config(WATCHED, "nva-b").checks
    assert [(type(c.trial), c.fatal, c.period_seconds, c.fall) for c in checks] == [
        (ForwardingTrial, True, 2.0, 2),
        (SessionsTrial, False, 2.0, 2),
    ]


def test_a_witness_watches_and_announces_nothing() -> None:
    read = config(WATCHED, "eye")
    assert read.agent.is_witness
    assert read.speaker is None
    assert read.checks == ()
    assert [peer.name for peer in read.peers] == ["nva-a", "nva-b"]


def test_a_hub_speaker_s_agent_has_its_clients() -> None:
    settings = exabgp(config(MIXED, "both"))
    assert [(str(c.address), c.asn, [str(p) for p in c.prefixes]) for c in settings.clients] == [
        ("10.0.1.5", 65002, ["0.0.0.0/0", "10.8.0.0/24", "10.9.0.0/24"]),
        ("10.0.1.6", 65002, []),
    ]


def test_a_relaying_speaker_s_agent_has_its_relays() -> None:
    document = RELAYING.replace("    asOverride", f"    {AGENTS}\n    asOverride")
    read = decoded_by_the_agent(render(decode(document, Place()), "nva", "agent", CASES["relay"].instances))
    settings = exabgp(read)
    assert settings.as_override
    assert [(list(map(str, r.sources)), list(map(str, r.targets))) for r in settings.relays] == [
        (["10.1.0.4", "10.1.0.5"], ["10.20.0.4", "10.20.0.5"]),
        (["10.20.0.4", "10.20.0.5"], ["10.1.0.4", "10.1.0.5"]),
    ]


def test_a_member_without_bgp_has_an_agent_without_a_speaker() -> None:
    case = CASES["member"]
    assert decoded_by_the_agent(render(case.topology, "ws2", "agent", {})).speaker is None


def test_a_speaker_without_an_agent_has_no_such_file() -> None:
    assert refusals(WATCHED, "bare", "agent", HUB, {}) == ["$.speakers[2].agent: 'bare' has no agent"]


def test_its_instances_are_needed() -> None:
    (problem,) = refusals(WATCHED, "nva-a", "agent", {}, {})
    assert problem.startswith("instances.rs-hub: ")


def test_a_name_of_a_machine_cannot_end_its_text() -> None:
    document = WATCHED.replace("nva-a-vm", 'nva"-a')
    read = config(document, "nva-a")
    assert read.maintenance is not None
    assert read.maintenance.machine == 'nva"-a'


def test_the_command_prints_it() -> None:
    text = golden("active-passive", "agent").read_text()
    assert cli("--vendor", "agent", FILE, "nva-a", *GIVEN) == (0, text)
