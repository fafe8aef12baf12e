"""Two apps with the same signing key, each with a storage of its own, over the same agents and pool: a mistake that must show."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from function_app.domain.base.errors import Transient
from function_app.domain.service.observation import AgentReading, Role, Unreachable
from function_app.domain.service.record import Phase
from function_app.domain.topology.model import Speaker
from function_app.reconcile.ports import AgentCommand, CommandAnswer
from tests.fakes import FakeWorld
from tests.unit.reconcile.scene import Scene

FAULTS = ["kill", "revive", "cut", "join", "missed", "heard", "unfit", "fit", "arm", "storage", "disk"]
EVENTS = 40
FEW = 6
ALARM = "another app has our signing key"


class Way:
    """Agents by the way of one app; `cut` are those that it does not reach, and others may."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.cut: set[str] = set()

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        if speaker.name in self.cut:
            return Unreachable("no answer")
        return await self.world.status(topology, speaker, timeout)

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        if speaker.name in self.cut:
            return CommandAnswer(Unreachable("no answer"))
        return await self.world.command(topology, speaker, service, command, timeout)


class Apps:
    """Both apps, and what befalls them."""

    def __init__(self, members: int = 2, seed: int = 0) -> None:
        self.draw = random.Random(seed)
        first = Scene(members)
        self.world = first.world
        self.scenes = [first, Scene(world=first.world)]
        self.ways = [Way(first.world), Way(first.world)]
        for scene, way in zip(self.scenes, self.ways, strict=True):
            scene.clock = first.clock
            scene.ports = replace(scene.ports, agents=way, clock=first.clock)

    async def pass_over(self, at_once: int = 1) -> None:
        """One, or both at the same moment; a pass may fail with storage."""
        acting = self.draw.sample(self.scenes, self.draw.randint(1, at_once))
        runs = [self.draw.choice([scene.fast, scene.slow])() for scene in acting]
        for outcome in await asyncio.gather(*runs, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Transient):
                raise outcome

    def befall(self, ways: list[Way]) -> None:
        """A fault of a member, or of what it takes to reach it by these ways."""
        name = self.draw.choice(sorted(self.world.agents))
        agent = self.world.agents[name]
        what = self.draw.choice(FAULTS)
        match what:
            case "kill":
                self.world.kill(name)
            case "revive" if not agent.up:
                self.world.revive(name)
            case "cut" | "join":
                for way in ways:
                    way.cut = way.cut | {name} if what == "cut" else way.cut - {name}
            case "missed" | "heard":
                agent.missed = what == "missed"
            case "unfit" | "fit":
                agent.fatal = ("forwarding is off",) if what == "unfit" else ()
            case "arm":
                self.world.arm_up = not self.world.arm_up
            case "storage":
                down = self.draw.choice(self.scenes).documents
                down.down = not down.down
            case "disk":
                agent.role = Role.STANDBY
        self.world.watch()

    def heal(self) -> None:
        self.world.arm_up = True
        for scene, way in zip(self.scenes, self.ways, strict=True):
            scene.documents.down = False
            way.cut.clear()
        for name, agent in self.world.agents.items():
            agent.fatal, agent.missed = (), False
            if not agent.up:
                self.world.revive(name)

    @property
    def admitted(self) -> int:
        return len(self.world.eligible())

    async def alarming(self) -> list[bool]:
        """Of each app, whether its next pass says that there is another one."""
        return [any(ALARM in why for why in (await scene.slow()).reasons) for scene in self.scenes]


@pytest.mark.parametrize("seed", range(40))
async def test_two_apps_whose_passes_take_turns_never_have_two_admitted_and_both_say_that_there_is_another(
    seed: int,
) -> None:
    apps = Apps(2 + seed % 2, seed)
    for _ in range(EVENTS):
        apps.befall([apps.draw.choice(apps.ways)])
        await apps.pass_over()
    apps.heal()
    for _ in range(EVENTS):
        await apps.pass_over()
    assert apps.world.two_serving == 0
    assert apps.admitted == 1
    assert await apps.alarming() == [True, True]


@pytest.mark.parametrize("seed", range(40))
async def test_two_that_passes_of_two_apps_at_one_moment_admitted_are_one_again_a_few_passes_after_healing(
    seed: int,
) -> None:
    apps = Apps(2 + seed % 2, seed)
    for _ in range(EVENTS):
        apps.befall([apps.draw.choice(apps.ways)])
        await apps.pass_over(at_once=2)
    apps.heal()
    for _ in range(FEW):
        await apps.pass_over(at_once=2)
    for _ in range(EVENTS):
        await apps.pass_over(at_once=2)
        assert apps.admitted == 1


async def test_an_app_that_is_alone_again_says_so_no_longer_than_the_spacing_is_remembered() -> None:
    apps = Apps()
    for _ in range(EVENTS):
        await apps.pass_over()
    apps.world.kill("nva-a")
    for _ in range(EVENTS):
        await apps.pass_over()
    assert await apps.alarming() == [True, True]
    apps.world.revive("nva-a")
    alone = apps.scenes[0]
    alone.clock.at += alone.topology.timing.spacing_forget
    await alone.settle()
    assert ALARM not in str(await alone.slow())


async def test_a_record_that_was_put_back_once_is_no_other_app() -> None:
    scene = Scene()
    await scene.settle()
    older = scene.documents.stored["records/hub/fw.json"]
    scene.world.kill("nva-a")
    await scene.fast()
    scene.documents.stored["records/hub/fw.json"] = older
    said = [str(await scene.slow()) for _ in range(FEW)]
    assert "learning" in said[0]
    assert scene.record.phase is Phase.STABLE
    assert not any(ALARM in outcome for outcome in said)
