"""Whole passes over a world in memory: who serves, what is proven, what is held and why."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest

from function_app.domain.service.observation import AdminState, Role
from function_app.domain.service.record import EPOCH_MAX, SCHEMA, Phase
from function_app.domain.service.steps import SendPromote
from function_app.reconcile.passes.fast import fast_pass
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.store.topologies import InForce
from tests.builders import document, topology
from tests.fakes import FakeWakeUps
from tests.unit.reconcile.scene import Scene


@pytest.fixture
async def settled() -> Scene:
    scene = Scene()
    await scene.settle()
    return scene


async def test_a_new_topology_ends_with_both_peered_both_announcing_and_the_first_serving() -> None:
    scene = Scene()
    await scene.settle()
    assert sorted(scene.world.peerings) == ["hopkeeper-hub_nva-a", "hopkeeper-hub_nva-b"]
    assert scene.serving() == ["nva-a"]
    assert {a.advertised for a in scene.world.agents.values()} == {scene.world.agents["nva-a"].advertised} != {None}
    assert scene.record.phase is Phase.STABLE
    assert scene.record.may_serve == {"nva-a"}
    assert scene.world.two_serving == 0


async def test_whoever_serves_already_is_adopted_not_replaced() -> None:
    scene = Scene()
    scene.world.agents["nva-b"].role = Role.SERVING
    scene.world.agents["nva-b"].epoch = 7
    await scene.settle()
    assert scene.serving() == ["nva-b"]
    assert scene.record.epoch == 8


async def test_a_holder_that_says_it_is_unfit_is_replaced_by_its_acknowledgement_alone(settled: Scene) -> None:
    settled.world.agents["nva-a"].fatal = ("data-path: no echo",)
    settled.world.arm_up = False
    outcome = await settled.fast()
    assert settled.serving() == ["nva-b"]
    assert settled.world.balancer_writes == []
    assert settled.record.phase is Phase.GRANTED
    assert "still to confirm" in outcome.reasons[0]
    assert settled.world.two_serving == 0


async def test_a_dead_holder_is_fenced_at_the_load_balancer_before_anybody_is_granted(settled: Scene) -> None:
    settled.world.kill("nva-a")
    await settled.fast()
    assert settled.world.balancer_writes == [("nva-a", AdminState.DOWN)]
    assert settled.serving() == ["nva-b"]
    assert settled.record.fenced.keys() == {"nva-a"}
    assert settled.record.may_serve == {"nva-a", "nva-b"}


async def test_a_dead_holder_that_the_pool_does_not_list_is_followed_and_fenced_once_it_is_listed_again(
    settled: Scene,
) -> None:
    settled.world.kill("nva-a")
    settled.world.pool = {"nva-b"}
    await settled.fast()
    assert settled.serving() == []  # a pass that does not read whose the other addresses are
    await settled.slow()
    assert settled.serving() == ["nva-b"]
    assert settled.world.balancer_writes == []
    assert settled.record.fenced.keys() == {"nva-a"}
    settled.world.pool = {"nva-a", "nva-b"}
    await settled.slow()
    assert settled.world.balancer_writes == [("nva-a", AdminState.DOWN)]
    assert (settled.record.target, settled.record.fenced.keys()) == ("nva-b", {"nva-a"})


async def test_a_dead_holder_that_the_pool_does_not_list_is_not_followed_while_an_address_there_is_no_members(
    settled: Scene,
) -> None:
    """It may be that one: the document has it wrong."""
    settled.world.kill("nva-a")
    settled.world.pool, settled.world.admin["stranger"] = {"nva-b", "stranger"}, AdminState.NONE
    for _ in range(3):
        outcome = await settled.slow()
    assert outcome.ending is Ending.HELD
    assert "it is not in the pool, and the pool holds addresses that are no member's" in outcome.reasons[0]
    assert settled.world.agents["nva-b"].role is Role.STANDBY


async def test_a_member_that_was_followed_out_of_the_pool_and_is_put_back_down_by_an_operator_stays_so(
    settled: Scene,
) -> None:
    settled.world.kill("nva-a")
    settled.world.pool = {"nva-b"}
    await settled.slow()
    assert (settled.record.target, settled.record.owed) == ("nva-b", {})
    settled.world.pool, settled.world.admin["nva-a"] = {"nva-a", "nva-b"}, AdminState.DOWN
    settled.world.revive("nva-a")
    for _ in range(5):
        await settled.slow()
    assert settled.serving() == ["nva-b"]
    assert settled.world.admin["nva-a"] is AdminState.DOWN


async def test_without_any_proof_it_holds_says_so_and_changes_no_role(settled: Scene) -> None:
    settled.world.kill("nva-a")
    settled.world.arm_up = False
    outcome = await settled.fast()
    assert outcome.ending is Ending.HELD
    assert "no proof that nva-a does not serve" in outcome.reasons[0]
    assert "ARM answers 503" in outcome.reasons[0]
    assert settled.world.agents["nva-b"].role is Role.STANDBY
    assert settled.record.phase is Phase.FENCING


async def test_a_refused_connection_is_never_a_proof(settled: Scene) -> None:
    settled.world.kill("nva-a")
    settled.world.arm_up = False
    for _ in range(5):
        await settled.fast()
    assert settled.record.phase is Phase.FENCING
    assert settled.serving() == []


async def test_what_was_held_goes_on_once_a_proof_can_be_had(settled: Scene) -> None:
    settled.world.kill("nva-a")
    settled.world.arm_up = False
    await settled.fast()
    settled.world.arm_up = True
    await settled.slow()
    assert settled.serving() == ["nva-b"]


async def test_a_held_pass_orders_one_wake_up_however_often_it_is_held(settled: Scene) -> None:
    settled.world.kill("nva-a")
    settled.world.arm_up = False
    assert isinstance(settled.ports.wake_ups, FakeWakeUps)
    settled.ports.wake_ups.sent.clear()
    settled.documents.stored.pop("turns/hub/due", None)
    for _ in range(4):
        await fast_pass(settled.ports, InForce(settled.topology, "g1"), "test")
    assert settled.ports.wake_ups.sent == [("hub", timedelta(seconds=1))]


async def test_a_member_that_returns_acknowledges_is_lifted_and_stays_standby(settled: Scene) -> None:
    settled.world.kill("nva-a")
    await settled.fast()
    settled.world.revive("nva-a")
    await settled.settle()
    assert settled.world.balancer_writes == [("nva-a", AdminState.DOWN), ("nva-a", AdminState.NONE)]
    assert settled.serving() == ["nva-b"]
    assert settled.record.may_serve == {"nva-b"}
    assert settled.record.fenced == {}
    assert settled.record.owed == {}
    assert settled.world.two_serving == 0


async def test_a_fence_is_lifted_only_after_the_record_stopped_believing_in_it(settled: Scene) -> None:
    settled.world.kill("nva-a")
    await settled.fast()
    settled.world.revive("nva-a")
    settled.world.arm_up = False
    await settled.slow()
    for _ in range(settled.topology.timing.verify_looks):  # no probe verifies it: so many looks are waited for
        settled.clock.at += settled.topology.timing.doubt_poll
        await settled.slow()
    assert settled.world.admin == {"nva-a": AdminState.DOWN, "nva-b": AdminState.NONE}
    assert settled.record.fenced == {}
    assert settled.record.owed.keys() == {"nva-a"}
    settled.world.arm_up = True
    await settled.settle()
    assert set(settled.world.admin.values()) == {AdminState.NONE}


async def test_adminstate_up_is_never_written_and_freezes_the_service_where_found(settled: Scene) -> None:
    settled.world.admin["nva-b"] = AdminState.UP
    settled.world.kill("nva-a")
    outcome = await settled.slow()
    assert outcome.ending is Ending.REFUSED
    assert "Up, which ignores the probe" in outcome.reasons[0]
    assert settled.world.balancer_writes == []


async def test_an_operators_down_is_never_undone_and_a_holder_under_it_is_replaced(settled: Scene) -> None:
    settled.world.admin["nva-a"] = AdminState.DOWN
    await settled.settle()
    assert settled.serving() == ["nva-b"]
    assert settled.world.balancer_writes == []
    assert settled.world.admin["nva-a"] is AdminState.DOWN


async def test_a_holder_that_only_we_cannot_reach_is_left_alone(settled: Scene) -> None:
    settled.world.agents["nva-a"].cut = True
    outcome = await settled.fast()
    assert settled.serving() == ["nva-a"]
    assert settled.record.phase is Phase.STABLE
    assert "only our path to it is broken" in outcome.reasons[0]


async def test_a_failed_holder_keeps_its_role_when_no_other_member_is_fit(settled: Scene) -> None:
    settled.world.agents["nva-a"].fatal = ("data-path: no echo",)
    settled.world.kill("nva-b")
    outcome = await settled.fast()
    assert "no other member is fit" in outcome.reasons[0]
    assert settled.world.agents["nva-a"].role is Role.SERVING


async def test_an_agent_ahead_of_the_record_makes_it_learn_again_and_touch_nothing(settled: Scene) -> None:
    settled.world.agents["nva-a"].epoch = 40
    before = dict(settled.world.admin), len(settled.world.agents["nva-b"].obeyed)
    await settled.fast()
    assert settled.record.phase is Phase.LEARN
    assert settled.record.may_serve == {"nva-a", "nva-b"}
    assert (dict(settled.world.admin), len(settled.world.agents["nva-b"].obeyed)) == before
    await settled.settle()
    assert settled.record.epoch > 40
    assert settled.serving() == ["nva-a"]


@pytest.mark.parametrize("body", [b"{torn", b'{"service":"fw","target":"\xe2\x82"}'], ids=["torn", "torn in a letter"])
async def test_a_corrupt_record_is_not_believed(settled: Scene, body: bytes) -> None:
    await settled.documents.put("records/hub/fw.json", body)
    await settled.fast()
    assert settled.record.phase is not Phase.STABLE
    assert settled.record.may_serve == {"nva-a", "nva-b"}
    await settled.settle()
    assert settled.serving() == ["nva-a"]


async def test_a_record_of_another_service_is_not_believed_and_not_written_to_that_ones_place(settled: Scene) -> None:
    copied = msgspec.structs.replace(settled.record, service="other", target="nva-b")
    await settled.documents.put("records/hub/fw.json", msgspec.json.encode(copied))
    await settled.settle()
    assert settled.serving() == ["nva-a"]
    assert settled.record.service == "fw"
    assert "records/hub/other.json" not in settled.documents.stored


async def test_a_record_at_an_epoch_beyond_the_highest_is_not_believed(settled: Scene) -> None:
    """Tampered with: no agent would take a command at it, and no epoch could follow it."""
    tampered = msgspec.json.encode(msgspec.structs.replace(settled.record, epoch=EPOCH_MAX + 1))
    await settled.documents.put("records/hub/fw.json", tampered)
    await settled.fast()
    assert settled.record.phase is not Phase.STABLE
    await settled.settle()
    assert settled.serving() == ["nva-a"]
    assert settled.record.epoch < 100


async def test_a_record_of_a_newer_schema_is_only_observed(settled: Scene) -> None:
    newer = msgspec.json.encode(msgspec.structs.replace(settled.record, schema=SCHEMA + 1))
    await settled.documents.put("records/hub/fw.json", newer)
    settled.world.kill("nva-a")
    outcome = await settled.fast()
    assert "newer than ours" in outcome.reasons[0]
    assert settled.documents.stored["records/hub/fw.json"].body == newer


async def test_a_record_of_a_newer_schema_is_only_observed_whatever_else_is_in_it(settled: Scene) -> None:
    newer = msgspec.json.encode({"schema": SCHEMA + 1, "phase": "handover", "epoch": "7"})
    await settled.documents.put("records/hub/fw.json", newer)
    outcome = await settled.slow()
    assert "newer than ours" in outcome.reasons[0]
    assert settled.documents.stored["records/hub/fw.json"].body == newer


async def test_a_record_with_a_time_without_offset_is_not_believed_and_stops_no_pass(settled: Scene) -> None:
    edited = msgspec.json.decode(msgspec.json.encode(settled.record))
    edited["pause"] = {"until": "2026-01-01T04:00:00", "by": "someone"}
    await settled.documents.put("records/hub/fw.json", msgspec.json.encode(edited))
    await settled.fast()
    assert settled.record.phase is not Phase.STABLE
    await settled.settle()
    assert settled.serving() == ["nva-a"]


async def test_a_pass_that_lost_the_race_reads_again_and_never_overwrites(settled: Scene) -> None:
    """Another instance opens an epoch for nva-b between our read and our write."""
    theirs = msgspec.structs.replace(settled.record, epoch=9, phase=Phase.FENCING, target="nva-b")
    settled.documents.before_save.append(("records/hub/fw.json", msgspec.json.encode(theirs)))
    settled.world.agents["nva-a"].fatal = ("data-path: no echo",)
    await settled.fast()
    assert settled.record.epoch == 9
    assert settled.serving() == ["nva-b"]


async def test_a_restarted_target_is_not_promoted_by_the_command_meant_for_its_last_boot(settled: Scene) -> None:
    agent = settled.world.agents["nva-b"]
    assert agent.obey(SendPromote("nva-b", 99, "nva-b-boot-0")) == "another boot was meant"


async def test_a_holder_that_lost_its_role_at_its_own_epoch_gets_a_newer_one(settled: Scene) -> None:
    """Its disk was moved: it stands by at the record's epoch, at which it would refuse to serve."""
    settled.world.agents["nva-a"].role = Role.STANDBY
    epoch = settled.record.epoch
    await settled.fast()
    assert settled.serving() == ["nva-a"]
    assert settled.record.epoch == epoch + 1


