"""Reads the history of a service: its last entries, and those that explain a moment."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from function_app.reconcile.documents.history import Entry, Explanation
from function_app.reconcile.ports import Documents
from function_app.reconcile.store import kept, keys

BACK = 32
"""How many entries before a moment are read: passes overlap, and the one that acted need not have begun last."""


async def entries(
    documents: Documents, topology: str, service: str, most: int, after: datetime | None = None
) -> tuple[Entry, ...]:
    """The last entries, at most `most`, the newest last; or the first of those that began later than `after`. Those that cannot
    be read are left out. Raises Unavailable."""
    found = await documents.keys(keys.history(topology, service))
    if after is not None:
        later = [key for key in found if keys.stamp_of(key) > keys.stamp(after)]
        return tuple(await _read(documents, later[:most]))
    return tuple(await _read(documents, found[-most:]))


async def explain(documents: Documents, topology: str, service: str, at: datetime | None) -> Explanation:
    """The entries of whatever was under way at `at`; of the last pass where that is None. Raises Unavailable.

    | requested          | entries                                                                              |
    |--------------------|--------------------------------------------------------------------------------------|
    | the last pass      | the last one                                                                         |
    | a moment           | those that had begun and not ended; else the last that had begun                     |
    |                    | and the next one, where it names an operation that none of these names: an instance  |
    |                    | died before it stored its entry, and another one went on with its operation          |
    """
    found = await documents.keys(keys.history(topology, service))
    begun = found if at is None else [key for key in found if keys.stamp_of(key) <= keys.stamp(_to_its_end(at))]
    if at is None or not begun:
        shown = await _read(documents, begun[-1:])
    else:
        recent = await _read(documents, begun[-BACK:])
        shown = [entry for entry in recent if entry.ended >= at] or recent[-1:]
        later = await _read(documents, found[len(begun) : len(begun) + 1])
        shown += _going_on_with_another(later, shown)
    return Explanation(topology=topology, service=service, at=at, entries=tuple(shown))


def _to_its_end(at: datetime) -> datetime:
    """Moments are printed to the second, and in documents to the millisecond: one stands for all of that."""
    unit = 1_000_000 if at.microsecond == 0 else 1000
    return at.replace(microsecond=at.microsecond // unit * unit) + timedelta(microseconds=unit - 1)


def _going_on_with_another(later: Sequence[Entry], shown: Sequence[Entry]) -> list[Entry]:
    """Those whose first step found an operation that no step of `shown` names."""
    known = {step.operation for entry in shown for step in entry.steps}
    return [entry for entry in later if entry.steps and entry.steps[0].operation not in known]


async def _read(documents: Documents, keys: Sequence[str]) -> list[Entry]:
    found = [(await kept.load(documents, key, Entry))[0] for key in keys]
    return [entry for entry in found if entry is not None]
