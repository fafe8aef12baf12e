"""The order of a fence's steps, and what is missing without each of them (safety.md section 2, F2)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import MappingProxyType

import pytest

from function_app.domain.base.errors import HopkeeperError, Superseded, Terminal, Transient, Unavailable
from function_app.domain.service.observation import ABSENT, AdminState, FenceProof, Observed
from function_app.domain.service.steps import Effect, FenceByBalancer, LiftByBalancer
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.act.fencing import POLL
from function_app.reconcile.act.perform import Hand, perform
from function_app.reconcile.ports import PoolView
from function_app.reconcile.store.records import Records
from tests.builders import NOW, stable
from tests.fakes import FakeDocuments
from tests.unit.reconcile.pool import DOWN, NONE, TOPOLOGY, Pool, Scene, lifted_but_not_there_yet, seconds

# --- the proof, whole


async def test_a_fence_looks_then_rechecks_then_writes_and_is_proven_when_packets_meet_it() -> None:
    scene = Scene()
    assert await scene.fence(epoch=7) == FenceProof(7, "etag-2")
    assert scene.pool.calls == ["look", "recheck", "set Down etag-1"]
    assert scene.pool.packets_meet is DOWN
    assert scene.passed == 2


async def test_a_member_that_is_down_already_gets_a_write_of_this_operation() -> None:
    scene = Scene(DOWN)
    assert await scene.fence(epoch=8) == FenceProof(8, "etag-2")
    assert scene.sets == ["set Down etag-1"]


async def test_a_fence_beside_an_operators_down_is_not_written_once_the_operator_took_that_back() -> None:
    """It would be owed nothing, and stay for ever."""
    gone = Scene(NONE)
    with pytest.raises(Superseded, match="an operator took the Down back that was there"):
        await gone.fence(beside_operator=True)
    assert gone.sets == []
    there = Scene(DOWN)
    assert await there.fence(beside_operator=True, epoch=8) == FenceProof(8, "etag-2")


# --- each part that may be missing


async def test_an_arm_that_does_not_show_the_pool_gives_no_proof_and_says_when_to_come_back() -> None:
    scene = Scene()
    scene.pool.fails["look"] = Unavailable("503", seconds(13))
    with pytest.raises(Unavailable, match="nva-a is not proven fenced, nothing is written: 503") as caught:
        await scene.fence()
    assert caught.value.retry_after == seconds(13)


async def test_a_pool_in_which_down_proves_nothing_is_not_written() -> None:
    scene = Scene()
    scene.pool.unprovable = ["rule bare has no probe"]
    with pytest.raises(Unavailable, match="nothing is written: rule bare has no probe"):
        await scene.fence()
    assert scene.pool.calls == ["look"]


async def test_a_pool_in_which_down_proves_nothing_any_more_after_the_write_is_no_proof() -> None:
    scene = Scene()
    scene.pool.unprovable = [None, "nva-a is also in pool others"]
    with pytest.raises(Unavailable, match=r"the pool is no longer one in which Down proves.*also in pool others"):
        await scene.fence()


async def test_a_record_that_moved_on_is_no_proof_and_nothing_is_written() -> None:
    scene = Scene()
    scene.answers = [False]
    with pytest.raises(Superseded, match=r"nva-a is not proven fenced, the write of Down has not succeeded.*moved on"):
        await scene.fence()
    assert scene.sets == []


async def test_whoever_writes_while_the_record_is_read_again_makes_the_write_fail() -> None:
    """Finding 9: the etag of the write is that of the look before."""
    scene = Scene()

    async def another_writes() -> None:
        scene.pool.write(NONE)

    scene.meanwhile = another_writes
    with pytest.raises(Superseded, match="the write of Down has not succeeded: 412"):
        await scene.fence()
    assert scene.pool.shown is NONE


@pytest.mark.parametrize("error", [Unavailable("500 InternalServerError"), Superseded("CanceledAndSuperseded")])
async def test_a_write_that_does_not_succeed_is_no_proof(error: Transient) -> None:
    scene = Scene()
    scene.pool.fails["set"] = error
    with pytest.raises(type(error), match=f"the write of Down has not succeeded: {error}"):
        await scene.fence()
    assert scene.pool.polled == []


async def test_a_membership_that_changed_with_the_write_stops_everything() -> None:
    scene = Scene()
    scene.pool.fails["set"] = Terminal("the membership of pool nvas changed with our write: nva-b")
    with pytest.raises(Terminal, match="changed with our write: nva-b"):
        await scene.fence()
    assert scene.pool.polled == []


async def test_a_lift_by_another_hand_right_after_the_write_is_no_proof() -> None:
    scene = Scene()
    scene.pool.after_write = lambda: scene.pool.write(NONE)
    with pytest.raises(Superseded, match="Down is not there any more: Down was written and ARM shows None"):
        await scene.fence()


async def test_a_write_that_keeps_the_etag_is_done_again_after_a_bump() -> None:
    scene = Scene(DOWN)
    scene.pool.keeps_etag_of_noops = True
    assert (await scene.fence()).etag == "etag-2"
    once = ["look", "recheck", "set Down etag-1"]
    assert scene.pool.calls == [*once, "bump etag-1", "look", "recheck", "set Down etag-2"]


async def test_an_etag_that_never_changes_is_no_proof() -> None:
    scene = Scene(DOWN)
    scene.pool.keeps_etag_of_noops = scene.pool.ignores_bumps = True
    with pytest.raises(Unavailable, match="the etag did not change with the write of Down: the etag still is etag-1"):
        await scene.fence()
    assert len(scene.sets) == 2


async def test_the_record_is_read_again_before_the_second_write_too() -> None:
    scene = Scene(DOWN)
    scene.pool.keeps_etag_of_noops = True
    scene.answers = [True, False]
    with pytest.raises(Superseded, match="the record moved on"):
        await scene.fence()
    assert len(scene.sets) == 1


async def test_after_the_second_write_the_pool_must_be_provable_too() -> None:
    scene = Scene(DOWN)
    scene.pool.keeps_etag_of_noops = True
    scene.pool.unprovable = [None, None, None, "rule bare has no probe"]
    with pytest.raises(Unavailable, match="rule bare has no probe"):
        await scene.fence()
    assert len(scene.sets) == 2


async def test_a_bump_that_is_refused_is_no_proof() -> None:
    scene = Scene(DOWN)
    scene.pool.keeps_etag_of_noops = True
    scene.pool.fails["bump"] = Superseded("412 PreconditionFailed")
    with pytest.raises(Superseded, match="the etag did not change with the write of Down: 412"):
        await scene.fence()


async def test_a_success_that_has_not_propagated_is_waited_for() -> None:
    scene = Scene()
    scene.pool.propagation = seconds(20)
    await scene.fence(settle=3)
    assert scene.passed == 20
    assert scene.pool.packets_meet is DOWN


async def test_a_health_action_that_says_something_else_to_the_end_is_no_proof() -> None:
    scene = Scene()
    scene.pool.says = lambda _: "Up_Probe_Success"
    with pytest.raises(Unavailable, match="says Up_Probe_Success and not Down_Admin: not done within 60 s"):
        await scene.fence(settle=3)
    assert 58 <= scene.passed <= 60


async def test_where_health_stays_empty_the_settle_time_is_waited() -> None:
    scene = Scene()
    scene.pool.says = lambda _: None
    assert (await scene.fence(epoch=9, settle=30)).epoch == 9
    assert scene.passed == 30


async def test_an_empty_health_action_is_no_proof_before_the_settle_time() -> None:
    scene = Scene()
    scene.pool.says = lambda _: None
    with pytest.raises(Unavailable, match="is empty and the wait is not over: not done within 20 s"):
        await scene.fence(settle=30, timeout=20)


async def test_a_health_action_that_fails_is_not_an_empty_one() -> None:
    scene = Scene()
    scene.pool.says = lambda _: Unavailable("500 from ARM")
    with pytest.raises(Unavailable, match=r"the health action does not answer \(500 from ARM\)"):
        await scene.fence(settle=3)


async def test_a_health_action_that_fails_once_is_called_again_when_arm_wants_it() -> None:
    scene = Scene()
    scene.pool.says = lambda at: Unavailable("busy", seconds(7)) if at < 7 else "Down_Admin"
    await scene.fence()
    assert scene.pool.polled == [0, 7]
    assert len(scene.sets) == 1


async def test_a_wait_that_arm_requests_beyond_the_timeout_ends_the_attempt_at_once() -> None:
    scene = Scene()
    scene.pool.says = lambda _: Unavailable("throttled", seconds(300))
    with pytest.raises(Unavailable, match=r"does not answer \(throttled\)") as caught:
        await scene.fence()
    assert scene.passed == 0
    assert caught.value.retry_after == seconds(300)


@pytest.mark.parametrize("against", [Unavailable("busy", seconds(1)), "Up_Probe_Success"], ids=["refused", "says up"])
async def test_the_settle_time_begins_anew_after_health_did_not_just_stay_empty(
    against: str | HopkeeperError,
) -> None:
    scene = Scene()
    scene.pool.says = lambda at: against if at == 10 else None
    await scene.fence(settle=15)
    assert scene.passed == 11 + 15


async def test_no_step_of_the_wall_clock_shortens_the_settle_time() -> None:
    scene = Scene()
    polls: list[float] = []

    def stepping(at: float) -> None:
        polls.append(at)
        if len(polls) == 2:
            scene.clock.at += seconds(20)

    scene.pool.says = stepping
    await scene.fence(settle=15)
    assert len(polls) >= 12


async def test_a_wall_clock_that_was_set_back_does_not_prolong_the_wait_for_ever() -> None:
    scene = Scene()

    def set_back(at: float) -> str:
        scene.clock.at -= POLL
        return "Up_Probe_Success"

    scene.pool.says = set_back
    with pytest.raises(Unavailable, match="not done within 60 s"):
        await scene.fence()
    assert len(scene.pool.polled) == 61


async def test_a_wall_clock_that_was_set_back_does_not_prolong_the_settle_time() -> None:
    scene = Scene()

    def set_back(at: float) -> None:
        scene.clock.at -= POLL

    scene.pool.says = set_back
    await scene.fence(settle=15)
    assert len(scene.pool.polled) == 16


async def test_a_slow_health_action_counts_towards_the_timeout() -> None:
    scene = Scene()

    def slowly(at: float) -> str:
        scene.clock.at += seconds(10)
        return "Up_Probe_Success"

    scene.pool.says = slowly
    with pytest.raises(Unavailable, match="not done within 60 s"):
        await scene.fence()
    assert len(scene.pool.polled) == 6


async def test_nothing_is_written_when_the_time_is_over() -> None:
    scene = Scene()
    scene.pool.look_takes = seconds(60)
    with pytest.raises(Unavailable, match="the write of Down has not succeeded: not done within 60 s"):
        await scene.fence()
    assert scene.sets == []


# --- wary: an older lift may still be on its way


async def test_a_wary_fence_waits_until_the_old_down_is_gone_before_it_writes() -> None:
    scene = lifted_but_not_there_yet(after=10)
    await scene.fence(wary=True)
    assert scene.passed == 15
    assert scene.pool.packets_meet is DOWN
    assert scene.pool.on_their_way == []


async def test_a_wary_fence_that_sees_the_old_down_to_the_end_writes_nothing() -> None:
    scene = lifted_but_not_there_yet(after=100)
    with pytest.raises(Unavailable, match="says Down_Admin and not that the older Down is gone: not done"):
        await scene.fence(wary=True)
    assert scene.sets == []


async def test_a_wary_fence_of_a_member_that_is_down_does_not_wait_for_less() -> None:
    scene = Scene(DOWN)
    await scene.fence(wary=True)
    assert scene.passed == 0
    assert scene.sets == ["set Down etag-1"]


async def test_where_health_is_silent_a_wary_fence_takes_down_admin_for_no_more_than_silence() -> None:
    scene = lifted_but_not_there_yet(after=10)
    scene.pool.propagation = seconds(20)
    scene.pool.says = lambda at: None if at < 1 else scene.pool.truth()
    await scene.fence(wary=True, settle=15)
    assert scene.pool.polled[:2] == [0, 0]  # it wrote at once, and took the older Down_Admin for silence
    assert scene.passed == 20 + 15  # the lift arrived at 10 s and spoke against it until the fence did
    assert scene.pool.packets_meet is DOWN


async def test_a_wary_fence_gives_way_to_a_write_that_came_while_it_waited() -> None:
    scene = lifted_but_not_there_yet(after=10)

    def another_writes_at_five(at: float) -> str:
        if at == 5:
            scene.pool.write(NONE)
        return scene.pool.truth()

    scene.pool.says = another_writes_at_five
    with pytest.raises(Superseded, match="412"):
        await scene.fence(wary=True)


# --- from the effect


class Interrupted(Pool):
    """While its first write is under way, `meanwhile` happens."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        happen, self.meanwhile = self.meanwhile, None
        if happen:
            await happen()
        return await super().set(service, speaker, state, etag)


