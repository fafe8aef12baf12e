"""Draws the plans of the wire profile. Faults last tens of seconds, a history a few minutes, all of it virtual."""

import random
from collections.abc import Callable

from proving.storm.faults import Fault, Kind, Plan

type Drawn = Callable[[random.Random, str, float], tuple[Fault, ...]]


def _fault(kind: Kind, low: float, high: float, *how: str, value: tuple[float, float] = (0.0, 0.0)) -> Drawn:
    def drawn(draw: random.Random, who: str, at: float) -> tuple[Fault, ...]:
        seconds = round(draw.uniform(low, high), 3)
        return (Fault(at, kind, who, seconds, draw.choice(how or ("",)), round(draw.uniform(*value), 1)),)

    return drawn


def _isolated(draw: random.Random, who: str, at: float) -> tuple[Fault, ...]:
    """Neither the app nor its peers reach the member; the load balancer does, and so it goes on serving.

    Early, for the fence that follows takes twenty seconds and ends with the member still serving behind it.
    """
    at, seconds = round(at / 4.0, 3), round(draw.uniform(20.0, 50.0), 3)
    return (
        Fault(at, Kind.CUT, who, seconds, draw.choice(("both", "in", "out"))),
        Fault(at, Kind.SPLIT, who, seconds),
    )


KINDS: tuple[Drawn, ...] = (
    _fault(Kind.ARM_DOWN, 4.0, 30.0, "refuse", "hang", "lose_reply"),
    _fault(Kind.ARM_BUSY, 4.0, 20.0),
    _fault(Kind.SLOW_WRITES, 10.0, 40.0, value=(6.0, 20.0)),
    _fault(Kind.LAG, 4.0, 20.0),
    _fault(Kind.FOREIGN_NONE, 0.0, 0.0),
    _fault(Kind.FOREIGN_DOWN, 6.0, 20.0),
    _fault(Kind.FOREIGN_SAME, 0.0, 0.0, "tag", ""),
    _fault(Kind.CRASH, 2.0, 30.0),
    _fault(Kind.CRASH, 10.0, 30.0),
    _fault(Kind.REBOOT_ALL, 0.0, 10.0),
    _fault(Kind.FATAL, 8.0, 30.0),
    _fault(Kind.FATAL, 8.0, 30.0),
    _fault(Kind.DISK_BROKEN, 8.0, 30.0),
    _fault(Kind.CUT, 4.0, 30.0, "both", "in", "out"),
    _fault(Kind.CUT_ALL, 4.0, 16.0, "both", "in", "out"),
    _fault(Kind.SPLIT, 8.0, 30.0),
    _fault(Kind.KILL, 0.0, 0.0),
    _fault(Kind.KILL, 0.0, 0.0),
    _fault(Kind.KILL_ALL, 2.0, 16.0),
    _fault(Kind.WAKE_FLOOD, 0.0, 0.0),
    _fault(Kind.TOUCH, 0.0, 0.0),
    _fault(Kind.ORDER, 4.0, 16.0, "switchover", "failover", "drain", "undrain", "pause", "resume"),
    _fault(Kind.ORDER, 4.0, 16.0, "switchover", "failover to"),
    _isolated,
    _isolated,
    _isolated,
)
EITHER: tuple[Drawn, ...] = (_fault(Kind.SILENT, 10.0, 40.0), _fault(Kind.SPREAD, 10.0, 50.0, value=(4.0, 24.0)))
"""Never both: where health stays silent, the settle time stands in for it and must cover the data plane's delay."""


def wire_plan(seed: int) -> Plan:
    """The plan that a seed stands for."""
    draw = random.Random(f"wire {seed}")  # noqa: S311  # histories must be repeatable, not secret
    members = draw.choice((2, 3))
    names = [f"nva-{letter}" for letter in "abc"[:members]]
    heal_at = round(draw.uniform(20.0, 40.0), 3)
    kinds = draw.sample((*KINDS, draw.choice(EITHER)), draw.randint(2, 4))
    faults: list[Fault] = []
    for drawn in (*kinds, *(draw.choice(kinds) for _ in range(draw.randint(0, 2)))):
        # The first member holds the service to begin with: most of the trouble is its.
        who = names[0] if draw.random() < 0.6 else draw.choice(names)
        faults += drawn(draw, who, round(draw.uniform(0.0, heal_at * 0.8), 3))
    return Plan(
        seed=seed,
        profile="wire",
        members=members,
        pace="brisk",
        heal_at=heal_at,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        hosts=draw.choice((1, 2, 2)),
        begins="unknown" if draw.random() < 0.15 else "stable",
        keeps_etag=draw.random() < 0.3,
        last_crash=draw.random() < 0.2,
    )
