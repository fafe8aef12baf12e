"""A service that becomes active-active, and one that is active-passive again: what its record said before must not last."""

from msgspec.structs import replace

from function_app.domain.service.observation import AdminState
from function_app.domain.topology.model import Mode, Topology
from function_app.reconcile.passes.outcome import Ending
from tests.builders import topology
from tests.unit.reconcile.scene import Scene
from tests.unit.reconcile.test_orders import ordered

A, B, C = "nva-a", "nva-b", "nva-c"


def in_mode(mode: Mode, desired: Topology) -> Topology:
    """The same document in that mode."""
    return replace(desired, services=(replace(desired.services[0], mode=mode),))


async def test_a_service_that_was_active_active_for_a_while_is_served_by_one_member_again() -> None:
    scene = Scene(3)
    await scene.settle()
    scene.topology = in_mode(Mode.ACTIVE_ACTIVE, scene.topology)
    await scene.settle()
    assert scene.serving() == [A, B, C]
    scene.topology = in_mode(Mode.ACTIVE_PASSIVE, scene.topology)
    await scene.settle()
    assert scene.serving() == [A]
    assert scene.record.may_serve == {A}


async def test_a_service_in_the_middle_of_a_failover_becomes_active_active() -> None:
    scene = Scene(3)
    await scene.settle()
    scene.world.agents[B].deaf = True
    scene.world.kill(A)
    for _ in range(4):
        await scene.slow()
    scene.topology = in_mode(Mode.ACTIVE_ACTIVE, scene.topology)
    await scene.slow()
    assert scene.record.target is None
    assert scene.record.operation is None
    assert scene.serving() == [C]


async def test_a_member_that_was_fenced_before_a_service_became_active_active_is_lifted_once_it_is_back() -> None:
    scene = Scene(3)
    await scene.settle()
    scene.world.kill(A)
    for _ in range(5):
        await scene.slow()
    assert scene.record.fenced.keys() == {A}
    scene.topology = in_mode(Mode.ACTIVE_ACTIVE, scene.topology)
    await scene.slow()
    scene.world.revive(A)
    await scene.settle()
    assert scene.serving() == [A, B, C]
    assert scene.record.owed == {}


async def test_every_member_of_an_active_active_service_that_was_retired_is_lifted_once_it_is_resumed() -> None:
    scene = Scene(desired=in_mode(Mode.ACTIVE_ACTIVE, topology(3)))
    await scene.settle()
    await ordered(scene, "retire")
    for _ in range(8):
        await scene.slow()
    assert set(scene.world.admin.values()) == {AdminState.DOWN}
    await ordered(scene, "resume")
    await scene.settle()
    assert scene.serving() == [A, B, C]


async def test_the_last_member_of_an_active_active_service_that_gets_new_flows_is_not_drained() -> None:
    scene = Scene(desired=in_mode(Mode.ACTIVE_ACTIVE, topology(3)))
    await scene.settle()
    scene.world.admin[A] = scene.world.admin[B] = AdminState.DOWN
    await scene.slow()
    assert (await ordered(scene, "drain", member=C)).ending is Ending.REFUSED
    assert scene.serving() == [C]
