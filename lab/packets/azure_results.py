"""python -m lab.packets.azure_results: what was measured in the Azure lab, filed as by `make lab`: lab.json, table, chart.

    python -m lab.packets.azure_results results.csv --place "Azure uksouth, Standard_B2ms" --out build/lab-azure.json

Beside the sheet lie what `fault_runner` wrote of the machine, and the prober's files, each named by its service address.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.packets import mechanisms, report
from lab.packets.readings import Reply, longest_gap, lost, moves, replies, two_serving
from lab.packets.series import Run

SETTLED = 1.0
"""Seconds before the fault that are looked at, too: the last packet before it was sent then."""


class SheetError(ValueError):
    """The sheet cannot be read as one; the message has its line."""


def runs(lines: Iterable[Mapping[str, str]], answered: Mapping[str, Sequence[Reply]]) -> list[Run]:
    """One run a line; `answered` are the prober's replies by service address. Raises SheetError."""
    found = []
    for number, line in enumerate(lines, 2):
        try:
            found.append(_run(line, answered[line["address"]]))
        except (KeyError, TypeError, ValueError) as error:
            raise SheetError(f"line {number}: {error!r}") from error
    return found


def _run(line: Mapping[str, str], replied: Sequence[Reply]) -> Run:
    if line["contender"] not in mechanisms.BY_NAME:
        raise ValueError(f"{line['contender']} is none of {', '.join(mechanisms.BY_NAME)}")
    struck, ended = float(line["struck"]), float(line["ended"])
    inside = [one for one in replied if struck - SETTLED <= one.sent <= ended]
    gap = longest_gap(inside, struck - SETTLED, ended)
    if gap is None:
        raise ValueError("no packet was answered at that time")
    return {
        "round": int(line["round"]),
        "contender": line["contender"],
        "fault": line["fault"],
        "victim": line["victim"],
        "after": line["after"],
        "outage_seconds": round(gap.seconds, 4),
        "began": round(gap.begin - struck, 4),
        "lost": lost(inside, struck - SETTLED, ended),
        "moves": moves(inside),
        "two_serving_packets": two_serving(inside, line["victim"], line["after"]),
        "updates": {},  # the platform does not tell
    }


def document(sheet: Path, place: str) -> dict[str, Any]:
    """What is filed. Raises SheetError, OSError."""
    lines = list(csv.DictReader(sheet.read_text().splitlines()))
    addresses = {line.get("address") or "" for line in lines} - {""}
    answered = {address: replies(_lines(sheet.with_name(address))) for address in addresses}
    played = runs(lines, answered)
    machine = json.loads(sheet.with_suffix(".machine.json").read_text())
    named = [name for name in mechanisms.BY_NAME if any(run["contender"] == name for run in played)]
    titles = {name: mechanisms.BY_NAME[name]().title for name in named}
    head = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine | {"system": place},
        "order": {
            "names": named,
            "runs": max((run["round"] for run in played), default=0),
            "faults": list(dict.fromkeys(run["fault"] for run in played)),
            "loss": 0.0,
            "damping": 0.0,
        },
    }
    return report.document(head, report.rows(played, titles), {}, played)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab.packets.azure_results", description="Reads the Azure lab's sheet."
    )
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--place", required=True, help="where it was measured: region and size of the machines")
    parser.add_argument("--out", type=Path, default=Path("build/lab-azure.json"))
    given = parser.parse_args(arguments)
    try:
        filed = document(given.sheet, given.place)
    except (SheetError, OSError) as error:
        print(f"error: {given.sheet}: {error}", file=sys.stderr)
        return 1
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(filed, indent=1) + "\n")
    print(f"{given.out}: {len(filed['runs'])} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
