"""Draws the plans of the random profile: each history its own mix of faults (swarm), at its own pace."""

import random
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from proving.storm.calls import Mishap
from proving.storm.directed import directed_plan
from proving.storm.edits import LEAVING, MOVING
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.paths import FOR_EVER, PATHS
from proving.storm.places import BARE

WHERE = (
    "agent.status", "agent.fence", "agent.promote", "lb.read", "lb.look", "lb.set", "lb.health", "record.load",
    "record.save", "doc.", "wake", "rs.",
)  # fmt: skip
QUIET_WHERE = ("agent.status", "lb.read", "record.load", "record.save", "doc.", "wake", "rs.")

type Drawn = Callable[[random.Random, list[str], float], Fault]


def _fault(kind: Kind, low: float, high: float, **how: tuple[str, ...]) -> Drawn:
    def drawn(draw: random.Random, names: list[str], at: float) -> Fault:
        choices = how.get("how", ("",))
        return Fault(at, kind, draw.choice(names), draw.uniform(low, high), draw.choice(choices), draw.random())

    return drawn


def _valued(kind: Kind, low: float, high: float, least: float, most: float) -> Drawn:
    def drawn(draw: random.Random, names: list[str], at: float) -> Fault:
        return Fault(at, kind, draw.choice(names), draw.uniform(low, high), value=draw.uniform(least, most))

    return drawn


def _mishap(where: tuple[str, ...]) -> Drawn:
    def drawn(draw: random.Random, names: list[str], at: float) -> Fault:
        how = draw.choice(tuple(Mishap))
        longest = 600.0 if how in (Mishap.DELAY, Mishap.DOUBLE) else 300.0 if how is Mishap.PAUSE else 30.0
        seconds = draw.uniform(0.1, longest) if draw.random() < 0.4 else draw.uniform(0.1, 20.0)
        return Fault(at, Kind.MISHAP, seconds=seconds, how=how, where=draw.choice(where))

    return drawn


def _order(verbs: tuple[str, ...]) -> Drawn:
    def drawn(draw: random.Random, names: list[str], at: float) -> Fault:
        return Fault(at, Kind.ORDER, draw.choice(names), draw.uniform(5.0, 90.0), how=draw.choice(verbs))

    return drawn


HARMLESS: tuple[Drawn, ...] = (
    _fault(Kind.SESSIONS, 5.0, 60.0),
    _fault(Kind.ARM_DOWN, 10.0, 120.0),
    _fault(Kind.ARM_BUSY, 10.0, 120.0),
    _fault(Kind.OUTAGE, 10.0, 120.0),
    _fault(Kind.STORAGE_DOWN, 5.0, 60.0),
    _fault(Kind.TOUCH, 0.0, 0.0),
    _fault(Kind.LEASE, 0.0, 0.0, how=("lease", "asked", "due")),
    _fault(Kind.NEWER, 5.0, 60.0),
    _valued(Kind.WAKE_LOST, 10.0, 120.0, 0.2, 1.0),
    _fault(Kind.WAKE_FLOOD, 0.0, 0.0),
    _fault(Kind.KILL, 0.0, 0.0),
    _fault(Kind.KILL_ALL, 5.0, 60.0),
    _valued(Kind.CLOCK, 0.0, 3.0, -600.0, 600.0),
    _valued(Kind.DRIFT, 0.0, 3.0, -0.05, 0.05),
    _valued(Kind.AGENT_CLOCK, 10.0, 120.0, -600.0, 600.0),
    _valued(Kind.SLOW_WRITES, 20.0, 120.0, 10.0, 45.0),
    _fault(Kind.RS_DOWN, 10.0, 120.0),
    _fault(Kind.RS_BUSY, 10.0, 120.0),
    _fault(Kind.RS_DEAF, 10.0, 120.0),
    _fault(Kind.RS_FAIL, 0.0, 0.0),
    _fault(Kind.RS_GONE, 0.0, 0.0),
    _fault(Kind.RS_FOREIGN, 0.0, 0.0),
    _fault(Kind.FLAP_ALL, 5.0, 30.0),
)
"""Never a reason to move a service."""

