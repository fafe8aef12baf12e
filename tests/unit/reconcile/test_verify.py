"""Verification in passes: what is requested when, what it may cost, and that it never stands in a failover's way."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from function_app.domain.base.errors import BadInput, Unavailable
from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.routes.effective import EffectiveRoute
from function_app.domain.routes.findings import FindingKind
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import RouteServer
from function_app.reconcile.documents.evidence import evidence_document
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.routes.evidence import Evidence, gather_evidence
from function_app.reconcile.routes.verify import next_hops
from function_app.reconcile.status import detail
from function_app.reconcile.store.topologies import Topologies
from function_app.views.evidence import table
from tests.builders import FRONTEND, NOW, SUB, document, ranked, stable, text
from tests.fakes import INSTANCES, FakeQuestions, FakeRouteServers
from tests.unit.reconcile.scene import Scene, as_json

DEFAULT = IPv4Network("0.0.0.0/0")
NIC = f"{SUB}/networkInterfaces/nva-a-nic"
A, B = "hopkeeper-hub_nva-a", "hopkeeper-hub_nva-b"


class Verified(Scene):
    """A scene whose questions can be counted."""

    def __init__(self, members: int = 2, **changes: Any) -> None:
        doc = document(members)
        doc["timing"] |= changes.pop("timing", {})
        doc["speakers"][0]["interface"] = NIC
        super().__init__(desired=decode(text(doc | changes), Place()))
        self.learned = CountedWorld(self.world)
        self.advertised = FakeQuestions()
        self.effective = FakeQuestions({NIC: (EffectiveRoute(DEFAULT, "VirtualNetworkGateway", "X", (FRONTEND,)),)})
        self.ports = replace(
            self.ports,
            learned_routes=self.learned,
            advertised_routes=self.advertised,
            effective_routes=self.effective,
        )

    @property
    def routes(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.documents.stored["status/hub.json"].body)["routes"]
        return found

    def kinds(self) -> list[str]:
        return [f["kind"] for f in self.routes["findings"]]

    async def answered(self) -> None:
        """Slow passes until every question has its answer."""
        await self.settle()
        for _ in range(20):
            if None not in self.routes["answers"].values():
                return
            await self.slow()
        raise AssertionError(f"not answered: {self.routes['answers']}")


class CountedWorld(FakeQuestions):
    """What the world's agents announce, requested as of ARM; `spoilt` replaces the answer."""

    def __init__(self, world: Any) -> None:
        super().__init__()
        self.world = world
        self.spoilt: dict[str, tuple[LearnedRoute, ...]] = {}

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...] | None:
        if token in self.spoilt:
            return self.spoilt[token]
        routes: tuple[LearnedRoute, ...] | None = await self.world.fetch(token)
        return routes


async def test_every_request_is_sent_in_the_end_and_the_age_of_its_answer_is_reported() -> None:
    scene = Verified()
    await scene.answered()
    assert sorted(scene.routes["answers"]) == [
        "advertised rs/nva-a",
        "advertised rs/nva-b",
        "effective nva-a",
        "learned rs/nva-a",
        "learned rs/nva-b",
    ]
    assert (scene.routes["wrong"], scene.routes["findings"]) == (0, [])
    scene.clock.at += timedelta(seconds=40)
    topologies = Topologies(scene.documents, Place())
    await topologies.apply(text(document() | {"timing": dict(document()["timing"])}))
    seen = as_json(await detail(topologies, scene.documents, scene.clock, "hub"))
    assert 40 <= seen["lastLook"]["routes"]["ageSeconds"] < 80
    assert seen["lastLook"]["networks"]["ageSeconds"] >= 40


async def test_advertised_routes_are_requested_one_at_a_time_when_no_learned_ones_were() -> None:
    scene = Verified()
    before = 0
    for _ in range(12):
        learned = len(scene.learned.requested)
        await scene.slow()
        requested = len(scene.advertised.requested) - before
        assert requested <= 1
        assert not (requested and len(scene.learned.requested) > learned)
        before = len(scene.advertised.requested)
    assert scene.advertised.requested == [A, B]


async def test_what_was_answered_is_not_requested_again_before_its_time() -> None:
    scene = Verified()
    await scene.answered()
    spent = len(scene.learned.requested + scene.advertised.requested + scene.effective.requested)
    for _ in range(5):
        await scene.slow()
    assert len(scene.learned.requested + scene.advertised.requested + scene.effective.requested) == spent
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    assert scene.learned.requested[-2:] == [A, B]


