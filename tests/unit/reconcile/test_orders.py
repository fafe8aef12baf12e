"""Operators' verbs: what each does, what refuses it, and that none is ever an exception to fencing."""

import re
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from function_app.domain.base.errors import BadInput
from function_app.domain.service.observation import AdminState, Role
from function_app.domain.service.orders import VERBS, SwitchoverOrder, order_from
from function_app.domain.service.record import SCHEMA, Phase
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.store.topologies import InForce
from tests.builders import document, topology
from tests.unit.reconcile.scene import Scene

DOWN_BY_OPERATOR = "fw: nva-b: an operator set its adminState to Down: it would get no new flows"


async def ordered(scene: Scene, verb: str, **said: Any) -> Outcome:
    scene.clock.at += timedelta(seconds=1)
    order = order_from(verb, {"by": "ann", **said})
    return await operate(scene.ports, InForce(scene.topology, "g1"), scene.topology.services[0], order)


@pytest.fixture
async def settled() -> Scene:
    scene = Scene()
    await scene.settle()
    return scene


async def test_a_switchover_moves_by_acknowledgement_and_never_touches_the_load_balancer(settled: Scene) -> None:
    await ordered(settled, "switchover", to="nva-b")
    assert settled.serving() == ["nva-b"]
    assert settled.world.balancer_writes == []
    await settled.settle()
    assert settled.record.may_serve == {"nva-b"}


async def test_a_switchover_goes_back_when_the_holder_does_not_acknowledge(settled: Scene) -> None:
    settled.world.agents["nva-a"].deaf = True
    await ordered(settled, "switchover", to="nva-b")
    assert settled.world.balancer_writes == []
    settled.world.agents["nva-a"].deaf = False
    await settled.settle()
    assert settled.serving() == ["nva-a"]
    assert settled.world.two_serving == 0


async def test_a_switchover_to_a_member_that_gets_no_new_flows_is_refused_by_what_the_pool_shows_now(
    settled: Scene,
) -> None:
    settled.world.admin["nva-b"] = AdminState.DOWN
    outcome = await ordered(settled, "switchover", to="nva-b")
    assert (outcome.ending, outcome.reasons[0]) == (Ending.REFUSED, DOWN_BY_OPERATOR)
    settled.world.admin["nva-b"] = AdminState.NONE
    settled.world.pool.discard("nva-b")
    outcome = await ordered(settled, "switchover", to="nva-b")
    assert (outcome.ending, outcome.reasons[0]) == (
        Ending.REFUSED,
        "fw: no pool lists nva-b: it would get no new flows (a change of the last minute may not be shown yet)",
    )
    assert settled.serving() == ["nva-a"]


async def test_a_switchover_where_the_pool_cannot_be_read_is_the_operators_word(settled: Scene) -> None:
    settled.world.admin["nva-b"] = AdminState.DOWN
    settled.world.arm_up = False
    await ordered(settled, "switchover", to="nva-b")
    assert settled.record.holder == "nva-b"


async def test_a_failover_without_a_target_moves_to_no_member_that_gets_no_new_flows(settled: Scene) -> None:
    """By the last reading of the load balancer: a failover by hand waits for none. Named, the member is the operator's word."""
    settled.world.admin["nva-b"] = AdminState.DOWN
    await settled.slow()
    outcome = await ordered(settled, "failover")
    assert outcome.ending is Ending.REFUSED
    assert "nva-b gets no new flows by the last reading of the load balancer (Down by an operator" in outcome.reasons[0]
    assert "name it with `to` if you know better" in outcome.reasons[0]
    assert (await ordered(settled, "failover", to="nva-b")).ending is Ending.ACCEPTED


@pytest.mark.parametrize("verb", ["switchover", "failover"])
async def test_an_order_to_move_to_a_drained_member_is_refused_until_it_is_undrained(settled: Scene, verb: str) -> None:
    await ordered(settled, "drain", member="nva-b", minutes=60)
    outcome = await ordered(settled, verb, to="nva-b")
    assert outcome.ending is Ending.REFUSED
    assert re.search("nva-b is drained until .* by ann: `undrain` it first", outcome.reasons[0])
    assert settled.serving() == ["nva-a"]


async def test_an_order_in_a_pause_is_refused(settled: Scene) -> None:
    await ordered(settled, "pause", reason="upgrade")
    outcome = await ordered(settled, "switchover", to="nva-b")
    assert outcome.ending is Ending.REFUSED
    assert "by ann (upgrade)" in outcome.reasons[0]


