"""Repairs of network flags in passes: one write a pass, its intent first, and never beside a failover."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from function_app.domain.base.errors import Superseded, Unavailable
from function_app.domain.networks.flags import Flag, NetworkPeeringReading, RepairFlags
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.dry_run import plan
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.routes.evidence import gather_evidence
from function_app.reconcile.store.topologies import InForce
from tests.builders import SUB, document, text
from tests.fakes import FakeDocuments, FakeNetworkFlags
from tests.unit.reconcile.scene import Scene, as_json

OFF = {Flag.USE_REMOTE_GATEWAYS: False, Flag.ALLOW_GATEWAY_TRANSIT: False, Flag.ALLOW_FORWARDED_TRAFFIC: True}
ON = OFF | {Flag.USE_REMOTE_GATEWAYS: True}


class DualHomed(Scene):
    """A spoke with a peering to each of two hubs, both of which must not use remote gateways."""

    def __init__(self, owned: bool = True) -> None:
        doc = document()
        doc["networkPeerings"] = [
            {
                "name": f"to-hub-{n}",
                "id": f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings/to-hub-{n}",
                "useRemoteGateways": False,
                "owned": owned,
            }
            for n in (1, 2)
        ]
        super().__init__(desired=decode(text(doc), Place()))
        self.flags = NotedFlags(self.documents)
        self.flags.peerings = {f"to-hub-{n}": NetworkPeeringReading(OFF) for n in (1, 2)}
        self.ports = replace(self.ports, network_flags=self.flags)

    def spoil(self) -> None:
        self.flags.peerings = {name: NetworkPeeringReading(ON) for name in self.flags.peerings}

    @property
    def networks(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.documents.stored["status/hub.json"].body)["networks"]
        return found

    @property
    def repaired(self) -> list[str]:
        return [step.target.name for step in self.flags.repairs]


class NotedFlags(FakeNetworkFlags):
    """Asserts at every repair that it was written down before."""

    def __init__(self, documents: FakeDocuments) -> None:
        super().__init__()
        self.documents = documents

    async def repair(self, step: RepairFlags) -> None:
        assert step.target.name in json.loads(self.documents.stored["networks/hub.json"].body)["at"]
        await super().repair(step)


async def test_owned_flags_are_repaired_one_write_a_pass() -> None:
    scene = DualHomed()
    await scene.settle()
    assert scene.repaired == []
    scene.spoil()
    for wanted in (["to-hub-1"], ["to-hub-1", "to-hub-2"]):
        outcome = await scene.slow()
        assert (outcome.ending, scene.repaired) == (Ending.PENDING, wanted)
    assert (await scene.slow()).ending is Ending.CONVERGED
    assert scene.networks["findings"] == []
    assert scene.networks["peerings"]["to-hub-1"]["flags"]["useRemoteGateways"] is False


async def test_what_is_not_owned_is_reported_and_left() -> None:
    scene = DualHomed(owned=False)
    await scene.settle()
    scene.spoil()
    assert (await scene.slow()).ending is Ending.CONVERGED
    assert scene.repaired == []
    assert [f["where"] for f in scene.networks["findings"]] == ["to-hub-1", "to-hub-2"]


async def test_nothing_is_repaired_while_a_failover_is_under_way() -> None:
    scene = DualHomed()
    await scene.settle()
    scene.spoil()
    scene.world.kill("nva-a")
    scene.world.agents["nva-b"].refuses_to_serve = True
    for _ in range(3):
        await scene.slow()
        assert scene.record.phase in ("fencing", "granted")
    assert scene.repaired == []
    assert scene.networks["reasons"][0] == "to-hub-1: no operation is open: fw is not at rest"
    scene.world.agents["nva-b"].refuses_to_serve = False
    scene.world.revive("nva-a")
    await scene.settle()
    assert scene.repaired == ["to-hub-1", "to-hub-2"]


async def test_a_fast_pass_never_reads_or_repairs_a_flag() -> None:
    scene = DualHomed()
    await scene.settle()
    scene.spoil()
    await scene.fast()
    assert scene.repaired == []


async def test_what_another_owner_keeps_changing_back_is_not_fought_over() -> None:
    scene = DualHomed()
    await scene.settle()
    for _ in range(6):
        scene.spoil()
        await scene.slow()
    assert scene.repaired == ["to-hub-1", "to-hub-2"]
    assert "to-hub-1: not again so soon: it was repaired" in scene.networks["reasons"][0]
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    assert scene.repaired == ["to-hub-1", "to-hub-2", "to-hub-1"]


async def test_a_write_that_lost_is_left_for_later() -> None:
    scene = DualHomed()
    await scene.settle()
    scene.spoil()
    scene.flags.failing = [Superseded("412", timedelta(seconds=5))]
    outcome = await scene.slow()
    assert (outcome.ending, outcome.reasons) == (Ending.PENDING, ("to-hub-1: 412",))


async def test_a_peering_that_cannot_be_read_is_said_and_the_others_are_kept() -> None:
    scene = DualHomed()
    await scene.settle()
    del scene.flags.peerings["to-hub-1"]
    outcome = await scene.slow()
    assert (outcome.ending, outcome.reasons) == (Ending.FAILED, ("to-hub-1: ARM answers 503",))
    assert scene.networks["peerings"]["to-hub-1"] == {"state": "unknown", "reason": "to-hub-1: ARM answers 503"}
    assert scene.networks["peerings"]["to-hub-2"]["state"] == "Connected"


async def test_another_pass_that_was_faster_repairs_alone() -> None:
    scene = DualHomed()
    await scene.settle()
    scene.spoil()
    scene.documents.before_save = [("networks/hub.json", b'{"at":{}}')]
    await scene.slow()
    assert scene.repaired == []
    await scene.slow()
    assert scene.repaired == ["to-hub-1"]


async def test_by_hand_flags_are_compared_and_never_repaired() -> None:
    scene = DualHomed()
    await scene.settle()
    scene.spoil()
    evidence = await gather_evidence(scene.ports, scene.topology)
    assert [f.where for f in evidence.findings] == ["to-hub-1", "to-hub-2"]
    assert not evidence.sound
    assert scene.repaired == []
    scene.flags.peerings.clear()
    assert (await gather_evidence(scene.ports, scene.topology)).unread == (
        "to-hub-1: ARM answers 503",
        "to-hub-2: ARM answers 503",
    )


async def test_an_unreadable_note_of_repairs_keeps_nothing_away() -> None:
    scene = DualHomed()
    await scene.settle()
    await scene.documents.put("networks/hub.json", b"torn")
    scene.spoil()
    scene.flags.failing = [Unavailable("429", timedelta(seconds=30))]
    outcome = await scene.slow()
    assert (scene.repaired, outcome.retry_after) == (["to-hub-1"], timedelta(seconds=30))


async def test_a_dry_run_answers_the_repairs_and_what_keeps_them_away() -> None:
    scene = DualHomed()
    await scene.settle()
    scene.spoil()
    planned = as_json(await plan(scene.ports, InForce(scene.topology, "g1")))["networks"]
    assert [(s["target"], s["flags"]) for s in planned["steps"]] == [
        ("to-hub-1", {"useRemoteGateways": False}),
        ("to-hub-2", {"useRemoteGateways": False}),
    ]
    assert planned["refused"] == []
    await scene.slow()
    again = as_json(await plan(scene.ports, InForce(scene.topology, "g1")))["networks"]
    assert [s["target"] for s in again["steps"]] == ["to-hub-2"]
    scene.spoil()
    kept = as_json(await plan(scene.ports, InForce(scene.topology, "g1")))["networks"]
    assert [reason.split(": ")[:2] for reason in kept["refused"]] == [["to-hub-1", "not again so soon"]]
    assert scene.repaired == ["to-hub-1"]
