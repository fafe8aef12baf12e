"""A history grows, and what it costs to look into it does not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from function_app.reconcile.documents.history import Entry
from function_app.reconcile.history import entries, explain
from function_app.reconcile.store import keys
from tests.fakes import FakeDocuments

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FOLDER = "history/hub/fw/"


class Listed(FakeDocuments):
    """Counts what it lists, and how many names it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = self.names = 0

    async def below(self, folder: str) -> tuple[str, ...]:
        return self._counted(await super().below(folder))

    async def keys(self, prefix: str) -> tuple[str, ...]:
        return self._counted(await super().keys(prefix))

    def _counted(self, found: tuple[str, ...]) -> tuple[str, ...]:
        self.lists, self.names = self.lists + 1, self.names + len(found)
        return found


async def stored(every: timedelta, count: int, key: Callable[[datetime], str] | None = None) -> Listed:
    """A service's history: entries `every` so often, which took a second each."""
    documents = Listed()
    for number in range(count):
        began = BEGAN + number * every
        where = key(began) if key else keys.history_entry("hub", "fw", began, "slow")
        await documents.put(where, entry(began))
    return documents


def entry(began: datetime) -> bytes:
    ended = began + timedelta(seconds=1)
    words = {"service": "fw", "pace": "slow", "trigger": "timer", "outcome": "held", "reasons": ()}
    return msgspec.json.encode(Entry(**words, started=began, looked=began, ended=ended, evidence={}, steps=()))


def flat(began: datetime) -> str:
    """The key of an entry before there was a folder for each day."""
    return f"{FOLDER}{keys.stamp(began)}-slow.json"


async def test_the_last_entries_are_found_by_listing_the_days_and_the_last_of_them() -> None:
    documents = await stored(timedelta(minutes=30), 48 * 40)

    found = await entries(documents, "hub", "fw", 10)

    assert [each.started for each in found] == [BEGAN + timedelta(minutes=30 * n) for n in range(48 * 40 - 10, 48 * 40)]
    assert documents.lists <= 4
    assert documents.names <= 2 * (40 + 48)


async def test_a_moment_far_back_costs_the_days_around_it() -> None:
    documents = await stored(timedelta(minutes=30), 48 * 40)
    at = BEGAN + timedelta(days=20, minutes=10)

    found = await explain(documents, "hub", "fw", at)

    assert [each.started for each in found.entries] == [BEGAN + timedelta(days=20)]
    assert documents.names <= 3 * 40 + 4 * 48


@pytest.mark.parametrize("most", [1, 3, 50])
async def test_entries_far_apart_are_found_across_the_days(most: int) -> None:
    documents = await stored(timedelta(days=9, hours=7), 12)
    moments = [BEGAN + n * timedelta(days=9, hours=7) for n in range(12)]

    assert [each.started for each in await entries(documents, "hub", "fw", most)] == moments[-most:]
    after = moments[4]
    assert [each.started for each in await entries(documents, "hub", "fw", most, after)] == moments[5 : 5 + most]
    between = await explain(documents, "hub", "fw", moments[7] + timedelta(days=3))
    assert [each.started for each in between.entries] == [moments[7]]


async def test_entries_of_one_day_that_an_earlier_version_stored_come_before_those_in_its_folder() -> None:
    documents = await stored(timedelta(hours=5), 8, flat)
    later = [BEGAN + timedelta(hours=36), BEGAN + timedelta(days=3)]
    for began in later:
        await documents.put(keys.history_entry("hub", "fw", began, "slow"), entry(began))
    moments = [BEGAN + n * timedelta(hours=5) for n in range(8)] + later

    assert [each.started for each in await entries(documents, "hub", "fw", 20)] == moments
    assert [each.started for each in await entries(documents, "hub", "fw", 4)] == moments[-4:]
    last = await explain(documents, "hub", "fw", None)
    assert [each.started for each in last.entries] == moments[-1:]
    found = await entries(documents, "hub", "fw", 3, moments[1])
    assert [each.started for each in found] == moments[2:5]
