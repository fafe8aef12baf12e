"""Crash points, all of them: each I/O point of a scenario's operations meets each mishap, alone and in pairs.

A scenario is run once undisturbed, and its I/O points (`mishaps.COUNTED`) are counted. A point that a mishap makes
unreachable is no loss: the history that it leaves is one of the others.
"""

from collections.abc import Iterator
from functools import cache
from itertools import combinations, product

from msgspec.structs import replace

from proving.storm.calls import Mishap
from proving.storm.faults import Fault, Kind, Plan, Point
from proving.storm.history import History

BEFORE = Point(0, Mishap.KILL_BEFORE)
AFTER = Point(0, Mishap.KILL_AFTER)
LATE = Point(0, Mishap.DELAY, 40.0)
LATER = Point(0, Mishap.DELAY, 130.0)
DOUBLED = Point(0, Mishap.DOUBLE, 25.0)
SINGLES = (BEFORE, AFTER, LATE, LATER, DOUBLED)
WRITES = ("agent.", "lb.set", "lb.bump", "record.save")
PAIRED_WRITES = (BEFORE, AFTER, LATE, DOUBLED)
PAIRED_READS = (BEFORE, LATE)
"""In pairs: a read that is doubled changes nothing, and who dies after a read dies before the next request."""


def _scenario(number: int, *faults: Fault, heal_at: float = 100.0, members: int = 2) -> Plan:
    return Plan(
        seed=number,
        profile="exhaustive",
        members=members,
        pace="brisk",
        heal_at=heal_at,
        faults=faults,
        write_seconds=(1.0, 2.0),
        spread_seconds=(0.5, 3.0),
        tokens_expire=False,
    )


A, B = "nva-a", "nva-b"

SCENARIOS: dict[str, Plan] = {
    "failover by F1, and rejoin": _scenario(1, Fault(5.0, Kind.FATAL, A, 30.0)),
    "failover by F2, and rejoin": _scenario(2, Fault(5.0, Kind.CRASH, A, 40.0)),
    "failover by F2 of a member that still serves, and rejoin": _scenario(
        3, Fault(5.0, Kind.CUT, A, 40.0, "both"), Fault(5.0, Kind.SPLIT, A, 40.0, "both")
    ),
    "switchover": _scenario(4, Fault(5.0, Kind.ORDER, B, how="switchover"), heal_at=60.0),
    "an operator's failover": _scenario(5, Fault(5.0, Kind.ORDER, B, how="failover"), heal_at=60.0),
    "drain": _scenario(6, Fault(5.0, Kind.ORDER, A, 30.0, "drain"), heal_at=70.0),
    "there and back by F2": _scenario(
        7,
        *(Fault(5.0, kind, A, 25.0, "both") for kind in (Kind.CUT, Kind.SPLIT)),
        *(Fault(45.0, kind, B, 25.0, "both") for kind in (Kind.CUT, Kind.SPLIT)),
        heal_at=110.0,
    ),
    "the next candidate of three": _scenario(
        8, Fault(5.0, Kind.CRASH, A, 60.0), Fault(7.0, Kind.CRASH, B, 30.0), heal_at=120.0, members=3
    ),
    "learning from nothing": replace(_scenario(9, heal_at=50.0), begins="unknown"),
    "the disk of the holder is lost": _scenario(10, Fault(5.0, Kind.CRASH, A, 4.0, "lost"), heal_at=60.0),
    "failover without an agent": replace(_scenario(11, Fault(5.0, Kind.CRASH, A, 40.0)), shape=("bare-a", "bare-b")),
    "switchover without an agent": replace(
        _scenario(12, Fault(5.0, Kind.ORDER, B, how="switchover"), heal_at=60.0), shape=("bare-a", "bare-b")
    ),
}


def points_of(plan: Plan) -> tuple[str, ...]:
    """The kinds of the I/O points that the undisturbed scenario has until it heals."""
    return History(plan).run().counted


def singles(plan: Plan) -> Iterator[Plan]:
    for k, what in product(range(1, len(points_of(plan)) + 1), SINGLES):
        yield replace(plan, points=(replace(what, k=k),))


def pairs(plan: Plan) -> Iterator[Plan]:
    """Two points of the undisturbed scenario: the second may be another one, or none, once the first has happened."""
    points = [
        tuple(replace(what, k=k) for what in (PAIRED_WRITES if kind.startswith(WRITES) else PAIRED_READS))
        for k, kind in enumerate(points_of(plan), 1)
    ]
    for first, second in combinations(points, 2):
        for one, other in product(first, second):
            yield replace(plan, points=(one, other))


@cache
def single_plans() -> tuple[Plan, ...]:
    return tuple(plan for scenario in SCENARIOS.values() for plan in singles(scenario))


@cache
def all_plans() -> tuple[Plan, ...]:
    """Singles of every scenario, then pairs of every scenario; a history's seed is its place in here."""
    return single_plans() + tuple(plan for scenario in SCENARIOS.values() for plan in pairs(scenario))
