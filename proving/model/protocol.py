"""`make model`: the promotion protocol's model with Spin, its mutants, and every history of the ranked kinds.

    python -m proving.model.protocol [--quick]     writes build/model.json, ends with 1 where something is not as expected

Spin and a C compiler are Debian's `spin` and `gcc`; where they are missing that is said, and their part is skipped.
docs/model/README.md says what is modelled, and which rule is which line.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from function_app.domain.topology.model import Naming
from proving.model.ranked import Search, Size
from proving.model.ranked_mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "docs" / "model"
FENCE, WAIT = "fence.pml", "wait.pml"
RESULT = ROOT / "build" / "model.json"
HOLDS, VIOLATED = "holds", "violated"
MEMORY_MAX_MB = 6000
CHECK_MAX_SECONDS = 900
DEPTH = 1_000_000
STATES_MAX = 5_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One run of Spin: a model with these names defined (a mutant, a property, a world), and what must come of it."""

    name: str
    members: int
    epochs: int
    instances: int
    expected: str = VIOLATED
    only: str = ""
    world: str = ""
    model: str = FENCE

    @property
    def defines(self) -> list[str]:
        sizes = [f"-DN={self.members}", f"-DE={self.epochs}", f"-DR={self.instances}"]
        names = ("" if self.name == "base" else self.name, self.only, *self.world.split())
        return sizes + [f"-D{name}" for name in names if name]


@dataclass(frozen=True, slots=True)
class Checked:
    """A line of build/model.json. `members`, `epochs` and `instances` are the size that was searched."""

    name: str
    members: int
    epochs: int
    instances: int
    result: str
    states: int
    seconds: float
    expected: str

    @property
    def ok(self) -> bool:
        return self.result == self.expected


def two_serve(name: str, members: int, epochs: int, instances: int, world: str = "") -> Check:
    return Check(f"MUT_{name}", members, epochs, instances, only="ONLY_S1", world=world)


def stuck(name: str) -> Check:
    """What takes away the end of a wait, or lets a claim start one: no member serves, or the app learns without a reason."""
    return Check(f"MUT_{name}", 3, 0, 1, model=WAIT)


CHECKS = (
    # The model holds: S1-S4 and what ADR 1 adds.
    Check("base", 2, 3, 1, HOLDS),
    Check("base", 3, 2, 1, HOLDS),
    Check("base", 2, 2, 2, HOLDS),
    # What should be possible is: or a model in which nothing ever happens would hold as well.
    Check("REACH_AGENT", 2, 2, 1),
    Check("REACH_BALANCER", 2, 2, 1),
    Check("REACH_RETURN", 2, 3, 1),
    # The first fourteen mutants: two members are eligible.
    two_serve("NOEPOCH", 2, 2, 1),
    two_serve("CPONLY", 2, 2, 1),
    two_serve("LIFTNOPROOF", 2, 2, 1),
    two_serve("NOFENCE", 2, 2, 1),
    two_serve("FENCEACTIVEONLY", 2, 2, 1),
    two_serve("ACKSTALE", 2, 2, 1),
    two_serve("NOPERSIST", 2, 2, 1),
    two_serve("NOCAS", 2, 2, 1),
    two_serve("NOWAL", 2, 2, 1),
    two_serve("SKIPPUT", 2, 3, 1),
    two_serve("LIFTFIRST", 2, 3, 1),
    two_serve("NOBUMP", 2, 3, 1),
    two_serve("OLDPROOF", 2, 3, 1),
    two_serve("NOIFMATCH", 2, 3, 1),
    # Found with the storms and this model: a lift and a fence that meet on their way through the data plane.
    two_serve("STALEHEALTH", 2, 3, 1),
    two_serve("LIFTEARLY", 2, 3, 1),
    two_serve("LIFTBLIND", 2, 3, 1),
    # Not two serving, but a Down of ours that no record has as owed: its member stays out for ever (ADR 1).
    Check("MUT_LIFTNOWRITE", 2, 2, 1, only="ONLY_OWED"),
    Check("MUT_NOOWE", 2, 2, 1, only="ONLY_OWED"),
    Check("MUT_OLDLIFT", 2, 3, 1),
    # Another owner writes the pool (safety.md section 2b).
    Check("base", 2, 2, 1, HOLDS, world="FOREIGN"),
    Check("REACH_RENEWED", 2, 2, 1, world="FOREIGN"),
    two_serve("NOREVALIDATE", 2, 2, 1, "FOREIGN"),
    two_serve("UNDONEKEPT", 2, 2, 1, "FOREIGN"),
    Check("MUT_NORENEW", 2, 2, 1, only="ONLY_S2", world="FOREIGN"),
    two_serve("PROOFKEPT", 2, 2, 1, "FOREIGN"),
    # A machine is restored from a backup and serves (section 2b, `unexpected up`).
    Check("base", 2, 2, 1, HOLDS, world="RESTORED"),
    Check("REACH_RISEN", 2, 2, 1, world="RESTORED"),
    two_serve("ADMITTEDIGNORED", 2, 2, 1, "RESTORED"),
    two_serve("ADMITTEDUNFENCED", 2, 2, 1, "RESTORED"),
    Check("base", 2, 2, 1, HOLDS, world="FOREIGN RESTORED"),
    # Two serve on purpose (section 2a), and the target that is given up (section 2b, `progress`).
    Check("base", 2, 2, 1, HOLDS, world="SEAMLESS"),
    Check("base", 3, 2, 1, HOLDS, world="SEAMLESS"),
    Check("REACH_SHARED", 2, 2, 1, world="SEAMLESS"),
    two_serve("SHARENOWAL", 2, 2, 1, "SEAMLESS"),
    two_serve("SHAREGRANTS", 2, 2, 1, "SEAMLESS"),
    two_serve("SHARELEAVES", 2, 2, 1, "SEAMLESS"),
    two_serve("SHAREANY", 3, 2, 1, "SEAMLESS"),
    two_serve("NEXTFORGETS", 2, 2, 1),
    # Every wait ends (section 2b), and a claim about an epoch starts none (section 4a).
    Check("base", 3, 0, 1, HOLDS, model=WAIT),
    stuck("NOPATIENCE"),
    stuck("LEARNWAITS"),
    stuck("REFUSALFORGOTTEN"),
    stuck("CLAIMCOUNTS"),
    stuck("CLAIMOBEYED"),
    stuck("LEAPFREE"),
    stuck("WARRANTIGNORED"),
)
QUICK = (
    Check("base", 2, 2, 1, HOLDS),
    two_serve("NOFENCE", 2, 2, 1),
    two_serve("CPONLY", 2, 2, 1),
    stuck("LEARNWAITS"),
)
RANKED = (
    Size(Naming.SELF, announcers=2, members=2, epochs=3, faults=2),
    Size(Naming.SELF, announcers=3, members=3, epochs=3, faults=1),
    Size(Naming.MEMBER, announcers=1, members=3, epochs=3, faults=2),
    Size(Naming.MEMBER, announcers=2, members=3, epochs=2, faults=1),
    Size(Naming.MEMBER, announcers=2, members=2, epochs=3, faults=0),
)
RANKED_QUICK = RANKED[:1]


