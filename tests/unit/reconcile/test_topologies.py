"""What becomes of a topology's document: whose it is, whether it is believed, and who may write over it."""

import asyncio
import re
import time
from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import BadInput, Superseded
from function_app.domain.service.record import Leaving, Phase
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.reconcile import status
from function_app.reconcile.store import keys
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import DECODED_MOST, Topologies
from tests.builders import NOW, SUB, document, ranked_document, stable, text, topology
from tests.fakes import FakeClock, FakeDocuments
from tests.unit.decisions import fencing


@pytest.fixture
def stored() -> FakeDocuments:
    return FakeDocuments()


async def test_two_topologies_never_keep_the_same_pool(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document()))
    with pytest.raises(BadInput, match="belongs to topology 'hub'"):
        await topologies.apply(text(document(name="other")))
    assert await topologies.names() == ("hub",)


@pytest.mark.parametrize("by_itself", [True, False])
async def test_two_topologies_never_announce_a_prefix_of_a_service_to_one_route_server(
    stored: FakeDocuments, by_itself: bool
) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(ranked_document(2)))
    doc = ranked_document(2) | {"name": "other"}
    if by_itself:
        doc["services"] = []
        doc["speakers"][0]["announces"] = ["0.0.0.0/0"]
    with pytest.raises(
        BadInput, match=r"0\.0\.0\.0/0 is announced to .* one source a prefix, and it belongs to topology 'hub'"
    ):
        await topologies.apply(text(doc))
    doc["routeServers"][0]["id"] += "-2"
    await topologies.apply(text(doc))


async def test_two_topologies_never_adopt_the_same_peering(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    for name, connection, service in (("hub", "by-hand", True), ("other", "By-Hand", False)):
        doc = document(name=name) if service else document(name=name, services=[])
        doc["routeServers"][0]["adopt"] = {"nva-a": connection}
        if service:
            await topologies.apply(text(doc))
        else:
            with pytest.raises(BadInput, match=r"adopt.nva-a: belongs to topology 'hub'"):
                await topologies.apply(text(doc))


async def test_a_document_that_is_refused_is_decoded_once(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document()))
    await stored.put("topologies/hub.yaml", (text(document()) + "x: [" + "1, " * 10_000 + "1]\n").encode())
    first = await took(topologies)
    assert await took(topologies) < first / 5


async def took(topologies: Topologies) -> float:
    """Seconds of CPU, of every thread, until the last good one is in force in place of the newest."""
    began = time.process_time()
    assert (await topologies.in_force("hub")).problems
    return time.process_time() - began


async def test_while_a_large_document_is_decoded_the_loop_goes_on(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await stored.put("topologies/hub.yaml", (text(document()) + "x: [" + "1, " * 40_000 + "1]\n").encode())
    reading = asyncio.ensure_future(topologies.in_force("hub"))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    with pytest.raises(BadInput, match="no such key"):
        reading.result()
    assert turns > 10


async def test_a_poisoned_document_leaves_the_last_good_version_in_force(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document()))
    await stored.put("topologies/hub.yaml", b"schema: [")
    found = await topologies.in_force("hub")
    assert found.topology == topology()
    assert found.problems


async def test_a_document_that_changed_meanwhile_is_not_overwritten(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document()))
    stored.before_save.append(("topologies/hub.yaml", text(document(3)).encode()))
    with pytest.raises(Superseded):
        await topologies.apply(text(document()))
    assert (await topologies.in_force("hub")).topology == topology(3)


async def test_a_document_counts_only_under_its_own_name(stored: FakeDocuments) -> None:
    await stored.put("topologies/other.yaml", text(document()).encode())
    with pytest.raises(BadInput, match="is kept as 'other'"):
        await Topologies(stored, Place()).in_force("other")


@pytest.mark.parametrize("written", [r'"\ud800": 1', r'name: "hub\udfff"', r'x: ["a", {"b": "\ud800"}]'])
async def test_half_a_surrogate_pair_makes_a_document_unusable_and_the_status_says_so(
    stored: FakeDocuments, written: str
) -> None:
    """YAML may escape one: a message that repeats it could be in no status, and so hide every other topology."""
    await stored.put("topologies/hub.yaml", written.encode())
    overview = await status.overview(Topologies(stored, Place()), stored, FakeClock(), observing=False)
    assert b"invalid Unicode character escape code" in msgspec.json.encode(overview)


# --- what a document may not take away


def edited(**service: Any) -> dict[str, Any]:
    """The document of three members, with other values of its service."""
    doc = document(3)
    doc["services"][0] |= service
    return doc


def led(changes: dict[str, Any]) -> dict[str, Any]:
    """The document of three members, with another load balancer."""
    doc = document(3)
    doc["services"][0]["nextHop"]["loadBalancer"] |= changes
    return doc