async def test_a_failover_that_waits_for_a_proof_says_so_and_what_ends_the_wait(settled: Scene) -> None:
    settled.world.kill("nva-a")
    settled.world.arm_up = False
    await settled.slow()
    outcome = await ordered(settled, "failover")
    assert outcome.ending is Ending.REFUSED
    assert "a move to nva-b is under way since" in outcome.reasons[0]
    assert '`hopkeeper forget hub fw nva-a --gone "deallocated at ..."`' in outcome.reasons[0]
    assert (await ordered(settled, "failover", to="nva-b")).reasons == outcome.reasons, "it would only begin anew"
    assert (await ordered(settled, "forget", member="nva-a", gone="deallocated")).ending is Ending.ACCEPTED
    assert settled.serving() == ["nva-b"]


async def test_a_pause_of_a_released_service_ends_first_and_the_answer_says_that_it_stays_released(
    settled: Scene,
) -> None:
    await ordered(settled, "pause")
    await ordered(settled, "release")
    outcome = await ordered(settled, "resume")
    assert "resumed by ann: the pause is over, and it stays released; `resume` it once more" in outcome.reasons[0]


async def test_a_drain_that_would_leave_none_that_gets_new_flows_is_refused(settled: Scene) -> None:
    settled.world.admin["nva-b"] = AdminState.DOWN
    await settled.slow()
    outcome = await ordered(settled, "drain", member="nva-a")
    assert outcome.ending is Ending.REFUSED
    assert "0 healthy members would be left" in outcome.reasons[0]


async def test_a_switchover_from_a_holder_that_does_not_answer_is_refused(settled: Scene) -> None:
    settled.world.agents["nva-a"].cut = True
    outcome = await ordered(settled, "switchover", to="nva-b")
    assert outcome.ending is Ending.REFUSED
    assert "needs its acknowledgement" in outcome.reasons[0]


async def test_a_switchover_goes_back_to_the_old_holder_when_the_target_refuses(settled: Scene) -> None:
    settled.world.agents["nva-b"].refuses_to_serve = True
    await ordered(settled, "switchover", to="nva-b")
    await settled.settle()
    assert settled.serving() == ["nva-a"]
    assert settled.world.two_serving == 0


async def test_a_switchover_to_a_member_that_is_not_ready_is_refused_and_changes_nothing(settled: Scene) -> None:
    settled.world.agents["nva-b"].sessions_up = False
    before = settled.record
    outcome = await ordered(settled, "switchover", to="nva-b")
    assert outcome.ending is Ending.REFUSED
    assert "target is ready: nva-b is not ready" in outcome.reasons[0]
    assert settled.record == before


async def test_a_failover_by_hand_skips_evidence_but_never_fencing(settled: Scene) -> None:
    settled.world.agents["nva-a"].cut = True
    settled.world.arm_up = False
    outcome = await ordered(settled, "failover")
    assert outcome.ending is Ending.ACCEPTED
    assert settled.world.agents["nva-b"].role is Role.STANDBY
    settled.world.arm_up = True
    await settled.slow()
    assert settled.world.balancer_writes == [("nva-a", AdminState.DOWN)]
    assert settled.serving() == ["nva-b"]
    assert settled.world.two_serving == 0


async def test_while_paused_nothing_is_done_and_resume_ends_it(settled: Scene) -> None:
    taken = await ordered(settled, "pause", minutes=60, reason="upgrade")
    assert taken.ending is Ending.ACCEPTED
    settled.world.kill("nva-a")
    obeyed = len(settled.world.agents["nva-b"].obeyed)
    for _ in range(3):
        outcome = await settled.slow()
    assert outcome.ending is Ending.PAUSED
    assert "by ann (upgrade)" in outcome.reasons[0]
    assert len(settled.world.agents["nva-b"].obeyed) == obeyed
    assert settled.world.balancer_writes == []
    await ordered(settled, "resume")
    assert settled.serving() == ["nva-b"]


