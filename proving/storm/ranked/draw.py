"""Draws the plans of the ranked profile: most heal, some have a fault that stays (L7)."""

import random

from proving.storm.draw import Drawn, _fault, _faults, _mishap, _order, _valued
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.paths import FOR_EVER

WHERE = (
    "agent.status", "agent.fence", "agent.promote", "agent.advertise", "agent.advertise", "record.load", "record.save",
    "doc.", "wake", "rs.",
)  # fmt: skip
QUIET_WHERE = ("agent.status", "agent.advertise", "record.load", "record.save", "doc.", "wake", "rs.")


def _of_all(kind: Kind, low: float, high: float) -> Drawn:
    def drawn(draw: random.Random, names: list[str], at: float) -> Fault:
        return Fault(at, kind, seconds=draw.uniform(low, high))

    return drawn


HARMLESS: tuple[Drawn, ...] = (
    _of_all(Kind.FLAP_ALL, 5.0, 240.0),
    _of_all(Kind.OUTAGE, 10.0, 120.0),
    _of_all(Kind.STORAGE_DOWN, 5.0, 60.0),
    _of_all(Kind.TOUCH, 0.0, 0.0),
    _fault(Kind.LEASE, 0.0, 0.0, how=("lease", "asked", "due")),
    _of_all(Kind.NEWER, 5.0, 60.0),
    _valued(Kind.WAKE_LOST, 10.0, 120.0, 0.2, 1.0),
    _of_all(Kind.WAKE_FLOOD, 0.0, 0.0),
    _fault(Kind.KILL, 0.0, 0.0),
    _of_all(Kind.KILL_ALL, 5.0, 60.0),
    _of_all(Kind.RS_DOWN, 10.0, 120.0),
    _of_all(Kind.RS_BUSY, 10.0, 120.0),
    _of_all(Kind.RS_DEAF, 10.0, 240.0),
    _fault(Kind.CUT, 5.0, 90.0, how=("in", "out", "both")),
    _valued(Kind.LOSS, 10.0, 90.0, 0.05, 0.5),
    _mishap(QUIET_WHERE),
    _fault(Kind.PAUSE, 1.0, 300.0),
)
"""Never a reason to move a service."""

HARMFUL: tuple[Drawn, ...] = (
    _fault(Kind.CRASH, 0.5, 240.0),
    _fault(Kind.CRASH, 0.5, 90.0, how=("lost", "")),
    _fault(Kind.SESSIONS, 5.0, 240.0, how=("", "silent")),
    _fault(Kind.SESSIONS, 5.0, 240.0, how=("", "silent")),
    _fault(Kind.TEAR, 1.0, 60.0),
    _fault(Kind.HANG, 1.0, 60.0, how=("commands", "all")),
    _fault(Kind.FATAL, 5.0, 90.0),
    _fault(Kind.FATAL, 5.0, 90.0),
    _fault(Kind.DISK_BROKEN, 5.0, 90.0),
    _fault(Kind.REFUSES, 5.0, 90.0),
    _valued(Kind.DISK_SLOW, 5.0, 90.0, 0.01, 3.0),
    _of_all(Kind.REBOOT_ALL, 0.5, 20.0),
    _fault(Kind.SPLIT, 5.0, 90.0, how=("both", "deaf", "mute")),
    _of_all(Kind.DELETE, 0.0, 0.0),
    _of_all(Kind.TRUNCATE, 0.0, 0.0),
    _order(("switchover", "failover", "drain", "undrain", "pause", "resume")),
    _order(("switchover",)),
    _mishap(WHERE),
    _mishap(("agent.advertise", "agent.fence", "agent.promote", "record.")),
)

KNOWN: tuple[Drawn, ...] = (
    _fault(Kind.CRASH, FOR_EVER, FOR_EVER),
    _fault(Kind.DISK_BROKEN, FOR_EVER, FOR_EVER),
    _fault(Kind.FATAL, FOR_EVER, FOR_EVER),
    _fault(Kind.SESSIONS, FOR_EVER, FOR_EVER, how=("", "silent")),
)
UNREACHABLE: tuple[Drawn, ...] = (
    _fault(Kind.HANG, FOR_EVER, FOR_EVER, how=("commands", "all")),
    _fault(Kind.CUT, FOR_EVER, FOR_EVER, how=("in", "out", "both")),
)
"""Faults that stay, of one member or of one of two injectors. One that is unreachable and goes on announcing may have any
session, and where its orders are lost any path: then moves are held, and that is no fault of liveness."""
AWAY = _of_all(Kind.RS_DEAF, FOR_EVER, FOR_EVER)
LOSSES = (Kind.DELETE, Kind.TRUNCATE)


def _lasting(draw: random.Random, hidden: bool, who: str, until: float) -> tuple[Fault, ...]:
    """One fault that stays, or one beside an instance that is away."""
    known = draw.choice(KNOWN)
    kinds = (draw.choice(UNREACHABLE),) if hidden else draw.choice(((known, AWAY), (known,), (AWAY,)))
    return tuple(kind(draw, [who], round(draw.uniform(0.5, until), 3)) for kind in kinds)


def ranked_plan(seed: int) -> Plan:
    """The plan that a seed stands for."""
    draw = random.Random(f"ranked {seed}")  # noqa: S311  # histories must be repeatable, not secret
    members, injectors = draw.choice((2, 2, 3, 4)), draw.choice((0, 0, 1, 2, 2))
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    announcers = [f"watch-{i + 1}" for i in range(injectors)]
    course = draw.choices(("heals", "quiet", "known", "hidden"), (62, 8, 21, 9))[0]
    heal_at = draw.uniform(40.0, 300.0)
    pool = HARMLESS if course == "quiet" else (*HARMLESS, *HARMFUL, *HARMFUL)
    faults = _faults(draw, pool, [*names, *announcers], heal_at)
    lasting = _lasting(draw, course == "hidden", draw.choice([*names, *announcers[1:]]), heal_at)
    known = course in ("heals", "known")
    return Plan(
        seed=seed,
        profile="ranked",
        members=members,
        injectors=injectors,
        pace=draw.choice(("usual", "brisk", "quick")),
        heal_at=heal_at,
        faults=tuple(fault for fault in faults if known or fault.kind not in LOSSES),
        hosts=draw.choice((1, 2, 2, 3)),
        begins="unknown" if known and draw.random() < 0.15 else "stable",
        leg_seconds=(0.001, draw.choice((0.01, 0.02, 0.2))),
        quiet=course == "quiet",
        last_crash=course == "heals" and draw.random() < 0.3,
        lasting=lasting if course in ("known", "hidden") else (),
        shape=("two-servers",) if draw.random() < 0.35 else (),
    )
