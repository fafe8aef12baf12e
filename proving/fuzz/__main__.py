"""`python -m proving.fuzz`: feeds broken inputs to each target for so many seconds, and names what crashed or was slow."""

import argparse
import contextlib
import json
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from proving.fuzz.mutate import mutated
from proving.fuzz.targets import Target, targets

SLOW_SECONDS = 0.05
KEPT = Path("build/fuzz")


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one target. `crashes`: by kind, the first input; `slowest`: seconds of CPU."""

    inputs: int = 0
    refused: int = 0
    slowest: float = 0.0
    slow: bytes = b""
    kinds: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        return not self.crashes and self.slowest <= SLOW_SECONDS


def fuzz(target: Target, random: Random, seconds: float, most: int) -> Tally:
    """Ends after `seconds`, or so many inputs."""
    for sample in target.corpus:  # what is imported and made once counts for no input
        with contextlib.suppress(*target.refused):
            target.read(sample)
    tally, ends = Tally(), time.monotonic() + seconds
    while tally.inputs < most and time.monotonic() < ends:
        given = mutated(random.choice(target.corpus), target.corpus, random)
        began = time.thread_time()
        try:
            target.read(given)
        except target.refused:
            tally.refused += 1
        except Exception as error:
            kind = f"{type(error).__name__} at {_where(error)}"
            tally.kinds[kind] += 1
            tally.crashes.setdefault(kind, given)
        took = time.thread_time() - began
        if took > SLOW_SECONDS:
            took = min(took, *(_seconds(target, given) for _ in range(3)))  # not of a collection of garbage
        tally.inputs += 1
        if took > tally.slowest:
            tally.slowest, tally.slow = took, given
    return tally


def _seconds(target: Target, given: bytes) -> float:
    began = time.thread_time()
    with contextlib.suppress(Exception):
        target.read(given)
    return time.thread_time() - began


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def main(arguments: list[str] | None = None) -> int:
    """Ends with 1 if anything crashed or was slow; the inputs that did are in build/fuzz."""
    options = _options(arguments)
    report, is_well = {}, True
    for target in targets():
        if options.only and target.name not in options.only:
            continue
        random = Random(options.seed)  # noqa: S311 - a seed repeats it
        tally = fuzz(target, random, options.seconds, options.inputs)
        is_well &= tally.is_well
        slowest = round(1000 * tally.slowest, 1)
        said = {"inputs": tally.inputs, "refused": tally.refused, "crashes": dict(tally.kinds), "slowest_ms": slowest}
        report[target.name] = said
        print(f"{target.name:20} {tally.inputs:>9,} inputs, {tally.refused:>9,} refused, {slowest:6.1f} ms at most")
        _keep(target, tally)
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "report.json").write_text(json.dumps({"seed": options.seed, "targets": report}, indent=1) + "\n")
    return 0 if is_well else 1


def _keep(target: Target, tally: Tally) -> None:
    kept = {f"crash-{number}": given for number, given in enumerate(tally.crashes.values())}
    if tally.slowest > SLOW_SECONDS:
        kept["slow"] = tally.slow
    for kind, count in tally.kinds.items():
        print(f"  {kind}: {count}")
    for name, given in kept.items():
        KEPT.mkdir(parents=True, exist_ok=True)
        path = KEPT / f"{target.name.replace(' ', '-')}-{name}"
        path.write_bytes(given)
        print(f"  {path}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proving.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target")
    parser.add_argument("--inputs", type=int, default=10**9, help="at most so many for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="names of targets")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