BY_CUT: tuple[Drawn, ...] = (
    _fault(Kind.CUT, 5.0, 90.0, how=("in", "out", "both")),
    _fault(Kind.CUT_ALL, 5.0, 60.0, how=("in", "out", "both")),
    _valued(Kind.LOSS, 10.0, 90.0, 0.05, 0.5),
    _mishap(QUIET_WHERE),
    _fault(Kind.PAUSE, 1.0, 300.0),
)
"""Nor are these, while the agents hear each other."""

HARMFUL: tuple[Drawn, ...] = (
    _fault(Kind.CRASH, 0.5, 90.0),
    _fault(Kind.CRASH, 0.5, 90.0, how=("lost", "rolled", "rekeyed", "restart", "")),
    _fault(Kind.TEAR, 1.0, 60.0),
    _fault(Kind.HANG, 1.0, 60.0, how=("commands", "all")),
    _fault(Kind.FATAL, 5.0, 90.0),
    _fault(Kind.DISK_BROKEN, 5.0, 90.0),
    _valued(Kind.DISK_SLOW, 5.0, 90.0, 0.01, 3.0),
    _fault(Kind.REBOOT_ALL, 0.5, 20.0),
    _fault(Kind.MAINTENANCE, 10.0, 120.0),
    _fault(Kind.SPLIT, 5.0, 90.0, how=("both", "deaf", "mute")),
    _fault(Kind.UNPROBED, 10.0, 90.0),
    _fault(Kind.UNPROBED_ALL, 10.0, 90.0),
    _valued(Kind.LAG, 20.0, 120.0, 2.0, 40.0),
    _fault(Kind.FOREIGN_NONE, 0.0, 0.0),
    _fault(Kind.FOREIGN_DOWN, 10.0, 90.0),
    _fault(Kind.FOREIGN_UP, 10.0, 60.0),
    _fault(Kind.FOREIGN_SAME, 0.0, 0.0),
    _fault(Kind.FOREIGN_POOL, 10.0, 60.0),
    _fault(Kind.DELETE, 0.0, 0.0),
    _fault(Kind.TRUNCATE, 0.0, 0.0),
    _fault(Kind.ROLL_BACK, 0.0, 0.0),
    _order(("switchover", "failover", "drain", "undrain", "pause", "resume")),
    _order(("switchover",)),
    _mishap(WHERE),
    _mishap(("agent.fence", "agent.promote", "lb.", "record.")),
)

PASSING: tuple[Drawn, ...] = (
    _fault(Kind.CRASH, 0.5, 90.0, how=("", "rolled", "rekeyed", "restart")),
    _fault(Kind.HANG, 1.0, 60.0, how=("commands", "all")),
    _fault(Kind.FATAL, 5.0, 90.0),
    _fault(Kind.DISK_SLOW, 5.0, 90.0),
    _fault(Kind.SPLIT, 5.0, 90.0, how=("both", "deaf", "mute")),
    _fault(Kind.CUT, 5.0, 90.0, how=("in", "out", "both")),
    _fault(Kind.UNPROBED, 10.0, 100.0),
    _fault(Kind.FOREIGN_NONE, 0.0, 0.0),
    _fault(Kind.ARM_DOWN, 10.0, 120.0),
    _fault(Kind.KILL, 0.0, 0.0),
    _fault(Kind.DELETE, 0.0, 0.0),
    _order(("switchover", "switchover", "failover")),
)
"""What may pass beside a fault that lasts."""

EITHER: tuple[tuple[Drawn, ...], ...] = (
    (_fault(Kind.SILENT, 10.0, 120.0),),
    (_valued(Kind.SPREAD, 20.0, 120.0, 10.0, 90.0),),
)
"""Never both: where health stays silent, the settle time stands in for it and must cover the data plane's delay."""


