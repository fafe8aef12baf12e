"""BIRD 2 over its control socket: the included file is replaced, and BIRD reads its configuration again.

`configure` takes the whole configuration or nothing: a file that does not parse changes nothing, and the one before is put
back. `soft` keeps BIRD from exporting anything anew on account of filters that changed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hopkeeper_agent.decoding import AbsolutePath
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import bird_text
from hopkeeper_agent.speakers.bird_text import Answer, BgpProtocol
from hopkeeper_agent.speakers.control_socket import ControlSocket
from hopkeeper_agent.speakers.daemon import DaemonRefused, PeerReading, Routes
from hopkeeper_agent.speakers.settings import DaemonSettings

# Codes of answers to `configure` that mean it is or will be done, the second once protocols of others have stopped.
RECONFIGURED = (3, 4, 5)


@dataclass(frozen=True, slots=True)
class BirdSettings(DaemonSettings):
    """BIRD 2: its control socket, and the file that its configuration includes and only the agent writes."""

    control: AbsolutePath = Path("/run/bird/bird.ctl")
    include: AbsolutePath = field(kw_only=True)


class Bird:
    """The BIRD of this machine."""

    name = "BIRD"

    def __init__(self, settings: BirdSettings) -> None:
        self._settings = settings
        self._outward = settings.outward
        # Without outward neighbours the file is as it always was.
        self._groups = tuple(Toward) if self._outward else (Toward.ROUTE_SERVERS,)
        self._socket: ControlSocket | None = None
        self._known: dict[IPv4Address, BgpProtocol] = {}

    async def connect(self) -> asyncio.Event:
        """Reach BIRD, and learn which of its protocols speak with our neighbours."""
        await asyncio.to_thread(self._prepare)
        self._socket = await ControlSocket.open(self._settings.control)
        greeting = bird_text.answer(await self._socket.hear(bird_text.is_whole)).lines
        if greeting and greeting[-1].startswith("BIRD 1."):
            raise DaemonRefused(f"{greeting[-1].removesuffix(' ready.')} is not supported: it takes BIRD 2")
        self._known = {}
        return self._socket.ended

    async def held(self) -> dict[IPv4Network, Advertisement]:
        """What BIRD's tables of ours hold."""
        found: dict[IPv4Network, Advertisement] = {}
        for toward in reversed(self._groups):
            names = bird_text.OURS[toward]
            told = await self._ask(f"show route table {names.table} protocol {names.protocol} all")
            if told.failed and toward is Toward.ROUTE_SERVERS:
                raise DaemonRefused(f"BIRD's configuration does not include {self._settings.include}")
            # Those for on-premises come with the first file that has a place for them.
            held = bird_text.routes(told.lines, self._settings.communities).items()
            found |= {prefix: replace(item, toward=toward) for prefix, item in held}
        return found

    async def replace(self, held: Routes, wanted: Routes) -> None:
        """Write the file and have it read."""
        path = self._settings.include
        before = path.read_bytes() if path.exists() else None
        await asyncio.to_thread(write_atomically, path, self._render(wanted).encode())
        told = await self._ask("configure soft")
        if told.code not in RECONFIGURED:
            if before is not None:
                await asyncio.to_thread(write_atomically, path, before)
            raise DaemonRefused(f"BIRD does not take its configuration: {told.lines[-1]}")

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        """The sessions; one question for each, all protocols at first and when one of ours is not there any more."""
        wanted = {neighbour.address for neighbour in self._settings.neighbours}
        known = {}
        for protocol in self._known.values():
            for read in await self._protocols(f"show protocols all {protocol.name}"):
                known[read.neighbour] = read
        if known.keys() != wanted:
            known = {read.neighbour: read for read in await self._protocols("show protocols all")}
        self._known = {address: protocol for address, protocol in known.items() if address in wanted}
        # BIRD sends in the turn of its loop after the one that changed the table, so before it answers again.
        return {
            address: PeerReading(read.established, read.since, read.exported) for address, read in self._known.items()
        }

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        """What BIRD has exported (`exported`), with the attributes it leaves with (`export` applies the filter)."""
        if (protocol := self._known.get(peer)) is None:
            return {}
        group = Toward.OUTWARD if peer in self._outward else Toward.ROUTE_SERVERS
        ours = f'show route table {protocol.table} where proto = "{bird_text.OURS[group].protocol}"'
        exported = await self._ask(f"{ours} exported {protocol.name} all")
        leaving = await self._ask(f"{ours} export {protocol.name} all")
        gone_out = bird_text.routes(exported.lines)
        told = bird_text.routes(leaving.lines)
        return {prefix: item for prefix, item in told.items() if prefix in gone_out}

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        """Whether a next change would be taken, and graceful restart. Puts a hub speaker's clients in force."""
        refused = await self._tend_clients()
        graceful = sorted(read.name for read in self._known.values() if read.restarts_gracefully)
        told = await self._ask("configure check")
        return {
            "configuration": refused or f"BIRD would not take its configuration: {told.lines[-1]}" * told.failed,
            "graceful-restart": f"on for {', '.join(graceful)}: a dead NVA's routes would stay" if graceful else "",
            "edited": _edited(told, await self._ask("show status")),
            **await self._missing_clients(),
        }

    async def _tend_clients(self) -> str:
        """The included file with the clients as configured now; returns what is wrong."""
        path = self._settings.include
        before = path.read_text() if path.exists() else self._render({})
        text = bird_text.with_clients(before, self._settings.clients)
        if text == before:
            return ""
        await asyncio.to_thread(write_atomically, path, text.encode())
        # Not soft: what a client announced before has to pass the new filters too.
        told = await self._ask("configure")
        if told.code in RECONFIGURED:
            return ""
        await asyncio.to_thread(write_atomically, path, before.encode())
        return f"BIRD does not take its clients: {told.lines[-1]}"

    async def _missing_clients(self) -> dict[str, str]:
        if not self._settings.clients:
            return {}
        up = {read.neighbour for read in await self._protocols("show protocols all") if read.established}
        missing = [str(client.address) for client in self._settings.clients if client.address not in up]
        return {"clients": f"no session with {', '.join(missing)}" if missing else ""}

    def close(self) -> None:
        """Let go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _prepare(self) -> None:
        """Without the file, or a name in it, BIRD takes no configuration that refers to them."""
        path = self._settings.include
        if not path.exists():
            write_atomically(path, self._render({}).encode())
        elif self._outward and bird_text.OURS[Toward.OUTWARD].table not in (text := path.read_text()):
            write_atomically(path, (text + bird_text.empty(Toward.OUTWARD)).encode())

    async def _protocols(self, question: str) -> list[BgpProtocol]:
        told = await self._ask(question)
        return bird_text.protocols(told.lines, datetime.now().astimezone())

    async def _ask(self, question: str) -> Answer:
        if self._socket is None:
            raise ConnectionError("no conversation")
        return bird_text.answer(await self._socket.ask(question.encode() + b"\n", bird_text.is_whole))

    def _render(self, routes: Routes) -> str:
        settings = self._settings
        return bird_text.render(routes, settings.asn, settings.communities, self._groups, settings.clients)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, also one after a crash, finds all of the old or all of the new."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _edited(checked: Answer, status: Answer) -> str:
    """Our next change has BIRD read all its configuration, so also what was edited and not yet put in force."""
    path = Path(checked.lines[0].removeprefix("Reading configuration from "))
    marker = "Last reconfiguration on "
    since = next((line.removeprefix(marker) for line in status.lines if line.startswith(marker)), "")
    try:
        read = datetime.fromisoformat(since).astimezone()
        edited = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    except (ValueError, OSError):
        # The operator may have another format of times, or keep us from the file.
        return ""
    return f"{path} was changed and not read by BIRD yet: the next announcement puts it in force" * (edited > read)
