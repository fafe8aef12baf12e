"""A topology come to life: nodes on a link, the Route Servers' instances, speakers running what is rendered for them."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

from function_app.domain.topology.model import Topology
from function_app.render import render
from lab.kit.agent_toml import neighbours
from lab.networks import hub_agent, instances
from lab.networks.daemons import DAEMONS
from lab.networks.instances import Instances
from lab.networks.learned import Peer, Row, rows, up_since
from lab.networks.pings import EVERY, Counted, Phase, counted
from lab.packets import route_servers
from lab.packets.agents import ENVIRONMENT
from lab.packets.fabric import MGMT, WORKLOAD, Fabric
from lab.packets.lab import NodePrograms, until
from lab.packets.route_servers import SessionCount
from tools.processes import Program, ToolError

MANAGEMENT = IPv4Address("10.255.255.250")
LINK = 8
"""Prefix length of the one link: everything in 10.0.0.0/8 is one hop away, as in peered virtual networks."""


@dataclass(frozen=True, slots=True)
class Order:
    """`hubs` are the vendors of hub-a and hub-b, the case's own where None. Quick: only the first of two hubs is killed."""

    hubs: tuple[str, str] | None = None
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a case lives in. `besides` are nodes that no topology names; `beyond` are peers of a Route Server's that are
    no speakers, by its name: gateways; `frontends` are addresses of load balancers, by service."""

    topology: Topology
    servers: tuple[Instances, ...]
    workload: IPv4Address
    besides: Mapping[str, IPv4Address] = field(default_factory=dict)
    beyond: Mapping[str, tuple[Peer, ...]] = field(default_factory=dict)
    frontends: Mapping[str, IPv4Address] = field(default_factory=dict)

    @property
    def addresses(self) -> dict[str, IPv4Address]:
        """Every node's."""
        found = {MGMT: MANAGEMENT, WORKLOAD: self.workload, **self.besides}
        found |= {speaker.name: speaker.address for speaker in self.topology.speakers}
        for server in self.servers:
            found |= server.nodes
        return found

    def peers(self, server: str) -> tuple[Peer, ...]:
        """The speakers that the instances of a Route Server peer with."""
        speakers = (Peer(s.name, s.address, s.asn) for s in self.topology.peered_with(server))
        return (*speakers, *self.beyond.get(server, ()))

    def instances(self, speaker: str) -> dict[str, tuple[IPv4Address, IPv4Address]]:
        """What `render` is to know of the Route Servers that a speaker peers with."""
        names = self.topology.speaker(speaker).peers_with
        return {server.name: server.addresses for server in self.servers if server.name in names}


