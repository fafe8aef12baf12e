"""`python -m proving.mutants`: breaks every rule of the protocol once and demands that a test notices.

Exits 1 if any patch survives, or cannot be run. `--check` runs no test: it says which patches do not apply, and why.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from proving.mutants.patch import Patch, patches
from proving.mutants.runner import Result, faults, run

REPORT = Path("build") / "protocol-mutants.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these patches (patterns: 'guard-*')")
    parser.add_argument("--jobs", type=int, default=2, help="copies of the tree that work side by side")
    parser.add_argument("--list", action="store_true", help="name them and run nothing")
    parser.add_argument("--check", action="store_true", help="say which do not apply, or name no test, and run nothing")
    arguments = parser.parse_args()
    chosen = _chosen(arguments.only)
    if arguments.list:
        for patch in chosen:
            print(f"{patch.name:62} {patch.rule:64} {', '.join(patch.files)}")
        return 0
    if arguments.check:
        found = list(faults(chosen))
        print(*found, f"{len(chosen)} patches, {len(found)} faults", sep="\n")
        return 1 if found else 0
    return _ran(run(chosen, arguments.jobs, _say))


def _ran(results: Sequence[Result]) -> int:
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"mutants": [_row(r) for r in results]}, indent=1) + "\n")
    alive = [r for r in results if not r.killed]
    print(f"{len(results) - len(alive)} of {len(results)} patches noticed; {REPORT}")
    for result in alive:
        print(f"  {result.patch.name}: {result.error or 'survived'}")
    return 1 if alive else 0


def _chosen(names: Sequence[str]) -> tuple[Patch, ...]:
    every = patches()
    unknown = [name for name in names if not any(fnmatchcase(p.name, name) for p in every)]
    if unknown:
        sys.exit(f"there is no patch {', '.join(unknown)}: see --list")
    return tuple(p for p in every if not names or any(fnmatchcase(p.name, name) for name in names))


def _say(result: Result) -> None:
    what = result.killer if result.killed else f"ERROR {result.error}" if result.error else "SURVIVED"
    print(f"{result.patch.name:62} {result.seconds:6.1f} s  {what}", flush=True)


def _row(result: Result) -> dict[str, object]:
    row: dict[str, object] = {
        "name": result.patch.name,
        "rule": result.patch.rule,
        "killed": result.killed,
        "killer": result.killer,
        "seconds": result.seconds,
    }
    return row | ({"error": result.error} if result.error else {})


if __name__ == "__main__":
    sys.exit(main())
