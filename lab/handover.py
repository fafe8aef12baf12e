"""`make handover`: what a load balancer with a probe of 5 s x 2 admits during planned moves, by `handover`, with many flows.

    python -m lab.handover [--rounds 10] [--modes prompt exclusive seamless] [--out build/handover.json]

The stack of the demo, but with a probe at Azure's own pace. Every datagram is a flow of its own: 200 a second, from 150 source
addresses. In each round the load balancer is started anew, so that both members are probed at other phases, and the service is
moved at a random moment. Exit status 1 where a mode does not keep what it promises.
"""

import argparse
import asyncio
import contextlib
import json
import random
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from function_app.domain.base.timing import Timing
from function_app.domain.service.bounds import Bound, Detection, FencedBy, Probe, bounds
from function_app.domain.topology.model import Handover
from lab.acts import at_rest
from lab.packets.eligibility import changes
from lab.packets.series import machine
from lab.stack import DATA, NVAS, ROOT, SERVICE, TIMING, TOPOLOGY, Stack
from tools.processes import Program, ToolError, end_as_by_ctrl_c

FLOWS_PER_SECOND = 200
SOURCES = range(101, 251)
"""The last octets of the clients' addresses."""
ANSWER_WITHIN = 1.0
WITHIN = 120.0
AFTERWARDS = 12.0
"""Seconds that are still watched once the target alone is admitted: a whole time of the probe."""
SETTINGS = TIMING | {"loadBalancerFall": 60, "operationDeadline": "PT60S"}
"""A load balancer that was just started has no member up: that is no failure here."""


class Flows:
    """Opens flows at a steady pace: when each began, and whether it was answered. Times are time.time()."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.began: list[float] = []
        self.answered: set[int] = set()
        self._open: list[socket.socket] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        due = time.monotonic()
        while True:
            self._begin()
            due = max(due + 1 / FLOWS_PER_SECOND, time.monotonic() - 0.1)
            await asyncio.sleep(max(due - time.monotonic(), 0))

    def _begin(self) -> None:
        number = len(self.began)
        flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        flow.setblocking(False)
        flow.bind((self._stack.address(SOURCES[number % len(SOURCES)]), 0))
        asyncio.get_running_loop().add_reader(flow, self._answer, number, flow)
        self.began.append(time.time())
        with contextlib.suppress(OSError):
            flow.sendto(str(number).encode(), (self._stack.frontend, DATA))
        self._open.append(flow)
        if len(self._open) > ANSWER_WITHIN * FLOWS_PER_SECOND:
            self._end(self._open.pop(0))

    def _answer(self, number: int, flow: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if flow.recv(2048):
                self.answered.add(number)

    def _end(self, flow: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(flow)
        flow.close()

    def close(self) -> None:
        while self._open:
            self._end(self._open.pop())

    def between(self, begin: float, end: float) -> tuple[int, int]:
        """How many began then, and how many of them were lost."""
        chosen = [number for number, at in enumerate(self.began) if begin <= at <= end]
        return len(chosen), sum(number not in self.answered for number in chosen)


@dataclass(frozen=True, slots=True)
class Round:
    """One planned move: with seconds of two admitted and of none; `admitted` has each change after the order."""

    handover: str
    to: str
    with_two: float
    with_none: float
    whole: float
    flows: int
    lost: int
    admitted: tuple[tuple[float, tuple[str, ...]], ...]


def lasted(admitted: Sequence[tuple[float, tuple[str, ...]]], count: int, begin: float, end: float) -> float:
    """Seconds between `begin` and `end` in which so many members were admitted (2: two or more)."""
    spans = zip(admitted, [*(at for at, _ in admitted[1:]), end], strict=True)
    wanted = (
        max(0.0, min(until, end) - max(since, begin)) for (since, names), until in spans if min(len(names), 2) == count
    )
    return sum(wanted)


class Measurement:
    """The moves of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._names = {stack.nva_address(name): name for name in NVAS}

    async def round(self, flows: Flows) -> Round:
        """Raises ToolError."""
        self._stack.programs.kill("load-balancer")
        balancer = await self._stack.start_load_balancer()
        skipped = len(balancer.log.read_text())
        holder = str((await self._until_rest())["services"][0]["holder"])
        await self._until_admitted(balancer, skipped, holder)
        await asyncio.sleep(random.uniform(0, 5))  # noqa: S311 - a phase of the probe, nothing secret
        to = next(name for name in NVAS if name != holder)
        ordered = time.time()
        path = f"/topologies/{TOPOLOGY}/services/{SERVICE}/switchover"
        code, answer = await self._stack.ask_app("POST", path, {"to": to})
        if code >= 300:
            raise ToolError(f"the switchover to {to} is refused: {answer}")
        moved = await self._until_admitted(balancer, skipped, to, after=ordered)
        await asyncio.sleep(AFTERWARDS)
        end = time.time() - ANSWER_WITHIN
        seen = changes(balancer.log.read_text()[skipped:].splitlines(), self._names)
        began, lost = flows.between(ordered, end)
        return Round(
            handover=self._stack.handover,
            to=to,
            with_two=round(lasted(seen, 2, ordered, end), 3),
            with_none=round(lasted(seen, 0, ordered, end), 3),
            whole=round(moved - ordered, 3),
            flows=began,
            lost=lost,
            admitted=tuple((round(at - ordered, 3), names) for at, names in seen if at >= ordered),
        )

    async def _until_rest(self) -> Any:
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            status = await self._stack.status()
            if at_rest(status):
                return status
            await asyncio.sleep(0.2)
        raise ToolError(f"not at rest within {WITHIN:g} s: {status}")

    async def _until_admitted(self, balancer: Program, skipped: int, name: str, after: float = 0.0) -> float:
        """Since when this member is admitted alone."""
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            seen = changes(balancer.log.read_text()[skipped:].splitlines(), self._names)
            if seen and seen[-1][1] == (name,) and seen[-1][0] >= after:
                return seen[-1][0]
            await asyncio.sleep(0.1)
        raise ToolError(f"{name} is not admitted alone within {WITHIN:g} s: {seen}")


