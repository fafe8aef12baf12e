"""The decision for one service: what the record should say next, which effects that permits, what is held and why.

    decide(service, timing, observed, record) -> Decision(record, effects, held, because, alarms)

One step per call. The caller writes `record` by compare-and-swap BEFORE it performs `effects`, adds what came of them
to `observed`, and asks again; a step is over when it is no longer decided. The steps are in `protocol`:

    learn ──▶ fencing ──▶ granted ──▶ stable          R1 may_serve += target is durable before PROMOTE exists
      ▲          │  ▲        │          │             R2 a grant needs a proof for every other may_serve
      └─ epoch above ours    └─ failed ─┘             R3 F1 is an acknowledgement at the record's epoch, noted by CAS
                                                      R4 F2 is our own write of this operation, seen in both planes
                                                      R6 believe less before permitting more: fenced -= j, then None

Outside `learn` and `fencing`, |may_serve minus fenced| is at most 1: at most one member is eligible. No clock is used
for that; time only spaces, expires what operators said, and ends patience.
"""

from datetime import datetime

from msgspec.structs import replace

from function_app.domain.base.timing import Timing
from function_app.domain.service.advertise import next_advertised, stale_advertisements
from function_app.domain.service.confirm import is_recent, may_be_of_before, verify, with_probes
from function_app.domain.service.election import elect, is_drained, maintained, why_not
from function_app.domain.service.health import Row, Verdict, is_ready
from function_app.domain.service.learn import behind, learn, relearn
from function_app.domain.service.observation import AdminState, BalancerReading, Observed, Role, Value
from function_app.domain.service.outward import next_outward, outward_alarms
from function_app.domain.service.protocol import (
    Decision,
    Kind,
    Look,
    acks_of,
    grant,
    lift,
    open_operation,
    promote,
    send_fences,
    unproven,
)
from function_app.domain.service.ranked.steps import announces, back_to_rest, best_names, noted, outrank_for
from function_app.domain.service.record import Phase, Record
from function_app.domain.service.rehearsal import is_rehearsed
from function_app.domain.service.steps import SendFence, SendPath, SendPromote
from function_app.domain.topology.model import Mode, Service


def decide(service: Service, timing: Timing, observed: Observed, record: Record) -> Decision:
    """See the module. `observed.at` is the only time that is used."""
    if record.too_new:
        return Decision(record, held=(record.too_new,))
    counted = noted(service, timing, observed, with_probes(timing, observed, record))
    look = Look(service, timing, observed, counted)
    if record.phase is not Phase.LEARN and (why := behind(look)):
        return relearn(look, why)
    match record.phase:
        case Phase.LEARN:
            decision = learn(look)
        case _ if service.mode is Mode.ACTIVE_ACTIVE:
            decision = _everybody_serves(look)
        case Phase.FENCING:
            decision = _fence(look)
        case Phase.GRANTED:
            decision = _grant(look)
        case Phase.STABLE:
            decision = _keep(look, freshly_in_doubt=look.record.tallies != record.tallies)
    announced = _advertise(look, decision) if service.naming is None else _announce(look, decision)
    return _tell_outward(look, announced)


# --- an operation under way ------------------------------------------------------------------------------------------


def _fence(look: Look) -> Decision:
    record, target = look.record, look.record.target
    if target is None or look.failed(target) or (look.role(target) is None and target not in record.may_serve):
        return _other_target(look, f"{target} failed before it was granted")
    if look.role(target) is None and look.kind is not Kind.BACK:
        # It may be serving, and only we cannot reach it: nobody is fenced for somebody else then.
        return Decision(record, held=(look.judge(target).because,))
    if look.service.naming is not None:
        return _outrank(look, target)
    if not unproven(look):
        return grant(look, target)
    if look.kind is Kind.SWITCHOVER and any(SendFence(n, record.epoch) in look.observed.tried for n in unproven(look)):
        return _back(look, f"{', '.join(unproven(look))} did not acknowledge")
    return send_fences(look)


def _outrank(look: Look, target: str) -> Decision:
    """Step 2 of a ranked service. Nobody is waited for but an announcer: whoever is gone is outranked."""
    record = look.record
    if lead := best_names(record, target):
        granted = replace(record, phase=Phase.GRANTED, may_serve=record.may_serve | {target})
        why = f"{target} is granted epoch {record.epoch}: by {lead} it has the shortest AS path that may be announced"
        return Decision(granted, promote(look.with_record(granted), target), because=(why,))
    ranked = outrank_for(look.service, look.observed, record, target)
    failed = tuple(
        f"{effect.member} was not moved: {why}"
        for effect, why in look.observed.tried.items()
        if isinstance(effect, SendPath)
    )
    held = (*ranked.held, *failed)
    if held and not ranked.effects:
        fit = [n for n in look.members if n != target and best_names(record, n) and not look.failed(n)]
        if fit and look.role(fit[0]) is not None:
            return open_operation(look, fit[0], Kind.BACK, f"{'; '.join(held)}; the best path still names {fit[0]}")
    return Decision(ranked.record, ranked.effects, held)