def random_plan(seed: int) -> Plan:
    """The plan that a seed stands for."""
    draw = random.Random(f"random {seed}")  # noqa: S311  # histories must be repeatable, not secret
    quiet = draw.random() < 0.08
    members = draw.choice((2, 2, 3, 3, 3, 4))
    pace = draw.choice(("usual", "brisk", "quick"))
    heal_at = draw.uniform(40.0, 240.0)
    either = draw.choice(EITHER) if pace != "quick" else ()
    pool = (*HARMLESS, *BY_CUT) if quiet else (*HARMLESS, *BY_CUT, *HARMFUL, *HARMFUL, *either)
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    return Plan(
        seed=seed,
        profile="random",
        members=members,
        pace=pace,
        heal_at=heal_at,
        faults=_faults(draw, pool, names, heal_at),
        hosts=draw.choice((1, 2, 2, 3)),
        begins="unknown" if draw.random() < 0.15 and not quiet else "stable",
        write_seconds=(0.5, draw.choice((2.0, 6.0, 12.0))),
        spread_seconds=(0.1, draw.choice((1.0, 4.0, 7.0 if pace == "quick" else 15.0))),
        leg_seconds=(0.001, draw.choice((0.01, 0.02, 0.2))),
        keeps_etag=draw.random() < 0.3,
        tokens_expire=draw.random() < 0.6,
        quiet=quiet,
        last_crash=draw.random() < 0.25,
        last=draw.choice(tuple(PATHS)),
        read_seconds=draw.choice((0.0, 0.0, 5.0, 60.0)),
        health_seconds=draw.choice((0.0, 0.0, 3.0, 10.0)),
        preempt=draw.random() < 0.3,
    )


SPOILT: tuple[Drawn, ...] = (
    _fault(Kind.REFUSES, 5.0, 90.0),
    _fault(Kind.FOREIGN_NONE, 0.0, 0.0),
    _fault(Kind.FOREIGN_DOWN, 10.0, 90.0),
    _fault(Kind.FOREIGN_SAME, 0.0, 0.0),
    _fault(Kind.FOREIGN_POOL, 10.0, 60.0),
    _fault(Kind.UNPROBED, 10.0, 90.0),
)
"""What is worth more where there are two load balancers."""
TOGETHER: tuple[Drawn, ...] = (_order(("drain", "drain", "undrain", "forget")),)
CALM: tuple[Drawn, ...] = (
    _fault(Kind.CUT, 10.0, 90.0, how=("in", "out", "both")),
    _fault(Kind.SESSIONS, 5.0, 60.0),
    _fault(Kind.REFUSES, 5.0, 60.0),
    _fault(Kind.OUTAGE, 10.0, 120.0),
    _fault(Kind.FOREIGN_SAME, 0.0, 0.0),
    _fault(Kind.RS_DEAF, 10.0, 120.0),
)
"""What moves nothing in an active-active service."""
MEANWHILE: tuple[Drawn, ...] = (
    _fault(Kind.CUT, 10.0, 90.0, how=("in", "out", "both")),
    _fault(Kind.KILL_ALL, 5.0, 60.0),
    _mishap(("agent.promote", "agent.fence")),
)
"""What befalls a drain, or its end, of an active-active service while it is carried out: two of them."""


SHARE = 0.25
"""Of the histories in which members may have no agent, those in which some or all have none."""


def with_appliances(plan_of: Callable[[int], Plan], share: float = SHARE) -> Callable[[int], Plan]:
    """The same plans, but that in some of them members have no agent, where that may be; half of those the app checks itself."""

    def drawn(seed: int) -> Plan:
        plan = plan_of(seed)
        draw = random.Random(f"appliances {plan.profile} {seed}")  # noqa: S311  # repeatable, not secret
        if draw.random() >= share or {"active-active", "preempt"} & {*plan.shape} or plan.handover == "seamless":
            return plan
        names = _members(plan)
        bare = names if draw.random() < 0.5 else draw.sample(names, draw.randint(1, len(names) - 1))
        checked = ("checked",) if draw.random() < 0.5 else ()
        return replace(plan, shape=(*plan.shape, *(BARE[name] for name in sorted(bare)), *checked))

    return drawn


def wide_plan(seed: int) -> Plan:
    """A plan of another profile in a world of another shape: behind two load balancers, with a witness, active-active."""
    draw = random.Random(f"wide {seed}")  # noqa: S311  # histories must be repeatable, not secret
    plan_of = draw.choice((random_plan, random_plan, directed_plan, lasting_plan, handover_plan))
    shape = draw.choice((("sandwich",), ("sandwich", "witness"), ("witness",), ("active-active",)))
    if shape == ("active-active",):
        return _together(draw, random_plan(seed))
    plan = plan_of(seed)
    faults = _faults(draw, SPOILT, _members(plan), plan.heal_at) if "sandwich" in shape and not plan.quiet else ()
    faults = tuple(sorted((*plan.faults, *faults), key=lambda fault: fault.at))
    return replace(plan, profile="wide", shape=shape, faults=faults)


