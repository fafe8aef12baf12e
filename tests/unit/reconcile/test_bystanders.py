"""Which answers a fast pass waits for: those of members that could be the better choice, and no more."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from function_app.domain.service.observation import AgentReading
from function_app.domain.topology.model import Speaker
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import AgentCommand, CommandAnswer
from tests.fakes import FakeWorld
from tests.unit.reconcile.scene import Scene

PATIENT = {"observeFast": "PT9S", "observeSlow": "PT9S", "learnFor": "PT1S"}
TURNS = 200
"""Of the event loop: more than a failover takes here."""


@dataclass
class LateToAnswer:
    """Agents of which one answers no request for its status before it is let."""

    world: FakeWorld
    late: str
    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        if speaker.name == self.late:
            await self.let.wait()
        return await self.world.status(topology, speaker, timeout)

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        return await self.world.command(topology, speaker, service, command, timeout)


async def struck(late: str, scene: Scene) -> tuple[LateToAnswer, asyncio.Future[Outcome]]:
    """The holder finds a fault, and one member does not answer: what came of it in many turns of the loop."""
    await scene.settle()
    agents = LateToAnswer(scene.world, late)
    scene.ports = replace(scene.ports, agents=agents)
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    under_way = asyncio.ensure_future(scene.fast())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    return agents, under_way


async def test_a_failover_waits_for_no_member_that_could_not_be_the_better_choice() -> None:
    scene = Scene(3, timing=PATIENT)
    agents, under_way = await struck("nva-c", scene)
    assert (scene.serving(), under_way.done()) == (["nva-b"], False)
    agents.let.set()
    await under_way
    await scene.settle()
    assert (scene.serving(), scene.record.target) == (["nva-b"], "nva-b")


@pytest.mark.parametrize("late", ["nva-a", "nva-b"])
async def test_a_better_choice_is_waited_for(late: str) -> None:
    scene = Scene(3, timing=PATIENT)
    agents, under_way = await struck(late, scene)
    assert scene.serving() == []
    agents.let.set()
    await under_way
    assert scene.serving() == ["nva-b"]