async def test_a_service_in_doubt_is_verified_again_soon_but_never_beyond_the_budget() -> None:
    scene = Verified(timing={"verifyBudget": 9})
    await scene.answered()
    spent = scene.routes["cost"]["writeTokens"]
    scene.learned.spoilt[A] = ()
    scene.clock.at += scene.topology.timing.verify_every
    for _ in range(40):
        outcome = await scene.slow()
    assert outcome.ending is Ending.PENDING
    assert scene.routes["cost"] == {"writeTokens": 9, "budget": 9, "perSeconds": 300}
    assert spent == 5
    assert scene.kinds() == ["missing"]
    scene.learned.spoilt.clear()
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    await scene.slow()
    assert scene.routes["verified"] is True


async def test_a_finding_that_no_service_waits_for_leaves_the_pass_converged() -> None:
    scene = Verified()
    await scene.answered()
    fetched = tuple(await scene.world.fetch(A) or ())
    extra = (*fetched, *(replace(route, network=IPv4Network("10.9.0.0/16")) for route in fetched))
    scene.learned.spoilt[A] = extra
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    assert (await scene.slow()).ending is Ending.CONVERGED
    assert (scene.kinds(), scene.routes["wrong"], scene.routes["verified"]) == (["extra"], 1, True)


async def test_nothing_is_requested_while_an_operation_is_open() -> None:
    scene = Verified()
    await scene.answered()
    scene.world.kill("nva-a")
    scene.world.agents["nva-b"].refuses_to_serve = True
    requested = len(scene.learned.requested)
    scene.clock.at += scene.topology.timing.verify_every
    for _ in range(3):
        await scene.slow()
    assert scene.record.phase in ("fencing", "granted")
    assert len(scene.learned.requested) == requested
    assert scene.routes["trouble"] == ["nothing is queried: an operation of fw is open"]


async def test_findings_move_no_peering_and_command_no_agent() -> None:
    scene = Verified()
    await scene.answered()
    writes, obeyed = list(scene.world.peering_writes), [len(a.obeyed) for a in scene.world.agents.values()]
    scene.learned.spoilt |= {A: (), B: ()}
    scene.clock.at += scene.topology.timing.verify_every
    for _ in range(4):
        await scene.slow()
    assert scene.kinds() == ["missing", "missing"]
    assert scene.world.peering_writes == writes
    assert [len(a.obeyed) for a in scene.world.agents.values()] == obeyed


async def test_what_arm_refuses_is_not_requested_again_before_it_said_and_is_reported() -> None:
    scene = Verified()
    await scene.answered()
    requested = scene.advertised.requested
    requested.clear()
    scene.advertised.failing = [Unavailable("429", timedelta(seconds=60)), BadInput.of("id", "no")]
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()  # the learned ones are due too, and come first
    for wanted in ([A], [A, B], [A, B], [A, B]):
        await scene.slow()
        assert requested == wanted
        assert "advertised rs/nva-a: 429" in scene.routes["trouble"]
    scene.clock.at += timedelta(seconds=60)
    await scene.slow()
    assert requested == [A, B, A]
    assert scene.routes["trouble"] == ["advertised rs/nva-b: id: no"]


async def test_a_default_route_that_comes_back_is_something_to_know() -> None:
    scene = Verified()
    scene.advertised.answers[B] = tuple(LearnedRoute(i, DEFAULT, i, (65515, 65009), i) for i in INSTANCES)
    scene.advertised.answers[A] = tuple(LearnedRoute(i, DEFAULT, i, (65515, 65001), i) for i in INSTANCES)
    await scene.answered()
    assert [(f["kind"], f["wrong"], f["sentence"]) for f in scene.routes["findings"]] == [
        (
            "comes-back",
            False,
            "0.0.0.0/0 of fw comes back to nva-a from rs: its loop guard drops it (AS 65001 is in the path)",
        ),
        ("comes-back", False, "0.0.0.0/0 of fw comes back to nva-b from rs: its filter must drop it"),
    ]


