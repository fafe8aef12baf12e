"""The history of a service as a person reads it: a line each pass that decided something, the newest last."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from function_app.domain.base.moments import moment
from function_app.reconcile.documents.history import Entry


def folded(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], ...]:
    """Passes in a row that held the same for the same reasons belong together."""
    alike = groupby(entries, key=lambda entry: (entry.outcome, _reasons(entry), _change(entry)))
    return tuple(tuple(found) for _, found in alike)


def history_lines(entries: Sequence[Entry], most: int | None = None) -> Iterator[str]:
    """Passes that belong together are one line, with how many they were; of these the last `most`."""
    for first, *more in folded(entries)[-most if most else None :]:
        seconds = (first.ended - first.started).total_seconds()
        times = f" ({1 + len(more)} times, until {moment(more[-1].ended)})" if more else ""
        yield f"{moment(first.started)}  {first.outcome:<9} {seconds:5.1f} s  {_change(first)}{times}"
        yield from (f"    {why}" for why in _why(first))
    if not entries:
        yield "nothing was decided yet"


def _change(entry: Entry) -> str:
    """From the phase and epoch that it found to those that it left."""
    if not entry.steps:
        return "nothing was decided"
    first, last = entry.steps[0], entry.steps[-1]
    before, after = first.phase.partition(" → ")[0], last.phase.rpartition(" → ")[2]
    return f"{before} → {after}, epoch {last.epoch}" if before != after else f"{after}, epoch {last.epoch}"


def _why(entry: Entry) -> Iterator[str]:
    yield from _reasons(entry)
    yield f"woken by {entry.trigger}"


def _reasons(entry: Entry) -> tuple[str, ...]:
    said = dict.fromkeys(why for step in entry.steps for why in step.because)
    return tuple(said or dict.fromkeys(reason.removeprefix(f"{entry.service}: ") for reason in entry.reasons))
