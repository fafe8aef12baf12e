"""The steps of one operation, each the smallest change that the rules of safety.md section 2 allow.

    1 open      a higher epoch, a target; nobody is granted
    2 fence     FENCE to every other that may serve (F1); for one that is silent, Down at the load balancer (F2);
                in a ranked service a shorter path in place of both
    3 grant     every other is proven: the target enters may_serve, durably, before PROMOTE exists (R1, R2)
    4 lift      stop believing in a fence, then take Down back (R6)
    5 promote   PROMOTE to the boot that was looked at
    6 verify    in `confirm`: the probe agrees
    7 rejoin    in `decide`: the others acknowledge, are lifted, and stand by

Which step is due, and whether there should be an operation at all, is `decide`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec.structs import replace

from function_app.domain.base.timing import Timing
from function_app.domain.service.health import Judgement, Verdict, judge
from function_app.domain.service.observation import Observed, Role, Unreachable
from function_app.domain.service.ranked.paths import Rank
from function_app.domain.service.ranked.steps import from_status, outrank_for
from function_app.domain.service.record import Ack, Fence, Operation, Phase, Record, Spacing
from function_app.domain.service.steps import Effect, FenceByBalancer, LiftByBalancer, SendFence, SendPromote
from function_app.domain.topology.model import Service


class Kind(StrEnum):
    """Why an operation was opened."""

    ADOPT = "adopt"
    """Nothing was known; now somebody is made to serve, at best whoever does already."""
    FAILOVER = "failover"
    PROBE = "failover on the probe alone"
    """The holder finds itself fit, only the load balancer's probe fails: tried once, then held (a probe path fault)."""
    NEXT = "next candidate"
    RENEW = "renew"
    SWITCHOVER = "switchover"
    """Planned: by acknowledgement only, and back to the old holder if the target does not take it."""
    BACK = "back to the old holder"
    FORCED = "failover by hand"
    """Skips evidence, never fencing."""


AUTOMATIC = frozenset({Kind.FAILOVER, Kind.PROBE})
DISCRETIONARY = frozenset({Kind.SWITCHOVER})


@dataclass(frozen=True, slots=True)
class Decision:
    """`record` equal to the one given means that nothing durable changes. `held` says what is wanted but not permitted."""

    record: Record
    effects: tuple[Effect, ...] = ()
    held: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    """What a person should know although nothing is to be done."""
    settled: bool = False
    """Nothing is left to do until something changes."""


@dataclass(frozen=True, slots=True)
class Look:
    """Everything a rule may look at."""

    service: Service
    timing: Timing
    observed: Observed
    record: Record

    @property
    def members(self) -> tuple[str, ...]:
        return self.service.names

    @property
    def kind(self) -> Kind | None:
        """Of the operation under way, or of the last one."""
        return Kind(self.record.operation.kind) if self.record.operation else None

    def with_record(self, record: Record) -> "Look":
        return Look(self.service, self.timing, self.observed, record)

    def role(self, member: str) -> tuple[int, Role] | None:
        """(epoch, role) as the member's agent says itself; None if it does not answer."""
        mine = self.observed.service(member, self.service.name)
        return (mine.epoch, mine.role) if mine else None

    def serves(self, member: str) -> bool:
        """Whether its agent says that it serves, at whichever epoch."""
        return self.observed.serves(member, self.service.name)

    def acked(self, member: str) -> bool:
        """F1: the agent itself says, signed, that it stands by at the record's epoch (R3), and would after a reboot (R7)."""
        mine = self.observed.service(member, self.service.name)
        return mine is not None and mine.durable and (mine.epoch, mine.role) == (self.record.epoch, Role.STANDBY)

    def judge(self, member: str) -> Judgement:
        return judge(member, self.observed, self.record, self.timing)

    def failed(self, member: str) -> bool:
        return self.judge(member).verdict is Verdict.FAILED

    def newest_epoch(self) -> int:
        """The highest that any agent stands at, or was told of by its peers: one that does not answer, perhaps."""
        seen = [s for name in self.members if (s := self.observed.service(name, self.service.name))]
        orders = [order.epoch for order in self.observed.ordered.values()]
        return max((*(max(s.epoch, s.heard) for s in seen), *orders), default=0)

    def known_rank(self) -> Rank | None:
        """What announcers may announce: as recorded, or else as they say themselves (after `learn`)."""
        if self.service.naming is None or self.record.rank is not None:
            return self.record.rank
        return from_status(self.service, self.observed)


def open_operation(look: Look, target: str, kind: Kind, reason: str) -> Decision:
    """Step 1. From `learn` everybody may be serving; otherwise who may is as recorded."""
    at, record = look.observed.at, look.record
    epoch = max(record.epoch, look.newest_epoch()) + 1
    under_way = record.phase is Phase.FENCING and record.operation is not None
    operation = Operation(
        id=f"{look.service.name}-{epoch}",
        kind=kind,
        reason=reason,
        started=at,
        deadline=at + look.timing.operation_deadline,
        attempt=record.operation.attempt + 1 if under_way and record.operation else 0,
        previous=record.operation.previous if under_way and record.operation else record.target,
    )
    opened = replace(
        record,
        epoch=epoch,
        phase=Phase.FENCING,
        target=target,
        may_serve=record.may_serve | (frozenset(look.members) if record.phase is Phase.LEARN else frozenset()),
        acks={},
        operation=operation,
        learning=None,
        tallies={},
        rank=look.known_rank(),
        spacing=_spaced(look, at) if kind in AUTOMATIC else record.spacing,
    )
    fencing = make_way(look.with_record(opened), target)
    return Decision(
        fencing.record, fencing.effects, fencing.held, because=(f"{kind} to {target} at epoch {epoch}: {reason}",)
    )


