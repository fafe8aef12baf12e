"""The decision for one service: what the record should say next, which effects that permits, what is held and why.

    decide(service, timing, observed, record) -> Decision(record, effects, held, because)

One step per call. The caller writes `record` by compare-and-swap BEFORE it performs `effects`, adds what came of them
to `observed`, and asks again; a step is over when it is no longer decided. The protocol is safety.md section 2:

    learn ──▶ fencing ──▶ granted ──▶ stable          R1 may_serve += target is durable before PROMOTE exists
      ▲          │  ▲        │          │             R2 a grant needs a proof for every other may_serve
      └─ epoch above ours    └─ failed ─┘             R3 F1 is an acknowledgement at the record's epoch, noted by CAS
                                                      R4 F2 is our own write of this operation, seen in both planes
                                                      R6 believe less before permitting more: fenced -= j, then None

Outside `learn` and `fencing`, |may_serve minus fenced| is at most 1: at most one member is eligible. No clock is used.
"""

from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from function_app.domain.advertise import next_advertised, stale_advertisements
from function_app.domain.election import elect
from function_app.domain.health import Verdict, is_ready, judge, tally
from function_app.domain.observation import AdminState, BalancerReading, Observed, Role, Unreachable, Value
from function_app.domain.record import SCHEMA, Ack, Fence, Learning, Operation, Phase, Record
from function_app.domain.steps import Effect, FenceByBalancer, LiftByBalancer, SendFence, SendPromote
from function_app.domain.timing import Timing
from function_app.domain.topology import Mode, Service


@dataclass(frozen=True, slots=True)
class Decision:
    """`record` equal to the one given means that nothing durable changes. `held` says what is wanted but not permitted."""

    record: Record
    effects: tuple[Effect, ...] = ()
    held: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    settled: bool = False
    """Nothing is left to do until something changes."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything a rule may look at."""

    service: Service
    timing: Timing
    observed: Observed
    record: Record

    @property
    def members(self) -> tuple[str, ...]:
        return self.service.names

    def role(self, member: str) -> tuple[int, Role] | None:
        mine = self.observed.service(member, self.service.name)
        return (mine.epoch, mine.role) if mine else None

    def acked(self, member: str) -> bool:
        """F1: the agent itself says, signed, that it stands by at the record's epoch (R3)."""
        return self.role(member) == (self.record.epoch, Role.STANDBY)

    def failed(self, member: str) -> bool:
        return judge(member, self.observed, self.record, self.timing).verdict is Verdict.FAILED


def decide(service: Service, timing: Timing, observed: Observed, record: Record) -> Decision:
    """See the module. `observed.at` is the time that is noted; nothing is decided by it but learning's patience."""
    if record.schema > SCHEMA:
        return Decision(record, held=(f"the record's schema {record.schema} is newer than ours: observing only",))
    look = _Look(service, timing, observed, _with_tallies(service, timing, observed, record))
    newest = _newest_epoch(look)
    if newest > record.epoch and record.phase is not Phase.LEARN:
        return _relearn(look, newest)
    match record.phase:
        case Phase.LEARN:
            decision = _learn(look)
        case _ if service.mode is Mode.ACTIVE_ACTIVE:
            decision = _everybody_serves(look)
        case Phase.FENCING:
            decision = _fence(look)
        case Phase.GRANTED:
            decision = _grant(look)
        case Phase.STABLE:
            decision = _keep(look)
    return _advertise(look, decision)


def _with_tallies(service: Service, timing: Timing, observed: Observed, record: Record) -> Record:
    """Counts this look's health reasons, once stable: a standby's 503 is expected, and so is a fresh holder's."""
    if not isinstance(observed.balancer, BalancerReading) or record.phase is not Phase.STABLE:
        return record
    counts = {}
    for name in service.names:
        backend = observed.backend(name)
        mine = observed.service(name, service.name)
        standing_by = mine is not None and mine.role is Role.STANDBY
        probed = Value.OK if standing_by else backend.probed if backend else Value.UNKNOWN
        count = tally(record.tallies.get(name), probed, observed.at, timing)
        if count is not None:
            counts[name] = count
    return record if counts == record.tallies else replace(record, tallies=counts)


def _newest_epoch(look: _Look) -> int:
    return max((role[0] for name in look.members if (role := look.role(name))), default=0)


def _relearn(look: _Look, newest: int) -> Decision:
    """An agent obeyed an epoch that the record never heard of: believe nothing, look again (safety.md, `learn`)."""
    record = replace(
        look.record,
        phase=Phase.LEARN,
        may_serve=look.record.may_serve | frozenset(look.members),
        fenced={},
        owed=look.record.owed | look.record.fenced.keys(),
        acks={},
        operation=None,
        learning=Learning(since=look.observed.at),
    )
    why = f"an agent is at epoch {newest}, the record only at {look.record.epoch}: learning again, observing only"
    return Decision(record, held=(why,))


