"""The storms' load balancer remembers its probes as Azure's does, and shows late what it may show late."""

import pytest

from function_app.domain.service.observation import AdminState
from proving.storm.bugs import Bugs
from proving.storm.loop import Timeline
from proving.storm.places import place
from proving.storm.prober import INTERVAL, Prober
from proving.storm.world import World


def _probed(*changes: tuple[float, bool]) -> list[float]:
    """When a member that was up turned down or up: probed at 2 s and every 5 s after, it answers as it changes."""
    timeline, turned = Timeline(), list[float]()
    before = True

    def seen() -> None:
        nonlocal before
        if prober.up is not before:
            before = prober.up
            turned.append(timeline.now)

    prober = Prober(timeline, 2.0, seen)
    prober.begin(True)
    for at, good in changes:
        timeline.after(at, prober.answers, good)
    while timeline.step(100.0):
        pass
    return turned


@pytest.mark.parametrize(
    ("changes", "turned"),
    [
        (((1.0, False),), [7.0]),
        (((3.0, False),), [12.0]),
        (((1.0, False), (8.0, True)), [7.0, 17.0]),
        (((3.0, False), (4.0, True)), []),
        (((1.0, False), (3.0, True), (6.0, False)), [7.0]),
        (((1.0, False), (3.0, True), (8.0, False)), [17.0]),
        (((3.0, False), (8.0, True), (14.0, False)), [22.0]),
    ],
    ids=["two probes fail", "none was sent yet", "two succeed again", "between two probes", "seen failing twice",
         "a success between", "again"],
)  # fmt: skip
def test_a_member_turns_with_the_second_probe_in_a_row_that_says_so(
    changes: tuple[tuple[float, bool], ...], turned: list[float]
) -> None:
    assert _probed(*changes) == turned


def test_the_probe_follows_within_interval_times_threshold_both_ways() -> None:
    for tenth in range(50):
        at = 20.0 + tenth / 10.0
        down, up = _probed((at, False), (at + 30.0, True))
        assert INTERVAL < down - at <= 2 * INTERVAL
        assert INTERVAL < up - at - 30.0 <= 2 * INTERVAL


def test_a_member_is_admitted_by_what_the_probe_remembers_and_never_while_down() -> None:
    world = World(1, place(2, "brisk"), Bugs())
    world.balancers[0].begin()
    agent, balancer = world.agents["nva-a"], world.balancers[0]
    assert not balancer.admits("nva-a")
    balancer.unprobed = {"nva-b"}
    agent.will = True
    balancer.answers_changed("nva-a")
    while world.timeline.step(10.0):
        pass
    assert balancer.admits("nva-a")
    agent.will = False
    assert balancer.admits("nva-a")
    balancer.data["nva-a"] = AdminState.DOWN
    assert not balancer.admits("nva-a")