def _spaced(look: Look, at: datetime) -> Spacing:
    before = look.record.spacing
    if before is None or at - before.last > look.timing.spacing_forget:
        return Spacing(count=1, last=at)
    return Spacing(count=before.count + 1, last=at)


def make_way(look: Look, target: str) -> Decision:
    """Step 2: what may keep new flows from the others. A ranked service outranks them, whoever is gone."""
    if look.service.naming is None:
        return send_fences(look)
    ranked = outrank_for(look.service, look.observed, look.record, target)
    return Decision(ranked.record, ranked.effects, ranked.held)


def unproven(look: Look) -> list[str]:
    """R2: whoever may be serving and is neither acknowledged at this epoch nor fenced at the load balancer."""
    record = look.record
    others = record.may_serve - {record.target} - record.fenced.keys()
    return sorted(name for name in others if not (look.acked(name) or _fenced_now(look, name)))


def _fenced_now(look: Look, member: str) -> bool:
    """R4: a proof counts only in the operation in which its write was issued (finding 8)."""
    proof = look.observed.proofs.get(member)
    return proof is not None and proof.epoch == look.record.epoch


def send_fences(look: Look) -> Decision:
    """Step 2. A switchover is proven by acknowledgement only: nothing is cut off for something that nobody needs now."""
    effects: list[Effect] = []
    held: list[str] = []
    owed = dict(look.record.owed)
    tried, epoch = look.observed.tried, look.record.epoch
    by_balancer_too = look.kind is not Kind.SWITCHOVER
    for name in unproven(look):
        by_agent = SendFence(name, epoch)
        if by_agent not in tried:
            effects.append(by_agent)
        silent = isinstance(look.observed.agents.get(name), Unreachable) or by_agent in tried
        if not (silent and by_balancer_too):
            continue
        # Owed before: a lift of ours, or one by hand of an earlier attempt, may still be on its way to the data plane.
        by_balancer = FenceByBalancer(name, epoch, wary=name in owed)
        owed.setdefault(name, epoch)
        if by_balancer not in tried:
            effects.append(by_balancer)
        if by_agent in tried and by_balancer in tried:
            why = f"its agent: {tried[by_agent]}; the load balancer: {tried[by_balancer]}"
            held.append(f"no proof that {name} does not serve: {why}")
    record = look.record if owed == look.record.owed else replace(look.record, owed=owed)
    return Decision(record, tuple(effects), tuple(held))


def grant(look: Look, target: str) -> Decision:
    """Step 3, only when nobody is `unproven`: F1-proven leave may_serve, F2-proven enter fenced."""
    record = look.record
    others = sorted(record.may_serve - {target})
    acked = {name for name in others if look.acked(name)}
    fenced = dict(record.fenced)
    for name in others:
        proof = look.observed.proofs.get(name)
        if name not in acked and proof is not None and proof.epoch == record.epoch:
            fenced[name] = Fence(epoch=proof.epoch, etag=proof.etag)
    operation = replace(record.operation, confirmed=look.serves(target)) if record.operation else None
    proofs = [f"{n} acknowledged" if n in acked else f"{n} is fenced at the load balancer" for n in others]
    granted = replace(
        record,
        phase=Phase.GRANTED,
        acks=acks_of(look, acked),
        fenced=fenced,
        may_serve=(record.may_serve - acked) | {target},
        operation=operation,
    )
    effects = () if target in fenced else promote(look.with_record(granted), target)
    return Decision(
        granted, effects, because=(f"{target} is granted epoch {record.epoch}: {', '.join(proofs) or 'alone'}",)
    )


def acks_of(look: Look, members: set[str]) -> dict[str, Ack]:
    """The acknowledgements to note."""
    return {n: Ack(epoch=look.record.epoch, boot_id=s.boot_id) for n in members if (s := look.observed.status(n))}


def lift(look: Look, member: str) -> Decision | None:
    """Step 4: stop believing in the fence (CAS), then take Down back; over when the data plane has let go."""
    record = look.record
    effect = LiftByBalancer(member, record.epoch)
    if member in record.fenced:
        fenced = {name: fence for name, fence in record.fenced.items() if name != member}
        return Decision(replace(record, fenced=fenced), (effect,), because=(f"{member}: its fence is lifted",))
    if member not in record.owed:
        return None
    if look.observed.lifted.get(member) == record.epoch:
        owed = {name: epoch for name, epoch in record.owed.items() if name != member}
        return Decision(replace(record, owed=owed), because=(f"{member} is back in the pool",))
    if effect in look.observed.tried:
        return Decision(record, held=(f"{member} cannot be lifted: {look.observed.tried[effect]}",))
    return Decision(record, (effect,))


def promote(look: Look, target: str) -> tuple[Effect, ...]:
    """Step 5, repeated until the agent says that it serves at this epoch."""
    status = look.observed.status(target)
    if status is None or look.role(target) == (look.record.epoch, Role.SERVING):
        return ()
    effect = SendPromote(target, look.record.epoch, status.boot_id)
    return () if effect in look.observed.tried else (effect,)
