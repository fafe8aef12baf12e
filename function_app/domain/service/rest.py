"""A service whose operation is over (stable): its holder is kept or replaced, and the others stand by."""

from datetime import datetime

from msgspec.structs import replace

from function_app.domain.service.alarms import alarms
from function_app.domain.service.confirm import counted_anew, may_predate
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect, is_drained, maintained, set_back, unable
from function_app.domain.service.failover import failover
from function_app.domain.service.health import is_ready, judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Role
from function_app.domain.service.operation import renewed
from function_app.domain.service.protocol import acks_of, open_operation, promote, promotion, take_back
from function_app.domain.service.record import Kind
from function_app.domain.service.rehearsal import is_rehearsed
from function_app.domain.service.steps import REFUSED, SendFence


def keep(look: Look, holder: str, freshly_in_doubt: bool) -> Decision:
    """Stable: replace a failed holder, repair a role that was lost, and bring the others back (step 7).

    The first of these that has something to do is the decision; where none has, the service is at rest.
    """
    record, promoting = look.record, promote(look, holder)
    if promoting and look.is_unconfirmed(holder):  # first: its probe fails for that alone
        return Decision(counted_anew(look, holder), promoting, because=(_why_again(look, holder),))
    if failing := failover(look, holder):
        return failing
    if look.role(holder) == (record.epoch, Role.STANDBY):
        return renewed(look, holder)
    if promoting:
        return Decision(counted_anew(look, holder), promoting, because=(_why_again(look, holder),))
    return (
        _refused(look, holder)
        or _others_stand_by(look, holder)
        or _rejoined(look, holder)
        or _discretionary(look, holder)
        or _reminded(look, holder, freshly_in_doubt)
        or _at_rest(look, holder)
    )


def _why_again(look: Look, holder: str) -> str:
    if look.is_unconfirmed(holder):
        return (
            f"{holder} has booted, and answers 503 until its role at epoch {look.record.epoch} is confirmed: sent again"
        )
    return f"{holder} should serve at epoch {look.record.epoch}: sent again"


def _refused(look: Look, holder: str) -> Decision | None:
    """A holder that does not serve, and whose agent refuses to: another member follows, whichever could."""
    command = promotion(look, holder)
    why = look.observed.tried.get(command, "") if command is not None else ""
    if not why.startswith(REFUSED) or look.serves(holder) or look.is_admitted(holder):
        return None
    look = set_back(look, holder)
    other = elect(look, without=holder)
    if other is None:
        return None
    return open_operation(look, other, Kind.FAILOVER, f"{holder} does not serve: {why}; {other} takes over")


def _others_stand_by(look: Look, holder: str) -> Decision | None:
    """FENCE at the record's epoch for everybody else. Several serving is a conflict: they are fenced one at a time."""
    due = [name for name in look.members if name != holder and _is_late(look, name)]
    serving = [n for n in due if look.serves(n)]
    if len(serving) > 1:
        due = serving[:1]
    if not due:
        return None
    conflict = f"conflict: {', '.join(serving)} serves beside {holder}; " if serving else ""
    fences = tuple(SendFence(n, look.record.epoch) for n in due)
    return Decision(look.record, fences, because=tuple(f"{conflict}{n} should stand by" for n in due))


def _is_late(look: Look, member: str) -> bool:
    """Whether it answers and has not acknowledged FENCE at the record's epoch, which was not tried in this look yet."""
    fence = SendFence(member, look.record.epoch)
    return look.obeys(member) and not look.acked(member) and fence not in look.observed.tried


def _rejoined(look: Look, holder: str) -> Decision | None:
    """Step 7: members that acknowledged leave `may_serve`, then their Down is lifted, one at a time."""
    record = look.record
    proven = {name for name in look.members if name != holder and look.acked(name)}
    back_again = sorted(record.may_serve & proven)
    if back_again:
        left = replace(record, may_serve=record.may_serve - proven, acks=record.acks | acks_of(look, proven))
        return Decision(left, because=tuple(f"{name} acknowledged: it stands by" for name in back_again))
    liftings = (take_back(look, name) for name in sorted(proven) if not is_rehearsed(look, name))
    return next((lifting for lifting in liftings if lifting), None)


def _discretionary(look: Look, holder: str) -> Decision | None:
    """Moves that are not urgent: away from a drained holder or from maintenance, or back to a higher priority where `preempt` is
    `ready`. A drain and a return go to no member that gets no new flows, as far as is known."""
    other = elect(look, without=holder)
    if is_drained(look, holder):
        drain = look.record.drains[holder]
        if other is None or unable(look, other):
            return Decision(look.record, held=(f"{holder} is drained by {drain.by}, but no other member is ready",))
        return open_operation(look, other, Kind.SWITCHOVER, f"{holder} is drained by {drain.by}")
    if (coming := maintained(look, holder)) and other and is_ready(look, other) and maintained(look, other) is None:
        return open_operation(look, other, Kind.SWITCHOVER, f"the platform announces for {holder}: {coming}")
    return _returned(look, holder) if look.service.failover.preempt == "ready" else None


def _returned(look: Look, holder: str) -> Decision | None:
    """`preempt: ready`: a member of higher priority serves again once it has been ready for long enough."""
    ready = _ready_since(look, holder)
    if ready != look.record.ready_since:
        return Decision(replace(look.record, ready_since=ready))
    if look.operation is None or look.at - look.operation.started < look.service.failover.return_after:
        return None
    long_ready = [n for n in look.members if n in ready and look.at - ready[n] >= look.timing.ready_for]
    if not long_ready:
        return None
    return open_operation(look, long_ready[0], Kind.SWITCHOVER, f"{long_ready[0]} returns: it outranks {holder}")


def _ready_since(look: Look, holder: str) -> dict[str, datetime]:
    """By member of higher priority than the holder, since when it is acknowledged and could take over at once."""
    least = look.service.member(holder).priority
    above = [name for name in look.members if look.service.member(name).priority > least]
    return {
        name: look.record.ready_since.get(name, look.at)
        for name in above
        if look.acked(name) and unable(look, name) is None
    }


def _reminded(look: Look, holder: str, freshly_in_doubt: bool) -> Decision | None:
    """A holder whose probe has just begun to fail is sent PROMOTE again: its answer may be what was lost."""
    again = promotion(look, holder)
    if not freshly_in_doubt or holder not in look.record.tallies or again is None:
        return None
    return Decision(look.record, (again,), because=(f"{holder} serves, but its probe fails: sent again",))


def _at_rest(look: Look, holder: str) -> Decision:
    left_over = _left_over(look)
    return Decision(look.record, held=left_over, alarms=tuple(alarms(look, holder)), settled=not left_over)


def _left_over(look: Look) -> tuple[str, ...]:
    """What keeps the service from being settled: members that are not back, a holder in doubt."""
    record = look.record
    away = (record.may_serve - {record.target}) | record.owed.keys()
    waiting = sorted(name for name in away if not look.is_appliance(name))
    doubts = sorted(record.tallies.keys() - set(waiting))
    absent = tuple(f"waiting for {name} to come back: {judge(look, name).because}" for name in waiting)
    booted = (_why_again(look, record.target),) if record.target and look.is_unconfirmed(record.target) else ()
    return booted + absent + tuple(_doubt(look, name) for name in doubts)


def _doubt(look: Look, holder: str) -> str:
    failed = f"in doubt: the load balancer's probe of {holder} failed {look.record.tallies[holder].bad} time(s)"
    if not may_predate(look, holder):
        return failed
    return f"{failed}; it was not seen to rise since the promotion, so {look.timing.verify_looks} are waited for"
