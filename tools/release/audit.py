"""`make audit`: which advisories there are for the pinned libraries, by pip-audit.

Ends with 0 where there is none for any of them, 1 where there are some, and 2 where that is not known: the advisory service
could not be reached, or it knows nothing of a library. "None are known" is said only of what was answered for.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.release.materials import requirements
from tools.release.pins import WANTED
from tools.release.run_pip import PINNED

NOT_AUDITED = 2


def audited(command: Sequence[str], pins: Path) -> int:
    """Prints what the command (pip-audit) finds for a file of pins; gives how it ends."""
    options = ["--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off", f"--requirement={pins}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        print(f"{pins.name}: NOT AUDITED: the advisory service gave no answer: {said[0]}")
        return NOT_AUDITED
    names = _pinned(pins)
    advisories = list(_advisories(found))
    unanswered = sorted(names - {one["name"] for one in found if "skip_reason" not in one})
    lines = [*advisories, *([f"NOT AUDITED: {', '.join(unanswered)}"] if unanswered else [])]
    for line in lines or [f"no advisory is known for {len(names)} libraries"]:
        print(f"{pins.name}: {line}")
    return 1 if advisories else NOT_AUDITED if unanswered else 0


def _pinned(pins: Path) -> set[str]:
    wanted = [one.split(" --hash=")[0] for one in pins.read_text().splitlines() if not one.startswith("#")]
    return {one.name for one in requirements("\n".join(wanted))}


def _advisories(found: list[dict[str, Any]]) -> Iterator[str]:
    for one in found:
        for each in one.get("vulns", ()):
            mended = ", ".join(each["fix_versions"]) or "none"
            yield f"{one['name']} {one['version']}: {each['id']}, mended in {mended}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release.audit", description="Looks advisories up.")
    parser.add_argument("--command", default="pip-audit", help="where pip-audit is")
    given = parser.parse_args()
    if not Path(given.command).exists():
        print("NOT AUDITED: pip-audit is not installed")
        return NOT_AUDITED
    ends = {audited([given.command], PINNED / name) for name in WANTED}
    return next((end for end in (1, NOT_AUDITED) if end in ends), 0)


if __name__ == "__main__":
    sys.exit(main())