async def test_no_order_is_written_over_a_record_of_a_newer_schema(settled: Scene) -> None:
    """What a newer release keeps there, a write of ours would lose: even a pause waits for the release that can read it."""
    newer = msgspec.json.encode(replace(settled.record, schema=SCHEMA + 1))
    await settled.documents.put("records/hub/fw.json", newer)
    for verb, said in (("pause", {"minutes": 60}), ("failover", {}), ("drain", {"member": "nva-b", "minutes": 60})):
        outcome = await ordered(settled, verb, **said)
        assert outcome.ending is Ending.REFUSED
        assert "newer than ours" in outcome.reasons[0]
    assert settled.documents.stored["records/hub/fw.json"].body == newer


async def test_a_pause_in_the_middle_of_an_operation_stops_it_where_it_is(settled: Scene) -> None:
    settled.world.kill("nva-a")
    settled.world.arm_up = False
    await settled.fast()
    assert settled.record.phase is Phase.FENCING
    await ordered(settled, "pause", minutes=60)
    settled.world.arm_up = True
    await settled.slow()
    assert settled.record.phase is Phase.FENCING
    assert settled.world.balancer_writes == []


async def test_a_pause_ends_by_itself(settled: Scene) -> None:
    await ordered(settled, "pause", minutes=1)
    settled.world.kill("nva-a")
    settled.clock.at += timedelta(minutes=2)
    await settled.fast()
    assert settled.serving() == ["nva-b"]


async def test_a_drained_holder_hands_over_and_is_not_elected_until_the_drain_ends(settled: Scene) -> None:
    await ordered(settled, "drain", member="nva-a", minutes=10)
    await settled.settle()
    assert settled.serving() == ["nva-b"]
    settled.world.agents["nva-b"].fatal = ("x",)
    outcome = await settled.fast()
    assert settled.serving() == []
    assert "no other member is fit" in outcome.reasons[0]
    await ordered(settled, "undrain", member="nva-a")
    await settled.fast()
    assert settled.serving() == ["nva-a"]


async def test_draining_the_only_healthy_member_is_refused(settled: Scene) -> None:
    settled.world.kill("nva-b")
    outcome = await ordered(settled, "drain", member="nva-a")
    assert outcome.ending is Ending.REFUSED
    assert "0 healthy members would be left" in outcome.reasons[0]
    assert settled.serving() == ["nva-a"]


async def test_a_drain_in_active_active_takes_one_out_and_undrain_brings_it_back() -> None:
    doc = topology(3, services=[{**_service(3), "mode": "active-active", "minHealthy": 2}])
    scene = Scene(desired=doc)
    await scene.settle()
    await ordered(scene, "drain", member="nva-a")
    await scene.settle()
    assert scene.serving() == ["nva-b", "nva-c"]
    refused = await ordered(scene, "drain", member="nva-b")
    assert refused.ending is Ending.REFUSED
    await ordered(scene, "undrain", member="nva-a")
    await scene.settle()
    assert scene.serving() == ["nva-a", "nva-b", "nva-c"]


async def test_a_drain_in_active_active_and_its_end_begin_no_epoch() -> None:
    """A member that serves stands by where a peer serves at a newer one, and nothing would reach it if it is cut off."""
    scene = Scene(desired=topology(3, services=[{**_service(3), "mode": "active-active"}]))
    await scene.settle()
    epoch = scene.record.epoch
    scene.world.agents["nva-c"].cut = True
    for verb, serving in (("drain", ["nva-b", "nva-c"]), ("undrain", ["nva-a", "nva-b", "nva-c"])) * 2:
        await ordered(scene, verb, member="nva-a")
        for _ in range(3):
            await scene.fast()
        assert scene.serving() == serving
    assert (scene.record.epoch, scene.record.seq) == (epoch, 4)
    assert [type(c).__name__ for c in scene.world.agents["nva-b"].obeyed].count("SendPromote") == 1


async def test_a_service_that_becomes_active_passive_is_exclusive_at_a_newer_epoch_whatever_numbers_were_used() -> None:
    scene = Scene(desired=topology(3, services=[{**_service(3), "mode": "active-active"}]))
    await scene.settle()
    for verb in ("drain", "undrain"):
        await ordered(scene, verb, member="nva-a")
        await scene.settle()
    scene.topology = topology(3)
    await scene.settle()
    assert scene.serving() == ["nva-a"]
    assert scene.record.may_serve == {"nva-a"}
    assert (scene.record.epoch, scene.record.seq) == (2, 0)


