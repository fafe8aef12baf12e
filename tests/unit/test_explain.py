"""`hopkeeper explain` answers for any moment: evidence, guard and age."""

from datetime import UTC, datetime, timedelta

import pytest

from function_app.reconcile.operate import operate, order_from
from function_app.reconcile.topologies import InForce
from function_app.views.explain import explain
from tests.builders import NOW
from tests.unit.reconcile.scene import Scene


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.settle()
    made.world.kill("nva-a")
    made.world.arm_up = False
    await made.fast()
    return made


async def told(scene: Scene, at: datetime | None = None) -> str:
    return "\n".join(await explain(scene.documents, "hub", "fw", at))


async def test_why_a_failover_is_held_names_the_evidence_and_the_missing_proof(scene: Scene) -> None:
    text = await told(scene)
    assert "outcome: held" in text
    assert "no proof that nva-a does not serve" in text
    assert "failed: A unreachable, P failing on gossip and probe port" in text
    assert "ARM answers 503" in text


async def test_why_a_member_was_promoted_names_the_proof(scene: Scene) -> None:
    scene.world.arm_up = True
    await scene.fast()
    text = await told(scene)
    assert "nva-b is granted epoch 2: nva-a is fenced at the load balancer" in text
    assert "proof: nva-a fenced" in text


async def test_why_nothing_was_done_names_the_guard(scene: Scene) -> None:
    scene.clock.at += timedelta(seconds=1)
    order = order_from("pause", {"by": "ann"}, scene.clock.at)
    await operate(scene.ports, InForce(scene.topology, "g"), scene.topology.services[0], order)
    await scene.fast()
    assert "guard: paused: until" in await told(scene)


async def test_a_moment_is_explained_by_what_was_known_then_with_its_age(scene: Scene) -> None:
    moment = scene.clock.at
    scene.world.arm_up = True
    scene.clock.at += timedelta(seconds=60)
    await scene.fast()
    text = await told(scene, moment + timedelta(seconds=5))
    assert "5.0 s before the moment asked for" in text
    assert "outcome: held" in text


async def test_before_anything_happened_it_says_so(scene: Scene) -> None:
    assert "nothing is on record" in await told(scene, NOW - timedelta(days=1))
    assert "nothing is on record" in "\n".join(await explain(scene.documents, "hub", "else", datetime.now(UTC)))
