"""Who gets a place at a Route Server, and what is said where there are too few."""

from datetime import timedelta
from typing import Any

from function_app.domain.peerings.guards import PeeringContext, refuse
from function_app.domain.peerings.model import DeletePeering, Peering, Provisioning
from function_app.domain.peerings.plan import PeeringPlan, plan
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import document, text
from tests.fakes import foreign
from tests.unit.test_peerings import EIGHT, names, own, reading


def crowd(members: int, priorities: dict[str, int] | None = None, **server: Any) -> Topology:
    doc = document(members)
    doc["routeServers"][0] |= server
    for speaker in doc["speakers"]:
        speaker["priority"] = (priorities or {}).get(speaker["name"], 100)
    return decode(text(doc), Place())


def planned(desired: Topology, *peerings: Peering) -> PeeringPlan:
    return plan(desired, desired.route_servers[0], reading(*peerings))


def peered(desired: Topology, *speakers: str) -> tuple[Peering, ...]:
    return tuple(own(name, str(desired.speaker(name).address)) for name in speakers)


def test_more_than_there_is_room_for_is_refused_with_the_arithmetic_and_the_ways_out() -> None:
    desired = crowd(4, {"nva-b": 50})
    found = planned(desired, *peered(desired, "nva-a"), *EIGHT[:5])
    assert found.steps == ()
    assert found.allotment.refused == (
        "6 of 8 peers are taken, 5 of them not ours (other-1, other-2, other-3, other-4, other-5): "
        "room for 3, and 4 speakers want to peer; either let hub speakers (`role: hub`) carry some of them, "
        "or give up nva-b (the lowest priority): take it out of `peersWith`, or say `slots: byPriority`"
    )


def test_where_slots_are_refused_what_is_there_is_kept_repaired_and_cleaned_up() -> None:
    desired = crowd(4)
    there = (*peered(desired, "nva-a"), own("nva-b", "10.0.1.5", Provisioning.FAILED), own("nva-c", "10.0.1.99"))
    found = planned(desired, *there, own("nva-z", "10.0.1.60"), *EIGHT[:4], foreign("fifth", "10.0.9.50"))
    assert found.allotment.refused is not None
    assert names([*found.steps]) == ["CreatePeering hopkeeper-hub_nva-b", "DeletePeering hopkeeper-hub_nva-z"]


def test_by_priority_the_best_are_kept_and_the_rest_wait_and_are_named() -> None:
    desired = crowd(9, {"nva-a": 10, "nva-i": 200}, slots="byPriority")
    found = planned(desired, foreign("by-hand"))
    assert [s.name for s in found.allotment.kept] == [f"nva-{x}" for x in "ibcdefg"]
    assert [s.name for s in found.allotment.waiting] == ["nva-h", "nva-a"]
    assert len(found.steps) == 7
    assert found.allotment.refused is None


def test_of_equals_who_has_a_peering_keeps_it() -> None:
    desired = crowd(9, slots="byPriority")
    there = peered(desired, *(f"nva-{x}" for x in "bcdefghi"))
    found = planned(desired, *there)
    assert found.steps == ()
    assert [s.name for s in found.allotment.waiting] == ["nva-a"]


def test_a_better_one_replaces_the_lowest_by_an_exchange_that_names_its_exposure() -> None:
    desired = crowd(9, {"nva-i": 200, "nva-c": 50}, slots="byPriority")
    there = peered(desired, *(f"nva-{x}" for x in "abcdefgh"))
    first, second = planned(desired, *there).steps
    assert names([first, second]) == ["DeletePeering hopkeeper-hub_nva-c", "CreatePeering hopkeeper-hub_nva-i"]
    assert isinstance(first, DeletePeering)
    assert first.exposure == timedelta(seconds=165)
    assert first.why == (
        "nva-c (priority 50) has to wait; exchanged for the new peering of nva-i: "
        "one fewer for about 165 s, from this delete to the end of the create"
    )


def test_a_free_place_is_taken_before_anybody_has_to_wait() -> None:
    desired = crowd(9, {"nva-i": 200, "nva-h": 150, "nva-a": 10}, slots="byPriority")
    there = peered(desired, *(f"nva-{x}" for x in "abcdefg"))
    found = planned(desired, *there)
    assert names([*found.steps]) == [
        "CreatePeering hopkeeper-hub_nva-i",
        "DeletePeering hopkeeper-hub_nva-a",
        "CreatePeering hopkeeper-hub_nva-h",
    ]


