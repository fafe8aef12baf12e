"""Route Server instances that receive real BGP: one ExaBGP process for each instance address.

One process cannot hold the same peer twice, hence one for each. A peer is configured only while its peering is in
force; ExaBGP keeps the other sessions up across the reload. What is received goes into the world's `BgpTable`.
Nothing is announced to peers.
"""

import asyncio
import json
import os
import pwd
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from simulator.bgp_table import BgpTable
from simulator.route_servers import HUB, ROUTE_SERVER_ASN, Peer, instances_of
from simulator.world import World

LOADED = b"loaded new configuration successfully"
NOT_LOADED = b"could not load/reload configuration"
LOAD_SECONDS = 10.0  # for a start; a reload takes milliseconds
RELOAD_TRIES = 5  # ExaBGP drops a signal that comes while it handles another
STOP_SECONDS = 1.0  # an ExaBGP that still has a peer to say goodbye to may take a minute
LINE_MAX = 4 << 20  # one UPDATE as JSON; 1,000 prefixes are about 50 kB
SOCKET_PATH_MAX = 100  # of 108 bytes that a unix socket's address has
FEED = Path(__file__).with_name("bgp_feed.py")


@dataclass(frozen=True, slots=True)
class BgpConfig:
    port: int = 1790
    hold_seconds: int = 180


class BgpSpeakers:
    """All instances of all Route Servers that exist when it is started."""

    def __init__(self, world: World, config: BgpConfig, directory: Path) -> None:
        self._world = world
        self._config = config
        self._directory = directory
        self._server: asyncio.Server | None = None
        self._socket_directory: str | None = None
        self.instances: dict[IPv4Address, Instance] = {}

    async def start(self) -> None:
        """Raises RuntimeError when an ExaBGP does not come up."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / "bgp.sock"
        if len(str(path)) > SOCKET_PATH_MAX:
            self._socket_directory = tempfile.mkdtemp(prefix="simulator-")
            path = Path(self._socket_directory) / "bgp.sock"
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._receive, path, limit=LINE_MAX)
        for hub in self._world.state.resources.of_type(HUB):
            for address in instances_of(hub):
                paths = InstancePaths(self._directory / f"{address}.conf", self._directory / f"{address}.log", path)
                self.instances[address] = Instance(address, self._config, paths, self._world.bgp)
        self.look()
        await asyncio.gather(*(instance.start() for instance in self.instances.values()))

    async def close(self) -> None:
        await asyncio.gather(*(instance.stop() for instance in self.instances.values()))
        if self._server is not None:
            self._server.close()
        if self._socket_directory is not None:
            shutil.rmtree(self._socket_directory, ignore_errors=True)

    def look(self) -> None:
        """Give every instance the peers that are in force now. Cheap when nothing changed."""
        peers = self._world.route_servers.peers()
        for address, instance in self.instances.items():
            instance.want(tuple(peer for peer in peers if address in peer.instances))

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            address = IPv4Address((await reader.readline()).decode().strip())
            while line := await reader.readline():
                self._received(address, line)
        except (ValueError, ConnectionError):
            return
        finally:
            writer.close()

    def _received(self, instance: IPv4Address, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        hear(self._world.bgp, instance, message)


def hear(table: BgpTable, instance: IPv4Address, message: dict[str, Any]) -> None:
    """Enter one of ExaBGP's JSON messages (encoder version 5) into the table; kinds it has no use for are passed."""
    neighbor = message.get("neighbor") or {}
    peer = (neighbor.get("address") or {}).get("peer")
    if peer is None:
        return
    ends = (instance, IPv4Address(peer))
    match message.get("type"), neighbor.get("state"):
        case "state", "up":
            table.up(*ends)
        case "state", "down":
            table.down(*ends)
        case "update", _ if isinstance(update := (neighbor.get("message") or {}).get("update"), dict):
            _enter(table, ends, read_update(update))


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE: the prefixes that it announces with their next hops, their AS path, and the prefixes that it withdraws."""

    announced: Mapping[IPv4Network, IPv4Address]
    as_path: tuple[int, ...]
    withdrawn: tuple[IPv4Network, ...]


def read_update(update: dict[str, Any]) -> Update:
    """An `update` of ExaBGP's JSON, IPv4 unicast only."""
    announced = (update.get("announce") or {}).get("ipv4 unicast") or {}
    return Update(
        {network: IPv4Address(next_hop) for next_hop, entries in announced.items() for network in _networks(entries)},
        _as_path((update.get("attribute") or {}).get("as-path") or {}),
        _networks((update.get("withdraw") or {}).get("ipv4 unicast") or []),
    )


