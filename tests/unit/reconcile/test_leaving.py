"""Members that are forgotten, services that are retired or released: what each needs, none an exception to fencing."""

from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from msgspec.structs import replace

from function_app.domain.service.leaving import departures
from function_app.domain.service.observation import AdminState, Role
from function_app.domain.service.record import SCHEMA, Phase, Record
from function_app.domain.topology.model import Mode, Topology
from function_app.reconcile.passes.outcome import Ending
from tests.builders import ranked, topology
from tests.unit.reconcile.scene import Scene
from tests.unit.reconcile.test_orders import ordered
from tests.unit.reconcile.test_outranking import settled as settled_ranked

A, B, C = "nva-a", "nva-b", "nva-c"


def without(member: str, desired: Topology) -> Topology:
    """The same document without the member."""
    service = desired.services[0]
    left = replace(service, members=tuple(m for m in service.members if m.speaker != member))
    return replace(desired, services=(left,), speakers=tuple(s for s in desired.speakers if s.name != member))


async def settled(members: int = 3, **more: Any) -> Scene:
    scene = Scene(members, **more)
    await scene.settle()
    return scene


async def failed_over() -> Scene:
    """nva-a died and is fenced; nva-b serves."""
    scene = await settled()
    scene.world.kill(A)
    for _ in range(5):
        await scene.slow()
    assert scene.serving() == [B]
    assert scene.record.fenced.keys() == {A}
    return scene


# --- a member


async def test_a_member_that_is_fenced_is_forgotten_and_the_next_failure_finds_another_one() -> None:
    scene = await failed_over()
    assert (await ordered(scene, "forget", member=A)).ending is Ending.ACCEPTED
    assert (scene.record.may_serve, scene.record.fenced, scene.record.owed) == ({B}, {}, {})
    scene.topology = without(A, scene.topology)
    scene.world.kill(B)
    for _ in range(5):
        await scene.slow()
    assert scene.serving() == [C]
    assert scene.world.two_serving == 0
    assert scene.world.admin[A] is AdminState.DOWN


async def test_a_dead_member_that_left_the_document_first_is_forgotten_by_its_absence_from_the_pool() -> None:
    scene = await failed_over()
    scene.topology = without(A, scene.topology)
    assert "members are known" in str((await scene.slow()).reasons)
    scene.world.pool.discard(A)
    assert (await ordered(scene, "forget", member=A)).ending is Ending.ACCEPTED
    assert (await scene.settle()).ending is Ending.CONVERGED


async def test_a_holder_that_left_the_document_is_forgotten_once_the_pool_admits_it_no_more() -> None:
    scene = await settled()
    scene.topology = without(A, scene.topology)
    outcome = await ordered(scene, "forget", member=A)
    assert outcome.ending is Ending.REFUSED
    assert "the pool holds addresses that are no member's" in outcome.reasons[0]
    scene.world.admin[A] = AdminState.DOWN
    assert (await ordered(scene, "forget", member=A)).ending is Ending.ACCEPTED
    await scene.settle()
    assert scene.serving() == [B]
    assert A not in scene.record.may_serve


async def test_without_a_proof_a_member_is_forgotten_by_the_operators_word_alone() -> None:
    scene = await settled()
    scene.topology = without(A, scene.topology)
    scene.world.arm_up = False
    assert "ARM answers 503" in (await ordered(scene, "forget", member=A)).reasons[0]
    outcome = await ordered(scene, "forget", member=A, gone="the VM was deleted")
    assert outcome.ending is Ending.ACCEPTED
    assert "gone, by the word of ann: the VM was deleted" in outcome.reasons[0]
    assert scene.record.phase is Phase.LEARN
    assert scene.record.may_serve == {B, C}


async def test_a_member_that_serves_is_not_forgotten_while_it_is_in_the_document() -> None:
    scene = await settled()
    assert "nva-a serves" in (await ordered(scene, "forget", member=A, gone="so I think")).reasons[0]
    assert "nothing is on record of nva-c" in (await ordered(scene, "forget", member=C)).reasons[0]


async def test_a_drained_member_of_an_active_active_service_is_forgotten_and_serves_again_only_by_the_record() -> None:
    scene = Scene(3, desired=active_active())
    await scene.settle()
    await ordered(scene, "drain", member=C)
    await scene.settle()
    assert (await ordered(scene, "forget", member=C)).ending is Ending.ACCEPTED
    assert scene.record.may_serve == {A, B}
    await ordered(scene, "undrain", member=C)
    await scene.settle()
    assert scene.record.may_serve == {A, B, C}


def active_active() -> Topology:
    desired = topology(3)
    return replace(desired, services=(replace(desired.services[0], mode=Mode.ACTIVE_ACTIVE),))


