"""FRR's bgpd over its vty socket, the one that vtysh uses: the same commands without starting vtysh for each.

Only the running configuration is changed, and never written to a file: after a restart of bgpd the agent announces again.
If an operator's `write` saved some of it, that is compared with what should be, like all that carries our names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from hopkeeper_agent.decoding import AbsolutePath
from hopkeeper_agent.role import Advertisement
from hopkeeper_agent.speakers import frr_text
from hopkeeper_agent.speakers.control_socket import ControlSocket
from hopkeeper_agent.speakers.daemon import DaemonRefused, PeerReading, Routes
from hopkeeper_agent.speakers.frr_text import Running, Style
from hopkeeper_agent.speakers.settings import DaemonSettings


@dataclass(frozen=True, slots=True)
class FrrSettings(DaemonSettings):
    """FRR: the vty socket of its bgpd."""

    vty: AbsolutePath = Path("/run/frr/bgpd.vty")


class Frr:
    """The bgpd of this machine."""

    name = "FRR"

    def __init__(self, settings: FrrSettings) -> None:
        self._settings = settings
        self._style = Style(settings.asn, settings.communities)
        self._addresses = tuple(neighbour.address for neighbour in settings.neighbours)
        self._socket: ControlSocket | None = None
        self._running = Running()
        self._known: dict[IPv4Address, Mapping[str, Any]] = {}
        # Configuration mode holds for the whole connection: a query in between would not be understood.
        self._typing = asyncio.Lock()
        self._begun: set[asyncio.Task[None]] = set()

    async def connect(self) -> asyncio.Event:
        """Reach bgpd. Raises OSError, DaemonRefused."""
        self._socket = await ControlSocket.open(self._settings.vty)
        await self._type("enable")
        return self._socket.ended

    async def held(self) -> dict[IPv4Network, Advertisement]:
        """The networks whose route-map is ours, and as we make it. Raises DaemonRefused."""
        asn = self._style.asn
        self._running = running = frr_text.parse_running(await self._type("show running-config"), asn)
        if not running.has_instance:
            raise DaemonRefused(f"FRR has no router bgp {asn}")
        known = frr_text.neighbours(await self._type("show bgp neighbors json", lenient=True))
        self._known = {address: known[str(address)] for address in self._addresses if str(address) in known}
        named = {prefix: self._style.item(prefix, name or "") for prefix, name in running.networks.items()}
        return {
            prefix: item
            for prefix, item in named.items()
            if item is not None and frr_text.is_intact(running, item, self._style)
        }

    async def replace(self, held: Routes, wanted: Routes) -> None:
        """Type the difference; a `network` statement of the operator's becomes ours in place. Raises DaemonRefused."""
        if frr_text.adds_outward(held, wanted):
            self._refuse_unfiltered()
        await self._configure(frr_text.commands(self._running, held, wanted, self._style))
        # What was typed is there now; the next `held` reads the whole configuration again.
        self._running = frr_text.after(self._running, held, wanted, self._style)

    def _refuse_unfiltered(self) -> None:
        for address, neighbour in self._known.items():
            if frr_text.sends_everything(neighbour):
                raise DaemonRefused(f"{address} has no outbound route-map: it would be sent what is for others too")

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        """The sessions, with the hold times that were read with the neighbours: at once after a session has changed."""
        found = frr_text.peers(await self._type("show bgp ipv4 unicast summary json", lenient=True), self._addresses)
        holds = {address: frr_text.hold_seconds(self._known.get(address, {})) for address in found}
        return {address: replace(read, hold_seconds=holds[address]) for address, read in found.items()}

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        """The routes that bgpd has sent. One appears here when its UPDATE is made; `peers` says whether the queue is empty."""
        query = f"show bgp ipv4 unicast neighbors {peer} advertised-routes json"
        # bgpd shows a next hop that it replaces only while it writes the UPDATE.
        known = self._known.get(peer, {})
        own = frr_text.own_next_hop(known)
        routes = frr_text.sent(await self._type(query, lenient=True))
        if own is None and (here := known.get("nexthop")):
            # Behind an outbound route-map bgpd shows 0.0.0.0 where it puts its own address.
            return {
                prefix: replace(item, next_hop=IPv4Address(here)) if item.next_hop.is_unspecified else item
                for prefix, item in routes.items()
            }
        return {prefix: item if own is None else replace(item, next_hop=own) for prefix, item in routes.items()}

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        """Remove networks and route-maps of ours that are not used; find settings that would defeat a failover.

        Keeps the lists of a hub speaker's clients as configured.
        """
        try:
            held = await self.held()
        except DaemonRefused as error:
            return {"configuration": str(error)}
        if removed := frr_text.leftovers(self._running, held, wanted, self._style):
            await self._configure(removed)
            # Read again: a network that names a route-map which is gone would announce nothing.
            held = await self.held()
        await self._tend_clients()
        return {
            "configuration": frr_text.missing(held, wanted),
            **frr_text.unfit_settings(self._running, self._known),
            **await self._missing_clients(),
        }

    async def _tend_clients(self) -> None:
        clients = self._settings.clients
        typed = frr_text.client_commands(self._running, clients)
        await self._configure(typed)
        for client in clients:
            if any(f"{frr_text.PREFIX}client-{client.address} " in line for line in typed):
                # Routes that were filtered out must be checked against the new lists.
                await self._type(f"clear bgp ipv4 unicast {client.address} soft in", lenient=True)

    async def _missing_clients(self) -> dict[str, str]:
        addresses = [client.address for client in self._settings.clients]
        if not addresses:
            return {}
        summary = await self._type("show bgp ipv4 unicast summary json", lenient=True)
        up = {address for address, reading in frr_text.peers(summary, addresses).items() if reading.established}
        missing = [str(address) for address in addresses if address not in up]
        return {"clients": f"no session with {', '.join(missing)}" if missing else ""}

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _configure(self, typed: list[str]) -> None:
        if not typed:
            return
        # Carried through even if the caller gives up: bgpd must not be left with half of it.
        task = asyncio.get_running_loop().create_task(self._type_all(typed))
        self._begun.add(task)
        task.add_done_callback(self._forget)
        await asyncio.shield(task)

    async def _type_all(self, typed: list[str]) -> None:
        async with self._typing:
            try:
                for command in ["configure terminal", *typed]:
                    await self._ask(command)
            finally:
                await self._ask("end", lenient=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._begun.discard(task)
        if not task.cancelled():
            task.exception()

    async def _type(self, command: str, *, lenient: bool = False) -> str:
        async with self._typing:
            return await self._ask(command, lenient=lenient)

    async def _ask(self, command: str, *, lenient: bool = False) -> str:
        """Return what bgpd prints; raises DaemonRefused when it does not take the command, unless `lenient`."""
        if self._socket is None:
            raise ConnectionError("not connected")
        data = await self._socket.ask(command.encode() + b"\0", _is_whole)
        text = data[:-4].decode(errors="replace")
        if data[-1] and not lenient:
            raise DaemonRefused(f"FRR does not take '{command}': {' '.join(text.split())}")
        return text


def _is_whole(data: bytes) -> bool:
    # An answer ends with three zero bytes and a code; text has no zero bytes.
    return len(data) >= 4 and data[-4:-1] == b"\0\0\0"
