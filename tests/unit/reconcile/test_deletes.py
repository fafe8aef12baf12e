"""What is remembered of deletes, between passes: an exchange is announced before it is made, a delete is noted before it.

| the exchange was announced | it is |
|---|---|
| never, or of another peering | announced now, and waits `doubtPoll` |
| less than `doubtPoll` ago | waits for the rest |
| until `peeringDeleteSpacing` after that | made |
| longer ago, or by a clock that was ahead | announced again |
"""

from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from function_app.domain.peerings.model import DeletePeering, Peering, Provisioning, RouteServerReading
from function_app.reconcile.peerings.deletes import DeletesOf
from tests.fakes import INSTANCES
from tests.unit.reconcile.scene import Scene

KEY = "peerings/hub/rs.json"
POLL, SPACING = timedelta(seconds=1), timedelta(minutes=10)
EXCHANGE = DeletePeering("rs", "hopkeeper-hub_nva-a", "it moved", exposure=timedelta(seconds=165))
REMOVAL = DeletePeering("rs", "hopkeeper-hub_nva-a", "it left")


async def deletes(scene: Scene) -> DeletesOf:
    """As a further pass would know them."""
    of = DeletesOf(scene.ports, scene.topology, scene.topology.route_servers[0])
    await of.load()
    return of


def reading(name: str, state: Provisioning, connection: str | None = None) -> RouteServerReading:
    return RouteServerReading(INSTANCES, (Peering(name, IPv4Address("10.0.1.4"), 65001, state, connection),))


async def test_a_removal_that_exposes_no_speaker_is_not_announced() -> None:
    scene = Scene()
    assert await (await deletes(scene)).announced_for(REMOVAL) is None
    assert KEY not in scene.documents.stored


@pytest.mark.parametrize(
    ("ago", "wait"),
    [
        (timedelta(0), POLL),
        (POLL / 4, POLL * 3 / 4),
        (POLL, None),
        (POLL + SPACING, None),
        (POLL + SPACING + timedelta(microseconds=1), POLL),
        (timedelta(seconds=-30), POLL),
    ],
)
async def test_an_exchange_is_made_between_its_announcement_and_the_spacing_after_it(
    ago: timedelta, wait: timedelta | None
) -> None:
    scene = Scene()
    assert await (await deletes(scene)).announced_for(EXCHANGE) == POLL
    scene.clock.at += ago
    assert await (await deletes(scene)).announced_for(EXCHANGE) == wait


async def test_one_that_is_announced_again_waits_anew() -> None:
    scene = Scene()
    await (await deletes(scene)).announced_for(EXCHANGE)
    scene.clock.at += POLL + SPACING * 2
    of = await deletes(scene)
    assert await of.announced_for(EXCHANGE) == POLL
    scene.clock.at += POLL
    assert await of.announced_for(EXCHANGE) is None


async def test_another_peering_s_exchange_is_announced_for_itself() -> None:
    scene = Scene()
    await (await deletes(scene)).announced_for(EXCHANGE)
    scene.clock.at += POLL
    other = DeletePeering("rs", "hopkeeper-hub_nva-b", "it moved", exposure=timedelta(seconds=165))
    assert await (await deletes(scene)).announced_for(other) == POLL


@pytest.mark.parametrize(
    ("name", "state", "connection", "noted"),
    [
        ("hopkeeper-hub_nva-a", Provisioning.SUCCEEDED, None, True),
        ("HOPKEEPER-hub_NVA-A", Provisioning.SUCCEEDED, None, True),
        ("hopkeeper-hub_nva-a", Provisioning.FAILED, "Connected", True),
        ("hopkeeper-hub_nva-a", Provisioning.FAILED, None, False),
        ("hopkeeper-hub_nva-b", Provisioning.SUCCEEDED, None, False),
    ],
)
async def test_only_a_working_peering_s_delete_is_remembered(
    name: str, state: Provisioning, connection: str | None, noted: bool
) -> None:
    scene = Scene()
    await (await deletes(scene)).note(REMOVAL, reading(name, state, connection))
    scene.clock.at += timedelta(seconds=7)
    assert (await deletes(scene)).last == ((REMOVAL.name, timedelta(seconds=7)) if noted else None)


async def test_an_announcement_keeps_the_last_delete_and_a_delete_ends_the_announcement() -> None:
    scene = Scene()
    of = await deletes(scene)
    await of.note(REMOVAL, reading(REMOVAL.name, Provisioning.SUCCEEDED))
    await of.announced_for(EXCHANGE)
    assert (await deletes(scene)).last == (REMOVAL.name, timedelta(0))
    scene.clock.at += POLL
    await (await deletes(scene)).note(EXCHANGE, reading(EXCHANGE.name, Provisioning.SUCCEEDED))
    assert await (await deletes(scene)).announced_for(EXCHANGE) == POLL
