"""Waiting for a change: what it costs, and what ends it."""

import asyncio
from datetime import timedelta

import pytest

from function_app.domain.base.errors import BadInput
from tests.unit.reconcile.test_use_cases import settled

NO_TIME, SOON = timedelta(0), timedelta(seconds=5)


async def test_many_that_wait_cost_no_more_reads_than_one() -> None:
    scene, documents, app = await settled()
    mark = (await app.changed_since("hub", "", NO_TIME)).mark
    reads = []
    for pages in (1, 50):
        scene.clock.at += timedelta(seconds=1)
        documents.loads.clear()
        found = await asyncio.gather(*(app.changed_since("hub", mark, NO_TIME) for _ in range(pages)))
        assert {(each.mark, each.changed) for each in found} == {(mark, False)}
        reads.append(list(documents.loads))
    assert reads[0] == reads[1] != []


async def test_a_change_ends_the_wait_and_its_time_does_too() -> None:
    scene, _, app = await settled()
    mark = (await app.changed_since("hub", "", NO_TIME)).mark
    began = scene.clock.at
    assert not (await app.changed_since("hub", mark, SOON)).changed
    assert scene.clock.at - began == SOON
    await app.look("hub", "test")
    assert (await app.changed_since("hub", mark, SOON)).changed


async def test_a_topology_that_is_not_there_is_looked_for_again() -> None:
    _, _, app = await settled()
    for _ in range(2):
        with pytest.raises(BadInput, match="spoke"):
            await app.changed_since("spoke", "", NO_TIME)