def promised(handover: Handover) -> Bound:
    """The bound of a planned move with the settings of the stack."""
    paths = bounds(Timing(), Probe(), handover)
    return next(b for b in paths if (b.detection, b.fence) == (Detection.ORDERED, FencedBy.AGENT))


def broken(played: Sequence[Round]) -> list[str]:
    """What a mode promises and did not keep."""
    found = []
    for one in played:
        bound = promised(Handover(one.handover))
        gap = bound.gap if bound.gap is not None else bound.total
        if timedelta(seconds=one.with_two) > bound.overlap:
            found.append(f"{one.handover} to {one.to}: two admitted for {one.with_two:.3f} s")
        if timedelta(seconds=one.with_none) > gap or (not gap and one.lost):
            found.append(f"{one.handover} to {one.to}: none admitted for {one.with_none:.3f} s, {one.lost} flows lost")
    return found


def rows(played: Sequence[Round]) -> list[str]:
    """The table of docs/lab.md: median and most of each."""
    lines = [
        "| `handover` | moves | two admitted | none admitted | until the target alone is admitted | flows | lost |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for mode in dict.fromkeys(one.handover for one in played):
        those = [one for one in played if one.handover == mode]
        spans = [
            f"{median(values):.1f} s (most {max(values):.1f} s)"
            for values in ([getattr(one, name) for one in those] for name in ("with_two", "with_none", "whole"))
        ]
        flows, lost = sum(one.flows for one in those), sum(one.lost for one in those)
        lines.append(f"| `{mode}` | {len(those)} | {' | '.join(spans)} | {flows} | {lost} |")
    return lines


async def play(modes: Sequence[str], rounds: int) -> list[Round]:
    """Raises ToolError."""
    played: list[Round] = []
    async with Stack.make() as stack:
        stack.probe_scale, stack.timing, stack.handover = 1.0, SETTINGS, modes[0]
        await stack.up()
        measurement, flows = Measurement(stack), Flows(stack)
        running = asyncio.create_task(flows.run())
        try:
            for mode in modes:
                stack.handover = mode
                await asyncio.to_thread(stack.apply)
                for _ in range(rounds):
                    played.append(await measurement.round(flows))
                    print(json.dumps(asdict(played[-1])), flush=True)
        finally:
            running.cancel()
            flows.close()
    return played


def main(arguments: Sequence[str] | None = None) -> int:
    modes = [mode.value for mode in Handover]
    parser = argparse.ArgumentParser(prog="python -m lab.handover", description="Measure planned moves.")
    parser.add_argument("--rounds", type=int, default=10, help="moves for each mode")
    parser.add_argument("--modes", nargs="+", default=modes, choices=modes)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "handover.json")
    given = parser.parse_args(arguments)
    end_as_by_ctrl_c()
    try:
        played = asyncio.run(play(given.modes, given.rounds))
    except (ToolError, KeyboardInterrupt) as error:
        print(f"error: {error!s}", file=sys.stderr)
        return 1
    wrong = broken(played)
    document = {"machine": machine(), "broken": wrong, "rounds": [asdict(one) for one in played]}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document, indent=1) + "\n")
    print(*rows(played), *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
