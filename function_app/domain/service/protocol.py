"""The steps of one operation, each the smallest change that the rules of safety.md section 2 allow.

    1 open      a higher epoch, a target; no member is granted
    2 fence     FENCE to every other that may serve (F1); for one that is silent, Down at the load balancer (F2).
                Other kinds of next hop have their own way (`kinds`)
    3 grant     every other is proven: the target enters may_serve, durably, before PROMOTE exists (R1, R2)
    4 lift      stop believing in a fence, then take Down back (R6)
    5 promote   PROMOTE to the boot that was looked at
    6 confirm   in `confirm`: the load balancer's probe agrees
    7 rejoin    in `rest`: the others acknowledge, are lifted, and stand by

Which step is due, and whether there should be an operation at all, is `operation`'s and `rest`'s.
"""

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect, is_surely_down_by_operator
from function_app.domain.service.health import has_failed
from function_app.domain.service.kind import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import ABSENT, BalancerReading, Role, Unreachable
from function_app.domain.service.record import AUTOMATIC, Ack, Fence, Kind, Operation, Phase, Record, Spacing
from function_app.domain.service.steps import (
    AwaitProbe,
    Effect,
    FenceByBalancer,
    LiftByBalancer,
    SendFence,
    SendPromote,
)
from function_app.domain.topology.model import Handover


def if_off(look: Look, *members: str) -> str:
    """What an operator can do who knows what no proof shows: words for a sentence of its own."""
    commands = (
        f'`hopkeeper forget TOPOLOGY {look.service.name} {name} --gone "deallocated at ..."`' for name in members
    )
    off = f"If {' and '.join(members)} is certainly off (deallocated, powered off)"
    return f"{off}: {', '.join(commands)}; if it still serves, two will"


def open_operation(look: Look, target: str, kind: Kind, reason: str) -> Decision:
    """Step 1. From `learn` everybody may be serving; otherwise who may is as recorded."""
    record = look.record
    epoch = max(record.epoch, look.newest_epoch()) + 1
    opened = replace(
        record,
        epoch=epoch,
        seq=0,
        phase=Phase.FENCING,
        target=target,
        may_serve=record.may_serve | (frozenset(look.members) if record.phase is Phase.LEARN else frozenset()),
        acks={},
        operation=_begun(look, f"{look.service.name}-{epoch}", target, kind, reason),
        learning=None,
        tallies=record.tallies if kind is Kind.RENEW and record.target == target else {},
        admitted={},
        stalled=None,
        rank=kind_of(look.service).rank(look),
        spacing=once_more(look, record.spacing) if kind in AUTOMATIC else record.spacing,
    )
    fencing = kind_of(look.service).make_way(look.with_record(opened), target)
    return Decision(
        fencing.record, fencing.effects, fencing.held, because=(f"{kind} to {target} at epoch {epoch}: {reason}",)
    )


def _begun(look: Look, name: str, target: str, kind: Kind, reason: str) -> Operation:
    """One that ends another one before its grant goes on with what that knew."""
    at, before = look.observed.at, look.record.operation
    under_way = before if look.record.phase is Phase.FENCING else None
    kept = before if look.record.target == target else None
    return Operation(
        id=name,
        kind=kind,
        reason=reason,
        started=at,
        deadline=at + look.timing.operation_deadline,
        attempt=under_way.attempt + 1 if under_way else 0,
        previous=under_way.previous if under_way else look.record.target,
        granted=kept.granted if kept else None,
        confirmed=kept is not None and kept.confirmed,
        learned=under_way.learned if under_way else look.record.phase is Phase.LEARN,
    )


def once_more(look: Look, before: Spacing | None) -> Spacing:
    """One more of a row at this look; `spacingForget` of quiet ends a row."""
    if before is None or look.at - before.last > look.timing.spacing_forget:
        return Spacing(count=1, last=look.at)
    return Spacing(count=before.count + 1, last=look.at)


