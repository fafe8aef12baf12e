"""The decision for one service: what the record should say next, which effects that permits, what is held and why.

    decide(look) -> Decision(record, effects, held, because, alarms)

One step per call. The caller writes `record` by compare-and-swap BEFORE it performs `effects`, adds what came of them
to `observed`, and calls again; a step is over when it is no longer decided. The steps are in `protocol`:

    learn ──▶ fencing ──▶ granted ──▶ stable          R1 may_serve += target is durable before PROMOTE exists
      ▲          │  ▲        │          │             R2 a grant needs a proof for every other may_serve
      └─ epoch above ours    └─ failed ─┘             R3 F1 is an acknowledgement at the record's epoch, noted by CAS
                                                      R4 F2 is our own write of this operation, seen in both planes
                                                      R6 believe less before permitting more: fenced -= j, then None

Outside `learn` and `fencing`, |may_serve minus fenced| is at most 1: at most one member is eligible. No clock is used
for that; time only spaces, expires what operators said, and ends patience.
"""

from collections.abc import Iterator
from dataclasses import replace as with_changes
from datetime import datetime

from msgspec.structs import replace

from function_app.domain.service.active_active import everybody_serves
from function_app.domain.service.confirm import is_recent, may_predate, reached_only, with_probes
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import (
    elect,
    is_down_by_operator,
    is_drained,
    is_last_choice,
    is_surely_down_by_operator,
    maintained,
    set_back,
    unable,
    why_not,
)
from function_app.domain.service.health import (
    HealthRow,
    Judgement,
    Verdict,
    has_failed,
    has_session,
    is_ready,
    is_seen,
    judge,
    probe_of_silent,
)
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.learn import behind, learn, relearn
from function_app.domain.service.leaving import leave
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading, Role, Value
from function_app.domain.service.outward import next_outward, outward_alarms
from function_app.domain.service.patience import patience_is_over, with_patience
from function_app.domain.service.protocol import (
    acks_of,
    back,
    lift,
    once_more,
    open_operation,
    promote,
    take_back,
    undone,
    without_fences,
)
from function_app.domain.service.record import Kind, Phase, Record
from function_app.domain.service.referents import noted
from function_app.domain.service.rehearsal import is_rehearsed
from function_app.domain.service.steps import REFUSED, SendFence, SendPromote
from function_app.domain.topology.model import Mode

OVERTAKEN_MAX = 1
"""How often in a row a record is behind that was lost or put back."""
SILENT = (HealthRow.SILENT, HealthRow.APPLIANCE_SILENT)
PROBE_DOWN = (HealthRow.PROBE_DOWN, HealthRow.APPLIANCE_DOWN)
ADMITTED_LOOKS = 2
"""How often the probe of a member that should not serve must succeed before it counts: health shows a change late."""


def decide(look: Look) -> Decision:
    """See the module. `look.at` is the only time that is used.

    | the record                                     | then                                        |
    |------------------------------------------------|---------------------------------------------|
    | a newer version wrote it                       | only observed                               |
    | an operator retired or released the service    | `leave`                                     |
    | it cannot explain what was observed            | learn again (`learn.behind`)                |
    | learn                                          | look until enough was seen                  |
    | any other phase, active-active                 | every fit member serves                     |
    | no member is named in it                       | learn again: it was active-active before    |
    | fencing: an operation, no member granted yet   | `_fence`                                    |
    | granted: the target may serve                  | `_grant`                                    |
    | stable                                         | `_keep`                                     |
    """
    given = look.record
    if given.too_new:
        return Decision(given, held=(given.too_new,))
    if given.leaving is not None:
        return leave(look)
    next_hop = kind_of(look.service)
    look = look.with_record(_named(look))
    look = look.with_record(with_probes(look))
    look = look.with_record(next_hop.noted(look))
    if given.phase is not Phase.LEARN and (why := behind(look)):
        look = look.with_record(replace(look.record, overtaken=once_more(look, look.record.overtaken)))
        return _with_rival(look, relearn(look, why))
    decision = with_patience(look, _due(look, freshly_in_doubt=look.record.tallies != given.tallies))
    return _with_rival(look, _with_outward(look, next_hop.announce(look, decision)))


