"""`hopkeeper-agent check --live`: tries on this machine what `run` will need. It changes nothing, and names all that fails."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from hopkeeper_agent import loading
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.config import Config
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.delivery import HttpPost
from hopkeeper_agent.door import knock
from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.jws import Signer
from hopkeeper_agent.listener import unavailable
from hopkeeper_agent.reports import report
from hopkeeper_agent.shown import view
from hopkeeper_agent.speakers.bird import BirdSettings
from hopkeeper_agent.speakers.control_socket import ControlSocket
from hopkeeper_agent.speakers.daemon import DaemonRefused
from hopkeeper_agent.speakers.frr import Frr, FrrSettings
from hopkeeper_agent.status import unknown

DAEMONS = {"bird": "bird", "bgpd": "frr", "gobgpd": "", "exabgp": "exabgp"}
"""What a process that speaks BGP is called, and the kind of speaker that it belongs to."""
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: what it was about, and whether it went well."""

    said: str
    is_well: bool = True


async def trials(config: Config, signer: Signer, proc: Path = PROC) -> AsyncIterator[Tried]:
    """Every trial, in an order in which the first that fails explains most. Raises nothing that a machine could cause."""
    running = await _running(config)
    for found in _permissions(config):
        yield found
    if running is None:
        for found in _listeners(config):
            yield found
        async for found in _daemon(config):
            yield found
    else:
        yield Tried("the agent runs: its listeners and its speaker were not tried, but requested of it")
        for line in running:
            yield Tried(f"agent: {line}", False)
    for found in _second_speakers(config, proc):
        yield found
    yield await _report(config, signer)


async def _running(config: Config) -> tuple[str, ...] | None:
    """What an agent that runs already says is wrong; None where none runs."""
    try:
        shown = view(await knock(config.agent.files.state))
    except OSError:
        return None
    return tuple(line.removeprefix("WRONG ") for line in shown.lines if line.startswith("WRONG "))


def _permissions(config: Config) -> Iterator[Tried]:
    files = config.agent.files
    if files.key.stat().st_mode & 0o007:
        yield Tried(f"agent.key: {files.key} can be read by every user of this machine: chmod o= {files.key}", False)
    if files.state.exists() and not os.access(files.state, os.W_OK | os.X_OK):
        yield Tried(f"agent.state: {files.state} cannot be written by this user", False)
    else:
        yield Tried("files can be read and written as the agent needs")


def _listeners(config: Config) -> Iterator[Tried]:
    own, ports = config.agent.address, config.ports
    for key, kind, port, addresses in (
        ("command", socket.SOCK_STREAM, ports.command, (own,)),
        ("probe", socket.SOCK_STREAM, ports.probe, (own, *ports.probe_also)),
        ("gossip", socket.SOCK_DGRAM, ports.gossip, (own,)),
    ):
        for address in addresses:
            try:
                _bind(address, port, kind)
                yield Tried(f"listen.{key}: {address} port {port} is free")
            except OSError as error:
                yield Tried(unavailable(key, address, port, error), False)


def _bind(address: IPv4Address, port: int, kind: socket.SocketKind) -> None:
    """For a moment. Raises OSError where it cannot be listened on."""
    with socket.socket(socket.AF_INET, kind) as tried:
        if kind is socket.SOCK_STREAM:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((str(address), port))
        if kind is socket.SOCK_STREAM:
            tried.listen()


async def _daemon(config: Config) -> AsyncIterator[Tried]:
    """The daemon of the operator's: its socket, and of FRR its ASN and neighbours as well."""
    settings = config.speaker.settings if config.speaker is not None else None
    match settings:
        case FrrSettings():
            key, path, group = "vty", settings.vty, "frrvty"
        case BirdSettings():
            key, path, group = "control", settings.control, "bird"
        case _:
            return
    try:
        connection = await ControlSocket.open(path)
    except OSError as error:
        known = {
            errno.ENOENT: "there is no such socket: does the daemon run, and is that its path?",
            errno.ECONNREFUSED: "no daemon listens there: it does not run",
            errno.EACCES: f"this user may not use it: add the agent's user to the group {group}",
        }
        yield Tried(f"speaker.{key}: {path}: {known.get(error.errno or 0, str(error))}", False)
        return
    connection.close()
    yield Tried(f"speaker.{key}: {path} answers")
    if isinstance(settings, FrrSettings):
        yield await _frr(settings)


async def _frr(settings: FrrSettings) -> Tried:
    daemon = Frr(settings)
    try:
        await daemon.connect()
        await daemon.held()
        peers = await daemon.peers()
    except (OSError, DaemonRefused) as error:
        return Tried(f"speaker: {error or type(error).__name__}", False)
    finally:
        daemon.close()
    missing = sorted(str(each.address) for each in settings.neighbours if each.address not in peers)
    if missing:
        return Tried(f"speaker.neighbors: FRR has no neighbour {', '.join(missing)}", False)
    up = sum(reading.established for reading in peers.values())
    return Tried(f"speaker: FRR speaks in AS {settings.asn}, {up} of {len(peers)} sessions Established")


def _second_speakers(config: Config, proc: Path) -> Iterator[Tried]:
    """Other programs that speak BGP here: two speakers with one address end each other's sessions."""
    if config.speaker is None:
        return
    own = loading.process(config)
    mine = {FrrSettings: "frr", BirdSettings: "bird"}.get(type(config.speaker.settings), "exabgp")
    others = [
        f"{name} (process {pid})"
        for pid, name in _processes(proc)
        if name in DAEMONS and DAEMONS[name] != mine and (own is None or own.pid != pid)
    ]
    if others:
        yield Tried(f"speaker: {', '.join(others)} speaks BGP on this machine beside the configured kind {mine}", False)
    else:
        yield Tried("no second program speaks BGP on this machine")


def _processes(proc: Path) -> Iterator[tuple[int, str]]:
    """Those of this network namespace, by id; of a process that ends meanwhile or may not be looked at, nothing."""
    for folder in sorted(proc.glob("[0-9]*")):
        try:
            if os.readlink(folder / "ns" / "net") == os.readlink(proc / "self" / "ns" / "net"):
                yield int(folder.name), (folder / "comm").read_text().strip()
        except OSError:
            continue


async def _report(config: Config, signer: Signer) -> Tried:
    try:
        return Tried(await _report_once(config, signer))
    except ConfigError as error:
        return Tried(str(error), False)


async def _report_once(config: Config, signer: Signer) -> str:
    """Post a report that claims nothing, which the app takes as a reason to look. Raises ConfigError."""
    target = config.reports
    if target is None:
        raise ConfigError("reports: there is no such section, so this agent sends the app no reports")
    if target.key_file is not None and not _is_secret(target.url):
        raise ConfigError(
            f"reports.url: {target.url}: whoever is on the way reads the function's key: write it with https"
        )
    issuer = Issuer(config.agent.identity, signer, Clock())
    post = HttpPost(target.url, target.key_file)
    try:
        answer = await post.send(report(issuer, "check --live", unknown(issuer.identity, issuer.clock.wall())))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(
            f"reports.url: {target.url}: no answer ({reason}): are name, route and TCP 443 right?"
        ) from error
    finally:
        await post.close()
    if not answer.is_taken:
        raise ConfigError(f"reports.url: {target.url} answers {answer}: {answer.advice()}")
    return f"{target.url} takes reports: {answer}"


def _is_secret(url: str) -> bool:
    """Whether what is sent there is encrypted, or leaves this machine not at all."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "https" or IPv4Address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"
