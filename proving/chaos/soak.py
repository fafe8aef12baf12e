"""`python -m proving.chaos.soak`: the real stack for an hour, under troubles that are drawn from a seed (`drawn`).

Beside each go floods or a storm of 429 (`beside`). Kills end at half of the time: the processes that live then are those whose
memory and handles are compared (`measure`). A run ends with the first violation. Clocks are not stepped: no process here
has one of its own (the storms step them). Exits 1 if anything is wrong.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from lab import acts, keys
from lab.stack import DATA, NVAS, ROOT, TOPOLOGY
from lab.traffic import Traffic
from proving.chaos.beside import Answers, go_on
from proving.chaos.drawn import KILLS, Round, drawn, strike
from proving.chaos.measure import Meter
from proving.chaos.stage import PROBE_SCALE, SWEEP, WITHIN, ChaosStack, Stage, keep_logs
from proving.chaos.watch import Watch
from tools.processes import ToolError

PLANE_EVERY = 0.05
"""Seconds between two looks at who is Down in the data plane."""
STATUS_EVERY = 0.2
KILLS_UNTIL = 0.5
"""The share of the time in which processes are killed."""


def admitted_together(
    both: Sequence[tuple[float, str, tuple[str, ...]]], planes: Sequence[tuple[float, Set[str]]]
) -> list[str]:
    """At which moments of `both` several were admitted: a member is not that is Down in the data plane, at the look before the
    moment and at the one after it."""
    found = []
    for at, member, others in both:
        before = next((down for when, down in reversed(planes) if when <= at), frozenset[str]())
        after = next((down for when, down in planes if when >= at), frozenset[str]())
        if len({member, *others} - (before & after)) > 1:
            found.append(f"{member} and {', '.join(others)} admitted at {at:.3f}")
    return found


@dataclass
class Soak:
    """A run and what came of it."""

    minutes: float
    seed: int
    say: Callable[[str], None]
    rounds: list[Round] = field(default_factory=list)
    answers: Answers = field(default_factory=Answers)
    traffic: Traffic = field(default_factory=Traffic)
    packets_lost: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, float] = field(default_factory=dict)
    """By kind the longest."""
    planes: list[tuple[float, Set[str]]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    probes: tuple[int, int] = (0, 0)
    """How many answers, and how often several answered 200 in a row, admitted or not."""
    processes: dict[str, Any] = field(default_factory=dict)
    orders: int = 0
    _history: Set[Path] = frozenset()
    _epoch: int = 0

    async def run(self) -> None:
        began = time.monotonic()
        async with ChaosStack.make() as stack:
            stack.sweep, stack.probe_scale = SWEEP, PROBE_SCALE
            watch = Watch(stack.probes())
            watch.start()
            try:
                stage = await Stage.over(stack, watch)
                await self._soak(stage)
            except (ToolError, aiohttp.ClientError, OSError, ValueError) as error:
                self.violations.append(f"{type(error).__name__}: {error}")
            finally:
                await watch.stop()
            if self.violations:
                self.say(f"{self.violations}; {keep_logs(stack.programs.logs, ROOT / 'build' / 'soak-logs')}")
            self.minutes = round((time.monotonic() - began) / 60, 2)

    async def _soak(self, stage: Stage) -> None:
        meter = Meter(lambda: {"host": stage.host.process.pid} | {n: stage.agent(n).process.pid for n in NVAS})
        await stage.at_rest()
        await self.traffic.start(stage.stack.frontend, DATA)
        watching = [asyncio.create_task(meter.measure()), asyncio.create_task(self._look(stage))]
        try:
            await self._troubles(stage, watching)
        finally:
            for task in watching:
                task.cancel()
            await self.traffic.stop()
            self.processes = meter.document()
        self.violations += [f"{name}: {what}" for name, life in meter.judged() for what in life.grew]

    async def _troubles(self, stage: Stage, watching: Sequence[asyncio.Task[None]]) -> None:
        """Until the time is up, or something is violated. Raises what `watching` died of."""
        began, seconds = time.monotonic(), self.minutes * 60
        for planned in drawn(self.seed):
            share = (time.monotonic() - began) / seconds
            if share >= 1 or self.violations:
                return
            if share < KILLS_UNTIL or planned.kind not in KILLS:
                await self._round(stage, planned)
            for task in watching:
                if task.done():
                    task.result()

    async def _look(self, stage: Stage) -> None:
        while True:
            self.planes.append((time.time(), (await stage.sight()).down))
            await asyncio.sleep(PLANE_EVERY)

    async def _round(self, stage: Stage, planned: Round) -> None:
        self.rounds.append(planned)
        sent, got = self.traffic.sent, len(self.traffic.replies)
        beside = asyncio.create_task(go_on(stage.stack, planned.beside, planned.beside_seconds, self.answers))
        try:
            took = await strike(stage, planned)
        finally:
            await beside
        took = round(max(took, await recovered(stage)), 1)
        self.recoveries[planned.kind] = max(took, self.recoveries.get(planned.kind, 0.0))
        lost = max(0, self.traffic.sent - sent - (len(self.traffic.replies) - got))
        self.packets_lost[planned.kind] += lost
        self.say(f"{len(self.rounds):3}  {planned}: {lost} packets lost, at rest {took} s later")
        await self._nothing_lost(stage)
        both = stage.watch.both[self.probes[1] :]
        self.probes = stage.watch.answers, len(stage.watch.both)
        self.violations += admitted_together(both, self.planes)
        del self.planes[:-1]

    async def _nothing_lost(self, stage: Stage) -> None:
        """Record, history and document are there and can be read, and orders are answered. Raises ToolError."""
        stack, epoch = stage.stack, (await stage.sight()).epoch
        history = frozenset((stack.storage / "history").rglob("*.json"))
        for path in history - self._history:
            json.loads(path.read_bytes())
        assert stack.session is not None
        url, key = f"{stack.host_url}/api/topologies/{TOPOLOGY}", keys.of_function(stack.keys, "topology")
        async with stack.session.get(url, headers={"x-functions-key": key}) as answer:
            document = yaml.safe_load(await answer.text())
        wrong = [
            (not epoch or epoch < self._epoch, f"the record's epoch is {epoch}, and was {self._epoch}"),
            (not history >= self._history, f"of the history is gone: {sorted(self._history - history)}"),
            (document != stack.topology(), f"the document is {document}"),
        ]
        if lost := [what for is_wrong, what in wrong if is_wrong]:
            raise ToolError("; ".join(lost))
        self._history, self._epoch = history, epoch
        for verb in ("pause", "resume"):
            await stage.order(verb)
            self.orders += 1

    def document(self) -> dict[str, Any]:
        return {
            "minutes": self.minutes,
            "seed": self.seed,
            "rounds": len(self.rounds),
            "troubles": dict(sorted(Counter(each.kind.value for each in self.rounds).items())),
            "beside": dict(sorted(Counter(each.beside.value for each in self.rounds).items())),
            "packets": {"sent": self.traffic.sent, "lost": dict(sorted(self.packets_lost.items()))},
            "answers": {name: dict(sorted(found.items())) for name, found in vars(self.answers).items()},
            "orders_answered": self.orders,
            "probe_answers": self.probes[0],
            "several_answering": self.probes[1],
            "recovery_seconds": {"bound": WITHIN, "longest": dict(sorted(self.recoveries.items()))},
            "processes": self.processes,
            "violations": self.violations,
        }


async def recovered(stage: Stage) -> float:
    """The seconds until all is at rest, the load balancer has the holder up, and a look that began since then found every member
    reachable and every route verified. Raises ToolError after WITHIN."""
    began, since, status = time.monotonic(), time.time(), dict[str, Any]()
    while time.monotonic() < began + WITHIN:
        rest = await stage.at_rest()
        status = dict(await stage.stack.status())
        look = status["lastLook"] or {"outcome": "", "at": "1970-01-01T00:00:00Z"}
        is_new = datetime.fromisoformat(look["at"]).timestamp() > since
        if is_new and look["outcome"] == "converged" and acts.at_rest(status) and rest.up == {rest.target}:
            return time.monotonic() - began
        await asyncio.sleep(STATUS_EVERY)
    raise ToolError(f"not within {WITHIN:g} s: a look at which all is well; the status is {status}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of real time")
    parser.add_argument("--seed", type=int, default=1, help="of the troubles")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "soak.json")
    given = parser.parse_args(argv)
    soak = Soak(given.minutes, given.seed, lambda line: print(line, flush=True))
    asyncio.run(soak.run())
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(soak.document(), indent=1) + "\n")
    print(f"{len(soak.rounds)} troubles in {soak.minutes} min; violations: {soak.violations or 'none'}; {given.out}")
    return 1 if soak.violations or not soak.rounds else 0


if __name__ == "__main__":
    sys.exit(main())
