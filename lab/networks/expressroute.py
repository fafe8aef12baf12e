"""The case of a dual-homed spoke with ExpressRoute: NVAs that relay between Route Servers, without and with AS override.

Each hub network has a Route Server whose instances learn 192.168.0.0/16 from a gateway within AS 65515, with the AS path
12076 65300. The NVA gets it with 65515 in front. Relayed as it is, the spoke's instances drop it; with the override they hold
it, and the spoke's prefix gets to the gateway.
"""

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from msgspec.structs import replace

from function_app.domain.routes.learned import predicted_drops
from function_app.domain.topology.model import Topology
from lab.networks import instances, verified
from lab.networks.dual_homed import AFTER, AT_REST, BEFORE, BEYOND, HOLD, SERVER, SLACK, SPOKE, TARGETS
from lab.networks.findings import Findings, soon
from lab.networks.instances import Instances
from lab.networks.learned import Peer, Row, differences
from lab.networks.network import Network, Order, Plan
from lab.networks.verified import complaints
from lab.packets.fabric import WORKLOAD
from lab.packets.route_servers import ASN

MICROSOFT_EDGE, CUSTOMER = 12076, 65300
VENDORS = {"nva-1": "bird", "nva-2": "frr"}
NUMBERS = (1, 2)


def _hub(number: int) -> Instances:
    both = (IPv4Address(f"10.{number}.0.4"), IPv4Address(f"10.{number}.0.5"))
    return Instances(f"rs-hub-{number}", both, IPv4Network(f"10.{number}.0.0/16"))


def _gateway(number: int) -> Peer:
    return Peer(f"gw-{number}", IPv4Address(f"10.{number}.3.4"), ASN)


def _nva(number: int) -> Peer:
    return Peer(f"nva-{number}", IPv4Address(f"10.{number}.1.4"), 65000 + number)


def from_gateways(number: int) -> tuple[Row, ...]:
    """What the instances of a hub's Route Server have from their gateway."""
    gateway = _gateway(number).address
    path = f"{MICROSOFT_EDGE}-{CUSTOMER}"
    return tuple(Row(i, BEYOND, gateway, gateway, path, origin="IBgp") for i in _hub(number).addresses)


def relayed_up(number: int) -> tuple[Row, ...]:
    """The spoke's prefix on a hub's instances: the spoke's Route Server's 65515 became the NVA's ASN."""
    nva = _nva(number)
    return tuple(Row(i, SPOKE, nva.address, nva.address, f"{nva.asn}-{nva.asn}") for i in _hub(number).addresses)


def relayed_down(number: int) -> tuple[Row, ...]:
    """The gateway's prefix on the spoke's instances; the length is what it would be without the override."""
    nva = _nva(number)
    path = f"{nva.asn}-{nva.asn}-{MICROSOFT_EDGE}-{CUSTOMER}"
    return tuple(Row(i, BEYOND, nva.address, nva.address, path) for i in SERVER.addresses)


