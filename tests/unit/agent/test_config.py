"""The configuration is strict, and its example is whole."""

from __future__ import annotations

import re
from dataclasses import fields
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hopkeeper_agent import config
from hopkeeper_agent.checks import CommandTrial, ForwardingTrial, HttpTrial, SessionsTrial, TcpTrial, UdpTrial
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.speakers.bird import BirdSettings
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from hopkeeper_agent.speakers.frr import FrrSettings
from hopkeeper_agent.speakers.settings import Budget, Client, SpeakerSettings

EXAMPLE = Path(__file__).parents[3] / "nva_agent" / "agent.example.toml"
SMALLEST = """
[agent]
name = "nva-a"
topology = "hub"
address = "10.0.1.4"
state = "/var/lib/hopkeeper"
key = "/etc/hopkeeper/agent.key"
certificate = "/etc/hopkeeper/agent.crt"
app_keys = "/etc/hopkeeper/app.pub"
"""
CLIENT = '[[speaker.clients]]\naddress = "10.0.1.100"\nasn = 65100\nprefixes = ["100.0.0.100/32"]\n'
NEIGHBOUR = '[[speaker.neighbors]]\naddress = "10.0.0.36"\nasn = 65515\n'
SECOND = NEIGHBOUR.replace("10.0.0.36", "10.0.0.37")
RELAY = '[[speaker.relays]]\nfrom = ["10.0.0.36"]\nto = ["10.0.0.99"]\nprefixes = ["10.9.0.0/16"]\n'
HUB = f'[speaker]\nkind = "exabgp"\naddress = "10.0.1.4"\nasn = 65001\n{NEIGHBOUR}'


def test_the_smallest_configuration_has_the_documented_defaults() -> None:
    decoded = config.decode(SMALLEST)
    assert decoded.ports == config.Ports(8443, 8080, 8444)
    assert (decoded.tempo.period_seconds, decoded.tempo.fall) == (0.1, 3)
    assert (decoded.speaker, decoded.reports, decoded.peers, decoded.checks) == (None, None, (), ())
    assert decoded.agent.machine_file == Path("/etc/machine-id")


def test_the_example_is_accepted_and_shows_every_part() -> None:
    decoded = config.load(EXAMPLE)
    assert {type(check.trial) for check in decoded.checks} == {
        TcpTrial,
        HttpTrial,
        UdpTrial,
        CommandTrial,
        ForwardingTrial,
        SessionsTrial,
    }
    speaker = settings(decoded)
    assert isinstance(speaker, BgpSettings)
    assert [neighbour.address for neighbour in speaker.neighbours] == [
        IPv4Address("10.0.0.36"),
        IPv4Address("10.0.0.37"),
    ]
    parts = (decoded, decoded.agent, decoded.agent.files, decoded.reports)
    absent = {field.name for part in parts for field in fields(part) if not getattr(part, field.name)}
    assert absent == {"machine", "is_witness"}