async def test_every_step_is_journaled_with_its_evidence(settled: Scene) -> None:
    settled.world.kill("nva-a")
    await settled.fast()
    latest = sorted(key for key in settled.documents.stored if key.startswith("history/hub/fw/"))[-1]
    entry = json.loads(settled.documents.stored[latest].body)
    effects = [effect for step in entry["steps"] for effect in step["effects"]]
    assert effects == ["SendFence nva-a epoch 2", "FenceByBalancer nva-a epoch 2", "SendPromote nva-b epoch 2"]
    assert "P peers say bad" in entry["evidence"]["nva-a"]


async def test_three_members_fence_every_one_that_may_be_serving_not_only_the_old_holder() -> None:
    scene = Scene(3)
    await scene.settle()
    scene.world.kill("nva-a")
    scene.world.agents["nva-b"].cut = True
    await scene.fast()
    assert scene.serving() == ["nva-c"]
    scene.world.revive("nva-a")
    scene.world.agents["nva-b"].cut = False
    await scene.settle()
    assert scene.serving() == ["nva-c"]
    assert scene.world.two_serving == 0


async def test_active_active_serves_with_every_fit_member_and_says_when_too_few_are_healthy() -> None:
    doc = topology(2, services=[{**_service(), "mode": "active-active", "minHealthy": 2}])
    scene = Scene(desired=doc)
    await scene.settle()
    assert scene.serving() == ["nva-a", "nva-b"]
    scene.world.kill("nva-a")
    outcome = await scene.slow()
    assert "only 1 of at least 2 members are healthy" in outcome.reasons[0]
    assert scene.serving() == ["nva-b"]
    assert scene.world.balancer_writes == []