async def test_of_a_ranked_service_a_member_is_forgotten_with_its_paths_by_word() -> None:
    scene, _ = await settled_ranked(lambda: Scene(desired=ranked(3)))
    scene.topology = without(A, scene.topology)
    assert "there is no load balancer" in (await ordered(scene, "forget", member=A)).reasons[0]
    await ordered(scene, "forget", member=A, gone="deleted")
    assert A not in scene.record.may_serve


# --- a service


async def test_a_service_with_a_new_name_keeps_its_record_its_roles_and_its_holder() -> None:
    scene = await settled()
    before = scene.record
    service = replace(scene.topology.services[0], name="firewall", formerly="fw")
    scene.topology = replace(scene.topology, services=(service,))
    assert (await scene.slow()).ending is Ending.CONVERGED
    assert scene.record == before
    scene.world.kill(A)
    for _ in range(5):
        await scene.slow()
    assert scene.serving() == [B]
    assert "records/hub/firewall.json" not in scene.documents.stored


async def test_a_retired_service_is_down_everywhere_stands_by_and_announces_nothing() -> None:
    scene = await settled()
    scene.world.kill(C)
    await ordered(scene, "retire")
    for _ in range(4):
        outcome = await scene.slow()
    assert outcome.ending is Ending.HELD
    assert "it is retired by ann" in str(outcome.reasons)
    assert set(scene.world.admin.values()) == {AdminState.DOWN}
    assert {agent.role for agent in scene.world.agents.values()} == {Role.STANDBY}
    assert [scene.world.agents[name].advertised for name in (A, B)] == [(), ()]
    assert scene.record.believed == frozenset()


async def test_a_retired_service_stays_so_until_it_is_resumed_and_then_gives_back_what_it_took() -> None:
    scene = await settled()
    await ordered(scene, "retire")
    await scene.slow()
    assert "it is retired by ann" in (await ordered(scene, "failover")).reasons[0]
    assert (await ordered(scene, "resume")).ending is Ending.ACCEPTED
    await scene.settle()
    assert len(scene.serving()) == 1
    assert set(scene.world.admin.values()) == {AdminState.NONE}
    assert scene.world.two_serving == 0
    assert scene.record.schema == 1


async def test_a_service_that_was_retired_in_one_pool_is_learned_in_another_and_stays_down_in_the_first() -> None:
    """Behind another load balancer, or by another kind of next hop: a migration is retire, apply, resume."""
    scene = await settled()
    await ordered(scene, "retire")
    await scene.slow()
    scene.topology = ranked(3)
    await ordered(scene, "resume")
    await settled_ranked(lambda: scene)
    assert scene.record.owed == {}
    assert set(scene.world.admin.values()) == {AdminState.DOWN}
    assert [len(agent.advertised or ()) for agent in scene.world.agents.values()] == [1, 1, 1]
    await ordered(scene, "retire")
    await scene.slow()
    assert [agent.advertised for agent in scene.world.agents.values()] == [(), (), ()]
    scene.topology = topology(3)
    scene.world.admin = dict.fromkeys(scene.world.admin, AdminState.NONE)
    await ordered(scene, "resume")
    await scene.settle()
    assert [len(agent.advertised or ()) for agent in scene.world.agents.values()] == [1, 1, 1]


async def test_a_member_that_is_in_no_pool_does_not_keep_a_service_from_retiring() -> None:
    scene = await settled()
    scene.world.kill(C)
    scene.world.pool.discard(C)
    await ordered(scene, "retire")
    await scene.slow()
    assert left(scene.record)


async def test_a_silent_member_is_not_out_of_a_pool_that_holds_an_address_which_is_no_members() -> None:
    """It may be this one: `forget` says the same."""
    scene = await settled()
    scene.world.pool |= {"of-another-name"}
    scene.world.admin["of-another-name"] = AdminState.NONE
    scene.world.pool.discard(C)
    scene.world.agents[C].cut = scene.world.agents[C].missed = True
    await ordered(scene, "retire")
    assert "nva-c does not answer, and may still serve" in str((await scene.slow()).reasons)
    assert not left(scene.record)


async def test_a_member_that_cannot_be_proven_down_holds_the_retirement_and_a_release_ends_it() -> None:
    scene = await settled()
    scene.world.arm_up = False
    await ordered(scene, "retire")
    assert "nva-a is not proven Down" in str((await scene.slow()).reasons)
    assert (await ordered(scene, "release")).ending is Ending.ACCEPTED
    assert left(scene.record)


def left(record: Record) -> bool:
    return record.leaving is not None and record.leaving.done