@dataclass(frozen=True, slots=True)
class ExpressRouteCase:
    name: str = "dual-homed-expressroute"
    title: str = "dual-homed with ExpressRoute"
    hold: int | None = field(default=HOLD, init=False)

    def plan(self, topology: Topology) -> Plan:
        gateways = {n: _gateway(n) for n in NUMBERS}
        return Plan(
            topology,
            (SERVER, *(_hub(n) for n in NUMBERS)),
            IPv4Address("10.0.1.10"),
            {gateway.name: gateway.address for gateway in gateways.values()},
            {_hub(n).name: (gateway,) for n, gateway in gateways.items()},
        )

    async def play(self, network: Network, _: Order, findings: Findings) -> None:
        for number in NUMBERS:
            self._start_gateway(network, number)
        await network.program_workload(SERVER.name)
        await self._without_override(network, findings)
        await self._with_override(network, findings)
        await self._lose(network, NUMBERS[-1], findings)

    def _start_gateway(self, network: Network, number: int) -> None:
        """And the platform's route from the NVA to it, which the Route Server would program."""
        gateway, nva = _gateway(number), _nva(number)
        for target in TARGETS:
            network.fabric.hold(gateway.name, target)
        path = (MICROSOFT_EDGE, CUSTOMER)
        network.start_bird(gateway.name, instances.gateway(gateway.address, BEYOND, path, _hub(number)))
        network.fabric.inside(nva.name, "ip", "route", "replace", str(BEYOND), "via", str(gateway.address))

    async def _without_override(self, network: Network, findings: Findings) -> None:
        topology = network.plan.topology
        plain = replace(topology, speakers=tuple(replace(s, as_override=False) for s in topology.speakers))
        for name, vendor in VENDORS.items():
            network.start_speaker(name, vendor, topology=plain)
        for number in NUMBERS:
            expected = from_gateways(number)
            found = await self._settled(network, _hub(number).name, expected)
            findings.check(f"{_hub(number).name} has the gateway's prefix", differences(expected, found))
        both = sorted(vendor_name for vendor_name in VENDORS)
        await soon(lambda: self._relayed_to_the_spoke(network) == both)
        findings.equal(
            "without as-override both NVAs relay to the spoke's instances", both, self._relayed_to_the_spoke(network)
        )
        findings.check(
            "without as-override the spoke's instances drop what is relayed: 65515 is in its path",
            differences((), self._learned(network, SERVER.name)),
        )
        predicted = [
            finding.sentence.split(",")[0] for finding in predicted_drops(plain) if finding.where == SERVER.name
        ]
        findings.equal(f"Hopkeeper predicts this of {BEYOND} for both", [str(BEYOND)] * 2, predicted)
        network.kill(*VENDORS)

    def _relayed_to_the_spoke(self, network: Network) -> list[str]:
        """Whose routes reached every instance of the spoke, whether or not they were dropped."""
        counted = network.counted(SERVER.name).values()
        names = {name: name.replace("-", "_") for name in VENDORS}
        return sorted(n for n, p in names.items() if all(p in c and c[p].updates + c[p].withdrawals for c in counted))

    async def _with_override(self, network: Network, findings: Findings) -> None:
        for name, vendor in VENDORS.items():
            network.start_speaker(name, vendor)
        expected = tuple(sorted(row for n in NUMBERS for row in relayed_down(n)))
        found = await self._settled(network, SERVER.name, expected)
        findings.rows[SERVER.name] = found
        findings.check("with as-override the spoke's instances hold it from both hubs", differences(expected, found))
        topology = network.plan.topology
        findings.check("Hopkeeper predicts no drop any more", [f.sentence for f in predicted_drops(topology)])
        wrong = complaints(verified.findings(topology, SERVER, found))
        findings.check("Hopkeeper's verification finds nothing wrong on rs-spoke", wrong)
        for number in NUMBERS:
            server = _hub(number).name
            both = tuple(sorted((*from_gateways(number), *relayed_up(number))))
            found = await self._settled(network, server, both)
            findings.rows[server] = found
            wrong = complaints(verified.findings(topology, _hub(number), found))
            findings.check(f"Hopkeeper's verification finds nothing wrong on {server}", wrong)
            findings.check(f"{server} holds the spoke's prefix, and nothing of the other hub", differences(both, found))
        await self._check_packets(network, findings, "at rest", NUMBERS)

    async def _check_packets(self, network: Network, findings: Findings, when: str, numbers: tuple[int, ...]) -> None:
        wanted = frozenset(str(_nva(n).address) for n in numbers)
        await soon(lambda: network.hops(WORKLOAD, str(BEYOND)) == wanted)
        hops = network.hops(WORKLOAD, str(BEYOND))
        findings.go_by(f"{when}: the workload sends {BEYOND}", wanted, hops)
        for number in numbers:
            gateway, nva = _gateway(number).name, {str(_nva(number).address)}
            await soon(lambda gateway=gateway, nva=nva: network.hops(gateway, str(SPOKE)) == nva)  # type: ignore[misc]
            found = network.hops(gateway, str(SPOKE))
            findings.go_by(f"{when}: {gateway} comes back", nva, found)
        async with network.pings(when, TARGETS, findings.phases):
            await asyncio.sleep(AT_REST)
        findings.nothing_lost(findings.phases[-1])

    async def _lose(self, network: Network, number: int, findings: Findings) -> None:
        """A hub network with everything in it: NVA, gateway, Route Server."""
        others = tuple(n for n in NUMBERS if n != number)
        left = tuple(sorted(row for n in others for row in relayed_down(n)))
        gone = (_nva(number).name, _gateway(number).name, *_hub(number).nodes)
        async with network.pings(f"hub network {number} is lost", TARGETS, findings.phases):
            await asyncio.sleep(BEFORE)
            for node in gone:
                network.fabric.silence(node)
            findings.killed.append(f"link down, then kill -9: {', '.join(gone)}")
            network.kill(*gone)
            found = await self._settled(network, SERVER.name, left)
            await asyncio.sleep(AFTER)
        findings.check(f"without hub network {number} the spoke's instances hold the other's", differences(left, found))
        findings.recovered(findings.phases[-1], HOLD, SLACK)
        await self._check_packets(network, findings, f"without hub network {number}", others)

    def _learned(self, network: Network, server: str) -> tuple[Row, ...]:
        return tuple(sorted(row for rows in network.learned(server).values() for row in rows))

    async def _settled(self, network: Network, server: str, expected: tuple[Row, ...]) -> tuple[Row, ...]:
        wanted = tuple(sorted(expected))
        await soon(lambda: self._learned(network, server) == wanted)
        return self._learned(network, server)


EXPRESSROUTE = ExpressRouteCase()
