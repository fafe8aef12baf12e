"""Random histories over the world in memory: never two eligible, and one holder once everything has healed."""

import asyncio
import random

import pytest

from function_app.domain.base.errors import Transient
from function_app.domain.service.observation import Role
from function_app.domain.service.record import Phase
from tests.unit.reconcile.scene import Scene

EVENTS = 60


def _fault(scene: Scene, draw: random.Random) -> None:
    world = scene.world
    name = draw.choice(sorted(world.agents))
    agent = world.agents[name]
    match draw.choice(["kill", "revive", "cut", "join", "fatal", "fit", "arm", "arm", "storage", "disk"]):
        case "kill":
            world.kill(name)
        case "revive" if not agent.up:
            world.revive(name)
        case "cut":
            agent.cut = True
        case "join":
            agent.cut = False
        case "fatal":
            agent.fatal = ("forwarding is off",)
        case "fit":
            agent.fatal = ()
        case "arm":
            world.arm_up = not world.arm_up
        case "disk":
            agent.role = Role.STANDBY
        case "storage":
            scene.documents.down = not scene.documents.down
    world.watch()


async def _passes(scene: Scene, draw: random.Random) -> None:
    """One to three instances at once; a pass may fail with storage, never otherwise."""
    runs = [draw.choice([scene.fast, scene.slow])() for _ in range(draw.randint(1, 3))]
    for outcome in await asyncio.gather(*runs, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, Transient):
            raise outcome


def _heal(scene: Scene) -> None:
    scene.documents.down, scene.world.arm_up = False, True
    for name, agent in scene.world.agents.items():
        agent.cut, agent.fatal = False, ()
        if not agent.up:
            scene.world.revive(name)


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("seed", range(150))
async def test_never_two_eligible_and_one_holder_after_healing(members: int, seed: int) -> None:
    draw = random.Random(seed)
    scene = Scene(members)
    for _ in range(EVENTS):
        _fault(scene, draw)
        if draw.random() < 0.6:
            await _passes(scene, draw)
        assert scene.world.two_serving == 0, f"two eligible: seed {seed}"
    _heal(scene)
    await scene.settle()
    assert len(scene.serving()) == 1, f"not live: seed {seed}"
    assert scene.record.phase is Phase.STABLE
    assert scene.record.may_serve == set(scene.serving())
    assert (scene.record.fenced, scene.record.owed) == ({}, {})
