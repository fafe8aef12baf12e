"""Route Servers and on-premises neighbours of one BIRD or FRR: what is wrong with one group leaves the other alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network

import pytest
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import SpeakerError
from hopkeeper_agent.speakers.daemon import DaemonRefused, DaemonSpeaker, PeerReading, Routes
from hopkeeper_agent.speakers.settings import BgpNeighbour, DaemonSettings

from tests.unit.agent.stage import until

HERE = IPv4Address("10.0.1.4")
SERVER, ROUTER = IPv4Address("10.0.0.36"), IPv4Address("192.168.100.1")
SETTINGS = DaemonSettings(
    65001,
    (BgpNeighbour(SERVER, 65515), BgpNeighbour(ROUTER, 64600, Toward.OUTWARD)),
    poll_seconds=0.02,
)
DEFAULT = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 0)
OTHER = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.101"), 0)
VNET = Advertisement(IPv4Network("10.0.0.0/16"), HERE, 0, Toward.OUTWARD)


class Fake:
    """A daemon that sends what it holds at once, to everybody of the group, unless `leaks` to all."""

    name = "fake"

    def __init__(self) -> None:
        self.routes: dict[IPv4Network, Advertisement] = {}
        self.refuses_outward = False
        self.leaks = False

    async def connect(self) -> asyncio.Event:
        return asyncio.Event()

    async def held(self) -> dict[IPv4Network, Advertisement]:
        return dict(self.routes)

    async def replace(self, held: Routes, wanted: Routes) -> None:
        changed = {prefix for prefix in {*held, *wanted} if held.get(prefix) != wanted.get(prefix)}
        if self.refuses_outward and VNET.prefix in changed:
            raise DaemonRefused("not that one")
        self.routes = dict(wanted)

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        return {address: PeerReading(established=True) for address in (SERVER, ROUTER)}

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        own = Toward.ROUTE_SERVERS if peer == SERVER else Toward.OUTWARD
        return {
            prefix: Advertisement(prefix, item.next_hop, item.prepend)
            for prefix, item in self.routes.items()
            if item.toward is own or self.leaks
        }

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        """Nothing to let go."""


@asynccontextmanager
async def speaking() -> AsyncIterator[tuple[DaemonSpeaker, Fake]]:
    daemon = Fake()
    speaker = DaemonSpeaker(daemon, SETTINGS, lambda: None)
    await speaker.start()
    try:
        yield speaker, daemon
    finally:
        await speaker.close()


def outward_check(speaker: DaemonSpeaker) -> str:
    finding = speaker.findings().get("speaker-outward")
    return "?" if finding is None else finding.detail


async def test_what_is_refused_outward_keeps_nothing_from_route_servers() -> None:
    async with speaking() as (speaker, daemon):
        daemon.refuses_outward = True
        await speaker.announce([DEFAULT])
        with pytest.raises(SpeakerError, match="not that one"):
            await speaker.announce([VNET], Toward.OUTWARD)
        await speaker.announce([OTHER])
        assert daemon.routes == {OTHER.prefix: OTHER}
        await until(lambda: outward_check(speaker) == "not that one")
        daemon.refuses_outward = False
        await speaker.announce([VNET], Toward.OUTWARD)
        assert daemon.routes == {OTHER.prefix: OTHER, VNET.prefix: VNET}
        await until(lambda: outward_check(speaker) == "")


async def test_an_order_for_one_group_leaves_what_was_announced_to_the_other() -> None:
    async with speaking() as (speaker, daemon):
        await speaker.announce([VNET], Toward.OUTWARD)
        await speaker.announce([DEFAULT])
        await speaker.announce([], Toward.OUTWARD)
        assert daemon.routes == {DEFAULT.prefix: DEFAULT}
        await speaker.announce([VNET], Toward.OUTWARD)
        await speaker.announce([])
        assert daemon.routes == {VNET.prefix: VNET}


async def test_what_route_servers_are_sent_of_the_other_group_is_reported() -> None:
    async with speaking() as (speaker, daemon):
        daemon.leaks = True
        await speaker.announce([VNET], Toward.OUTWARD)
        await until(lambda: outward_check(speaker) == f"{SERVER} is sent {VNET.prefix}, which is not for it")
