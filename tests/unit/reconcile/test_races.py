"""What a pass makes of a record that another pass changes while it looks, decides, or sleeps."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.service.observation import AdminState, AgentReading, BalancerReading, Observed, Role
from function_app.domain.service.record import Phase, Record
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.observe import AgentReadings
from function_app.reconcile.passes.fast import fast_pass
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.ports import PoolView, Stored
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import InForce
from tests.builders import NOW, balancer, topology
from tests.fakes import FakeAdminStates, FakeDocuments, FakeWorld, make_ports
from tests.unit.reconcile.scene import Scene

KEY = "records/hub/fw.json"


class Interrupted(FakeDocuments):
    """Before the next save of the record, `meanwhile` happens, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        if key == KEY and self.meanwhile:
            happen, self.meanwhile = self.meanwhile, None
            happen()
            await self.put(KEY, self.stored[KEY].body)
        return await super().save(key, body, etag)


class SlowToRead(FakeWorld):
    """While the load balancer is read, `meanwhile` happens, once: the answer is older than that."""

    meanwhile: Callable[[], object] | None = None

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        reading = await super().read(service, speakers, timeout)
        if self.meanwhile:
            happen, self.meanwhile = self.meanwhile, None
            happen()
        return reading


@pytest.fixture
async def settled() -> Scene:
    scene = Scene()
    await scene.settle()
    return scene


async def saved(scene: Scene, record: Record) -> None:
    records = Records(scene.documents)
    await records.save(scene.world.topology, record, scene.documents.stored[KEY].etag)


async def test_whoever_loses_a_race_looks_again_before_it_decides() -> None:
    documents = Interrupted()
    scene = Scene(documents=documents)
    await scene.settle()
    epoch, agent = scene.record.epoch, scene.world.agents["nva-a"]
    agent.fatal = ("data-path: no echo",)

    recovered: list[bool] = []

    def recovers() -> None:
        agent.fatal = ()
        recovered.append(True)

    documents.meanwhile = recovers
    await scene.fast()
    assert recovered
    assert (scene.serving(), scene.record.epoch) == (["nva-a"], epoch)


async def test_a_host_that_slept_after_its_look_looks_again_before_it_opens_anything() -> None:
    scene = Scene()
    await scene.settle()
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    slept = scene.clock.at + timedelta(seconds=150)
    before = Observed(scene.clock.at, {n: scene.world._status(n) for n in scene.world.agents})
    scene.world.agents["nva-a"].fatal = ()
    scene.clock.at = slept
    outcome = await scene.decide_on(before)
    assert outcome.ending is Ending.REFUSED
    assert "what was seen is 150 s old" in outcome.reasons[0]
    assert outcome.retry_after == timedelta(0)
    assert scene.serving() == ["nva-a"]


async def test_a_look_is_as_old_as_its_question() -> None:
    """A host that stops between question and answer must not take the answer for news."""
    scene = Scene()

    class Sleeper(FakeWorld):
        async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
            scene.clock.at += timedelta(seconds=60)
            return await super().status(topology, speaker, timeout)

    ports = make_ports(Sleeper(scene.topology), clock=scene.clock)
    before = scene.clock.at
    look = AgentReadings(ports, scene.topology).watch(scene.topology.services[0])
    assert (await look(False)).observed.at == before


async def test_our_own_down_is_not_taken_for_an_operators_when_another_pass_lifts_it_meanwhile() -> None:
    world = SlowToRead(topology())
    scene = Scene(world=world)
    await scene.settle()
    at_rest = scene.record
    await saved(scene, msgspec.structs.replace(at_rest, owed={"nva-a": at_rest.epoch}))
    world.admin["nva-a"] = AdminState.DOWN

    def another_pass_lifts() -> None:
        world.admin["nva-a"] = AdminState.NONE
        scene.documents.stored[KEY] = Stored(msgspec.json.encode(at_rest), "another")

    world.meanwhile = another_pass_lifts
    await scene.slow()
    assert (scene.serving(), scene.record.epoch) == (["nva-a"], at_rest.epoch)


@pytest.mark.parametrize("reading", [balancer(nva_a="Up_Probe_Success", nva_b="Down_Admin"), None, "503"])
def test_a_backend_that_was_lifted_is_no_longer_seen_as_it_was(reading: BalancerReading | str | None) -> None:
    seen = Observed(NOW, {}, reading).with_lifted("nva-b", 7)
    assert seen.lifted == {"nva-b": 7}
    backend = seen.backend("nva-b")
    assert backend is None or (backend.admin_state, backend.reason) == (AdminState.NONE, None)
    assert (seen.backend("nva-a") is None) == (not isinstance(reading, BalancerReading))


class Meddled(FakeDocuments):
    """Documents in which another writer acts (`meddle`) right after the record was read for the first time."""

    def __init__(self, of: Scene) -> None:
        super().__init__()
        self.stored, self.writes = of.documents.stored, of.documents.writes
        self.meddle: Callable[[], None] | None = None

    async def load(self, key: str) -> Any:
        found = await super().load(key)
        if key == KEY and self.meddle is not None:
            meddle, self.meddle = self.meddle, None
            meddle()
        return found

    def change(self, **fields: Any) -> None:
        """Another writer's write of the record."""
        record = {**json.loads(self.stored[KEY].body), **fields}
        self.writes.append(KEY)
        self.stored[KEY] = Stored(json.dumps(record).encode(), f"etag-{len(self.writes)}")


@pytest.mark.parametrize("fault", ["lost its role", "unfit"])
async def test_a_pause_that_comes_just_before_an_effect_or_a_write_is_read(settled: Scene, fault: str) -> None:
    meddled = Meddled(settled)
    holder = settled.world.agents["nva-a"]
    if fault == "unfit":
        holder.fatal = ("forwarding is off",)
    else:
        holder.role, holder.epoch = Role.STANDBY, 0
    pause = {"until": "2027-01-01T00:00:00Z", "by": "ann", "reason": ""}
    meddled.meddle = lambda: meddled.change(pause=pause)
    before = [list(agent.obeyed) for agent in settled.world.agents.values()]
    ports = replace(settled.ports, documents=meddled)
    outcome = await fast_pass(ports, InForce(settled.topology, "g1"), "test")
    assert [agent.obeyed for agent in settled.world.agents.values()] == before
    assert settled.record.pause is not None
    assert settled.record.phase is Phase.STABLE
    assert "paused" in outcome.reasons[0]


class Overtaken(FakeAdminStates):
    """Another pass writes the record while the pool is looked at."""

    def __init__(self, world: FakeWorld, documents: Meddled) -> None:
        super().__init__(world)
        self._documents = documents

    async def look(self, service: Any, speaker: Any) -> PoolView:
        found = await super().look(service, speaker)
        self._documents.change()
        return found


async def test_a_record_that_changed_while_the_pool_was_looked_at_stops_the_write(settled: Scene) -> None:
    meddled = Meddled(settled)
    settled.world.kill("nva-a")
    ports = replace(settled.ports, documents=meddled, admin_states=Overtaken(settled.world, meddled))
    await fast_pass(ports, InForce(settled.topology, "g1"), "test")
    assert settled.world.balancer_writes == []
    assert settled.world.agents["nva-b"].role is Role.STANDBY
