"""What passes owe besides a right decision: fast ones wait for nothing slow, slow ones touch one peering at a time."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import Problem, Unavailable
from function_app.domain.peerings.model import Provisioning, RouteServerReading
from function_app.domain.service.observation import (
    AgentReading,
    AgentStatus,
    BalancerReading,
    PeerView,
    Unreachable,
    Value,
)
from function_app.domain.topology.model import RouteServer, Service, Speaker
from function_app.reconcile.documents.event import Event
from function_app.reconcile.observe import agents
from function_app.reconcile.passes.dry_run import plan
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.ports import AgentCommand, CommandAnswer
from function_app.reconcile.store.topologies import InForce
from tests.builders import QUICK
from tests.fakes import FakeRouteServers, FakeWorld
from tests.unit.reconcile.scene import Scene, as_json


class HangingRouteServers(FakeRouteServers):
    """Hangs in a long-running operation, for ever."""

    def __init__(self, world: FakeWorld) -> None:
        super().__init__(world)
        self.requested = asyncio.Event()

    async def read(self, server: RouteServer) -> RouteServerReading:
        self.requested.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def test_a_fast_pass_promotes_while_a_slow_pass_hangs() -> None:
    scene = Scene()
    await scene.settle()
    hanging = HangingRouteServers(scene.world)
    slow = asyncio.ensure_future(
        slow_pass(replace(scene.ports, route_servers=hanging), InForce(scene.topology, "g1"), "t")
    )
    await hanging.requested.wait()
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    await asyncio.wait_for(scene.fast(), timeout=5)
    assert scene.serving() == ["nva-b"]
    assert not slow.done()
    slow.cancel()


class SlowBalancer(FakeWorld):
    """A load balancer that never answers a reading."""

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def test_what_cannot_be_read_in_time_is_unknown_and_said() -> None:
    scene = Scene(
        timing={
            "observeSlow": "PT0.05S",
            "observeFast": "PT0.05S",
            "gossipPeriod": "PT0.02S",
            "gossipFall": 2,
            "learnFor": "PT1S",
        }
    )
    scene.ports = replace(scene.ports, load_balancers=SlowBalancer(scene.topology))
    for _ in range(4):
        outcome = await scene.slow()
    assert scene.serving() == ["nva-a"]
    assert outcome.ending is not Ending.FAILED
    seen = json.loads(scene.documents.stored["status/hub.json"].body)
    assert seen["services"]["fw"]["loadBalancer"] == "the load balancer could not be read within 0.05 s"


@dataclass
class Stalled:
    """nva-a answers nothing until it is back, and its peers have missed it since the first look."""

    world: FakeWorld
    back_seconds: float
    hangs: bool = False
    looks: int = 0
    began: float | None = None

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        now = asyncio.get_running_loop().time()
        self.began = self.began if self.began is not None else now
        seen = await self.world.status(topology, speaker, timeout)
        if now - self.began >= self.back_seconds:
            return seen
        if speaker.name == "nva-a":
            self.looks += 1
            if not self.hangs:
                return Unreachable("no answer")
            await asyncio.sleep(self.back_seconds)
            return seen
        assert isinstance(seen, AgentStatus)
        return replace(seen, peers={"nva-a": PeerView(Value.BAD, Value.BAD, timedelta(seconds=now - self.began))})

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        return await self.world.command(topology, speaker, service, command, timeout)


@pytest.mark.parametrize(("back_seconds", "holder"), [(0.1, "nva-a"), (60.0, "nva-b")])
async def test_a_fast_pass_looks_again_when_a_silence_has_lasted_and_moves_nothing_that_is_back_by_then(
    back_seconds: float, holder: str
) -> None:
    scene = Scene(timing=QUICK | {"silence": "PT0.2S"})
    await scene.settle()
    stalled = Stalled(scene.world, back_seconds)
    scene.ports = replace(scene.ports, agents=stalled)
    await scene.fast()
    assert scene.record.target == holder
    assert stalled.looks == (1 if holder == "nva-a" else 2)


@pytest.mark.parametrize(("members", "answered"), [(2, True), (3, False)])
async def test_one_peer_that_misses_an_agent_does_not_shorten_the_time_it_has_to_answer_and_two_do(
    members: int, answered: bool
) -> None:
    """One alone may lie, or be cut off itself."""
    scene = Scene(members)
    stalled = Stalled(scene.world, 0.5, hangs=True)
    ports = replace(scene.ports, agents=stalled)
    readings = await agents(ports, scene.topology, timedelta(seconds=1))
    assert isinstance(readings["nva-a"], AgentStatus) is answered


async def test_peerings_are_written_one_at_a_time() -> None:
    scene = Scene(3)
    await scene.slow()
    assert scene.world.peering_writes == ["create hopkeeper-hub_nva-a"]
    await scene.settle()
    assert scene.world.peering_writes == [f"create hopkeeper-hub_{n}" for n in ("nva-a", "nva-b", "nva-c")]
    assert {p.state for p in scene.world.peerings.values()} == {Provisioning.SUCCEEDED}


async def test_a_dry_run_writes_nothing_and_answers_the_plan() -> None:
    scene = Scene()
    before = list(scene.documents.writes)
    document = as_json(await plan(scene.ports, InForce(scene.topology, "g1")))
    assert scene.documents.writes == before
    assert scene.world.peering_writes == []
    assert [s["peering"] for s in document["peerings"][0]["steps"]] == ["hopkeeper-hub_nva-a", "hopkeeper-hub_nva-b"]
    assert document["services"][0]["held"][0].startswith("learning: ")


async def test_routes_are_verified_on_both_instances() -> None:
    scene = Scene()
    await scene.settle()
    seen = json.loads(scene.documents.stored["status/hub.json"].body)
    assert seen["routes"]["verified"] is True
    assert {c["speaker"] for c in seen["routes"]["checks"]} == {"nva-a", "nva-b"}


class Raising:
    """A port of which one method raises what no port should."""

    def __init__(self, port: Any, method: str) -> None:
        self._port = port
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return self._raise if name == self._method else getattr(self._port, name)

    async def _raise(self, *_: Any) -> None:
        raise TypeError("no dict")


@pytest.mark.parametrize(
    ("port", "method", "what"),
    [
        ("surroundings", "location", "what preflight reads"),
        ("learned_routes", "ask", "routes"),
        ("metrics", "probe_availability", "fw: metrics and health events"),
    ],
)
async def test_what_only_explains_ends_no_failover_whatever_it_raises_and_is_in_the_outcome(
    port: str, method: str, what: str
) -> None:
    scene = Scene(timing={**QUICK, "verifyEvery": "PT1S"})
    await scene.settle()
    scene.clock.at += timedelta(seconds=10)
    scene.ports = replace(scene.ports, **{port: Raising(getattr(scene.ports, port), method)})
    quiet = await scene.slow()
    assert f"{what}: TypeError('no dict'), which is a fault of ours" in quiet.reasons
    shown = json.loads(scene.documents.stored["status/hub.json"].body)
    assert (quiet.ending, shown["outcome"]) == (Ending.FAILED, "failed")
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    await scene.slow()
    assert scene.serving() == ["nva-b"]


async def test_an_operation_of_a_kind_that_only_a_newer_version_knows_is_observed_and_left_alone() -> None:
    scene = Scene()
    await scene.settle()
    operation = scene.record.operation
    assert operation is not None
    newer = msgspec.structs.replace(scene.record, operation=msgspec.structs.replace(operation, kind="swap"))
    await scene.documents.put("records/hub/fw.json", msgspec.json.encode(newer))
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    outcome = await scene.fast()
    assert outcome.reasons == ("fw: a newer version opened the operation (swap): observing only",)
    assert (scene.record, scene.serving()) == (newer, [])


async def test_what_is_wrong_with_the_stored_document_is_an_alarm_in_the_outcome() -> None:
    scene = Scene()
    await scene.settle()
    outcome = await slow_pass(
        scene.ports, InForce(scene.topology, "g1", (Problem("$", "the document is gone"),)), "test"
    )
    assert outcome.ending is Ending.HELD
    assert "hub: alarm: its document: $: the document is gone" in outcome.reasons
    assert scene.serving() == ["nva-a"]


# --- findings, published ---------------------------------------------------------------------------------------------


def findings_published(scene: Scene) -> list[tuple[list[str], list[str]]]:
    """The rules that were found, and those that are gone, of each event."""
    events = [h for h in scene.world.published if h.kind == "FindingsChanged"]
    return [(_rules(h.found or ()), _rules(h.gone or ())) for h in events]


def _rules(shown: Any) -> list[str]:
    """Clocks stand still here while passes go on, and agents' are said to be off."""
    return [each.rule for each in shown if each.rule != "clock-offset"]