def _learn(look: _Look) -> Decision:
    """Observe only, until enough complete rounds were seen; then everyone is fenced but the one that should serve."""
    at, timing = look.observed.at, look.timing
    learning = look.record.learning or Learning(since=at)
    unheard = [n for n in look.members if look.role(n) is None and not look.failed(n)]
    if unheard:
        record = replace(look.record, learning=learning)
        return Decision(record, held=tuple(f"learning: {judge_line(look, name)}" for name in unheard))
    if learning.last != at:
        learning = replace(learning, rounds=learning.rounds + 1, last=at)
    learned = replace(look.record, learning=learning)
    if learning.rounds < timing.learn_rounds or at - learning.since < timing.learn_for:
        patience = max(timing.learn_for - (at - learning.since), timedelta(0))
        seen = f"{learning.rounds} of {timing.learn_rounds} complete rounds"
        return Decision(learned, held=(f"learning: {seen}, {patience.total_seconds():.0f} s to go",))
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        epoch = max(look.record.epoch, _newest_epoch(look), 1)
        return Decision(replace(learned, phase=Phase.STABLE, epoch=epoch, learning=None), because=("learned",))
    serving = [n for n in look.members if (role := look.role(n)) and role[1] is Role.SERVING and not look.failed(n)]
    target = serving[0] if len(serving) == 1 else elect(look.service, look.observed, look.record, timing, without=None)
    if target is None:
        return Decision(learned, held=("learned, but no member is fit to serve",))
    what = f"{target} serves already" if serving == [target] else f"{target} is the best of the fit members"
    return _open(look, target, "adopt", f"learned: {what}")


def _open(look: _Look, target: str, kind: str, reason: str) -> Decision:
    """Step 1: a higher epoch, a target, and nobody granted until every other may_serve is proven."""
    at = look.observed.at
    epoch = max(look.record.epoch, _newest_epoch(look)) + 1
    operation = Operation(
        id=f"{look.service.name}-{epoch}",
        kind=kind,
        reason=reason,
        started=at,
        deadline=at + look.timing.operation_deadline,
        attempt=look.record.operation.attempt + 1
        if look.record.phase is Phase.FENCING and look.record.operation
        else 0,
        previous=look.record.target,
    )
    may_serve = look.record.may_serve | (frozenset(look.members) if look.record.phase is Phase.LEARN else frozenset())
    record = replace(
        look.record,
        epoch=epoch,
        phase=Phase.FENCING,
        target=target,
        may_serve=may_serve,
        acks={},
        operation=operation,
        learning=None,
        tallies={},
    )
    fencing = _send_fences(_Look(look.service, look.timing, look.observed, record))
    because = (f"{kind} to {target} at epoch {epoch}: {reason}",)
    return Decision(fencing.record, fencing.effects, fencing.held, because)


def _unproven(look: _Look) -> list[str]:
    """R2: whoever may be serving and is neither acknowledged at this epoch nor fenced at the load balancer."""
    record = look.record
    others = record.may_serve - {record.target} - record.fenced.keys()
    return sorted(name for name in others if not (look.acked(name) or _fenced_now(look, name)))


def _fenced_now(look: _Look, member: str) -> bool:
    """R4: a proof counts only in the operation in which its write was issued (finding 8)."""
    proof = look.observed.proofs.get(member)
    return proof is not None and proof.epoch == look.record.epoch


def _send_fences(look: _Look) -> Decision:
    """Step 2: FENCE to every unproven may_serve; beside it, for one that does not answer, the load balancer's fence."""
    effects: list[Effect] = []
    held: list[str] = []
    owed = set(look.record.owed)
    tried = look.observed.tried
    for name in _unproven(look):
        by_agent = SendFence(name, look.record.epoch)
        by_balancer = FenceByBalancer(name, look.record.epoch)
        if by_agent not in tried:
            effects.append(by_agent)
        if isinstance(look.observed.agents.get(name), Unreachable) or by_agent in tried:
            owed.add(name)
            if by_balancer not in tried:
                effects.append(by_balancer)
        if by_agent in tried and by_balancer in tried:
            why = f"its agent: {tried[by_agent]}; the load balancer: {tried[by_balancer]}"
            held.append(f"no proof that {name} does not serve: {why}")
    record = look.record if owed == look.record.owed else replace(look.record, owed=frozenset(owed))
    return Decision(record, tuple(effects), tuple(held))


def _fence(look: _Look) -> Decision:
    record = look.record
    if record.target is None or look.role(record.target) is None or look.failed(record.target):
        other = elect(look.service, look.observed, record, look.timing, without=record.target)
        if other is None:
            return Decision(record, held=(f"no member is fit to serve: {judge_line(look, record.target or '')}",))
        return _open(look, other, "failover", f"{record.target} failed before it was granted")
    if not _unproven(look):
        return _granted(look, record.target)
    return _send_fences(look)


