"""HOPKEEPER_OBSERVE_ONLY: what would be done is said, and nothing is."""

import msgspec

from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import OBSERVING, UseCases
from tests.builders import document, text
from tests.unit.reconcile.scene import Scene


async def observing() -> tuple[Scene, UseCases]:
    """A settled service that lost its second peering, and whose holder is unfit."""
    scene = Scene()
    await scene.documents.put("topologies/hub.yaml", text(document()).encode())
    await scene.settle()
    del scene.world.peerings["hopkeeper-hub_nva-b"]
    scene.world.agents["nva-a"].fatal = ("data-path: no answer",)
    return scene, UseCases(scene.ports, Topologies(scene.documents, Place(), observe_only=True), observe_only=True)


async def test_passes_say_what_they_would_do_and_write_nothing() -> None:
    scene, app = await observing()
    stored, writes = dict(scene.documents.stored), list(scene.world.peering_writes)
    commands = {name: list(agent.obeyed) for name, agent in scene.world.agents.items()}
    for look in (app.look, app.look_at_once):
        outcome = await look("hub", "test")
        assert (outcome.ending, outcome.reasons[0]) == (Ending.HELD, OBSERVING)
        assert any("would CreatePeering hopkeeper-hub_nva-b" in reason for reason in outcome.reasons)
        assert any("would SendFence nva-a" in reason for reason in outcome.reasons)
    assert scene.documents.stored == stored
    assert scene.world.peering_writes == writes
    assert {name: agent.obeyed for name, agent in scene.world.agents.items()} == commands


async def test_orders_are_refused() -> None:
    scene, app = await observing()
    before = scene.documents.stored["records/hub/fw.json"]
    outcome = await app.order("hub", "fw", "pause", msgspec.json.decode(b'{"by": "me"}'))
    assert (outcome.ending, outcome.reasons) == (Ending.REFUSED, (OBSERVING,))
    assert scene.documents.stored["records/hub/fw.json"] == before
