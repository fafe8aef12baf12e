"""`python -m proving.chaos`: kill -9 of the Functions host at each step of a failover, then troubles in which it lives on.

Exits 1 if anything is wrong.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from lab.stack import ROOT
from proving.chaos.rounds import Killed, Plan, plans, play
from proving.chaos.stage import PROBE_SCALE, SWEEP, ChaosStack, Stage, keep_logs
from proving.chaos.troubles import ROUNDS, Planned, Troubled, suffer
from proving.chaos.watch import Watch
from tools.processes import ToolError

type Say = Callable[[str], None]


@dataclass
class Run:
    """What came of a run; `failure` is why it ended early."""

    kills: list[Killed] = field(default_factory=list)
    troubles: list[Troubled] = field(default_factory=list)
    both_serving: int = 0
    probe_answers: int = 0
    seconds: float = 0.0
    failure: str | None = None

    @property
    def good(self) -> bool:
        return self.failure is None and not self.both_serving and self.probe_answers > 0

    def document(self) -> dict[str, Any]:
        failure = {} if self.failure is None else {"failure": self.failure}
        return {
            "kills": len(self.kills),
            "troubles": len(self.troubles),
            "moved": dict(sorted(Counter(t.trouble for t in self.troubles if t.moved).items())),
            "steps": dict(sorted(Counter(str(k.step) for k in self.kills).items())),
            "both_serving": self.both_serving,
            "not_converged": 0 if self.failure is None else 1,
            "probe_answers": self.probe_answers,
            "seconds": round(self.seconds, 1),
            "rounds": [asdict(k) for k in self.kills],
            "troubled": [asdict(t) for t in self.troubles],
        } | failure


async def chaos(rounds: tuple[Plan, ...], kills: int, say: Say, troubles: tuple[Planned, ...] = ()) -> Run:
    """Plays `rounds` over and over on a fresh stack until there were `kills` of them, then `troubles` once; ends where one did
    not come right."""
    run, began = Run(), time.monotonic()
    async with ChaosStack.make() as stack:
        stack.sweep = SWEEP
        if troubles:
            stack.probe_scale = PROBE_SCALE
        watch = Watch(stack.probes())
        watch.start()
        try:
            stage = await Stage.over(stack, watch)
            for plan in cycle(rounds):
                if len(run.kills) >= kills:
                    break
                for killed in await play(stage, plan):
                    run.kills.append(killed)
                    say(_line(len(run.kills), killed))
            for number, planned in enumerate(troubles, 1):
                run.troubles.append(troubled := await suffer(stage, planned))
                say(f"{number:3}  {planned}: moved {troubled.moved}, at rest {troubled.to_rest_seconds:.1f} s later")
        except ToolError as error:
            run.failure = str(error)
            say(f"did not come right: {error}")
            say(keep_logs(stack.programs.logs, ROOT / "build" / "chaos-logs"))
        finally:
            await watch.stop()
        run.both_serving, run.probe_answers = len(watch.both), watch.answers
        run.seconds = time.monotonic() - began
    return run


def _line(number: int, killed: Killed) -> str:
    return f"{number:3}  {killed.cause:12} killed at: {killed.step:45} at rest {killed.to_rest_seconds:5.1f} s later"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many at least")
    parser.add_argument("--troubles", type=int, default=105, help="how many")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "chaos.json")
    given = parser.parse_args()
    troubles = tuple(islice(cycle(ROUNDS), given.troubles))
    run = asyncio.run(chaos(plans(), given.kills, lambda line: print(line, flush=True), troubles))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(run.document(), indent=1) + "\n")
    counted = f"{len(run.kills)} kills and {len(run.troubles)} troubles in {run.seconds:.0f} s"
    print(f"{counted}; both probes at 200: {run.both_serving}; {given.out}")
    return 0 if run.good else 1


if __name__ == "__main__":
    sys.exit(main())
