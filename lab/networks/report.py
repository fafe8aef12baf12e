"""What came of a case, for people. Pure: its document in, text out."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("localAddress", "network", "nextHop", "sourcePeer", "origin", "asPath", "weight")


def text(case: Mapping[str, Any]) -> str:
    """Its checks, packets by phase, and the learned routes at rest."""
    if "failed" in case:
        return f"{case['case']}: FAILED\n{case['failed']}"
    spoken = ", ".join(f"{name} {vendor}" for name, vendor in case["vendors"].items())
    parts = [f"{case['title']} (examples/{case['example']}.yaml): {'as it should be' if case['passed'] else 'NOT so'}"]
    parts += [f"speakers: {spoken}", ""]
    for server, rows in case["rows"].items():
        parts += [f"Learned routes of {server}, both instances:", table(rows)]
    parts += [_check(check) for check in case["checks"]]
    parts += ["", *(_phase(phase) for phase in case["phases"])]
    return "\n".join(parts) + "\n"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """For a terminal or a Markdown page, with Azure's names."""
    cells = [[str(row[column]) for column in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in [list(COLUMNS), *cells]) for i in range(len(COLUMNS))]
    lines = [list(COLUMNS), ["-" * width for width in widths], *cells]
    return "".join(f"| {' | '.join(c.ljust(w) for c, w in zip(line, widths, strict=True))} |\n" for line in lines)


def _check(check: Mapping[str, Any]) -> str:
    head = f"{'ok  ' if check['holds'] else 'NOT '} {check['check']}"
    return "\n".join([head, *(f"       {wrong}" for wrong in check["wrong"])])


def _phase(phase: Mapping[str, Any]) -> str:
    outage = f", longest outage {phase['longest_outage_seconds']:.2f} s" if phase["lost"] else ""
    return f"{phase['seconds']:5.1f} s  {phase['sent']:5d} packets, {phase['lost']} lost{outage}: {phase['phase']}"
