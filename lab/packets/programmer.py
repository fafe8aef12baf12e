"""python -m lab.packets.programmer: writes what the Route Server's instances have learned into the workload's kernel.

Stands for the platform's programming of routes into virtual machines. Follows the kernel tables of both instances
(BIRD keeps its best routes there, equal ones merged) and programs the union of their next hops. With `--damping 30` a
prefix is programmed at most once in so many seconds, as Azure's platform does: a first change at once, the next one
only when the time is over, and then as things are by then. Says what it did as JSON lines, with its own delay.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.packets.fabric import INSTANCES

_LINE = re.compile(r"^(?P<gone>Deleted )?(?:unicast )?(?P<prefix>[0-9.]+(?:/\d+)?) ")
_HOP = re.compile(r"\bvia ([0-9.]+)")

type Hops = frozenset[str]

GATHER = 0.1
"""Seconds that the platform's damping waits for the other instance: what it programs takes it 0.9 s and longer (published
lab), so the two UPDATEs of one promotion, milliseconds apart, are one programming."""


@dataclass
class Learned:
    """What every instance's kernel table holds, by prefix."""

    tables: dict[str, dict[str, Hops]] = field(default_factory=dict)

    def read(self, instance: str, line: str) -> str | None:
        """Takes one line of `ip -o monitor route` or `ip -o route`; gives the prefix that it is about."""
        found = _LINE.match(line)
        if found is None or "proto bird" not in line:
            return None
        prefix = found["prefix"] if "/" in found["prefix"] else f"{found['prefix']}/32"
        table = self.tables.setdefault(instance, {})
        if found["gone"]:
            table.pop(prefix, None)
        else:
            table[prefix] = frozenset(_HOP.findall(line))
        return prefix

    def hops(self, prefix: str) -> Hops:
        """The union over the instances: with different answers the platform uses both."""
        return frozenset().union(*(table.get(prefix, frozenset()) for table in self.tables.values()))


class Programmer:
    """Programs prefixes that changed; never the same prefix twice within `damping` seconds."""

    def __init__(self, learned: Learned, damping: float) -> None:
        self._learned = learned
        self._damping = damping
        self._programmed: dict[str, Hops] = {}
        self._last: dict[str, float] = {}
        self._pending: dict[str, asyncio.Task[None]] = {}

    def changed(self, prefix: str, at: float) -> None:
        waiting = self._pending.get(prefix)
        if waiting is None or waiting.done():
            self._pending[prefix] = asyncio.create_task(self._program(prefix, at))

    async def _program(self, prefix: str, at: float) -> None:
        held = max(0.0, self._last.get(prefix, -self._damping) + self._damping - at)
        await asyncio.sleep(held or (GATHER if self._damping else 0.0))
        hops = self._learned.hops(prefix)
        if hops == self._programmed.get(prefix, frozenset()):
            return
        await asyncio.to_thread(_write, prefix, sorted(hops))
        self._programmed[prefix] = hops
        self._last[prefix] = now = time.monotonic()
        most = max((len(table.get(prefix, ())) for table in self._learned.tables.values()), default=0)
        said = {
            "at": now,
            "prefix": prefix,
            "hops": sorted(hops),
            "delay": now - at - held,
            "damped": held,
            "most": most,
        }
        print(json.dumps(said), flush=True)
        if self._learned.hops(prefix) != hops:  # it changed while it was written
            self._pending[prefix] = asyncio.create_task(self._program(prefix, now))


def _write(prefix: str, hops: Sequence[str]) -> None:
    route = ["ip", "route", "replace", prefix, *(part for hop in hops for part in ("nexthop", "via", hop))]
    subprocess.run(route if hops else ["ip", "route", "del", prefix], check=False, timeout=10)


async def follow(instances: Sequence[str], damping: float) -> None:
    learned = Learned()
    programmer = Programmer(learned, damping)
    async with asyncio.TaskGroup() as group:
        for instance in instances:
            group.create_task(_follow(instance, learned, programmer))


async def _follow(instance: str, learned: Learned, programmer: Programmer) -> None:
    enter = ("ip", "netns", "exec", instance, "ip", "-o")
    monitor = await asyncio.create_subprocess_exec(*enter, "monitor", "route", stdout=asyncio.subprocess.PIPE)
    there = await asyncio.to_thread(subprocess.run, [*enter, "route"], capture_output=True, text=True, check=True)
    for line in there.stdout.splitlines():
        _take(instance, line, learned, programmer)
    print(f"ready {instance}", flush=True)
    assert monitor.stdout is not None
    while line := (await monitor.stdout.readline()).decode():
        _take(instance, line, learned, programmer)


def _take(instance: str, line: str, learned: Learned, programmer: Programmer) -> None:
    if (prefix := learned.read(instance, line)) is not None:
        programmer.changed(prefix, time.monotonic())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.programmer", description=__doc__)
    parser.add_argument("--damping", type=float, default=0.0, help="seconds; 0, the default, is none")
    parser.add_argument("--instances", nargs="+", default=INSTANCES, help="the nodes whose kernel tables are followed")
    given = parser.parse_args()
    asyncio.run(follow(given.instances, given.damping))
    return 0


if __name__ == "__main__":
    sys.exit(main())