def readdressed() -> dict[str, Any]:
    doc = document(3)
    doc["speakers"][0]["address"] = "10.0.1.99"
    return doc


STANDBYS = [{"speaker": "nva-b"}, {"speaker": "nva-c"}]
TAKEN_AWAY = [
    (
        document(3, services=[]),
        r"\$.services: service 'fw' leaves while nva-a may serve: `retire` or `release` it first",
    ),
    (edited(name="firewall"), "service 'fw' leaves while nva-a may serve"),
    (edited(members=STANDBYS), "nva-a leaves while it may serve"),
    (led({"backendPool": "others"}), "the next hop is /subscriptions.*/others now and was"),
    (led({"id": f"{SUB}/loadBalancers/other"}), "the next hop is"),
    (edited(nextHop={"self": {}}), "the next hop is self now and was"),
    (readdressed(), "nva-a is at 10.0.1.99 now and was at 10.0.1.4"),
]
each_taken_away = pytest.mark.parametrize(("doc", "why"), TAKEN_AWAY, ids=[why for _, why in TAKEN_AWAY])


async def in_service(stored: FakeDocuments, **more: Any) -> Topologies:
    """nva-a serves, and the document of three members is in force."""
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document(3)))
    await Records(stored).save(topology(3), stable(**more), None)
    return topologies


@each_taken_away
async def test_a_document_that_takes_away_what_may_serve_is_refused(
    stored: FakeDocuments, doc: dict[str, Any], why: str
) -> None:
    topologies = await in_service(stored)
    with pytest.raises(BadInput, match=why):
        await topologies.apply(text(doc))
    assert (await topologies.in_force("hub")).topology == topology(3)


class ResumedMeanwhile(FakeDocuments):
    """As a document is stored, an operator resumes the service."""

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        written = await super().save(key, body, etag)
        if key == "topologies/hub.yaml" and "records/hub/fw.json" in self.stored:
            await self.put("records/hub/fw.json", msgspec.json.encode(stable()))
        return written


async def test_a_service_that_is_resumed_as_the_document_drops_it_keeps_the_document_that_has_it() -> None:
    left = Leaving(how="released", by="ann", at=NOW, done=True)
    topologies = await in_service(ResumedMeanwhile(), leaving=left)
    with pytest.raises(BadInput, match="service 'fw' leaves while nva-a may serve"):
        await topologies.apply(text(document(3, services=[])))
    assert (await topologies.in_force("hub")).topology == topology(3)
    assert (await topologies.in_force("hub")).problems == ()


@each_taken_away
async def test_a_document_that_was_stored_by_hand_waits_until_nothing_it_takes_away_may_serve(
    stored: FakeDocuments, doc: dict[str, Any], why: str
) -> None:
    topologies = await in_service(stored)
    await stored.put("topologies/hub.yaml", text(doc).encode())
    held = await topologies.in_force("hub")
    assert held.topology == topology(3)
    assert re.search(why, str(held.problems[0]))
    left = stable(leaving=Leaving(how="released", by="ann", at=NOW, done=True))
    await Records(stored).save(topology(3), left, stored.stored["records/hub/fw.json"].etag)
    assert (await topologies.in_force("hub")).topology == decode(text(doc), Place())


@pytest.mark.parametrize(
    "doc",
    [document(2), edited(name="firewall", formerly="fw"), edited(prefixes=["10.9.0.0/16"])],
    ids=["a standby leaves", "a new name", "other prefixes"],
)
async def test_a_document_may_take_away_what_stands_by_and_give_a_new_name(
    stored: FakeDocuments, doc: dict[str, Any]
) -> None:
    topologies = await in_service(stored)
    await topologies.apply(text(doc))
    assert (await topologies.in_force("hub")).topology == decode(text(doc), Place())


async def test_a_member_that_is_about_to_serve_stays_until_that_has_ended(stored: FakeDocuments) -> None:
    """It is not on record yet, so there is nothing to `forget`."""
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document(3)))
    await Records(stored).save(topology(3), fencing(target="nva-c"), None)
    with pytest.raises(BadInput, match="nva-c leaves while it is about to serve: apply this again once") as refused:
        await topologies.apply(text(document(2)))
    assert "forget" not in str(refused.value)


async def test_what_was_never_on_record_may_leave(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document(3)))
    await topologies.apply(text(document(3, services=[])))


@pytest.mark.parametrize("observe_only", [False, True])
async def test_a_document_that_waits_is_not_in_force_once_the_record_is_gone(
    stored: FakeDocuments, observe_only: bool
) -> None:
    """Who serves is learned of the document before. An app that only observes writes no record to wait for."""
    await in_service(stored)
    await stored.put("topologies/hub.yaml", text(edited(members=STANDBYS)).encode())
    stored.stored.pop("records/hub/fw.json")
    found = await Topologies(stored, Place(), observe_only).in_force("hub")
    assert (found.topology == topology(3)) is not observe_only