def _granted(look: _Look, target: str) -> Decision:
    """Step 3: note the proofs; F1-proven leave may_serve, F2-proven enter fenced, the target enters may_serve (R1)."""
    record = look.record
    others = sorted(record.may_serve - {target})
    acked = {name for name in others if look.acked(name)}
    acks = {n: Ack(epoch=record.epoch, boot_id=s.boot_id) for n in acked if (s := look.observed.status(n))}
    fenced = dict(record.fenced)
    for name in others:
        proof = look.observed.proofs.get(name)
        if name not in acked and _fenced_now(look, name) and proof is not None:
            fenced[name] = Fence(epoch=proof.epoch, etag=proof.etag)
    proofs = [f"{n} acknowledged" for n in acked] + [
        f"{n} is fenced at the load balancer" for n in others if n not in acked
    ]
    granted = replace(
        record,
        phase=Phase.GRANTED,
        acks=acks,
        fenced=fenced,
        may_serve=(record.may_serve - acked) | {target},
    )
    promote = _promote(_Look(look.service, look.timing, look.observed, granted), target)
    effects = () if target in fenced else promote
    return Decision(
        granted, effects, because=(f"{target} is granted epoch {record.epoch}: {', '.join(proofs) or 'alone'}",)
    )


def _promote(look: _Look, target: str) -> tuple[Effect, ...]:
    """Step 5, repeated until the agent says that it serves at this epoch."""
    status = look.observed.status(target)
    if status is None or look.role(target) == (look.record.epoch, Role.SERVING):
        return ()
    promote = SendPromote(target, look.record.epoch, status.boot_id)
    return () if promote in look.observed.tried else (promote,)


def _lift(look: _Look, member: str) -> Decision | None:
    """Steps 4 and 7: stop believing in the fence (CAS), then take Down back; done when our write of None succeeded."""
    record = look.record
    lift = LiftByBalancer(member, record.epoch)
    if member in record.fenced:
        fenced = {name: fence for name, fence in record.fenced.items() if name != member}
        return Decision(replace(record, fenced=fenced), (lift,), because=(f"{member}: its fence is lifted",))
    if member not in record.owed:
        return None
    if member in look.observed.lifted:
        return Decision(replace(record, owed=record.owed - {member}), because=(f"{member} is back in the pool",))
    if lift in look.observed.tried:
        return Decision(record, held=(f"{member} cannot be lifted: {look.observed.tried[lift]}",))
    return Decision(record, (lift,))


def _grant(look: _Look) -> Decision:
    """Steps 4-6: lift the target, promote it, and verify. A target that fails meanwhile is followed by the next one."""
    record, target = look.record, look.record.target or ""
    if failing := _failover(look):
        return failing
    if look.role(target) == (record.epoch, Role.STANDBY):
        return _renew(look, target)
    lift = _lift(look, target)
    promote = _promote(look, target)
    if lift is not None and (lift.effects or lift.record != record):
        return Decision(lift.record, lift.effects + promote, lift.held, lift.because)
    held = lift.held if lift else ()
    if promote:
        return Decision(record, promote, held)
    if look.role(target) != (record.epoch, Role.SERVING):
        return Decision(record, held=(*held, _promote_held(look, target)))
    if held:
        return Decision(record, held=held)
    return _verify(look, target)


def _renew(look: _Look, holder: str) -> Decision:
    """The holder was promoted at this epoch and now stands by at it (its disk was lost or moved): it needs a newer one."""
    return _open(look, holder, "renew", f"{holder} lost its role at epoch {look.record.epoch}")


def _promote_held(look: _Look, target: str) -> str:
    refused = [why for effect, why in look.observed.tried.items() if isinstance(effect, SendPromote)]
    return f"{target} does not serve yet: {'; '.join(refused) or judge_line(look, target)}"


def _verify(look: _Look, target: str) -> Decision:
    """Step 6, off the failover path: stable once the load balancer's probe agrees, where ARM answers."""
    record, backend = look.record, look.observed.backend(target)
    if look.observed.balancer is None:
        return Decision(
            record, held=(f"{target} serves at epoch {record.epoch}; the load balancer is still to confirm it",)
        )
    if backend is not None and backend.probed is not Value.OK and backend.reason is not None:
        if record.operation and look.observed.at > record.operation.deadline:
            other = elect(look.service, look.observed, record, look.timing, without=target)
            if other is not None:
                return _open(look, other, "failover", f"{target} was not verified in time ({backend.reason})")
        return Decision(record, held=(f"{target} serves at epoch {record.epoch}, but the probe says {backend.reason}",))
    return Decision(
        replace(record, phase=Phase.STABLE), because=(f"{target} is verified serving at epoch {record.epoch}",)
    )


