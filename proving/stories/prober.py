"""The load balancers' probes: every five seconds each member is probed, and the result goes to the simulated data plane."""

import asyncio
from collections.abc import Callable

from function_app.domain.topology.model import BackendPool, Service, Topology
from simulator.data_plane import Probed
from simulator.world import World

INTERVAL_SECONDS = 5.0
THRESHOLD = 2
"""Answers in a row that turn it, both ways (azure-facts.md section 3)."""


def balancer_of(pool: BackendPool) -> str:
    """The name of its load balancer."""
    return pool.id.rsplit("/", 1)[1]


async def keep_probing(
    world: World, topology: Topology, service: Service, spec: BackendPool, probe: Callable[[str], Probed]
) -> None:
    """For ever: `probe` gives what a member answers now."""
    addresses = {name: str(spec.known(topology.speaker(name)).address) for name in service.names}
    name = balancer_of(spec)
    last: dict[str, Probed] = {}
    row = dict.fromkeys(service.names, 0)
    known: dict[str, Probed] = {}
    while True:
        for member in service.names:
            before, last[member] = last.get(member), probe(member)
            row[member] = row[member] + 1 if before is not None and before.up == last[member].up else 1
        found = {addresses[member]: last[member] for member in service.names if row[member] >= THRESHOLD}
        if changed := {address: result for address, result in found.items() if known.get(address) != result}:
            known |= changed
            world.data_plane.report(name, changed)
        await asyncio.sleep(INTERVAL_SECONDS)
