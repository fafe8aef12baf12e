"""What is published: each thing once, after the pass, with its reason; again with the same id where the topic did not take it."""

import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from function_app.domain.base.errors import Problem
from function_app.domain.service.observation import AdminState
from function_app.domain.service.orders import order_from
from function_app.reconcile.documents.event import Event, EventKind
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.publishing import PENDING_MOST, Outbox
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.store.topologies import InForce
from tests.unit.reconcile.scene import Scene

OUTBOX = "events/hub.json"
GUIDE = Path(__file__).resolve().parents[3] / "docs" / "operating.md"


def kinds(scene: Scene) -> list[str]:
    """But for findings, which have tests of their own."""
    return [event.kind for event in scene.world.published if event.kind != "FindingsChanged"]


def redundancy(scene: Scene) -> list[str]:
    return [kind for kind in kinds(scene) if kind.startswith("Redundancy")]


async def settled(members: int = 2) -> Scene:
    """At rest, with nothing published so far."""
    scene = Scene(members)
    await scene.settle()
    await scene.slow()
    scene.world.published.clear()
    return scene


async def moved() -> Scene:
    """Three members, of which the holder is killed and outlived; nothing is published but what follows."""
    scene = await settled(3)
    await failover(scene)
    return scene


async def failover(scene: Scene) -> None:
    scene.world.kill("nva-a")
    scene.clock.at += timedelta(minutes=1)
    for _ in range(8):
        await scene.slow()
    assert (scene.record.phase, scene.record.holder) == ("stable", "nva-b")


async def test_a_failover_is_published_from_its_start_to_its_proof_with_its_reason() -> None:
    scene = await moved()
    found = {event.kind: event for event in scene.world.published if event.change}
    assert list(found) == ["FailoverStarted", "Promoted", "Verified"]
    for event in found.values():
        assert (event.topology, event.subject) == ("hub", "fw")
        assert event.change
        assert (event.change.previous, event.change.target) == ("nva-a", "nva-b")
        assert event.change.operation == "failover"
    assert "nva-a" in found["FailoverStarted"].reasons[0]
    assert found["FailoverStarted"].at <= found["Promoted"].at <= found["Verified"].at


async def test_a_fast_pass_publishes_nothing_and_the_slow_one_after_it_what_it_did() -> None:
    scene = await settled()
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    scene.clock.at += timedelta(minutes=1)
    await scene.fast()
    assert scene.record.target == "nva-b"
    assert scene.world.published == []
    await scene.slow()
    assert kinds(scene)[:2] == ["FailoverStarted", "Promoted"]


async def test_nothing_is_published_twice_and_nothing_of_before_the_first_pass() -> None:
    scene = Scene()
    await scene.fast()
    await scene.slow()
    assert not any(event.change for event in scene.world.published)
    await scene.settle()
    before = len(scene.world.published)
    for _ in range(3):
        await scene.slow()
    assert len(scene.world.published) == before
    ids = [event.id for event in scene.world.published]
    assert len(set(ids)) == len(ids)


async def test_an_event_that_a_topic_does_not_take_is_sent_again_with_its_id_and_in_its_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = await settled(3)
    scene.world.offered.clear()
    scene.world.takes_events = False
    await failover(scene)
    assert "events are published later" in caplog.text
    waiting = msgspec.json.decode(scene.documents.stored[OUTBOX].body, type=Outbox).pending
    assert set(scene.world.offered) == {waiting[0].id}
    scene.world.takes_events = True
    await scene.slow()
    assert [event.id for event in scene.world.published][: len(waiting)] == [event.id for event in waiting]
    assert msgspec.json.decode(scene.documents.stored[OUTBOX].body, type=Outbox).pending == ()


async def test_a_topic_that_takes_nothing_for_long_loses_the_oldest_and_that_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = await settled()
    event = Event(id="old", kind="Held", at=scene.clock.at, topology="hub", subject="fw")
    old = msgspec.json.decode(scene.documents.stored[OUTBOX].body, type=Outbox)
    full = msgspec.structs.replace(old, pending=(event,) * PENDING_MOST)
    await scene.documents.put(OUTBOX, msgspec.json.encode(full))

    scene.world.takes_events = False
    scene.world.kill("nva-b")
    await scene.slow()
    waiting = msgspec.json.decode(scene.documents.stored[OUTBOX].body, type=Outbox).pending
    assert (len(waiting), waiting[-1].id == "old") == (PENDING_MOST, False)
    assert "are lost: the topic takes none" in caplog.text


