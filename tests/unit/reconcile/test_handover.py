"""Whole passes over a load balancer that goes by its last probes: which members get new flows while a service moves."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_app.adapters.arm.balancer_document import noticed_within
from function_app.domain.base.errors import Unavailable
from function_app.domain.service.observation import FAILING, AdminState, Backend, BalancerReading
from function_app.domain.service.orders import SwitchoverOrder
from function_app.domain.service.steps import AwaitProbe
from function_app.domain.topology.model import Topology
from function_app.reconcile.act.probing import await_probe
from function_app.reconcile.operate import operate
from function_app.reconcile.store.topologies import InForce
from tests.builders import QUICK, document, topology
from tests.fakes import FakeClock, FakeWorld
from tests.unit.reconcile.pool import TOPOLOGY
from tests.unit.reconcile.pool import A as NVA_A
from tests.unit.reconcile.pool import Scene as PoolScene
from tests.unit.reconcile.scene import Scene

NOTICES = timedelta(seconds=10)
WITHIN = timedelta(seconds=15)


class Remembering(FakeWorld):
    """Its load balancer follows what a member answers after `NOTICES`, and by then for sure; every second is looked at."""

    def __init__(self, topology: Topology, clock: FakeClock) -> None:
        super().__init__(topology)
        self._clock = clock
        self._answers: dict[str, tuple[bool, bool, Any]] = {}
        self.seconds: list[tuple[str, ...]] = []

    def up(self, name: str) -> bool:
        before, now, since = self._answers.get(name, (False, False, self._clock.at))
        settled = now if self._clock.at - since >= NOTICES else before
        if self.agents[name].answers_200 is not now:
            self._answers[name] = (settled, self.agents[name].answers_200, self._clock.at)
        return settled

    def admitted(self) -> tuple[str, ...]:
        return tuple(name for name in self.agents if self.up(name) and self.admin[name] is not AdminState.DOWN)

    def tick(self) -> None:
        self.seconds.append(self.admitted())

    def _backend(self, name: str) -> Backend:
        if self.admin[name] is not AdminState.NONE:
            return super()._backend(name)
        return Backend(AdminState.NONE, "Up_Probe_Success" if self.up(name) else "Down_Probe_HttpStatus")

    async def read(self, *asked: Any) -> BalancerReading:
        return replace(await super().read(*asked), noticed_within=WITHIN)


class Ticking(FakeClock):
    """Sleeps second by second."""

    world: Remembering

    async def sleep(self, duration: timedelta) -> None:
        for _ in range(round(duration.total_seconds())):
            self.at += timedelta(seconds=1)
            self.world.tick()


class Service(Scene):
    """Two members, the first of which serves and is admitted."""

    def __init__(self, handover: str) -> None:
        services = [{**document()["services"][0], "handover": handover}]
        desired = topology(services=services, timing=QUICK | {"doubtPoll": "PT10S"})
        clock = Ticking()
        self.remembering = clock.world = Remembering(desired, clock)
        super().__init__(desired=desired, world=self.remembering)
        self.clock = clock
        self.ports = replace(self.ports, clock=clock)

    async def begin(self) -> None:
        await self.rest()
        self.remembering.seconds.clear()

    async def rest(self) -> None:
        """Slow passes ten seconds apart, until the holder alone is admitted and nothing is left to do."""
        for _ in range(20):
            await self.slow()
            await self.clock.sleep(timedelta(seconds=10))
        assert self.record.phase == "stable"
        assert self.remembering.admitted() == (self.record.target,)

    async def switchover(self, to: str) -> None:
        await operate(self.ports, InForce(self.topology, "g1"), self.topology.services[0], SwitchoverOrder(to=to))

    def with_two(self) -> int:
        return sum(len(names) > 1 for names in self.remembering.seconds)

    def with_none(self) -> int:
        return sum(not names for names in self.remembering.seconds)


async def moved(handover: str) -> Service:
    scene = Service(handover)
    await scene.begin()
    await scene.switchover("nva-b")
    await scene.rest()
    assert scene.record.target == "nva-b"
    return scene


async def test_exclusive_never_has_two_admitted_and_none_for_as_long_as_the_new_one_is_not_found() -> None:
    scene = await moved("exclusive")
    assert scene.with_two() == 0
    assert 0 < scene.with_none() <= WITHIN.total_seconds()


async def test_seamless_never_has_none_admitted_and_two_for_as_long_as_the_old_one_is_not_found_out() -> None:
    scene = await moved("seamless")
    assert scene.with_none() == 0
    assert 0 < scene.with_two() <= WITHIN.total_seconds()


async def test_seamless_ends_with_the_old_holder_where_the_load_balancer_never_has_the_target_up() -> None:
    scene = Service("seamless")
    await scene.begin()
    up = scene.remembering.up
    scene.remembering.up = lambda name: name != "nva-b" and up(name)  # type: ignore[method-assign]
    await scene.switchover("nva-b")
    await scene.rest()
    assert (scene.record.target, scene.serving()) == ("nva-a", ["nva-a"])
    assert scene.with_none() == 0


async def test_seamless_that_dies_midway_is_ended_by_whoever_looks_next() -> None:
    scene = Service("seamless")
    await scene.begin()
    scene.world.arm_up = False
    await scene.switchover("nva-b")
    assert scene.record.is_shared
    assert scene.serving() == ["nva-a", "nva-b"]
    scene.world.arm_up = True
    await scene.rest()
    assert scene.serving() == [scene.record.target]


async def test_a_failover_of_an_exclusive_service_needs_no_management_api() -> None:
    scene = Service("exclusive")
    await scene.begin()
    scene.world.arm_up = False
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    await scene.fast()
    assert scene.serving() == ["nva-b"]
    assert scene.with_two() == 0


# --- a silent holder --------------------------------------------------------------------------------------------------


async def test_a_holder_that_app_and_peers_miss_stays_while_the_probe_gets_its_answer() -> None:
    scene = Service("prompt")
    await scene.begin()
    holder = scene.world.agents["nva-a"]
    holder.cut = holder.missed = True
    outcome = await scene.fast()
    assert "after 15 s the load balancer says of nva-a: Up_Probe_Success" in "; ".join(outcome.reasons)
    for _ in range(6):
        await scene.slow()
        await scene.clock.sleep(timedelta(seconds=10))
    holder.cut = holder.missed = False
    await scene.rest()
    assert scene.record.target == "nva-a"
    assert scene.with_none() == 0
    assert scene.world.balancer_writes == []


async def test_a_holder_that_is_dead_is_fenced_as_soon_as_the_probe_finds_out() -> None:
    scene = Service("prompt")
    await scene.begin()
    scene.world.kill("nva-a")
    began = scene.clock.at
    await scene.fast()
    assert scene.record.target == "nva-b"
    assert NOTICES <= scene.clock.at - began <= NOTICES + timedelta(seconds=2)


async def test_a_holder_that_is_missed_while_the_management_api_is_down_is_not_waited_for_without_end() -> None:
    scene = Service("prompt")
    await scene.begin()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    began = scene.clock.at
    await scene.fast()
    assert scene.record.phase == "fencing"
    assert scene.clock.at - began <= WITHIN + timedelta(seconds=2)


# --- the wait itself --------------------------------------------------------------------------------------------------


def waiting(says: dict[float, str | Unavailable | None]) -> PoolScene:
    """Health by the second since when it says so."""
    scene = PoolScene()
    scene.pool.says = lambda at: says[max(second for second in says if second <= at)]
    return scene


async def waited(scene: PoolScene, up: bool, within: timedelta | None = WITHIN, first_counts: bool = False) -> float:
    wait = AwaitProbe("nva-a", 4, up, within, first_counts)
    await await_probe(scene.ports, TOPOLOGY.services[0], NVA_A, wait)
    return scene.passed


UP, DOWN, SILENT = "Up_Probe_Success", "Down_Probe_HttpStatusCodeError", None


async def test_a_member_is_gone_once_health_has_shown_it_up_and_then_down() -> None:
    assert await waited(waiting({0: UP, 4: FAILING, 7: DOWN}), up=False) == 7


@pytest.mark.parametrize("says", [DOWN, SILENT, Unavailable("503"), "Down_Admin"])
async def test_what_was_never_seen_up_is_waited_for_as_long_as_the_probe_needs(says: str | Unavailable | None) -> None:
    """It may be what health showed before the member served."""
    assert await waited(waiting({0: says}), up=False) == WITHIN.total_seconds()


@pytest.mark.parametrize(("says", "after"), [({0: DOWN}, 0), ({0: UP, 3: DOWN}, 3), ({0: Unavailable("503")}, 15)])
async def test_of_a_silent_member_a_first_reading_counts(
    says: dict[float, str | Unavailable | None], after: float
) -> None:
    assert await waited(waiting(says), up=False, first_counts=True) == after


@pytest.mark.parametrize(("failing_after", "after"), [(0, 2), (2, 2), (5, 5)])
async def test_of_a_silent_member_a_probe_that_failed_once_is_enough_after_a_while(
    failing_after: int, after: int
) -> None:
    scene = waiting({0: UP, 2: FAILING, 9: DOWN})
    wait = AwaitProbe("nva-a", 4, False, WITHIN, first_counts=True, failing_after=timedelta(seconds=failing_after))
    await await_probe(scene.ports, TOPOLOGY.services[0], NVA_A, wait)
    assert scene.passed == after


async def test_of_a_member_that_is_silent_for_long_one_reading_is_enough() -> None:
    with pytest.raises(Unavailable, match="after 0 s the load balancer says of nva-a: Up_Probe_Success"):
        await waited(waiting({0: UP}), up=False, within=timedelta(0), first_counts=True)


async def test_a_member_that_is_still_up_by_then_is_not_gone() -> None:
    with pytest.raises(Unavailable, match="after 15 s the load balancer says of nva-a: Up_Probe_Success"):
        await waited(waiting({0: UP}), up=False)


async def test_a_member_is_up_once_health_has_shown_it_down_and_then_up_and_not_merely_after_a_while() -> None:
    assert await waited(waiting({0: DOWN, 6: UP}), up=True) == 6
    assert await waited(waiting({0: UP}), up=True) == WITHIN.total_seconds()  # as health showed it before FENCE
    with pytest.raises(Unavailable, match="says of nva-a: Down_Probe"):
        await waited(waiting({0: DOWN}), up=True)
    with pytest.raises(Unavailable, match="says of nva-a: nothing"):
        await waited(waiting({0: SILENT}), up=True)


async def test_nothing_is_waited_for_whose_time_is_not_known() -> None:
    with pytest.raises(Unavailable, match="it was not read yet"):
        await waited(waiting({0: DOWN}), up=False, within=None)


def test_a_probe_finds_out_within_one_interval_more_than_its_threshold_and_what_is_no_probe_tells_nothing() -> None:
    def document(**facts: Any) -> dict[str, Any]:
        neighbour = {"name": "other", "properties": {"port": "any"}}
        return {"properties": {"probes": [neighbour, {"name": "Agent", "properties": facts}]}}

    azure = document(protocol="Http", port=80, intervalInSeconds=5, probeThreshold=2)
    assert noticed_within(azure, "agent") == WITHIN
    assert noticed_within(azure, "another") is None
    assert noticed_within(document(port=80), "agent") is None
    assert noticed_within(document(port=80, intervalInSeconds="often"), "agent") is None