def uncounted(record: Record) -> Record:
    """The record of an operation that moved nothing: as a failover it does not count for spacing."""
    spacing, operation = record.spacing, record.operation
    if spacing is None or operation is None or operation.kind not in AUTOMATIC:
        return record
    fewer = Spacing(count=spacing.count - 1, last=spacing.last) if spacing.count > 1 else None
    return replace(record, spacing=fewer)


def back(look: Look, why: str) -> Decision:
    """A switchover that did not work out: the old holder serves again. If it failed meanwhile, the best member does: before the
    grant that may be the target, as the old holder is fenced like any that failed now."""
    record = look.record
    previous = look.operation.previous if look.operation else None
    if previous is not None and not has_failed(look, previous):
        return open_operation(look, previous, Kind.BACK, why)
    other = elect(look, without=None if record.phase is Phase.FENCING else record.target)
    if other is None:
        return Decision(record, held=(f"{why}, and no other member is fit to serve",))
    return open_operation(look, other, Kind.NEXT if other == record.target else Kind.BACK, why)


def unproven(look: Look) -> list[str]:
    """R2: whoever may be serving and is neither acknowledged at this epoch nor fenced at the load balancer."""
    record = look.record
    others = record.may_serve - {record.target} - record.fenced.keys()
    return sorted(name for name in others if not _is_proven(look, name) or _needs_fence(look, name))


def _is_proven(look: Look, member: str) -> bool:
    return _fenced_now(look, member) or (look.acked(member) and probe_to_await(look, member) is None)


def _needs_fence(look: Look, member: str) -> bool:
    """Whether an acknowledgement is no proof by itself, as the load balancer goes by more than the probe: the member is set to
    Down as well, unless that was tried in vain. What is planned only waits until the load balancer is put right (`guards`)."""
    if not look.record.flaws or look.kind is Kind.SWITCHOVER or _fenced_now(look, member):
        return False
    return FenceByBalancer(member, look.record.epoch) not in look.observed.tried


def probe_to_await(look: Look, member: str) -> AwaitProbe | None:
    """`handover: exclusive`: the load balancer may still give new flows to a member that has acknowledged FENCE, until its
    probe finds out. None where that need not be waited for, or was in this pass."""
    if look.service.handover is not Handover.EXCLUSIVE:
        return None
    wait = AwaitProbe(member, look.record.epoch, up=False, within=look.record.noticed_within)
    return None if wait in look.observed.awaited else wait


def _fenced_now(look: Look, member: str) -> bool:
    """R4: a proof counts only in the operation in which its write was issued (finding 8), and while no reading undoes it."""
    proof = look.observed.proofs.get(member)
    return proof is not None and proof.epoch == look.record.epoch and not _is_lifted(look, member, proof.address)


def _is_lifted(look: Look, member: str, address: str) -> bool:
    reading = look.observed.balancer
    return isinstance(reading, BalancerReading) and reading.contradicts(member, address)


def undone(look: Look) -> list[str]:
    """Members with a fence that this reading of the pool no longer shows where it was proven: another owner wrote it."""
    return sorted(name for name, fence in look.record.fenced.items() if _is_lifted(look, name, fence.address))


def without_fences(record: Record, members: list[str]) -> Record:
    """Believe less: these are fenced no more."""
    return replace(record, fenced={n: fence for n, fence in record.fenced.items() if n not in members})


def send_fences(look: Look) -> Decision:
    """Step 2. A switchover is proven by acknowledgement where there is an agent: nothing is cut off for a move that is not
    urgent. An appliance acknowledges nothing: Down is its only fence.

    Down is written for one member at a time, and noted once it is proven: of two writes of one pool the later one fails.
    """
    look = look.with_record(_with_proven(look))
    effects: list[Effect] = []
    held: list[str] = []
    owed, writing = look.record.owed, False
    tried, epoch = look.observed.tried, look.record.epoch
    for name in unproven(look):
        by_agent = proof_by_agent(look, name)
        if by_agent is not None and by_agent not in tried:
            effects.append(by_agent)
        if by_agent is not None and not _fence_is_due(look, name, by_agent):
            continue
        by_balancer = FenceByBalancer(name, epoch, _lift_may_be_under_way(look, name), _is_beside_operator(look, name))
        if by_balancer not in tried and not writing:
            owed = _with_debt(owed, by_balancer)
            effects.append(by_balancer)
            writing = True
        if by_balancer in tried and (by_agent is None or by_agent in tried):
            refused = f"its agent: {tried[by_agent]}; " if by_agent is not None else ""
            why = f"{refused}the load balancer: {tried[by_balancer]}"
            held.append(f"no proof that {name} does not serve: {why}{_way_out(look, name)}")
    return Decision(replace(look.record, owed=owed), tuple(effects), tuple(held))


