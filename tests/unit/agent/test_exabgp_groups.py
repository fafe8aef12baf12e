"""Route Servers and on-premises neighbours of one ExaBGP: a neighbour that is stuck delays none of the other group."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import SpeakerError
from hopkeeper_agent.speakers.exabgp import ExaBgpSpeaker
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.speakers.settings import BgpNeighbour

from tests.unit.agent.stage import until

HERE = IPv4Address("10.0.1.4")
SERVER, ROUTER = "10.0.0.36", "192.168.100.1"
BOTH = (BgpNeighbour(IPv4Address(SERVER), 65515), BgpNeighbour(IPv4Address(ROUTER), 64600, Toward.OUTWARD))
DEFAULT = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 0)
VNET = Advertisement(IPv4Network("10.0.0.0/16"), HERE, 0, Toward.OUTWARD)


@dataclass
class Helper:
    """The other end of the socket: takes every change, and says that it was sent, but to whoever is `stuck`."""

    socket: Path
    fingerprint: str = "f"
    stuck: set[str] = field(default_factory=set)
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def ensure(self) -> None:
        """It runs already."""

    async def end(self) -> None:
        """There is no process."""

    def adopt(self, pid: int) -> None:
        """As its own."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up = {address: ["established", None] for address in (SERVER, ROUTER)}
        self._tell(writer, {"hello": {"exabgp_pid": 1, "fingerprint": "f", "sessions": up, "routes": {}}})
        while line := await reader.readline():
            request = json.loads(line)
            self.requests.append(request)
            self._tell(writer, {"answered": request["id"], "refused": []})
            routes = {key.split()[-1]: route for key, route in request["changes"]}
            for address in set(request["neighbors"]) - self.stuck:
                self._tell(writer, {"sent": [address, routes]})
        writer.close()

    def _tell(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")


@asynccontextmanager
async def speaking(folder: Path, *neighbours: BgpNeighbour) -> AsyncIterator[tuple[ExaBgpSpeaker, Helper]]:
    helper = Helper(folder / "s")
    settings = BgpSettings(asn=65001, address=HERE, neighbours=neighbours)
    speaker = ExaBgpSpeaker(settings, cast(ExaBgpProcess, helper), lambda: None)
    server = await asyncio.start_unix_server(helper.serve, str(helper.socket))
    try:
        await speaker.start()
        yield speaker, helper
    finally:
        await speaker.close()
        server.close()


async def test_a_router_on_premises_that_is_stuck_holds_up_no_route_server(tmp_path: Path) -> None:
    async with speaking(tmp_path, *BOTH) as (speaker, helper):
        helper.stuck = {ROUTER}
        telling = asyncio.create_task(speaker.announce([VNET], Toward.OUTWARD))
        await until(lambda: len(helper.requests) == 1)
        async with asyncio.timeout(1):
            await speaker.announce([DEFAULT])
        assert not telling.done()
        assert [request["neighbors"] for request in helper.requests] == [[ROUTER], [SERVER]]
        with pytest.raises(SpeakerError, match="an UPDATE is not sent yet"):
            await telling


async def test_a_route_server_that_is_stuck_holds_up_no_neighbour_on_premises(tmp_path: Path) -> None:
    async with speaking(tmp_path, *BOTH) as (speaker, helper):
        helper.stuck = {SERVER}
        announcing = asyncio.create_task(speaker.announce([DEFAULT]))
        await until(lambda: len(helper.requests) == 1)
        async with asyncio.timeout(1):
            await speaker.announce([VNET], Toward.OUTWARD)
        with pytest.raises(SpeakerError, match="an UPDATE is not sent yet"):
            await announcing


async def test_what_is_for_a_group_without_neighbours_is_sent_to_none(tmp_path: Path) -> None:
    async with speaking(tmp_path, BOTH[1]) as (speaker, helper):
        with pytest.raises(SpeakerError, match="no neighbour of the group route-servers"):
            await speaker.announce([DEFAULT])
        assert helper.requests == []