async def test_of_a_ranked_service_an_announcer_that_does_not_answer_holds_the_retirement() -> None:
    scene, _ = await settled_ranked(lambda: Scene(desired=ranked(3)))
    scene.world.kill(C)
    await ordered(scene, "retire")
    assert "nva-c does not answer, and may still serve" in str((await scene.slow()).reasons)
    assert not left(scene.record)


async def test_a_released_service_keeps_its_roles_and_nothing_is_done_for_it_any_more() -> None:
    scene = await settled()
    await ordered(scene, "release")
    scene.world.kill(A)
    await scene.slow()
    assert scene.serving() == []
    assert scene.record.believed == frozenset()
    await ordered(scene, "resume")
    scene.world.revive(A)
    await scene.settle()
    assert scene.serving() == [A]


async def test_a_holder_that_left_the_document_while_the_service_was_released_holds_it_once_it_is_resumed() -> None:
    """It goes on serving, and another member must not serve beside it."""
    scene = await settled()
    await ordered(scene, "release")
    scene.topology = without(A, scene.topology)
    await ordered(scene, "resume")
    for _ in range(5):
        outcome = await scene.slow()
    assert "nva-a may still be serving but left the topology" in str(outcome.reasons)
    assert scene.world.eligible() == [A]


async def test_an_older_version_only_observes_the_record_of_a_service_that_leaves() -> None:
    scene = await settled()
    assert scene.record.schema == 1
    await ordered(scene, "release")
    assert scene.record.schema == SCHEMA == 2


@pytest.mark.parametrize("verb", ["retire", "release"])
async def test_what_has_left_is_not_ordered_to_leave_again(verb: str) -> None:
    scene = await settled()
    await ordered(scene, "release")
    assert "it is released by ann" in (await ordered(scene, verb)).reasons[0]


async def test_a_pause_that_is_over_does_not_use_up_the_resume_of_a_released_service() -> None:
    scene = await settled()
    await ordered(scene, "pause", minutes=1)
    scene.clock.at += timedelta(minutes=2)
    await ordered(scene, "release")
    assert (await ordered(scene, "resume")).ending is Ending.ACCEPTED
    assert scene.record.leaving is None


async def test_a_dead_member_of_an_active_active_service_is_drained_and_forgotten_though_too_few_are_left() -> None:
    desired = active_active()
    desired = replace(desired, services=(replace(desired.services[0], min_healthy=3),))
    scene = Scene(3, desired=desired)
    await scene.settle()
    scene.world.kill(C)
    await scene.slow()
    assert (await ordered(scene, "drain", member=C)).ending is Ending.ACCEPTED
    assert (await ordered(scene, "forget", member=C, gone="deleted")).ending is Ending.ACCEPTED
    await scene.slow()
    assert scene.record.may_serve == {A, B}


async def test_a_member_that_another_pool_may_send_flows_to_is_not_forgotten_by_its_absence_from_this_one() -> None:
    scene = Scene(3, desired=active_active())
    await scene.settle()
    scene.world.kill(C)
    scene.world.pool.discard(C)
    scene.world.elsewhere = {C}
    refused = await ordered(scene, "forget", member=C)
    assert refused.ending is Ending.REFUSED
    assert "it may get new flows from another pool" in refused.reasons[0]
    scene.world.elsewhere = set()
    assert (await ordered(scene, "forget", member=C)).ending is Ending.ACCEPTED


async def test_a_dead_member_that_is_replaced_at_another_address_is_to_be_forgotten_and_no_service_retired_for_it() -> (
    None
):
    scene = await failed_over()
    changed = tuple(replace(s, address=IPv4Address("10.0.1.99")) if s.name == A else s for s in scene.topology.speakers)
    problems = departures(scene.topology, replace(scene.topology, speakers=changed), {"fw": scene.record})
    assert "`forget` a member" in next(problems).rule


async def test_in_the_middle_of_an_operation_a_service_is_released_by_the_operators_word_alone() -> None:
    scene = await settled(2)
    scene.world.kill(A)
    scene.world.arm_up = False
    await scene.fast()
    assert scene.record.phase is Phase.FENCING
    refused = await ordered(scene, "release")
    assert refused.ending is Ending.REFUSED
    assert "no member may serve yet: nva-a: its agent does not answer" in refused.reasons[0]
    scene.world.arm_up = True
    for _ in range(3):
        await scene.slow()
    assert (await ordered(scene, "release")).ending is Ending.ACCEPTED
    assert scene.serving() == [B]


async def test_an_operation_that_cannot_end_does_not_keep_a_service_from_being_released() -> None:
    scene = await settled(2)
    scene.world.kill(A)
    scene.world.arm_up = False
    await scene.fast()
    assert (await ordered(scene, "release", despite="Azure is down, we move it by hand")).ending is Ending.ACCEPTED
    assert scene.record.believed == frozenset()
