"""Changes of a topology's document from afar: conditional, judged, and taken away only where nothing stays behind."""

from typing import Any

import msgspec
import pytest

from function_app.domain.base.errors import BadInput, Changed, NotNow, NotThere, Superseded
from function_app.domain.service.record import Leaving
from function_app.domain.topology.laws import Place
from function_app.reconcile.changes import CannotWork
from function_app.reconcile.store.topologies import ANYTHING, Expects, Topologies, unquoted
from function_app.reconcile.use_cases import UseCases
from tests.builders import NOW, SUB, document, text
from tests.fakes import FakeDocuments
from tests.unit.reconcile.scene import Scene

HUB = "topologies/hub.yaml"
SPOKE = f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings"
WITH_ERROR = document(
    networkPeerings=[{"name": n, "id": f"{SPOKE}/{n}", "useRemoteGateways": n == "to-a"} for n in ("to-a", "to-b")]
)
"""A dual-homed network uses the gateways of one of its networks."""


def app_of(scene: Scene) -> UseCases:
    return UseCases(scene.ports, Topologies(scene.documents, Place()))


async def settled() -> tuple[Scene, UseCases]:
    """nva-a serves, and both peerings are there."""
    scene = Scene()
    app = app_of(scene)
    await app.put("hub", text(document()), Expects(nothing=True))
    await scene.settle()
    return scene, app


async def leave(scene: Scene, done: bool = True, how: str = "retired") -> None:
    """Its service has left, or is about to."""
    leaving = Leaving(how=how, by="ann", at=NOW, done=done)
    record = msgspec.structs.replace(scene.record, leaving=leaving, may_serve=frozenset())
    await scene.documents.put("records/hub/fw.json", msgspec.json.encode(record))


async def test_a_new_document_says_all_of_it_and_the_next_one_what_it_changes() -> None:
    app = app_of(Scene())
    first = await app.put("hub", text(document()), ANYTHING)
    second = await app.put("hub", text(document(3)), Expects(frozenset({first.etag})))
    assert first.difference.splitlines()[:2] == ["--- hub, in force", "+++ hub, proposed"]
    assert "-" not in {line[0] for line in first.difference.splitlines()[3:]}
    assert "10.0.1.6" in next(line for line in second.difference.splitlines() if line.startswith("+  address"))
    listed = await app.listed()
    assert [(one.topology, one.usable, one.etag) for one in listed.topologies] == [("hub", True, second.etag)]


@pytest.mark.parametrize(
    "expects", [Expects(frozenset({"other"})), Expects(nothing=True), Expects(frozenset({"other", "another"}))]
)
async def test_what_is_not_as_expected_is_not_changed_and_its_etag_is_told(expects: Expects) -> None:
    app = app_of(Scene())
    there = await app.put("hub", text(document()), ANYTHING)
    for change in (app.put("hub", text(document(3)), expects), app.remove("hub", expects, anyway=True)):
        with pytest.raises(Changed, match=f'its etag is "{there.etag}"'):
            await change
    assert (await app.topologies.written("hub")).text == text(document())


async def test_who_saw_what_is_in_force_may_replace_a_stored_document_that_cannot_be_used() -> None:
    scene = Scene()
    app = app_of(scene)
    await app.put("hub", text(document()), ANYTHING)
    await scene.documents.put(HUB, b"schema: hopkeeper/v0")
    seen = await app.topologies.written("hub")
    assert seen.text == text(document())
    await app.put("hub", text(document(3)), seen.unchanged)
    assert (await app.topologies.written("hub")).text == text(document(3))


async def test_any_document_is_expected_by_a_star_and_there_must_be_one() -> None:
    app = app_of(Scene())
    with pytest.raises(Changed, match="there is none"):
        await app.put("hub", text(document()), Expects(frozenset({"*"})))
    await app.put("hub", text(document()), ANYTHING)
    await app.put("hub", text(document(3)), Expects(frozenset({"*"})))


async def test_who_expects_something_and_is_overtaken_has_to_read_again_and_who_does_not_may_try_again() -> None:
    scene = Scene()
    app = app_of(scene)
    there = await app.put("hub", text(document()), ANYTHING)
    for expects, error in ((Expects(frozenset({there.etag})), Changed), (ANYTHING, Superseded)):
        scene.documents.before_save.append((HUB, text(document()).encode()))
        with pytest.raises(error):
            await app.put("hub", text(document(3)), expects)
        there = msgspec.structs.replace(there, etag=scene.documents.stored[HUB].etag)


async def test_a_document_in_which_preflight_finds_an_error_is_put_in_force_only_anyway() -> None:
    app = app_of(Scene())
    with pytest.raises(CannotWork) as refused:
        await app.put("hub", text(WITH_ERROR), ANYTHING)
    assert [found.rule for found in refused.value.findings] == ["remote-gateways"]
    assert refused.value.problems[0].rule.startswith("remote-gateways: ")
    assert (await app.listed()).topologies == ()
    applied = await app.put("hub", text(WITH_ERROR), ANYTHING, anyway=True)
    assert "remote-gateways" in [found.rule for found in applied.findings]


