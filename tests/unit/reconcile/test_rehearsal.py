"""The fence rehearsal: what it does, what refuses it, how it fails, and when it is made without an order."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import Unavailable
from function_app.domain.service.observation import AdminState
from function_app.domain.service.record import Pause, Phase
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.ports import PoolView
from tests.builders import document, ranked, topology
from tests.fakes import FakeAdminStates, FakeDocuments
from tests.unit.reconcile.rehearsing import DOWN, KEPT, NONE, kept, ordered_only, rehearse, written
from tests.unit.reconcile.scene import Scene


def findings(scene: Scene) -> list[str]:
    found = json.loads(scene.documents.stored["status/hub.json"].body)["preflight"]
    return [finding["what"] for finding in found if finding["rule"] == "rehearsal"]


# --- what it does


async def test_a_standby_is_fenced_proven_and_taken_back_and_the_record_is_as_before(settled: Scene) -> None:
    before = settled.record
    outcome = await rehearse(settled)
    assert (outcome.ending, outcome.retry_after) == (Ending.ACCEPTED, None)
    assert outcome.reasons[0].startswith("fw: the fence of nva-c held and was lifted, in ")
    assert settled.world.balancer_writes == [("nva-c", DOWN), ("nva-c", NONE)]
    assert msgspec.structs.replace(settled.record, rehearsal=None) == before
    assert settled.serving() == ["nva-a"]
    result = kept(settled)
    assert result is not None
    assert (result.member, result.failed) == ("nva-c", None)


async def test_the_status_says_that_a_death_will_hold_until_a_rehearsal_has_passed(settled: Scene) -> None:
    assert findings(settled) == ["the death of a whole NVA may be held: its fence was never rehearsed"]
    await rehearse(settled)
    await settled.slow()
    assert findings(settled) == []


async def test_what_was_done_is_explained_like_any_other_pass(settled: Scene) -> None:
    await rehearse(settled)
    entries = [json.loads(s.body) for key, s in settled.documents.stored.items() if key.startswith("history/")]
    (entry,) = [entry for entry in entries if entry["trigger"] == "order: rehearse by ann"]
    effects = [effect for step in entry["steps"] for effect in step["effects"]]
    assert effects[0].startswith("FenceByBalancer nva-c")
    assert any(effect.startswith("LiftByBalancer nva-c") for effect in effects)


async def test_of_a_pair_the_only_standby_is_rehearsed_when_it_is_named_and_not_else() -> None:
    pair = ordered_only(2)
    await pair.settle()
    outcome = await rehearse(pair)
    assert outcome.ending is Ending.REFUSED
    assert "name the member" in outcome.reasons[0]
    assert (await rehearse(pair, "nva-b")).ending is Ending.ACCEPTED


# --- what refuses it

type Spoil = Callable[[Scene], object]


def paused(scene: Scene) -> None:
    written(scene, pause=Pause(until=scene.clock.at + timedelta(hours=1), by="bob"))


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
    "a member that is not back yet": (lambda s: written(s, owed={"nva-b": 1}), "nva-c", "nva-b is not back yet"),
    "another member that may be serving": (
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
    "an operator's Up": (by_hand("nva-b", AdminState.UP), "nva-c", "nothing is up"),
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
    settled.clock.at += settled.topology.timing.operation_deadline
    await settled.settle()
    assert settled.record.owed == {}
    assert settled.serving() == ["nva-a"]


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
    before = set(scene.documents.stored)
    await scene.settle()
    assert scene.world.balancer_writes == []
    assert not any(scene.documents.stored.keys() - before), "and no pass of it is begun, as it would be refused"


async def test_a_rehearsal_that_failed_is_not_tried_again_by_itself() -> None:
    scene = Scene(3)
    scene.ports = replace(scene.ports, admin_states=Stubborn(scene, unprovable="rule x has no probe"))
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