def _lift_may_be_under_way(look: Look, member: str) -> bool:
    """To the data plane: one of ours, by hand of an earlier attempt, or of a lost record."""
    return member in look.record.owed or (look.operation is not None and look.operation.learned)


def _with_debt(owed: dict[str, int], fence: FenceByBalancer) -> dict[str, int]:
    return owed if fence.beside_operator else {fence.member: fence.epoch, **owed}


def _is_beside_operator(look: Look, member: str) -> bool:
    """A Down of ours is to be taken back. One beside an operator's, of a member without an agent, is not: it is no candidate, and
    stays Down until the operator takes that back. One of two pools alone is not enough: ours is written in both."""
    backend = look.backend(member)
    is_whole = backend is not None and not backend.partly_down
    return is_whole and look.is_appliance(member) and is_surely_down_by_operator(look, member)


def _with_proven(look: Look) -> Record:
    """The record with the fences that this operation has proven so far, where a grant needs them."""
    record = look.record
    others = sorted(record.may_serve - {record.target} - record.fenced.keys())
    return with_fences(record, proven_fences(look, [name for name in others if not look.acked(name)]))


def with_fences(record: Record, proven: dict[str, Fence]) -> Record:
    """These are fenced. One that no pool lists is owed nothing: there is no Down of ours that is to be taken back."""
    absent = {name for name, fence in proven.items() if fence.address == ABSENT}
    owed = {name: epoch for name, epoch in record.owed.items() if name not in absent}
    return replace(record, fenced=record.fenced | proven, owed=owed)


def _way_out(look: Look, member: str) -> str:
    """What an operator can do for a member that no fence can reach: words for the end of a sentence. An operator's word in place
    of a proof is not called for before the operation's time is over."""
    if look.is_unlisted(member):
        return f"; it is not in the pool: where it is gone for good, `forget` {member}"
    is_long = look.operation is not None and look.at >= look.operation.deadline
    return f". {if_off(look, member)}" if is_long else ""


def _fence_is_due(look: Look, member: str, by_agent: Effect) -> bool:
    """Whether Down is written for a member with an agent: never for a move that is not urgent."""
    silent = isinstance(look.observed.agents.get(member), Unreachable) or by_agent in look.observed.tried
    return look.kind is not Kind.SWITCHOVER and (silent or _needs_fence(look, member))


def proof_by_agent(look: Look, member: str) -> SendFence | AwaitProbe | None:
    """What is still to be done for F1: its acknowledgement, then what `handover` wants beside it. None: it has no agent."""
    if look.is_appliance(member):
        return None
    wait = probe_to_await(look, member) if look.acked(member) else None
    return wait or SendFence(member, look.record.epoch)


def grant(look: Look, target: str) -> Decision | None:
    """Step 3: the target may serve. None while any other member is `unproven` (R2).

    Members proven by F1 leave `may_serve`, those proven by F2 stay in it and enter `fenced`.
    """
    record = look.record
    if unproven(look):
        return None
    others = sorted(record.may_serve - {target})
    acked = {name for name in others if look.acked(name)}
    fenced = with_fences(record, proven_fences(look, [name for name in others if name not in acked]))
    proofs = [f"{n} acknowledged" if n in acked else f"{n} is fenced at the load balancer" for n in others]
    granted = replace(
        fenced,
        phase=Phase.GRANTED,
        acks=acks_of(look, acked),
        may_serve=(record.may_serve - acked) | {target},
        operation=record.operation
        and replace(granted_now(look, record.operation), confirmed=_is_confirmed(look, record.operation, target)),
    )
    effects = () if target in fenced.fenced else promote(look.with_record(granted), target)
    return Decision(
        granted, effects, because=(f"{target} is granted epoch {record.epoch}: {', '.join(proofs) or 'alone'}",)
    )


