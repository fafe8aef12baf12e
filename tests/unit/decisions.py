"""Words for tests of decisions: three members, what is seen of them, and records in the middle of things."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AgentReading,
    BalancerReading,
    FenceProof,
    Observed,
    Role,
    Unreachable,
)
from function_app.domain.service.record import Fence, Kind, Learning, Operation, Phase, Record, unknown
from function_app.domain.service.steps import Effect, FenceByBalancer, LiftByBalancer, SendFence, SendPromote
from function_app.domain.topology.model import Topology
from tests.builders import NOW, stable, status, topology

DESIRED = topology(3)
SERVICE, TIMING = DESIRED.services[0], DESIRED.timing
SILENT = Unreachable("no answer")
FATAL = status(3, Role.SERVING, fatal=("forwarding is off",))
SERVING, STANDBY = status(3, Role.SERVING), status(3)
A, B, C = "nva-a", "nva-b", "nva-c"
SOON, LONG_AGO = NOW + timedelta(seconds=1), NOW - timedelta(hours=2)
PROVEN = FenceProof(4, "e2")
PROBED, REFUSED = "Up_Probe_Success", "Down_Probe_HttpStatus"


@dataclass(frozen=True)
class Case:
    """What is seen under which record, and what comes of it; `changes` are those of the record."""

    name: str
    seen: Observed
    record: Record
    held: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    changes: dict[str, Any] | None = None
    alarms: tuple[str, ...] = ()
    settled: bool = False
    desired: Topology = DESIRED

    def _listed(self) -> frozenset[str]:
        """The members that the load balancer lists; all where it was not read."""
        shown = self.seen.balancer
        return frozenset(shown.backends if isinstance(shown, BalancerReading) else self.desired.services[0].names)

    def decision(self) -> Decision:
        """The whole decision that is expected."""
        unlisted = frozenset(self.desired.services[0].names) - self._listed()
        record = msgspec.structs.replace(self.record, **{"last_choices": unlisted} | (self.changes or {}))
        return Decision(record, self.effects, self.held, self.because, self.alarms, self.settled)


def look(a: AgentReading, b: AgentReading = STANDBY, c: AgentReading = STANDBY, **more: Any) -> Observed:
    values: dict[str, Any] = {"at": NOW, "agents": {A: a, B: b, C: c}}
    return Observed(**values | more)


def looking(seen: Observed, record: Record, desired: Topology = DESIRED) -> Look:
    """The look at the first service of the topology, decided on at once."""
    return Look(desired.services[0], desired.timing, seen, record, seen.at)


def decided(seen: Observed, record: Record) -> Decision:
    return decide(looking(seen, record))


def operation(kind: Kind = Kind.FAILOVER, **changes: Any) -> Operation:
    values: dict[str, Any] = {
        "id": "fw-4",
        "kind": kind,
        "reason": "",
        "started": NOW,
        "deadline": NOW + timedelta(minutes=2),
        "previous": A,
    }
    return Operation(**(values | changes))


def fencing(target: str = B, kind: Kind = Kind.FAILOVER, **changes: Any) -> Record:
    """Epoch 4 is opened for `target`; nva-a held epoch 3."""
    values: dict[str, Any] = {"phase": Phase.FENCING, "may_serve": frozenset({A}), "operation": operation(kind)}
    return stable(target, 4, **(values | changes))


def granted(**changes: Any) -> Record:
    """nva-b is granted epoch 4, and was seen to serve."""
    values: dict[str, Any] = {"phase": Phase.GRANTED, "operation": operation(served=True)}
    return stable(B, 4, **(values | changes))


def learning(**changes: Any) -> Record:
    values: dict[str, Any] = {"since": NOW - timedelta(hours=1), "rounds": 5}
    record = unknown("fw", frozenset({A, B, C}), NOW)
    return msgspec.structs.replace(record, may_serve=frozenset({A}), learning=Learning(**(values | changes)))


def by_agent(member: str) -> SendFence:
    return SendFence(member, 4)


def by_balancer(member: str) -> FenceByBalancer:
    return FenceByBalancer(member, 4)


UNFIT, UNREADY = status(3, fatal=("disk",)), status(3, sessions_up=False)
NO_WORD = "its agent does not answer (no answer) and no other source can tell"
SERVING_4, STANDBY_4 = status(4, Role.SERVING), status(4)
TAKEN_OVER = look(STANDBY_4, SERVING_4, STANDBY_4)
"""nva-b serves at epoch 4, the others acknowledged it."""
PROMOTE_B = SendPromote(B, 4, "boot-1")
LIFT_B = LiftByBalancer(B, 4)
NO_REDUNDANCY = "cannot take over: {}; {}; no redundancy: the next failure is an outage"


def outside(member: str) -> str:
    return f"{member}: it is not in the backend pool"


def quiet(member: str) -> str:
    return f"{member}: {NO_WORD}"


def unready(member: str) -> str:
    return f"{member}: not every BGP session of it is Established"


NOT_LIFTED: dict[Effect, str] = {LIFT_B: "ARM answers 503"}
NOT_PROMOTED: dict[Effect, str] = {PROMOTE_B: "it refuses"}
GRANTED_B = look(STANDBY_4, STANDBY, STANDBY_4)
"""nva-b is to serve at epoch 4 and has not obeyed yet."""
FENCED_B: dict[str, Any] = {"fenced": {B: Fence(epoch=3, etag="e")}, "owed": {B: 3}}
OWED_B: dict[str, Any] = {"owed": {B: 3}}


def opened(kind: Kind, reason: str, epoch: int = 5, **changes: Any) -> Operation:
    """An operation that is opened now."""
    values: dict[str, Any] = {"id": f"fw-{epoch}", "deadline": NOW + TIMING.operation_deadline, "reason": reason}
    return operation(kind, **(values | changes))