async def test_of_a_record_that_cannot_be_read_everyone_may_serve(stored: FakeDocuments) -> None:
    topologies = await in_service(stored)
    await stored.put("records/hub/fw.json", b"{")
    with pytest.raises(BadInput, match="leaves while nva-a, nva-b, nva-c may serve"):
        await topologies.apply(text(document(3, services=[])))


async def test_an_accepted_document_is_compared_once_and_becomes_the_last_good_one(stored: FakeDocuments) -> None:
    topologies = await in_service(stored)
    by_hand = text(document(2)).encode()
    await stored.put("topologies/hub.yaml", by_hand)
    await topologies.in_force("hub")
    assert stored.stored["good/hub.yaml"].body == by_hand
    writes = len(stored.writes)
    await topologies.in_force("hub")
    assert len(stored.writes) == writes


async def test_a_former_name_is_no_other_services(stored: FakeDocuments) -> None:
    doc = document(3)
    other = {"name": "other", "formerly": "fw", "prefixes": ["10.9.0.0/16"], "nextHop": {"self": {}}}
    doc["services"].append(doc["services"][0] | other)
    with pytest.raises(BadInput, match="'fw' is, or was formerly, the name of service 'fw'"):
        await Topologies(stored, Place()).apply(text(doc))


async def test_a_last_good_document_that_cannot_be_used_any_more_keeps_nothing(stored: FakeDocuments) -> None:
    topologies = await in_service(stored)
    await stored.put("good/hub.yaml", b"schema: [")
    await topologies.apply(text(document(2)))
    assert (await topologies.in_force("hub")).topology == topology(2)


async def test_a_topology_whose_document_is_deleted_stays_in_force_until_its_services_have_ended(
    stored: FakeDocuments,
) -> None:
    topologies = await in_service(stored)
    del stored.stored["topologies/hub.yaml"]
    assert await topologies.names() == ("hub",)
    held = await topologies.in_force("hub")
    assert held.topology == topology(3)
    assert "the document is gone" in held.problems[0].rule
    with pytest.raises(BadInput, match="belongs to topology 'hub'"):
        await topologies.apply(text(document(name="other")))
    left = stable(leaving=Leaving(how="released", by="ann", at=NOW, done=True))
    await Records(stored).save(topology(3), left, stored.stored["records/hub/fw.json"].etag)
    assert await topologies.names() == ()
    with pytest.raises(BadInput, match="there is no topology 'hub'"):
        await topologies.in_force("hub")
    await topologies.apply(text(document(name="other")))


def broken_since() -> dict[str, Any]:
    """A document that an older version accepted: a speaker announces the prefix of a service as well."""
    doc = ranked_document(2)
    doc["speakers"][0]["announces"] = ["0.0.0.0/0"]
    return doc


async def test_a_document_that_an_older_version_accepted_is_managed_though_it_breaks_a_law_that_is_new(
    stored: FakeDocuments,
) -> None:
    body = text(broken_since()).encode()
    await stored.put("topologies/hub.yaml", body)
    with pytest.raises(BadInput, match=r"0\.0\.0\.0/0"):
        await Topologies(stored, Place()).in_force("hub")
    await stored.put("good/hub.yaml", body)
    kept = await Topologies(stored, Place()).in_force("hub")
    assert kept.topology.name == "hub"
    assert "0.0.0.0/0" in str(kept.problems[0])
    with pytest.raises(BadInput, match=r"0\.0\.0\.0/0"):
        await Topologies(stored, Place()).apply(text(broken_since()))


async def test_a_document_that_was_stored_since_keeps_the_laws_that_are_new(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(ranked_document(2)))
    await stored.put("topologies/hub.yaml", text(broken_since()).encode())
    in_force = await topologies.in_force("hub")
    assert in_force.topology == decode(text(ranked_document(2)), Place())
    assert "0.0.0.0/0" in str(in_force.problems[0])


async def test_a_member_that_is_about_to_be_granted_may_not_mean_another_address(stored: FakeDocuments) -> None:
    topologies = await in_service(stored, phase=Phase.FENCING, target="nva-a", may_serve=frozenset({"nva-b"}))
    with pytest.raises(BadInput, match=r"nva-a is at 10\.0\.1\.99 now and was at 10\.0\.1\.4"):
        await topologies.apply(text(readdressed()))


async def test_of_many_topologies_only_those_wanted_last_are_kept_in_memory() -> None:
    documents, names = FakeDocuments(), [f"t-{i}" for i in range(DECODED_MOST + 1)]
    for name in names:
        await documents.put(keys.topology(name), text(document() | {"name": name}).encode())
    topologies = Topologies(documents, Place())
    for name in [names[0], *names[1:-1], names[0], names[-1]]:
        await topologies.in_force(name)
    assert [name for name in names if topologies.recalled(name) is None] == [names[1]]
