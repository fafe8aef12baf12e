"""Why was a member promoted, held or left alone: the entries of the history in words."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import UNSET

from function_app.domain.base.moments import moment
from function_app.domain.service.record import Phase
from function_app.reconcile.documents.history import Entry, EntryStep, Explanation
from function_app.views.status import ago


def explanation_lines(explanation: Explanation, now: datetime) -> tuple[str, ...]:
    """For a terminal; ages are counted to the requested moment. A pass that decides nothing is not stored: the last one that is
    may be old, and what it found is not what is now."""
    if not explanation.entries:
        before = f" at or before {moment(explanation.at)}" if explanation.at else ""
        return (f"nothing is on record for {explanation.topology}/{explanation.service}{before}",)
    lines = tuple(line for entry in explanation.entries for line in _entry(entry, explanation.at))
    if explanation.at is not None:
        return lines
    seconds = (now - explanation.entries[-1].ended).total_seconds()
    return (f"decided {ago(seconds)}, and nothing since; what is now: hopkeeper status {explanation.topology}", *lines)


def _entry(entry: Entry, at: datetime | None) -> Iterator[str]:
    age = _age(entry.looked, at) if at is not None and entry.looked is not None else ""
    yield f"{entry.service}: {entry.pace} pass at {_time(entry.started)}{age}, woken by {entry.trigger}"
    yield f"outcome: {entry.outcome}"
    yield from (f"  because {reason}" for reason in entry.reasons)
    yield f"evidence (as of {_time(entry.looked)}; A: its agent, P: its peers, L: its load balancer):"
    for member, readings in sorted(entry.evidence.items()):
        yield from (f"  {member}: {reading}" for reading in readings)
    for number, step in enumerate(entry.steps, 1):
        yield f"step {number}: {step.phase}, epoch {step.epoch}"
        yield from _step(step)


def _step(step: EntryStep) -> Iterator[str]:
    if step.operation:
        at_rest = step.phase == f"{Phase.STABLE} → {Phase.STABLE}"
        yield f"  {'since' if at_rest else 'under way'}: {step.operation}"
    titled = {
        "because": step.because,
        "did": step.effects,
        "held": step.held,
        "alarm": step.alarms,
        "guard": step.refused,
    }
    for title, lines in titled.items():
        yield from (f"  {title}: {line}" for line in lines)
    if step.failed is not UNSET:
        yield from (f"  failed: {effect}: {why}" for effect, why in sorted(step.failed.items()))
    if step.proofs is not UNSET:
        yield from (f"  proof: {member} fenced, etag {etag}" for member, etag in sorted(step.proofs.items()))


def _time(at: datetime | None) -> str:
    return "unknown" if at is None else moment(at)


def _age(looked: datetime, at: datetime) -> str:
    seconds = (at - looked).total_seconds()
    return f", {abs(seconds):.1f} s {'before' if seconds >= 0 else 'after'} the requested moment"