def _other_target(look: Look, why: str) -> Decision:
    if look.kind is Kind.SWITCHOVER:
        return _back(look, why)
    other = elect(look.service, look.observed, look.record, look.timing, without=look.record.target)
    if other is None:
        why_nobody = why_not(look.service, look.observed, look.record, look.timing)
        return Decision(look.record, held=("no member is fit to serve", *why_nobody))
    return open_operation(look, other, Kind.NEXT, why)


def _back(look: Look, why: str) -> Decision:
    """A switchover that did not work out: the old holder serves again, if it is still there."""
    previous = look.record.operation.previous if look.record.operation else None
    if previous is None or look.failed(previous):
        previous = elect(look.service, look.observed, look.record, look.timing, without=look.record.target)
    if previous is None:
        return Decision(look.record, held=(f"{why}, and no other member is fit to serve",))
    return open_operation(look, previous, Kind.BACK, why)


def _grant(look: Look) -> Decision:
    """Steps 4-6: lift the target, promote it, and verify. A target that fails meanwhile is followed by the next one."""
    record, target = look.record, look.record.target or ""
    if failing := _failover(look):
        return failing
    if look.role(target) == (record.epoch, Role.STANDBY):
        return _renew(look, target)
    lifting = lift(look, target)
    promoting = promote(look, target)
    if lifting is not None and (lifting.effects or lifting.record != record):
        return Decision(lifting.record, lifting.effects + promoting, lifting.held, lifting.because)
    held = lifting.held if lifting else ()
    if promoting:
        return Decision(record, promoting, held)
    if look.role(target) != (record.epoch, Role.SERVING):
        return _not_serving_yet(look, target, held)
    if held:
        return Decision(record, held=held)
    return verify(look, target)


def _renew(look: Look, holder: str) -> Decision:
    """The holder was promoted at this epoch and now stands by at it (its disk was lost or moved): it needs a newer one."""
    return open_operation(look, holder, Kind.RENEW, f"{holder} lost its role at epoch {look.record.epoch}")


def _not_serving_yet(look: Look, target: str, held: tuple[str, ...]) -> Decision:
    refused = [why for effect, why in look.observed.tried.items() if isinstance(effect, SendPromote)]
    why = f"{target} does not serve yet: {'; '.join(refused) or look.judge(target).because}"
    if look.kind is Kind.SWITCHOVER and refused:
        return _back(look, why)
    return Decision(look.record, held=(*held, why))


# --- stable ----------------------------------------------------------------------------------------------------------


def _failover(look: Look) -> Decision | None:
    """Whether the holder must be replaced, and by whom; None when it need not be (safety.md section 4, the table)."""
    holder = look.record.target or ""
    judgement = look.judge(holder)
    backend = look.observed.backend(holder)
    kind, reason = Kind.FAILOVER, judgement.because
    if backend is not None and backend.admin_state is AdminState.DOWN and holder not in look.record.owed:
        reason = f"{holder}: an operator set its adminState to Down"
    elif judgement.row is Row.PROBE_DOWN:
        kind = Kind.PROBE
        if look.kind is Kind.PROBE and is_recent(look):
            why = f"{reason}; it was so with the last holder too: the probe's path is at fault (NSG, 168.63.129.16)"
            return Decision(look.record, held=(why,))
        if may_be_of_before(look, holder):
            return None
    elif judgement.verdict is Verdict.UNKNOWN:
        return Decision(look.record, held=(f"left alone: {reason}",))
    elif not announces(look.service, holder, look.observed):
        reason = f"{holder} has no BGP session and announces itself: nothing reaches it"
    elif judgement.verdict is not Verdict.FAILED:
        return None
    other = elect(look.service, look.observed, look.record, look.timing, without=holder)
    if other is None:
        return Decision(look.record, held=(f"{reason}; but no other member is fit, so it keeps its role",))
    ready = "" if is_ready(look.service, other, look.observed) else ", as a last resort: it has no Established session"
    return open_operation(look, other, kind, f"{reason}; {other} takes over{ready}")


