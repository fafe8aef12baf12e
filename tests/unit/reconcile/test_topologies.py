"""What becomes of a topology's document: whose it is, whether it is believed, and who may write over it."""

import msgspec
import pytest

from function_app.domain.base.errors import BadInput, Superseded
from function_app.domain.topology.laws import Place
from function_app.reconcile import status
from function_app.reconcile.store.topologies import Topologies
from tests.builders import document, text, topology
from tests.fakes import FakeClock, FakeDocuments


@pytest.fixture
def stored() -> FakeDocuments:
    return FakeDocuments()


async def test_two_topologies_never_keep_the_same_pool(stored: FakeDocuments) -> None:
    topologies = Topologies(stored, Place())
    await topologies.apply(text(document()))
    with pytest.raises(BadInput, match="belongs to topology 'hub'"):
        await topologies.apply(text(document(name="other")))
    assert await topologies.names() == ("hub",)


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
    assert b"half a surrogate pair" in msgspec.json.encode(overview)
