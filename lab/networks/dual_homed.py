"""Cases of a spoke with an NVA in each of two hub networks, without ExpressRoute: active/active and active/passive.

Beyond the NVAs is a router on-premises that learns from them how to come back, so that both directions are seen. That side of
an NVA is no part of a topology: it is added here to what is rendered, as an operator would.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.expected import Standing
from function_app.domain.service.ranked.paths import LENGTH_AT_REST
from function_app.domain.topology.model import Speaker, Topology
from lab.kit import bird
from lab.networks import instances, verified
from lab.networks.findings import Findings, soon
from lab.networks.instances import Instances
from lab.networks.learned import Peer, Row, differences
from lab.networks.network import Network, Order, Plan
from lab.networks.verified import complaints
from lab.packets.fabric import WORKLOAD

SERVER = Instances("rs-spoke", (IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5")), IPv4Network("10.0.0.0/16"))
SPOKE, BEYOND = SERVER.network, IPv4Network("192.168.0.0/16")
SITE, SITE_ADDRESS, SITE_ASN = "site", IPv4Address("10.9.0.4"), 65300
TARGETS = tuple(IPv4Address(f"192.168.1.{n}") for n in range(1, 9))
NAMES = {WORKLOAD: "the workload", SITE: "the site"}
HOLD = 9
"""Seconds, on every session: a hub that is lost says nothing, and with Azure's 180 s this would be a long lab."""
AT_REST, BEFORE, AFTER = 2.0, 1.0, 1.0
SLACK = 3.0
"""Seconds beyond the hold time that a failover may take here: two cores, two sides."""


@dataclass(frozen=True, slots=True)
class DualHomedCase:
    """`vendors` and `lengths` (of AS paths at rest, the spoke's side) by NVA; `serving` are those that carry packets."""

    name: str
    title: str
    vendors: dict[str, str]
    lengths: dict[str, int]
    hold: int | None = field(default=HOLD, init=False)

    @property
    def serving(self) -> frozenset[str]:
        return frozenset(n for n, length in self.lengths.items() if length == min(self.lengths.values()))

    def plan(self, topology: Topology) -> Plan:
        return Plan(topology, (SERVER,), IPv4Address("10.0.1.10"), {SITE: SITE_ADDRESS})

    def expected(self, topology: Topology, without: Sequence[str] = ()) -> tuple[Row, ...]:
        return tuple(
            sorted(
                Row(instance, BEYOND, s.address, s.address, "-".join([str(s.asn)] * self.lengths[s.name]))
                for instance in SERVER.addresses
                for s in topology.speakers
                if s.name not in without
            )
        )

    async def play(self, network: Network, _: Order, findings: Findings) -> None:
        """At rest; then the hub network that serves first is lost, in silence, and comes back."""
        topology = network.plan.topology
        self._start_site(network)
        for speaker in topology.speakers:
            self._start_nva(network, speaker)
        await network.program_workload(SERVER.name)
        await self._check_rest(network, findings, "at rest")
        await self._lose(network, sorted(self.serving)[0], findings)

    def _start_site(self, network: Network) -> None:
        for target in TARGETS:
            network.fabric.hold(SITE, target)
        peers = [Peer(s.name, s.address, s.asn) for s in network.plan.topology.speakers]
        network.start_bird(SITE, instances.on_premises(SITE_ADDRESS, SITE_ASN, peers, HOLD))

    def _start_nva(self, network: Network, nva: Speaker) -> None:
        """The NVA's way on-premises is its kernel's; the way back is announced there, as long as to the spoke."""
        network.fabric.inside(nva.name, "ip", "route", "replace", str(BEYOND), "via", str(SITE_ADDRESS))
        vendor = self.vendors[nva.name]
        network.start_speaker(nva.name, vendor, on_premises_part(vendor, nva, self.lengths[nva.name] - 1))

    async def _check_rest(self, network: Network, findings: Findings, when: str) -> None:
        expected = self.expected(network.plan.topology)
        found = await _settled(network, expected)
        findings.rows.setdefault(SERVER.name, found)
        findings.check(f"{when}: both instances hold what both NVAs announce", differences(expected, found))
        wrong = verified.findings(network.plan.topology, SERVER, found, self._standing(network.plan.topology))
        findings.check(f"{when}: Hopkeeper's verification finds nothing wrong", complaints(wrong))
        await self._check_hops(network, findings, when, self.serving)
        before = network.forwarded(self.vendors)
        async with network.pings(when, TARGETS, findings.phases):
            await asyncio.sleep(AT_REST)
        carried = {n for n, count in network.forwarded(self.vendors).items() if count > before[n]}
        findings.nothing_lost(findings.phases[-1])
        findings.go_by(f"{when}: packets go", self.serving, carried)

    def _standing(self, topology: Topology) -> Standing:
        """What the record of a service at rest would say."""
        holder = sorted(self.serving)[0]
        services = [service.name for service in topology.services]
        return Standing(
            next_hops={service: topology.speaker(holder).address for service in services},
            lengths={(service, nva): length for service in services for nva, length in self.lengths.items()},
            holders=dict.fromkeys(services, holder),
        )

    async def _check_hops(self, network: Network, findings: Findings, when: str, by: frozenset[str]) -> None:
        """Both directions: how the workload goes there, and how the site comes back."""
        wanted = frozenset(str(network.plan.topology.speaker(name).address) for name in by)
        for node, prefix in ((WORKLOAD, BEYOND), (SITE, SPOKE)):
            await soon(lambda node=node, prefix=prefix: network.hops(node, str(prefix)) == wanted)  # type: ignore[misc]
            found = network.hops(node, str(prefix))
            findings.go_by(f"{when}: {NAMES[node]} sends {prefix}", wanted, found)

    async def _lose(self, network: Network, lost: str, findings: Findings) -> None:
        topology = network.plan.topology
        left = self.expected(topology, [lost])
        async with network.pings(f"the hub network of {lost} is lost", TARGETS, findings.phases):
            await asyncio.sleep(BEFORE)
            network.fabric.silence(lost)
            findings.killed.append(f"link down, then kill -9: all of {lost}'s hub network")
            network.kill(lost)
            found = await _settled(network, left)
            survivors = frozenset(self.vendors) - {lost}
            await self._check_hops(network, findings, f"without {lost}", survivors)
            await asyncio.sleep(AFTER)
        findings.check(f"without {lost} both instances hold the other's", differences(left, found))
        findings.recovered(findings.phases[-1], HOLD, SLACK)
        async with network.pings(f"without {lost}", TARGETS, findings.phases):
            await asyncio.sleep(AT_REST)
        findings.nothing_lost(findings.phases[-1])
        network.fabric.mend()
        self._start_nva(network, topology.speaker(lost))
        await self._check_rest(network, findings, f"{lost} is back")


