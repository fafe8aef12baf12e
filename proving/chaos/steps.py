"""Which step of a failover has been reached, from what can be seen without asking the app. Pure.

The signs are the record's document, the agents' durable states, what the load balancer's data plane has, the probes,
and the requests that the simulator has answered. A step that passes between two looks counts as the next one.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Step(StrEnum):
    """In the order in which a failover reaches them."""

    AT_REST = "at rest"
    LEARNING = "learning"
    NOTICED = "the holder's probe fails"
    OPENED = "operation opened"
    FENCED = "FENCE obeyed"
    DOWN_ACCEPTED = "PUT Down accepted"
    DOWN_IN_EFFECT = "Down in the data plane"
    GRANTED = "granted"
    TARGET_BELIEVED_LESS = "the target's fence is no longer believed"
    TARGET_LIFT_ACCEPTED = "PUT None for the target accepted"
    PROMOTED = "PROMOTE obeyed"
    SERVING = "the new holder's probe answers 200"
    VERIFIED = "verified"
    ACKNOWLEDGED = "the old holder acknowledged"
    LEFT = "the old holder left may_serve"
    BELIEVED_LESS = "the old holder's fence is no longer believed"
    LIFT_ACCEPTED = "PUT None accepted"
    LIFT_IN_EFFECT = "None in the data plane"
    RELEASED = "nothing is owed"


ORDER = tuple(Step)


@dataclass(frozen=True, slots=True)
class Role:
    """What an agent has made durable for the service."""

    epoch: int
    role: str


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. `record` is the stored document, None where there is none."""

    record: Mapping[str, Any] | None
    roles: Mapping[str, Role] = field(default_factory=dict)
    down: Set[str] = frozenset()
    """Members whose adminState is Down in the data plane."""
    answering: Set[str] = frozenset()
    """Members whose probe answered 200 last."""
    pool_writes: int = 0
    """How many PUTs of the pool the simulator has accepted since the fault."""
    up: Set[str] = frozenset()
    """Members that the load balancer's probe has up."""

    @property
    def target(self) -> str:
        return str((self.record or {}).get("target", ""))

    @property
    def epoch(self) -> int:
        return int((self.record or {}).get("epoch", 0))

    @property
    def phase(self) -> str:
        return str((self.record or {}).get("phase", "learn"))

    @property
    def reason(self) -> str:
        """Why the operation under way, or the last one, was opened."""
        return str(((self.record or {}).get("operation") or {}).get("reason", ""))

    def has(self, key: str) -> frozenset[str]:
        """The members that the record names under `may_serve`, `fenced` or `owed`."""
        return frozenset((self.record or {}).get(key, ()))

    def stands_by(self, member: str) -> bool:
        """Whether the member has obeyed FENCE at the record's epoch."""
        return self.roles.get(member) == Role(self.epoch, "standby")

    def serves(self, member: str) -> bool:
        return self.roles.get(member) == Role(self.epoch, "serving")


@dataclass(frozen=True, slots=True)
class Fault:
    """What a failover began with: who held the role, at which epoch, and who was fenced at the load balancer then."""

    holder: str
    epoch: int
    fenced: frozenset[str] = frozenset()


def reached(sight: Sight, fault: Fault) -> Step | None:
    """The furthest step that this look shows; None while nothing has happened, or nothing is recorded."""
    if sight.record is None:
        return None
    if sight.phase == "learn":
        return Step.LEARNING
    if sight.epoch <= fault.epoch:
        return None if fault.holder in sight.answering else Step.NOTICED
    if sight.phase == "fencing":
        return _fencing(sight, fault)
    if sight.phase == "granted":
        return _granted(sight, fault)
    return _stable(sight, fault)


def _fencing(sight: Sight, fault: Fault) -> Step:
    if fault.holder in sight.down and fault.holder not in fault.fenced:
        return Step.DOWN_IN_EFFECT
    if fault.holder in sight.has("owed") and sight.pool_writes:
        return Step.DOWN_ACCEPTED
    return Step.FENCED if sight.stands_by(fault.holder) else Step.OPENED


def _granted(sight: Sight, fault: Fault) -> Step:
    if sight.target in sight.answering:
        return Step.SERVING
    lifting = sight.target in fault.fenced & sight.has("owed") and sight.target not in sight.has("fenced")
    if lifting and sight.pool_writes:
        return Step.TARGET_LIFT_ACCEPTED
    if sight.serves(sight.target):  # its PROMOTE is sent beside the lift, so it may come first
        return Step.PROMOTED
    return Step.TARGET_BELIEVED_LESS if lifting else Step.GRANTED


def _stable(sight: Sight, fault: Fault) -> Step:
    old = fault.holder
    if not sight.stands_by(old):
        return Step.VERIFIED
    if old in sight.has("may_serve"):
        return Step.ACKNOWLEDGED
    if old in sight.has("fenced"):
        return Step.LEFT
    if old not in sight.has("owed"):
        return Step.RELEASED
    if old not in sight.down:
        return Step.LIFT_IN_EFFECT
    # The fence was one write of the pool; its lift is the second one.
    return Step.LIFT_ACCEPTED if sight.pool_writes > 1 else Step.BELIEVED_LESS


def not_converged(sight: Sight, members: Set[str]) -> tuple[str, ...]:
    """What is still missing for one serving member and a record at rest; empty when nothing is."""
    target = sight.target
    missing = [
        (sight.phase == "stable", f"the record is in phase {sight.phase}"),
        (sight.has("may_serve") == {target}, f"may_serve is {sorted(sight.has('may_serve'))}, the holder {target}"),
        (not sight.has("fenced"), f"fenced: {sorted(sight.has('fenced'))}"),
        (not sight.has("owed"), f"owed: {sorted(sight.has('owed'))}"),
        (sight.serves(target), f"{target} is not durably serving at epoch {sight.epoch}"),
        (sight.answering == {target}, f"200 is answered by {sorted(sight.answering)}, the holder is {target}"),
        (all(sight.stands_by(n) for n in members - {target}), "a member does not stand by at the record's epoch"),
        (not sight.down, f"Down in the data plane: {sorted(sight.down)}"),
    ]
    return tuple(what for holds, what in missing if not holds)