@pytest.mark.parametrize(
    ("effect", "another", "waits"),
    [
        (FenceByBalancer("nva-a", 4), FenceByBalancer("nva-a", 4), "fence at epoch 4"),
        (LiftByBalancer("nva-a", 4), LiftByBalancer("nva-a", 4), "lift at epoch 4"),
        (FenceByBalancer("nva-a", 4), FenceByBalancer("nva-b", 4), None),
        (FenceByBalancer("nva-a", 3), FenceByBalancer("nva-a", 4), None),
        (FenceByBalancer("nva-a", 4), LiftByBalancer("nva-a", 4), None),
    ],
    ids=["same fence", "same lift", "another member", "a newer operation", "a lift of it"],
)
async def test_two_passes_never_write_the_same_change_at_once_or_their_writes_would_supersede_each_other(
    effect: Effect, another: Effect, waits: str | None
) -> None:
    """Seen with a pool write of a minute: reports that came every half minute let none of them succeed."""
    scene = Scene()
    pool = Interrupted(scene.clock)
    ports = replace(scene.ports, documents=FakeDocuments(), admin_states=pool)
    records, service = Records(ports.documents), TOPOLOGY.services[0]
    hand = Hand(ports, TOPOLOGY, service, records, await records.save(TOPOLOGY, stable(), None))
    other: list[Observed] = []

    async def another_pass() -> None:
        other.append(await perform(hand, (another,), Observed(NOW, MappingProxyType({}))))

    pool.meanwhile = another_pass
    first = await perform(hand, (effect,), Observed(NOW, MappingProxyType({})))
    assert other[0].tried == ({another: f"another pass is at the {waits}"} if waits else {})
    assert (first.tried == {}) is (waits is not None)
    assert len([call for call in pool.calls if call.startswith("set")]) == 1
    again = await perform(hand, (another,), Observed(NOW, MappingProxyType({})))
    assert again.tried == {}