async def test_a_member_whose_drain_is_just_over_does_not_make_another_drain_possible() -> None:
    doc = topology(3, services=[{**_service(3), "mode": "active-active", "minHealthy": 2}])
    scene = Scene(desired=doc)
    await scene.settle()
    await ordered(scene, "drain", member="nva-a", minutes=1)
    await scene.settle()
    scene.clock.at += timedelta(minutes=2)
    refused = await ordered(scene, "drain", member="nva-b")
    assert refused.ending is Ending.REFUSED
    assert "1 healthy members would be left" in refused.reasons[0]


@pytest.fixture
async def paced() -> Scene:
    scene = Scene(timing={"learnFor": "PT1S", "doubtPoll": "PT1S", "spacingStep": "PT10S", "fenceSettle": "PT0.1S"})
    await scene.settle()
    return scene


async def test_orders_that_move_a_service_are_taken_no_faster_than_spacing_step(paced: Scene) -> None:
    began, epoch, taken = paced.clock.at, paced.record.epoch, []
    while paced.clock.at < began + timedelta(minutes=1):
        other = "nva-a" if paced.serving() == ["nva-b"] else "nva-b"
        if (await ordered(paced, "switchover", to=other)).ending is Ending.ACCEPTED:
            taken.append(paced.clock.at)
        await paced.settle()
    assert taken[0] == began + timedelta(seconds=1)
    assert min(later - earlier for earlier, later in pairwise(taken)) >= timedelta(seconds=10)
    assert len(taken) > 4
    assert paced.record.epoch == epoch + len(taken)


async def test_an_order_that_comes_too_soon_says_when_it_is_taken_and_what_does_not_wait(paced: Scene) -> None:
    await ordered(paced, "switchover", to="nva-b")
    promoted = paced.clock.at
    again = f"{promoted + timedelta(seconds=10):%Y-%m-%d %H:%M:%S}Z"
    await paced.settle()
    refused = await ordered(paced, "switchover", to="nva-a")
    assert refused.ending is Ending.REFUSED
    assert refused.reasons == (
        f"fw: nva-b was promoted {(paced.clock.at - promoted).seconds} s ago (switchover): the next move from {again}, "
        "or a `failover` that names the member with `to` if it cannot wait",
    )
    assert (await ordered(paced, "failover")).ending is Ending.REFUSED
    assert (await ordered(paced, "failover", to="nva-a")).ending is Ending.ACCEPTED
    assert paced.serving() == ["nva-a"]


async def test_a_drain_of_the_holder_is_paced_and_what_moves_nothing_is_not(paced: Scene) -> None:
    await ordered(paced, "failover", to="nva-b")
    refused = await ordered(paced, "drain", member="nva-b")
    assert (refused.ending, "nva-b was promoted 1 s ago" in refused.reasons[0]) == (Ending.REFUSED, True)
    for verb, said in (("drain", {"member": "nva-a"}), ("undrain", {"member": "nva-a"}), ("pause", {}), ("resume", {})):
        assert (await ordered(paced, verb, **said)).ending is Ending.ACCEPTED


async def test_the_first_order_does_not_wait_for_a_failover_before_it(paced: Scene) -> None:
    paced.world.agents["nva-a"].fatal = ("x",)
    await paced.fast()
    paced.world.agents["nva-a"].fatal = ()
    await paced.settle()
    assert paced.serving() == ["nva-b"]
    assert (await ordered(paced, "switchover", to="nva-a")).ending is Ending.ACCEPTED


@pytest.mark.parametrize("how", ["unfit", "silent"])
async def test_no_order_waits_where_the_holder_has_failed_or_is_silent(paced: Scene, how: str) -> None:
    await ordered(paced, "switchover", to="nva-b")
    if how == "silent":
        paced.world.kill("nva-b")
    else:
        paced.world.agents["nva-b"].fatal = ("x",)
    assert (await ordered(paced, "failover")).ending is Ending.ACCEPTED


async def test_automatic_failovers_in_a_row_are_spaced_and_say_so() -> None:
    scene = Scene(timing={"learnFor": "PT1S", "doubtPoll": "PT1S", "spacingStep": "PT30S", "fenceSettle": "PT0.1S"})
    await scene.settle()
    for holder in ("nva-a", "nva-b"):
        scene.world.agents[holder].fatal = ("x",)
        await scene.fast()
        scene.world.agents[holder].fatal = ()
        await scene.settle()
    assert scene.serving() == ["nva-a"]
    scene.world.agents["nva-a"].fatal = ("x",)
    outcome = await scene.fast()
    assert outcome.ending is Ending.REFUSED
    assert "2 automatic failovers in a row" in outcome.reasons[0]
    assert outcome.retry_after is not None
    scene.clock.at += outcome.retry_after
    await scene.fast()
    assert scene.serving() == ["nva-b"]


