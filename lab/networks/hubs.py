"""Cases with hub speakers: ten NVAs behind two, and an NVA that is one. What they should learn stands here as published.

The reference: cloudtrooper.net, "Going beyond 8 peers in Azure Route Server" (2025-09): names, addresses, ASNs, and the table
of learned routes.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.topology.model import Topology
from lab.networks import verified
from lab.networks.findings import Findings, soon
from lab.networks.instances import Instances
from lab.networks.learned import Row, differences
from lab.networks.network import Network, Order, Plan, programmed
from lab.networks.verified import complaints
from lab.packets.fabric import WORKLOAD
from tools.processes import Program

SERVER = "rs"
VNET = IPv4Network("10.13.76.0/24")
INSTANCES = (IPv4Address("10.13.76.4"), IPv4Address("10.13.76.5"))
HUBS = {"hub-a": IPv4Address("10.13.76.84"), "hub-b": IPv4Address("10.13.76.85")}
TEN = range(100, 110)
KEEPS = {"frr": ("attribute-unchanged next-hop",), "bird": ("next hop keep;", "bgp_next_hop = bgp_next_hop;")}
"""By vendor, what keeps next hops in a rendered configuration."""
OTHER_CLIENTS = {"nva-108": "frr", "nva-109": "exabgp"}
"""Vendors of clients that are not BIRD."""
AT_REST, BEFORE, AFTER = 1.0, 0.5, 1.0
"""Seconds of packets: undisturbed, before something is killed, and after the routes are as they should be."""


def published(numbers: Iterable[int], own: Iterable[Row] = ()) -> tuple[Row, ...]:
    """NVA n announces 100.0.0.n/32 in AS 65000 + n; every hub passes it on, next hop 10.13.76.n, on both instances."""
    return tuple(
        sorted(
            [
                *own,
                *(
                    Row(
                        local_address=instance,
                        network=IPv4Network(f"100.0.0.{n}/32"),
                        source_peer=hub,
                        next_hop=IPv4Address(f"10.13.76.{n}"),
                        as_path=f"65000-{65000 + n}",
                    )
                    for instance in INSTANCES
                    for n in numbers
                    for hub in HUBS.values()
                ),
            ]
        )
    )


OWNED = IPv4Network("100.0.0.200/32")
_OWN = tuple(Row(instance, OWNED, HUBS["hub-a"], HUBS["hub-a"], "65000") for instance in INSTANCES)


@dataclass(frozen=True, slots=True)
class HubCase:
    """`clients` by the last number of their addresses, `vendors` of hub-a and hub-b, `own` the rows of what hub-a announces
    itself; `spoils` where hub-b is to be configured wrongly in the end."""

    name: str
    title: str
    clients: tuple[int, ...]
    vendors: tuple[str, str]
    own: tuple[Row, ...] = ()
    spoils: bool = False
    hold: int | None = field(default=None, init=False)

    @property
    def expected(self) -> tuple[Row, ...]:
        return published(self.clients, self.own)

    def plan(self, topology: Topology) -> Plan:
        return Plan(topology, (Instances(SERVER, INSTANCES, VNET),), IPv4Address("10.13.76.10"))

    async def play(self, network: Network, order: Order, findings: Findings) -> None:
        """At rest, then each hub is killed and started again, while packets go to every prefix."""
        vendors = dict(zip(HUBS, order.hubs or self.vendors, strict=True))
        for client in network.plan.topology.clients("hub-a"):
            network.start_speaker(client.name, OTHER_CLIENTS.get(client.name, "bird"))
        for hub, vendor in vendors.items():
            network.start_speaker(hub, vendor)
        programmer = await network.program_workload(SERVER)
        found = await self._settled(network, self.expected)
        findings.rows[SERVER] = found
        findings.check("both instances hold the table as expected, row for row", differences(self.expected, found))
        findings.check("Hopkeeper's verification finds nothing wrong", complaints(_verified(network, found)))
        hops = {str(r.network): frozenset({str(r.next_hop)}) for r in self.expected}
        await soon(lambda: _hops(network, hops) == hops)
        findings.equal("the workload sends each prefix to its NVA, not to a hub", hops, _hops(network, hops))
        async with network.pings("at rest", _addresses(self.expected), findings.phases):
            await asyncio.sleep(AT_REST)
        findings.nothing_lost(findings.phases[-1])
        for who in list(vendors.items())[: 1 if order.quick else None]:
            await self._without(network, who, findings, programmer)
        if not order.quick:
            await self._lose_client(network, findings)
        if self.spoils and vendors["hub-b"] in KEEPS:
            await self._spoil(network, vendors["hub-b"], findings)

    async def _lose_client(self, network: Network, findings: Findings) -> None:
        """A client's daemon dies: both hubs withdraw its route, on both instances, and no other client's."""
        number = max(self.clients)
        name, prefix = f"nva-{number}", f"100.0.0.{number}/32"
        left = tuple(row for row in self.expected if str(row.network) != prefix)
        async with network.pings(f"{name} is killed", _addresses(left), findings.phases):
            await asyncio.sleep(BEFORE)
            network.kill(name)
            findings.killed.append(f"kill -9: {name} ({network.vendors[name]})")
            found = await self._settled(network, left)
            await soon(lambda: not network.hops(WORKLOAD, prefix))
            await asyncio.sleep(AFTER)
        findings.check(f"without {name} its route is gone from both instances, and no other", differences(left, found))
        findings.equal(f"without {name} the workload has no route to it", frozenset(), network.hops(WORKLOAD, prefix))
        findings.nothing_lost(findings.phases[-1])
        network.start_speaker(name, network.vendors[name])
        found = await self._settled(network, self.expected)
        findings.check(f"with {name} back the table is whole again", differences(self.expected, found))

    async def _spoil(self, network: Network, vendor: str, findings: Findings) -> None:
        """hub-b as it is often written: without a word on next hops. It then draws its clients' packets to itself."""
        lines = network.rendered("hub-b", vendor).splitlines(keepends=True)
        network.kill("hub-b")
        network.start_text("hub-b", vendor, "".join(x for x in lines if not any(word in x for word in KEEPS[vendor])))
        drawn = tuple(
            replace(row, next_hop=row.source_peer) if row.source_peer == HUBS["hub-b"] else row for row in self.expected
        )
        found = await self._settled(network, drawn)
        findings.check(
            "a hub that keeps no next hop becomes the next hop of all that it passes on", differences(drawn, found)
        )
        wrong = {(f.kind, str(f.prefix)) for f in _verified(network, found) if f.wrong}
        every = {(FindingKind.HUB_NEXT_HOP, f"100.0.0.{n}/32") for n in self.clients}
        findings.equal("and Hopkeeper's verification finds that of each client's prefix", sorted(every), sorted(wrong))

    async def _without(self, network: Network, who: tuple[str, str], findings: Findings, programmer: Program) -> None:
        hub, vendor = who
        left = tuple(row for row in self.expected if row.source_peer != HUBS[hub])
        to = _addresses(left)
        written = programmed(programmer, left)
        async with network.pings(f"{hub} ({vendor}) is killed", to, findings.phases):
            await asyncio.sleep(BEFORE)
            network.kill(hub)
            findings.killed.append(f"kill -9: {hub} ({vendor})")
            found = await self._settled(network, left)
            await asyncio.sleep(AFTER)
        findings.check(f"without {hub} both instances hold all that is left", differences(left, found))
        kinds = {finding.kind for finding in _verified(network, found) if hub in finding.sentence}
        lacking = [] if FindingKind.HUB_LACKS_CLIENT in kinds else [f"it finds {', '.join(sorted(kinds)) or 'nothing'}"]
        findings.check(f"Hopkeeper's verification finds that {hub} carries no client", lacking)
        findings.nothing_lost(findings.phases[-1])
        async with network.pings(f"{hub} ({vendor}) returns", to, findings.phases):
            network.start_speaker(hub, vendor)
            found = await self._settled(network, self.expected)
            await asyncio.sleep(AFTER)
        findings.check(f"with {hub} back the table is whole again", differences(self.expected, found))
        findings.nothing_lost(findings.phases[-1])
        findings.equal(
            f"the workload's routes to the NVAs are not touched while {hub} is away",
            written,
            programmed(programmer, left),
        )

    async def _settled(self, network: Network, expected: tuple[Row, ...]) -> tuple[Row, ...]:
        await soon(lambda: _learned(network) == expected)
        return _learned(network)


def _verified(network: Network, rows: Iterable[Row]) -> tuple[RouteFinding, ...]:
    (server,) = network.plan.servers
    return verified.findings(network.plan.topology, server, rows)


def _learned(network: Network) -> tuple[Row, ...]:
    return tuple(sorted(row for rows in network.learned(SERVER).values() for row in rows))


def _addresses(rows: Iterable[Row]) -> list[IPv4Address]:
    return sorted({row.network.network_address for row in rows})


def _hops(network: Network, prefixes: Iterable[str]) -> dict[str, frozenset[str]]:
    return {prefix: network.hops(WORKLOAD, prefix) for prefix in prefixes}


TEN_NVAS = HubCase("ten-nvas-two-hubs", "ten NVAs over two hubs", tuple(TEN), ("frr", "bird"))
NVA_AS_HUB = HubCase("nva-as-hub", "an NVA that is a hub as well", (100, 101), ("exabgp", "frr"), _OWN, spoils=True)
