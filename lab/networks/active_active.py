"""The case of two routers that both serve behind one frontend: what dies with one of them, and what does not.

One is FRR, the other BIRD, each as rendered and commanded by its agent. Packets go by way of the frontend to whoever answers the
agents' probe; they come back past it, as behind a load balancer with direct return.
"""

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.expected import Standing
from function_app.domain.topology.model import Topology
from lab.networks import verified
from lab.networks.agents import Agents
from lab.networks.findings import Findings, soon
from lab.networks.frontend import Frontend
from lab.networks.instances import Instances
from lab.networks.learned import Row, differences
from lab.networks.network import Network, Order, Plan, programmed
from lab.networks.verified import complaints
from lab.packets.fabric import BALANCER, WORKLOAD
from tools.processes import Program

SERVER = Instances("rs-transit", (IPv4Address("10.1.0.36"), IPv4Address("10.1.0.37")), IPv4Network("10.1.0.0/16"))
FRONTEND = IPv4Address("10.1.1.100")
PREFIXES = (IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
BEYOND = PREFIXES[1]
SITE, SITE_ADDRESS = "site", IPv4Address("10.9.0.4")
TARGETS = tuple(IPv4Address(f"192.168.1.{n}") for n in range(1, 9))
VENDORS = {"router-a": "frr", "router-b": "bird"}
ADDRESSES = {"router-a": IPv4Address("10.1.1.4"), "router-b": IPv4Address("10.1.1.5")}
ASN = 65010
AT_REST, BEFORE, AFTER = 1.0, 0.4, 1.0


def expected(*routers: str) -> tuple[Row, ...]:
    """What the instances should hold of these."""
    return tuple(
        sorted(
            Row(instance, prefix, ADDRESSES[name], FRONTEND, str(ASN))
            for instance in SERVER.addresses
            for prefix in PREFIXES
            for name in routers
        )
    )


@dataclass(frozen=True, slots=True)
class ActiveActiveCase:
    name: str = "active-active"
    title: str = "active-active behind a frontend"
    hold: int | None = field(default=None, init=False)

    def plan(self, topology: Topology) -> Plan:
        (service,) = topology.services
        besides = {BALANCER: FRONTEND, SITE: SITE_ADDRESS}
        return Plan(topology, (SERVER,), IPv4Address("10.1.2.10"), besides, frontends={service.name: FRONTEND})

    async def play(self, network: Network, _: Order, findings: Findings) -> None:
        """At rest; then one router's daemon and agent are killed, and start again."""
        (service,) = network.plan.topology.services
        frontend = Frontend(network, BEYOND, service.name, ADDRESSES)
        agents = Agents(network)
        try:
            for target in TARGETS:
                network.fabric.hold(SITE, target)
            for name, vendor in VENDORS.items():
                network.fabric.inside(name, "ip", "route", "replace", str(BEYOND), "via", str(SITE_ADDRESS))
                await agents.start(name, vendor)
            programmer = await network.program_workload(SERVER.name)
            await agents.ready(VENDORS)
            await agents.advertise(service, FRONTEND, epoch=1)
            for name in VENDORS:
                await agents.promote(service, name, epoch=1)
            async with frontend.running():
                await self._check_rest(network, findings, frontend)
                await self._lose(network, findings, frontend, programmer)
        finally:
            await agents.close()

    async def _check_rest(self, network: Network, findings: Findings, frontend: Frontend) -> None:
        found = await _settled(network, expected(*VENDORS))
        findings.rows[SERVER.name] = found
        findings.check("both instances hold the frontend from both routers", differences(expected(*VENDORS), found))
        standing = Standing(next_hops={service.name: FRONTEND for service in network.plan.topology.services})
        wrong = verified.findings(network.plan.topology, SERVER, found, standing)
        findings.check("Hopkeeper's verification finds nothing wrong", complaints(wrong))
        await soon(lambda: _hops(network) == {str(FRONTEND)} and frontend.passes_to == VENDORS.keys())
        findings.go_by("the workload sends both prefixes", {str(FRONTEND)}, _hops(network))
        before = network.forwarded(VENDORS)
        async with network.pings("at rest", TARGETS, findings.phases):
            await asyncio.sleep(AT_REST)
        carried = {name for name, count in network.forwarded(VENDORS).items() if count > before[name]}
        findings.nothing_lost(findings.phases[-1])
        findings.go_by("packets go", VENDORS, carried)

    async def _lose(self, network: Network, findings: Findings, frontend: Frontend, programmer: Program) -> None:
        """Its kernel goes on forwarding, as it does when only what speaks for it has died."""
        lost, left = VENDORS
        written = programmed(programmer, expected(left))
        async with network.pings(f"{lost} is killed", TARGETS, findings.phases):
            await asyncio.sleep(BEFORE)
            network.kill(lost)
            findings.killed.append(f"kill -9: {lost} ({VENDORS[lost]}) and its agent")
            found = await _settled(network, expected(left))
            await soon(lambda: frontend.passes_to == {left})
            await asyncio.sleep(AFTER)
        findings.check(f"without {lost} both instances hold both prefixes", differences(expected(left), found))
        findings.go_by(f"without {lost} the workload sends both prefixes", {str(FRONTEND)}, _hops(network))
        findings.go_by(f"without {lost} the frontend passes them on", {left}, frontend.passes_to)
        touched = programmed(programmer, expected(left))
        findings.equal("the workload's routes are not touched", written, touched)
        findings.nothing_lost(findings.phases[-1])


def _hops(network: Network) -> frozenset[str]:
    return frozenset().union(*(network.hops(WORKLOAD, str(prefix)) for prefix in PREFIXES))


async def _settled(network: Network, wanted: tuple[Row, ...]) -> tuple[Row, ...]:
    def learned() -> tuple[Row, ...]:
        return tuple(sorted(row for rows in network.learned(SERVER.name).values() for row in rows))

    await soon(lambda: learned() == wanted)
    return learned()


ACTIVE_ACTIVE_FRONTEND = ActiveActiveCase()