@dataclass
class Network:
    """`directory` holds every configuration and log."""

    plan: Plan
    directory: Path
    fabric: Fabric = field(init=False)
    programs: NodePrograms = field(init=False)
    vendors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        self.programs = NodePrograms(self.directory / "logs", "world")
        self.fabric = Fabric(self.plan.addresses, LINK)

    async def up(self) -> None:
        """The link, what speakers announce as addresses of their own, the instances, and the workload's programming."""
        self.fabric.up()
        for speaker in self.plan.topology.speakers:
            for prefix in speaker.announces:
                if prefix.prefixlen == prefix.max_prefixlen:
                    self.fabric.hold(speaker.name, prefix.network_address)
        for server in self.plan.servers:
            for node, address in server.nodes.items():
                peers = self.plan.peers(server.name)
                self.start_bird(node, instances.configuration(address, server.network, peers, self.hold))
        await until("the Route Servers' instances answer", self._instances_answer)

    @property
    def hold(self) -> int:
        """BGP's hold time in seconds."""
        return int(self.plan.topology.timing.bgp_hold.total_seconds())

    # --- programs

    def start(self, node: str, name: str, argv: list[str], env: Mapping[str, str] | None = None) -> Program:
        """Starts a program on a node, to be killed with whatever else runs there."""
        return self.programs.start(f"{name}-{node}", [*self.fabric.enter(node), *argv], f"{node}/", env)

    def start_bird(self, node: str, configuration: str) -> None:
        self._start_daemon(node, "bird", configuration)

    def configure(self, node: str, configuration: str) -> None:
        """Has a running BIRD read another configuration. Raises ToolError where it does not take it."""
        (self.directory / node / "bird.conf").write_text(configuration)
        answer = route_servers.ask(self._control(node), "configure")
        if not any(line.startswith(("0003", "0004", "0005")) for line in answer):
            raise ToolError(f"the BIRD of {node}: {' '.join(answer)}")

    def start_speaker(self, name: str, vendor: str, besides: str = "", topology: Topology | None = None) -> None:
        """What `render` gives for it, then the operator's own part, `besides`. `topology` where it is to be another."""
        self.start_text(name, vendor, self.rendered(name, vendor, topology) + besides)

    def rendered(self, name: str, vendor: str, topology: Topology | None = None) -> str:
        plan = self.plan
        return render(topology or plan.topology, name, vendor, plan.instances(name), plan.frontends)

    def start_text(self, name: str, vendor: str, text: str) -> None:
        """Where it is not to be what `render` gives."""
        self.vendors[name] = vendor
        if vendor == "exabgp" and self.plan.topology.clients(name):
            self._start_hub_agent(name, text)
        else:
            self._start_daemon(name, vendor, text)

    def _start_hub_agent(self, name: str, text: str) -> None:
        """Start the clients that are to be ExaBGP first: what a client is decides who opens the session."""
        hub, home = self.plan.topology.speaker(name), self.directory / name
        opening = [c.address for c in self.plan.topology.clients(name) if self.vendors.get(c.name) == "exabgp"]
        servers = [address for pair in self.plan.instances(name).values() for address in pair]
        tables = neighbours(servers), hub_agent.clients(text, opening)
        home.mkdir(exist_ok=True)
        hub_agent.enrol(home, name)
        config = home / "agent.toml"
        config.write_text(hub_agent.configuration(hub, self.plan.topology.name, home, self.hold, *tables))
        self.start(name, "agent", hub_agent.argv(config), ENVIRONMENT)

    def _start_daemon(self, node: str, vendor: str, text: str) -> None:
        home = self.directory / node
        home.mkdir(exist_ok=True)
        config = home / f"{vendor}.conf"
        config.write_text(text)
        daemon = DAEMONS[vendor]
        self.start(node, vendor, daemon.argv(config), daemon.environment)

    def peer(self, server: str, peers: Sequence[Peer]) -> None:
        """Makes and removes peerings of a running Route Server, so that these are left; no other session is touched."""
        found = self._server(server)
        for node, address in found.nodes.items():
            self.configure(node, instances.configuration(address, found.network, peers, self.hold))

    def kill(self, *nodes: str) -> int:
        """kill -9 for every process on them; gives how many there were."""
        return sum(self.programs.kill(f"{node}/") for node in nodes)

    async def program_workload(self, *servers: str) -> Program:
        """Writes what these Route Servers learn into the workload's kernel, from now on."""
        followed = [node for server in self.plan.servers if server.name in servers for node in server.nodes]
        argv = [sys.executable, "-m", "lab.packets.programmer", "--instances", *followed]
        programmer = self.start(WORKLOAD, "programmer", argv)
        await asyncio.gather(*(programmer.ready(f"ready {node}") for node in followed))
        return programmer

    # --- what is seen

    def learned(self, server: str) -> dict[str, tuple[Row, ...]]:
        """By instance. Raises OSError where one does not answer."""
        peers = self.plan.peers(server)
        return {node: self.table(node, peers) for node in self._server(server).nodes}

    def table(self, node: str, peers: Iterable[Peer]) -> tuple[Row, ...]:
        """What the BIRD of a node learned from these. Raises OSError where it does not answer."""
        answer = route_servers.ask(self._control(node), "show route all")
        return rows(self.fabric.addresses[node], answer, peers)

    def counted(self, server: str) -> dict[str, dict[str, SessionCount]]:
        """What each instance counts of each session, by instance and by peer as BIRD calls it."""
        return {node: self.sessions(node) for node in self._server(server).nodes}

    def sessions(self, node: str) -> dict[str, SessionCount]:
        """What the BIRD of a node counts of each session, by peer as BIRD calls it."""
        return route_servers.counts(route_servers.ask(self._control(node), "show protocols all"))

    def undisturbed(self, server: str) -> dict[str, dict[str, tuple[str, SessionCount]]]:
        """What stays the same while no peer sends an UPDATE: each session's beginning, and what came by it since.

        By instance and by peer, those that are established.
        """
        found = {}
        for node, counts in self.counted(server).items():
            since = up_since(route_servers.ask(self._control(node), "show protocols"))
            found[node] = {peer: (since[peer], counts[peer]) for peer in sorted(since.keys() & counts.keys())}
        return found

    def _server(self, name: str) -> Instances:
        (found,) = (s for s in self.plan.servers if s.name == name)
        return found

    def _control(self, node: str) -> Path:
        return self.directory / node / "bird.ctl"

    def _instances_answer(self) -> bool:
        nodes = [node for server in self.plan.servers for node in server.nodes]
        return all(route_servers.ask(self._control(node), "show status") for node in nodes)

    def hops(self, node: str, prefix: str) -> frozenset[str]:
        """Next hops in a node's kernel table for exactly this prefix."""
        words = self.fabric.inside(node, "ip", "route", "show", "exact", prefix).split()
        return frozenset(after for word, after in pairwise(words) if word == "via")

    def forwarded(self, nodes: Iterable[str]) -> dict[str, int]:
        """How many packets each node has passed on so far."""
        return {node: _forwarded(self.fabric.inside(node, "cat", "/proc/net/snmp")) for node in nodes}

    # --- packets

    @contextlib.asynccontextmanager
    async def pings(self, name: str, to: Sequence[IPv4Address], phases: list[Phase]) -> AsyncIterator[None]:
        """Pings from the workload for as long as the context lasts; what came of them is added to `phases`."""
        number, began = len(phases), time.monotonic()
        started = {a: self.start(WORKLOAD, f"ping-{number}-{a}", ["ping", "-n", "-i", str(EVERY), str(a)]) for a in to}
        yield
        for ping in started.values():
            ping.process.send_signal(signal.SIGINT)
        await until("the pings end", lambda: all(p.process.poll() is not None for p in started.values()), 10)
        phases.append(Phase(name, time.monotonic() - began, {a: _read(ping) for a, ping in started.items()}))


def programmed(programmer: Program, rows: Iterable[Row]) -> int:
    """How often a route of these networks was written into the workload's kernel so far."""
    networks = {f'"{row.network}"' for row in rows}
    return sum(any(network in line for network in networks) for line in programmer.log.read_text().splitlines())


def _read(ping: Program) -> Counted:
    try:
        return counted(ping.log.read_text().splitlines())
    except ValueError as error:
        raise ToolError(f"{ping.name}: {ping.last_words()}") from error


def _forwarded(snmp: str) -> int:
    heads, values = (line.split() for line in snmp.splitlines() if line.startswith("Ip:"))
    return int(values[heads.index("ForwDatagrams")])
