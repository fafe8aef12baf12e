"""The case of outward symmetry: two firewalls that know flows, on-premises behind both, and whose way packets come back.

The firewalls are nftables in the NVAs' kernels: what belongs to no flow that this one has seen is dropped. Azure's side goes
by way of the frontend to whoever the agents' probe names, on-premises by AS path: only while both name the same one do
packets flow. One NVA speaks with our agent's own ExaBGP, the other with a BIRD as rendered and the agent beside it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from hopkeeper_agent.role import Toward
from hopkeeper_agent.speakers.bird_text import OURS
from msgspec.structs import replace

from function_app.domain.routes.expected import Standing
from function_app.domain.topology.model import Neighbour, Outward, Service, Topology
from lab.kit import bird
from lab.networks import instances, verified
from lab.networks.agents import Agents
from lab.networks.findings import Findings, soon
from lab.networks.frontend import Frontend
from lab.networks.instances import Instances
from lab.networks.learned import Peer, Row, differences
from lab.networks.network import Network, Order, Plan
from lab.networks.verified import complaints
from lab.packets.fabric import BALANCER
from lab.packets.route_servers import SessionCount

SERVER = Instances("rs-hub", (IPv4Address("10.0.0.36"), IPv4Address("10.0.0.37")), IPv4Network("10.0.0.0/16"))
FRONTEND, BEYOND = IPv4Address("10.0.1.100"), IPv4Network("192.168.0.0/16")
SITE, SITE_ADDRESS, SITE_ASN = "site", IPv4Address("192.168.100.1"), 64600
TARGETS = tuple(IPv4Address(f"192.168.1.{n}") for n in range(1, 5))
FIRST, OTHER = "nva-a", "nva-b"
VENDORS = {FIRST: "exabgp", OTHER: "bird"}
PREPEND = 3
"""Of a standby: the default of `outward`."""
NAMES = OURS[Toward.OUTWARD]
"""Of the agent's table and filter in BIRD."""
HOLD = 180
AT_REST, BEFORE, AFTER = 0.7, 0.4, 0.7
GAP = 2.0
"""Seconds that packets may be lost for in a switchover: two signed commands, and the frontend's next look."""

type Prepends = Mapping[str, int | None]
"""By NVA, how many ASNs are prepended in what it announces on-premises; None where it announces nothing."""
FIRST_HOLDS: Prepends = {FIRST: 0, OTHER: PREPEND}
OTHER_HOLDS: Prepends = {FIRST: PREPEND, OTHER: 0}
OTHER_ALONE: Prepends = {FIRST: None, OTHER: 0}
FIRST_ALONE: Prepends = {FIRST: 0, OTHER: None}


