"""Whatever interrupts a rehearsal: a failover, a pause, a death at any of its requests. Nothing is left behind."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from function_app.domain.service.observation import AdminState
from function_app.domain.service.orders import order_from
from function_app.domain.service.record import Rehearsal
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.ports import PoolView
from function_app.reconcile.store.topologies import InForce
from tests.fakes import FakeAdminStates, FakeDocuments
from tests.unit.reconcile.rehearsing import DOWN, NONE, kept, ordered_only, rehearse, written
from tests.unit.reconcile.scene import Scene


class Between(FakeAdminStates):
    """Lets a test act once, right after the Down of a rehearsal."""

    def __init__(self, scene: Scene, act: Callable[[], Any]) -> None:
        super().__init__(scene.world)
        self.act: Callable[[], Any] | None = act

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        view = await super().set(service, speaker, state, etag)
        if self.act is not None and state is DOWN:
            act, self.act = self.act, None
            await act()
        return view


async def test_a_holder_that_dies_meanwhile_is_followed_also_by_the_member_that_is_rehearsed() -> None:
    pair = ordered_only(2)
    await pair.settle()

    async def die() -> None:
        pair.world.kill("nva-a")
        await pair.fast()

    real = pair.ports
    pair.ports = replace(real, admin_states=Between(pair, die))
    await rehearse(pair, "nva-b")
    for _ in range(3):
        await pair.fast()
    assert pair.serving() == ["nva-b"]
    assert pair.world.two_serving == 0
    pair.world.revive("nva-a")
    await pair.settle()
    assert pair.record.owed == {}
    assert pair.serving() == ["nva-b"]


async def test_other_passes_leave_the_member_alone_until_it_is_over(settled: Scene) -> None:
    async def look() -> None:
        await settled.fast()
        await settled.slow()
        assert settled.world.balancer_writes == [("nva-c", DOWN)]

    settled.ports = replace(settled.ports, admin_states=Between(settled, look))
    outcome = await rehearse(settled)
    assert outcome.ending is Ending.ACCEPTED, outcome
    assert settled.world.balancer_writes == [("nva-c", DOWN), ("nva-c", NONE)]


async def test_a_failover_meanwhile_says_nothing_about_the_fence(settled: Scene) -> None:
    async def move() -> None:
        order = order_from("failover", {"by": "bob", "to": "nva-c"})
        await operate(settled.ports, InForce(settled.topology, "g1"), settled.topology.services[0], order)

    settled.ports = replace(settled.ports, admin_states=Between(settled, move))
    outcome = await rehearse(settled)
    assert outcome.ending is Ending.FAILED, outcome
    await settled.settle()
    assert settled.serving() == ["nva-c"]
    assert settled.world.two_serving == 0
    assert (settled.record.owed, settled.world.admin["nva-c"]) == ({}, NONE)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=1)], ids=["in time", "by a clock that was wrong"])
async def test_a_rehearsal_that_is_not_ended_ends_by_its_deadline(settled: Scene, ahead: timedelta) -> None:
    epoch, deadline = settled.record.epoch, settled.topology.timing.operation_deadline
    mark = Rehearsal(member="nva-c", epoch=epoch, until=settled.clock.at + deadline + ahead)
    written(settled, owed={"nva-c": epoch}, rehearsal=mark)
    settled.world.admin["nva-c"] = DOWN
    await settled.slow()
    assert (settled.world.admin["nva-c"] is DOWN) is (not ahead)
    settled.clock.at += deadline
    await settled.settle()
    assert (settled.record.owed, settled.world.admin["nva-c"]) == ({}, NONE)


async def test_a_pause_meanwhile_leaves_it_owed_and_its_end_takes_it_back(settled: Scene) -> None:
    async def pause() -> None:
        order = order_from("pause", {"by": "bob"})
        await operate(settled.ports, InForce(settled.topology, "g1"), settled.topology.services[0], order)

    settled.ports = replace(settled.ports, admin_states=Between(settled, pause))
    outcome = await rehearse(settled)
    assert outcome.ending is not Ending.ACCEPTED
    assert settled.world.balancer_writes == [("nva-c", DOWN)]
    assert settled.record.owed == {"nva-c": settled.record.epoch}
    settled.clock.at += timedelta(hours=2)
    await settled.settle()
    assert settled.world.admin["nva-c"] is NONE


class Killed(BaseException):
    """The instance dies here."""


class Mortal:
    """Counts the requests of one instance, and kills it before, or after, the k-th."""

    def __init__(self, at: int, after: bool) -> None:
        self.left = at
        self.after = after

    def meet(self, after: bool) -> None:
        if after is self.after:
            self.left -= 1
            if self.left == 0:
                raise Killed


class MortalDocuments(FakeDocuments):
    def __init__(self, real: FakeDocuments, mortal: Mortal) -> None:
        super().__init__()
        self.stored, self.mortal, self.writes = real.stored, mortal, real.writes

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        self.mortal.meet(after=False)
        done = await super().save(key, body, etag)
        self.mortal.meet(after=True)
        return done


class MortalAdminStates(FakeAdminStates):
    def __init__(self, scene: Scene, mortal: Mortal) -> None:
        super().__init__(scene.world)
        self.mortal = mortal

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        self.mortal.meet(after=False)
        return await super().look(service, speaker)

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        self.mortal.meet(after=False)
        done = await super().set(service, speaker, state, etag)
        self.mortal.meet(after=True)
        return done

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        self.mortal.meet(after=False)
        return await super().health_reason(service, speaker)


POINTS = 13
"""Requests that a rehearsal makes and that change something or are part of the proof."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(1, POINTS + 1))
async def test_whoever_dies_in_the_middle_leaves_a_member_that_the_next_pass_takes_back(
    settled: Scene, point: int, after: bool
) -> None:
    mortal, ports = Mortal(point, after), settled.ports
    settled.ports = replace(
        ports,
        documents=MortalDocuments(settled.documents, mortal),
        admin_states=MortalAdminStates(settled, mortal),
    )
    try:
        await rehearse(settled)
    except Killed:
        passed = False
    else:
        passed = True
    assert (settled.world.admin["nva-c"] is not DOWN) or "nva-c" in settled.record.owed
    settled.ports = ports
    settled.clock.at += settled.topology.timing.operation_deadline
    await settled.settle()
    assert (settled.record.owed, settled.world.admin["nva-c"]) == ({}, NONE)
    assert settled.serving() == ["nva-a"]
    assert (kept(settled) is not None) is passed


