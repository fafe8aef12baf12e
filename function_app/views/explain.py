"""Why was a member promoted, held or left alone: told from the journal, for any moment."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from function_app.reconcile.ports import Documents

TOLD = (("because", "because"), ("did", "effects"), ("held", "held"), ("alarm", "alarms"), ("guard", "refused"))


async def explain(documents: Documents, topology: str, service: str, at: datetime | None) -> tuple[str, ...]:
    """Lines for a person: the last entry at or before `at` (None: the last one), its evidence, steps and guards."""
    keys = await documents.keys(f"history/{topology}/{service}/")
    stamp = f"{at:%Y%m%dT%H%M%S.%fZ}" if at else "~"
    before = [key for key in keys if key.rsplit("/", 1)[1].removesuffix(".json") <= stamp]
    if not before:
        return (f"nothing is on record for {topology}/{service}" + (f" at or before {at}" if at else ""),)
    stored = await documents.load(before[-1])
    if stored is None:
        return (f"{before[-1]} is gone",)
    return told(msgspec.json.decode(stored.body), at)


def told(entry: Mapping[str, Any], at: datetime | None = None) -> tuple[str, ...]:
    """One journal entry in words; ages are counted from `at`, or from when its look was over."""
    started = datetime.fromisoformat(entry["started"])
    age = f", {(at - started).total_seconds():.1f} s before the moment asked for" if at else ""
    lines = [f"{entry['service']}: {entry['pace']} pass at {entry['started']}{age}, woken by {entry['trigger']}"]
    lines.append(f"outcome: {entry['outcome']}")
    lines += [f"  because {reason}" for reason in entry["reasons"]]
    lines.append("evidence (read in that look):")
    for member, readings in sorted(entry["evidence"].items()):
        lines += [f"  {member}: {reading}" for reading in readings]
    for number, step in enumerate(entry["steps"], 1):
        lines.append(f"step {number}: {step['phase']}, epoch {step['epoch']}")
        for title, key in (
            ("because", "because"),
            ("did", "effects"),
            ("held", "held"),
            ("alarm", "alarms"),
            ("guard", "refused"),
        ):
            lines += [f"  {title}: {line}" for line in step.get(key, ())]
        lines += [f"  failed: {effect}: {why}" for effect, why in sorted(step.get("failed", {}).items())]
        lines += [f"  proof: {member} fenced, etag {etag}" for member, etag in sorted(step.get("proofs", {}).items())]
    return tuple(lines)
