"""The facade: what can be requested of Hopkeeper, over ports in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_app.domain.base.errors import BadInput, NotAuthentic
from function_app.domain.service.observation import AgentReading
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Speaker, Topology
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.ports import Stored
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from tests.builders import document, text
from tests.fakes import FakeClock, FakeDocuments, FakeWorld
from tests.unit.reconcile.scene import Scene, as_json

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


async def settled() -> tuple[Scene, FakeDocuments, UseCases]:
    """A settled service, whose first member's agent is enrolled and whose second member's is not."""
    documents = FakeDocuments()
    scene = Scene(documents=documents)
    app = UseCases(scene.ports, Topologies(documents, Place()))
    doc = document()
    doc["speakers"][0]["agent"]["certificate"] = PEM
    await app.apply(text(doc))
    await scene.settle()
    return scene, documents, app


def report(**changes: Any) -> str:
    claims = {"agent": "nva-a", "topology": "hub", "signer": PEM, "reason": "fatal: data-path"}
    return json.dumps(claims | changes)


async def test_a_report_makes_a_fast_pass_and_loads_the_topology_once() -> None:
    scene, documents, app = await settled()
    scene.world.kill("nva-a")
    scene.clock.at += timedelta(seconds=1)
    documents.loads.clear()
    reported = await app.report(report())
    assert (reported.topology, scene.serving()) == ("hub", ["nva-b"])
    assert documents.loads.count("topologies/hub.yaml") == 1
    (entry,) = await app.history("hub", "fw", most=1)
    assert (entry.pace, entry.trigger) == ("fast", "report of nva-a: fatal: data-path")


class Late(FakeDocuments):
    late: Callable[[], Awaitable[object]] | None = None
    """What is awaited before a topology is there."""

    async def load(self, key: str) -> Stored | None:
        if key.startswith("topologies/") and self.late is not None:
            await self.late()
        return await super().load(key)


class Answering(FakeWorld):
    """Agents of which it is known when each was requested to report."""

    def __init__(self, desired: Topology) -> None:
        super().__init__(desired)
        self.requested: list[str] = []
        self.answered = asyncio.Event()

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        assert speaker.agent is not None
        self.requested.append(f"{speaker.name} at {speaker.agent.port}")
        self.answered.set()
        return await super().status(topology, speaker, timeout)


AT_FIRST = ["nva-a at 8443", "nva-b at 8443"]
NEW_PEM = PEM.replace("MIIB", "MIIC")


async def reported_before() -> tuple[Answering, Late, UseCases]:
    """A settled service of which a report came before; then its holder fails."""
    documents, doc = Late(), document()
    doc["speakers"][0]["agent"]["certificate"] = PEM
    world = Answering(from_plain(doc, Place()))
    scene = Scene(world=world, documents=documents)
    app = UseCases(scene.ports, Topologies(documents, Place()))
    await app.apply(text(doc))
    await scene.settle()
    await app.report(report())
    world.requested.clear()
    world.answered.clear()
    world.agents["nva-a"].fatal = ("data-path: no echo",)
    return world, documents, app


async def stored_anew(documents: FakeDocuments, **changes: Any) -> None:
    """Another document, by hand or by another instance of the app."""
    doc = document()
    doc["speakers"][0] |= changes
    await documents.put("topologies/hub.yaml", text(doc).encode())


async def test_the_agents_are_requested_to_report_while_the_topology_is_looked_at_again() -> None:
    world, documents, app = await reported_before()
    documents.late = world.answered.wait
    async with asyncio.timeout(10):
        await app.report(report())
    assert world.requested == AT_FIRST
    assert world.eligible() == ["nva-b"]


async def test_what_agents_of_an_earlier_document_say_decides_nothing() -> None:
    world, documents, app = await reported_before()
    await stored_anew(documents, agent={"port": 9443, "certificate": PEM})
    await app.report(report())
    assert world.requested == [*AT_FIRST, "nva-a at 9443", "nva-b at 8443"]


async def test_statuses_that_grew_old_while_the_topology_was_looked_at_are_requested_anew() -> None:
    world, documents, app = await reported_before()
    clock = app.ports.clock
    assert isinstance(clock, FakeClock)
    documents.late = lambda: clock.sleep(timedelta(seconds=2))
    await app.report(report())
    assert world.requested == AT_FIRST * 2


async def test_a_report_counts_by_the_certificate_that_is_enrolled_now_whatever_was_enrolled_before() -> None:
    world, documents, app = await reported_before()
    await stored_anew(documents, agent={"port": 8443, "certificate": NEW_PEM})
    with pytest.raises(NotAuthentic, match="signature"):
        await app.report(report())
    assert world.eligible() == []
    await app.report(report(signer=NEW_PEM))
    assert world.eligible() == ["nva-b"]


async def test_a_report_that_no_agent_signed_requests_nothing_of_the_agents() -> None:
    world, _, app = await reported_before()
    for changes in ({"signer": "another"}, {"agent": "nva-b"}, {"topology": "elsewhere"}):
        with pytest.raises(NotAuthentic):
            await app.report(report(**changes))
    assert world.requested == []


async def test_an_app_that_only_observes_requests_nothing_ahead_of_its_plan() -> None:
    world, _, app = await reported_before()
    observing = replace(app, observe_only=True)
    await observing.report(report())
    assert world.requested == AT_FIRST


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"topology": "elsewhere"}, "no certificate is enrolled"),
        ({"agent": "nobody"}, "no certificate is enrolled"),
        ({"agent": "nva-b"}, "no certificate is enrolled"),
        ({"signer": "another"}, "signature"),
    ],
)
async def test_a_report_that_no_enrolled_agent_signed_looks_at_nothing(changes: dict[str, str], why: str) -> None:
    scene, documents, app = await settled()
    scene.world.kill("nva-a")
    before = list(documents.writes)
    with pytest.raises(NotAuthentic, match=why):
        await app.report(report(**changes))
    assert (documents.writes, scene.serving()) == (before, [])


async def test_the_status_gives_the_record_and_the_last_look_and_the_overview_its_age() -> None:
    _, _, app = await settled()
    await app.wake_all()
    status = await app.status("hub")
    assert (status.services[0].holder, status.last_look and status.last_look.outcome) == ("nva-a", "converged")
    (one,) = (overview := await app.overview()).topologies
    assert (one.usable, one.services, one.last_look_seconds, overview.observing) == (True, ("fw",), 0, False)
    assert overview.sweep is not None


async def test_a_look_document_that_cannot_be_read_leaves_the_rest_of_the_status() -> None:
    _, documents, app = await settled()
    await documents.put("status/hub.json", b'{"at": "2026-01-01T02:59:00Z"}')
    status = await app.status("hub")
    assert (status.services[0].holder, status.last_look) == ("nva-a", None)
    assert (await app.overview()).topologies[0].last_look_seconds is not None


async def test_the_look_of_a_release_without_schemas_is_read() -> None:
    _, documents, app = await settled()
    look = json.loads(documents.stored["status/hub.json"].body)
    assert look.pop("schema") == "hopkeeper/look/1"
    await documents.put("status/hub.json", json.dumps(look).encode())
    assert (await app.status("hub")).last_look is not None


async def test_a_part_that_does_not_apply_has_no_key() -> None:
    scene, _, app = await settled()
    scene.world.kill("nva-b")
    await app.look("hub", "test")
    members = as_json(await app.status("hub"))["lastLook"]["members"]
    assert members["nva-b"].keys() == {"reachable", "reason"}
    assert "reason" not in members["nva-a"]


async def test_what_is_unknown_is_bad_input() -> None:
    _, _, app = await settled()
    for call in (app.status("else"), app.plan("else"), app.verify("else"), app.look("else", "t")):
        with pytest.raises(BadInput, match="there is no topology 'else'"):
            await call
    with pytest.raises(BadInput, match="has no service 'else'"):
        await app.order("hub", "else", "pause", {})


async def test_an_order_that_is_not_permitted_is_an_outcome() -> None:
    _, _, app = await settled()
    outcome = await app.order("hub", "fw", "resume", {"by": "ann"})
    assert (outcome.ending, outcome.reasons) == (Ending.REFUSED, ("fw: it is not paused",))