def test_a_better_one_never_takes_the_place_of_the_last_announcer() -> None:
    doc = document(3)
    doc["routeServers"][0]["slots"] = "byPriority"
    doc["services"][0]["members"] = [{"speaker": "nva-c"}]
    doc["speakers"][2]["priority"] = 50
    doc["timing"]["peersMax"] = 2
    desired = decode(text(doc), Place())
    there = peered(desired, "nva-a", "nva-c")
    found = planned(desired, *there)
    assert found.steps == ()
    assert names([*found.blocked]) == ["CreatePeering hopkeeper-hub_nva-b", "DeletePeering hopkeeper-hub_nva-c"]
    spoken = [refuse(step, PeeringContext(desired, reading(*there))) for step in found.blocked]
    assert [[r.guard for r in each] for each in spoken] == [["at most eight"], ["last announcer is kept"]]


def test_a_dead_end_is_left_out_where_another_order_leads_through() -> None:
    """The better newcomer first would fill the last place, and then nva-c could not go: it is the last for its prefix."""
    doc = document(4)
    doc["routeServers"][0]["slots"] = "byPriority"
    doc["services"] = []
    doc["timing"]["peersMax"] = 3
    for name, priority, prefix in (("a", 100, 1), ("b", 90, 1), ("c", 10, 2), ("d", 80, 2)):
        speaker = next(s for s in doc["speakers"] if s["name"] == f"nva-{name}")
        speaker |= {"priority": priority, "announces": [f"100.0.{prefix}.0/24"]}
    desired = decode(text(doc), Place())
    found = planned(desired, *peered(desired, "nva-a", "nva-c"))
    assert names([*found.steps]) == [
        "CreatePeering hopkeeper-hub_nva-d",
        "DeletePeering hopkeeper-hub_nva-c",
        "CreatePeering hopkeeper-hub_nva-b",
    ]


def test_a_peering_on_its_way_out_is_waited_for_and_not_exchanged_for_another() -> None:
    desired = crowd(9, {"nva-i": 200}, slots="byPriority")
    there = peered(desired, *(f"nva-{x}" for x in "abcdefg"))
    leaving = own("nva-h", str(desired.speaker("nva-h").address), Provisioning.DELETING)
    found = planned(desired, *there, leaving)
    assert names([*found.steps]) == ["CreatePeering hopkeeper-hub_nva-i"]
    spoken = refuse(found.steps[0], PeeringContext(desired, reading(*there, leaving)))
    assert [r.guard for r in spoken] == ["one write in flight", "at most eight"]


def test_a_speaker_whose_address_has_a_foreign_peering_takes_no_place() -> None:
    desired = crowd(2)
    doubled = foreign("by-hand", "10.0.1.5")
    found = planned(desired, doubled, own("nva-b", "10.0.1.99"))
    assert [s.name for s in found.allotment.kept] == ["nva-a"]
    assert found.allotment.occupied == ((desired.speaker("nva-b"), "by-hand"),)
    assert names([*found.steps]) == ["CreatePeering hopkeeper-hub_nva-a"]


def test_where_fewer_places_are_left_than_there_are_peerings_the_lowest_goes() -> None:
    doc = document(3)
    doc["routeServers"][0]["slots"] = "byPriority"
    doc["speakers"][0]["priority"] = 50
    doc["timing"]["peersMax"] = 2
    desired = decode(text(doc), Place())
    (step,) = planned(desired, *peered(desired, "nva-a", "nva-b", "nva-c")).steps
    why = "nva-a (priority 50) has to wait: more are there than may be"
    assert step == DeletePeering("rs", "hopkeeper-hub_nva-a", why)


def test_who_waits_wants_a_place_too_and_the_arithmetic_says_so() -> None:
    found = planned(crowd(9, slots="byPriority"), *reversed(EIGHT[:2])).allotment
    assert (found.wanted, found.room, len(found.kept), len(found.waiting)) == (9, 6, 6, 3)
    assert found.arithmetic == (
        "2 of 8 peers are taken, 2 of them not ours (other-1, other-2): room for 6, and 9 speakers want to peer"
    )
    assert planned(crowd(1)).allotment.arithmetic == "0 of 8 peers are taken: room for 8, and 1 speakers want to peer"


