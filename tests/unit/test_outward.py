"""`outward`: what members are commanded for their on-premises neighbours, when, and what it never gets in the way of."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from msgspec.structs import replace as changed

from function_app.domain.base.errors import BadInput
from function_app.domain.service.decide import decide
from function_app.domain.service.observation import Observed, Role
from function_app.domain.service.outward import next_outward, outward_alarms, wanted_outward
from function_app.domain.service.record import Advertised, Phase, Record
from function_app.domain.service.steps import NOTHING_OUTWARD, OutwardRoutes, SendOutward, SendPromote
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.passes.outcome import Ending, Outcome
from tests.builders import NOW, balancer, document, ranked_document, stable, status, text
from tests.fakes import FakeWorld
from tests.unit.decisions import SILENT, looking
from tests.unit.reconcile.scene import Scene

ROUTER = IPv4Address("192.168.100.1")
OUTWARD = {"neighbours": [{"address": str(ROUTER), "asn": 64600}], "prefixes": ["10.0.0.0/16"]}
ROUTES = OutwardRoutes((IPv4Network("10.0.0.0/16"),), 3)


def declared(doc: dict[str, Any] | None = None, **changes: Any) -> Topology:
    doc = doc or document()
    doc["services"][0]["outward"] = OUTWARD | changes
    return decode(text(doc), Place())


def scene(desired: Topology) -> Scene:
    world = FakeWorld(desired)
    for agent in world.agents.values():
        agent.outward_sessions = {ROUTER: True}
    return Scene(world=world)


async def at_rest(at: Scene) -> Outcome:
    """As many looks as a ranked service needs too, whose first orders must have arrived everywhere: a hold time."""
    for _ in range(5):
        for _ in range(8):
            outcome = await at.slow()
        at.clock.at += timedelta(seconds=200)
    return outcome


def rewritten(at: Scene, desired: Topology) -> Scene:
    """The same world and record under another document, some time later."""
    later = Scene(desired=desired, world=at.world, documents=at.documents)
    later.clock.at = at.clock.at + timedelta(minutes=5)
    return later


def commanded(world: FakeWorld) -> dict[str, list[OutwardRoutes]]:
    return {
        name: [command.routes for command in agent.obeyed if isinstance(command, SendOutward)]
        for name, agent in world.agents.items()
    }


async def test_every_member_is_commanded_once_and_a_change_of_roles_needs_no_other_command() -> None:
    at = scene(declared())
    await at.settle()
    assert commanded(at.world) == {"nva-a": [ROUTES], "nva-b": [ROUTES]}
    at.world.agents["nva-a"].fatal = ("data path",)
    await at.fast()
    await at.settle()
    assert at.serving() == ["nva-b"]
    assert commanded(at.world) == {"nva-a": [ROUTES], "nva-b": [ROUTES]}


async def test_no_member_is_commanded_before_one_serves() -> None:
    at = scene(declared())
    while at.record.phase is not Phase.STABLE if at.documents.stored else True:
        assert commanded(at.world) == {"nva-a": [], "nva-b": []}
        await at.slow()
    first = at.world.agents[str(at.record.target)].obeyed
    promoted = next(i for i, c in enumerate(first) if isinstance(c, SendPromote))
    assert not any(isinstance(command, SendOutward) for command in first[:promoted])


@pytest.mark.parametrize("kind", ["loadBalancer", "self", "member"])
async def test_an_agent_without_outward_neighbours_is_named_and_holds_no_failover(kind: str) -> None:
    doc = document() if kind == "loadBalancer" else ranked_document(announcers=("watch1",) if kind == "member" else ())
    at = scene(declared(doc))
    at.world.agents["nva-b"].outward_sessions = {}
    outcome = await at_rest(at)
    assert (outcome.ending, at.serving()) == (Ending.HELD, ["nva-a"])
    assert any("SendOutward nva-b: refused: no outward neighbour is configured" in why for why in outcome.reasons)
    at.world.agents["nva-a"].fatal = ("data path",)
    await at.fast()
    assert at.serving() == ["nva-b"]


async def test_an_agent_that_does_not_know_the_command_is_not_taken_for_silent() -> None:
    at = scene(declared())
    await at.settle()
    at.world.agents["nva-a"].deaf = True
    more = rewritten(at, declared(prepend=5))
    outcome = await more.slow()
    assert outcome.reasons == ("fw: SendOutward nva-a: no answer",)
    assert at.world.agents["nva-b"].outward == OutwardRoutes(ROUTES.prefixes, 5)


async def test_members_are_commanded_where_others_announce_for_them() -> None:
    at = scene(declared(ranked_document(announcers=("watch1",))))
    await at_rest(at)
    assert commanded(at.world) == {"nva-a": [ROUTES], "nva-b": [ROUTES], "watch1": []}


async def test_every_member_is_commanded_where_all_serve() -> None:
    doc = document()
    doc["services"][0]["mode"] = "active-active"
    at = scene(declared(doc, standby="withhold"))
    await at.settle()
    withheld = OutwardRoutes(ROUTES.prefixes, None)
    assert commanded(at.world) == {"nva-a": [withheld], "nva-b": [withheld]}
    assert at.serving() == ["nva-a", "nva-b"]


async def test_what_is_no_longer_declared_is_taken_back() -> None:
    at = scene(declared())
    await at.settle()
    without = rewritten(at, decode(text(document()), Place()))
    await without.settle()
    assert commanded(at.world) == {"nva-a": [ROUTES, NOTHING_OUTWARD], "nva-b": [ROUTES, NOTHING_OUTWARD]}


async def test_after_a_lost_record_no_member_is_sent_a_turn_that_it_would_refuse() -> None:
    at = scene(declared())
    await at.settle()
    at.documents.stored.clear()
    more = declared(prefixes=["10.0.0.0/16", "10.4.0.0/16"])
    later = rewritten(at, more)
    await later.settle()
    assert {agent.outward for agent in at.world.agents.values()} == {wanted_outward(more.services[0])}


def look(*, at: Topology, outward: OutwardRoutes, turn: tuple[int, int] = (0, 0), epoch: int = 3) -> Observed:
    def answer(role: Role) -> Any:
        reading = status(epoch, role)
        mine = replace(reading.services["fw"], outward=outward, outward_turn=turn)
        return replace(reading, services={"fw": mine}, outward_sessions={ROUTER: True})

    return Observed(
        NOW,
        {"nva-a": answer(Role.SERVING), "nva-b": answer(Role.STANDBY)},
        balancer(nva_a="Up_Probe_Success", nva_b="Down_Probe_HttpStatus"),
    )


def test_a_number_is_never_below_or_equal_to_what_an_agent_has_of_another_wish() -> None:
    at = declared()
    other = OutwardRoutes(ROUTES.prefixes, 5)
    for turn, seq in [((0, 0), 1), ((2, 9), 10), ((3, 4), 5)]:
        record, commands = next_outward(looking(look(at=at, outward=other, turn=turn), stable(), at))
        assert {(c.epoch, c.seq) for c in commands} == {(3, seq)}
        assert record.outward.seq == seq


def test_a_wish_goes_by_the_same_digest_in_every_release() -> None:
    """Another one would command every member once more."""
    at = declared()
    record, _ = next_outward(looking(look(at=at, outward=NOTHING_OUTWARD), stable(), at))
    assert record.outward == Advertised(seq=1, digest=hashlib.sha256(repr(ROUTES).encode()).hexdigest()[:16])


@pytest.mark.parametrize(("turn", "seq"), [((3, 3), 4), ((3, 4), 5), ((2, 9), 4)])
def test_a_command_is_numbered_above_whatever_a_member_took_at_its_number_or_above(
    turn: tuple[int, int], seq: int
) -> None:
    at, other = declared(), OutwardRoutes(ROUTES.prefixes, 5)
    first, _ = next_outward(looking(look(at=at, outward=NOTHING_OUTWARD), stable(), at))
    fourth = changed(first, outward=changed(first.outward, seq=4))
    record, commands = next_outward(looking(look(at=at, outward=other, turn=turn), fourth, at))
    assert record.outward == changed(first.outward, seq=seq)
    assert {command.seq for command in commands} == {seq}


def test_a_number_is_written_with_its_commands_and_not_without() -> None:
    at, rest = declared(), stable(probe_down=frozenset({"nva-b"}))
    seen = look(at=at, outward=NOTHING_OUTWARD)
    numbered, commands = next_outward(looking(seen, rest, at))
    sent = decide(looking(seen, rest, at))
    assert (sent.record, sent.effects) == (numbered, commands)
    tried = replace(seen, tried=dict.fromkeys(commands, "no answer"))
    left = decide(looking(tried, rest, at))
    assert (left.record, left.effects) == (rest, ())


def test_a_member_that_missed_a_command_gets_the_same_again() -> None:
    at = declared()
    first, commands = next_outward(looking(look(at=at, outward=NOTHING_OUTWARD), stable(), at))
    again, repeated = next_outward(looking(look(at=at, outward=NOTHING_OUTWARD), first, at))
    assert (again, repeated) == (first, commands)


def test_nothing_is_commanded_while_anything_else_is_to_be_done() -> None:
    at = declared()
    seen = look(at=at, outward=NOTHING_OUTWARD)
    busy: list[Record] = [
        stable(phase=Phase.LEARN),
        stable(phase=Phase.GRANTED, epoch=4),
        stable(may_serve=frozenset({"nva-a", "nva-b"})),
        changed(stable(), advertised=Advertised()),
    ]
    for record in busy:
        decision = decide(looking(seen, record, at))
        assert not any(isinstance(effect, SendOutward) for effect in decision.effects), record
    at_rest = decide(looking(seen, stable(), at))
    assert {type(effect) for effect in at_rest.effects} == {SendOutward}
    assert not at_rest.settled


def test_a_missing_session_on_premises_is_an_alarm_and_nothing_more() -> None:
    at = declared()
    seen = look(at=at, outward=ROUTES, turn=(3, 1))
    standby = seen.status("nva-b")
    assert standby is not None
    down = seen.with_agent("nva-b", replace(standby, outward_sessions={ROUTER: False}))
    assert outward_alarms(looking(seen, stable(), at)) == ()
    assert outward_alarms(looking(seen.with_agent("nva-b", SILENT), stable(), at)) == ()
    decision = decide(looking(down, stable(), at))
    assert (decision.settled, decision.effects) == (True, ())
    assert "nva-b has no session with on-premises 192.168.100.1: return traffic may not follow it" in decision.alarms


async def test_the_status_shows_the_sessions_on_premises_apart() -> None:
    at = scene(declared())
    await at.settle()
    shown = json.loads(at.documents.stored["status/hub.json"].body)["members"]["nva-a"]
    assert (shown["outwardSessions"], str(ROUTER) in shown["sessions"]) == ({str(ROUTER): True}, False)


BROKEN = [
    ({"neighbours": []}, "$.services[0].outward.neighbours: needs at least 1, has 0"),
    ({"prefixes": []}, "$.services[0].outward.prefixes: needs at least 1, has 0"),
    ({"prefixes": ["0.0.0.0/0"]}, "$.services[0].outward.prefixes: 0.0.0.0/0 is announced for service 'fw'"),
    ({"prefixes": ["10.4.0.0/16"] * 2}, "$.services[0].outward.prefixes: a prefix is listed twice"),
    ({"prepend": 0}, "$.services[0].outward.prepend: must be at least 1, is 0"),
    ({"prepend": 17}, "$.services[0].outward.prepend: must be at most 16, is 17"),
    ({"standby": "hide"}, "$.services[0].outward.standby: 'hide' is none of prepend, withhold"),
    (
        {"prefixes": [f"10.{n // 256}.{n % 256}.0/24" for n in range(201)]},
        "$.services[0].outward.prefixes: 201 prefixes: an agent takes at most 200",
    ),
]


@pytest.mark.parametrize(("change", "rule"), BROKEN)
def test_an_outward_that_cannot_be_kept_is_refused(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadInput) as caught:
        declared(**change)
    assert [str(problem).startswith(rule) for problem in caught.value.problems] == [True], str(caught.value)


@pytest.mark.parametrize(
    ("neighbour", "rule"),
    [
        ({"address": "10.0.1.5", "asn": 64600}, "[0].address: 10.0.1.5 is speaker 'nva-b': outward is beyond Azure"),
        ({"address": "169.254.169.254", "asn": 64600}, "[0].address: 169.254.169.254 is never a neighbour"),
        ({"address": "168.63.129.16", "asn": 64600}, "[0].address: 168.63.129.16 is never a neighbour"),
        ({"address": "224.0.0.5", "asn": 64600}, "[0].address: 224.0.0.5 is never a neighbour"),
        ({"address": "127.0.0.9", "asn": 64600}, "[0].address: 127.0.0.9 is never a neighbour"),
        ({"address": "10.0.0.36", "asn": 65515}, "[0].asn: ASN 65515 is a Route Server's: name it in `peersWith`"),
    ],
)
def test_only_a_router_beyond_azure_is_an_outward_neighbour(neighbour: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadInput) as caught:
        declared(neighbours=[neighbour])
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"$.services[0].outward.neighbours{rule}")


def test_a_neighbour_is_listed_once_and_has_one_asn() -> None:
    doc = document()
    second = {**doc["services"][0], "name": "dns", "prefixes": ["10.9.0.0/16"]}
    balanced = {**second["nextHop"]["loadBalancer"], "backendPool": "others"}
    second |= {"nextHop": {"loadBalancer": balanced}, "outward": OUTWARD | {"prefixes": ["10.5.0.0/16"]}}
    second["outward"] = second["outward"] | {"neighbours": [{"address": str(ROUTER), "asn": 64601}]}
    doc["services"].append(second)
    twice = [{"address": str(ROUTER), "asn": 64600}] * 2
    with pytest.raises(BadInput) as caught:
        declared(doc, neighbours=twice)
    assert [str(problem) for problem in caught.value.problems] == [
        "$.services[0].outward.neighbours[1].address: 192.168.100.1 is listed twice",
        "$.services[1].outward.neighbours[0].asn: 192.168.100.1 has ASN 64600 elsewhere in this document",
    ]


def test_two_services_of_the_same_members_share_no_outward_prefix() -> None:
    doc = document()
    second = {**doc["services"][0], "name": "dns", "prefixes": ["10.9.0.0/16"]}
    second["nextHop"] = {"loadBalancer": {**second["nextHop"]["loadBalancer"], "backendPool": "others"}}
    second["outward"] = OUTWARD
    doc["services"].append(second)
    with pytest.raises(BadInput) as caught:
        declared(doc)
    assert [str(problem) for problem in caught.value.problems] == [
        f"$.services[{i}].outward.prefixes: 10.0.0.0/16 is announced for service {other!r} by the same members"
        for i, other in enumerate(("dns", "fw"))
    ]
