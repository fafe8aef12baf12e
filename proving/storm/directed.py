"""Draws the plans of the directed profile: the trouble that breaks promotion protocols, aimed at the steps of one.

Random faults rarely meet. Here one management plane is cut off while the cut member goes on serving, writers stop
exactly between a GET and its PUT, and what they had sent arrives epochs later. Every history has several operations.
"""

import random
from collections.abc import Callable

from proving.storm.calls import Mishap
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.paths import PATHS

type Aimed = Callable[[random.Random, float, list[str]], tuple[Fault, ...]]
"""Faults about a time, at which the members given are in trouble."""

LATE_SECONDS = (1.0, 30.0, 120.0, 600.0)
GAPS = (
    "lb.look>record.load",  # between the GET and the second look at the record
    "lb.look>lb.set",  # between that look and the PUT
    "lb.set>lb.health",  # between the success and its proof
    "record.load>record.save",
    "record.save>agent.promote",  # a grant is durable, and its PROMOTE is still to be sent
    "record.save>agent.fence",
)
"""Where a writer stops: at the second request, once the first has been sent."""


def _late(draw: random.Random, top: float = 600.0) -> float:
    return min(draw.uniform(0.3, 1.0) * draw.choice(LATE_SECONDS), top)


def _isolated(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    """Neither the app nor its peers reach the member; the load balancer does, and so it goes on serving."""
    seconds = draw.uniform(10.0, 80.0)
    how = draw.choice(("both", "both", "in", "out"))
    return tuple(
        fault
        for name in names
        for fault in (Fault(at, Kind.CUT, name, seconds, how), Fault(at, Kind.SPLIT, name, seconds, "both"))
    )


def _hung(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    """Commands pile up behind a hang, and are obeyed when it is over."""
    return (Fault(at, Kind.HANG, names[0], draw.uniform(5.0, 60.0), draw.choice(("commands", "all"))),)


def _dark(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    return tuple(Fault(at, Kind.CRASH, name, draw.uniform(1.0, 60.0)) for name in names)


def _unfit(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    return (Fault(at, Kind.FATAL, names[0], draw.uniform(5.0, 60.0)),)


def _moved(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    return (Fault(at, Kind.ORDER, names[0], how=draw.choice(("switchover", "failover"))),)


TROUBLE: tuple[Aimed, ...] = (_isolated, _isolated, _isolated, _hung, _dark, _unfit, _moved)
"""What makes an operation: mostly an isolated management plane."""


def _paused_writer(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    return (Fault(at, Kind.MISHAP, seconds=_late(draw, 300.0), how=Mishap.PAUSE, where=draw.choice(GAPS)),)


def _late_write(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    how = draw.choice((Mishap.DELAY, Mishap.DOUBLE))
    return (
        Fault(at, Kind.MISHAP, seconds=_late(draw), how=how, where=draw.choice(("lb.set", "lb.set", "record.save"))),
    )


def _late_command(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    how = draw.choice((Mishap.DELAY, Mishap.DOUBLE, Mishap.LOSE_REPLY))
    where = draw.choice(("agent.promote", "agent.promote", "agent.fence"))
    return (Fault(at, Kind.MISHAP, seconds=_late(draw), how=how, where=where),)


def _killed_writer(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    how = draw.choice((Mishap.KILL_BEFORE, Mishap.KILL_AFTER, Mishap.KILL_REPLY))
    return (Fault(at, Kind.MISHAP, how=how, where=draw.choice(("lb.", "record.save", "agent.", *GAPS))),)


def _lifted_by_others(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    return (Fault(at + draw.uniform(0.5, 20.0), Kind.FOREIGN_NONE, names[0]),)


def _slow_plane(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    kind, low, high = draw.choice(((Kind.SPREAD, 10.0, 60.0), (Kind.SLOW_WRITES, 10.0, 45.0), (Kind.LAG, 2.0, 40.0)))
    return (Fault(at, kind, seconds=draw.uniform(30.0, 150.0), value=draw.uniform(low, high)),)


def _busy_plane(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    return (Fault(at, draw.choice((Kind.ARM_DOWN, Kind.ARM_BUSY)), seconds=draw.uniform(5.0, 60.0)),)


def _forgetful_disk(draw: random.Random, at: float, names: list[str]) -> tuple[Fault, ...]:
    kind = draw.choice((Kind.TEAR, Kind.DISK_SLOW, Kind.CRASH))
    how = draw.choice(("lost", "rolled", "rekeyed", "restart", "")) if kind is Kind.CRASH else ""
    return (Fault(at, kind, names[0], draw.uniform(1.0, 40.0), how, draw.uniform(0.05, 3.0)),)


AIMED: tuple[Aimed, ...] = (
    _paused_writer,
    _paused_writer,
    _late_write,
    _late_write,
    _late_command,
    _late_command,
    _killed_writer,
    _lifted_by_others,
    _slow_plane,
    _busy_plane,
    _forgetful_disk,
)
"""What meets it."""


def directed_plan(seed: int) -> Plan:
    """The plan that a seed stands for: members get into trouble in turn, and each time something goes wrong with it."""
    draw = random.Random(f"directed {seed}")  # noqa: S311  # histories must be repeatable, not secret
    members = draw.choice((2, 2, 3, 3, 4))
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    pace = draw.choice(("usual", "brisk", "quick"))
    aimed = draw.sample(AIMED, draw.randint(2, 5))
    if pace == "quick":
        aimed = [a for a in aimed if a is not _slow_plane] or [_late_write]
    heal_at = draw.uniform(150.0, 420.0)
    faults: list[Fault] = []
    at, turn = draw.uniform(2.0, 10.0), 0
    while at < heal_at - 20.0:
        turn = turn + 1 if draw.random() < 0.7 else draw.randrange(members)
        cut = [names[turn % members]]
        if members > 2 and draw.random() < 0.15:
            cut.append(names[(turn + 1) % members])
        for aim in draw.sample(aimed, draw.randint(0, min(2, len(aimed)))):
            faults += aim(draw, max(at + draw.uniform(-3.0, 3.0), 0.5), cut)
        faults += draw.choice(TROUBLE)(draw, at, cut)
        at += draw.uniform(6.0, 60.0)
    return Plan(
        seed=seed,
        profile="directed",
        members=members,
        pace=pace,
        heal_at=heal_at,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        hosts=draw.choice((2, 2, 3)),
        write_seconds=(0.5, draw.choice((2.0, 6.0, 12.0))),
        spread_seconds=(0.1, draw.choice((1.0, 4.0, 7.0 if pace == "quick" else 15.0))),
        keeps_etag=draw.random() < 0.3,
        tokens_expire=draw.random() < 0.5,
        last_crash=draw.random() < 0.25,
        last=draw.choice(tuple(PATHS)),
        read_seconds=draw.choice((0.0, 0.0, 20.0, 60.0)),
    )
