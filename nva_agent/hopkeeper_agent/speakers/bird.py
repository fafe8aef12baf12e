"""BIRD 2 over its control socket: the included file is replaced, and BIRD reads its configuration again.

`configure` takes the whole configuration or nothing: if it does not parse nothing changes, and the earlier file is
restored. With `soft` BIRD does not export everything again because filters changed.
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
from hopkeeper_agent.speakers.bird_text import BgpProtocol, BirdReply
from hopkeeper_agent.speakers.control_socket import ControlSocket
from hopkeeper_agent.speakers.daemon import DaemonRefused, PeerReading, Routes
from hopkeeper_agent.speakers.settings import DaemonSettings

RECONFIGURED = (3, 4, 5)
"""Codes of answers to `configure`: done, under way until protocols have stopped, and queued behind another one."""


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
        # Without outward neighbours the file has no part for them.
        self._groups = tuple(Toward) if self._outward else (Toward.ROUTE_SERVERS,)
        self._socket: ControlSocket | None = None
        self._known: dict[IPv4Address, BgpProtocol] = {}

    async def connect(self) -> asyncio.Event:
        """Reach BIRD. Raises OSError, or DaemonRefused for BIRD 1."""
        await asyncio.to_thread(self._prepare)
        self._socket = await ControlSocket.open(self._settings.control)
        greeting = bird_text.answer(await self._socket.greeting(bird_text.is_whole)).lines
        if greeting and greeting[-1].startswith("BIRD 1."):
            raise DaemonRefused(f"{greeting[-1].removesuffix(' ready.')} is not supported: it takes BIRD 2")
        self._known = {}
        return self._socket.ended

    async def held(self) -> dict[IPv4Network, Advertisement]:
        """The routes in our tables in BIRD."""
        found: dict[IPv4Network, Advertisement] = {}
        for toward in reversed(self._groups):
            names = bird_text.OURS[toward]
            answer = await self._ask(f"show route table {names.table} protocol {names.protocol} all")
            if answer.failed and toward is Toward.ROUTE_SERVERS:
                raise DaemonRefused(f"BIRD's configuration does not include {self._settings.include}")
            # The outward table exists from the first file on that has a part for it.
            held = bird_text.routes(answer.lines, self._settings.communities).items()
            found |= {prefix: replace(item, toward=toward) for prefix, item in held}
        return found

    async def replace(self, held: Routes, wanted: Routes) -> None:
        """Write the file and have BIRD read it. Raises DaemonRefused."""
        path = self._settings.include
        before = path.read_bytes() if path.exists() else None
        await asyncio.to_thread(write_atomically, path, self._render(wanted).encode())
        answer = await self._ask("configure soft")
        if answer.code not in RECONFIGURED:
            if before is not None:
                await asyncio.to_thread(write_atomically, path, before)
            raise DaemonRefused(f"BIRD does not take its configuration: {answer.lines[-1]}")

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        """The sessions. One query for each; for all protocols at first, and when one of ours is gone."""
        wanted = {neighbour.address for neighbour in self._settings.neighbours}
        known = {}
        for protocol in self._known.values():
            for read in await self._protocols(f"show protocols all {protocol.name}"):
                known[read.neighbour] = read
        if known.keys() != wanted:
            known = {read.neighbour: read for read in await self._protocols("show protocols all")}
        self._known = {address: protocol for address, protocol in known.items() if address in wanted}
        # `idle` always: BIRD sends in the pass of its loop after the one that changed the table, so before it answers again.
        return {
            address: PeerReading(read.established, read.since, read.exported, hold_seconds=read.hold_seconds)
            for address, read in self._known.items()
        }

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        """The routes that BIRD has exported (`exported`), ours and others, with the attributes they are sent with (`export`)."""
        if (protocol := self._known.get(peer)) is None:
            return {}
        exported = await self._ask(f"show route table {protocol.table} exported {protocol.name} all")
        leaving = await self._ask(f"show route table {protocol.table} export {protocol.name} all")
        gone_out = bird_text.prefixes(exported.lines)
        return {prefix: item for prefix, item in bird_text.sent(leaving.lines).items() if prefix in gone_out}

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        """Whether BIRD would take the next change, and graceful restart. Puts a hub speaker's clients in force."""
        refused = await self._tend_clients()
        graceful = sorted(read.name for read in self._known.values() if read.restarts_gracefully)
        checked = await self._ask("configure check")
        invalid = f"BIRD would not take its configuration: {checked.lines[-1]}" if checked.failed else ""
        return {
            "configuration": refused or invalid,
            "graceful-restart": f"on for {', '.join(graceful)}: a dead NVA's routes would stay" if graceful else "",
            "edited": _edited(checked, await self._ask("show status")),
            **await self._missing_clients(),
        }

    async def _tend_clients(self) -> str:
        """Write the clients as configured now into the included file; returns what is wrong."""
        path = self._settings.include
        before = path.read_text() if path.exists() else self._render({})
        text = bird_text.with_clients(before, self._settings.clients)
        if text == before:
            return ""
        await asyncio.to_thread(write_atomically, path, text.encode())
        # Not soft: routes that a client announced earlier must pass the new filters too.
        answer = await self._ask("configure")
        if answer.code in RECONFIGURED:
            return ""
        await asyncio.to_thread(write_atomically, path, before.encode())
        return f"BIRD does not take its clients: {answer.lines[-1]}"

    async def _missing_clients(self) -> dict[str, str]:
        if not self._settings.clients:
            return {}
        up = {read.neighbour for read in await self._protocols("show protocols all") if read.established}
        missing = [str(client.address) for client in self._settings.clients if client.address not in up]
        return {"clients": f"no session with {', '.join(missing)}" if missing else ""}

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _prepare(self) -> None:
        """Write the file if BIRD's configuration could not refer to it, or to a name in it."""
        path = self._settings.include
        if not path.exists():
            write_atomically(path, self._render({}).encode())
        elif self._outward and bird_text.OURS[Toward.OUTWARD].table not in (text := path.read_text()):
            write_atomically(path, (text + bird_text.empty(Toward.OUTWARD)).encode())

    async def _protocols(self, query: str) -> list[BgpProtocol]:
        answer = await self._ask(query)
        return bird_text.protocols(answer.lines, datetime.now().astimezone())

    async def _ask(self, query: str) -> BirdReply:
        if self._socket is None:
            raise ConnectionError("not connected")
        return bird_text.answer(await self._socket.ask(query.encode() + b"\n", bird_text.is_whole))

    def _render(self, routes: Routes) -> str:
        settings = self._settings
        return bird_text.render(routes, settings.asn, settings.communities, self._groups, settings.clients)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader finds all of the old or all of the new, also after a crash. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _edited(checked: BirdReply, status: BirdReply) -> str:
    """Whether the operator's file was edited and not read by BIRD yet; our next change would put that in force."""
    path = Path(checked.lines[0].removeprefix("Reading configuration from "))
    try:
        edited = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    except OSError:
        # The operator may not let the agent read the file.
        return ""
    if not bird_text.was_read_before(edited, status.lines):
        return ""
    return f"{path} was changed and not read by BIRD yet: the next announcement puts it in force"
