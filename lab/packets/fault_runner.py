"""On the Azure lab's load tester: breaks one thing, waits for packets to flow around it, and files one line of the sheet.

    python3 fault_runner.py --answered /var/lib/lab/100.64.0.1 --sheet results.csv --contender ours-member \
        --fault service --victim ws1 -- ssh ws1 sudo systemctl kill -s KILL lab-echo

A program of its own, with the standard library only: it is copied to the machine. Its clock is the prober's, which runs on
the same one, so nothing depends on clocks that agree. `lab.packets.azure_results` reads what it filed.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

COLUMNS = ("round", "contender", "fault", "victim", "after", "address", "struck", "ended")
STEADY = 1.0  # seconds that packets must flow without a pause of PAUSE before they count as flowing
PAUSE = 0.1
WITHIN = 300.0
LOOK = 0.1
TAIL_BYTES = 1 << 16  # enough for several seconds at 200 packets a second

type Reply = tuple[float, str]


def recent(answered: Path) -> list[Reply]:
    """When the last answered packets were sent, and who answered them; a line that is not whole yet is left out."""
    with answered.open("rb") as file:
        file.seek(max(0, answered.stat().st_size - TAIL_BYTES))
        lines = file.read().decode().split("\n")[1:-1]
    return [(float(fields[1]), fields[3]) for fields in (line.split() for line in lines)]


def carrier(replies: list[Reply], since: float, now: float) -> str | None:
    """The one who has answered everything sent in the last STEADY seconds, without a pause; None if there is no such."""
    latest = [(sent, server) for sent, server in sorted(replies) if sent >= max(since, now - STEADY - PAUSE)]
    times = [sent for sent, _ in latest]
    if not times or times[-1] - times[0] < STEADY - PAUSE or now - times[-1] > PAUSE:
        return None
    if any(b - a > PAUSE for a, b in pairwise(times)):
        return None
    servers = {server for _, server in latest}
    return servers.pop() if len(servers) == 1 else None


def flowing(answered: Path, since: float, without: str, within: float) -> str | None:
    """Waits until an NVA other than `without` carries all packets; None if that does not happen in time."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        found = carrier(recent(answered), since, time.monotonic())
        if found not in (None, without):
            return found
        time.sleep(LOOK)
    return None


def file_line(sheet: Path, line: dict[str, str]) -> int:
    """Adds one line, and says which round of its contender and fault it is."""
    known = list(csv.DictReader(sheet.read_text().splitlines())) if sheet.exists() else []
    same = [one for one in known if (one["contender"], one["fault"]) == (line["contender"], line["fault"])]
    with sheet.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not known:
            writer.writeheader()
        writer.writerow({"round": len(same) + 1, **line})
    return len(same) + 1


def machine() -> dict[str, str | int | None]:
    """What the load tester is."""
    system = os.uname()
    return {
        "system": system.version,
        "kernel": system.release,
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="fault_runner.py", description="Plays one fault and files it.")
    parser.add_argument("--answered", type=Path, required=True, help="the prober's file, named by the service address")
    parser.add_argument("--sheet", type=Path, required=True)
    for name in ("contender", "fault", "victim"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--within", type=float, default=WITHIN, help="seconds that packets may take to flow again")
    parser.add_argument("command", nargs="+", help="what breaks it, after --")
    given = parser.parse_args()
    serving = carrier(recent(given.answered), 0.0, time.monotonic())
    if serving != given.victim:
        print(f"nothing was done: {serving or 'no NVA'} carries all packets, not {given.victim}", file=sys.stderr)
        return 2
    struck = time.monotonic()
    done = subprocess.run(given.command, check=False)
    after = flowing(given.answered, struck, given.victim, given.within)
    if after is None:
        print(f"packets did not flow around {given.victim} within {given.within:g} s", file=sys.stderr)
        return 1
    line = {
        "contender": given.contender,
        "fault": given.fault,
        "victim": given.victim,
        "after": after,
        "address": given.answered.name,
        "struck": f"{struck:.6f}",
        "ended": f"{time.monotonic():.6f}",
    }
    number = file_line(given.sheet, line)
    given.sheet.with_suffix(".machine.json").write_text(json.dumps(machine()) + "\n")
    print(f"round {number}: {given.victim} to {after} (the command ended with {done.returncode})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
