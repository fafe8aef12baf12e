"""`python -m proving.mutants`: breaks every rule once and demands that a test notices. Exits 1 if any mutant survives."""

import argparse
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from proving.mutants.mutant import Mutant
from proving.mutants.named import MUTANTS
from proving.mutants.runner import Plan, Result, run

REPORT = Path("build") / "mutants.json"


def main() -> int:
    arguments = _arguments()
    chosen = _chosen(arguments.only)
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant.name:52} {mutant.rule:44} {mutant.file}")
        return 0
    results = run(chosen, Plan(arguments.jobs, arguments.search), _say)
    report: Path = arguments.out
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"mutants": [_row(r) for r in results]}, indent=1) + "\n")
    alive = [r for r in results if not r.killed]
    print(f"{len(results) - len(alive)} of {len(results)} mutants killed; {report}")
    for result in alive:
        print(f"  {result.mutant.name}: {result.error or 'survived'}")
    return 1 if alive else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proving.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these mutants (patterns: 'guard-*')")
    parser.add_argument("--jobs", type=int, default=2, help="copies of the tree that work side by side")
    parser.add_argument("--list", action="store_true", help="name them and run nothing")
    parser.add_argument("--search", action="store_true", help="try all quick tests and a storm on a survivor")
    parser.add_argument("--out", type=Path, default=REPORT, help="where to write what came of it")
    return parser.parse_args()


def _chosen(names: Sequence[str]) -> tuple[Mutant, ...]:
    unknown = [name for name in names if not any(fnmatchcase(m.name, name) for m in MUTANTS)]
    if unknown:
        sys.exit(f"there is no mutant {', '.join(unknown)}: see --list")
    return tuple(m for m in MUTANTS if not names or any(fnmatchcase(m.name, name) for name in names))


def _say(result: Result) -> None:
    what = result.killer if result.killed else f"ERROR {result.error}" if result.error else "SURVIVED"
    print(f"{result.mutant.name:52} {result.seconds:6.1f} s  {what}", flush=True)


def _row(result: Result) -> dict[str, object]:
    row: dict[str, object] = {
        "name": result.mutant.name,
        "rule": result.mutant.rule,
        "killed": result.killed,
        "killer": result.killer,
        "seconds": result.seconds,
    }
    return row | ({"error": result.error} if result.error else {})


if __name__ == "__main__":
    sys.exit(main())
