"""The load balancer's probe: asks every agent over HTTP and tells the simulated data plane what it found."""

import asyncio
from typing import TYPE_CHECKING

from proving.storm.wire.place import PROBE, SERVICE
from simulator.data_plane import Probed, probed

if TYPE_CHECKING:
    from proving.storm.wire.world import World

INTERVAL_SECONDS = 0.2
"""Azure's five seconds and a little less."""
PATIENCE_SECONDS = 0.5
THRESHOLD = 2
LINE_MAX = 256


async def keep_probing(world: "World", name: str) -> None:
    """Up after one good probe, down after `THRESHOLD` bad ones in a row, for ever."""
    bad = 0
    while True:
        status = None if world.nvas[name].leaves else await _status(str(world.place.address(name)))
        bad = 0 if status == 200 else bad + 1
        if status == 200:
            _tell(world, name, probed(True, None))
        elif bad >= THRESHOLD:
            _tell(world, name, probed(False, "Down_Probe_HttpStatus" if status else None))
        await asyncio.sleep(INTERVAL_SECONDS)


def _tell(world: "World", name: str, found: Probed) -> None:
    plane, address = world.azure.world.data_plane, str(world.place.address(name))
    balancer = world.place.seed.load_balancer
    if plane.named(balancer).probed.get(address) != found:
        plane.report(balancer, {address: found})


async def _status(address: str) -> int | None:
    """None for no answer in time."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(address, PROBE, limit=LINE_MAX)
            try:
                request = f"GET /probe/{SERVICE} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.transport.abort()
    except (OSError, ValueError, IndexError):
        return None
