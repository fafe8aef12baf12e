"""`python -m proving.storm.table`: what faults of a holder cost, with Hopkeeper and without it (law S18).

The same faults befall the same world twice: once as it is, once without any instance of the app. What is measured is at
the load balancer: the share of new flows that reach no member that forwards, added up in seconds, and for how long two
members are admitted. Writes build/table.json, and prints the table of docs/proving.md.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from function_app.domain.service.bounds import Bound, Detection, FencedBy, Probe, WithAgent, bounds
from function_app.domain.topology.model import Handover
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.history import History
from proving.storm.places import place

SECONDS = 300.0
"""How long a history goes on after its fault."""
BEGINS = 30.0
HOLDER, STANDBY = "nva-a", "nva-b"
ACTING = 3
"""The last parts of every bound: the fence and its proof, the promotion, the load balancer's probe."""


@dataclass(frozen=True, slots=True)
class Case:
    """One class of faults. Of `faults` the times count from the beginning of the first; `dead`: for how many seconds the holder
    forwards nothing, from the last on; `path`: how its failover is detected and fenced, None where nothing may be moved."""

    name: str
    faults: tuple[Fault, ...]
    dead: float = 0.0
    path: tuple[Detection, FencedBy] | None = None
    members: int = 2
    handover: Handover = Handover.PROMPT
    shape: tuple[str, ...] = ()


def _frozen(seconds: float) -> tuple[Fault, ...]:
    return (Fault(0.0, Kind.HANG, HOLDER, seconds, "all"),)


def _isolated(seconds: float) -> tuple[Fault, ...]:
    """Neither the app nor the peers reach the agent; clients and the load balancer's probe do."""
    return (Fault(0.0, Kind.CUT, HOLDER, seconds, "both"), Fault(0.0, Kind.SPLIT, HOLDER, seconds, "both"))


SILENT = (Detection.SILENT, FencedBy.BALANCER)
ALONE = (Detection.PROBE_ALONE, FencedBy.BALANCER)
SAYS = (Detection.SAYS, FencedBy.AGENT)
PROBE = (Detection.PROBE, FencedBy.AGENT)
ORDERED = (Detection.ORDERED, FencedBy.AGENT)
WRITTEN = (Detection.ORDERED, FencedBy.BALANCER)
BARE = ("bare-a", "bare-b")