async def test_the_points_above_are_all_that_there_are(settled: Scene) -> None:
    mortal = Mortal(10_000, after=False)
    settled.ports = replace(
        settled.ports,
        documents=MortalDocuments(settled.documents, mortal),
        admin_states=MortalAdminStates(settled, mortal),
    )
    await rehearse(settled)
    assert 10_000 - mortal.left == POINTS


def inject(scene: Scene, name: str, fault: str) -> None:
    agent = scene.world.agents[name]
    match fault:
        case "kill":
            scene.world.kill(name)
        case "revive" if not agent.up:
            scene.world.revive(name)
        case "cut":
            agent.cut = True
        case "join":
            agent.cut = False
        case "arm":
            scene.world.arm_up = not scene.world.arm_up


@pytest.mark.parametrize("seed", range(20))
async def test_rehearsals_among_faults_never_make_two_eligible_and_leave_nothing_behind(seed: int) -> None:
    draw = random.Random(seed)
    scene = ordered_only(draw.choice([2, 3]))
    await scene.settle()
    for _ in range(20):
        name = draw.choice(sorted(scene.world.agents))
        inject(scene, name, draw.choice(["kill", "revive", "cut", "join", "arm", "nothing"]))
        runs: list[Callable[[], Awaitable[Outcome]]] = [scene.fast, scene.slow, partial(rehearse, scene, name)]
        await asyncio.gather(*(draw.choice(runs)() for _ in range(2)))
        assert scene.world.two_serving == 0
    scene.world.arm_up = True
    scene.clock.at += scene.topology.timing.operation_deadline
    for name, agent in scene.world.agents.items():
        agent.cut = False
        if not agent.up:
            scene.world.revive(name)
    await scene.settle()
    assert scene.record.may_serve == set(scene.serving())
    assert (scene.record.fenced, scene.record.owed) == ({}, {})