def _with_rival(look: Look, decision: Decision) -> Decision:
    """With the alarm that another app commands the same agents: a record that was lost or put back is behind once."""
    row = look.record.overtaken
    if row is None or row.count <= OVERTAKEN_MAX or look.at - row.last > look.timing.spacing_forget:
        return decision
    alarm = (
        f"{row.count} times in a row agents obeyed commands of ours that this record knows nothing of: another app has our "
        "signing key and a storage of its own, and each learns again after the other (or the record is put back again and again)"
    )
    return with_changes(decision, alarms=(*decision.alarms, alarm))


def _named(look: Look) -> Record:
    """The record with what its names stand for, and what is wrong with the load balancer."""
    record, reading = look.record, look.observed.balancer
    if isinstance(reading, BalancerReading):
        record = replace(record, flaws=reading.flaws)
    elif look.observed.contested is not None:
        record = replace(record, flaws=look.observed.contested)
    if look.named is None:
        return record
    return replace(record, about=noted(record.about, look.named, record.believed))


def _due(look: Look, freshly_in_doubt: bool) -> Decision:
    """The step that is due in the record's phase."""
    if look.record.phase is Phase.LEARN:
        return learn(look)
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        return everybody_serves(look)
    target = look.record.target
    if target is None:  # every member served until the document made it active-passive
        return relearn(look, "the record names no member that is to serve")
    if look.record.phase is Phase.FENCING:
        return _fence(look.with_record(without_fences(look.record, undone(look))), target)
    if again := _fence_again(look, target):
        return again
    if look.record.phase is Phase.GRANTED:
        return _grant(look, target)
    return _keep(look, target, freshly_in_doubt)


def _fence_again(look: Look, holder: str) -> Decision | None:
    """A fence is a belief about a pool that others write too: each reading confirms it, or it is made anew; so with a
    member to which nothing was granted and which the load balancer admits at two looks (safety.md section 2b)."""
    gone = undone(look)
    loose = {name: why for name in look.members if (why := _gets_flows(look, name))}
    if not gone and not loose:
        return None
    doubted = look.with_record(without_fences(look.record, gone))
    doubted = doubted.with_record(replace(doubted.record, may_serve=doubted.record.may_serve | loose.keys()))
    failing = _failover(doubted, holder)
    if failing is not None and failing.record.epoch != look.record.epoch:
        return failing
    lifted = [f"adminState of {name} is no longer Down" for name in gone]
    return open_operation(doubted, holder, Kind.RENEW, "; ".join([*lifted, *loose.values()]))


def _gets_flows(look: Look, member: str) -> str | None:
    """Why a member beside the holder gets new flows, or would, so that it must be fenced; None where it does not."""
    record = look.record
    if member == record.holder or member in record.fenced:
        return None
    if look.is_appliance(member):
        fenced = kind_of(look.service).has_fence(look.service)
        return f"{member} has no agent, and its adminState is not Down by us" if fenced else None
    count = record.admitted.get(member)
    is_lasting = count is not None and count.bad >= ADMITTED_LOOKS
    return f"the load balancer admits {member}, whose agent does not answer" if is_lasting else None


# --- an operation under way ------------------------------------------------------------------------------------------


def _fence(look: Look, target: str) -> Decision:
    """No member is granted yet: another target if this one failed, else what is still missing for the proof."""
    if look.record.is_shared:
        return kind_of(look.service).prove(look, target)
    if has_failed(look, target) or (look.role(target) is None and target not in look.record.may_serve):
        return _other_target(look, f"{target} failed before it was granted")
    if look.role(target) is None and look.kind not in (Kind.BACK, Kind.RENEW):
        # It may be serving, and only we cannot reach it: no other member is fenced for it then, for a while.
        return _waited_for(look, target, judge(look, target).because)
    return kind_of(look.service).prove(look, target)