def settings(decoded: config.Config) -> SpeakerSettings:
    assert decoded.speaker is not None
    assert isinstance(decoded.speaker.settings, SpeakerSettings)
    return decoded.speaker.settings


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[agnet]\n", "agnet: unknown key"),
        ("[listen]\nport = 1\n", "listen.port: unknown key"),
        ("[gossip]\nperiod_seconds = 0\n", "gossip.period_seconds: must be"),
        ("[gossip]\nfall = 1\n", "gossip.fall: must be"),
        ("[listen]\nprobe = 70000\n", "listen.probe: must be"),
        ("[listen]\nprobe = true\n", "listen.probe: must be"),
        ('[listen]\nprobe_also = ["10.0.3"]\n', "listen.probe_also: must be a list of literal IPv4 addresses"),
        ('[reports]\nurl = "ftp://app/"\n', "reports.url: must be"),
        ('[reports]\nurl = "https://app/api/reports?code=secret"\n', "reports.url: must hold no key"),
        ('[[peers]]\nname = "nva-b"\naddress = "nva-b.local"\n', "peers[0].address: must be a literal IPv4"),
        ('[[checks]]\nname = "x"\nkind = "icmp"\n', "checks[0].kind: must be tcp"),
        ('[[checks]]\nname = "x"\nkind = "tcp"\naddress = "10.0.0.1"\n', "checks[0].port: missing"),
        ('[[checks]]\nname = "x"\nkind = "command"\nargv = "true"\n', "checks[0].argv: must be a list"),
        ('[speaker]\nkind = "gobgp"\n', "speaker.kind: must be exabgp, bird, frr or none"),
        ('[speaker]\nkind = "none"\nasn = 65001\n', "speaker.asn: unknown key"),
        (
            '[speaker]\nkind = "none"\n[[speaker.announces]]\nprefix = "10.0.0.0"\n',
            "announces[0].prefix: must be an IPv4",
        ),
        ('[speaker]\nkind = "exabgp"\naddress = "10.0.1.4"\nasn = 65001\n', "speaker.neighbors: missing"),
        ('[speaker]\nkind = "bird"\nasn = 65001\n', "speaker.include: missing"),
        (
            '[speaker]\nkind = "frr"\nasn = 65001\nrouter_id = "10.0.1.4"\n' + NEIGHBOUR,
            "speaker.router_id: unknown key",
        ),
        (
            '[speaker]\nkind = "frr"\nasn = 65001\nover_budget = "drop"\n' + NEIGHBOUR,
            "speaker.over_budget: must be split",
        ),
        (
            '[speaker]\nkind = "frr"\nasn = 65001\ncommunities = ["65001"]\n' + NEIGHBOUR,
            "speaker.communities: must be a list of communities, each two numbers",
        ),
        ('[speaker]\nkind = "frr"\nasn = 65001\n' + 2 * NEIGHBOUR, "speaker.neighbors: every address"),
        (HUB + CLIENT.replace('"10.0.1.100"', '"10.0.0.36"'), "speaker.clients: every address"),
        (HUB + 2 * CLIENT, "speaker.clients: every address"),
        (
            HUB + CLIENT.replace("100.0.0.100/32", "100.0.0.100/24"),
            "speaker.clients[0].prefixes: must be IPv4 prefixes",
        ),
        (HUB + CLIENT + "port = 1\n", "speaker.clients[0].port: unknown key"),
        (HUB.replace("asn", "as_override = true\nasn", 1), "speaker.as_override: needs relays"),
        (HUB + RELAY, "speaker.relays[0].to: must be addresses of neighbors"),
        (HUB + RELAY.replace("10.0.0.99", "10.0.0.36"), "speaker.relays[0].to: would send routes back"),
        (
            HUB + SECOND + 2 * RELAY.replace("10.0.0.99", "10.0.0.37"),
            "speaker.relays[1].prefixes: a prefix is relayed once",
        ),
        ("[maintenance]\n", "maintenance.machine: missing"),
        ('[[checks]]\nname = "speaker"\nkind = "forwarding"\n', "checks: the name speaker is the agent's own"),
        ('[[peers]]\nname = "nva-a"\naddress = "10.0.1.5"\ncertificate = "/b.crt"\n', "peers: every name"),
        ('[[watch]]\nname = "nva-a"\nkind = "ping"\naddress = "10.0.1.5"\n', "watch: every name"),
        ('[[watch]]\nname = "fw-a"\nkind = "command"\nargv = ["true"]\n', "watch[0].kind: must be"),
    ],
)
def test_a_mistake_is_named_with_its_path(text: str, path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(path)):
        config.decode(SMALLEST + text)


@pytest.mark.parametrize(
    "text", ["a = ", "a = " + "1" * 5000, "a = " + "[" * 5000], ids=["broken", "a number", "lists"]
)
def test_what_is_no_toml_is_said_whatever_the_parser_makes_of_it(text: str) -> None:
    with pytest.raises(ConfigError, match="not TOML: "):
        config.decode(text)


@pytest.mark.parametrize("key", ["name", "topology", "address", "state", "key", "certificate", "app_keys"])
def test_what_has_no_default_must_be_given(key: str) -> None:
    text = re.sub(rf"^{key} = .*$", "", SMALLEST, flags=re.MULTILINE)
    with pytest.raises(ConfigError, match=f"agent.{key}: missing"):
        config.decode(text)


@pytest.mark.parametrize("kind", ["bird", "frr"])
def test_an_operators_daemon_is_reached_where_debian_has_it(kind: str) -> None:
    include = 'include = "/var/lib/hopkeeper-speaker/bird.conf"\n' if kind == "bird" else ""
    daemon = settings(config.decode(SMALLEST + f'[speaker]\nkind = "{kind}"\nasn = 65001\n{include}{NEIGHBOUR}'))
    match daemon:
        case BirdSettings(control=control):
            assert control == Path("/run/bird/bird.ctl")
        case FrrSettings(vty=vty):
            assert vty == Path("/run/frr/bgpd.vty")
        case _:
            raise AssertionError(daemon)
    assert (daemon.budget, daemon.poll_seconds, daemon.communities, daemon.fatal) == (Budget(1000, True), 0.2, (), True)


def test_a_hub_speaker_knows_its_clients() -> None:
    speaker = settings(config.decode(SMALLEST + HUB + CLIENT))
    assert isinstance(speaker, BgpSettings)
    prefixes = (IPv4Network("100.0.0.100/32"),)
    assert speaker.clients == (Client(IPv4Address("10.0.1.100"), 65100, prefixes, listen=False),)


def test_a_witness_has_no_speaker() -> None:
    witness = SMALLEST.replace("[agent]", '[agent]\nrole = "witness"')
    assert config.decode(witness).agent.is_witness
    with pytest.raises(ConfigError, match="a witness announces nothing"):
        config.decode(witness + '[speaker]\nkind = "frr"\nasn = 65001\n' + NEIGHBOUR)
