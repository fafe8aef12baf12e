"""One world on the wire: a stage of the stories with several hosts, and the laws looked at after every callback."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from hopkeeper_agent.role import Role, ServiceState, Turn

from function_app.domain.service.record import Operation, Phase, Record
from function_app.reconcile.store import keys
from lab.kit.virtual import BEGINNING, VirtualClock, virtual_loop
from proving.stories.host import Adapt
from proving.stories.narrator import Narrator
from proving.stories.seed import Seeding
from proving.stories.stage import Stage, Story
from proving.storm.faults import Plan
from proving.storm.places import PACES
from proving.storm.wire.checks import Checks
from proving.storm.wire.place import SERVICE, TOPOLOGY
from simulator.resources import Json

FIRST_EPOCH = 3


def as_is(ports: Any, azure: Any) -> Any:
    """The app's own adapters."""
    return ports


class World:
    """See the module. `async with World.running(plan, ...)`."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self.plan = plan
        self.stage = stage
        self.draw = random.Random(f"wire world {plan.seed}")  # noqa: S311  # histories are drawn, not secret
        stage.choose = self.draw.choice
        for _ in range(plan.hosts - 1):
            stage.add_host()
        self.hosts_stay_down = False
        self.checks = Checks(self)
        self._turning = {name: asyncio.Lock() for name in stage.nvas}

    @classmethod
    @asynccontextmanager
    async def running(cls, plan: Plan, directory: Path, adapt: Adapt, narrator: Narrator) -> AsyncIterator["World"]:
        """Everything is up, the topology in force, and nothing has gone wrong yet."""
        async with Stage.set_for(_story(plan, adapt), narrator, directory) as stage:
            stage.world.set_faults({"noop_keeps_etag": plan.keeps_etag})
            await stage.apply()
            yield cls(plan, stage)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(self.stage.nvas)

    def say(self, who: str, what: str) -> None:
        """A line of the history."""
        self.stage.narrator.fact(who, what)

    # --- Azure

    @property
    def balancer_id(self) -> str:
        spec = self.stage.topology.service(SERVICE).load_balancer
        assert spec is not None
        return spec.id

    @property
    def balancer(self) -> Json:
        """ARM's document of the load balancer, as it is now."""
        found = self.stage.world.state.resources.get(self.balancer_id)
        assert found is not None
        return found

    def name_of(self, address: str) -> str | None:
        return next((name for name, nva in self.stage.nvas.items() if nva.address == address), None)

    # --- hosts

    async def kill_host(self) -> None:
        """One dies, and another one takes its place at once."""
        if self.stage.hosts:
            host = self.draw.choice(self.stage.hosts)
            self.stage.hosts.remove(host)
            self.say("host", "it dies")
            await host.kill()
            self.checks.died += host.died
            if not self.hosts_stay_down:
                self.stage.add_host()

    async def kill_hosts(self) -> None:
        """All die and stay away."""
        self.hosts_stay_down = True
        while self.stage.hosts:
            await self.kill_host()

    def revive_hosts(self) -> None:
        self.hosts_stay_down = False
        while len(self.stage.hosts) < self.plan.hosts:
            self.stage.add_host()

    # --- appliances: one start or end of each at a time

    async def crash(self, name: str) -> None:
        """The machine is gone at once, unless it is already. Whoever gives up waiting leaves no half of it behind."""
        await asyncio.shield(virtual_loop().create_task(self._crash(name)))

    async def boot(self, name: str) -> None:
        """Unless it is up."""
        await asyncio.shield(virtual_loop().create_task(self._boot(name)))

    async def _crash(self, name: str) -> None:
        async with self._turning[name]:
            if self.stage.nvas[name].is_up:
                await self.stage.kill(name)

    async def _boot(self, name: str) -> None:
        async with self._turning[name]:
            if not self.stage.nvas[name].is_up:
                await self.stage.boot(name)


def _story(plan: Plan, adapt: Adapt) -> Story:
    """The example with `plan.members` members; in a stable beginning the first one serves and all know it."""
    names = [f"nva-{letter}" for letter in "abcd"[: plan.members]]

    def change(document: dict[str, Any]) -> None:
        first, (service,) = document["speakers"][0], document["services"]
        document["speakers"] = [{**first, "name": name, "address": f"10.0.1.{4 + i}"} for i, name in enumerate(names)]
        service["members"] = [{"speaker": name, "priority": 200 - 10 * i} for i, name in enumerate(names)]
        service["failover"] = {"rehearse": "ordered"}
        document["timing"] = PACES[plan.pace]

    stable = plan.begins == "stable"
    return Story(
        name=f"wire {plan.seed}",
        says="",
        example="active-passive.yaml",
        acts=(),
        seeding=Seeding(peered=stable),
        change=change,
        stored={keys.record(TOPOLOGY, SERVICE): _record(names[0])} if stable else {},
        disks={name: {SERVICE: _state(name == names[0])} for name in names} if stable else {},
        adapt=adapt,
    )


def _state(serving: bool) -> ServiceState:
    return ServiceState(Turn(FIRST_EPOCH, 0 if serving else 1), Role.SERVING if serving else Role.STANDBY)


def _record(holder: str) -> bytes:
    operation = Operation(
        id=f"{SERVICE}-{FIRST_EPOCH}",
        kind="adopt",
        reason="",
        started=BEGINNING,
        deadline=BEGINNING + timedelta(seconds=120),
        confirmed=True,
    )
    return msgspec.json.encode(
        Record(
            service=SERVICE,
            epoch=FIRST_EPOCH,
            phase=Phase.STABLE,
            target=holder,
            may_serve=frozenset({holder}),
            operation=operation,
        )
    )


def narrator_for(trace: bool) -> Narrator:
    """Without a trace nothing is kept."""
    narrator = Narrator(VirtualClock(virtual_loop()).now)
    if not trace:
        narrator.close()
    return narrator