def _other_target(look: Look, why: str) -> Decision:
    if look.kind is Kind.SWITCHOVER:
        return back(look, why)
    other = elect(look, without=None)  # the target is not fit
    if other is None:
        return Decision(look.record, held=("no member is fit to serve", *why_not(look)))
    return open_operation(look, other, Kind.NEXT, why)


def _grant(look: Look, target: str) -> Decision:
    """Steps 4-6: lift the target, promote it, confirm it. A target that fails meanwhile is followed by the next one."""
    record = look.record
    if failing := _failover(look, target):
        going_on = failing.effects or failing.record != record
        return failing if going_on else _waited_for(look, target, *failing.held)
    if look.role(target) == (record.epoch, Role.STANDBY):
        return _renew(look, target)
    lifting = lift(look, target)
    promoting = promote(look, target)
    if lifting is not None and (lifting.effects or lifting.record != record):
        return with_changes(lifting, effects=lifting.effects + promoting)
    held = lifting.held if lifting else ()
    if promoting:
        return Decision(record, promoting, held)
    if look.role(target) != (record.epoch, Role.SERVING):
        return _not_serving_yet(look, target, held)
    if held:
        return _waited_for(look, target, *held)
    return kind_of(look.service).confirm(look, target)


def _renew(look: Look, holder: str) -> Decision:
    """The holder was promoted at this epoch and now stands by at it (its disk was lost or moved): it needs a newer one."""
    return open_operation(look, holder, Kind.RENEW, f"{holder} lost its role at epoch {look.record.epoch}")


def _not_serving_yet(look: Look, target: str, held: tuple[str, ...]) -> Decision:
    """A refusal makes it the last choice, and is not waited for while another member is a better one (safety.md section 4)."""
    failed = [why for effect, why in look.observed.tried.items() if isinstance(effect, SendPromote)]
    why = f"{target} does not serve yet: {'; '.join(failed) or judge(look, target).because}"
    if any(what.startswith(REFUSED) for what in failed):
        look = set_back(look, target)
        other = elect(look, without=target)
        serves = look.serves(target) or look.is_admitted(target)
        if other is not None and not is_last_choice(look, other) and not serves:
            return _followed(look, other, why)
    if look.kind is Kind.SWITCHOVER and failed:
        return back(look, why)
    return _waited_for(look, target, *held, why)


def _waited_for(look: Look, target: str, *held: str) -> Decision:
    """Held until patience is over; then the next member follows, unless the target serves, whoever cannot reach it."""
    other = elect(look, without=target)
    if other is None or not patience_is_over(look) or _still_serves(look, target, other):
        return Decision(look.record, held=held)
    return _followed(look, other, held[-1])


def _followed(look: Look, other: str, why: str) -> Decision:
    return back(look, why) if look.kind is Kind.SWITCHOVER else open_operation(look, other, Kind.NEXT, why)


def _still_serves(look: Look, member: str, other: str) -> bool:
    """Whether the load balancer's probe succeeds, or its agent reports so, at whichever epoch: but for one that gets no new
    flows, as its probe fails or no pool lists it, while another member is more than a last choice."""
    fails = look.probed(member) is Value.BAD and not is_last_choice(look, other)
    return look.is_admitted(member) or (look.serves(member) and not fails)


# --- stable ----------------------------------------------------------------------------------------------------------


def _failover(look: Look, holder: str) -> Decision | None:
    """Whether the holder must be replaced, and by which member; None when it need not be (safety.md section 4, the table).

    | the holder                                        | then                                                      |
    |---------------------------------------------------|-----------------------------------------------------------|
    | is Down by an operator, or no pool lists it       | another one; a Down that health contradicts is waited for |
    | is fit, but its probe fails (`PROBE_DOWN`)        | another one, unless that is stale, or was tried just now  |
    |                                                   | and the probe gets an answer of no other one either       |
    | cannot be judged                                  | left alone                                                |
    | is silent, and the load balancer was not read     | left alone while its probe succeeds (`_probed_still`)     |
    | is its own next hop, and only others have sessions | another one                                              |
    | failed                                            | another one                                               |
    """
    judgement = judge(look, holder)
    reason = judgement.because
    if out := _taken_out(look, holder, judgement):
        reason = out
    elif judgement.row is HealthRow.PROBE_DOWN:
        return _by_probe_alone(look, holder, reason)
    elif judgement.row is HealthRow.APPLIANCE_DOWN and (look.is_unlisted(holder) or may_predate(look, holder)):
        return None
    elif judgement.verdict is Verdict.UNKNOWN:
        return Decision(look.record, held=(f"left alone: {reason}",))
    elif judgement.row in SILENT and (probed := _probed_still(look, holder, reason)):
        return probed
    elif _is_cut_off(look, holder):
        reason = f"{holder} has no BGP session and announces itself: nothing reaches it"
    elif judgement.verdict is not Verdict.FAILED:
        return _late_down(look, holder)
    return _replaced(look, holder, Kind.FAILOVER, reason)


