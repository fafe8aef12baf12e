"""How one Route Server's peerings come to be as wanted: one step a pass, exchanges announced first, deletes far apart."""

import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import msgspec

from function_app.domain.base.errors import Unavailable
from function_app.domain.peerings.model import CreatePeering, Peering, Provisioning, RouteServerReading
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import RouteServer, ScaleSet, Topology
from function_app.reconcile.passes.dry_run import plan
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.store.topologies import InForce
from tests.builders import document, ranked_document, stable, text, topology
from tests.fakes import FakeQuestions, FakeRouteServers, FakeWorld, foreign
from tests.unit.reconcile.scene import Scene, as_json
from tests.unit.test_scale_sets import FLEET

NOTES = "peerings/hub/rs.json"


def changed(members: int = 2, server: dict[str, Any] | None = None, **of_the_last: Any) -> Topology:
    doc = document(members)
    doc["speakers"][-1] |= of_the_last
    doc["routeServers"][0] |= server or {}
    return decode(text(doc), Place())


def status(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scene.documents.stored["status/hub.json"].body)["routeServers"]["rs"]
    return found


async def settled(members: int = 2) -> Scene:
    scene = Scene(members)
    await scene.settle()
    scene.world.peering_writes.clear()
    return scene


async def test_an_exchange_is_in_plan_and_status_before_it_is_made() -> None:
    scene = await settled()
    scene.topology = changed(asn=65009)
    planned = as_json(await plan(scene.ports, InForce(scene.topology, "g2")))["peerings"][0]["steps"]
    assert [(s["step"], s.get("exposureSeconds")) for s in planned] == [
        ("DeletePeering", 165.0),
        ("CreatePeering", None),
    ]
    outcome = await scene.slow()
    assert any("hopkeeper-hub_nva-b will be deleted in 1 s" in reason for reason in outcome.reasons)
    assert scene.world.peering_writes == []
    assert status(scene)["steps"] == planned
    await scene.slow()
    assert scene.world.peering_writes == ["delete hopkeeper-hub_nva-b"]
    await scene.settle()
    assert scene.world.peering_writes == ["delete hopkeeper-hub_nva-b", "create hopkeeper-hub_nva-b"]
    assert {p.asn for p in scene.world.peerings.values()} == {65001, 65009}


async def test_an_exchange_that_was_announced_long_ago_is_announced_again() -> None:
    scene = await settled()
    scene.topology = changed(asn=65009)
    await scene.slow()
    scene.clock.at += timedelta(hours=2)
    assert any("will be deleted" in reason for reason in (await scene.slow()).reasons)
    assert scene.world.peering_writes == []


async def test_a_moved_speaker_is_never_without_a_peering() -> None:
    scene = await settled()
    scene.topology = changed(address="10.0.1.77")
    for _ in range(6):
        await scene.slow()
        assert len([p for p in scene.world.peerings.values() if p.state is Provisioning.SUCCEEDED]) >= 2
    assert scene.world.peering_writes == ["create hopkeeper-hub_nva-b.2", "delete hopkeeper-hub_nva-b"]
    assert sorted(scene.world.peerings) == ["hopkeeper-hub_nva-a", "hopkeeper-hub_nva-b.2"]


async def test_working_peerings_are_deleted_ten_minutes_apart() -> None:
    scene = await settled(4)
    scene.topology = topology(2)
    for _ in range(5):
        outcome = await scene.slow()
    assert scene.world.peering_writes == ["delete hopkeeper-hub_nva-c"]
    assert outcome.ending is Ending.PENDING
    assert any("deletes are spaced: 'hopkeeper-hub_nva-c' was deleted 4 s ago: in 596 s" in r for r in outcome.reasons)
    scene.clock.at += timedelta(minutes=10)
    await scene.slow()
    assert scene.world.peering_writes == ["delete hopkeeper-hub_nva-c", "delete hopkeeper-hub_nva-d"]


async def test_a_delete_that_another_pass_has_noted_first_is_not_made() -> None:
    scene = await settled(4)
    scene.topology = topology(2)
    noted = {"deleted": {"name": "hopkeeper-hub_nva-d", "at": scene.clock.at}}
    scene.documents.before_save = [(NOTES, msgspec.json.encode(noted))]
    outcome = await scene.slow()
    assert scene.world.peering_writes == []
    assert outcome.ending is Ending.PENDING


