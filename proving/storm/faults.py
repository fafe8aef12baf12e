"""Faults as data: what befalls a history, when and whom. Drawn here, done to the world in `injector`.

A plan is everything about a history but the code: the same plan gives the same history, and a plan with fewer faults is
the way to a shorter story.
"""

from enum import StrEnum

import msgspec

from proving.storm.calls import Mishap


class Kind(StrEnum):
    """What may happen (safety.md section 7). Durations are in `seconds`; most end by themselves."""

    # appliances
    # dark for `seconds`: its machine boots then, or its agent alone is started again, "restart"; `how`: its disk is "lost" or
    # "rolled" back, or that and the app's public keys, "rekeyed" since
    CRASH = "crash"
    TEAR = "tear"  # dark in the middle of the next role command's write, for `seconds`
    HANG = "hang"  # `how`: "commands" only, or "all"
    FATAL = "fatal"  # a self-check says so
    SESSIONS = "sessions"  # its BGP sessions are down; `how`: "silent", packets are lost until hold timers run out
    DISK_BROKEN = "disk-broken"  # no write succeeds
    DISK_SLOW = "disk-slow"  # writes take `value` seconds
    AGENT_CLOCK = "agent-clock"  # its clock is off by `value` seconds
    REBOOT_ALL = "reboot-all"
    REFUSES = "refuses"  # it takes no ADVERTISE: its speaker is not there
    MAINTENANCE = "maintenance"  # the platform announces it
    # network
    CUT = "cut"  # app and agent: `how` is "in", "out" or "both"
    CUT_ALL = "cut-all"
    LOSS = "loss"  # packets between app and agents get lost by chance `value`
    SPLIT = "split"  # between agents: `who` alone on one side; `how`: "both" ways, or "deaf", "mute"
    # load balancer
    UNPROBED = "unprobed"  # its probe does not reach `who`
    UNPROBED_ALL = "unprobed-all"
    LAG = "lag"  # the health action is `value` seconds late
    SILENT = "silent"  # the health action stays empty
    SPREAD = "spread"  # writes reach the data plane only after up to `value` seconds
    SLOW_WRITES = "slow-writes"  # writes take up to `value` seconds to succeed
    ARM_DOWN = "arm-down"
    ARM_BUSY = "arm-busy"  # half of all requests are answered 429
    OUTAGE = "outage"  # ARM and storage together (finding 4)
    FOREIGN_NONE = "foreign-none"  # somebody lifts
    FOREIGN_DOWN = "foreign-down"  # an operator's maintenance, for `seconds`
    FOREIGN_UP = "foreign-up"
    FOREIGN_SAME = "foreign-same"  # somebody writes the pool as it is
    FOREIGN_POOL = "foreign-pool"  # the pool is emptied
    FOREIGN_OUT = "foreign-out"  # somebody takes `who` out of the pool
    # documents
    STORAGE_DOWN = "storage-down"
    TOUCH = "touch"  # the record's etag changes: whoever has it gets 412
    DELETE = "delete"
    TRUNCATE = "truncate"
    ROLL_BACK = "roll-back"  # the record is an older one again
    NEWER = "newer"  # a newer version writes the record, for `seconds`
    LEASE = "lease"  # the lease is gone
    # wake-ups and hosts
    WAKE_LOST = "wake-lost"
    WAKE_FLOOD = "wake-flood"  # ten at once
    KILL = "kill"
    KILL_ALL = "kill-all"  # nobody is there for `seconds`
    PAUSE = "pause"
    CLOCK = "clock"  # a host's clock jumps by `value` seconds
    DRIFT = "drift"
    MISHAP = "mishap"  # the next request of kind `where` meets `how`
    # Route Server
    RS_DOWN = "rs-down"
    RS_BUSY = "rs-busy"
    RS_DEAF = "rs-deaf"  # one instance learns nothing
    RS_FAIL = "rs-fail"  # a peering is Failed
    RS_GONE = "rs-gone"  # a peering is gone
    RS_FOREIGN = "rs-foreign"  # others fill it up
    FLAP_ALL = "flap-all"  # all sessions go down
    # operators
    ORDER = "order"  # `how` is the verb
    EDIT = "edit"  # of the document, for `seconds`: `how` in `edits`, about `who`; `where` is "apply" or "hand"


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault; fields that its kind does not need keep their defaults. `at` is in seconds from the beginning."""

    at: float
    kind: Kind
    who: str = ""
    seconds: float = 0.0
    how: str = ""
    value: float = 0.0
    where: str = ""


class Point(msgspec.Struct, frozen=True):
    """What the k-th counted request meets (exhaustive crash points)."""

    k: int
    mishap: Mishap
    seconds: float = 0.0


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """See the module."""

    seed: int
    profile: str
    members: int
    pace: str
    heal_at: float
    injectors: int = 0
    """Of a ranked history: how many announce for the members (kind `member`); with none they announce themselves (`self`)."""
    faults: tuple[Fault, ...] = ()
    points: tuple[Point, ...] = ()
    hosts: int = 2
    preempt: bool = False
    """Whether a member of higher priority returns by itself, soon."""
    begins: str = "stable"
    """`stable`: the first member serves and all know it. `unknown`: there is no record."""
    write_seconds: tuple[float, float] = (1.0, 6.0)
    spread_seconds: tuple[float, float] = (0.1, 4.0)
    read_seconds: float = 0.0
    """How old a pool may be that ARM shows; one GET in five is late."""
    health_seconds: float = 0.0
    """How late the health action is, always."""
    leg_seconds: tuple[float, float] = (0.002, 0.02)
    keeps_etag: bool = False
    tokens_expire: bool = True
    quiet: bool = False
    """Nothing in it is a reason to move the service."""
    last_crash: bool = False
    """Once healed, the holder fails, and the failover is timed."""
    last: str = "silent"
    """How it fails then: a name of `paths.PATHS`."""
    handover: str = "prompt"
    """The service's: what its load balancer is to admit while it moves."""
    lasting: tuple[Fault, ...] = ()
    """Faults that no healing ends (L7); they begin at their time, like the others."""
    shape: tuple[str, ...] = ()
    """What its document has beside one service behind one load balancer: names of `places.SHAPES`."""
    rewritten: bool = False
    """Once somebody is admitted in spite of them, somebody else writes the pool without `adminState`."""
