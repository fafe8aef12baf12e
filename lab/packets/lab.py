"""What a contender works with inside its world: the network, programs on nodes, the Route Server, the packets."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from lab.packets import route_servers
from lab.packets.fabric import CLIENT, INSTANCES, NVAS, VIP, WORKLOAD, Fabric
from lab.packets.readings import Arrival, Reply, arrivals, replies
from lab.packets.route_servers import LearnedRoute, SessionCount, Timers
from tools.processes import Program, Programs, ToolError

PACKETS_PER_SECOND = 200
POLL = 0.02
STEADY = 1.0
"""Seconds that packets must flow without a pause before they count as flowing."""
PAUSE = 0.1
WITHIN = 120.0
"""Seconds that anything may take before a run counts as failed."""


class NodePrograms(Programs):
    """Programs that can be sent a signal by group, whatever they started themselves."""

    def signal(self, group: str, number: signal.Signals) -> int:
        """`number` to every process of the group or of one below it; gives how many there were."""
        pids = self._marked(f"{self.mark}:{group}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)


@dataclass
class Traffic:
    """The prober's and the client's files, read as they grow."""

    answered: Path
    arrived: Path

    def replies(self) -> list[Reply]:
        with self.answered.open() as lines:
            return replies(lines)

    def arrivals(self) -> list[Arrival]:
        with self.arrived.open() as lines:
            return arrivals(lines)

    async def flowing(self, after: float, without: str | None = None, within: float = WITHIN) -> str:
        """Waits until packets sent after `after` flow steadily, none of them through `without`; gives the server."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            recent = [r for r in self.replies() if r.sent >= max(after, time.monotonic() - STEADY - PAUSE)]
            servers = {r.server for r in recent}
            if len(servers) == 1 and without not in servers and _steady(recent):
                return servers.pop()
            await asyncio.sleep(POLL * 5)
        raise ToolError(f"packets did not flow{f' around {without}' if without else ''} within {within:g} s")


def _steady(recent: list[Reply]) -> bool:
    sent = sorted(r.sent for r in recent)
    covered = sent[-1] - sent[0] >= STEADY - PAUSE and time.monotonic() - sent[-1] < PAUSE
    return covered and all(b - a < PAUSE for a, b in pairwise(sent))


@dataclass
class Lab:
    """One world. `directory` holds every configuration and log."""

    directory: Path
    damping: float
    fabric: Fabric = field(default_factory=Fabric)
    programs: NodePrograms = field(init=False)
    peers: tuple[str, ...] = ()
    _programmer: Program | None = None

    def __post_init__(self) -> None:
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        self.programs = NodePrograms(self.directory / "logs", "world")

    async def up(self) -> None:
        """The network and the client; the data paths are the contender's to start, with the NVAs."""
        self.fabric.up()
        client = self.start_python("endpoint", CLIENT, ["--out", str(self.directory / "arrived")], CLIENT)
        await client.ready()

    def start(
        self, name: str, node: str, argv: list[str], group: str = "", env: Mapping[str, str] | None = None
    ) -> Program:
        """Starts a program on a node; `group` names what is killed together and begins with the node's name."""
        return self.programs.start(name, [*self.fabric.enter(node), *argv], group or node, env)

    def start_python(self, module: str, node: str, arguments: list[str], group: str = "") -> Program:
        """Starts one of this package's programs on a node."""
        argv = [sys.executable, "-m", f"lab.packets.{module}", *arguments]
        return self.start(f"{module}-{node}-{len(self.programs.started)}", node, argv, group)

    async def start_data_paths(self, *nodes: str) -> None:
        """On all NVAs if none is named."""
        started = [self.start_python("data_path", n, ["--node", n], f"{n}/data") for n in nodes or NVAS]
        await asyncio.gather(*(program.ready() for program in started))

    def thaw(self) -> None:
        for node in NVAS:
            self.programs.signal(node, signal.SIGCONT)

    # --- Route Server

    async def start_route_servers(self, peers: Mapping[str, int], timers: Timers) -> None:
        """Both instances, waiting for `peers` (nodes with their ASNs), and the programming of the workload."""
        self.peers = tuple(sorted(peers))
        for instance in INSTANCES:
            self.start_bird(instance, route_servers.configuration(instance, peers, timers), instance)
        await until("both Route Server instances answer", self._instances_answer)
        self._programmer = self.start_python("programmer", WORKLOAD, ["--damping", str(self.damping)])
        await asyncio.gather(*(self._programmer.ready(f"ready {instance}") for instance in INSTANCES))

    def start_bird(self, node: str, configuration: str, group: str) -> Program:
        config = self.directory / f"{node}.bird.conf"
        config.write_text(configuration)
        control, pid = self.control(node), self.directory / f"{node}.bird.pid"
        return self.start(
            f"bird-{node}", node, ["bird", "-f", "-c", str(config), "-s", str(control), "-P", str(pid)], group
        )

    def control(self, node: str) -> Path:
        return self.directory / f"{node}.ctl"

    def _instances_answer(self) -> bool:
        return all(route_servers.ask(self.control(instance), "show status") for instance in INSTANCES)

    def sessions(self) -> dict[str, dict[str, SessionCount]]:
        """What each instance counts of each peer."""
        answers = {i: route_servers.ask(self.control(i), "show protocols all") for i in INSTANCES if self.peers}
        return {instance: route_servers.counts(answer) for instance, answer in answers.items()}

    def learned(self) -> dict[str, tuple[LearnedRoute, ...]]:
        answers = {i: route_servers.ask(self.control(i), "show route all") for i in INSTANCES if self.peers}
        return {instance: route_servers.routes(answer) for instance, answer in answers.items()}

    def established(self) -> bool:
        """Whether every peer's session is up on both instances."""
        counted = self.sessions()
        return all(peers.get(p, _NONE).established for peers in counted.values() for p in self.peers)

    def programmings(self, since: float = 0.0) -> list[dict[str, Any]]:
        """What was written into the workload's table after `since`: `after` it, next hops, the programmer's own delay."""
        if self._programmer is None:
            return []
        said = [json.loads(line) for line in self._programmer.log.read_text().splitlines() if line.startswith("{")]
        return [
            {
                "after": round(one["at"] - since, 4),
                **{key: one[key] for key in ("prefix", "hops", "delay", "damped", "most")},
            }
            for one in said
            if one["at"] > since
        ]

    def workload_hops(self) -> str:
        return self.fabric.inside(WORKLOAD, "ip", "route", "show", f"{VIP}/32")

    # --- packets

    @contextlib.asynccontextmanager
    async def packets(self) -> AsyncIterator[Traffic]:
        """Packets from the workload to the VIP for as long as the context lasts."""
        answered = self.directory / "answered"
        answered.write_text("")
        arguments = ["--to", str(VIP), "--per-second", str(PACKETS_PER_SECOND), "--out", str(answered)]
        self.start_python("prober", WORKLOAD, arguments, "prober")
        try:
            yield Traffic(answered, self.directory / "arrived")
        finally:
            self.programs.kill("prober")


_NONE = SessionCount(False, 0, 0)


async def until(what: str, holds: Callable[[], bool], within: float = WITHIN) -> None:
    """Looks ten times a second; an OSError is a no. Raises ToolError."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if holds():
                return
        await asyncio.sleep(0.1)
    raise ToolError(f"not within {within:g} s: {what}")