def _keep(look: Look, freshly_in_doubt: bool) -> Decision:
    """Stable: replace a failed holder, repair a role that was lost, and bring the others back (step 7)."""
    record, holder = look.record, look.record.target or ""
    if failing := _failover(look):
        return failing
    if look.role(holder) == (record.epoch, Role.STANDBY):
        return _renew(look, holder)
    if promoting := promote(look, holder):
        return Decision(record, promoting, because=(f"{holder} should serve at epoch {record.epoch}: told again",))
    if fencing := _others_stand_by(look, holder):
        return fencing
    proven = {name for name in look.members if name != holder and look.acked(name)}
    if record.may_serve & proven:
        left = replace(record, may_serve=record.may_serve - proven, acks=record.acks | acks_of(look, proven))
        return Decision(
            left, because=tuple(f"{n} acknowledged: it stands by" for n in sorted(record.may_serve & proven))
        )
    for name in sorted(proven):
        if not is_rehearsed(look, name) and (lifting := lift(look, name)):
            return lifting
    if moving := _discretionary(look, holder):
        return moving
    status = look.observed.status(holder)
    if freshly_in_doubt and holder in record.tallies and status is not None:
        again = SendPromote(holder, record.epoch, status.boot_id)
        return Decision(record, (again,), because=(f"{holder} serves, but its probe fails: told again",))
    left_over = _left_over(look)
    return Decision(record, held=left_over, alarms=_alarms(look, holder), settled=not left_over)


def _others_stand_by(look: Look, holder: str) -> Decision | None:
    """FENCE at the record's epoch for everybody else. Several serving is a conflict: they are fenced one at a time."""
    record = look.record
    late = [n for n in look.members if n != holder and look.role(n) is not None and not look.acked(n)]
    fences = [f for n in late if (f := SendFence(n, record.epoch)) not in look.observed.tried]
    serving = [f for f in fences if look.serves(f.member)]
    if len(serving) > 1:
        fences = serving[:1]
    if not fences:
        return None
    conflict = f"conflict: {', '.join(f.member for f in serving)} serves beside {holder}; " if serving else ""
    return Decision(record, tuple(fences), because=tuple(f"{conflict}{f.member} should stand by" for f in fences))


def _discretionary(look: Look, holder: str) -> Decision | None:
    """Moves that nobody needs now: away from a drained holder, or back to a higher priority where `preempt` is `ready`."""
    other = elect(look.service, look.observed, look.record, look.timing, without=holder)
    if is_drained(holder, look.record, look.observed.at):
        drain = look.record.drains[holder]
        if other is None or not is_ready(look.service, other, look.observed):
            return Decision(look.record, held=(f"{holder} is drained by {drain.by}, but no other member is ready",))
        return open_operation(look, other, Kind.SWITCHOVER, f"{holder} is drained by {drain.by}")
    if (coming := maintained(holder, look.observed)) and other and _lasts(look, other):
        return open_operation(look, other, Kind.SWITCHOVER, f"the platform announces for {holder}: {coming}")
    if look.service.failover.preempt != "ready":
        return None
    ready = {n: at for n, at in _ready_since(look).items() if _outranks(look, n, holder)}
    if ready != look.record.ready_since:
        return Decision(replace(look.record, ready_since=ready))
    operation = look.record.operation
    if operation is None or look.observed.at - operation.started < look.service.failover.return_after:
        return None
    long_ready = [n for n in look.members if n in ready and look.observed.at - ready[n] >= look.timing.ready_for]
    if not long_ready:
        return None
    return open_operation(look, long_ready[0], Kind.SWITCHOVER, f"{long_ready[0]} returns: it outranks {holder}")


def _lasts(look: Look, member: str) -> bool:
    return is_ready(look.service, member, look.observed) and maintained(member, look.observed) is None


def _ready_since(look: Look) -> dict[str, datetime]:
    return {
        n: look.record.ready_since.get(n, look.observed.at)
        for n in look.members
        if is_ready(look.service, n, look.observed)
        and look.acked(n)
        and not is_drained(n, look.record, look.observed.at)
    }


def _outranks(look: Look, member: str, holder: str) -> bool:
    return look.service.member(member).priority > look.service.member(holder).priority


def _left_over(look: Look) -> tuple[str, ...]:
    record = look.record
    waiting = sorted((record.may_serve - {record.target}) | record.owed.keys())
    doubts = sorted(record.tallies.keys() - set(waiting))
    return (
        *(f"waiting for {name} to come back: {look.judge(name).because}" for name in waiting),
        *(_doubt(look, name) for name in doubts),
    )


def _doubt(look: Look, holder: str) -> str:
    failed = f"in doubt: the load balancer's probe of {holder} failed {look.record.tallies[holder].bad} time(s)"
    if not may_be_of_before(look, holder):
        return failed
    return f"{failed}; it was not seen to rise since the promotion, so {look.timing.verify_looks} are waited for"


