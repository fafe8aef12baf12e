"""The status as text: the verdict first, nothing of long ago in the present tense, and who could follow."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from msgspec.structs import replace

from function_app.domain.base.moments import moment, moment_of
from function_app.domain.service.observation import Value
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.reconcile.documents.findings import PreflightFinding
from function_app.reconcile.documents.status import Left, Overview
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.trouble import found_wrong
from function_app.reconcile.use_cases import UseCases
from function_app.views.status import ago, overview_lines, status_lines
from tests.builders import ranked_document, text
from tests.fakes import FakeAgent, FakeWorld
from tests.unit.reconcile.scene import Scene
from tests.unit.reconcile.test_use_cases import settled


async def shown(app: UseCases) -> list[str]:
    return list(status_lines(await app.status("hub")))


async def at_rest() -> tuple[Scene, UseCases]:
    scene, _, app = await settled()
    await app.look("hub", "test")
    await app.wake_all()
    scene.clock.at += timedelta(seconds=12)
    return scene, app


async def test_a_service_that_is_well_is_said_in_a_screen() -> None:
    _, app = await at_rest()
    lines = await shown(app)
    assert lines[0] == "hub: well"
    assert lines[1].startswith("looked at 12 s ago (2026-01-01 ")
    assert lines[1].endswith("; the last sweep came 12 s ago, due every 60 s")
    (who,) = (line for line in lines if line.startswith("fw (active-passive): nva-a serves since 2026-01-01 "))
    assert who.endswith(" s ago (epoch 1)")
    assert "  why    adopt: learned: nva-a is the best of the fit members" in lines
    assert "  spare  nva-b" in lines
    assert len(lines) <= 20


async def test_of_a_member_without_an_agent_that_is_said() -> None:
    _, app = await at_rest()
    status = await app.status("hub")
    assert status.last_look is not None
    status = replace(status, last_look=replace(status.last_look, members={}))
    lines = list(status_lines(status))
    assert any(line.startswith("fw (active-passive): nva-a (no agent) serves since ") for line in lines)
    assert "  spare  nva-b (no agent)" in lines


async def test_a_standby_that_could_not_take_over_is_trouble_and_says_why() -> None:
    scene, app = await at_rest()
    scene.world.kill("nva-b")
    await app.look("hub", "test")
    lines = await shown(app)
    assert lines[:2] == ["hub: TROUBLE", "  fw: no spare: the next failure is an outage"]
    assert "  spare  NONE: the next failure is an outage" in lines
    assert any(line.startswith("         nva-b: its agent does not answer") for line in lines)


async def test_a_look_by_hand_does_not_make_well_what_no_sweep_looks_after() -> None:
    scene, app = await at_rest()
    scene.clock.at += timedelta(seconds=240)
    await app.look("hub", "by hand")
    lines = await shown(app)
    assert lines[0] == "hub: TROUBLE"
    assert lines[1].startswith("  no sweep for 252 s, and one is due every 60 s: the app does not run")


async def test_where_nothing_has_looked_for_two_sweeps_nothing_is_said_in_the_present_tense() -> None:
    scene, app = await at_rest()
    scene.clock.at += timedelta(seconds=120)
    status = await app.status("hub")
    lines = list(status_lines(status))
    assert status.verdict == "stale"
    assert lines[0] == "hub: UNKNOWN"
    assert lines[1] == (
        "  not looked at for 132 s, and a sweep looks every 60 s: the app does not run, or does not reach its storage: restart "
        "it (`az functionapp restart`). Roles stay as they are, and nothing fails over meanwhile; "
        "`hopkeeper reconcile hub --direct` makes a pass"
    )
    assert "fw (active-passive): nva-a served by the record (epoch 1); whether it does now is unknown" in lines
    assert not [line for line in lines if " serves since " in line or line.startswith("  spare")]


async def test_without_any_look_on_record_nothing_is_known() -> None:
    _, documents, app = await settled()
    documents.stored.pop("status/hub.json")
    status = await app.status("hub")
    assert [(s.name, s.address, s.role, s.agent) for s in status.speakers] == [
        ("nva-a", "10.0.1.4", "router", True),
        ("nva-b", "10.0.1.5", "router", True),
    ], "who there is stands in the document"
    assert [(s.service, s.balancer) for s in status.services] == [("fw", "ilb")]
    assert (status.verdict, status.reasons[0]) == ("stale", "no look that can be read is on record")
    assert "no look on record; no sweep came yet" in list(status_lines(status))


async def test_a_pause_says_until_when_by_whom_and_why_and_is_gone_once_it_is_over() -> None:
    scene, app = await at_rest()
    await app.order("hub", "fw", "pause", {"minutes": 5, "by": "ann", "reason": "firmware"})
    lines = await shown(app)
    assert lines[:2] == ["hub: TROUBLE", "  fw: paused"]
    (paused,) = (line for line in lines if line.startswith("  paused until "))
    assert paused.endswith("Z by ann: firmware; `resume` ends it")
    scene.clock.at += timedelta(minutes=6)
    assert (await app.status("hub")).services[0].paused is None


async def test_a_pause_that_is_over_is_no_reason_whenever_was_last_looked() -> None:
    """Not twice while it is in force either."""
    scene, app = await at_rest()
    await app.order("hub", "fw", "pause", {"minutes": 1, "by": "ann"})
    scene.world.kill("nva-a")
    scene.clock.at += timedelta(seconds=50)
    await app.look("hub", "test")
    assert (await app.status("hub")).reasons == ("fw: paused", "fw: nva-a does not answer")
    scene.clock.at += timedelta(seconds=20)
    assert "fw: paused" not in (await app.status("hub")).reasons
    scene.clock.at += timedelta(seconds=120)
    status = await app.status("hub")
    assert (status.verdict, len(status.reasons)) == ("stale", 1)


@pytest.mark.parametrize("verb", ["release", "retire"])
async def test_a_service_that_left_is_not_managed_and_no_trouble(verb: str) -> None:
    _, app = await at_rest()
    await app.order("hub", "fw", verb, {"by": "ann"})
    for _ in range(5):
        await app.wake_all()
    lines = await shown(app)
    assert f"fw (active-passive): {verb}d by ann: not managed" in lines
    assert "fw: no member is known to serve" not in " ".join(lines)


async def test_while_no_member_is_granted_none_is_said_to_serve() -> None:
    scene, app = await at_rest()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    scene.clock.at += timedelta(seconds=60)
    await app.look("hub", "test")
    lines = await shown(app)
    assert "  fw: no member is known to serve" in lines
    (who,) = (line for line in lines if line.startswith("fw (active-passive): NO member serves for certain; "))
    assert "nva-b is to serve (fencing, epoch 2)" in who


async def test_the_overview_has_a_line_a_topology_and_says_how_to_begin_where_there_is_none() -> None:
    _, app = await at_rest()
    assert list(overview_lines(await app.overview())) == ["hub: fw; looked at 12 s ago", "the last sweep came 12 s ago"]
    nothing = Overview(topologies=(), sweep=None, observing=True)
    assert list(overview_lines(nothing)) == [
        "no topology is in force: `hopkeeper apply FILE`",
        "no sweep came yet",
        "observing only: nothing is changed, and orders are refused",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (172800, "2 d ago")],
)
def test_an_age_is_said_in_the_unit_in_which_a_person_would(seconds: float, said: str) -> None:
    assert ago(seconds) == said


@pytest.mark.parametrize("text", ["-99999999d", "-999999999999999s"])
def test_a_time_before_there_were_dates_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is before there were dates"):
        moment_of(text, datetime(2026, 1, 1, tzinfo=UTC))


async def test_a_holder_that_does_not_answer_is_not_said_to_serve() -> None:
    scene, app = await at_rest()
    await app.order("hub", "fw", "pause", {"minutes": 5, "by": "ann"})
    scene.world.kill("nva-a")
    await app.look("hub", "test")
    lines = await shown(app)
    assert "  fw: nva-a does not answer" in lines
    (who,) = (line for line in lines if line.startswith("fw (active-passive): nva-a has the role since "))
    assert who.endswith(", and does NOT answer")


async def test_a_spare_that_was_drained_or_left_the_document_since_the_look_is_none() -> None:
    _, app = await at_rest()
    await app.order("hub", "fw", "drain", {"member": "nva-b", "by": "ann"})
    assert "  fw: no spare: the next failure is an outage" in await shown(app)
    _, app = await at_rest()
    await app.apply((await app.topologies.text("hub")).replace("asn: 65001", "asn: 65009", 1))
    assert not [line for line in await shown(app) if line.startswith("  spare")]


async def test_the_cause_stands_with_the_part_that_it_is_about() -> None:
    scene, app = await at_rest()
    scene.world.arm_up = False
    await app.look("hub", "test")
    lines = await shown(app)
    assert lines[lines.index("rs: not read, failed") + 1] == "  ARM answers 503"


async def test_where_sweeps_come_and_no_look_is_completed_that_is_said() -> None:
    scene, app = await at_rest()
    scene.clock.at += timedelta(seconds=150)
    await app.wake_all()
    (why,) = (await app.status("hub")).reasons
    assert why.endswith("a sweep looks every 60 s: sweeps come, but no look is completed")


# --- what is wrong beside the records


async def wrong(app: UseCases) -> list[str]:
    """In the verdict's order; without when it was first seen."""
    status = await app.status("hub")
    assert status.verdict == "trouble"
    return [reason.partition(" (seen since ")[0] for reason in status.reasons]


