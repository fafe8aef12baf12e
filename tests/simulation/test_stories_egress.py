"""Where a story's app has its packets to Azure go, route by route: what the stories of its way out stand on."""

import asyncio
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.kit.virtual import VirtualClock, VirtualLoop, virtual_loop
from proving.stories.egress import WayOut
from proving.stories.narrator import Narrator
from proving.stories.seed import Seeding
from proving.stories.stage import Stage, Story
from simulator.data_plane import probed

STORY = Story("way", "a way out.", "active-passive.yaml", (), Seeding(peered=True, own_way_out=False))


def route(prefix: str, hop: str | None = None) -> dict[str, Any]:
    kind = "VirtualAppliance" if hop else "Internet"
    return {"properties": {"addressPrefix": prefix, "nextHopType": kind, "nextHopIpAddress": hop}}


def is_open(directory: Path, learned: list[str], table: dict[str, Any] | None, holder: str | None, nat: bool) -> bool:
    """With these prefixes learned from nva-a, this route table, and this member probed up; nva-a is not there."""

    async def story() -> bool:
        narrator = Narrator(VirtualClock(virtual_loop()).now)
        async with Stage.set_for(STORY, narrator, directory) as stage:
            await stage.kill("nva-a")
            network = stage.world.state.resources.get(stage.seed.app_subnet.partition("/subnets/")[0])
            assert network is not None
            subnet = network["properties"]["subnets"][0]["properties"]
            if table is not None:
                subnet["routeTable"] = {"id": stage.seed.app_table}
                stage.world.adopt({"id": stage.seed.app_table, "location": "uksouth", "properties": table})
            if not nat:
                del subnet["natGateway"]
            plane = stage.world.data_plane.named("ilb-nva")
            addresses = {name: str(stage.topology.speaker(name).address) for name in ("nva-a", "nva-b")}
            if holder is not None:
                plane.probed[addresses[holder]] = probed(True, None)
            speaker = stage.topology.speaker("nva-b")
            hop = stage.seed.frontends["egress-firewall"]
            for instance in stage.seed.instances["rs-hub"]:
                stage.world.bgp.up(instance, speaker.address)
                networks = [IPv4Network(each) for each in learned]
                stage.world.bgp.announced((instance, speaker.address), networks, hop, (65001,))
            way = WayOut(stage.world, stage.seed, lambda: stage.topology, stage.nvas)
            return way.is_open()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story())


DEFAULT, HALVES = ["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"]


@pytest.mark.parametrize(
    ("learned", "table", "holder", "nat", "expected"),
    [
        ([], None, None, True, True),
        ([], None, None, False, False),  # no outbound access by default
        (["10.0.0.0/8"], None, None, True, True),
        (DEFAULT, None, "nva-b", True, True),
        (DEFAULT, None, "nva-a", True, False),  # probed up for a while yet, and dead
        (DEFAULT, None, None, True, False),
        (DEFAULT, {"routes": [route("0.0.0.0/0")]}, None, True, True),
        (DEFAULT, {"routes": [route("0.0.0.0/0")]}, None, False, False),
        (HALVES, {"routes": [route("0.0.0.0/0")]}, None, True, False),  # the longest prefix wins
        (HALVES, {"routes": [route(half) for half in HALVES]}, None, True, True),
        (DEFAULT, {"routes": [], "disableBgpRoutePropagation": True}, None, True, True),
        ([], {"routes": [route("0.0.0.0/0", "10.0.1.4")]}, "nva-b", True, False),
        ([], {"routes": [route("0.0.0.0/0", "10.0.1.5")]}, None, True, True),
    ],
)
def test_packets_take_the_longest_prefix_then_the_table_s_route(
    learned: list[str], table: dict[str, Any] | None, holder: str | None, nat: bool, expected: bool, tmp_path: Path
) -> None:
    assert is_open(tmp_path, learned, table, holder, nat) is expected
