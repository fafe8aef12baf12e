"""What operators may order for a service, and what each order does to the record. Pure: the order and the look decide.

An order is a compare-and-swap write on the same path as everything else; it is refused at once, with the reason, rather
than kept for later. What it opens is fenced and proven like any other operation.
"""

from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from function_app.domain.service.election import elect
from function_app.domain.service.guards import Draining, ServiceContext, refuse
from function_app.domain.service.learn import behind
from function_app.domain.service.protocol import Decision, Kind, Look, open_operation
from function_app.domain.service.record import Drain, Pause, Phase
from function_app.domain.service.rehearsal import rehearse
from function_app.domain.topology.model import Mode


@dataclass(frozen=True, slots=True)
class PauseOrder:
    """Nothing is done to the service until then."""

    until: datetime
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResumeOrder:
    """A pause ends now."""

    by: str


@dataclass(frozen=True, slots=True)
class SwitchoverOrder:
    """Planned: the target serves, proven by acknowledgement only, back to the old holder if it does not take it."""

    target: str
    by: str


@dataclass(frozen=True, slots=True)
class FailoverOrder:
    """Skips evidence, never fencing. Without a target the best of the others is taken."""

    by: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """The member must not serve until then; if it does, another one takes over first."""

    member: str
    until: datetime
    by: str


@dataclass(frozen=True, slots=True)
class UndrainOrder:
    """A drain ends now."""

    member: str
    by: str


@dataclass(frozen=True, slots=True)
class RehearseOrder:
    """The fence of a standby is tried: Down, proof, None. Without a member the last by priority that can be spared."""

    by: str
    member: str | None = None


type Order = PauseOrder | ResumeOrder | SwitchoverOrder | FailoverOrder | DrainOrder | UndrainOrder | RehearseOrder


def obey(look: Look, order: Order) -> Decision:
    """What the order changes; `held` alone (with the record as it was) refuses it."""
    record, at = look.record, look.observed.at
    if record.too_new:
        return _refused(look, record.too_new)
    match order:
        case PauseOrder():
            if order.until <= at:
                return _refused(look, "a pause must end in the future")
            pause = Pause(until=order.until, by=order.by, reason=order.reason)
            return Decision(replace(record, pause=pause), because=(f"paused by {order.by}",))
        case ResumeOrder():
            if record.pause is None:
                return _refused(look, "it is not paused")
            return Decision(replace(record, pause=None), because=(f"resumed by {order.by}",))
        case DrainOrder():
            return _drain(look, order)
        case UndrainOrder():
            if order.member not in record.drains:
                return _refused(look, f"{order.member} is not drained")
            drains = {name: drain for name, drain in record.drains.items() if name != order.member}
            return Decision(replace(record, drains=drains), because=(f"{order.member} is undrained by {order.by}",))
        case SwitchoverOrder() | FailoverOrder():
            return _move(look, order)
        case RehearseOrder():
            return rehearse(look, order.member, order.by)


def _drain(look: Look, order: DrainOrder) -> Decision:
    if order.member not in look.members:
        return _refused(look, f"{order.member} is no member")
    if order.until <= look.observed.at:
        return _refused(look, "a drain must end in the future")
    context = ServiceContext(look.service, look.timing, look.observed, look.record, look.observed.at)
    if refusals := refuse(Draining(order.member), context):
        return _refused(look, *map(str, refusals))
    drains = {n: d for n, d in look.record.drains.items() if look.observed.at < d.until}
    drains[order.member] = Drain(until=order.until, by=order.by)
    return Decision(replace(look.record, drains=drains), because=(f"{order.member} is drained by {order.by}",))


def _move(look: Look, order: SwitchoverOrder | FailoverOrder) -> Decision:
    record = look.record
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        return _refused(look, "every member of an active-active service serves: drain one instead")
    if record.phase is Phase.LEARN:
        return _refused(look, "it is learning who serves: nothing is moved before that is known")
    if why := behind(look):
        return _refused(look, f"{why}: it is learned again first who serves")
    target = order.target or elect(look.service, look.observed, record, look.timing, without=record.target)
    if target is None:
        return _refused(look, "no other member is fit to serve")
    if target not in look.members:
        return _refused(look, f"{target} is no member")
    if target == record.holder:
        return _refused(look, f"{target} serves already")
    if look.role(target) is None or look.failed(target):
        return _refused(look, look.judge(target).because)
    if isinstance(order, SwitchoverOrder):
        if record.phase is not Phase.STABLE:
            return _refused(look, f"an operation is under way: {record.operation.reason if record.operation else ''}")
        if record.holder and look.role(record.holder) is None:
            return _refused(look, f"{record.holder} does not answer, and a switchover needs its acknowledgement")
        return open_operation(look, target, Kind.SWITCHOVER, f"ordered by {order.by}")
    return open_operation(look, target, Kind.FORCED, f"ordered by {order.by}")


def _refused(look: Look, *why: str) -> Decision:
    return Decision(look.record, held=why)
