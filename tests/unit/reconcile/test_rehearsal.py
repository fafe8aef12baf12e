"""The fence rehearsal: what it does, what it never does, and that whatever interrupts it leaves nothing behind."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from function_app.domain.errors import Unavailable
from function_app.domain.observation import AdminState
from function_app.domain.orders import RehearseOrder
from function_app.domain.preflight_facts import Rehearsed
from function_app.domain.record import Pause, Phase, Rehearsal
from function_app.domain.topology import Service, Speaker
from function_app.reconcile.operate import operate, order_from
from function_app.reconcile.outcome import Ending, Outcome
from function_app.reconcile.passes import Passes
from function_app.reconcile.ports import PoolView
from function_app.reconcile.topologies import InForce
from tests.builders import document, ranked, topology
from tests.fakes import FakeAdminStates, FakeDocuments
from tests.unit.reconcile.scene import Scene

KEPT = "rehearsals/hub/fw.json"
DOWN, NONE = AdminState.DOWN, AdminState.NONE


def ordered_only(members: int = 3) -> Scene:
    """A scene in which nothing is rehearsed by itself."""
    doc = document(members)
    doc["services"][0]["failover"] = {"rehearse": "ordered"}
    return Scene(desired=topology(members, services=doc["services"]))


@pytest.fixture
async def settled() -> Scene:
    scene = ordered_only()
    await scene.settle()
    return scene


async def rehearse(scene: Scene, member: str | None = None) -> Outcome:
    scene.clock.at += timedelta(seconds=1)
    order = RehearseOrder("ann", member)
    return await operate(scene.ports, InForce(scene.topology, "g1"), scene.topology.services[0], order)


def kept(scene: Scene) -> Rehearsed | None:
    stored = scene.documents.stored.get(KEPT)
    return msgspec.json.decode(stored.body, type=Rehearsed) if stored else None


def findings(scene: Scene) -> list[str]:
    found = json.loads(scene.documents.stored["status/hub.json"].body)["preflight"]
    return [finding["what"] for finding in found if finding["rule"] == "rehearsal"]


# --- what it does


async def test_a_standby_is_fenced_proven_and_taken_back_and_the_record_is_as_before(settled: Scene) -> None:
    before = settled.record
    outcome = await rehearse(settled)
    assert (outcome.ending, outcome.retry_after) == (Ending.CONVERGED, None)
    assert outcome.reasons[0].startswith("fw: the fence of nva-c held and was lifted, in ")
    assert settled.world.balancer_writes == [("nva-c", DOWN), ("nva-c", NONE)]
    assert msgspec.structs.replace(settled.record, rehearsal=None) == before
    assert settled.serving() == ["nva-a"]
    result = kept(settled)
    assert result is not None
    assert (result.member, result.failed) == ("nva-c", None)


async def test_the_status_says_that_a_death_will_hold_until_a_rehearsal_has_passed(settled: Scene) -> None:
    assert findings(settled) == ["the death of a whole NVA will hold: its fence was never rehearsed"]
    await rehearse(settled)
    await settled.slow()
    assert findings(settled) == []


async def test_what_was_done_is_explained_like_any_other_pass(settled: Scene) -> None:
    await rehearse(settled)
    entries = [json.loads(s.body) for key, s in settled.documents.stored.items() if key.startswith("history/")]
    (told,) = [entry for entry in entries if entry["trigger"] == "order: rehearse by ann"]
    effects = [effect for step in told["steps"] for effect in step["effects"]]
    assert effects[0].startswith("FenceByBalancer nva-c")
    assert any(effect.startswith("LiftByBalancer nva-c") for effect in effects)


async def test_of_a_pair_the_only_standby_is_rehearsed_when_it_is_named_and_not_else() -> None:
    pair = ordered_only(2)
    await pair.settle()
    outcome = await rehearse(pair)
    assert outcome.ending is Ending.REFUSED
    assert "name the member" in outcome.reasons[0]
    assert (await rehearse(pair, "nva-b")).ending is Ending.CONVERGED


# --- what refuses it

type Spoil = Callable[[Scene], object]


def paused(scene: Scene) -> None:
    written(scene, pause=Pause(until=scene.clock.at + timedelta(hours=1), by="bob"))


def written(scene: Scene, **changes: Any) -> None:
    body = msgspec.json.encode(msgspec.structs.replace(scene.record, **changes))
    scene.documents.stored["records/hub/fw.json"] = replace(
        scene.documents.stored["records/hub/fw.json"], body=body, etag="changed"
    )


def spoil_agent(name: str, **changes: Any) -> Spoil:
    def spoil(scene: Scene) -> None:
        for key, value in changes.items():
            setattr(scene.world.agents[name], key, value)

    return spoil


def by_hand(name: str, state: AdminState) -> Spoil:
    return lambda scene: scene.world.admin.update({name: state})


def without_arm(scene: Scene) -> None:
    scene.world.arm_up = False


REFUSALS: dict[str, tuple[Spoil, str | None, str]] = {
    "the holder": (lambda _: None, "nva-a", "nva-a serves"),
    "a stranger": (lambda _: None, "nva-z", "nva-z is no member"),
    "an operation under way": (lambda s: written(s, phase=Phase.FENCING), "nva-c", "an operation is under way"),
    "a service that is learning": (lambda s: written(s, phase=Phase.LEARN), "nva-c", "an operation is under way"),
    "somebody who is not back yet": (lambda s: written(s, owed={"nva-b": 1}), "nva-c", "nva-b is not back yet"),
    "somebody else who may be serving": (
        lambda s: written(s, may_serve=frozenset({"nva-a", "nva-b"})),
        "nva-c",
        "nva-b is not back yet",
    ),
    "a paused service": (paused, "nva-c", "paused: until"),
    "a standby that is silent": (spoil_agent("nva-c", up=False), "nva-c", "nva-c is not a standby that answers"),
    "a standby that is unfit": (spoil_agent("nva-c", fatal=("no",)), "nva-c", "nva-c is not a standby that answers"),
    "a holder in doubt": (spoil_agent("nva-a", cut=True), "nva-c", "the holder is in doubt"),
    "half of all in doubt": (
        lambda s: (spoil_agent("nva-b", cut=True)(s), spoil_agent("nva-c", cut=True)(s)),
        None,
        "no standby is fit",
    ),
    "an operator's Down": (by_hand("nva-c", DOWN), "nva-c", "adminState of nva-c is Down, and not by us"),
    "an Up of somebody": (by_hand("nva-b", AdminState.UP), "nva-c", "nothing is up"),
    "a load balancer that cannot be read": (without_arm, "nva-c", "the load balancer was not read: ARM answers 503"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_it_is_refused_and_nothing_is_written_for(settled: Scene, name: str) -> None:
    spoil, member, why = REFUSALS[name]
    spoil(settled)
    before = settled.record
    outcome = await rehearse(settled, member)
    assert outcome.ending is Ending.REFUSED
    assert any(why in reason for reason in outcome.reasons), outcome.reasons
    assert settled.record == before
    assert settled.world.balancer_writes == []
    assert kept(settled) is None


@pytest.mark.parametrize("mode", ["ranked", "active-active"])
async def test_without_a_fence_there_is_nothing_to_rehearse(mode: str) -> None:
    doc = document(3)
    doc["services"][0]["mode"] = "active-active"
    scene = Scene(desired=ranked(3) if mode == "ranked" else topology(3, services=doc["services"]))
    await scene.slow()
    assert "there is no fence to rehearse" in (await rehearse(scene)).reasons[0]
    assert scene.world.balancer_writes == []
    assert findings(scene) == []


async def test_without_a_name_the_last_by_priority_that_leaves_a_ready_one_is_taken(settled: Scene) -> None:
    settled.world.agents["nva-b"].sessions_up = False  # alive, but no candidate: nva-c must be spared
    await rehearse(settled)
    assert settled.world.balancer_writes[0] == ("nva-b", DOWN)


# --- failures


class Stubborn(FakeAdminStates):
    """A load balancer in which no Down proves anything, or that takes no writes."""

    def __init__(self, scene: Scene, *, unprovable: str | None = None, refused: bool = False) -> None:
        super().__init__(scene.world)
        self.unprovable = unprovable
        self.refused = refused

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        return replace(await super().look(service, speaker), unprovable=self.unprovable)

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        if self.refused:
            raise Unavailable("403 AuthorizationFailed")
        return await super().set(service, speaker, state, etag)


async def test_a_pool_where_down_proves_nothing_fails_it_and_nothing_stays_behind(settled: Scene) -> None:
    settled.ports = replace(settled.ports, admin_states=Stubborn(settled, unprovable="rule x has no probe"))
    outcome = await rehearse(settled)
    assert outcome.ending is Ending.FAILED
    assert "rule x has no probe" in outcome.reasons[0]
    assert settled.world.balancer_writes == [("nva-c", NONE)]
    assert settled.record.owed == {}
    await settled.slow()
    assert "failed: nva-c is not proven fenced" in findings(settled)[0]


async def test_a_right_that_is_missing_fails_it_and_is_owed_until_it_is_there(settled: Scene) -> None:
    settled.ports = replace(settled.ports, admin_states=Stubborn(settled, refused=True))
    outcome = await rehearse(settled)
    assert outcome.ending is Ending.FAILED
    assert "403" in outcome.reasons[0]
    assert outcome.retry_after is not None
    assert settled.record.owed == {"nva-c": settled.record.epoch}
    settled.ports = replace(settled.ports, admin_states=FakeAdminStates(settled.world))
    settled.passes = Passes(settled.ports)
    settled.clock.at += settled.topology.timing.operation_deadline
    await settled.settle()
    assert settled.record.owed == {}
    assert settled.serving() == ["nva-a"]


# --- interruptions


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
    assert outcome.ending is Ending.CONVERGED, outcome
    assert settled.world.balancer_writes == [("nva-c", DOWN), ("nva-c", NONE)]


async def test_a_failover_meanwhile_says_nothing_about_the_fence(settled: Scene) -> None:
    async def move() -> None:
        order = order_from("failover", {"by": "bob", "to": "nva-c"}, settled.clock.at)
        await operate(settled.ports, InForce(settled.topology, "g1"), settled.topology.services[0], order)

    settled.ports = replace(settled.ports, admin_states=Between(settled, move))
    outcome = await rehearse(settled)
    assert outcome.ending in (Ending.HELD, Ending.FAILED), outcome
    await settled.settle()
    assert settled.serving() == ["nva-c"]
    assert settled.world.two_serving == 0
    assert (settled.record.owed, settled.world.admin["nva-c"]) == ({}, NONE)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=1)], ids=["in time", "by a clock that was wrong"])
async def test_a_rehearsal_that_nobody_ends_is_ended_by_its_deadline(settled: Scene, ahead: timedelta) -> None:
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
        order = order_from("pause", {"by": "bob"}, settled.clock.at)
        await operate(settled.ports, InForce(settled.topology, "g1"), settled.topology.services[0], order)

    settled.ports = replace(settled.ports, admin_states=Between(settled, pause))
    outcome = await rehearse(settled)
    assert outcome.ending is not Ending.CONVERGED
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


@pytest.mark.parametrize("seed", range(20))
async def test_rehearsals_among_faults_never_make_two_eligible_and_leave_nothing_behind(seed: int) -> None:
    draw = random.Random(seed)
    scene = ordered_only(draw.choice([2, 3]))
    await scene.settle()
    for _ in range(20):
        name = draw.choice(sorted(scene.world.agents))
        agent = scene.world.agents[name]
        match draw.choice(["kill", "revive", "cut", "join", "arm", "nothing"]):
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


# --- adoption


async def test_a_service_that_is_new_is_rehearsed_once_by_itself() -> None:
    scene = Scene(3)
    await scene.settle()
    await scene.settle()
    assert scene.world.balancer_writes == [("nva-c", DOWN), ("nva-c", NONE)]
    assert findings(scene) == []


async def test_a_pair_is_not_rehearsed_by_itself() -> None:
    scene = Scene(2)
    await scene.settle()
    await scene.settle()
    assert scene.world.balancer_writes == []


async def test_a_rehearsal_that_failed_is_not_tried_again_by_itself() -> None:
    scene = Scene(3)
    scene.ports = replace(scene.ports, admin_states=Stubborn(scene, unprovable="rule x has no probe"))
    scene.passes = Passes(scene.ports)
    await scene.settle()
    before = list(scene.world.balancer_writes)
    assert before
    await scene.settle()
    assert scene.world.balancer_writes == before


async def test_unreadable_results_are_unknown_and_start_nothing() -> None:
    class Without(FakeDocuments):
        async def load(self, key: str) -> Any:
            if key == KEPT:
                raise Unavailable("storage does not answer")
            return await super().load(key)

    scene = Scene(3, documents=Without())
    await scene.settle()
    assert scene.world.balancer_writes == []
    assert findings(scene) == []