async def test_a_pause_hides_nothing_that_is_wrong() -> None:
    scene, app = await at_rest()
    await app.order("hub", "fw", "pause", {"minutes": 50, "by": "ann"})
    scene.world.agents["nva-a"].fatal = ("data-path: no echo",)
    await app.look("hub", "test")
    first = scene.clock.at
    scene.clock.at += timedelta(minutes=20)
    await app.look("hub", "test")
    await app.wake_all()
    status = await app.status("hub")
    dead = "fw: the holder looks dead: nva-a: its agent says data-path: no echo"
    assert status.reasons[:2] == ("fw: paused", f"{dead} (seen since {moment(first)})")
    scene.world.agents["nva-a"].fatal = ()
    await app.look("hub", "test")
    assert await wrong(app) == ["fw: paused"]


async def test_an_agent_that_does_not_answer_is_trouble_whether_or_not_it_is_a_member() -> None:
    """The holder is said to with its service alone."""
    scene, _, app = await settled()
    witness = {
        "name": "w",
        "address": "10.0.1.80",
        "asn": 65010,
        "role": "witness",
        "agent": {"port": 1},
        "peersWith": [],
    }
    doc = yaml.safe_load(await app.topologies.text("hub"))
    doc["speakers"].append(witness)
    await app.apply(text(doc))
    scene.world.agents["w"] = FakeAgent("w", up=False)
    await app.look("hub", "test")
    await app.wake_all()
    assert await wrong(app) == [
        "witness w does not answer (connection refused): bring back its machine, or its agent (systemctl status hopkeeper-agent)"
    ]
    await app.order("hub", "fw", "pause", {"minutes": 50, "by": "ann"})
    scene.world.kill("nva-a")
    await app.look("hub", "test")
    assert [reason for reason in await wrong(app) if "nva-a does not answer" in reason] == ["fw: nva-a does not answer"]