def granted_now(look: Look, operation: Operation) -> Operation:
    """The operation, of a target that has the role from this look on, unless it had it before."""
    return replace(operation, granted=operation.granted or look.at)


def _is_confirmed(look: Look, operation: Operation, target: str) -> bool:
    """A member that serves already needs no look that shows its probe rise, but for a holder that was still rising."""
    return look.serves(target) and (operation.previous != target or operation.confirmed)


def proven_fences(look: Look, members: list[str]) -> dict[str, Fence]:
    """The fences of these members that were proven in this operation (R4)."""
    proofs = {name: look.observed.proofs[name] for name in members if _fenced_now(look, name)}
    return {name: Fence(epoch=proof.epoch, etag=proof.etag, address=proof.address) for name, proof in proofs.items()}


def acks_of(look: Look, members: set[str]) -> dict[str, Ack]:
    """The acknowledgements to note."""
    return {n: Ack(epoch=look.record.epoch, boot_id=s.boot_id) for n in members if (s := look.observed.status(n))}


def lift(look: Look, member: str) -> Decision | None:
    """Step 4: stop believing in the fence (CAS), then take Down back; over when the data plane has let go."""
    record = look.record
    effect = LiftByBalancer(member, record.epoch)
    if member in record.fenced.keys() - record.owed.keys():
        return Decision(without_fences(record, [member]), because=(f"{member}: its adminState is left to an operator",))
    if member in record.fenced:
        return Decision(without_fences(record, [member]), (effect,), because=(f"{member}: its fence is lifted",))
    if member not in record.owed:
        return None
    if look.observed.lifted.get(member) == record.epoch:
        owed = {name: epoch for name, epoch in record.owed.items() if name != member}
        return Decision(replace(record, owed=owed), because=(f"{member} is back in the pool",))
    if effect in look.observed.tried:
        return Decision(record, held=(f"{member} cannot be lifted: {look.observed.tried[effect]}",))
    if missing := _unjoined(look):
        return Decision(record, held=(f"{member} is lifted once that is mended: {missing}",))
    return Decision(record, (effect,))


def _unjoined(look: Look) -> str:
    """Why nothing could show that a lift has arrived: it would only be written again at every look. Empty where it could."""
    reading = look.observed.balancer
    return reading.unjoined if isinstance(reading, BalancerReading) else ""


def take_back(look: Look, member: str) -> Decision | None:
    """Step 7's lift, of a member that stands by: the load balancer may remember from before its acknowledgement that its
    probe succeeded, so `handover: exclusive` waits first."""
    record, wait = look.record, probe_to_await(look, member)
    if wait is None or member not in record.fenced.keys() | record.owed.keys():
        return lift(look, member)
    if wait in look.observed.tried:
        return Decision(record, held=(f"{member} is not lifted yet: {look.observed.tried[wait]}",))
    return Decision(record, (wait,))


def promote(look: Look, target: str) -> tuple[Effect, ...]:
    """Step 5, repeated until the agent says that it serves at this epoch, and need not have that confirmed."""
    serves = look.role(target) == (look.record.epoch, Role.SERVING) and not look.is_unconfirmed(target)
    effect = promotion(look, target)
    if effect is None or serves or effect in look.observed.tried:
        return ()
    return (effect,)


def promotion(look: Look, target: str) -> SendPromote | None:
    """PROMOTE at the record's epoch, for the boot that answers; None where none does."""
    status = look.status(target)
    return SendPromote(target, look.record.epoch, status.boot_id, look.record.seq) if status is not None else None