async def test_where_no_topic_is_configured_nothing_is_stored() -> None:
    scene = Scene()
    scene.world.publishes = False
    await scene.settle()
    assert OUTBOX not in scene.documents.stored
    assert scene.world.published == []


async def test_lost_redundancy_is_published_once_and_once_that_it_is_back() -> None:
    scene = await settled()
    scene.world.kill("nva-b")
    for _ in range(3):
        await scene.slow()
    assert redundancy(scene) == ["RedundancyLost"]
    assert scene.world.published[0].reasons[0].startswith("nva-b: ")
    scene.world.revive("nva-b")
    for _ in range(3):
        await scene.slow()
    assert redundancy(scene) == ["RedundancyLost", "RedundancyBack"]


async def test_what_is_held_is_published_once_with_its_reason_and_once_that_it_is_over() -> None:
    scene = await settled()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    scene.clock.at += timedelta(minutes=1)
    for _ in range(4):
        await scene.slow()
    assert kinds(scene).count("Held") == 1
    (held,) = [event for event in scene.world.published if event.kind == "Held"]
    assert held.reasons
    scene.world.arm_up = True
    scene.world.revive("nva-a")
    await scene.settle()
    assert kinds(scene).count("HeldOver") == 1


async def test_a_fence_that_somebody_else_undid_is_published_with_its_member() -> None:
    scene = await moved()
    scene.world.published.clear()
    assert "nva-a" in scene.record.fenced
    scene.world.admin["nva-a"] = AdminState.NONE
    for _ in range(4):
        await scene.slow()
    (undone,) = [event for event in scene.world.published if event.kind == "FenceUndone"]
    assert undone.change
    assert undone.change.member == "nva-a"


async def test_a_fence_that_we_lift_is_not_undone() -> None:
    scene = await moved()
    scene.world.revive("nva-a")
    scene.clock.at += timedelta(minutes=1)
    await scene.settle()
    assert scene.record.fenced == {}
    assert "FenceUndone" not in kinds(scene)


async def test_a_refused_order_is_published_with_the_guard_that_refused_it_and_not_twice() -> None:
    scene = await settled()
    scene.world.kill("nva-b")
    order = order_from("switchover", {"to": "nva-b", "by": "somebody"})
    for _ in range(2):
        scene.clock.at += timedelta(seconds=1)
        await operate(scene.ports, InForce(scene.topology, "g1"), scene.topology.services[0], order)
    await scene.slow()
    refused = [event for event in scene.world.published if event.kind == "Refused"]
    assert len(refused) == 1
    assert "nva-b" in refused[0].reasons[0]


async def test_a_document_that_is_not_put_in_force_is_published_once() -> None:
    scene = await settled()
    rejected = InForce(scene.topology, "g1", (Problem("$.speakers[0].asn", "is missing"),))
    for _ in range(2):
        scene.clock.at += timedelta(seconds=1)
        await slow_pass(scene.ports, rejected, "test")
    assert kinds(scene) == ["TopologyRejected"]
    assert scene.world.published[-1].reasons == ("$.speakers[0].asn: is missing",)


async def test_a_peering_that_somebody_deleted_is_published_once_it_is_there_again() -> None:
    scene = await settled()
    del scene.world.peerings["hopkeeper-hub_nva-b"]
    await scene.slow()
    assert kinds(scene) == []
    await scene.settle()
    assert kinds(scene) == ["DriftRepaired"]
    assert "hopkeeper-hub_nva-b" in scene.world.published[-1].reasons[0]


async def test_an_outbox_that_another_pass_writes_is_left_to_that_one() -> None:
    scene = await settled()
    scene.documents.before_save.append((OUTBOX, scene.documents.stored[OUTBOX].body))
    scene.world.kill("nva-b")
    await scene.slow()
    assert kinds(scene) == []


def test_the_guide_has_every_event_in_its_order() -> None:
    listed = re.findall(r"^\| `Hopkeeper\.(\w+)` \|", GUIDE.read_text(), re.MULTILINE)
    assert listed == list(get_args(EventKind.__value__))
