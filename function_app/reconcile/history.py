"""Reads the history of a service: its last entries, and those that explain a moment."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import batched

from function_app.reconcile.documents.history import Entry, Explanation
from function_app.reconcile.ports import Documents
from function_app.reconcile.store import kept, keys

BACK = 32
"""How many entries before a moment are read: passes overlap, and the one that acted need not have begun last. So many are read
at once."""


async def entries(
    documents: Documents, topology: str, service: str, most: int, after: datetime | None = None
) -> tuple[Entry, ...]:
    """The last entries, at most `most`, the newest last; or the first of those that began later than `after`. Those that cannot
    be read are left out. Raises Unavailable."""
    days = await _days(documents, keys.history(topology, service))
    found = _until(documents, days, None, most) if after is None else _since(documents, days, keys.stamp(after), most)
    return tuple(await _read(documents, await found))


async def explain(documents: Documents, topology: str, service: str, at: datetime | None) -> Explanation:
    """The entries of whatever was under way at `at`; of the last pass where that is None. Raises Unavailable.

    | requested          | entries                                                                              |
    |--------------------|--------------------------------------------------------------------------------------|
    | the last pass      | the last one                                                                         |
    | a moment           | those that had begun and not ended; else the last that had begun                     |
    |                    | and the next one, where it names an operation that none of these names: an instance  |
    |                    | died before it stored its entry, and another one went on with its operation          |
    """
    days = await _days(documents, keys.history(topology, service))
    if at is None:
        shown = await _read(documents, await _until(documents, days, None, 1))
    else:
        moment = keys.stamp(_to_its_end(at))
        recent = await _read(documents, await _until(documents, days, moment, BACK))
        shown = [entry for entry in recent if entry.ended >= at] or recent[-1:]
        if shown:
            later = await _read(documents, await _since(documents, days, moment, 1))
            shown += _going_on_with_another(later, shown)
    return Explanation(topology=topology, service=service, at=at, entries=tuple(shown))


async def newest(documents: Documents, topology: str, service: str, most: int) -> list[str]:
    """The last keys of a history, at most `most`, the newest last. Lists the days, and of these as many as it takes. Raises
    Unavailable."""
    return await _until(documents, await _days(documents, keys.history(topology, service)), None, most)


async def _until(documents: Documents, days: Sequence[str], moment: str | None, most: int) -> list[str]:
    """The last keys, at most `most`; where there is a `moment`, of those whose stamp is not later."""
    found: list[str] = []
    for each in reversed(days):
        if moment is None or keys.stamp_of(each) <= moment:
            inside = await _inside(documents, each)
            found[:0] = [key for key in inside if moment is None or keys.stamp_of(key) <= moment]
        if len(found) >= most:
            break
    return found[-most:]


async def _since(documents: Documents, days: Sequence[str], moment: str, most: int) -> list[str]:
    """The first keys whose stamp is later, at most `most`."""
    found: list[str] = []
    for each in days:
        if keys.day_of(keys.stamp_of(each)) >= keys.day_of(moment):
            found += [key for key in await _inside(documents, each) if keys.stamp_of(key) > moment]
        if len(found) >= most:
            break
    return found[:most]


async def _days(documents: Documents, folder: str) -> list[str]:
    """The days of a history, before each the entries that an earlier version stored on it beside the folder."""
    found = await documents.below(folder)
    return sorted(found, key=lambda each: (keys.day_of(keys.stamp_of(each)), each.endswith("/"), each))


async def _inside(documents: Documents, each: str) -> tuple[str, ...]:
    """The keys of a day; an entry of an earlier version stands for itself."""
    return await documents.keys(each) if each.endswith("/") else (each,)


def _to_its_end(at: datetime) -> datetime:
    """Moments are printed to the second, and in documents to the millisecond: one stands for all of that."""
    unit = 1_000_000 if at.microsecond == 0 else 1000
    return at.replace(microsecond=at.microsecond // unit * unit) + timedelta(microseconds=unit - 1)


def _going_on_with_another(later: Sequence[Entry], shown: Sequence[Entry]) -> list[Entry]:
    """Those whose first step found an operation that no step of `shown` names."""
    known = {step.operation for entry in shown for step in entry.steps}
    return [entry for entry in later if entry.steps and entry.steps[0].operation not in known]


async def _read(documents: Documents, keys: Sequence[str]) -> list[Entry]:
    """Those that can be read, in the order of their keys."""
    found = []
    for some in batched(keys, BACK, strict=False):
        found += await asyncio.gather(*(kept.load(documents, key, Entry) for key in some))
    return [entry for entry, _ in found if entry is not None]
