"""The order of a lift's steps, and what is missing without each of them (safety.md section 2, R6)."""

import pytest

from function_app.domain.base.errors import Superseded, Unavailable
from tests.unit.reconcile.pool import DOWN, NONE, UP, Scene, lifted_but_not_there_yet, seconds


async def test_a_lift_looks_then_rechecks_then_writes_and_counts_when_packets_no_longer_meet_down() -> None:
    scene = Scene(DOWN)
    await scene.lift()
    assert scene.pool.calls == ["look", "recheck", "set None etag-1"]
    assert scene.pool.packets_meet is NONE
    assert scene.passed == 2


async def test_a_lift_that_was_written_before_is_written_again_and_waited_for() -> None:
    """A Down of this operation that is still under way with the old etag can then no longer land."""
    scene = lifted_but_not_there_yet(after=10)
    scene.pool.propagation = seconds(0)
    await scene.lift()
    assert scene.sets == ["set None etag-2"]
    assert scene.pool.version == 3


async def test_a_lift_that_changes_nothing_changes_the_etag() -> None:
    scene = Scene(NONE)
    scene.pool.keeps_etag_of_noops = True
    await scene.lift()
    once = ["look", "recheck", "set None etag-1"]
    assert scene.pool.calls == [*once, "bump etag-1", "look", "recheck", "set None etag-2"]


async def test_a_lift_waits_until_the_down_has_reached_the_data_plane_before_it_writes() -> None:
    """Otherwise a later fence could take that Down for its own, with this None still to follow it."""
    scene = Scene(NONE)
    scene.pool.propagation = seconds(10)
    scene.pool.write(DOWN)
    scene.pool.propagation = seconds(5)
    await scene.lift()
    assert scene.passed == 15
    assert scene.pool.packets_meet is NONE
    assert scene.pool.on_their_way == []


async def test_where_health_is_silent_a_lift_takes_another_word_for_no_more_than_silence() -> None:
    scene = Scene(NONE)
    scene.pool.propagation = seconds(10)
    scene.pool.write(DOWN)
    scene.pool.propagation = seconds(12)
    scene.pool.says = lambda at: None if at < 1 else scene.pool.truth()
    await scene.lift(settle=15)
    assert scene.passed == 12 + 15  # the Down arrived at 10 s and spoke against it until the lift did
    assert scene.pool.packets_meet is NONE


async def test_a_lift_that_the_data_plane_does_not_follow_does_not_count() -> None:
    scene = Scene(DOWN)
    scene.pool.propagation = seconds(100)
    with pytest.raises(Unavailable, match="nva-a is not proven lifted, the health action says Down_Admin and not that"):
        await scene.lift()


async def test_where_health_stays_empty_a_lift_takes_the_settle_time() -> None:
    scene = Scene(DOWN)
    scene.pool.says = lambda _: None
    await scene.lift(settle=30)
    assert scene.passed == 30


async def test_an_arm_that_fails_says_nothing_of_a_lift() -> None:
    scene = Scene(DOWN)
    scene.pool.says = lambda _: Unavailable("500 from ARM")
    with pytest.raises(Unavailable, match=r"not proven lifted, the health action does not answer \(500 from ARM\)"):
        await scene.lift(settle=3)


async def test_up_is_left_to_the_operator_who_wrote_it() -> None:
    scene = Scene(UP)
    with pytest.raises(
        Unavailable, match="not proven lifted, nothing is written: adminState is Up, which only an oper"
    ):
        await scene.lift()
    assert scene.pool.calls == ["look"]


async def test_a_lift_is_given_up_when_the_record_moved_on() -> None:
    scene = Scene(DOWN)
    scene.answers = [False]
    with pytest.raises(Superseded, match="the write of None has not succeeded: the record moved on"):
        await scene.lift()
    assert scene.pool.shown is DOWN


async def test_a_lift_decided_before_a_later_fence_does_not_land() -> None:
    """A paused instance rechecks, sleeps while another one fences, and wakes: its write carries an etag of the past."""
    scene = Scene(DOWN)

    async def another_instance_fences() -> None:
        scene.meanwhile = None
        await scene.fence(epoch=8)

    scene.meanwhile = another_instance_fences
    with pytest.raises(Superseded, match="412"):
        await scene.lift()
    assert scene.sets == ["set Down etag-1"]


async def test_a_lift_that_another_hand_undoes_at_once_is_no_lift() -> None:
    scene = Scene(DOWN)
    scene.pool.after_write = lambda: scene.pool.write(DOWN)
    with pytest.raises(Superseded, match="None was written and ARM shows Down"):
        await scene.lift()


async def test_a_pool_in_which_down_proves_nothing_can_still_be_lifted() -> None:
    scene = Scene(DOWN)
    scene.pool.unprovable = ["nva-a is also in pool others"]
    await scene.lift()
    assert scene.pool.shown is NONE


async def test_a_lift_that_finds_none_waits_until_packets_meet_it() -> None:
    scene = Scene(DOWN)
    scene.pool.write(NONE)
    await scene.lift()
    assert scene.pool.packets_meet is NONE


async def test_none_is_not_written_again_where_nothing_could_show_that_it_has_arrived() -> None:
    scene = Scene(NONE)
    scene.pool.says = lambda since: Unavailable("no rule joins pool nvas and probe hopkeeper")
    with pytest.raises(Unavailable, match="no rule joins pool nvas and probe hopkeeper"):
        await scene.lift()
    assert scene.sets == []
