"""The case of docs/from-what-you-have.md: two NVAs that their operator set up, taken over step by step while packets flow.

nva-a is a BIRD, nva-b an FRR, each with a configuration as people have it; both announce one network with the load balancer's
frontend as next hop, and both answer its first probe. What happens in each step stands in the document under the same
heading. The app's part is what it sends to the agents; the story of the same name shows when and why it does.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.domain.routes.expected import Standing
from function_app.domain.topology.model import Service, Speaker, Topology
from lab.kit import bird
from lab.networks import verified
from lab.networks.active_active import BEYOND, SITE, SITE_ADDRESS, TARGETS
from lab.networks.agents import BIRD_FILE, Agents
from lab.networks.findings import Findings, soon
from lab.networks.frontend import Frontend
from lab.networks.learned import Row, differences
from lab.networks.network import Network, Order, Plan, programmed
from lab.networks.outward import FRONTEND, SERVER
from lab.networks.verified import complaints
from lab.packets.fabric import BALANCER
from lab.packets.route_servers import ASN
from tools.processes import Program

EXAMPLE = "active-passive"
STEPS = (
    "1. Agents first, one NVA at a time",
    "2. Observe",
    "3. Let it act",
    "4. The load balancer's probe",
    "5. Your own statements go",
)
HOLDER, STANDBY = "nva-a", "nva-b"
VENDORS = {HOLDER: "bird", STANDBY: "frr"}
PAUSE, QUICK_PAUSE = 1.0, 0.5
"""Seconds that packets flow in each step after what is done in it."""

INCLUDE = f'include "{BIRD_FILE}";\n'
PIPE = """\
protocol pipe hopkeeper_above {
    table hopkeeper4;
    peer table master4;
    import none;
    export filter { preference = 210; accept; };
}
"""
CLAUSE = '    if proto = "hopkeeper_routes" then { bgp_next_hop = bgp_next_hop; accept; }\n'
"""In the filter that his sessions export through, before his own."""
OWN_STATIC = f"protocol static own {{ ipv4; route {BEYOND} blackhole; }}\n"
OWN_CLAUSE = f'    if proto = "own" then {{ bgp_next_hop = {FRONTEND}; accept; }}\n'
OWN_NETWORK = f"  network {BEYOND}\n"


SLACK = timedelta(seconds=0.1)
"""BIRD rounds since when a session is up, anew each time."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Of each session, by instance and peer: since when it is up, changes and withdrawals; how often the workload's route was
    written."""

    sessions: Mapping[tuple[str, str], tuple[str, int, int]]
    written: int


@dataclass(frozen=True, slots=True)
class BrownfieldCase:
    name: str = "from-what-you-have"
    title: str = "two NVAs taken over as they are"
    hold: int | None = field(default=None, init=False)

    def plan(self, topology: Topology) -> Plan:
        (service,) = topology.services
        topology = replace(topology, services=(replace(service, prefixes=(BEYOND,)),))
        besides = {BALANCER: FRONTEND, SITE: SITE_ADDRESS}
        return Plan(topology, (SERVER,), IPv4Address("10.0.2.10"), besides, frontends={service.name: FRONTEND})

    async def play(self, network: Network, order: Order, findings: Findings) -> None:
        """What there is; then every step, with packets from the first to the last one."""
        (service,) = network.plan.topology.services
        agents = Agents(network)
        frontend = Frontend(network, BEYOND, service.name, {s.name: s.address for s in network.plan.topology.speakers})
        frontend.pin(*VENDORS)
        for target in TARGETS:
            network.fabric.hold(SITE, target)
        for nva in network.plan.topology.speakers:
            network.fabric.inside(nva.name, "ip", "route", "replace", str(BEYOND), "via", str(SITE_ADDRESS))
        try:
            async with frontend.running():
                await _Play(network, findings, agents, frontend, service).play(order)
        finally:
            await agents.close()


@dataclass
class _Play:
    """One play of it."""

    network: Network
    findings: Findings
    agents: Agents
    frontend: Frontend
    service: Service
    programmer: Program = field(init=False)

    async def play(self, order: Order) -> None:
        await self._as_it_was()
        steps = (self._agents, self._observe, self._act, self._probe, self._own_go)
        for step, done in zip(STEPS, steps, strict=True):
            before = self._counted()
            async with self.network.pings(step, TARGETS, self.findings.phases):
                await done()
                await asyncio.sleep(QUICK_PAUSE if order.quick else PAUSE)
            self.findings.nothing_lost(self.findings.phases[-1])
            self._check_undisturbed(step, before)
        if not order.quick:
            await self._restarted()

    async def _as_it_was(self) -> None:
        for name, vendor in VENDORS.items():
            self.network.start_text(name, vendor, self._text(name, OWN_STATIC, OWN_CLAUSE, OWN_NETWORK))
        self.programmer = await self.network.program_workload(SERVER.name)
        await self._check_learned("before", VENDORS)

    # --- the steps

    async def _agents(self) -> None:
        for name, vendor in VENDORS.items():
            await self.agents.start_beside(name, vendor)
            if vendor == "bird":
                self.network.configure(name, self._text(name, INCLUDE + PIPE + OWN_STATIC, CLAUSE + OWN_CLAUSE))
            await self.agents.ready([name])

    async def _observe(self) -> None:
        """What the instances hold is what the document means: nothing is to be done in Azure."""
        await self._check_learned(STEPS[1], VENDORS)

    async def _act(self) -> None:
        """What the app sends: to every member what it announces, to one PROMOTE."""
        await self.agents.advertise(self.service, FRONTEND, epoch=1)
        await self.agents.promote(self.service, HOLDER, epoch=1)

    async def _probe(self) -> None:
        self.frontend.pin()
        await soon(lambda: self.frontend.passes_to == {HOLDER})
        self.findings.go_by("the frontend passes on", {HOLDER}, self.frontend.passes_to)

    async def _own_go(self) -> None:
        """Of the FRR only the file: nothing of his is in the running configuration any more."""
        self.network.configure(HOLDER, self._text(HOLDER, INCLUDE + PIPE, CLAUSE))

    async def _restarted(self) -> None:
        """The standby's machine, with the file as it is in the end: the agent announces again what it was commanded."""
        async with self.network.pings("the standby's FRR starts with the new file", TARGETS, self.findings.phases):
            written = programmed(self.programmer, self._expected(HOLDER))
            self.network.kill(STANDBY)
            await self._check_learned("without the standby", [HOLDER])
            self.network.start_text(STANDBY, VENDORS[STANDBY], self._text(STANDBY))
            await self.agents.start_beside(STANDBY, VENDORS[STANDBY])
            await self._check_learned("with the new file", VENDORS)
        self.findings.nothing_lost(self.findings.phases[-1])
        touched = programmed(self.programmer, self._expected(HOLDER))
        self.findings.equal("the workload's route is not touched by it", written, touched)

    # --- what is seen

    async def _check_learned(self, when: str, names: Iterable[str]) -> None:
        expected = self._expected(*names)
        await soon(lambda: self._learned() == expected)
        found = self._learned()
        self.findings.rows[SERVER.name] = found
        self.findings.check(
            f"{when}: both instances hold the frontend from {', '.join(names)}", differences(expected, found)
        )
        standing = Standing(next_hops={self.service.name: FRONTEND})
        wrong = verified.findings(self.network.plan.topology, SERVER, found, standing)
        if len(expected) == len(SERVER.addresses) * len(VENDORS):
            self.findings.check(f"{when}: Hopkeeper's verification finds nothing wrong", complaints(wrong))

    def _expected(self, *names: str) -> tuple[Row, ...]:
        speakers = [self.network.plan.topology.speaker(name) for name in names]
        return tuple(
            sorted(Row(i, BEYOND, s.address, FRONTEND, str(s.asn)) for i in SERVER.addresses for s in speakers)
        )

    def _learned(self) -> tuple[Row, ...]:
        return tuple(sorted(row for rows in self.network.learned(SERVER.name).values() for row in rows))

    def _counted(self) -> Counted:
        sessions = self.network.undisturbed(SERVER.name)
        counts = {
            (node, peer): (since, count.changes, count.withdrawals)
            for node, peers in sessions.items()
            for peer, (since, count) in peers.items()
        }
        return Counted(counts, programmed(self.programmer, self._expected(HOLDER)))

    def _check_undisturbed(self, step: str, before: Counted) -> None:
        """Nothing that a Route Server's damping could count."""
        self.findings.check(
            f"{step}: no session ends, nothing is withdrawn, no best path changes", disturbed(before, self._counted())
        )

    def _text(self, name: str, head: str = "", clauses: str = "", network: str = "") -> str:
        nva = self.network.plan.topology.speaker(name)
        return birds(nva, head, clauses) if VENDORS[name] == "bird" else frrs(nva, network)