async def test_kept_rows_that_cannot_be_read_are_no_answer_and_stop_nothing() -> None:
    scene = Verified()
    await scene.answered()
    ledger = json.loads(scene.documents.stored["routes/hub.json"].body)
    ledger["answers"]["learned rs/nva-a"]["rows"] = [["10.0.2.4", "nowhere", "10.0.1.4", "x", ""]]
    ledger["answers"]["advertised rs/nva-a"]["rows"] = [["10.0.2.4"]]
    ledger["answers"]["effective nva-a"]["rows"] = [["0.0.0.0/0"]]
    await scene.documents.put("routes/hub.json", json.dumps(ledger).encode())
    await scene.slow()
    assert (scene.routes["complete"], scene.routes["findings"]) == (False, [])
    await scene.documents.put("routes/hub.json", b"torn")
    await scene.answered()
    assert scene.routes["verified"] is True


async def test_a_topology_without_services_is_verified_by_what_its_speakers_announce() -> None:
    doc = document(services=[])
    doc["speakers"][0]["announces"] = ["10.50.0.0/16"]
    scene = Scene(desired=decode(text(doc), Place()))
    world = FakeQuestions()
    scene.ports = replace(scene.ports, learned_routes=world)
    prefix, mine = IPv4Network("10.50.0.0/16"), IPv4Address("10.0.1.4")
    for wanted in (False, True):
        for _ in range(8):
            await scene.slow()
            scene.clock.at += scene.topology.timing.verify_every
        seen = json.loads(scene.documents.stored["status/hub.json"].body)["routes"]
        assert (seen["complete"], seen["verified"], seen["wrong"]) == (True, wanted, 0 if wanted else 1)
        world.answers[A] = tuple(LearnedRoute(i, prefix, mine, (65001,), mine) for i in INSTANCES)


async def test_dates_that_are_still_to_come_keep_nothing_from_being_requested() -> None:
    scene = Verified()
    await scene.answered()
    ledger = json.loads(scene.documents.stored["routes/hub.json"].body)
    ahead = (scene.clock.at + timedelta(days=1)).isoformat()
    for answer in ledger["answers"].values():
        answer["at"] = ahead
    ledger["spent"] = [ahead] * 100
    ledger["later"] = {"learned rs/nva-a": {"until": ahead, "why": "429"}}
    await scene.documents.put("routes/hub.json", json.dumps(ledger).encode())
    scene.learned.requested.clear()
    await scene.slow()
    scene.clock.at += scene.topology.timing.verify_every
    await scene.slow()
    assert scene.learned.requested == [A, B]


def test_where_routes_lead_is_unknown_while_the_holder_is_no_speaker_of_the_topology() -> None:
    assert next_hops(ranked(), {}, {"fw": stable("nva-a")}) == {"fw": IPv4Address("10.0.1.4")}
    assert next_hops(ranked(), {}, {"fw": stable("nva-z")}) == {}


# --- by hand ---------------------------------------------------------------------------------------------------------


def lines_of(evidence: Evidence, now: datetime) -> list[str]:
    return list(table(evidence_document("hub", evidence, now), now))


async def test_by_hand_everything_is_requested_and_nothing_is_changed() -> None:
    scene = Verified()
    await scene.settle()
    writes, records = list(scene.world.peering_writes), scene.record
    scene.clock.at += scene.topology.timing.verify_every * 2
    evidence = await gather_evidence(scene.ports, scene.topology)
    assert (evidence.sound, evidence.findings, evidence.unanswered) == (True, (), ())
    assert (scene.world.peering_writes, scene.record) == (writes, records)
    as_of = evidence.verification.as_of
    assert as_of is not None
    assert lines_of(evidence, scene.clock.at) == [
        "0 wrong, 0 to know; everything was answered",
        f"the oldest answer is {round((scene.clock.at - as_of).total_seconds())} s old",
        "5 of 60 write tokens spent in the last 300 s",
    ]


class OneInstance(FakeRouteServers):
    """ARM names one instance of the two, as where `virtualRouterIps` holds what cannot be read."""

    async def read(self, server: RouteServer) -> RouteServerReading:
        reading = await super().read(server)
        return replace(reading, instances=reading.instances[:1])


async def test_with_an_instance_that_arm_does_not_tell_nothing_is_verified() -> None:
    scene = Verified()
    await scene.settle()
    scene.ports = replace(scene.ports, route_servers=OneInstance(scene.world))
    evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
    assert (evidence.sound, evidence.verification.verified) == (False, False)
    assert evidence.unread == ("rs: ARM lists 1 of its 2 instances (virtualRouterIps): nothing is known of the rest",)
    assert evidence.verification.trouble == evidence.unread
    assert sum(evidence.unread[0] in line for line in lines_of(evidence, NOW)) == 1