def _alarms(look: Look, holder: str) -> tuple[str, ...]:
    """What a person should know although nothing is to be done."""
    silent = [n for n in look.members if look.judge(n).row is Row.FIT_UNHEARD]
    down = {
        n: s for n in look.members if (s := look.observed.status(n)) and s.sessions and not all(s.sessions.values())
    }
    up = [n for n in look.members if (b := look.observed.backend(n)) and b.probed is Value.OK]
    kept_out = [n for n in look.members if (b := look.observed.backend(n)) and b.admin_state is AdminState.DOWN]
    alarms = [f"{name}: its peers do not hear it, although it is fit" for name in silent]
    alarms += [
        f"adminState of {name} is Down, and not by us: an operator's, or of a record that was lost"
        for name in kept_out
        if name not in look.record.owed
    ]
    if down and len(down) == len(look.members):
        alarms.append("no member has all its BGP sessions Established: the Route Server, or the way to it")
    elif holder in down:
        alarms.append(f"{holder} has BGP sessions that are not Established; the others announce the same next hop")
    if len(up) > 1:
        alarms.append(f"the load balancer's probe succeeds on {', '.join(up)}")
    return tuple(alarms)


# --- both ------------------------------------------------------------------------------------------------------------


def _everybody_serves(look: Look) -> Decision:
    """active-active: every fit member serves; exclusivity is not promised, the probe decides who gets flows."""
    record, at = look.record, look.observed.at
    drained = {n for n in look.members if is_drained(n, record, at)}
    wanted = [n for n in look.members if n not in drained]
    fences = tuple(
        f
        for n in sorted(drained)
        if look.role(n) is not None
        and not look.acked(n)
        and (f := SendFence(n, record.epoch)) not in look.observed.tried
    )
    if any(look.role(f.member) == (record.epoch, Role.SERVING) for f in fences) or any(look.acked(n) for n in wanted):
        why = "a member was drained, or is back, at this epoch: it needs a newer one"
        return Decision(replace(record, epoch=record.epoch + 1, may_serve=frozenset(look.members)), because=(why,))
    effects = fences + tuple(effect for name in wanted for effect in promote(look, name))
    if effects:
        return Decision(record, effects, because=tuple(f"{e.member}: {type(e).__name__}" for e in effects))
    healthy = [n for n in wanted if look.serves(n) and not look.failed(n)]
    held = tuple(look.judge(name).because for name in wanted if name not in healthy)
    least = look.service.min_healthy or 1
    if len(healthy) < least:
        held = (f"only {len(healthy)} of at least {least} members are healthy", *held)
    return Decision(record, held=held, settled=not held)


def _advertise(look: Look, decision: Decision) -> Decision:
    """Members announce the prefixes with the frontend as next hop, whatever their role: it rides along, once known."""
    if decision.record.phase is Phase.LEARN or not isinstance(look.observed.balancer, BalancerReading):
        return decision
    record = next_advertised(look.service, look.observed.balancer.frontend, decision.record)
    effects = stale_advertisements(look.service, look.observed, record)
    settled = decision.settled and not effects and record == decision.record
    return Decision(record, decision.effects + effects, decision.held, decision.because, decision.alarms, settled)


def _tell_outward(look: Look, decision: Decision) -> Decision:
    """What on-premises neighbours hear comes last: only at rest, and only where nothing else is to be done."""
    record = decision.record
    if record.phase is not Phase.STABLE or record != look.record or decision.effects:
        return decision
    record, effects = next_outward(look.service, look.observed, record)
    if not effects:
        record = decision.record
    settled = decision.settled and not effects
    alarms = decision.alarms + outward_alarms(look.service, look.observed)
    return Decision(record, effects, decision.held, decision.because, alarms, settled)


def _announce(look: Look, decision: Decision) -> Decision:
    """Ranked: whoever follows is told so, and at rest the paths are lengthened again. It rides along once granted."""
    record, holder = decision.record, decision.record.holder
    if holder is None or record.epoch != look.record.epoch or any(isinstance(e, SendPath) for e in decision.effects):
        return decision
    ranked = outrank_for(look.service, look.observed, record, holder)
    held = ranked.held
    if record.phase is Phase.STABLE and ranked.record == record and not ranked.effects:
        ranked = back_to_rest(look.service, look.timing, look.observed, record, holder)
        held += ranked.held
    settled = decision.settled and not ranked.effects and not held and ranked.record == decision.record
    return Decision(
        ranked.record,
        decision.effects + ranked.effects,
        decision.held + held,
        decision.because,
        decision.alarms,
        settled,
    )