async def _settled(network: Network, expected: tuple[Row, ...]) -> tuple[Row, ...]:
    def learned() -> tuple[Row, ...]:
        return tuple(sorted(row for rows in network.learned(SERVER.name).values() for row in rows))

    await soon(lambda: learned() == expected)
    return learned()


def on_premises_part(vendor: str, nva: Speaker, prepends: int) -> str:
    """An NVA's session with the site: the spoke's prefix, its own address as next hop."""
    if vendor == "bird":
        prepended = f" bgp_path.prepend({nva.asn});" * prepends
        channel = f'import none; export filter {{ if proto != "to_site" then reject;{prepended} accept; }};'
        return (f"\nprotocol static to_site {{ ipv4; route {SPOKE} blackhole; }}\n") + bird.session(
            "site", (nva.address, nva.asn), (SITE_ADDRESS, SITE_ASN), bird.hold(HOLD), channel
        )
    path = " ".join([str(nva.asn)] * (prepends + 1))
    if vendor == "exabgp":
        return (
            f"\nneighbor {SITE_ADDRESS} {{\n  router-id {nva.address};\n  local-address {nva.address};\n"
            f"  local-as {nva.asn};\n  peer-as {SITE_ASN};\n  hold-time {HOLD};\n"
            f"  static {{ route {SPOKE} next-hop {nva.address} as-path [ {path} ]; }}\n}}\n"
        )
    return (
        f"ip prefix-list site-out seq 5 permit {SPOKE}\nip prefix-list site-in seq 5 deny any\n"
        f"router bgp {nva.asn}\n neighbor {SITE_ADDRESS} remote-as {SITE_ASN}\n"
        f" neighbor {SITE_ADDRESS} ebgp-multihop 255\n neighbor {SITE_ADDRESS} timers {HOLD // 3} {HOLD}\n"
        f" neighbor {SITE_ADDRESS} timers connect 1\n"
        f" address-family ipv4 unicast\n  network {SPOKE}\n  neighbor {SITE_ADDRESS} prefix-list site-out out\n"
        f"  neighbor {SITE_ADDRESS} prefix-list site-in in\n exit-address-family\n"
    )


ACTIVE_ACTIVE = DualHomedCase(
    "dual-homed-active-active",
    "dual-homed, active/active",
    {"nva-1": "bird", "nva-2": "frr"},
    {"nva-1": 1, "nva-2": 1},
)
ACTIVE_PASSIVE = DualHomedCase(
    "dual-homed-active-passive",
    "dual-homed, active/passive",
    {"nva-1": "exabgp", "nva-2": "exabgp"},
    {"nva-1": LENGTH_AT_REST, "nva-2": LENGTH_AT_REST + 1},
)
