"""Reads the files a configuration names, once, at start-up. Every error names the configuration's key."""

from __future__ import annotations

import os
import re
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.config import Config, PeerConfig
from hopkeeper_agent.duties import Duties
from hopkeeper_agent.gossip import Neighbour
from hopkeeper_agent.jws import AppKeys, BadKey, Signer, certificate_key
from hopkeeper_agent.role import Role, Toward
from hopkeeper_agent.speakers import Mute, Speaker
from hopkeeper_agent.speakers.bird import Bird
from hopkeeper_agent.speakers.daemon import DaemonSpeaker
from hopkeeper_agent.speakers.exabgp import ExaBgpSpeaker
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.speakers.frr import Frr
from hopkeeper_agent.speakers.settings import BgpNeighbour, BirdSettings, FrrSettings
from hopkeeper_agent.state import StateFile, Trust
from hopkeeper_agent.toml_table import ConfigError

# ExaBGP splits its configuration at these.
_PATH_FOR_EXABGP = re.compile(r"[A-Za-z0-9_./+@=,:-]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """This agent's key for signatures and for TLS, and the ring of the app's keys."""

    signer: Signer
    tls: ssl.SSLContext
    ring: AppKeys


def credentials(config: Config) -> Credentials:
    """Raises ConfigError."""
    files = config.files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.key)
        signer = Signer.from_pem(files.key.read_bytes())
    except (OSError, BadKey) as error:
        raise ConfigError(f"agent.key, agent.certificate: {error}") from error
    try:
        return Credentials(signer, context, AppKeys(files.app_keys))
    except (OSError, BadKey) as error:
        raise ConfigError(f"agent.app_keys: {error}") from error


def peer_key(peer: PeerConfig) -> EllipticCurvePublicKey:
    """Raises ConfigError."""
    try:
        return certificate_key(peer.certificate.read_bytes())
    except (OSError, BadKey) as error:
        raise ConfigError(f"peers.certificate: {peer.certificate}: {error}") from error


def neighbour(peer: PeerConfig) -> Neighbour:
    """The peer as gossip knows it, with its public key. Raises ConfigError."""
    return Neighbour(peer.name, peer.address, peer.gossip, peer_key(peer))


def report_key(config: Config) -> None:
    """Whether the function's key for reports can be read: it is read anew for each report, where a failure would only be logged.

    Raises ConfigError.
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
    """The ExaBGP of this configuration, None if another speaker is used. Raises ConfigError."""
    return _process(config, config.speaker) if isinstance(config.speaker, BgpSettings) else None


def _process(config: Config, settings: BgpSettings) -> ExaBgpProcess:
    if not _PATH_FOR_EXABGP.fullmatch(str(config.files.state)):
        raise ConfigError("agent.state: with an exabgp speaker, no blanks or special characters in the path")
    return ExaBgpProcess(config.files.state, settings)


def speaker(config: Config, changed: Callable[[], None]) -> Speaker:
    """The configured speaker. Raises ConfigError."""
    match config.speaker:
        case None:
            return Mute()
        case BirdSettings() as bird:
            return DaemonSpeaker(Bird(bird), bird.daemon, changed)
        case FrrSettings() as frr:
            return DaemonSpeaker(Frr(frr), frr.daemon, changed)
        case BgpSettings() as embedded:
            return ExaBgpSpeaker(embedded, _process(config, embedded), changed)


def duties(config: Config, speaks: Speaker) -> tuple[Duties, Trust]:
    """The duties as the state file has them, under a fresh boot id, and how far that file was believed.

    Raises ConfigError if the machine has no identity, OSError if the state directory cannot be used.
    """
    directory = config.files.state
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{directory} cannot be written")
    store = StateFile(directory, config.identity, _machine(config), config.files.witness)
    found = store.load()
    whole = found.trust in (Trust.WHOLE, Trust.NEW)
    states, boot_id = found.states, uuid.uuid4().hex
    if config.is_witness:
        # It may have been a member once.
        states = {
            name: replace(state, role=Role.STANDBY, advertised=None, outward=None) for name, state in states.items()
        }
        whole = whole and states == found.states
    office = Duties(
        store,
        speaks,
        boot_id,
        states,
        durable=whole,
        is_witness=config.is_witness,
        outward_from=_outward_from(config),
    )
    return office, found.trust


def outward_neighbours(config: Config) -> frozenset[IPv4Address]:
    """The speaker's neighbours on-premises."""
    match config.speaker:
        case None:
            neighbours: tuple[BgpNeighbour, ...] = ()
        case BgpSettings():
            neighbours = config.speaker.neighbours
        case BirdSettings() | FrrSettings():
            neighbours = config.speaker.daemon.neighbours
    return frozenset(neighbour.address for neighbour in neighbours if neighbour.toward is Toward.OUTWARD)


def _outward_from(config: Config) -> IPv4Address | None:
    """The next hop of what is told outward: this appliance, as it speaks BGP."""
    if not outward_neighbours(config):
        return None
    return config.speaker.address if isinstance(config.speaker, BgpSettings) else config.address


def _machine(config: Config) -> str:
    if config.machine is not None:
        return config.machine
    try:
        identity = config.machine_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"agent.machine_file: {error}") from error
    if not identity:
        raise ConfigError(f"agent.machine_file: {config.machine_file} is empty")
    return identity