async def test_notes_that_cannot_be_read_hold_nothing_up() -> None:
    scene = await settled(3)
    scene.topology = topology(2)
    await scene.documents.put(NOTES, b"{")
    await scene.slow()
    assert scene.world.peering_writes == ["delete hopkeeper-hub_nva-c"]


async def test_more_than_there_is_room_for_is_refused_in_the_outcome_and_the_status() -> None:
    scene = Scene(3)
    for number in range(6):
        scene.world.peerings[f"theirs-{number}"] = foreign(f"theirs-{number}", f"10.0.9.{number + 1}")
    outcome = await scene.slow()
    assert outcome.ending is Ending.REFUSED
    assert scene.world.peering_writes == []
    slots = status(scene)["slots"]
    assert (slots["room"], slots["wanted"], len(slots["foreign"])) == (2, 3, 6)
    assert any(slots["said"] in reason and "give up nva-c" in reason for reason in outcome.reasons)


async def test_who_waits_is_reported_and_is_no_trouble() -> None:
    scene = Scene(desired=changed(9, {"slots": "byPriority"}))
    scene.world.peerings["theirs"] = foreign("theirs")
    for _ in range(40):
        outcome = await scene.slow()
    assert outcome.ending is Ending.CONVERGED
    assert status(scene)["slots"]["waiting"] == ["nva-h", "nva-i"]
    assert any("waiting: nva-h, nva-i" in reason for reason in outcome.reasons)
    assert len(scene.world.peerings) == 8


class Building(FakeRouteServers):
    """A Route Server that is not provisioned yet."""

    async def read(self, server: RouteServer) -> RouteServerReading:
        return replace(await super().read(server), provisioned=False)


async def test_a_step_that_a_guard_refuses_is_not_taken() -> None:
    scene = Scene()
    scene.ports = replace(scene.ports, route_servers=Building(scene.world))
    outcome = await scene.slow()
    assert scene.world.peering_writes == []
    assert any("route server is provisioned: " in reason for reason in outcome.reasons)


class NotesRequests(FakeWorld):
    """Notes by which name learned routes are requested."""

    def __init__(self, desired: Topology) -> None:
        super().__init__(desired)
        self.names: list[str] = []

    async def ask(self, server: RouteServer, peering: str) -> str:
        self.names.append(peering)
        return f"hopkeeper-hub_{'nva-b' if peering == 'By-hand' else peering.rpartition('_')[2]}"


async def test_learned_routes_are_requested_by_the_name_that_the_peering_has() -> None:
    desired = changed(server={"adopt": {"nva-b": "by-hand"}})
    world = NotesRequests(desired)
    await FakeRouteServers(world).create(
        desired.route_servers[0], CreatePeering("rs", "By-hand", desired.speaker("nva-b").address, 65001, "")
    )
    scene = Scene(world=world)
    await scene.settle()
    assert sorted(set(world.names)) == ["By-hand", "hopkeeper-hub_nva-a"]
    assert sorted(status(scene)["own"]) == ["By-hand", "hopkeeper-hub_nva-a"]
    assert world.peering_writes == ["create By-hand", "create hopkeeper-hub_nva-a"]


def with_a_fleet(*instances: int) -> Scene:
    desired = decode(text(document(2, scaleSets=[FLEET])), Place())
    scene = Scene(desired=desired)
    scene.world.instances_of["fleet"] = [Instance(str(n), IPv4Address(f"10.0.3.{n}")) for n in instances]
    return scene


async def test_instances_of_a_scale_set_are_peered_as_they_come_and_go() -> None:
    scene = with_a_fleet(1, 2)
    await scene.settle()
    assert {"hopkeeper-hub_fleet-1", "hopkeeper-hub_fleet-2"} <= scene.world.peerings.keys()
    scene.world.instances_of["fleet"] = [Instance("2", IPv4Address("10.0.3.2")), Instance("7", IPv4Address("10.0.3.7"))]
    await scene.settle()
    fleet = [name for name in sorted(scene.world.peerings) if "fleet" in name]
    assert fleet == ["hopkeeper-hub_fleet-2", "hopkeeper-hub_fleet-7"]


