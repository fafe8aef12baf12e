"""The agent's configuration: one TOML file, read strictly. `agent.example.toml` shows every key.

Reading it opens no other file; `loading` reads the keys and certificates that it names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from hopkeeper_agent.checks import STATE_DIRECTORY, Check, Watch
from hopkeeper_agent.decoding import (
    PORT_MAX,
    AbsolutePath,
    Address,
    Addresses,
    ConfigError,
    Flat,
    Given,
    Key,
    Port,
    Prefixes,
    Text,
    Url,
    choice,
    whole,
)
from hopkeeper_agent.decoding import (
    decode as decode_table,
)
from hopkeeper_agent.identity import Identity, Name
from hopkeeper_agent.maintenance import MaintenanceSettings
from hopkeeper_agent.peers import Tempo
from hopkeeper_agent.speakers.kinds import KINDS, ConfiguredSpeaker, Kinds, decode_speaker

OWN_CHECKS = "speaker"
"""What a speaker finds out about itself is reported under names that begin so, among the checks."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files the agent works with. `state` is a directory."""

    state: AbsolutePath
    key: AbsolutePath
    certificate: AbsolutePath
    app_keys: AbsolutePath
    witness: AbsolutePath | None = None


@dataclass(frozen=True, slots=True)
class AgentSection:
    """The section `[agent]`. `machine` identifies the VM; without it `machine_file` does. A witness takes no role."""

    address: Address
    identity: Annotated[Identity, Flat()]
    files: Annotated[Files, Flat()]
    machine: Text | None = None
    machine_file: AbsolutePath = Path("/etc/machine-id")
    is_witness: Annotated[bool, Key("role"), choice({"member": False, "witness": True})] = False


@dataclass(frozen=True, slots=True)
class Ports:
    """What the agent listens on; 0 takes any free port (command and probe only). `probe_also`: further addresses of this machine
    at which a load balancer probes it. `command_from`, `probe_from`: where connections may come from; none given, from
    everywhere. Peers and Azure's probe always may."""

    command: Annotated[int, whole(0, PORT_MAX)] = 8443
    probe: Annotated[int, whole(0, PORT_MAX)] = 8080
    gossip: Port = 8444
    probe_also: Addresses = ()
    command_from: Prefixes = ()
    probe_from: Prefixes = ()


@dataclass(frozen=True, slots=True)
class ReportTarget:
    """Where reports go; `key_file` holds the function's key."""

    url: Url
    key_file: AbsolutePath | None = None

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """What is wrong between keys, as (key, rule)."""
        if urlsplit(self.url).query or urlsplit(self.url).username:
            yield "url", "must hold no key, as addresses are logged on the way: use key_file"


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """A peer agent: where its gossip comes from and its probe listens, and its certificate."""

    name: Name
    address: Address
    certificate: AbsolutePath
    gossip: Port = 8444
    probe: Port = 8080


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. `speaker` is None where the appliance speaks BGP by other means."""

    agent: AgentSection
    ports: Annotated[Ports, Key("listen")]
    tempo: Annotated[Tempo, Key("gossip")]
    reports: ReportTarget | None = None
    maintenance: MaintenanceSettings | None = None
    peers: tuple[PeerConfig, ...] = ()
    checks: tuple[Check, ...] = ()
    watch: tuple[Watch, ...] = ()
    speaker: Annotated[ConfiguredSpeaker | None, Given()] = None

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """What is wrong between sections, as (key, rule)."""
        agents = [self.agent.identity.agent, *(peer.name for peer in self.peers)]
        if _repeats(agents):
            yield "peers", "every name must be a different one, and not the agent's"
        elif _repeats([*agents, *(watch.name for watch in self.watch)]):
            yield "watch", "every name must be a different one, no peer's and not the agent's"
        names = [check.name for check in self.checks]
        if _repeats(names):
            yield "checks", "every name must be a different one"
        for name in names:
            if name.startswith(OWN_CHECKS) or name == STATE_DIRECTORY:
                yield "checks", f"the name {name} is the agent's own"


def load(path: Path) -> Config:
    """Read a configuration file; raises ConfigError, also when the file cannot be read."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return decode(text)


def decode(text: str, kinds: Kinds = KINDS) -> Config:
    """Decode TOML text, with a speaker of one of these kinds; raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, and lists in lists in lists
        raise ConfigError(f"not TOML: {error}") from error
    section = document.pop("speaker", None)
    config = decode_table(Config, document)
    if section is None:
        return config
    if not isinstance(section, dict):
        raise ConfigError("speaker: not a table")
    speaker = decode_speaker(section, kinds)
    if speaker is not None and config.agent.is_witness:
        raise ConfigError("speaker: a witness announces nothing")
    return replace(config, speaker=speaker)


def _repeats(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) != len(listed)