def _enter(table: BgpTable, ends: tuple[IPv4Address, IPv4Address], update: Update) -> None:
    if ROUTE_SERVER_ASN in update.as_path:
        table.withdrawn(ends, list(update.announced))  # a route that has been through a Route Server is not taken
    else:
        for next_hop in dict.fromkeys(update.announced.values()):
            networks = [network for network, hop in update.announced.items() if hop == next_hop]
            table.announced(ends, networks, next_hop, update.as_path)
    if update.withdrawn:
        table.withdrawn(ends, list(update.withdrawn))


def _networks(entries: list[Any]) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(entry["nlri"] if isinstance(entry, dict) else entry) for entry in entries)


def _as_path(segments: dict[str, Any] | list[int]) -> tuple[int, ...]:
    if isinstance(segments, list):
        return tuple(segments)
    return tuple(asn for _, segment in sorted(segments.items()) for asn in segment.get("value", ()))


@dataclass(frozen=True, slots=True)
class InstancePaths:
    config: Path
    log: Path
    socket: Path


class Instance:
    """One ExaBGP process and the peers it is configured with."""

    def __init__(self, address: IPv4Address, config: BgpConfig, paths: InstancePaths, table: BgpTable) -> None:
        self.address = address
        self._config = config
        self._paths = paths
        self._table = table
        self._peers: tuple[Peer, ...] = ()
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._loads: asyncio.Queue[bool] = asyncio.Queue()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def want(self, peers: tuple[Peer, ...]) -> None:
        if peers != self._peers:
            for gone in set(self._peers) - set(peers):
                self._table.down(self.address, gone.address)
            self._peers = peers
            self._changed.set()

    async def start(self) -> None:
        """Raises RuntimeError when ExaBGP does not load its configuration in time."""
        if self.running:
            return
        self._changed.clear()
        self._write()
        self._process = await asyncio.create_subprocess_exec(
            *exabgp_command(),
            "server",
            str(self._paths.config),
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._tasks = [asyncio.create_task(self._read_log(self._process)), asyncio.create_task(self._reload_forever())]
        if not await self._loaded(LOAD_SECONDS):
            await self.stop()
            raise RuntimeError(f"ExaBGP for {self.address} did not start, see {self._paths.log}")

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                # communicate, not wait: an unread pipe must not keep the process from ending.
                await asyncio.wait_for(self._process.communicate(), STOP_SECONDS)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()
        self._lose_sessions()

    async def _reload_forever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._write()
            for _ in range(RELOAD_TRIES):
                if not self.running or self._process is None:
                    return
                while not self._loads.empty():
                    self._loads.get_nowait()  # of an earlier load: it says nothing about this one
                self._process.send_signal(signal.SIGUSR1)
                if await self._loaded(1.0):
                    break

    async def _loaded(self, seconds: float) -> bool:
        try:
            return await asyncio.wait_for(self._loads.get(), seconds)
        except TimeoutError:
            return False

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        with self._paths.log.open("ab") as log:
            while line := await process.stdout.readline():
                log.write(line)
                log.flush()
                if LOADED in line or NOT_LOADED in line:
                    self._loads.put_nowait(LOADED in line)
        await process.wait()
        self._lose_sessions()

    def _lose_sessions(self) -> None:
        for instance, peer in list(self._table.sessions):
            if instance == self.address:
                self._table.down(instance, peer)

    def _write(self) -> None:
        fresh = self._paths.config.with_suffix(".new")
        fresh.write_text(render(self.address, self._peers, self._config, self._paths.socket))
        fresh.replace(self._paths.config)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.lower().startswith("exabgp")}
        return inherited | {
            "exabgp.tcp.port": str(self._config.port),
            "exabgp.tcp.bind": str(self.address),
            "exabgp.daemon.drop": "false",
            # ExaBGP changes to this user even then when it runs as root, and could not read Python any more.
            "exabgp.daemon.user": _user(),
            "exabgp.api.cli": "false",
            "exabgp.api.ack": "false",
            "exabgp.api.respawn": "false",
            "exabgp.log.level": "INFO",
        }


def render(instance: IPv4Address, peers: tuple[Peer, ...], config: BgpConfig, socket: Path) -> str:
    """The ExaBGP configuration of one instance."""
    feed = f"process feed {{ run {sys.executable} -u {FEED} {socket} {instance}; encoder json; }}\n"
    neighbors = (
        f"neighbor {peer.address} {{ router-id {instance}; local-address {instance}; local-as {ROUTE_SERVER_ASN}; "
        f"peer-as {peer.asn}; hold-time {config.hold_seconds}; passive true; family {{ ipv4 unicast; }} "
        "api { processes [ feed ]; neighbor-changes; receive { parsed; update; } } }\n"
        for peer in sorted(peers, key=lambda peer: peer.address)
    )
    return feed + "".join(neighbors)


def exabgp_command() -> tuple[str, ...]:
    """ExaBGP of this interpreter's environment."""
    beside = Path(sys.executable).with_name("exabgp")
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "exabgp")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "nobody"
