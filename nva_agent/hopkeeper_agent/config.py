"""The agent's configuration: one TOML file, decoded strictly. `agent.example.toml` shows every key.

Decoding reads no other file; `main` loads keys and certificates.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from hopkeeper_agent.checks import (
    Check,
    CommandTrial,
    ForwardingTrial,
    HttpTrial,
    SessionsTrial,
    TcpTrial,
    Trial,
    UdpTrial,
)
from hopkeeper_agent.identity import Identity
from hopkeeper_agent.maintenance import MaintenanceSettings
from hopkeeper_agent.messages import is_name
from hopkeeper_agent.peers import Tempo
from hopkeeper_agent.speaker_config import SpeakerSettings, decode_speaker
from hopkeeper_agent.toml_table import ConfigError, Table

PORT_MAX = 65535
MACHINE_FILE = Path("/etc/machine-id")
IP_FORWARD = "/proc/sys/net/ipv4/ip_forward"
METADATA_SERVICE = "http://169.254.169.254"
# What a speaker finds of itself is reported under these names, beside the checks.
OWN_CHECKS = "speaker"


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """A peer agent: where its gossip comes from and its probe listens, and its certificate."""

    name: str
    address: IPv4Address
    gossip: int
    probe: int
    certificate: Path


@dataclass(frozen=True, slots=True)
class Files:
    """The files the agent works with. `state` is a directory."""

    state: Path
    key: Path
    certificate: Path
    app_keys: Path
    witness: Path | None


@dataclass(frozen=True, slots=True)
class Ports:
    """What the agent listens on; 0 takes any free port (command and probe only)."""

    command: int
    probe: int
    gossip: int


@dataclass(frozen=True, slots=True)
class ReportTarget:
    """Where reports go."""

    url: str
    key_file: Path | None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. `machine` is a literal identity, else `machine_file` holds it."""

    identity: Identity
    address: IPv4Address
    machine: str | None
    machine_file: Path
    files: Files
    ports: Ports
    reports: ReportTarget | None
    maintenance: MaintenanceSettings | None
    tempo: Tempo
    peers: tuple[PeerConfig, ...]
    checks: tuple[Check, ...]
    speaker: SpeakerSettings | None
    is_witness: bool


