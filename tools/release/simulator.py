"""`make simulator`: the simulated Azure as a wheel, for people who do not use Hopkeeper (docs/simulator.md)."""

import argparse
import hashlib
import sys
from pathlib import Path

from tools.processes import ToolError
from tools.release.wheels import wheel

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "simulator"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release.simulator", description="Builds its wheel.")
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    given = parser.parse_args()
    try:
        built = wheel(given.out, SOURCE)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sha256 = hashlib.sha256(built.read_bytes()).hexdigest()
    print(f"{built}: {built.stat().st_size:,} bytes, sha256 {sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
