"""Cases in which nothing but `render` speaks: ExaBGP with the state at rest, no agent, and what the Route Server learns.

What the instances should hold is written down here, from what the examples say of themselves. Where a survivor has a path
of its own, the first announcer is killed.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.expected import Standing
from function_app.domain.service.ranked.paths import LENGTH_AT_REST
from function_app.domain.topology.model import Topology
from lab.networks import verified
from lab.networks.findings import Findings, soon
from lab.networks.instances import Instances
from lab.networks.learned import Row, differences
from lab.networks.network import Network, Order, Plan
from lab.networks.verified import complaints
from lab.packets.fabric import WORKLOAD

VENDOR = "exabgp"


@dataclass(frozen=True, slots=True)
class Announced:
    """What one speaker announces: the next hop, and how long its AS path is."""

    speaker: str
    next_hop: IPv4Address
    length: int


@dataclass(frozen=True, slots=True)
class RenderedCase:
    """One service, one prefix. `announced` the best first; the addresses of `server` and of the workload are ours to choose."""

    name: str
    title: str
    server: Instances
    workload: IPv4Address
    prefix: IPv4Network
    announced: tuple[Announced, ...]
    frontend: IPv4Address | None = None
    hold: int | None = field(default=None, init=False)

    def plan(self, topology: Topology) -> Plan:
        (service,) = topology.services
        frontends = {service.name: self.frontend} if self.frontend is not None else {}
        return Plan(topology, (self.server,), self.workload, frontends=frontends)

    def expected(self, topology: Topology, without: str = "") -> tuple[Row, ...]:
        return tuple(
            sorted(
                Row(instance, self.prefix, speaker.address, one.next_hop, "-".join([str(speaker.asn)] * one.length))
                for instance in self.server.addresses
                for one in self.announced
                if one.speaker != without
                for speaker in (topology.speaker(one.speaker),)
            )
        )

    async def play(self, network: Network, _: Order, findings: Findings) -> None:
        for one in self.announced:
            network.start_speaker(one.speaker, VENDOR)
        await network.program_workload(self.server.name)
        topology = network.plan.topology
        expected = self.expected(topology)
        found = await self._settled(network, expected)
        findings.rows[self.server.name] = found
        findings.check("both instances hold what is rendered", differences(expected, found))
        wrong = verified.findings(topology, self.server, found, self.standing(topology))
        findings.check("Hopkeeper's verification finds nothing wrong", complaints(wrong))
        await self._check_hop(network, findings, "at rest", self.announced[0].next_hop)
        if len(self.announced) > 1:
            await self._lose(network, findings)

    def standing(self, topology: Topology) -> Standing:
        """What the record of the service would say."""
        (service,) = topology.services
        best = self.announced[0].next_hop
        if service.naming is None:
            return Standing(next_hops={service.name: best})
        lengths = {(service.name, one.speaker): one.length for one in self.announced}
        return Standing({service.name: best}, lengths, {service.name: service.names[0]})

    async def _lose(self, network: Network, findings: Findings) -> None:
        first, second = self.announced[0], self.announced[1]
        network.kill(first.speaker)
        findings.killed.append(f"kill -9: {first.speaker} ({VENDOR})")
        left = self.expected(network.plan.topology, first.speaker)
        found = await self._settled(network, left)
        findings.check(f"without {first.speaker} both instances hold the other's", differences(left, found))
        await self._check_hop(network, findings, f"without {first.speaker}", second.next_hop)

    async def _check_hop(self, network: Network, findings: Findings, when: str, hop: IPv4Address) -> None:
        if self.prefix.prefixlen == 0:
            return  # a default route is not programmed here
        await soon(lambda: network.hops(WORKLOAD, str(self.prefix)) == {str(hop)})
        found = network.hops(WORKLOAD, str(self.prefix))
        findings.go_by(f"{when}: the workload sends {self.prefix}", {str(hop)}, found)

    async def _settled(self, network: Network, expected: tuple[Row, ...]) -> tuple[Row, ...]:
        def learned() -> tuple[Row, ...]:
            return tuple(sorted(row for rows in network.learned(self.server.name).values() for row in rows))

        await soon(lambda: learned() == expected)
        return learned()


def _instances(name: str, network: str, first: str) -> Instances:
    return Instances(name, (IPv4Address(first), IPv4Address(first) + 1), IPv4Network(network))


_NVA_A, _NVA_B = IPv4Address("10.0.1.4"), IPv4Address("10.0.1.5")
_FRONTEND = IPv4Address("10.0.1.100")
ACTIVE_PASSIVE_FRONTEND = RenderedCase(
    "active-passive",
    "active-passive behind a frontend",
    _instances("rs-hub", "10.0.0.0/16", "10.0.0.36"),
    IPv4Address("10.0.2.10"),
    IPv4Network("0.0.0.0/0"),
    (Announced("nva-a", _FRONTEND, 1), Announced("nva-b", _FRONTEND, 1)),
    _FRONTEND,
)
SANDWICH = replace(ACTIVE_PASSIVE_FRONTEND, name="sandwich", title="active-passive between two load balancers")
APPLIANCES = replace(
    ACTIVE_PASSIVE_FRONTEND,
    name="appliances",
    title="firewalls without an agent behind a frontend",
    announced=(Announced("fw-a", _FRONTEND, 1), Announced("fw-b", _FRONTEND, 1)),
)
WATCHED = replace(APPLIANCES, name="appliances-watched", title="firewalls without an agent, watched by two witnesses")
APPLIANCES_SANDWICH = replace(
    APPLIANCES, name="appliances-sandwich", title="firewalls without an agent between two load balancers"
)
MIXED = replace(
    APPLIANCES,
    name="mixed-pair",
    title="a firewall without an agent beside one with",
    announced=(Announced("nva-b", _FRONTEND, 1), Announced("fw-a", _FRONTEND, 1)),
)
AS_PATH = RenderedCase(
    "as-path-preference",
    "AS-path preference",
    _instances("rs-hub", "10.0.0.0/16", "10.0.0.36"),
    IPv4Address("10.0.2.10"),
    IPv4Network("192.168.0.0/16"),
    (Announced("nva-a", _NVA_A, LENGTH_AT_REST), Announced("nva-b", _NVA_B, LENGTH_AT_REST + 1)),
)
INJECTOR = RenderedCase(
    "vip-by-injector",
    "a VIP by a route injector",
    _instances("rs", "10.10.0.0/16", "10.10.1.4"),
    IPv4Address("10.10.0.6"),
    IPv4Network("100.64.0.1/32"),
    (Announced("watch1", IPv4Address("10.10.0.4"), LENGTH_AT_REST),),
)
WEB_SERVERS = replace(INJECTOR, name="fast-failover", title="a VIP by a watcher, for web servers without an agent")
