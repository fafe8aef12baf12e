"""Case 4: what `explain`, `history` and the status cost once a service has a long history."""

import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec

from function_app.reconcile.documents.history import Entry, EntryStep
from function_app.reconcile.store import keys
from proving.bench.samples import Case, ms
from proving.bench.still import still_app

NAME, SERVICE = "t-0", "fw"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ENTRIES = (100, 10_000)


async def age(storage: str, samples: int, entries: tuple[int, ...] = ENTRIES) -> AsyncIterator[Case]:
    for many in entries:
        for case in await _aged(storage, samples, many):
            yield case


async def _aged(storage: str, samples: int, entries: int) -> tuple[Case, ...]:
    """Floor: the one read that each question cannot do without: of the last entry, or of the status."""
    explain, history, status = (
        Case(f"{what} at {entries:,} entries, {storage}") for what in ("explain", "history", "status")
    )
    with tempfile.TemporaryDirectory() as directory:
        async with still_app(directory, storage) as app:
            await app.store([NAME])
            await app.fill((_key(number), _entry(number)) for number in range(entries))
            now = app.fresh()
            await now.look(NAME, "bench")
            for _ in range(samples):
                for case in (explain, history, status):
                    read = keys.status(NAME) if case is status else _key(entries - 1)
                    case.floor.append(await ms(app.ports.documents.load(read)))
                explain.ours.append(await ms(now.explain(NAME, SERVICE)))
                history.ours.append(await ms(now.history(NAME, SERVICE)))
                status.ours.append(await ms(now.status(NAME)))
    return explain, history, status


def _key(number: int) -> str:
    return keys.history_entry(NAME, SERVICE, BEGAN + timedelta(minutes=number), "slow")


def _entry(number: int) -> bytes:
    """One held look a minute, as a service has that waits for something."""
    at, why = BEGAN + timedelta(minutes=number), ("waits for a member",)
    step = EntryStep(at=at, phase="stable → stable", epoch=1, operation="", held=why)
    moments = {"woken": at, "started": at, "looked": at, "ended": at}
    words = {"service": SERVICE, "pace": "slow", "trigger": "wake-up", "outcome": "held", "reasons": why}
    return msgspec.json.encode(Entry(**moments, **words, evidence={}, steps=(step,)))  # type: ignore[arg-type]  # mypy sees no keys