async def test_by_hand_what_is_wrong_comes_first_in_a_table() -> None:
    scene = Verified()
    await scene.settle()
    scene.clock.at += timedelta(seconds=1)
    scene.learned.spoilt[B] = ()
    scene.effective.answers[NIC] = (EffectiveRoute(DEFAULT, "User", "Internet", ()),)
    evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
    assert not evidence.sound
    lines = lines_of(evidence, scene.clock.at)
    assert lines[:4] == [
        "       WHERE              KIND        WHAT",
        "wrong  rs                 missing     0.0.0.0/0 from nva-b on rs is not learned on either instance",
        "note   nva-a's interface  overridden  0.0.0.0/0 of fw on the interface of nva-a is overridden by a user-defined "
        "route to Internet",
        "1 wrong, 1 to know; everything was answered",
    ]


async def test_by_hand_old_answers_are_used_unless_fresh_ones_are_wanted() -> None:
    scene = Verified()
    await scene.answered()
    requested = len(scene.learned.requested)
    await gather_evidence(scene.ports, scene.topology)
    assert len(scene.learned.requested) == requested
    scene.clock.at += timedelta(seconds=1)
    await gather_evidence(scene.ports, scene.topology, fresh=True)
    assert len(scene.learned.requested) == requested + 2


async def test_by_hand_what_cannot_be_read_is_not_sound() -> None:
    scene = Verified()
    await scene.answered()
    scene.world.arm_up = False
    evidence = await gather_evidence(scene.ports, scene.topology)
    assert not evidence.sound
    lines = lines_of(evidence, NOW)
    assert "  rs: ARM answers 503" in lines
    assert "0 wrong, 0 to know; not everything was answered:" in lines


async def test_by_hand_what_arm_refuses_stays_unanswered_and_is_not_waited_for() -> None:
    scene = Verified()
    await scene.answered()
    scene.clock.at += timedelta(seconds=1)
    began = scene.clock.at
    scene.effective.failing = [Unavailable("403: AuthorizationFailed", timedelta(seconds=60))]
    evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
    assert (evidence.sound, evidence.unanswered) == (False, ("effective nva-a",))
    assert scene.clock.at - began < timedelta(seconds=60)
    lines = lines_of(evidence, scene.clock.at)
    assert lines[:3] == [
        "0 wrong, 0 to know; not everything was answered:",
        "  not answered: effective nva-a",
        "  effective nva-a: 403: AuthorizationFailed",
    ]


async def test_by_hand_nothing_is_requested_beside_an_open_operation() -> None:
    scene = Verified()
    await scene.settle()
    scene.world.kill("nva-a")
    scene.world.agents["nva-b"].refuses_to_serve = True
    await scene.slow()
    assert scene.record.phase in ("fencing", "granted")
    scene.clock.at += scene.topology.timing.verify_every
    requested = len(scene.learned.requested)
    evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
    assert len(scene.learned.requested) == requested
    assert "  nothing is queried: an operation of fw is open" in lines_of(evidence, scene.clock.at)


async def test_an_interface_that_leads_elsewhere_is_found() -> None:
    scene = Verified()
    for hops, wanted in (
        ((IPv4Address("10.0.1.4"),), FindingKind.EFFECTIVE_NEXT_HOP),
        ((FRONTEND, IPv4Address("10.0.1.4")), FindingKind.EFFECTIVE_NEXT_HOP),
        ((), FindingKind.NOT_EFFECTIVE),
    ):
        scene.effective.answers[NIC] = (EffectiveRoute(DEFAULT, "VirtualNetworkGateway", "X", hops),)
        await scene.settle()
        scene.clock.at += timedelta(seconds=1)
        evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
        assert [f.kind for f in evidence.findings] == [wanted]


async def test_the_event_loop_goes_on_while_many_routes_are_compared() -> None:
    """Failovers of other topologies are on the same loop."""
    scene = Verified()
    await scene.answered()
    networks = (IPv4Network((0x0B000000 + 256 * number, 24)) for number in range(6000))
    many = tuple(LearnedRoute(instance, n, FRONTEND, (65001,)) for n in networks for instance in INSTANCES)
    scene.learned.spoilt = dict.fromkeys((A, B), many)
    scene.clock.at += timedelta(hours=1)
    turns = 0
    while len(scene.routes["findings"]) < len(many):
        under_way, turns = asyncio.ensure_future(scene.slow()), 0
        while not under_way.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns > 1000, "some 200 are those of the pass itself"
