"""One NVA: the agent itself on its address, started and ended any number of times, and the ways that lead to it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from hopkeeper_agent.agent import Agent
from hopkeeper_agent.config import Config
from hopkeeper_agent.duties import Store
from hopkeeper_agent.identity import Identity
from hopkeeper_agent.role import Advertisement, Role, ServiceState, Toward, Turn, answers
from hopkeeper_agent.speakers import Finding, Session, SessionState
from hopkeeper_agent.state import StateFile

from proving.storm.wire.place import ASN, COMMAND, COMMAND_WAY, PROBE, PROBE_WAY, SERVICE, TOPOLOGY
from proving.storm.wire.ways import Mode, Way, accepted

if TYPE_CHECKING:
    from proving.storm.wire.world import World


class Announcing:
    """A speaker that tells the simulated Route Server directly what it announces, in place of BGP."""

    def __init__(self, world: "World", address: IPv4Address) -> None:
        self._table = world.azure.world.bgp
        self._ends = [(IPv4Address(instance), address) for instance in world.place.seed.instances]

    async def start(self) -> None:
        for ends in self._ends:
            self._table.up(*ends)

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        if toward is Toward.OUTWARD:
            return
        for ends in self._ends:
            wanted = {item.prefix for item in advertisements}
            self._table.withdrawn(ends, [r.network for r in self._table.routes(*ends) if r.network not in wanted])
            for item in advertisements:
                self._table.announced(ends, [item.prefix], item.next_hop, (ASN,) * (1 + item.prepend))

    def sessions(self) -> Mapping[IPv4Address, Session]:
        return {instance: Session(SessionState.ESTABLISHED, datetime.now(UTC)) for instance, _ in self._ends}

    def findings(self) -> Mapping[str, Finding]:
        return {}

    async def close(self) -> None:
        """The machine is gone, and its sessions with it."""
        for ends in self._ends:
            self._table.down(*ends)


class Disk:
    """The agent's own state file on a disk that may fail, and that goes when the machine does.

    A write is done in a thread, which outlives its agent here, as it would no process.
    """

    def __init__(self, store: Store, is_broken: Callable[[], bool]) -> None:
        self._store = store
        self._is_broken = is_broken
        self._gone = False
        self._writing = threading.Lock()

    def save(self, states: Mapping[str, ServiceState]) -> None:
        with self._writing:
            if self._gone or self._is_broken():
                raise OSError("the disk fails")
            self._store.save(states)

    def go(self) -> None:
        """Returns once nothing is written any more; not for the event loop."""
        with self._writing:
            self._gone = True


class StagedAgent(Agent):
    """The agent as it is, but for its speaker, as no BGP daemon is needed here, and a disk that may fail."""

    def __init__(self, config: Config, speaker: Announcing, is_broken: Callable[[], bool]) -> None:
        super().__init__(config)
        self._speaker = speaker
        self._parts = replace(self._parts, speaker=speaker)
        self.duties._speaker = speaker
        self.disk = self.duties._store = Disk(self.duties._store, is_broken)

    @property
    def state(self) -> ServiceState:
        return self.duties.states.get(SERVICE, ServiceState())

    @property
    def will(self) -> bool:
        """Whether the probe answers 200 now."""
        return self.state.role is Role.SERVING and self.probe.port != 0 and answers(self.state, self._parts.fatal())


class Nva:
    """See the module."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        self.address = world.place.address(name)
        self.commands = Way(self.address, COMMAND_WAY, COMMAND)
        self.probe_tries = Way(self.address, PROBE_WAY, PROBE)
        self.agent: StagedAgent | None = None
        self.disk_broken = False
        self.leaves = False
        """Whoever would connect now had better not: it is about to go."""
        self._turning = asyncio.Lock()
        self._turns: set[asyncio.Task[None]] = set()

    @property
    def will(self) -> bool:
        return self.agent is not None and self.agent.will

    def remember(self, epoch: int, serving: bool) -> None:
        """What its disk holds before its first start."""
        folder = self._world.place.directory / self.name / "state"
        folder.mkdir(mode=0o700, exist_ok=True)
        state = ServiceState(Turn(epoch, 0 if serving else 1), Role.SERVING if serving else Role.STANDBY)
        StateFile(folder, Identity(self.name, TOPOLOGY), self.name).save({SERVICE: state})

    async def open(self) -> None:
        await asyncio.gather(self.commands.open(), self.probe_tries.open())

    async def start(self) -> None:
        """Boots, unless it is up. Whoever gives up waiting leaves no half of it behind, nor with `end`."""
        await asyncio.shield(self._spawn(self._start()))

    async def end(self) -> None:
        """Everything stops, the probe first; the disk keeps what it has."""
        await asyncio.shield(self._spawn(self._end()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return task

    async def _start(self) -> None:
        async with self._turning:
            if self.agent is None:
                config = self._world.place.agent_config(self.name, self._world.reports_url)
                self.agent = StagedAgent(config, Announcing(self._world, self.address), lambda: self.disk_broken)
                await self.agent.start()

    async def _end(self) -> None:
        async with self._turning:
            if self.agent is not None:
                self._leave(True)
                try:
                    await accepted()
                    await self.agent.close()
                    await asyncio.to_thread(self.agent.disk.go)
                finally:
                    self.agent = None
                    self._leave(False)

    def _leave(self, leaves: bool) -> None:
        self.leaves = self.commands.ends_here = self.probe_tries.ends_here = leaves

    async def close(self) -> None:
        """The ways go as well; `end` all first, for they use each other's."""
        await asyncio.gather(self.commands.close(), self.probe_tries.close())

    def cut(self, mode: Mode) -> None:
        """The app's way to it."""
        self.commands.turn(mode)

    def isolate(self, isolated: bool) -> None:
        """Its peers neither hear it nor reach its probe; the load balancer does."""
        cut = self._world.gossip.cut
        (cut.add if isolated else cut.discard)(str(self.address))
        self.probe_tries.turn(Mode.REFUSED if isolated else Mode.OPEN)