def _together(draw: random.Random, plan: Plan) -> Plan:
    """Of an active-active service: nothing but drains and what moves nothing, or anything."""
    quiet = draw.random() < 0.5
    pool = (*TOGETHER * 4, *CALM) if quiet else (*TOGETHER, *HARMLESS, *BY_CUT, *HARMFUL)
    faults = _faults(draw, pool, _members(plan), plan.heal_at)
    beside = tuple(_meanwhile(draw, faults, _members(plan))) if quiet else ()
    return replace(
        plan,
        profile="wide",
        shape=("active-active",),
        faults=tuple(sorted((*faults, *beside), key=lambda fault: fault.at)),
        begins="stable" if quiet else plan.begins,
        quiet=quiet,
        last_crash=False,
        preempt=False,
    )


def _meanwhile(draw: random.Random, faults: tuple[Fault, ...], names: list[str]) -> Iterator[Fault]:
    """Within about a second of each drain, and of its end."""
    for fault in faults:
        if fault.kind is not Kind.ORDER:
            continue
        for at in (fault.at, fault.at + fault.seconds) if fault.how == "drain" else (fault.at,):
            for befalls in draw.sample(MEANWHILE, 2):
                yield befalls(draw, names, round(at + draw.uniform(0.0, 1.5), 3))


def _members(plan: Plan) -> list[str]:
    return [f"nva-{letter}" for letter in "abcd"[: plan.members]]


MOVED: tuple[Drawn, ...] = (_order(("switchover",)),)


def handover_plan(seed: int) -> Plan:
    """The plan of a service with `exclusive` or `seamless`: mostly planned moves, in quiet histories nothing else of weight."""
    draw = random.Random(f"handover {seed}")  # noqa: S311  # histories must be repeatable, not secret
    handover, quiet = draw.choice(("exclusive", "seamless")), draw.random() < 0.4
    members = draw.choice((2, 2, 3))
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    heal_at = draw.uniform(60.0, 240.0)
    pool = (*MOVED * 12, *HARMLESS, *BY_CUT) if quiet else (*MOVED * 12, *HARMLESS, *BY_CUT, *HARMFUL)
    return Plan(
        seed=seed,
        profile="handover",
        members=members,
        pace=draw.choice(("usual", "brisk")),
        heal_at=heal_at,
        faults=_faults(draw, pool, names, heal_at),
        hosts=draw.choice((1, 2)),
        leg_seconds=(0.001, draw.choice((0.01, 0.02, 0.2))),
        keeps_etag=draw.random() < 0.3,
        quiet=quiet,
        health_seconds=draw.choice((0.0, 0.0, 3.0, 10.0)),
        handover=handover,
    )


def _edit(hows: Iterable[str]) -> Drawn:
    def drawn(draw: random.Random, names: list[str], at: float) -> Fault:
        how, where = draw.choice(tuple(hows)), draw.choice(("apply", "hand"))
        return Fault(at, Kind.EDIT, draw.choice(names), draw.uniform(5.0, 300.0), how, where=where)

    return drawn


BESIDE: tuple[Drawn, ...] = (
    _fault(Kind.CRASH, 0.5, 90.0),
    _fault(Kind.FATAL, 5.0, 90.0),
    _fault(Kind.CUT, 5.0, 90.0, how=("in", "out", "both")),
    _fault(Kind.ARM_DOWN, 10.0, 120.0),
    _fault(Kind.MAINTENANCE, 10.0, 120.0),
    _fault(Kind.REFUSES, 5.0, 90.0),
    _fault(Kind.KILL, 0.0, 0.0),
    _fault(Kind.PAUSE, 1.0, 300.0),
    _fault(Kind.STORAGE_DOWN, 5.0, 60.0),
    _order(("switchover", "failover", "drain", "undrain")),
    _mishap(("agent.fence", "agent.promote", "lb.", "record.", "doc.")),
)
"""What befalls a service while its document changes."""


