"""The load balancers' probes: every five seconds each member is probed, and the result goes to the simulated data plane."""

import asyncio
from collections.abc import Mapping

from function_app.domain.topology.model import BackendPool, Service, Topology
from proving.stories.nva import Appliance
from simulator.data_plane import Probed, probed
from simulator.world import World

INTERVAL_SECONDS = 5.0
THRESHOLD = 2


async def keep_probing(
    world: World, topology: Topology, service: Service, spec: BackendPool, nvas: Mapping[str, Appliance]
) -> None:
    """For ever: up after one good probe, down after `THRESHOLD` bad ones in a row."""
    bad = dict.fromkeys(service.names, 0)
    addresses = {name: str(spec.known(topology.speaker(name)).address) for name in service.names}
    name = spec.id.rsplit("/", 1)[1]
    known: dict[str, Probed] = {}
    while True:
        found: dict[str, Probed] = {}
        for member in service.names:
            good = nvas[member].answers(service.name)
            bad[member] = 0 if good else bad[member] + 1
            if good:
                found[addresses[member]] = probed(True, None)
            elif bad[member] >= THRESHOLD:
                found[addresses[member]] = probed(False, "Down_Probe_HttpStatus" if nvas[member].is_up else None)
        if changed := {address: result for address, result in found.items() if known.get(address) != result}:
            known |= changed
            world.data_plane.report(name, changed)
        await asyncio.sleep(INTERVAL_SECONDS)
