"""The facade: what can be requested of Hopkeeper, over ports in memory."""

import json
from datetime import timedelta
from typing import Any

import pytest

from function_app.domain.base.errors import BadInput, NotAuthentic
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from tests.builders import document, text
from tests.fakes import FakeDocuments
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
