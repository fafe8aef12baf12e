"""One world: builds the network, sets one contender up, and plays the faults that are ordered on standard input.

    python -m lab.packets.world CONTENDER --directory DIR [--damping 30]

Runs inside namespaces of its own (`namespaces.command`). Orders and answers are JSON, one a line: `{"play": "silent"}`,
`{"lose": 60}` (seconds with 10 % loss). Answers are `{"ready": …}`, `{"run": …}` and, once healed, `{"healed": …}`.
Ends when its input does.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from math import inf
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from lab.packets import mechanisms, namespaces
from lab.packets.faults import FAULTS, LOSS_PERCENT, Fault
from lab.packets.lab import Lab, Traffic
from lab.packets.mechanism import Mechanism
from lab.packets.readings import arrivals_gap, longest_gap, lost, moves, two_serving
from tools.processes import ToolError

SETTLED = 1.0
"""Seconds of traffic that are kept before a fault and after the move."""
MOVES_WITHIN = 300.0
"""Seconds after which packets are given up: a fence over a management API that takes minutes is played, too."""
STAYS_FOR = 15.0
"""Seconds that a run watches in which packets should not move."""


class World:
    def __init__(self, lab: Lab, contender: Mechanism) -> None:
        self._lab = lab
        self._contender = contender
        self._random = random.Random()  # noqa: S311 - phases of timers, nothing secret

    async def play(self, fault: Fault) -> dict[str, Any]:
        """One run: strikes the holder at a random moment of its timers, and measures. Raises ToolError."""
        async with self._lab.packets() as traffic:
            victim = await traffic.flowing(time.monotonic())
            holder = self._contender.holder()
            if holder is not None and holder != victim:
                raise ToolError(f"{holder} holds the service, but {victim} carries the packets")
            phase = self._random.uniform(0, self._contender.period)
            await asyncio.sleep(self._damped() + phase)
            if fault.cold:
                await self._contender.cool()
            before = self._lab.sessions()
            struck = time.monotonic()
            fault.strike(self._lab, victim)
            if fault.ordered:
                await self._contender.order(victim)
            if fault.restarts:
                self._contender.start_control(victim)
            after = await self._outlast(fault, victim, struck, traffic)
            end = time.monotonic()
            measured = dict(await self._contender.measured(struck, traffic))
            return {
                "contender": self._contender.name,
                "fault": fault.name,
                "victim": victim,
                "after": after,
                "phase": round(phase, 3),
                **self._read(traffic, struck, end, (victim, after)),
                "updates": _updates(before, self._lab.sessions()),
                "programmed": self._lab.programmings(struck),
                **measured,
            }

    def _damped(self) -> float:
        """Seconds until the platform would program at once again: what a service at rest has long behind it."""
        done = [one["after"] for one in self._lab.programmings()]
        return max(0.0, max(done, default=-inf) + self._lab.damping - time.monotonic())

    async def _outlast(self, fault: Fault, victim: str, struck: float, traffic: Traffic) -> str:
        if fault.moves:
            return await traffic.flowing(struck, without=victim, within=MOVES_WITHIN)
        await asyncio.sleep(STAYS_FOR)
        return await traffic.flowing(struck)

    def _read(self, traffic: Traffic, struck: float, end: float, served: tuple[str, str]) -> dict[str, Any]:
        answered = [r for r in traffic.replies() if struck - SETTLED <= r.sent <= end]
        gap = longest_gap(answered, struck - SETTLED, end)
        there = arrivals_gap(traffic.arrivals(), struck - SETTLED, end)
        assert gap is not None  # packets flow again: there are at least two
        old, new = served
        return {
            "outage_seconds": round(gap.seconds, 4),
            "outage_there_seconds": round(there, 4),
            "began": round(gap.begin - struck, 4),
            "lost": lost(answered, struck - SETTLED, end),
            "moves": moves(answered),
            "two_serving_packets": 0 if old == new else two_serving(answered, old, new),
        }

    async def heal(self, run: Mapping[str, Any]) -> None:
        fault, victim = FAULTS[run["fault"]], run["victim"]
        self._lab.fabric.mend()
        self._lab.thaw()
        if fault.kills_data:
            await self._lab.start_data_paths(victim)
        if fault.kills_control:
            self._contender.start_control(victim)
        await self._contender.heal()

    async def lose(self, seconds: float) -> dict[str, Any]:
        """Nothing is broken but every tenth packet is lost: whoever moves now, moves without need."""
        async with self._lab.packets() as traffic:
            await traffic.flowing(time.monotonic())
            self._lab.fabric.lose(LOSS_PERCENT)
            begin = time.monotonic()
            await asyncio.sleep(seconds)
            end = time.monotonic()
            self._lab.fabric.mend()
            inside = [r for r in traffic.replies() if begin <= r.sent <= end]
            return {
                "contender": self._contender.name,
                "fault": "loss",
                "minutes": round((end - begin) / 60, 3),
                "false_failovers": moves(inside),
                **await self._contender.measured(begin, traffic),
            }


def _updates(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """What each session brought since: prefixes announced and withdrawn, by `instance peer`."""
    found = {}
    for instance, peers in after.items():
        for peer, now in peers.items():
            then = before[instance][peer]
            if now.updates < then.updates:
                continue  # the session is a new one, its counters began anew
            found[f"{instance} {peer}"] = {
                "updates": now.updates - then.updates,
                "withdrawals": now.withdrawals - then.withdrawals,
            }
    return found


async def live(contender: Mechanism, directory: Path, damping: float) -> None:
    lab = Lab(directory, damping)
    world = World(lab, contender)
    await lab.up()
    await contender.set_up(lab)
    _say({"ready": contender.name})
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        if "lose" in order:
            _say({"run": await world.lose(float(order["lose"]))})
            await contender.heal()
        else:
            run = await world.play(FAULTS[order["play"]])
            _say({"run": run})
            await world.heal(run)
        _say({"healed": contender.name})
    await contender.tear_down()


def _say(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.world", description=__doc__)
    parser.add_argument("contender", choices=sorted(mechanisms.BY_NAME))
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--damping", type=float, default=0.0)
    given = parser.parse_args()
    try:
        namespaces.settle_in()
        asyncio.run(live(mechanisms.BY_NAME[given.contender](), given.directory.resolve(), given.damping))
    except (ToolError, CalledProcessError, OSError) as error:
        words = getattr(error, "stderr", None)
        _say({"failed": f"{error}{f': {words}' if words else ''}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
