"""`python -m proving.bench`: measures each case beside its floor, prints a table, and keeps every sample in build/bench.json.

Exits 1 if a case could not be measured.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from function_app.domain.base.errors import HopkeeperError
from lab.kit import azurite
from lab.stack import ROOT
from proving.bench.age import age
from proving.bench.events import burst, event
from proving.bench.reaction import reaction
from proving.bench.rest import rest
from proving.bench.routes import routes
from proving.bench.samples import HEAD, Case
from tools.processes import ToolError, end_as_by_ctrl_c

CASES: dict[str, Callable[[str, int], AsyncIterator[Case]]] = {
    "reaction": reaction,
    "bystander": partial(reaction, bystander=True),
    "event": event,
    "burst": burst,
    "routes": routes,
    "rest": rest,
    "age": age,
    "oldest": partial(age, entries=(100_000,)),
}
LONG = ("oldest",)
NOT_OVER_AZURITE = ("routes", "rest", "oldest")
"""What holds the loop is no call of the storage, at rest it is in memory, and 100,000 writes take Azurite too long."""


async def bench(names: list[str], samples: int, out: Path) -> bool:
    """Measures these, over a directory and, where it is installed, Azurite. Whether all of them could be."""
    good = True
    print("\n".join(HEAD), flush=True)
    for name in names:
        both = azurite.AZURITE.exists() and name not in NOT_OVER_AZURITE
        for storage in ("directory", *(("azurite",) if both else ())):
            try:
                async for case in CASES[name](storage, samples):
                    print(case.row(), flush=True)
                    keep(out, case)
            except (ToolError, HopkeeperError) as error:
                good = False
                print(f"{name} over {storage} could not be measured: {error}", file=sys.stderr)
    return good


def keep(out: Path, case: Case) -> None:
    """In place of what an earlier run measured of this case."""
    cases = json.loads(out.read_text())["cases"] if out.exists() else []
    kept = [each for each in cases if each["case"] != case.name]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"cases": [*kept, case.document()]}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.bench", description="Measure the app beside its floor.")
    parser.add_argument("--cases", nargs="+", choices=CASES, help=f"all but {', '.join(LONG)} by default")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--long", action="store_true", help="also what takes minutes to prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    given = parser.parse_args()
    names = given.cases or [name for name in CASES if given.long or name not in LONG]
    end_as_by_ctrl_c()
    return 0 if asyncio.run(bench(names, max(given.samples, 1), given.out)) else 1


if __name__ == "__main__":
    sys.exit(main())
