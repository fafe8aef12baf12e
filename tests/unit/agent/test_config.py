"""The configuration is strict, and its example is whole."""

from __future__ import annotations

import re
from dataclasses import fields
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hopkeeper_agent import config
from hopkeeper_agent.checks import CommandTrial, HttpTrial, TcpTrial, UdpTrial
from hopkeeper_agent.toml_table import ConfigError

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


def test_the_smallest_configuration_has_the_documented_defaults() -> None:
    decoded = config.decode(SMALLEST)
    assert decoded.ports == config.Ports(8443, 8080, 8444)
    assert (decoded.tempo.period_seconds, decoded.tempo.fall) == (0.1, 3)
    assert (decoded.speaker, decoded.reports, decoded.peers, decoded.checks) == (None, None, (), ())
    assert decoded.machine_file == Path("/etc/machine-id")


def test_the_example_is_accepted_and_shows_every_part() -> None:
    decoded = config.load(EXAMPLE)
    assert {type(check.trial) for check in decoded.checks} == {TcpTrial, HttpTrial, UdpTrial, CommandTrial}
    assert decoded.speaker is not None
    assert [neighbour.address for neighbour in decoded.speaker.neighbours] == [
        IPv4Address("10.0.0.36"),
        IPv4Address("10.0.0.37"),
    ]
    absent = {field.name for field in fields(decoded) if not getattr(decoded, field.name)}
    assert absent == {"machine"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[agnet]\n", "agnet: unknown key"),
        ("[listen]\nport = 1\n", "listen.port: unknown key"),
        ("[gossip]\nperiod_seconds = 0\n", "gossip.period_seconds: must be"),
        ("[gossip]\nfall = 1\n", "gossip.fall: must be"),
        ("[listen]\nprobe = 70000\n", "listen.probe: must be"),
        ("[listen]\nprobe = true\n", "listen.probe: must be"),
        ('[reports]\nurl = "ftp://app/"\n', "reports.url: must be"),
        ('[reports]\nurl = "https://app/api/reports?code=secret"\n', "reports.url: must hold no key"),
        ('[[peers]]\nname = "nva-b"\naddress = "nva-b.local"\n', "peers[0].address: must be a literal IPv4"),
        ('[[checks]]\nname = "x"\nkind = "icmp"\n', "checks[0].kind: must be tcp"),
        ('[[checks]]\nname = "x"\nkind = "tcp"\naddress = "10.0.0.1"\n', "checks[0].port: missing"),
        ('[[checks]]\nname = "x"\nkind = "command"\nargv = "true"\n', "checks[0].argv: must be a list"),
        ('[speaker]\nkind = "frr"\n', "speaker.kind: must be exabgp or none"),
        ('[speaker]\nkind = "none"\nasn = 65001\n', "speaker.asn: unknown key"),
        ('[speaker]\nkind = "exabgp"\naddress = "10.0.1.4"\nasn = 65001\n', "speaker.neighbors: missing"),
        ('[[peers]]\nname = "nva-a"\naddress = "10.0.1.5"\ncertificate = "/b.crt"\n', "peers: every name"),
    ],
)
def test_a_mistake_is_named_with_its_path(text: str, path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(path)):
        config.decode(SMALLEST + text)


@pytest.mark.parametrize("key", ["name", "topology", "address", "state", "key", "certificate", "app_keys"])
def test_what_has_no_default_must_be_given(key: str) -> None:
    text = re.sub(rf"^{key} = .*$", "", SMALLEST, flags=re.MULTILINE)
    with pytest.raises(ConfigError, match=f"agent.{key}: missing"):
        config.decode(text)
