"""The fence rehearsal: Down, proof, None on a standby, so that the first real fence is not the first one ever. Pure.

It is the fence of a failover (`steps.FenceByBalancer`) with the same note before it: the member is `owed` durably, so
whatever crashes, it is taken back like any other (`protocol.lift`), at the latest after the operation's deadline, and a
failover that needs it lifts it at once. It enters neither `may_serve` nor `fenced`: its proof is used for nothing, and
counts in no operation (safety.md, finding 8).

Not for whoever may be serving, not while anything is under way or left to bring back, not while the service is paused
or half of it is in doubt, and not on the only ready standby unless the operator names it: a failover meanwhile would
have to wait for its lift.
"""

from msgspec.structs import replace

from function_app.domain.base.errors import among
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import is_drained
from function_app.domain.service.guards import Draining, refuse
from function_app.domain.service.health import Verdict, is_ready, judge
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AdminState, BalancerReading
from function_app.domain.service.record import Phase, Rehearsal
from function_app.domain.service.steps import FenceByBalancer


def rehearse(look: Look, member: str | None, by: str) -> Decision:
    """Notes and fences a standby: the named one, else the last by priority. `held` alone refuses."""
    if why := _untimely(look):
        return Decision(look.record, held=(why,))
    chosen = member or next(reversed([n for n in look.members if _unfit(look, n) is None and _spare(look, n)]), None)
    if chosen is None:
        return Decision(look.record, held=(_nobody(look),))
    if why := _unfit(look, chosen):
        return Decision(look.record, held=(why,))
    if refusals := refuse(Draining(chosen), look):  # for a while it cannot serve: like a drain of it
        return Decision(look.record, held=tuple(map(str, refusals)))
    epoch, until = look.record.epoch, look.at + look.timing.operation_deadline
    rehearsal = Rehearsal(member=chosen, epoch=epoch, until=until)
    owing = replace(look.record, owed={**look.record.owed, chosen: epoch}, rehearsal=rehearsal)
    why = f"the fence of {chosen} is rehearsed, ordered by {by}"
    return Decision(owing, (FenceByBalancer(chosen, epoch),), because=(why,))


def is_rehearsed(look: Look, member: str) -> bool:
    """Whether another pass is in the middle of its rehearsal, so that it is not taken back yet.

    The pass that rehearses knows what came of its fence; of any other one patience ends with the deadline. Only a
    stable service waits: a failover lifts its target at once.
    """
    rehearsal, at = look.record.rehearsal, look.at
    if rehearsal is None or rehearsal.member != member or look.record.owed.get(member) != rehearsal.epoch:
        return False
    if member in look.observed.proofs or FenceByBalancer(member, rehearsal.epoch) in look.observed.tried:
        return False
    # One that lies beyond a deadline from now was written by a clock that was wrong.
    return at < rehearsal.until <= at + look.timing.operation_deadline


def _untimely(look: Look) -> str | None:
    """Why nothing can be rehearsed now, whoever it would be."""
    record, holder = look.record, look.record.holder
    if not kind_of(look.service).has_fence(look.service):
        return "there is no fence to rehearse: only an active-passive service behind a load balancer has one"
    if record.phase is not Phase.STABLE or holder is None:
        return f"an operation is under way: {record.operation.reason if record.operation else record.phase}"
    away = (record.may_serve - {holder}) | record.owed.keys()
    if left := sorted(name for name in away if not look.is_appliance(name)):
        return f"{', '.join(left)} is not back yet"
    if record.tallies or judge(look, holder).verdict is not Verdict.HEALTHY:
        return f"the holder is in doubt: {judge(look, holder).because}"
    if not isinstance(look.observed.balancer, BalancerReading):
        return f"the load balancer was not read: {look.observed.balancer or 'it was not requested'}"
    return None


def _unfit(look: Look, member: str) -> str | None:
    """Why this member's fence is not rehearsed. An operator's Down is never taken for ours, nor undone."""
    if member not in look.members:
        return f"{member} is no member{among(member, look.members)}"
    if member == look.record.holder:
        return f"{member} serves: only a standby's fence is rehearsed"
    if look.is_appliance(member):
        return f"{member} has no agent: it is Down, proven, whenever it does not serve"
    if not look.acked(member) or judge(look, member).verdict is not Verdict.HEALTHY:
        return f"{member} is not a standby that answers and is fit: {judge(look, member).because}"
    backend = look.backend(member)
    if backend is None:
        return f"{member} is not in the backend pool"
    if backend.partly_down:
        return f"adminState of {member} is Down in one of its pools, and not by us"
    if backend.admin_state is not AdminState.NONE:
        return f"adminState of {member} is {backend.admin_state}, and not by us"
    return None


def _spare(look: Look, member: str) -> bool:
    """Whether another standby could take over at once meanwhile."""
    return any(
        n not in (member, look.record.holder)
        and _unfit(look, n) is None
        and is_ready(look, n)
        and not is_drained(look, n)
        for n in look.members
    )


def _nobody(look: Look) -> str:
    fit = [n for n in look.members if _unfit(look, n) is None]
    if not fit:
        return "no standby is fit for it: " + "; ".join(why for n in look.members if (why := _unfit(look, n)))
    return (
        f"beside {' and '.join(fit)} no other standby is ready, and a failover meanwhile would wait for the lift: "
        "name the member to rehearse it all the same"
    )