def _by_probe_alone(look: Look, holder: str, reason: str) -> Decision | None:
    """A holder that finds itself fit and whose probe fails: another one, unless that was tried just now or is stale."""
    if look.is_unlisted(holder):
        return None
    if look.kind is Kind.PROBE and is_recent(look) and reached_only(look, holder) is None:
        why = f"{reason}; it was so with the last holder too: the probe's path is at fault (NSG, 168.63.129.16)"
        return Decision(look.record, held=(why,))
    return None if may_predate(look, holder) else _replaced(look, holder, Kind.PROBE, reason)


def _taken_out(look: Look, holder: str, judgement: Judgement) -> str | None:
    """How an operator took it out of the pool, if so. Where no pool lists the member that would follow, a move would not help."""
    if is_down_by_operator(look, holder):
        return f"{holder}: an operator set its adminState to Down" if is_surely_down_by_operator(look, holder) else None
    if judgement.row not in PROBE_DOWN or not look.is_unlisted(holder):
        return None
    other = elect(look, without=holder)
    return judgement.because if other is not None and not look.is_unlisted(other) else None


def _late_down(look: Look, holder: str) -> Decision | None:
    """Held, where a Down is not ours and health contradicts it: the pool may be shown as it was a minute ago."""
    backend = look.backend(holder)
    if backend is None or not is_down_by_operator(look, holder):
        return None
    why = f"adminState of {holder} is Down, but health says {backend.reason}: one of them is late"
    return Decision(look.record, held=(why,))


def _probed_still(look: Look, holder: str, reason: str) -> Decision | None:
    """A probe that still succeeds once it should have found out says that only our path and the peers' is broken."""
    wait = probe_of_silent(look, holder)
    if wait is None or wait in look.observed.awaited:
        return None
    if wait in look.observed.tried:
        return Decision(look.record, held=(f"left alone: {reason}, but {look.observed.tried[wait]}",))
    return Decision(look.record, (wait,), because=(f"{reason}: what the load balancer's probe finds is waited for",))


def _is_cut_off(look: Look, holder: str) -> bool:
    """Whether a holder that is its own next hop, and answers, has no BGP session, and the member that would follow it has one.
    Where no announcer has any, the Route Server or the way to it is at fault (safety.md section 3)."""
    if not kind_of(look.service).holder_announces or look.status(holder) is None or has_session(look, holder):
        return False
    other = elect(look, without=holder)
    return other is None or has_session(look, other)


def _replaced(look: Look, holder: str, kind: Kind, reason: str) -> Decision:
    other = elect(look, without=holder)
    if other is None:
        return Decision(look.record, held=(f"{reason}; but no other member is fit, so it keeps its role",))
    if look.is_appliance(holder) and has_failed(look, holder):
        look = set_back(look, holder)
    ready = "" if is_ready(look, other) else ", as a last resort: it has no Established session"
    ready += "" if is_seen(look, other) else ", and nothing shows whether it is well"
    return open_operation(look, other, kind, f"{reason}; {other} takes over{ready}")


