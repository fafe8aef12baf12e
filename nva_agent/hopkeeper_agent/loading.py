"""Reads the files a configuration names, once, at start-up. Every error names the configuration's key."""

from __future__ import annotations

import os
import re
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.config import Config, PeerConfig
from hopkeeper_agent.duties import Duties
from hopkeeper_agent.jws import AppKeys, BadKey, Signer, certificate_key
from hopkeeper_agent.speakers import Mute, Speaker
from hopkeeper_agent.speakers.exabgp import ExaBgpSpeaker
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.state import Identity, StateFile, Trust
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


def process(config: Config) -> ExaBgpProcess | None:
    """The ExaBGP of this configuration, None if another speaker is used. Raises ConfigError."""
    if config.speaker is None:
        return None
    if not _PATH_FOR_EXABGP.fullmatch(str(config.files.state)):
        raise ConfigError("agent.state: with an exabgp speaker, no blanks or special characters in the path")
    return ExaBgpProcess(config.files.state, config.speaker)


def speaker(config: Config, changed: Callable[[], None]) -> Speaker:
    """The configured speaker. Raises ConfigError."""
    exabgp = process(config)
    if exabgp is None or config.speaker is None:
        return Mute()
    return ExaBgpSpeaker(config.speaker, exabgp, changed)


def duties(config: Config, speaks: Speaker) -> tuple[Duties, Trust]:
    """The duties as the state file has them, under a fresh boot id, and how far that file was believed.

    Raises ConfigError if the machine has no identity, OSError if the state directory cannot be used.
    """
    directory = config.files.state
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{directory} cannot be written")
    store = StateFile(directory, Identity(_machine(config), config.name, config.topology), config.files.witness)
    found = store.load()
    whole = found.trust in (Trust.WHOLE, Trust.NEW)
    return Duties(store, speaks, uuid.uuid4().hex, found.states, durable=whole), found.trust


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