@pytest.mark.parametrize(("seconds", "said"), [(-900, "900 s behind"), (6, "6 s ahead")])
async def test_a_clock_by_which_reports_are_refused_is_trouble(seconds: int, said: str) -> None:
    scene, app = await at_rest()
    scene.world.agents["nva-b"].clock_offset = timedelta(seconds=seconds)
    await app.look("hub", "test")
    assert await wrong(app) == [
        f"the clock of nva-b is {said}: its reports are refused, so that failovers are slow; synchronise it (chrony)"
    ]
    scene.world.agents["nva-b"].clock_offset = timedelta(seconds=5 if seconds > 0 else -5)
    await app.look("hub", "test")
    assert (await app.status("hub")).verdict == "well"


async def test_an_error_of_preflight_is_trouble_and_a_warning_is_not() -> None:
    _, app = await at_rest()
    status = await app.status("hub")
    assert status.last_look is not None
    error = PreflightFinding(
        rule="all-ports-rule", severity="error", path="$", what="no rule", do="make one", reference="HA ports"
    )
    seen = replace(status.last_look, preflight=(error, replace(error, severity="warning")))
    topology = (await app.topologies.in_force("hub")).topology
    assert list(found_wrong(topology, status, seen)) == ["preflight all-ports-rule: no rule: make one"]
    assert list(found_wrong(topology, status, replace(seen, generation="before"))) == [], "of another document"


async def test_a_release_that_is_not_over_says_what_it_waits_for() -> None:
    _, app = await at_rest()
    status = await app.status("hub")
    assert status.last_look is not None
    waiting = replace(status.services[0], left=Left(how="released", by="ann", done=False), owed=("nva-b",))
    topology = (await app.topologies.in_force("hub")).topology
    assert list(found_wrong(topology, replace(status, services=(waiting,)), status.last_look)) == [
        "fw: adminState Down of nva-b is ours, and still to be taken back: `apply` without the service waits for that; `forget` "
        "a member that no pool lists any more"
    ]
    over = replace(waiting, left=Left(how="released", by="ann", done=True))
    assert list(found_wrong(topology, replace(status, services=(over,)), status.last_look)) == []


async def test_a_holder_that_no_load_balancer_probes_is_tried_by_the_app_for_the_status_alone() -> None:
    """Its only announcer, which alone watches it, does not answer: nothing fails over, and nothing said so."""
    doc = ranked_document(2, ("inject",))
    for speaker in doc["speakers"][:2]:
        del speaker["agent"]
    topology = from_plain(doc, Place())
    scene = Scene(world=FakeWorld(topology))
    app = UseCases(scene.ports, Topologies(scene.documents, Place()))
    await app.apply(text(doc))
    for _ in range(20):
        scene.clock.at += timedelta(seconds=10)
        await app.look("hub", "test")
    scene.world.kill("inject")
    scene.world.own_checks = {"nva-a": Value.BAD, "nva-b": Value.OK}
    before = scene.record
    await app.look("hub", "test")
    await app.wake_all()
    found = await wrong(app)
    dead = "the app's own check of it fails, and no other source can tell"
    assert f"fw: the holder looks dead: nva-a: {dead}" in found
    assert found[-1].startswith("inject does not answer (connection refused): it cannot be ordered to announce fw")
    assert scene.record.target == before.target == "nva-a"