def disturbed(before: Counted, after: Counted) -> list[str]:
    """Sessions that ended, withdrawals, routes that became others, programming: in words, empty where there was none."""
    found = [f"{node} has lost {peer}" for node, peer in before.sessions.keys() - after.sessions.keys()]
    for (node, peer), (since, changes, withdrawals) in before.sessions.items():
        now = after.sessions.get((node, peer), (since, changes, withdrawals))
        if abs(_moment(now[0]) - _moment(since)) > SLACK:
            found.append(f"{node} has another session with {peer}, since {now[0]}")
        if now[1:] != (changes, withdrawals):
            found.append(f"{peer} sent {node} {now[1] - changes} other routes and {now[2] - withdrawals} withdrawals")
    if after.written != before.written:
        found.append(f"the workload's route was written {after.written - before.written} times")
    return sorted(found)


def _moment(clock: str) -> datetime:
    return datetime.combine(date.min, time.fromisoformat(clock))


def birds(nva: Speaker, head: str, clauses: str) -> str:
    """His bird.conf: `head` before the sessions, `clauses` in the filter of what goes out."""
    way_out = f"filter to_azure {{\n{clauses}    reject;\n}}\n"
    sessions = (
        bird.session(f"rs_{n}", (nva.address, nva.asn), (address, ASN), "", "import none; export filter to_azure;")
        for n, address in enumerate(SERVER.addresses)
    )
    return bird.head(nva.address, head, way_out) + "".join(sessions)


def frrs(nva: Speaker, network: str) -> str:
    """His frr.conf, as write-ups have it: the next hop is set on the way out."""
    session = (
        f" neighbor {address} remote-as {ASN}\n neighbor {address} ebgp-multihop 255\n neighbor {address} timers connect 1\n"
        for address in SERVER.addresses
    )
    policy = (f"  neighbor {address} route-map SET-NEXTHOP out\n" for address in SERVER.addresses)
    return (
        f"frr defaults traditional\nip prefix-list OURS seq 5 permit {BEYOND}\nroute-map SET-NEXTHOP permit 10\n"
        f" match ip address prefix-list OURS\n set ip next-hop {FRONTEND}\n"
        f"router bgp {nva.asn}\n bgp router-id {nva.address}\n no bgp ebgp-requires-policy\n bgp graceful-restart-disable\n"
        f" no bgp network import-check\n{''.join(session)} address-family ipv4 unicast\n{network}{''.join(policy)}"
        " exit-address-family\n"
    )


BROWNFIELD = BrownfieldCase()