def edits_plan(seed: int) -> Plan:
    """The plan of a history in which the document changes, by `apply` or by hand: either with the orders that end what may
    serve, or with changes that may never come into force while a member serves."""
    draw = random.Random(f"edits {seed}")  # noqa: S311  # histories must be repeatable, not secret
    members = draw.choice((2, 3, 3, 4))
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    heal_at = draw.uniform(60.0, 240.0)
    orders = (_order(("forget", "forget", "retire", "release", "resume")),)
    leaving = draw.random() < 0.6
    changes = (_edit(LEAVING), *orders) if leaving else (_edit(MOVING),)
    always = tuple(
        draw.choice(changes)(draw, names, round(draw.uniform(0.5, heal_at), 3)) for _ in range(draw.randint(1, 5))
    )
    beside = _faults(draw, BESIDE, names, heal_at) if draw.random() < 0.8 else ()
    return Plan(
        seed=seed,
        profile="edits",
        members=members,
        pace=draw.choice(("usual", "brisk", "quick")),
        heal_at=heal_at,
        faults=tuple(sorted((*always, *beside), key=lambda fault: fault.at)),
        hosts=draw.choice((1, 2, 2)),
        spread_seconds=(0.1, 4.0),
        keeps_etag=draw.random() < 0.3,
        shape=draw.choice(((), ("preempt",), ("sandwich",))),
    )


LASTING: tuple[Drawn, ...] = (
    _fault(Kind.CRASH, FOR_EVER, FOR_EVER),
    _fault(Kind.DISK_BROKEN, FOR_EVER, FOR_EVER),
    _fault(Kind.FATAL, FOR_EVER, FOR_EVER),
    _fault(Kind.HANG, FOR_EVER, FOR_EVER, how=("commands", "all")),
    _fault(Kind.CUT, FOR_EVER, FOR_EVER, how=("in", "out", "both")),
    _fault(Kind.SPLIT, FOR_EVER, FOR_EVER, how=("both", "deaf", "mute")),
    _fault(Kind.UNPROBED, FOR_EVER, FOR_EVER),
    _fault(Kind.FOREIGN_OUT, FOR_EVER, FOR_EVER),
)
"""Of one member each. Together with the app's way to a member that of its peers may be cut: it goes on as it was."""


def lasting_plan(seed: int) -> Plan:
    """The plan of a history with a fault that stays: one member is afflicted, for ever; the others' faults end."""
    draw = random.Random(f"lasting {seed}")  # noqa: S311  # histories must be repeatable, not secret
    members = draw.choice((2, 3, 3, 4))
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    heal_at = draw.uniform(40.0, 200.0)
    afflicted, at = draw.choice(names), draw.uniform(0.5, heal_at)
    kinds = draw.sample(LASTING, draw.choice((1, 1, 2)))
    return Plan(
        seed=seed,
        profile="lasting",
        members=members,
        pace=draw.choice(("usual", "brisk", "quick")),
        heal_at=heal_at,
        faults=_faults(draw, PASSING, names, heal_at) if draw.random() < 0.8 else (),
        hosts=draw.choice((1, 2)),
        begins="unknown" if draw.random() < 0.15 else "stable",
        spread_seconds=(0.1, 4.0),
        keeps_etag=draw.random() < 0.3,
        lasting=tuple(kind(draw, [afflicted], round(at, 3)) for kind in kinds),
        rewritten=draw.random() < 0.5,
        read_seconds=draw.choice((0.0, 0.0, 5.0, 60.0)),
        health_seconds=draw.choice((0.0, 0.0, 3.0, 10.0)),
        preempt=draw.random() < 0.3,
    )


def _faults(draw: random.Random, pool: tuple[Drawn, ...], names: list[str], until: float) -> tuple[Fault, ...]:
    """A few kinds, some of them again and again, at any time."""
    kinds = draw.sample(pool, min(draw.randint(1, 7), len(pool)))
    count = draw.randint(1, 12)
    times = sorted(draw.uniform(0.5, until * 0.95) for _ in range(count))
    return tuple(draw.choice(kinds)(draw, names, round(at, 3)) for at in times)
