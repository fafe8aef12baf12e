"""The plan as text: what would be done and why, what keeps it from more, and in words that there is nothing to do."""

from pathlib import Path

import msgspec

from function_app.reconcile.documents.plan import NetworkPlan, Plan, Repair, Step
from function_app.views.plan import plan_lines
from tests.unit.reconcile.test_status_lines import at_rest

EXAMPLE = Path(__file__).resolve().parents[2] / "contracts" / "documents" / "examples" / "plan-first.json"


def first() -> Plan:
    return msgspec.json.decode(EXAMPLE.read_bytes(), type=Plan)


async def test_of_a_service_at_rest_there_is_nothing_to_do() -> None:
    _, app = await at_rest()
    lines = list(plan_lines(await app.plan("hub")))
    assert lines[0] == "hub: what a pass would do first; nothing is done now"
    assert "fw: stable, nva-a serves; nothing to do" in lines
    assert not [line for line in lines if "refused" in line or "held" in line]


def test_the_steps_of_a_new_topology_are_listed_with_their_reasons() -> None:
    lines = list(plan_lines(first()))
    assert lines[1:4] == [
        "rs: 2 steps",
        "  0 of 8 peers are taken: room for 8, and 2 speakers want to peer",
        "  CreatePeering hopkeeper-hub_nva-a: nva-a is not peered",
    ]
    assert "fw: learn, no holder is known; nothing to do" in lines
    assert "  held: learning: 1 of 2 complete rounds, 1 s to go" in lines


async def test_a_failover_that_would_be_opened_is_said_with_its_effects_and_cause() -> None:
    scene, app = await at_rest()
    scene.world.kill("nva-a")
    plan = await app.plan("hub")
    service = msgspec.structs.replace(
        plan.services[0],
        next="fencing",
        epoch=2,
        target="nva-b",
        effects=("SendFence nva-a epoch 2",),
        because=("it is dead",),
    )
    lines = list(plan_lines(msgspec.structs.replace(plan, services=(service,))))
    at = lines.index("fw: stable, nva-a serves; 1 step")
    assert lines[at + 1 : at + 4] == [
        "  then   fencing, epoch 2, nva-b is to serve",
        "  does   SendFence nva-a epoch 2",
        "  because it is dead",
    ]


def test_what_waits_what_is_refused_and_why_the_document_is_not_in_force_are_said() -> None:
    plan = first()
    step = Step(step="DeletePeering", peering="old", why="exchanged", exposure_seconds=90.0, blocked=True)
    peerings = msgspec.structs.replace(
        plan.peerings[0], slots=None, steps=(step,), refused=("rs: it is being changed",)
    )
    repair = Repair(target="hub-spoke", flags={"allowForwardedTraffic": True}, why="routes need it")
    networks = NetworkPlan(steps=(repair,), refused=("hub-far: it may not be written",))
    service = msgspec.structs.replace(plan.services[0], load_balancer="403", evidence={})
    plan = msgspec.structs.replace(
        plan, problems=("$.x: wrong",), peerings=(peerings,), networks=networks, services=(service,)
    )
    assert list(plan_lines(plan))[1:-2] == [
        "  its document: $.x: wrong",
        "rs: 1 step",
        "  DeletePeering old (waits for another one to go): exchanged; without a peering for 90 s",
        "  refused: it is being changed",
        "networks: 1 step",
        "  repair hub-spoke (allowForwardedTraffic: True): routes need it",
        "  refused: hub-far: it may not be written",
        "fw: learn, no holder is known; nothing to do",
    ]
    assert list(plan_lines(plan))[-1] == "  its load balancer: 403"