CASES = (
    Case("holder frozen 0.4 s", _frozen(0.4), 0.4),
    Case("holder frozen 1.5 s", _frozen(1.5), 1.5),
    Case("holder frozen 5 s", _frozen(5.0), 5.0),
    Case("agent restarts, 1 s", (Fault(0.0, Kind.CRASH, HOLDER, 1.0, "restart"),)),
    Case("agent restarts, 3 s", (Fault(0.0, Kind.CRASH, HOLDER, 3.0, "restart"),)),
    Case("management path of the holder cut, 60 s", _isolated(60.0)),
    Case("management path cut for good, and after 220 s another writer lifts the fence",
         (*_isolated(1e6), Fault(220.0, Kind.FOREIGN_NONE, HOLDER)), 0.0, SILENT),
    Case("VM reboots, 25 s", (Fault(0.0, Kind.CRASH, HOLDER, 25.0),), 25.0, SILENT),
    Case("VM dies for good", (Fault(0.0, Kind.CRASH, HOLDER, 1e6),), 1e6, SILENT),
    Case("VM dies for good, and the disk of the next member is full",
         (Fault(0.0, Kind.DISK_BROKEN, STANDBY, 1e6), Fault(5.0, Kind.CRASH, HOLDER, 1e6)), 1e6, SILENT, 3),
    Case("data path dead, and a self-check says so", (Fault(0.0, Kind.FATAL, HOLDER, 1e6),), 1e6, SAYS),
    Case("the same self-check fails on every member, 60 s",
         tuple(Fault(0.0, Kind.FATAL, name, 60.0) for name in (HOLDER, STANDBY))),
    Case("probe of the holder blocked, 25 s", (Fault(0.0, Kind.UNPROBED, HOLDER, 25.0),), 0.0, PROBE),
    Case("probe of the holder blocked for good", (Fault(0.0, Kind.UNPROBED, HOLDER, 1e6),), 0.0, PROBE),
    Case("the pool is emptied by another writer, 30 s", (Fault(0.0, Kind.FOREIGN_POOL, seconds=30.0),), 0.0, ALONE),
    Case("ARM and storage unavailable, 120 s", (Fault(0.0, Kind.OUTAGE, seconds=120.0),)),
    *(Case(f"planned switchover, `handover: {handover}`", (Fault(0.0, Kind.ORDER, STANDBY, how="switchover"),), 0.0, ORDERED,
           handover=handover) for handover in Handover),
    Case("no agents: VM reboots, 25 s", (Fault(0.0, Kind.CRASH, HOLDER, 25.0),), 25.0, ALONE, shape=BARE),
    Case("no agents: VM dies for good", (Fault(0.0, Kind.CRASH, HOLDER, 1e6),), 1e6, ALONE, shape=BARE),
    Case("no agents: planned switchover", (Fault(0.0, Kind.ORDER, STANDBY, how="switchover"),), 0.0, WRITTEN, shape=BARE),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one history, in seconds: new flows that reached no member that forwards, and two admitted members."""

    lost: float
    two: float
    moved: bool


def measured(case: Case, seed: int, with_app: bool) -> Cost:
    """One history of the class. Raises RuntimeError where it breaks a law."""
    at = BEGINS + seed * 7.3 % 60.0
    faults = tuple(_at(fault, at) for fault in case.faults)
    plan = Plan(
        seed,
        "table",
        case.members,
        "usual",
        heal_at=at + SECONDS,
        faults=faults,
        handover=case.handover.value,
        shape=case.shape,
    )
    history = History(plan)
    world = history.world
    if not with_app:
        world.hosts_stay_down = True
        for host in tuple(world.hosts):
            host.kill()
    dead = (faults[-1].at, faults[-1].at + case.dead)
    for edge in (at, *dead):
        world.timeline.after(edge, _edge)
    lost, two = _watched(history, at, dead)
    violation, moved = world.checks.violation, bool(world.checks.promotions)
    history.close()
    if violation is not None:
        raise RuntimeError(f"{case.name} {seed}: {violation}")
    return Cost(lost, two, moved)


def _at(fault: Fault, at: float) -> Fault:
    return Fault(fault.at + at, fault.kind, fault.who, fault.seconds, fault.how, fault.value, fault.where)


def _edge() -> None:
    """Nothing happens, but what is measured changes."""


def _watched(history: History, since: float, dead: tuple[float, float]) -> tuple[float, float]:
    """(seconds' worth of new flows that were lost, seconds with two admitted), from `since` on, up to the end."""
    world = history.world
    lost = two = last = share = 0.0
    both, going = False, True
    while going:
        going = world.timeline.step(since + SECONDS)
        now = world.timeline.now
        if last >= since:
            lost, two = lost + share * (now - last), two + both * (now - last)
        admitted = [name for name in world.service.names if world.admits(name)]
        gone = HOLDER in admitted and dead[0] <= now < dead[1]
        share, both, last = gone / len(admitted) if admitted else 1.0, len(admitted) > 1, now
        if world.dirty:
            world.checks.look()
    return lost, two


# --- law and table ---------------------------------------------------------------------------------------------------


def published(case: Case) -> float:
    """What acting may cost in this class, in seconds: the parts of its path's bound that follow detection; 0 where nothing may be
    moved."""
    if case.path is None:
        return 0.0
    mine = next(bound for bound in bounds_of(case) if (bound.detection, bound.fence) == case.path)
    acting = mine.parts[1:] if mine.detection is Detection.ORDERED else mine.parts[-ACTING:]
    return sum((part for _, part in acting), timedelta(0)).total_seconds()


def bounds_of(case: Case) -> tuple[Bound, ...]:
    agents = WithAgent.NONE if case.shape else WithAgent.ALL
    return bounds(place(case.members, "usual").timing, Probe(), case.handover, agents)


@dataclass(frozen=True, slots=True)
class Row:
    """One class: what it cost with Hopkeeper and without, seed by seed."""

    case: Case
    with_app: tuple[Cost, ...]
    without: tuple[Cost, ...]

    @property
    def excess(self) -> float:
        """By how many seconds Hopkeeper cost more than it may, at worst (S18); at most 0 where the law holds."""
        may = published(self.case)
        return max(on.lost - off.lost - may for on, off in zip(self.with_app, self.without, strict=True))


def row(case: Case, seeds: range) -> Row:
    return Row(case, *(tuple(measured(case, seed, with_app) for seed in seeds) for with_app in (True, False)))


def _figure(costs: tuple[Cost, ...], of: Callable[[Cost], float]) -> dict[str, float]:
    found = [of(cost) for cost in costs]
    return {"median": round(median(found), 1), "max": round(max(found), 1)}


def _entry(row: Row) -> dict[str, object]:
    return {
        "fault": row.case.name,
        "lost_without": _figure(row.without, lambda cost: cost.lost),
        "lost_with": _figure(row.with_app, lambda cost: cost.lost),
        "two_with": _figure(row.with_app, lambda cost: cost.two),
        "moved": sum(cost.moved for cost in row.with_app),
        "published": published(row.case),
        "excess": round(row.excess, 1),
    }


HEAD = (
    "| fault of the holder | lost without | lost with | two admitted | moved | published |\n|---|--:|--:|--:|--:|--:|"
)


def _line(entry: dict[str, object]) -> str:
    without, on, two = (_told(entry[key]) for key in ("lost_without", "lost_with", "two_with"))
    return f"| {entry['fault']} | {without} | {on} | {two} | {entry['moved']} | {entry['published']:.0f} |"


def _told(figure: object) -> str:
    assert isinstance(figure, dict)
    return f"{figure['median']:.1f} ({figure['max']:.1f})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.storm.table", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="histories of each class")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="only classes whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("build/table.json"))
    options = parser.parse_args(arguments)
    with get_context("spawn").Pool(options.jobs) as pool:
        rows = pool.starmap(
            row, [(case, range(options.seeds)) for case in CASES if options.only in case.name], chunksize=1
        )
    entries = [_entry(found) for found in rows]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"seeds": options.seeds, "rows": entries}, indent=1) + "\n")
    print(HEAD)
    print("\n".join(map(_line, entries)))
    return 1 if any(found.excess > 0 for found in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