@pytest.mark.parametrize("wary", [False, True])
async def test_the_effect_says_whether_its_fence_is_wary(wary: bool) -> None:
    """The old Down_Admin is taken for this fence's unless it is wary: then it is not before the lift arrived."""
    scene = lifted_but_not_there_yet(after=10)
    ports = replace(scene.ports, documents=FakeDocuments())
    records, service = Records(ports.documents), TOPOLOGY.services[0]
    held = await records.save(TOPOLOGY, stable(), None)
    effect = FenceByBalancer("nva-a", 4, wary)
    hand = Hand(ports, TOPOLOGY, service, records, held)
    seen = await perform(hand, (effect,), Observed(NOW, MappingProxyType({})))
    assert seen.proofs == {"nva-a": FenceProof(4, "etag-3")}
    assert scene.passed == (15 if wary else 0)


# --- a member that the pool does not list


async def test_a_member_that_the_pool_does_not_list_is_proven_so_once_health_has_shown_nothing_of_it_for_the_settle_time() -> (
    None
):
    scene = Scene()
    scene.pool.listed = False
    assert await scene.fence(epoch=7, settle=10) == FenceProof(7, "etag-1", ABSENT)
    assert (scene.sets, scene.pool.calls[0], scene.pool.calls[-1]) == ([], "look", "look")
    assert scene.passed >= 10


