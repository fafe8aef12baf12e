"""Why was a member promoted, held or left alone: told from the journal, for any moment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from function_app.reconcile.ports import Documents
from function_app.reconcile.store import keys

TOLD = (("because", "because"), ("did", "effects"), ("held", "held"), ("alarm", "alarms"), ("guard", "refused"))
BACK = 32
"""How many entries before a moment are read: passes overlap, and the one that did it need not have begun last."""

type Entry = Mapping[str, Any]


async def explain(documents: Documents, topology: str, service: str, at: datetime | None) -> tuple[str, ...]:
    """Lines for a person: the evidence, steps and guards of whatever was under way at `at` (None: of the last pass).

    Where an instance died before it filed what it did, the next entry tells of its operation and is added.
    """
    filed = await documents.keys(keys.history(topology, service))
    stamp = keys.stamp(at) if at else "~"
    before = [key for key in filed if keys.stamp_of(key) <= stamp]
    if not before:
        return (f"nothing is on record for {topology}/{service}" + (f" at or before {at}" if at else ""),)
    if at is None:
        return tuple(line for entry in await _read(documents, before[-1:]) for line in told(entry))
    recent = await _read(documents, before[-BACK:])
    shown = [entry for entry in recent if _time(entry, "ended") >= at] or recent[-1:]
    known = {step["operation"] for entry in shown for step in entry["steps"]}
    later = await _read(documents, filed[len(before) : len(before) + 1])
    shown += [entry for entry in later if entry["steps"] and entry["steps"][0]["operation"] not in known]
    return tuple(line for entry in shown for line in told(entry, at))


async def _read(documents: Documents, keys: Sequence[str]) -> list[Entry]:
    stored = [await documents.load(key) for key in keys]
    return [msgspec.json.decode(found.body) for found in stored if found is not None]


def _time(entry: Entry, key: str) -> datetime:
    return datetime.fromisoformat(entry[key])


def told(entry: Entry, at: datetime | None = None) -> tuple[str, ...]:
    """One journal entry in words; ages are counted to `at`, from when its look was over."""
    age = _age(_time(entry, "looked"), at) if at else ""
    lines = [f"{entry['service']}: {entry['pace']} pass at {entry['started']}{age}, woken by {entry['trigger']}"]
    lines.append(f"outcome: {entry['outcome']}")
    lines += [f"  because {reason}" for reason in entry["reasons"]]
    lines.append(f"evidence (as of {entry['looked']}):")
    for member, readings in sorted(entry["evidence"].items()):
        lines += [f"  {member}: {reading}" for reading in readings]
    for number, step in enumerate(entry["steps"], 1):
        lines.append(f"step {number}: {step['phase']}, epoch {step['epoch']}")
        if step["operation"]:
            lines.append(f"  under way: {step['operation']}")
        for title, key in TOLD:
            lines += [f"  {title}: {line}" for line in step.get(key, ())]
        lines += [f"  failed: {effect}: {why}" for effect, why in sorted(step.get("failed", {}).items())]
        lines += [f"  proof: {member} fenced, etag {etag}" for member, etag in sorted(step.get("proofs", {}).items())]
    return tuple(lines)


def _age(looked: datetime, at: datetime) -> str:
    seconds = (at - looked).total_seconds()
    return f", {abs(seconds):.1f} s {'before' if seconds >= 0 else 'after'} the moment asked for"
