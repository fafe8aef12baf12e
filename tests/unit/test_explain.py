"""`hopkeeper explain` answers for any moment: evidence, guard and age."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from function_app.domain.service.orders import order_from
from function_app.reconcile.documents.history import Entry, EntryStep
from function_app.reconcile.history import explain
from function_app.reconcile.operate import operate
from function_app.reconcile.store.journal import keep
from function_app.reconcile.store.topologies import InForce
from function_app.views.explain import explanation_lines
from tests.builders import NOW
from tests.unit.reconcile.scene import Scene


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.settle()
    made.world.kill("nva-a")
    made.world.arm_up = False
    await made.fast()
    return made


async def explained(scene: Scene, at: datetime | None = None) -> str:
    return "\n".join(explanation_lines(await explain(scene.documents, "hub", "fw", at), scene.clock.at))


async def test_why_a_failover_is_held_names_the_evidence_and_the_missing_proof(scene: Scene) -> None:
    text = await explained(scene)
    assert "outcome: held" in text
    assert "no proof that nva-a does not serve" in text
    assert "failed: A unreachable, P failing on gossip and probe port" in text
    assert "ARM answers 503" in text


async def test_why_a_member_was_promoted_names_the_proof(scene: Scene) -> None:
    scene.world.arm_up = True
    await scene.fast()
    text = await explained(scene)
    assert "nva-b is granted epoch 2: nva-a is fenced at the load balancer" in text
    assert "proof: nva-a fenced" in text


async def test_a_command_that_is_a_way_out_names_the_topology(scene: Scene) -> None:
    scene.clock.at += timedelta(minutes=10)
    await scene.fast()
    assert "`hopkeeper forget hub fw nva-a --gone" in await explained(scene)


async def test_why_nothing_was_done_names_the_guard(scene: Scene) -> None:
    scene.clock.at += timedelta(seconds=1)
    order = order_from("pause", {"by": "ann"})
    await operate(scene.ports, InForce(scene.topology, "g"), scene.topology.services[0], order)
    await scene.fast()
    assert "guard: paused: until" in await explained(scene)


async def test_a_moment_is_explained_by_what_was_known_then_with_its_age(scene: Scene) -> None:
    moment = scene.clock.at
    scene.world.arm_up = True
    scene.clock.at += timedelta(seconds=60)
    await scene.fast()
    text = await explained(scene, moment + timedelta(seconds=5))
    assert "5.0 s before the requested moment" in text
    assert "outcome: held" in text


@pytest.mark.parametrize(("begun", "printed"), [(123_456, 0), (600_789, 600_000)])
async def test_a_moment_as_it_is_printed_is_that_of_the_pass_that_began_in_it(
    scene: Scene, begun: int, printed: int
) -> None:
    at = (scene.clock.at + timedelta(seconds=60)).replace(microsecond=begun)
    await keep(scene.documents, scene.topology, entry("fast", at, at + timedelta(seconds=1), "nva-b is elected"))
    assert "nva-b is elected" in await explained(scene, at.replace(microsecond=printed))


async def test_a_pass_that_looked_just_before_it_began_with_the_service_explains_that_moment(scene: Scene) -> None:
    looked = scene.clock.at + timedelta(seconds=60)
    one = entry("fast", looked, looked + timedelta(seconds=1), "nva-b is elected")
    await keep(scene.documents, scene.topology, replace(one, started=looked + timedelta(milliseconds=2)))
    (shown,) = (await explain(scene.documents, "hub", "fw", looked)).entries
    assert shown.steps[0].because == ("nva-b is elected",)


async def test_of_two_passes_at_once_both_are_explained(scene: Scene) -> None:
    """The one that began last is not the one that did it."""
    looked = scene.clock.at + timedelta(seconds=1)
    slow = entry("slow", looked, looked + timedelta(seconds=9), "nva-b is granted epoch 2: nva-a acknowledged")
    fast = entry("fast", looked + timedelta(seconds=1), looked + timedelta(seconds=2), "")
    for one in (slow, fast):
        await keep(scene.documents, scene.topology, one)
    text = await explained(scene, looked + timedelta(seconds=2))
    assert "nva-b is granted epoch 2" in text
    assert "fast pass" in text
    assert "fast pass" not in await explained(scene, looked + timedelta(seconds=5))


async def test_what_a_dead_instance_did_is_explained_by_the_entry_that_goes_on_with_it(scene: Scene) -> None:
    died = scene.clock.at + timedelta(seconds=5)
    later = died + timedelta(seconds=20)
    await keep(scene.documents, scene.topology, entry("slow", later, later, "verified", "failover to nva-b at epoch 9"))
    text = await explained(scene, died)
    assert "under way: failover to nva-b at epoch 9" in text
    assert "20.0 s after the requested moment" in text


def entry(pace: str, looked: datetime, ended: datetime, because: str, operation: str = "") -> Entry:
    step = EntryStep(phase="fencing → granted", epoch=2, operation=operation, because=(because,))
    return Entry(
        service="fw",
        pace=pace,
        trigger="test",
        started=looked,
        looked=looked,
        ended=ended,
        outcome="pending",
        reasons=(),
        evidence={},
        steps=(step,),
    )


async def test_an_entry_is_explained_line_by_line_with_its_age_where_it_is_the_last(scene: Scene) -> None:
    at = scene.clock.at + timedelta(seconds=60)
    one = entry("slow", at, at + timedelta(seconds=3), "nva-a is silent", "failover to nva-b at epoch 9")
    first = replace(
        one.steps[0],
        effects=("FENCE nva-a",),
        held=("no proof",),
        alarms=("a session is down",),
        refused=("paused: until noon",),
        failed={"FENCE nva-b": "busy", "FENCE nva-a": "no answer"},
        proofs={"nva-b": "W/2", "nva-a": "W/1"},
    )
    whole = replace(
        one,
        reasons=("one is waited for",),
        evidence={"nva-b": ("fit",), "nva-a": ("silent", "P failing")},
        steps=(first, EntryStep(phase="granted → stable", epoch=9, operation="", because=())),
    )
    await keep(scene.documents, scene.topology, whole)
    moment = f"{at:%Y-%m-%d %H:%M:%S}Z"
    assert explanation_lines(await explain(scene.documents, "hub", "fw", at), at)[-19:] == (
        f"fw: slow pass at {moment}, 0.0 s before the requested moment, woken by test",
        "outcome: pending",
        "  because one is waited for",
        f"evidence (as of {moment}; A: its agent, P: its peers, L: its load balancer):",
        "  nva-a: silent",
        "  nva-a: P failing",
        "  nva-b: fit",
        "step 1: fencing → granted, epoch 2",
        "  under way: failover to nva-b at epoch 9",
        "  because: nva-a is silent",
        "  did: FENCE nva-a",
        "  held: no proof",
        "  alarm: a session is down",
        "  guard: paused: until noon",
        "  failed: FENCE nva-a: no answer",
        "  failed: FENCE nva-b: busy",
        "  proof: nva-a fenced, etag W/1",
        "  proof: nva-b fenced, etag W/2",
        "step 2: granted → stable, epoch 9",
    )
    lines = explanation_lines(await explain(scene.documents, "hub", "fw", None), at + timedelta(seconds=93))
    assert lines[:2] == (
        "decided 90 s ago, and nothing since; what is now: hopkeeper status hub",
        f"fw: slow pass at {moment}, woken by test",
    )


async def test_at_rest_the_last_operation_is_not_said_to_be_under_way(scene: Scene) -> None:
    at = scene.clock.at + timedelta(seconds=60)
    one = entry("slow", at, at, "", "adopt to nva-a at epoch 1, opened 2026-01-01 03:00:36Z: learned")
    still = replace(one, steps=(replace(one.steps[0], phase="stable → stable"),))
    await keep(scene.documents, scene.topology, still)
    assert "  since: adopt to nva-a at epoch 1, opened 2026-01-01 03:00:36Z: learned" in await explained(scene)


async def test_an_entry_that_goes_on_with_what_is_explained_already_is_not_repeated(scene: Scene) -> None:
    looked = scene.clock.at + timedelta(seconds=5)
    for after in (0, 20):
        at = looked + timedelta(seconds=after)
        await keep(scene.documents, scene.topology, entry("slow", at, at, f"look {after}", "failover to nva-b"))
    text = await explained(scene, looked)
    assert "look 0" in text
    assert "look 20" not in text


async def test_before_anything_happened_it_says_so(scene: Scene) -> None:
    assert "nothing is on record" in await explained(scene, NOW - timedelta(days=1))
    (line,) = explanation_lines(await explain(scene.documents, "hub", "else", datetime.now(UTC)), NOW)
    assert line.startswith("nothing is on record for hub/else at or before ")


async def test_an_entry_that_cannot_be_read_hides_no_other(scene: Scene) -> None:
    (good,) = [key for key in scene.documents.stored if key.startswith("history/hub/fw/")][-1:]
    await scene.documents.put(good.replace(".json", "-torn.json"), b"{")
    assert "outcome: held" in await explained(scene, scene.clock.at)


async def test_entries_of_a_release_without_schemas_are_read(scene: Scene) -> None:
    (key,) = [key for key in scene.documents.stored if key.startswith("history/hub/fw/")][-1:]
    entry = json.loads(scene.documents.stored[key].body)
    del entry["schema"]
    await scene.documents.put(key, json.dumps(entry).encode())
    assert "outcome: held" in await explained(scene)