async def test_a_document_is_that_of_the_topology_that_is_named() -> None:
    app = app_of(Scene())
    with pytest.raises(BadInput, match="is 'hub', and the path names topology 'spoke'"):
        await app.put("spoke", text(document()), ANYTHING)
    await app.apply(text(document()))
    with pytest.raises(BadInput, match="is 'other', and the path names topology 'hub'"):
        await app.difference("hub", text(document(name="other")))


async def test_what_takes_away_a_service_that_serves_is_refused_and_not_called_wrong() -> None:
    _, app = await settled()
    with pytest.raises(NotNow, match="service 'fw' leaves while nva-a may serve"):
        await app.put("hub", text(document(services=[])), ANYTHING)


async def test_the_difference_of_the_same_document_is_nothing_and_of_no_topology_is_not_there() -> None:
    app = app_of(Scene())
    with pytest.raises(NotThere):
        await app.difference("hub", text(document()))
    await app.apply(text(document()))
    assert list(await app.difference("hub", text(document()))) == []
    assert list(await app.difference("hub", text(document(3))))


async def test_the_document_before_is_kept_also_where_the_new_one_was_stored_by_hand() -> None:
    scene = Scene()
    app = app_of(scene)
    with pytest.raises(NotThere, match="no document of topology 'hub' before"):
        await app.topologies.previous("hub")
    await app.apply(text(document(3)))
    await app.apply(text(document()))
    assert (await app.topologies.previous("hub")).text == text(document(3))
    await scene.documents.put(HUB, text(document(4)).encode())
    assert (await app.topologies.in_force("hub")).problems == ()
    assert (await app.topologies.previous("hub")).text == text(document())


async def test_the_same_document_twice_leaves_the_one_before() -> None:
    app = app_of(Scene())
    for doc in (document(3), document(), document()):
        await app.apply(text(doc))
    assert (await app.topologies.previous("hub")).text == text(document(3))


async def test_a_topology_that_manages_a_service_or_has_peerings_is_not_taken_away_and_says_what_comes_first() -> None:
    _, app = await settled()
    with pytest.raises(NotNow) as refused:
        await app.remove("hub", ANYTHING)
    assert [problem.path for problem in refused.value.problems] == ["$.services[0]", "$.routeServers[0]"]
    assert "`retire` it (no member serves any more) or `release` it" in str(refused.value)
    assert "hopkeeper-hub_nva-a, hopkeeper-hub_nva-b would stay behind on rs" in str(refused.value)
    with pytest.raises(NotNow, match="service 'fw' is managed") as refused:
        await app.remove("hub", ANYTHING, anyway=True)
    assert len(refused.value.problems) == 1


async def test_a_service_that_is_still_leaving_is_waited_for() -> None:
    scene, app = await settled()
    await leave(scene, done=False)
    with pytest.raises(NotNow, match="service 'fw' is being retired: wait until that is done"):
        await app.remove("hub", ANYTHING, anyway=True)


async def test_peerings_that_cannot_be_read_may_be_there() -> None:
    scene, app = await settled()
    await leave(scene)
    scene.world.arm_up = False
    with pytest.raises(NotNow, match="whether peerings would stay behind on rs is not known: "):
        await app.remove("hub", ANYTHING)
    await app.remove("hub", ANYTHING, anyway=True)


async def test_a_topology_without_services_and_peerings_goes_and_its_document_stays_the_previous_one() -> None:
    scene, app = await settled()
    await leave(scene, how="released")
    scene.world.peerings.clear()
    written = await app.topologies.written("hub")
    await app.remove("hub", Expects(frozenset({unquoted(written.etag)})))
    assert (await app.topologies.names(), (await app.topologies.previous("hub")).text) == ((), written.text)
    with pytest.raises(NotThere):
        await app.remove("hub", ANYTHING)
    await app.put("hub", written.text, Expects(nothing=True))
    assert await app.topologies.names() == ("hub",)


async def test_peerings_of_others_and_adopted_ones_keep_no_topology() -> None:
    scene, app = await settled()
    await leave(scene)
    peering = next(iter(scene.world.peerings.values()))
    scene.world.peerings.clear()
    for name in ("by-hand", "hopkeeper-hub-2_nva-a"):
        scene.world.peerings[name] = type(peering)(name, peering.address, peering.asn, peering.state)
    await app.remove("hub", ANYTHING)


class ChangedMeanwhile(FakeDocuments):
    """Another document is stored as the topology is judged."""

    async def load(self, key: str) -> Any:
        found = await super().load(key)
        if key == "records/hub/fw.json":
            await self.put(HUB, text(document(3)).encode())
        return found


async def test_a_document_that_was_not_judged_is_not_taken_away() -> None:
    scene = Scene(documents=ChangedMeanwhile())
    app = app_of(scene)
    await app.put("hub", text(document()), ANYTHING)
    for expects, error in ((ANYTHING, Superseded), (Expects(frozenset({"*"})), Changed)):
        with pytest.raises(error):
            await app.remove("hub", expects)
    assert HUB in scene.documents.stored