def missing() -> list[str]:
    """The programs that Spin's part needs and that are not there."""
    return [program for program in ("spin", "gcc") if shutil.which(program) is None]


def spin(check: Check) -> Checked:
    """Runs one check. Raises RuntimeError where pan neither finished its search nor found an error."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:

        def run(*command: str) -> str:
            done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=CHECK_MAX_SECONDS)
            if done.returncode != 0:
                raise RuntimeError(
                    f"{command[0]} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
                )
            return done.stdout

        shutil.copy(MODELS / check.model, work)
        run("spin", *check.defines, "-a", check.model)
        limits = [f"-DMEMLIM={MEMORY_MAX_MB}", "-DVECTORSZ=2048"]
        # Compiling with -O2 takes longer than most of the searches that find something.
        speed = "-O2" if check.expected == HOLDS else "-O0"
        run("gcc", speed, "-DSAFETY", "-DCOLLAPSE", *limits, "-w", "-o", "pan", "pan.c")
        said = run("./pan", f"-m{DEPTH}", "-w24")
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"([\d.e+]+) states, stored", said)
    if errors is None or states is None:
        raise RuntimeError(f"{check.name}: pan did not say what it found: {said[-500:]}")
    if errors[1] == "0" and ("Search not completed" in said or "max search depth too small" in said):
        raise RuntimeError(f"{check.name}: the search was not completed: {said[-500:]}")
    result = HOLDS if errors[1] == "0" else VIOLATED
    return _line(check, result, int(float(states[1])), started)


def _line(check: Check, result: str, states: int, started: float) -> Checked:
    sizes = (check.members, check.epochs, check.instances)
    name = ", ".join(part for part in (check.name, check.world, check.model if check.model != FENCE else "") if part)
    return Checked(name, *sizes, result, states, round(time.monotonic() - started, 1), check.expected)


def ranked(size: Size, mutant: Mutant | None = None) -> Checked:
    """Every history of the ranked kinds up to this size; `instances` are the Route Server's, always two."""
    started = time.monotonic()
    found = mutant.search(STATES_MAX) if mutant else Search(size).run(STATES_MAX)
    what = f"mutant: {mutant.name}" if mutant else f"{size.announcers} announcer(s), {size.faults} lost session(s)"
    check = Check(f"ranked {size.naming}, {what}", size.members, size.epochs, 2, VIOLATED if mutant else HOLDS)
    line = _line(check, VIOLATED if found.broken else HOLDS, found.states, started)
    if not line.ok:
        print(*found.history, sep="\n  ")
    return line


def checks(quick: bool) -> Iterator[Checked]:
    lacking = missing()
    if lacking:
        print(f"skipped: the Spin model, for want of {' and '.join(lacking)} (Debian: apt install spin gcc)")
    else:
        yield from map(spin, QUICK if quick else CHECKS)
    yield from map(ranked, RANKED_QUICK if quick else RANKED)
    for mutant in MUTANTS[:2] if quick else MUTANTS:
        yield ranked(mutant.size, mutant)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m proving.model.protocol", description="Checks the protocol's models."
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and two mutants of each only")
    quick: bool = parser.parse_args(arguments).quick
    done = []
    for line in checks(quick):
        done.append(line)
        size = f"({line.members}, {line.epochs}, {line.instances})"
        as_expected = "" if line.ok else f"   NOT AS EXPECTED ({line.expected})"
        print(
            f"{line.name:60} {size:10} {line.result:9} {line.states:>10,} states {line.seconds:7.1f} s{as_expected}",
            flush=True,
        )
    ok = all(line.ok for line in done)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(
        json.dumps({"checks": [asdict(line) for line in done], "ok": ok, "quick": quick}, indent=1) + "\n"
    )
    print(f"{len(done)} checks, {'all as expected' if ok else 'NOT all as expected'}; {RESULT.relative_to(ROOT)}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