def few(places: int, members: int, **server: Any) -> Topology:
    doc = document(members)
    doc["routeServers"][0] |= {"slots": "byPriority"} | server
    doc["timing"]["peersMax"] = places
    return decode(text(doc), Place())


def test_a_peering_that_is_being_deleted_gives_no_precedence() -> None:
    desired = few(2, 3)
    leaving = own("nva-c", str(desired.speaker("nva-c").address), Provisioning.DELETING)
    assert [s.name for s in planned(desired, leaving).allotment.kept] == ["nva-a", "nva-b"]
    there = peered(desired, "nva-c")
    assert [s.name for s in planned(desired, *there).allotment.kept] == ["nva-c", "nva-a"]


def test_where_others_have_taken_more_places_than_may_be_there_is_room_for_none() -> None:
    crowded = planned(few(2, 2), *EIGHT[:3]).allotment
    assert (crowded.room, crowded.kept, [s.name for s in crowded.waiting]) == (0, (), ["nva-a", "nva-b"])
    assert planned(few(2, 2), *EIGHT[:1]).allotment.room == 1


def test_as_many_as_there_is_room_for_are_all_kept() -> None:
    found = planned(few(2, 2, slots="refuse")).allotment
    assert ([s.name for s in found.kept], found.waiting, found.refused) == (["nva-a", "nva-b"], (), None)


def test_who_has_to_wait_and_has_moved_loses_the_old_peering_at_once() -> None:
    desired = crowd(9, {"nva-a": 10}, slots="byPriority")
    there = peered(desired, *(f"nva-{x}" for x in "bcdefgh"))
    (step, _) = planned(desired, own("nva-a", "10.0.1.99"), *there).steps
    assert (step.name, step.why) == ("hopkeeper-hub_nva-a", "nva-a has to wait, and moved")
    (step,) = planned(crowd(1), *peered(crowd(1), "nva-a"), own("nva-z", "10.0.1.60")).steps
    assert step.why == "no speaker of the topology is behind it"


def test_the_peering_of_who_waits_goes_at_once_where_it_does_not_work() -> None:
    desired = few(1, 2)
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    (step,) = planned(desired, failed, own("nva-a", "10.0.1.4")).steps
    assert step == DeletePeering("rs", "hopkeeper-hub_nva-b", "nva-b (priority 100) has to wait")


def doomed(found: PeeringPlan) -> list[str]:
    return [step.name.removeprefix("hopkeeper-hub_") for step in found.steps if isinstance(step, DeletePeering)]


def test_of_several_that_wait_or_moved_the_lowest_priority_goes_first() -> None:
    priorities = {"nva-i": 200, "nva-j": 200, "nva-b": 60, "nva-c": 50}
    desired = crowd(10, priorities, slots="byPriority")
    assert doomed(planned(desired, *peered(desired, *(f"nva-{x}" for x in "abcdefgh")))) == ["nva-c", "nva-b"]
    desired = crowd(3, {"nva-b": 50})
    moved = own("nva-a", "10.0.1.98"), own("nva-b", "10.0.1.99")
    assert doomed(planned(desired, *moved, *peered(desired, "nva-c"), *EIGHT[:5])) == ["nva-b", "nva-a"]


def test_what_is_missed_least_goes_first_whatever_the_reason() -> None:
    desired = crowd(4, {"nva-a": 10, "nva-b": 0}, slots="byPriority")
    waiting = (own("nva-a", "10.0.1.98"), own("nva-b", "10.0.1.5", Provisioning.FAILED))
    gone = (own("aaa", "10.0.1.60", Provisioning.FAILED), own("nva-aa", "10.0.1.61"))
    renumbered = own("nva-c", "10.0.1.6", asn=65009)
    there = (*waiting, *gone, renumbered, own("nva-d", "10.0.1.7"))
    found = planned(desired, *there, *EIGHT[:6])
    assert [s.name for s in found.allotment.waiting] == ["nva-a", "nva-b"]
    assert doomed(found) == ["aaa", "nva-b", "nva-a", "nva-aa", "nva-c"]
