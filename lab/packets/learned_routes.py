"""Reports to the simulated Resource Manager what the Route Server's instances have learned, so that ARM can answer.

The instances are BIRD here; the simulator answers for them. Off every failover path: the app requests learned routes to
verify, and never waits for them.
"""

import asyncio
import contextlib
import logging

import aiohttp

from lab.packets.balancer import Balancer
from lab.packets.fabric import ADDRESSES
from lab.packets.lab import Lab
from tools.processes import ToolError

EVERY = 0.5
log = logging.getLogger(__name__)


async def mirror(lab: Lab, balancer: Balancer) -> None:
    """Until cancelled. What changed is sent; what could not be sent is sent again."""
    sent: dict[tuple[str, str], object] = {}
    while True:
        with contextlib.suppress(OSError):
            await _report(lab, balancer, sent)
        await asyncio.sleep(EVERY)


async def _report(lab: Lab, balancer: Balancer, sent: dict[tuple[str, str], object]) -> None:
    sessions, learned = lab.sessions(), lab.learned()
    for instance, counted in sessions.items():
        for peer in lab.peers:
            up = peer in counted and counted[peer].established
            routes = [
                {"network": r.prefix, "nextHop": r.next_hop, "asPath": list(r.as_path)}
                for r in learned[instance]
                if r.peer == peer and up
            ]
            said = {
                "instance": str(ADDRESSES[instance]),
                "peer": str(ADDRESSES[peer]),
                "established": up,
                "routes": routes,
            }
            if sent.get((instance, peer)) != said:
                try:
                    await balancer.ask("PUT", "/simulator/bgp/routes", said)
                except (ToolError, aiohttp.ClientError) as error:
                    log.warning("learned routes did not reach the simulator: %s", error)
                    continue
                sent[instance, peer] = said