@dataclass(frozen=True, slots=True)
class OutwardCase:
    name: str = "outward-symmetry"
    title: str = "outward symmetry"
    hold: int | None = field(default=None, init=False)

    def plan(self, topology: Topology) -> Plan:
        (service,) = topology.services
        besides = {BALANCER: FRONTEND, SITE: SITE_ADDRESS}
        return Plan(topology, (SERVER,), IPv4Address("10.0.2.10"), besides, frontends={service.name: FRONTEND})

    async def play(self, network: Network, _: Order, findings: Findings) -> None:
        """At rest; a return by the wrong way; the standby becomes the holder; it withholds, and the first one returns."""
        agents = Agents(network)
        (service,) = network.plan.topology.services
        behind = {s.name: s.address for s in network.plan.topology.speakers}
        frontend = Frontend(network, BEYOND, service.name, behind)
        try:
            async with frontend.running():
                await _Play(network, findings, agents, frontend, service).play()
        finally:
            await agents.close()


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was received so far: on-premises by NVA, in Azure by instance and peer."""

    on_premises: Mapping[str, SessionCount]
    in_azure: Mapping[str, Mapping[str, tuple[str, SessionCount]]]


@dataclass
class _Play:
    """One play of it. `service` as it stands in the topology."""

    network: Network
    findings: Findings
    agents: Agents
    frontend: Frontend
    service: Service

    async def play(self) -> None:
        await self._start()
        await self.agents.advertise(self.service, FRONTEND, epoch=1)
        await self.agents.outward(self.service, epoch=1, seq=1)
        await self.agents.promote(self.service, FIRST, epoch=1)
        await self._check_learned()
        await self._check_way(FIRST, FIRST_HOLDS, "at rest")
        await self._wrong_way()
        await self._switch(FIRST, OTHER, (FIRST_HOLDS, OTHER_HOLDS), epoch=2)
        await self._withhold((OTHER_HOLDS, OTHER_ALONE))
        await self._switch(OTHER, FIRST, (OTHER_ALONE, FIRST_ALONE), epoch=3)

    @property
    def _declared(self) -> Outward:
        assert self.service.outward is not None
        return self.service.outward

    # --- what there is

    async def _start(self) -> None:
        network = self.network
        for nva in network.plan.topology.speakers:
            self._prepare(nva.name, nva.address)
        for target in TARGETS:
            network.fabric.hold(SITE, target)
        peers = [Peer(s.name, s.address, s.asn) for s in network.plan.topology.speakers]
        network.start_bird(SITE, router(peers))
        (neighbour,) = self._declared.neighbours
        for name, vendor in VENDORS.items():
            nva = network.plan.topology.speaker(name)
            besides = on_premises_part(nva.address, nva.asn, neighbour) if vendor == "bird" else ""
            await self.agents.start(name, vendor, (neighbour,), besides)
        await network.program_workload(SERVER.name)
        await self.agents.ready(VENDORS)

    def _prepare(self, name: str, address: IPv4Address) -> None:
        """The link on-premises, the way there, and the firewall."""
        inside = self.network.fabric.inside
        inside(name, "ip", "route", "replace", f"{SITE_ADDRESS}/32", "dev", "eth0")
        inside(name, "ip", "route", "replace", str(BEYOND), "via", str(SITE_ADDRESS))
        inside(SITE, "ip", "route", "replace", f"{address}/32", "dev", "eth0")
        for line in (
            "add table ip firewall",
            "add chain ip firewall through { type filter hook forward priority 0; }",
            "add rule ip firewall through ct state invalid drop",
        ):
            inside(name, "nft", line)

    # --- what is seen

    async def _check_learned(self) -> None:
        expected = tuple(
            sorted(
                Row(instance, BEYOND, s.address, FRONTEND, str(s.asn))
                for instance in SERVER.addresses
                for s in self.network.plan.topology.speakers
            )
        )
        await soon(lambda: self._learned() == expected)
        found = self._learned()
        self.findings.rows[SERVER.name] = found
        self.findings.check("both instances hold the frontend as next hop from both NVAs", differences(expected, found))
        standing = Standing(next_hops={self.service.name: FRONTEND})
        wrong = verified.findings(self.network.plan.topology, SERVER, found, standing)
        self.findings.check("Hopkeeper's verification finds nothing wrong", complaints(wrong))

    def _learned(self) -> tuple[Row, ...]:
        return tuple(sorted(row for rows in self.network.learned(SERVER.name).values() for row in rows))

    def _outward(self, wanted: Prepends) -> tuple[Row, ...]:
        """What the router on-premises should hold then."""
        speakers = self.network.plan.topology.speakers
        prepends = [(s, wanted[s.name]) for s in speakers]
        return tuple(
            sorted(
                Row(SITE_ADDRESS, prefix, s.address, s.address, "-".join([str(s.asn)] * (1 + prepend)))
                for s, prepend in prepends
                if prepend is not None
                for prefix in self._declared.prefixes
            )
        )

    def _on_premises(self) -> tuple[Row, ...]:
        return self.network.table(SITE, [Peer(s.name, s.address, s.asn) for s in self.network.plan.topology.speakers])

    async def _settled(self, holder: str, wanted: Prepends) -> None:
        """Waits until on-premises holds what it should, comes back by way of the holder, and Azure goes there."""
        expected, hop = self._outward(wanted), {str(self.network.plan.topology.speaker(holder).address)}
        prefixes = [str(prefix) for prefix in self._declared.prefixes]
        await soon(
            lambda: (
                self._on_premises() == expected
                and all(self.network.hops(SITE, prefix) == hop for prefix in prefixes)
                and self.frontend.passes_to == {holder}
            )
        )

    async def _check_way(self, holder: str, wanted: Prepends, when: str) -> None:
        """There and back by way of the holder, and of no other."""
        network, findings = self.network, self.findings
        await self._settled(holder, wanted)
        findings.check(
            f"{when}: on-premises holds {_in_words(wanted)}", differences(self._outward(wanted), self._on_premises())
        )
        back = network.hops(SITE, str(SERVER.network))
        findings.go_by(f"{when}: on-premises comes back", {str(network.plan.topology.speaker(holder).address)}, back)
        before = network.forwarded(VENDORS)
        async with network.pings(when, TARGETS, findings.phases):
            await asyncio.sleep(AT_REST)
        carried = {name for name, count in network.forwarded(VENDORS).items() if count > before[name]}
        findings.nothing_lost(findings.phases[-1])
        findings.go_by(f"{when}: packets go both ways", {holder}, carried)

    # --- what happens

    async def _wrong_way(self) -> None:
        """What `outward` is for: there by way of one, back by way of the other, which knows nothing of the flow."""
        name = f"there by way of {OTHER}, back by way of {FIRST}"
        self.frontend.pin(OTHER)
        async with self.network.pings(name, TARGETS, self.findings.phases):
            await asyncio.sleep(AT_REST)
        self.frontend.pin()
        await soon(lambda: self.frontend.passes_to == {FIRST})
        phase = self.findings.phases[-1]
        answered = [] if phase.lost == phase.sent > 0 else [f"{phase.sent - phase.lost} of {phase.sent} came back"]
        self.findings.check("what comes back by way of the other firewall is dropped there", answered)

    async def _switch(self, old: str, new: str, change: tuple[Prepends, Prepends], epoch: int) -> None:
        """As the app moves a service by acknowledgement: FENCE, and then PROMOTE."""
        name, counted = f"{new} takes over from {old}", self._counted()
        async with self.network.pings(name, TARGETS, self.findings.phases):
            await asyncio.sleep(BEFORE)
            await self.agents.fence(self.service, old, epoch)
            await self.agents.promote(self.service, new, epoch)
            await self._settled(new, change[1])
            await asyncio.sleep(AFTER)
        phase = self.findings.phases[-1]
        late = [f"after {phase.outage:.2f} s"] if phase.silent or phase.outage > GAP else []
        self.findings.check(f"packets flow again within {GAP:g} s: {name}", late)
        self._check_updates(name, counted, change)
        await self._check_way(new, change[1], f"{new} holds")

    async def _withhold(self, change: tuple[Prepends, Prepends]) -> None:
        """The operator writes `standby: withhold`."""
        counted = self._counted()
        self.service = replace(self.service, outward=replace(self._declared, standby="withhold"))
        await self.agents.outward(self.service, epoch=2, seq=2)
        await self._settled(OTHER, change[1])
        self.findings.check(
            f"withheld: on-premises holds {_in_words(change[1])}",
            differences(self._outward(change[1]), self._on_premises()),
        )
        self._check_updates("standbys withhold", counted, change)

    def _check_updates(self, what: str, before: _Counted, change: tuple[Prepends, Prepends]) -> None:
        after = self._counted()
        found = {name: _more(before.on_premises[name], after.on_premises[name]) for name in VENDORS}
        expected = updates(*change, len(self._declared.prefixes))
        self.findings.equal(f"{what}: on-premises gets one update a prefix from who changes", expected, found)
        self.findings.equal(f"{what}: no Route Server receives an update", before.in_azure, after.in_azure)

    def _counted(self) -> _Counted:
        sessions = self.network.sessions(SITE)
        return _Counted(
            {name: sessions[name.replace("-", "_")] for name in VENDORS}, self.network.undisturbed(SERVER.name)
        )


def updates(before: Prepends, after: Prepends, prefixes: int) -> dict[str, tuple[int, int]]:
    """By NVA, how many routes it announces (anew) and withdraws, to change its announcements from `before` to `after`."""
    found = dict.fromkeys(before, (0, 0))
    for name in before:
        if before[name] != after[name]:
            found[name] = (0, prefixes) if after[name] is None else (prefixes, 0)
    return found


def _more(before: SessionCount, after: SessionCount) -> tuple[int, int]:
    return after.updates - before.updates, after.withdrawals - before.withdrawals


def _in_words(wanted: Prepends) -> str:
    said = ("nothing" if prepend is None else f"{prepend} prepends" for prepend in wanted.values())
    return ", ".join(f"{what} of {name}" for name, what in zip(wanted, said, strict=True))


def router(peers: Sequence[Peer]) -> str:
    """The router on-premises, as BIRD's configuration: learns from the firewalls how to come back. They are on its link."""
    ways = "".join(f' route {peer.address}/32 via "eth0";' for peer in peers)
    static = f"protocol static ways {{ ipv4;{ways} }}\n"
    return bird.head(SITE_ADDRESS, static, bird.TO_KERNEL) + instances.sessions(SITE_ADDRESS, SITE_ASN, peers, HOLD)


def on_premises_part(address: IPv4Address, asn: int, neighbour: Neighbour) -> str:
    """A BIRD NVA's session with the router: the agent's table and filter for what is outward."""
    channel = f"table {NAMES.table}; import none; export filter {NAMES.filter};"
    return "\n" + bird.session("site", (address, asn), (neighbour.address, neighbour.asn), "", channel)


OUTWARD = OutwardCase()