async def test_an_instance_that_one_listing_leaves_out_keeps_its_peering() -> None:
    scene = with_a_fleet(1, 2)
    await scene.settle()
    both, writes = scene.world.instances_of["fleet"], list(scene.world.peering_writes)
    scene.world.instances_of["fleet"] = both[1:]
    outcome = await scene.slow()
    assert "hopkeeper-hub_fleet-1 will be deleted in 1 s" in str(outcome.reasons)
    scene.world.instances_of["fleet"] = both
    await scene.settle()
    assert scene.world.peering_writes == writes


async def test_two_listings_that_leave_an_instance_out_count_only_where_none_between_them_shows_it() -> None:
    scene = with_a_fleet(1, 2)
    await scene.settle()
    both, writes = scene.world.instances_of["fleet"], list(scene.world.peering_writes)
    for shown in (both[1:], both, both[1:]):
        scene.world.instances_of["fleet"] = shown
        outcome = await scene.slow()
    assert "hopkeeper-hub_fleet-1 will be deleted in 1 s" in str(outcome.reasons)
    assert scene.world.peering_writes == writes


class Unlisted(FakeWorld):
    """Whose scale sets cannot be listed."""

    async def instances(self, scale_set: ScaleSet) -> tuple[Instance, ...]:
        raise Unavailable("listing: 503")


async def test_a_scale_set_that_cannot_be_listed_takes_no_instance_for_gone() -> None:
    scene = with_a_fleet(1, 2)
    await scene.settle()
    writes = list(scene.world.peering_writes)
    scene.ports = replace(scene.ports, scale_sets=Unlisted(scene.topology))
    outcome = await scene.slow()
    assert outcome.ending is Ending.HELD
    assert any("listing: 503" in reason for reason in outcome.reasons)
    assert scene.world.peering_writes == writes


async def test_a_scale_set_that_cannot_be_listed_holds_no_other_peering() -> None:
    """A flexible set never can be: it must not keep declared speakers from being peered, or from leaving."""
    scene = with_a_fleet(1)
    await scene.settle()
    scene.world.peering_writes.clear()
    gone = Peering("hopkeeper-hub_nva-b.2", IPv4Address("10.0.1.60"), 65001, Provisioning.SUCCEEDED)
    scene.world.peerings[gone.name] = gone
    doc = document(2, scaleSets=[FLEET])
    doc["speakers"].append({"name": "nva-c", "address": "10.0.1.6", "asn": 65001, "peersWith": ["rs"]})
    scene.topology = decode(text(doc), Place())
    scene.ports = replace(scene.ports, scale_sets=Unlisted(scene.topology), learned_routes=FakeQuestions())
    for _ in range(5):
        await scene.slow()
    assert scene.world.peering_writes == ["create hopkeeper-hub_nva-c", f"delete {gone.name}"]


async def test_who_serves_with_its_own_address_keeps_its_peering_until_the_service_has_moved() -> None:
    doc = ranked_document()
    doc["speakers"][0]["asn"] = 65009
    scene = Scene(desired=decode(text(doc), Place()))
    server = scene.topology.route_servers[0]
    for name, address in (("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")):
        there = Peering(f"hopkeeper-hub_{name}", IPv4Address(address), 65001, Provisioning.SUCCEEDED)
        scene.world.peerings[there.name] = there
    for holder, expected in (("nva-a", Ending.REFUSED), ("nva-b", Ending.PENDING)):
        await scene.documents.put("records/hub/fw.json", msgspec.json.encode(stable(holder)))
        outcome = (await keep_membership(scene.ports, scene.topology, server)).outcome
        assert outcome.ending is expected
        kept = "holder is kept: nva-a serves with its own address"
        assert any(kept in reason for reason in outcome.reasons) is (holder == "nva-a")


async def test_a_peering_that_a_guard_refuses_is_not_written() -> None:
    scene = Scene()
    for number in range(8):
        scene.world.peerings[f"theirs-{number}"] = foreign(f"theirs-{number}", f"10.0.9.{number}")
    outcome = await scene.slow()
    assert scene.world.peering_writes == []
    assert any("8 of 8 peers are taken" in reason for reason in outcome.reasons)