def _service() -> dict[str, object]:
    service: dict[str, object] = document()["services"][0]
    return service


async def test_two_silent_members_of_one_pool_are_fenced_one_after_the_other() -> None:
    """Written side by side the second one would fail, as the first has changed the etag."""
    scene = Scene(3)
    scene.world.kill("nva-b")
    scene.world.kill("nva-c")
    await scene.slow()
    while scene.record.phase is Phase.LEARN:
        await scene.slow()
    assert scene.serving() == ["nva-a"]
    assert scene.record.fenced.keys() == {"nva-b", "nva-c"}


async def test_a_fence_that_is_proven_is_not_written_again_for_one_that_is_not() -> None:
    scene = Scene(3)
    scene.world.kill("nva-b")
    scene.world.kill("nva-c")
    scene.world.pool, scene.world.admin["stranger"] = {"nva-a", "nva-b", "stranger"}, AdminState.NONE
    await scene.slow()
    while scene.record.phase is Phase.LEARN:
        await scene.slow()
    await scene.slow()
    assert [name for name, _ in scene.world.balancer_writes].count("nva-b") == 1


async def outside_of_the_pool(scene: Scene) -> None:
    scene.world.pool.discard("nva-b")


async def down_by_an_operator(scene: Scene) -> None:
    scene.world.admin["nva-b"] = AdminState.DOWN
    scene.world.etag += 1


@pytest.mark.parametrize("out", [outside_of_the_pool, down_by_an_operator])
async def test_a_pass_that_reads_no_load_balancer_knows_what_the_last_one_found_of_candidates(
    out: Callable[[Scene], Awaitable[None]],
) -> None:
    scene = Scene(3)
    await scene.settle()
    await out(scene)
    await scene.slow()
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    await scene.fast()
    assert scene.serving() == ["nva-c"]
