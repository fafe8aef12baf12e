"""What preflight knows in a slow pass: ARM is read rarely, everything else is what the pass saw, and nothing is spoilt."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import Unavailable
from function_app.domain.preflight.facts import Denied, Rehearsed
from function_app.domain.preflight.rule import Need, Severity
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.ports import Stored
from function_app.reconcile.store.topologies import InForce, Topologies
from function_app.reconcile.use_cases import UseCases
from tests.builders import NOW
from tests.fakes import FakeDocuments, FakeSurroundings
from tests.unit.preflight_world import clean_balancer
from tests.unit.reconcile.scene import Scene

KEPT = "preflight/hub.json"
PER_LOOK = 3  # a Route Server, a load balancer and the app's own subnet; no speaker names an interface


class Looked(Scene):
    """A scene in which ARM answers what preflight reads."""

    def __init__(self, documents: FakeDocuments | None = None) -> None:
        super().__init__(documents=documents)
        passed = Rehearsed(member="nva-b", at=NOW, seconds=4.0)
        self.documents.stored["rehearsals/hub/fw.json"] = Stored(msgspec.json.encode(passed), "e")
        self.around = FakeSurroundings()
        self.around.locations["rs"] = "uksouth"
        self.around.balancers["fw"] = clean_balancer("fw", ("nva-a", "nva-b"))
        self.ports = replace(self.ports, surroundings=self.around)

    async def as_generation(self, generation: str) -> Outcome:
        return await slow_pass(self.ports, InForce(self.topology, generation), "test")

    @property
    def found(self) -> list[str]:
        findings: list[Mapping[str, Any]] = json.loads(self.documents.stored["status/hub.json"].body)["preflight"]
        # The clocks of agents in this world stand still, whatever time it is.
        return [finding["rule"] for finding in findings if finding["rule"] != "clock-offset"]


async def test_the_status_has_what_preflight_finds() -> None:
    scene = Looked()
    await scene.slow()
    assert scene.found == ["symmetric-return"]
    scene.around.locations["rs"] = "ukwest"
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    assert scene.found == ["same-region", "symmetric-return"]


async def test_arm_is_read_once_per_verify_every() -> None:
    scene = Looked()
    await scene.slow()
    await scene.slow()
    assert scene.around.reads == PER_LOOK
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    assert scene.around.reads == 2 * PER_LOOK


async def test_for_another_version_of_the_document_arm_is_read_anew() -> None:
    scene = Looked()
    await scene.as_generation("g1")
    await scene.as_generation("g2")
    assert scene.around.reads == 2 * PER_LOOK


async def test_a_kept_answer_that_cannot_be_read_or_is_of_the_future_is_requested_anew() -> None:
    scene = Looked()
    scene.documents.stored[KEPT] = Stored(b"{", "e")
    await scene.slow()
    assert scene.around.reads == PER_LOOK
    scene.clock.at -= timedelta(hours=1)
    await scene.slow()
    assert scene.around.reads == 2 * PER_LOOK


async def test_a_refused_read_is_named_and_spoils_no_other() -> None:
    scene = Looked()
    action = "Microsoft.Network/virtualHubs/read"
    scene.around.locations["rs"] = Denied(action=action, resource="rs")
    await scene.slow()
    assert scene.found == ["permission", "symmetric-return"]
    del scene.around.locations["rs"]
    await scene.as_generation("g2")
    assert scene.found == ["symmetric-return"]


async def test_what_arm_has_not_is_an_error_and_what_does_not_answer_is_not_judged_with_the_reason() -> None:
    scene = Looked()
    scene.around.gone.add("fw")
    del scene.around.locations["rs"]
    report = await UseCases(scene.ports, Topologies(scene.documents, Place())).lint(scene.topology)
    balancer = scene.topology.service("fw").load_balancer
    assert balancer is not None
    assert [f.what for f in report.findings if f.severity is Severity.ERROR] == [
        f"not found: check the id {balancer.id}"
    ]
    why = {(gap.need, gap.why) for gap in report.unjudged}
    assert (Need.LOAD_BALANCER, ("fw is not there",)) in why
    assert (Need.ROUTE_SERVER, ("nothing is known of rs",)) in why
    assert (Need.SUBNET, ("nothing is known of the app",)) in why


class WithoutKept(FakeDocuments):
    """Storage that does not answer where preflight keeps its facts."""

    async def load(self, key: str) -> Stored | None:
        if key == KEPT:
            raise Unavailable("storage does not answer")
        return await super().load(key)


async def test_preflight_without_its_document_leaves_the_pass_as_it_is() -> None:
    scene = Looked(WithoutKept())
    await scene.settle()
    assert scene.serving() == ["nva-a"]
    assert scene.found == ["symmetric-return"]


async def test_lint_of_a_document_that_is_not_in_force_reads_all_and_writes_nothing() -> None:
    scene = Looked()
    use_cases = UseCases(scene.ports, Topologies(scene.documents, Place()))
    scene.around.locations["rs"] = "ukwest"
    before = list(scene.documents.writes)
    report = await use_cases.lint(scene.topology)
    assert [f.rule for f in report.findings] == ["same-region", "symmetric-return"]
    assert {u.rule for u in report.unjudged} == {"default-route-udr", "ip-forwarding", "app-egress"}
    assert scene.documents.writes == before
    assert scene.world.peering_writes == []


async def test_an_adapter_s_own_fault_is_not_taken_for_an_unknown() -> None:
    class Broken(FakeSurroundings):
        async def location(self, server: object) -> str | Denied:
            raise ZeroDivisionError

    scene = Looked()
    scene.ports = replace(scene.ports, surroundings=Broken())
    with pytest.raises(ZeroDivisionError):
        await UseCases(scene.ports, Topologies(scene.documents, Place())).lint(scene.topology)
