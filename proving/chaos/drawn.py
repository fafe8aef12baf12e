"""The troubles of a soak: drawn from a seed, and struck one after the other.

| trouble             | what                                                                              |
|---------------------|-----------------------------------------------------------------------------------|
| killed in a failover| a round of `rounds`: something that serves breaks, and the host is killed at a step of it |
| host killed         | kill -9 of the host at rest; it is started again after a while                    |
| standby killed      | kill -9 of everything on the standby, which boots again after a while             |
| restarted, written, removed, renamed, frozen, disk full | those of `troubles`                           |
| cut off             | frozen for longer than `silence` and two probes: the holder's agent is out of reach for all |
| pool written        | at rest, another writer puts the pool without any `adminState`                    |
| edited              | a number of the document is changed by `apply`                                    |
| ordered             | a switchover                                                                      |
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from lab.stack import NVAS, TIMING
from proving.chaos.beside import FLOODS, Beside
from proving.chaos.rounds import Cause, Plan, plans, play
from proving.chaos.stage import WITHIN, Stage
from proving.chaos.steps import Fault
from proving.chaos.troubles import Planned, Trouble, suffer
from tools.processes import ToolError

BESIDE_SECONDS = (2.0, 8.0)
PLANS = tuple(plan for plan in plans() if plan.cause is not Cause.RECORD_LOST)
"""The record is one of the things that must not be lost here."""


class Kind(StrEnum):
    """See the module."""

    IN_FAILOVER = "killed in a failover"
    HOST = "host killed"
    STANDBY = "standby killed"
    RESTARTED = "restarted"
    WRITTEN = "written"
    REMOVED = "removed"
    RENAMED = "renamed"
    FROZEN = "frozen"
    DISK_FULL = "disk full"
    CUT_OFF = "cut off"
    POOL_WRITTEN = "pool written"
    EDITED = "edited"
    ORDERED = "ordered"


KILLS = frozenset({Kind.IN_FAILOVER, Kind.HOST, Kind.STANDBY, Kind.RESTARTED, Kind.WRITTEN, Kind.REMOVED})
WRITES = frozenset({Kind.WRITTEN, Kind.REMOVED, Kind.POOL_WRITTEN})
"""Another writer is at work, which does not repeat what ARM refuses: no 429 beside them."""
SUFFERED = {Kind(trouble.value): trouble for trouble in Trouble} | {Kind.CUT_OFF: Trouble.FROZEN}
SECONDS = {
    Kind.HOST: (0.0, 3.0),
    Kind.STANDBY: (0.5, 6.0),
    Kind.FROZEN: (0.4, 3.0),
    Kind.DISK_FULL: (0.5, 3.0),
    Kind.CUT_OFF: (7.0, 10.0),
    Kind.EDITED: (10.0, 20.0),
}
"""How long each lasts; for `edited`, what is written."""


@dataclass(frozen=True, slots=True)
class Round:
    """One trouble and what goes on beside it."""

    kind: Kind
    seconds: float
    plan: Plan
    beside: Beside
    beside_seconds: float

    def __str__(self) -> str:
        how = f" ({self.plan.cause}: {self.plan.step})" if self.kind is Kind.IN_FAILOVER else f" {self.seconds:g} s"
        return f"{self.kind}{how}, beside: {self.beside}"


def drawn(seed: int) -> Iterator[Round]:
    """Without an end: every kind once in an order of its own, then again."""
    random = Random(seed)  # noqa: S311 - a plan that can be repeated
    while True:
        for kind in random.sample(tuple(Kind), len(Kind)):
            seconds = round(random.uniform(*SECONDS.get(kind, (0.0, 0.0))), 1)
            plan, beside = random.choice(PLANS), random.choice(tuple(Beside))
            if beside is Beside.REFUSED and kind in WRITES:
                beside = random.choice(sorted(FLOODS))
            yield Round(kind, seconds, plan, beside, round(random.uniform(*BESIDE_SECONDS), 1))


async def strike(stage: Stage, planned: Round) -> float:
    """Does it; gives how long all took to come to rest where that was measured on the way. Raises ToolError."""
    if trouble := SUFFERED.get(planned.kind):
        return (await suffer(stage, Planned(trouble, planned.seconds))).to_rest_seconds
    sight = await stage.at_rest()
    match planned.kind:
        case Kind.IN_FAILOVER:
            return max(each.to_rest_seconds for each in await play(stage, planned.plan))
        case Kind.HOST:
            await stage.kill_host()
            await asyncio.sleep(planned.seconds)
            await stage.start_host()
        case Kind.STANDBY:
            (standby,) = {*NVAS} - {sight.target}
            await stage.kill_nva(standby)
            await asyncio.sleep(planned.seconds)
            await stage.stack.start_nva(standby)
        case Kind.POOL_WRITTEN:
            await stage.lift_as_another_writer()
        case Kind.EDITED:
            stage.stack.timing = {**TIMING, "verifyEvery": f"PT{planned.seconds:.0f}S"}
            await stage.apply()
        case Kind.ORDERED:
            await _ordered(stage, Fault(sight.target, sight.epoch))
    return 0.0


async def _ordered(stage: Stage, fault: Fault) -> None:
    """Until it is accepted: a standby that has just come back is refused, which is an answer too. Raises ToolError."""
    (standby,) = {*NVAS} - {fault.holder}
    end, accepted = time.monotonic() + WITHIN, False
    while not accepted:
        try:
            await stage.order("switchover", to=standby)
            accepted = True
        except ToolError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)
    await stage.taken_over(fault)
