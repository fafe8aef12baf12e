"""Reads the files that a configuration names, once, at start-up. Every error names the configuration's key."""

from __future__ import annotations

import os
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from hopkeeper_agent.config import AgentSection, Config, PeerConfig
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.duties import Duties, Start
from hopkeeper_agent.gossip import Neighbour
from hopkeeper_agent.jws import AppKeys, BadKey, Signer, certificate_key
from hopkeeper_agent.speakers import NoSpeaker, Speaker
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.state import StateFile, Trust, reduced


@dataclass(frozen=True, slots=True)
class Credentials:
    """This agent's key for signatures and for TLS, and the app's public keys."""

    signer: Signer
    tls: ssl.SSLContext
    ring: AppKeys


def credentials(config: Config) -> Credentials:
    """Raises ConfigError."""
    files = config.agent.files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for key, path in (("agent.key", files.key), ("agent.certificate", files.certificate)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{key}: {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(files.certificate, files.key)
        signer = Signer.from_pem(files.key.read_bytes())
    except (OSError, BadKey) as error:
        raise ConfigError(f"agent.key, agent.certificate: {error}") from error
    try:
        return Credentials(signer, context, AppKeys(files.app_keys))
    except (OSError, BadKey) as error:
        raise ConfigError(f"agent.app_keys: {error}") from error


def neighbour(peer: PeerConfig) -> Neighbour:
    """The peer as gossip knows it, with the public key of its certificate. Raises ConfigError."""
    try:
        key = certificate_key(peer.certificate.read_bytes())
    except (OSError, BadKey) as error:
        raise ConfigError(f"peers.certificate: {peer.certificate}: {error}") from error
    return Neighbour(peer.name, peer.address, peer.gossip, key)


def report_key(config: Config) -> None:
    """Try to read the function's key for reports. Raises ConfigError.

    The agent reads it anew for each report, and can only log a failure then.
    """
    if config.reports is None or config.reports.key_file is None:
        return
    try:
        if config.reports.key_file.read_text().strip():
            return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"reports.key_file: {error}") from error
    raise ConfigError(f"reports.key_file: {config.reports.key_file} is empty")


def process(config: Config) -> ExaBgpProcess | None:
    """The process of a speaker that the agent starts itself, None for any other speaker. Raises ConfigError."""
    return None if config.speaker is None else config.speaker.process(config.agent.files.state)


def speaker(config: Config, changed: Callable[[], None]) -> Speaker:
    """The configured speaker; `changed` is called when a session or a finding changes. Raises ConfigError."""
    return NoSpeaker() if config.speaker is None else config.speaker.make(config.agent.files.state, changed)


def duties(config: Config, speaks: Speaker) -> tuple[Duties, Trust]:
    """The duties as the state file has them, under a fresh boot id, and how far that file is trusted.

    Raises ConfigError if the machine has no identity, OSError if the state directory cannot be used.
    """
    own = config.agent
    directory = own.files.state
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{directory} cannot be written")
    store = StateFile(directory, own.identity, _machine(own), own.files.witness)
    found = store.load()
    # A witness may have been a member before.
    states = reduced(found.states) if own.is_witness else found.states
    start = Start(
        boot_id=uuid.uuid4().hex,
        states=states,
        is_durable=found.trust.is_whole and states == found.states,
        is_witness=own.is_witness,
        outward_from=outward_from(config),
    )
    return Duties(store, speaks, start), found.trust


def outward_from(config: Config) -> IPv4Address | None:
    """The next hop of what on-premises neighbours are sent; None if the speaker has none of these."""
    if config.speaker is None or not config.speaker.settings.outward:
        return None
    return config.speaker.settings.next_hop(config.agent.address)


def _machine(own: AgentSection) -> str:
    if own.machine is not None:
        return own.machine
    try:
        machine = own.machine_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"agent.machine_file: {error}") from error
    if not machine:
        raise ConfigError(f"agent.machine_file: {own.machine_file} is empty")
    return machine