async def test_a_higher_priority_returns_only_where_preempt_says_so_and_after_its_time() -> None:
    failover = {"preempt": "ready", "returnAfter": "PT30M"}
    scene = Scene(desired=topology(2, services=[{**_service(2), "failover": failover}]))
    await scene.settle()
    scene.world.agents["nva-a"].fatal = ("x",)
    await scene.fast()
    scene.world.agents["nva-a"].fatal = ()
    await scene.settle()
    assert scene.serving() == ["nva-b"]
    scene.clock.at += timedelta(minutes=29)
    await scene.settle()
    assert scene.serving() == ["nva-b"]
    scene.clock.at += timedelta(minutes=2)
    await scene.settle()
    assert scene.serving() == ["nva-a"]


BAD = [
    ("explode", {}, "{verb}", "none of pause, resume"),
    ("switchover", {}, "$.to", "is missing"),
    ("switchover", {"to": 1}, "$.to", "1 is not text"),
    ("switchover", {"too": "nva-b"}, "$.too", "switchover takes by, expect, to"),
    ("pause", {"minuts": None}, "$.minuts", "pause takes by, expect, minutes, reason"),
    ("resume", {"verb": None}, "$.verb", "resume takes by, expect"),
    ("drain", {"member": None}, "$.member", "is missing"),
    ("pause", {"reason": "\udc80"}, "$.reason", "no text"),
    ("switchover", {"to": "nva-\ud800"}, "$.to", "no text"),
    ("resume", {"by": "\udfff"}, "$.by", "no text"),
    ("resume", {"by": ["a"]}, "$.by", "is not text"),
    ("pause", {"reason": "a\nstep 9: all is well"}, "$.reason", "has a control character"),
    ("pause", {"reason": "\x1b]0;title\x07"}, "$.reason", "has a control character"),
    ("resume", {"by": "a\x9b31m"}, "$.by", "has a control character"),
    ("pause", {"minutes": 0}, "$.minutes", "must be more than 0, is 0"),
    ("pause", {"minutes": "60"}, "$.minutes", "'60' is not a number"),
    ("pause", {"minutes": True}, "$.minutes", "true is not a number"),
    ("drain", {}, "$.member", "is missing"),
    ("drain", {"member": "", "minutes": 5}, "$.member", "needs at least 1, has 0"),
    ("pause", {"minutes": float("nan")}, "$.minutes", "must be more than 0, is nan"),
    ("pause", [], "$", "must be a JSON object"),
]


@pytest.mark.parametrize(("verb", "said", "path", "rule"), BAD, ids=[f"{b[0]} {b[1]}" for b in BAD])
def test_an_order_that_cannot_be_meant_is_refused_with_what_is_wrong(
    verb: str, said: Any, path: str, rule: str
) -> None:
    with pytest.raises(BadInput) as caught:
        order_from(verb, said)
    assert caught.value.problems[0].path == path
    assert rule in caught.value.problems[0].rule


@pytest.mark.parametrize(("verb", "optional"), [("pause", "minutes"), ("failover", "to"), ("resume", "by")])
def test_a_key_that_the_verb_takes_counts_as_left_out_where_it_is_null(verb: str, optional: str) -> None:
    assert order_from(verb, {optional: None}) == order_from(verb, {})


def test_the_verbs_are_those_that_the_documentation_names() -> None:
    assert list(VERBS) == [
        "pause",
        "resume",
        "switchover",
        "failover",
        "drain",
        "undrain",
        "rehearse",
        "forget",
        "retire",
        "release",
    ]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (SwitchoverOrder(to="nva-a", by="ann"), "nva-a serves already"),
        (SwitchoverOrder(to="nva-z", by="ann"), "nva-z is no member"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(settled: Scene, order: SwitchoverOrder, reason: str) -> None:
    outcome = await operate(settled.ports, InForce(settled.topology, "g1"), settled.topology.services[0], order)
    assert outcome.ending is Ending.REFUSED
    assert reason in outcome.reasons[0]


def _service(members: int) -> dict[str, Any]:
    service: dict[str, Any] = document(members)["services"][0]
    return service