CLOCK_OF_B = ("clock-offset", "$.speakers[1].agent")


async def test_a_standby_that_could_not_serve_is_published_once_and_once_that_it_is_back() -> None:
    scene = Scene()
    await scene.settle()
    scene.world.published.clear()
    scene.world.kill("nva-b")
    for _ in range(3):
        await scene.slow()
    assert findings_published(scene) == [(["redundancy"], [])]
    scene.world.revive("nva-b")
    for _ in range(3):
        await scene.slow()
    assert findings_published(scene)[1:] == [([], ["redundancy"])]


async def test_that_fewer_members_are_left_is_published_as_well() -> None:
    scene = Scene(3)
    await scene.settle()
    scene.world.kill("nva-c")
    await scene.slow()
    scene.world.published.clear()
    scene.world.kill("nva-b")
    for _ in range(3):
        await scene.slow()
    assert findings_published(scene) == [(["redundancy"], ["redundancy"])]


async def test_what_could_not_be_judged_for_a_while_is_shown_as_it_was_and_not_published_anew() -> None:
    scene = Scene()
    await scene.settle()
    scene.world.agents["nva-b"].clock_offset = timedelta(seconds=-3)
    await scene.slow()
    scene.world.published.clear()
    scene.world.kill("nva-b")
    for _ in range(2):
        await scene.slow()
    look = msgspec.json.decode(scene.documents.stored["status/hub.json"].body)
    assert [(each["rule"], each["path"]) for each in look["preflightEarlier"]] == [CLOCK_OF_B]
    scene.world.revive("nva-b")
    for _ in range(2):
        await scene.slow()
    shown = [each for h in scene.world.published for each in (*(h.found or ()), *(h.gone or ()))]
    assert CLOCK_OF_B not in [(each.rule, each.path) for each in shown]


async def test_an_event_that_is_lost_fails_no_pass(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.settle()

    async def lost(event: Event) -> None:
        raise Unavailable("503")

    scene.world.publish = lost  # type: ignore[method-assign]
    scene.world.kill("nva-b")
    outcome = await scene.slow()
    assert outcome.ending is Ending.CONVERGED
    assert "events are published later" in caplog.text