def _failover(look: _Look) -> Decision | None:
    """Whether the holder must be replaced, and by whom; None when it need not be."""
    holder = look.record.target or ""
    judgement = judge(holder, look.observed, look.record, look.timing)
    backend = look.observed.backend(holder)
    if backend is not None and backend.admin_state is AdminState.DOWN and holder not in look.record.owed:
        reason = f"{holder}: an operator set its adminState to Down"
    elif judgement.verdict is Verdict.FAILED:
        reason = judgement.because
    elif judgement.verdict is Verdict.UNKNOWN:
        return Decision(look.record, held=(f"left alone: {judgement.because}",))
    else:
        return None
    other = elect(look.service, look.observed, look.record, look.timing, without=holder)
    if other is None:
        return Decision(look.record, held=(f"{reason}; but no other member is fit, so it keeps its role",))
    ready = "" if is_ready(other, look.observed) else ", as a last resort: it has no Established session"
    return _open(look, other, "failover", f"{reason}; {other} takes over{ready}")


def _keep(look: _Look) -> Decision:
    """Stable: replace a failed holder, repair a role that was lost, and bring the others back (step 7)."""
    record, holder = look.record, look.record.target or ""
    if failing := _failover(look):
        return failing
    if look.role(holder) == (record.epoch, Role.STANDBY):
        return _renew(look, holder)
    if promote := _promote(look, holder):
        return Decision(record, promote, because=(f"{holder} should serve at epoch {record.epoch}: told again",))
    others = [name for name in look.members if name != holder and look.role(name) is not None]
    fences = tuple(
        fence
        for name in others
        if not look.acked(name) and (fence := SendFence(name, record.epoch)) not in look.observed.tried
    )
    if fences:
        return Decision(record, fences, because=tuple(f"{f.member} should stand by at epoch {f.epoch}" for f in fences))
    proven = {name for name in others if look.acked(name)}
    if record.may_serve & proven:
        acks = {n: Ack(epoch=record.epoch, boot_id=s.boot_id) for n in proven if (s := look.observed.status(n))}
        left = replace(record, may_serve=record.may_serve - proven, acks=record.acks | acks)
        return Decision(
            left, because=tuple(f"{n} acknowledged: it stands by" for n in sorted(record.may_serve & proven))
        )
    for name in sorted(proven):
        if lift := _lift(look, name):
            return lift
    return Decision(record, held=_left_over(look), settled=not _left_over(look))


def _left_over(look: _Look) -> tuple[str, ...]:
    record = look.record
    waiting = sorted((record.may_serve - {record.target}) | record.owed)
    doubts = sorted(record.tallies.keys() - set(waiting))
    return (
        *(f"waiting for {name} to come back: {judge_line(look, name)}" for name in waiting),
        *(
            f"in doubt: the load balancer's probe of {name} failed {record.tallies[name].bad} time(s)"
            for name in doubts
        ),
    )


def _everybody_serves(look: _Look) -> Decision:
    """active-active: every fit member serves; exclusivity is not promised, the probe decides who gets flows."""
    record = look.record
    standing_by = [n for n in look.members if look.role(n) == (record.epoch, Role.STANDBY)]
    if standing_by:
        why = f"{', '.join(standing_by)} stood by at epoch {record.epoch}"
        return Decision(replace(record, epoch=record.epoch + 1, may_serve=frozenset(look.members)), because=(why,))
    effects = tuple(effect for name in look.members for effect in _promote(look, name))
    if effects:
        return Decision(record, effects, because=tuple(f"{e.member} should serve" for e in effects))
    healthy = [n for n in look.members if (r := look.role(n)) and r[1] is Role.SERVING and not look.failed(n)]
    held = tuple(judge_line(look, name) for name in look.members if name not in healthy)
    least = look.service.min_healthy or 1
    if len(healthy) < least:
        held = (f"only {len(healthy)} of at least {least} members are healthy", *held)
    return Decision(record, held=held, settled=not held)


def _advertise(look: _Look, decision: Decision) -> Decision:
    """Members announce the prefixes with the frontend as next hop, whatever their role: it rides along, once known."""
    if decision.record.phase is Phase.LEARN or not isinstance(look.observed.balancer, BalancerReading):
        return decision
    record = next_advertised(look.service, look.observed.balancer.frontend, decision.record)
    effects = stale_advertisements(look.service, look.observed, record)
    settled = decision.settled and not effects and record == decision.record
    return Decision(record, decision.effects + effects, decision.held, decision.because, settled)


def judge_line(look: _Look, member: str) -> str:
    """The one sentence about a member that a person needs."""
    return judge(member, look.observed, look.record, look.timing).because