def load(path: Path) -> Config:
    """Read a configuration file; raises ConfigError, also when the file cannot be read."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return decode(text)


def decode(text: str) -> Config:
    """Decode TOML text; raises ConfigError."""
    try:
        document = Table(tomllib.loads(text), "")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    agent, listen, gossip = document.table("agent"), document.table("listen"), document.table("gossip")
    reports = _reports(document.table("reports")) if document.has("reports") else None
    config = Config(
        identity=Identity(_name(agent, "name"), _name(agent, "topology")),
        address=agent.address("address"),
        machine=agent.text("machine") if agent.has("machine") else None,
        machine_file=agent.path("machine_file") if agent.has("machine_file") else MACHINE_FILE,
        files=_files(agent),
        ports=Ports(
            listen.integer("command", 8443, low=0, high=PORT_MAX),
            listen.integer("probe", 8080, low=0, high=PORT_MAX),
            listen.integer("gossip", 8444, low=1, high=PORT_MAX),
        ),
        reports=reports,
        maintenance=_maintenance(document.table("maintenance")) if document.has("maintenance") else None,
        tempo=Tempo(
            gossip.number("period_seconds", 0.1, low=0.02, high=60), gossip.integer("fall", 3, low=2, high=100)
        ),
        peers=tuple(_peer(table) for table in document.tables("peers")),
        checks=tuple(_check(table) for table in document.tables("checks")),
        speaker=decode_speaker(document.table("speaker")) if document.has("speaker") else None,
        is_witness=_is_witness(agent),
    )
    for table in (agent, listen, gossip, document):
        table.finish()
    _distinct("peers", "name", [peer.name for peer in config.peers] + [config.identity.agent])
    _distinct("checks", "name", [check.name for check in config.checks])
    for check in config.checks:
        if check.name.startswith(OWN_CHECKS):
            raise ConfigError(f"checks: the name {check.name} is the agent's own")
    if config.is_witness and config.speaker is not None:
        raise ConfigError("speaker: a witness announces nothing")
    return config


def _is_witness(agent: Table) -> bool:
    role = agent.text("role", "member")
    if role not in ("member", "witness"):
        raise agent.wrong("role", "must be member or witness")
    return role == "witness"


def _maintenance(table: Table) -> MaintenanceSettings:
    settings = MaintenanceSettings(
        url=_url(table, table.text("url", METADATA_SERVICE)),
        machine=table.text("machine"),
        period_seconds=table.number("period_seconds", 5.0, low=0.05, high=3600),
    )
    table.finish()
    return settings


def _url(table: Table, url: str) -> str:
    if urlsplit(url).scheme not in ("https", "http") or not urlsplit(url).hostname:
        raise table.wrong("url", "must be an http or https address")
    return url.rstrip("/")


def _files(agent: Table) -> Files:
    return Files(
        state=agent.path("state"),
        key=agent.path("key"),
        certificate=agent.path("certificate"),
        app_keys=agent.path("app_keys"),
        witness=agent.path("witness") if agent.has("witness") else None,
    )


def _reports(table: Table) -> ReportTarget:
    url = table.text("url")
    if urlsplit(url).scheme not in ("https", "http") or not urlsplit(url).hostname:
        raise table.wrong("url", "must be an http or https address")
    if urlsplit(url).query or urlsplit(url).username:
        # A key in an address ends up in logs on the way.
        raise table.wrong("url", "must hold no key: use key_file")
    target = ReportTarget(url, table.path("key_file") if table.has("key_file") else None)
    table.finish()
    return target


def _peer(table: Table) -> PeerConfig:
    peer = PeerConfig(
        name=_name(table, "name"),
        address=table.address("address"),
        gossip=table.integer("gossip", 8444, low=1, high=PORT_MAX),
        probe=table.integer("probe", 8080, low=1, high=PORT_MAX),
        certificate=table.path("certificate"),
    )
    table.finish()
    return peer


def _check(table: Table) -> Check:
    check = Check(
        name=_name(table, "name"),
        trial=_trial(table),
        fatal=table.flag("fatal", False),
        period_seconds=table.number("period_seconds", 1.0, low=0.05, high=3600),
        timeout_seconds=table.number("timeout_seconds", 1.0, low=0.01, high=600),
        fall=table.integer("fall", 3, low=1, high=100),
        rise=table.integer("rise", 5, low=1, high=100),
    )
    table.finish()
    return check


def _trial(table: Table) -> Trial:
    match table.text("kind"):
        case "tcp":
            return TcpTrial(table.address("address"), table.integer("port", low=1, high=PORT_MAX))
        case "http":
            return HttpTrial(table.text("url"))
        case "udp":
            return UdpTrial(
                table.address("address"),
                table.integer("port", low=1, high=PORT_MAX),
                table.text("payload", "hopkeeper").encode(),
                table.integer("packets", 3, low=1, high=10),
            )
        case "command":
            return CommandTrial(table.texts("argv"))
        case "forwarding":
            return ForwardingTrial(table.path("path", IP_FORWARD))
        case "sessions":
            return SessionsTrial(table.integer("least", 1, low=1, high=1000))
        case _:
            raise table.wrong("kind", "must be tcp, http, udp, command, forwarding or sessions")


def _name(table: Table, key: str) -> str:
    name = table.text(key)
    if not is_name(name):
        raise table.wrong(key, "must be lower-case letters, digits and dashes, at most 63")
    return name


def _distinct(path: str, key: str, values: list[str]) -> None:
    if len(set(values)) != len(values):
        raise ConfigError(f"{path}: every {key} must be a different one")
