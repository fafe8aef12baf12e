"""Passes that say what the last one said: how many entries of the history they file, and that none is lost that says more."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from function_app.domain.service.orders import order_from
from function_app.reconcile.documents.history import Entry
from function_app.reconcile.history import entries, explain
from function_app.reconcile.operate import operate
from function_app.reconcile.store.topologies import InForce
from tests.unit.reconcile.scene import Scene

MINUTE = 60
"""Of fast passes, a second apart: as long as a sweep."""


async def ordered(scene: Scene, verb: str) -> None:
    order = order_from(verb, {"by": "ann"})
    await operate(scene.ports, InForce(scene.topology, "g1"), scene.topology.services[0], order)


async def filed(scene: Scene) -> tuple[Entry, ...]:
    return await entries(scene.documents, "hub", "fw", 10_000)


async def paused() -> Scene:
    scene = Scene()
    await scene.settle()
    await ordered(scene, "pause")
    scene.world.agents["nva-b"].fatal = ("the disk is full",)
    await scene.fast()
    return scene


async def held() -> Scene:
    """Its holder is dead, and no fence can be proven."""
    scene = Scene()
    await scene.settle()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    for _ in range(20):
        await scene.fast()
    return scene


@pytest.mark.parametrize("stands", [paused, held])
async def test_reports_in_a_flood_file_no_more_entries_than_sweeps_do(stands: Callable[[], Awaitable[Scene]]) -> None:
    scene = await stands()
    before = len(await filed(scene))
    for _ in range(3 * MINUTE):
        await scene.fast()
    assert 2 <= len(await filed(scene)) - before <= 3


async def test_a_pass_that_finds_anything_else_files_it_at_once() -> None:
    scene = await paused()
    before = len(await filed(scene))
    for fatal in ((), ("forwarding is off",), (), ("forwarding is off",)):
        scene.world.agents["nva-b"].fatal = fatal
        await scene.fast()
        await scene.fast()
    assert len(await filed(scene)) - before == 4


async def test_another_epoch_and_what_was_achieved_are_filed_at_once() -> None:
    scene = await held()
    before = len(await filed(scene))
    scene.world.arm_up = True
    for _ in range(5):
        await scene.slow()
    said = [step.phase for entry in (await filed(scene))[before:] for step in entry.steps]
    assert {"fencing → granted", "granted → stable"} <= set(said)


async def test_an_order_is_filed_each_time() -> None:
    scene = await paused()
    before = len(await filed(scene))
    for verb in ("failover", "failover", "pause", "resume"):
        scene.clock.at += timedelta(milliseconds=10)
        await ordered(scene, verb)
    assert len(await filed(scene)) - before == 4


async def test_a_moment_among_passes_that_say_the_same_is_explained_by_what_they_say() -> None:
    scene = await paused()
    for _ in range(MINUTE // 2):
        await scene.fast()
    at = scene.clock.at
    scene.world.agents["nva-b"].fatal = ()
    await scene.fast()
    (entry,) = (await explain(scene.documents, "hub", "fw", at)).entries
    assert (entry.outcome, "the disk is full" in str(entry.evidence["nva-b"])) == ("paused", True)
    assert at - entry.started < scene.topology.timing.sweep
