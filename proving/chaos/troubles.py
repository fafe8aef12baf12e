"""Rounds of trouble in which the app lives on: an agent stalls or restarts, a disk is full, another writer lifts a fence.

| trouble     | what                                                                     | what must follow                    |
|-------------|--------------------------------------------------------------------------|-------------------------------------|
| frozen      | the holder's agent is stopped and goes on                                | shorter than `silence`: nothing     |
| restarted   | the holder's agent is ended and started, as an upgrade does: it announces | no longer than announced: nothing  |
| written     | the holder dies; once it is fenced, another writer puts the pool without `adminState` | it is fenced again     |
| renamed     | the service gets another name (`formerly`), then its holder's data path dies | the name alone moves nothing    |
| removed     | the holder dies, is forgotten, leaves the document, comes back and is booted  | it stands by, and nothing else  |
| disk full   | the standby cannot write when the holder's data path dies; later it can  | it takes over as soon as it can     |
"""

import asyncio
import os
import resource
import signal
import time
from dataclasses import dataclass
from enum import StrEnum

from hopkeeper_agent.gossip import BACK_WITHIN_SECONDS

from function_app.domain.base.timing import Timing
from lab.stack import NVAS
from proving.chaos.stage import Stage
from proving.chaos.steps import Fault, Sight
from tools.processes import ToolError

SETTLED = 1.5
"""Seconds until what a stall may lead to has begun: heartbeats missed, the probe port tried, a report, a look."""
MARGIN = 0.5
"""Seconds by which a stall must be shorter than what is waited for: the peers' clocks tick on while the agent goes on."""


class Trouble(StrEnum):
    """See the module."""

    FROZEN = "frozen"
    RESTARTED = "restarted"
    WRITTEN = "written"
    DISK_FULL = "disk full"
    RENAMED = "renamed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Planned:
    """One round: the trouble, and for how many seconds it is to last."""

    trouble: Trouble
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.trouble} {self.seconds:g} s" if self.seconds else str(self.trouble)


@dataclass(frozen=True, slots=True)
class Troubled:
    """How a round went: for how long the trouble lasted, whether an operation was opened for it and why, and how long all took to
    come to rest."""

    trouble: str
    seconds: float
    moved: bool
    reason: str
    to_rest_seconds: float


ROUNDS = (
    Planned(Trouble.FROZEN, 0.4),
    Planned(Trouble.RESTARTED),
    Planned(Trouble.FROZEN, 0.8),
    Planned(Trouble.WRITTEN),
    Planned(Trouble.RENAMED),
    Planned(Trouble.FROZEN, 1.5),
    Planned(Trouble.DISK_FULL, 2.0),
    Planned(Trouble.REMOVED),
    Planned(Trouble.FROZEN, 3.0),
)
"""One cycle."""
PATIENCE = {Trouble.FROZEN: Timing().silence.total_seconds(), Trouble.RESTARTED: BACK_WITHIN_SECONDS}
"""For so many seconds the holder's agent may be away, and keeps its role; of a restart on a busy machine two probes in a row may
fail all the same, and they are no silence."""


async def suffer(stage: Stage, planned: Planned) -> Troubled:
    """One round, from rest to rest. Raises ToolError where something did not come right, or moved that must not."""
    await stage.at_rest()
    sight = await stage.until("the load balancer has the holder up", lambda sight: sight.up == {sight.target})
    fault, began = Fault(sight.target, sight.epoch), time.monotonic()
    match planned.trouble:
        case Trouble.FROZEN:
            await _frozen(stage, fault, planned.seconds)
        case Trouble.RESTARTED:
            await _restarted(stage, fault)
        case Trouble.WRITTEN:
            await _written(stage, fault)
        case Trouble.DISK_FULL:
            await _disk_full(stage, fault, planned.seconds)
        case Trouble.RENAMED:
            await _renamed(stage, fault)
        case Trouble.REMOVED:
            await _removed(stage, fault)
    lasted = time.monotonic() - began
    await asyncio.sleep(SETTLED)
    rest = await stage.at_rest()
    moved = rest.epoch != fault.epoch
    by_probe = planned.trouble is Trouble.RESTARTED and "load balancer's probe" in rest.reason
    if lasted < PATIENCE.get(planned.trouble, 0.0) - MARGIN and moved and not by_probe:
        raise ToolError(f"{planned}: {fault.holder} was away for {lasted:.2f} s, and was replaced: {rest}")
    took = round(time.monotonic() - began - lasted, 3)
    return Troubled(str(planned), round(lasted, 3), moved, rest.reason if moved else "", took)


async def _frozen(stage: Stage, fault: Fault, seconds: float) -> None:
    group = stage.agent(fault.holder).process.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.killpg(group, signal.SIGCONT)


async def _restarted(stage: Stage, fault: Fault) -> None:
    """Until it answers again, or another one serves."""
    await stage.stack.restart_agent(fault.holder)
    await stage.until(f"{fault.holder} is away", lambda sight: fault.holder not in sight.answering)

    def over(sight: Sight) -> bool:
        return fault.holder in sight.answering or sight.epoch != fault.epoch

    await stage.until(f"{fault.holder} answers again", over)


async def _written(stage: Stage, fault: Fault) -> None:
    await stage.kill_nva(fault.holder)
    fenced = await stage.taken_over(fault)
    await stage.lift_as_another_writer()

    def again(sight: Sight) -> bool:
        return sight.epoch > fenced.epoch and fault.holder in sight.down & sight.has("fenced")

    await stage.until(f"{fault.holder} is fenced again", again)
    await stage.stack.start_nva(fault.holder)


async def _disk_full(stage: Stage, fault: Fault, seconds: float) -> None:
    """No file may grow for the standby's agent; a process may lower and raise its own soft limit, and we another's."""
    (standby,) = set(NVAS) - {fault.holder}
    pid = stage.agent(standby).process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    stage.stack.kill_data_path(fault.holder)
    try:
        await stage.until("no member answers 200", lambda sight: not sight.answering)
        await asyncio.sleep(seconds)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    await stage.taken_over(fault)
    stage.stack.start_data_path(fault.holder)


async def _renamed(stage: Stage, fault: Fault) -> None:
    await stage.apply(service_name="renamed")
    rest = await stage.at_rest()
    if rest.epoch != fault.epoch:
        raise ToolError(f"{fault.holder} was replaced for a new name of the service: {rest}")
    stage.stack.kill_data_path(fault.holder)
    await stage.taken_over(fault)
    stage.stack.start_data_path(fault.holder)
    await stage.apply()


async def _removed(stage: Stage, fault: Fault) -> None:
    """What was Down by us is an operator's business once the member is forgotten."""
    await stage.kill_nva(fault.holder)
    await stage.taken_over(fault)
    await stage.order("forget", member=fault.holder)
    await stage.apply(left=fault.holder)
    await stage.until("one member is left", lambda s: s.has("may_serve") == {s.target} and not s.has("owed"))
    await stage.apply()
    await stage.lift_as_another_writer()
    await stage.stack.start_nva(fault.holder)
