"""The case of a scale set: routers that only peer, and come and go beside two firewalls that must not be disturbed.

Which speakers an instance list makes of them, and so the peers of the Route Server, is the product's own (`scale_sets`);
here the list grows and shrinks, and the instances of the Route Server are configured accordingly while they run. All routers
hold the same addresses, so that each of them can answer.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from msgspec.structs import replace

from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.peerings.scale_sets import Instance, with_instances
from function_app.domain.routes.expected import Standing
from function_app.domain.topology.model import Topology
from lab.networks import verified
from lab.networks.findings import Findings, soon
from lab.networks.instances import Instances
from lab.networks.learned import Peer, Row, differences
from lab.networks.network import Network, Order, Plan
from lab.networks.verified import complaints
from lab.packets.fabric import WORKLOAD
from lab.packets.route_servers import SessionCount

SERVER = Instances("rs-hub", (IPv4Address("10.0.0.36"), IPv4Address("10.0.0.37")), IPv4Network("10.0.0.0/16"))
FRONTEND, DEFAULT = IPv4Address("10.0.1.100"), IPv4Network("0.0.0.0/0")
SHARED = IPv4Network("100.64.0.0/24")
TARGETS = tuple(IPv4Address(f"100.64.0.{n}") for n in range(1, 9))
NVAS = {"nva-a": IPv4Address("10.0.1.4"), "nva-b": IPv4Address("10.0.1.5")}
ROUTERS = {f"router-{n}": IPv4Address(f"10.0.3.{4 + n}") for n in range(3)}
VENDORS = {"nva-a": "exabgp", "nva-b": "exabgp", "router-0": "bird", "router-1": "frr", "router-2": "exabgp"}
FIRST, SECOND, THIRD = ROUTERS
AT_REST, BEFORE, AFTER = 0.7, 0.4, 0.7


def listed(topology: Topology, routers: Iterable[str]) -> Topology:
    """With these instances in the scale set."""
    (scale_set,), (server,) = topology.scale_sets, topology.route_servers
    instances = tuple(Instance(name.removeprefix(f"{scale_set.name}-"), ROUTERS[name]) for name in routers)
    reading = RouteServerReading(SERVER.addresses, ())
    return with_instances(topology, server, reading, {scale_set.name: instances}).topology


def expected(*routers: str) -> tuple[Row, ...]:
    """The firewalls' default route by way of the frontend, and the shared prefix from each of these."""
    return tuple(
        sorted(
            row
            for instance in SERVER.addresses
            for row in (
                *(Row(instance, DEFAULT, address, FRONTEND, "65001") for address in NVAS.values()),
                *(Row(instance, SHARED, ROUTERS[name], ROUTERS[name], "65010") for name in routers),
            )
        )
    )


@dataclass(frozen=True, slots=True)
class ScaleSetCase:
    name: str = "scale-set"
    title: str = "a scale set that comes and goes"
    hold: int | None = field(default=None, init=False)

    def plan(self, topology: Topology) -> Plan:
        (service,) = topology.services
        everybody = listed(topology, ROUTERS)
        return Plan(everybody, (SERVER,), IPv4Address("10.0.2.10"), frontends={service.name: FRONTEND})

    async def play(self, network: Network, _: Order, findings: Findings) -> None:
        """Two instances; then a third one comes, and the first one goes."""
        for router in ROUTERS:
            for target in TARGETS:
                network.fabric.hold(router, target)
        _peer(network, FIRST, SECOND)
        for name in (*NVAS, FIRST, SECOND):
            network.start_speaker(name, VENDORS[name])
        await network.program_workload(SERVER.name)
        await self._check(network, findings, "at rest", FIRST, SECOND)
        before = _firewalls(network)
        async with network.pings("at rest", TARGETS, findings.phases):
            await asyncio.sleep(AT_REST)
        findings.nothing_lost(findings.phases[-1])
        await self._grow(network, findings)
        await self._shrink(network, findings)
        findings.equal("the firewalls' sessions and routes are not touched by any of it", before, _firewalls(network))

    async def _grow(self, network: Network, findings: Findings) -> None:
        async with network.pings(f"{THIRD} comes", TARGETS, findings.phases):
            _peer(network, *ROUTERS)
            network.start_speaker(THIRD, VENDORS[THIRD])
            await self._check(network, findings, f"with {THIRD}", *ROUTERS)
            await asyncio.sleep(AFTER)
        findings.nothing_lost(findings.phases[-1])

    async def _shrink(self, network: Network, findings: Findings) -> None:
        """Its speaker ends first, as in an instance that is deleted; its peering goes when no speaker is behind it."""
        async with network.pings(f"{FIRST} is killed", TARGETS, findings.phases):
            await asyncio.sleep(BEFORE)
            network.kill(FIRST)
            findings.killed.append(f"kill -9: {FIRST} ({VENDORS[FIRST]})")
            await self._check(network, findings, f"without {FIRST}", SECOND, THIRD)
            _peer(network, SECOND, THIRD)
            await asyncio.sleep(AFTER)
        findings.nothing_lost(findings.phases[-1])
        peered = {node: set(sessions) for node, sessions in network.counted(SERVER.name).items()}
        left = {name.replace("-", "_") for name in (*NVAS, SECOND, THIRD)}
        findings.equal(f"no peering is left for {FIRST}", dict.fromkeys(SERVER.nodes, left), peered)
        found = _learned(network)
        findings.check("and the learned routes stay", differences(expected(SECOND, THIRD), found))

    async def _check(self, network: Network, findings: Findings, when: str, *routers: str) -> None:
        wanted = expected(*routers)
        await soon(lambda: _learned(network) == wanted)
        found = _learned(network)
        findings.rows.setdefault(SERVER.name, found)
        findings.check(f"{when}: both instances hold what is announced", differences(wanted, found))
        (service,) = network.plan.topology.services
        topology = listed(_declared(network.plan.topology), routers)
        wrong = verified.findings(topology, SERVER, found, Standing(next_hops={service.name: FRONTEND}))
        findings.check(f"{when}: Hopkeeper's verification finds nothing wrong", complaints(wrong))
        hops = {str(ROUTERS[name]) for name in routers}
        await soon(lambda: network.hops(WORKLOAD, str(SHARED)) == hops)
        findings.go_by(f"{when}: the workload sends {SHARED}", hops, network.hops(WORKLOAD, str(SHARED)))


def _declared(topology: Topology) -> Topology:
    """As the document has it: without instances."""
    return replace(topology, speakers=tuple(s for s in topology.speakers if s.name not in ROUTERS))


def _peer(network: Network, *routers: str) -> None:
    """The peerings for these instances, and the firewalls'."""
    speakers = listed(_declared(network.plan.topology), routers).peered_with(SERVER.name)
    network.peer(SERVER.name, [Peer(s.name, s.address, s.asn) for s in speakers])


def _learned(network: Network) -> tuple[Row, ...]:
    return tuple(sorted(row for rows in network.learned(SERVER.name).values() for row in rows))


def _firewalls(network: Network) -> dict[str, dict[str, tuple[str, SessionCount]]]:
    names = {name.replace("-", "_") for name in NVAS}
    return {
        node: {peer: counted for peer, counted in sessions.items() if peer in names}
        for node, sessions in network.undisturbed(SERVER.name).items()
    }


SCALE_SET = ScaleSetCase()