@pytest.mark.parametrize("reason", ["Up_Probe_Success", "Down_Admin"])
async def test_what_health_still_shows_of_a_member_that_the_pool_does_not_list_begins_the_wait_anew(
    reason: str,
) -> None:
    scene = Scene()
    scene.pool.listed = False
    scene.pool.says = lambda at: reason if at < 5 else None
    await scene.fence(settle=10)
    assert scene.passed >= 15


async def test_a_member_that_is_put_back_while_its_absence_is_proven_is_not_proven() -> None:
    scene = Scene()
    scene.pool.listed = False

    def put_back(at: float) -> None:
        scene.pool.listed = at >= 5

    scene.pool.says = put_back
    with pytest.raises(Superseded, match="nva-a is not proven fenced, it is in the pool again"):
        await scene.fence(settle=10)


async def test_a_member_that_the_pool_does_not_list_is_in_no_other_pool_either() -> None:
    scene = Scene()
    scene.pool.listed = False
    scene.pool.unprovable = ["nva-a is also in pool others"]
    with pytest.raises(Unavailable, match="also in pool others"):
        await scene.fence()


# --- the pool, shown as it was a minute ago


async def test_a_wary_fence_of_a_member_that_was_shown_late_ends_at_once_and_is_made_again() -> None:
    """It was Down all along, so that the Down_Admin that is waited for never goes."""
    scene = Scene(DOWN)
    scene.pool.late = [NONE]
    with pytest.raises(Superseded, match="the pool shows adminState Down now, and showed adminState None"):
        await scene.fence(wary=True)
    assert (scene.sets, scene.passed) == ([], 0)


async def test_a_member_that_was_shown_late_as_out_of_the_pool_is_no_absence() -> None:
    scene = Scene()
    scene.pool.late = [None, None]
    with pytest.raises(Superseded, match="the pool shows adminState None now, and showed no such address"):
        await scene.fence()
    assert (scene.sets, scene.passed) == ([], 1)


async def test_a_lift_of_a_member_that_was_shown_late_as_down_ends_at_once() -> None:
    scene = Scene(NONE)
    scene.pool.late = [DOWN]
    with pytest.raises(Superseded, match="the pool shows adminState None now, and showed adminState Down"):
        await scene.lift()
    assert (scene.sets, scene.passed) == ([], 0)