def _keep(look: Look, holder: str, freshly_in_doubt: bool) -> Decision:
    """Stable: replace a failed holder, repair a role that was lost, and bring the others back (step 7).

    The first of these that has something to do is the decision; where none has, the service is at rest.
    """
    record, promoting = look.record, promote(look, holder)
    if promoting and look.is_unconfirmed(holder):  # first: its probe fails for that alone
        return Decision(record, promoting, because=(_why_again(look, holder),))
    if failing := _failover(look, holder):
        return failing
    if look.role(holder) == (record.epoch, Role.STANDBY):
        return _renew(look, holder)
    if promoting:
        return Decision(record, promoting, because=(_why_again(look, holder),))
    return (
        _others_stand_by(look, holder)
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
    record, status = look.record, look.status(holder)
    if not freshly_in_doubt or holder not in record.tallies or status is None:
        return None
    again = SendPromote(holder, record.epoch, status.boot_id)
    return Decision(record, (again,), because=(f"{holder} serves, but its probe fails: sent again",))


def _at_rest(look: Look, holder: str) -> Decision:
    left_over = _left_over(look)
    return Decision(look.record, held=left_over, alarms=tuple(_alarms(look, holder)), settled=not left_over)


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


def _alarms(look: Look, holder: str) -> Iterator[str]:
    """What a person should know although nothing is to be done."""
    for name in look.members:
        yield from _alarms_of(look, name)
    yield from _balancer_alarms(look)
    yield from _session_alarms(look, holder)
    yield from _redundancy_alarms(look, holder)


def _balancer_alarms(look: Look) -> Iterator[str]:
    for name in look.members:
        if is_down_by_operator(look, name):
            yield f"adminState of {name} is Down, and not by us: an operator's, or ours of a record that was lost or forgot it"
    yield from look.record.flaws
    up = [name for name in look.members if look.is_admitted(name)]
    if len(up) > 1:
        yield f"the load balancer's probe succeeds on {', '.join(up)}"


def _alarms_of(look: Look, member: str) -> Iterator[str]:
    """Those that the agent of one member is the reason for."""
    status, role = look.status(member), look.role(member)
    if status is not None and status.excused:
        yield f"{member} goes on answering although checks fail, as no member passes them: {'; '.join(status.excused)}"
    yield from (f"{member}: {alarm}" for alarm in (status.alarms if status is not None else ()))
    if judge(look, member).row is HealthRow.FIT_UNHEARD:
        yield f"{member}: its peers do not hear it, although it is fit"
    if role is not None and role[0] > look.record.epoch:
        yield f"{member} claims epoch {role[0]}, and shows no command of ours: it is not believed"


def _redundancy_alarms(look: Look, holder: str) -> Iterator[str]:
    """Standbys that could not take over, and what that means for the next failure."""
    others = [name for name in look.members if name != holder]
    lacking = {name: why for name in others if (why := unable(look, name))}
    if not lacking:
        return
    able = [name for name in others if name not in lacking]
    means = f"{', '.join(able)} still can" if able else "no redundancy: the next failure is an outage"
    yield f"cannot take over: {'; '.join(lacking.values())}; {means}"


def _session_alarms(look: Look, holder: str) -> Iterator[str]:
    announcers = look.service.announcers
    down = [name for name in announcers if _has_sessions_down(look, name)]
    moves = kind_of(look.service).holder_announces
    others = (
        "where one is missing, another member is the next hop" if moves else "the others announce the same next hop"
    )
    if down and len(down) == len(announcers):
        yield "no announcer has all its BGP sessions Established: the Route Server, or the way to it"
    elif holder in down:
        yield f"{holder} has BGP sessions that are not Established; {others}"


def _has_sessions_down(look: Look, member: str) -> bool:
    status = look.status(member)
    return status is not None and bool(status.sessions) and not all(status.sessions.values())


def _with_outward(look: Look, decision: Decision) -> Decision:
    """What on-premises neighbours receive comes last: only at rest, and only where nothing else is to be done."""
    record = decision.record
    if record.phase is not Phase.STABLE or record != look.record or decision.effects:
        return decision
    numbered, effects = next_outward(look.with_record(record))
    return with_changes(
        decision,
        record=numbered if effects else record,
        effects=effects,
        alarms=decision.alarms + outward_alarms(look),
        settled=decision.settled and not effects,
    )
