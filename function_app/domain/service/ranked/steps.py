"""The ranked kinds inside an operation: `paths` says what may be ordered, here it becomes records and effects.

    every look   what was acknowledged is noted, what can no longer arrive is forgotten, what was lost is told again
    fencing      outrank: intend (durable) -> SendPath -> accepted, until the best path names the target: the proof
    afterwards   the others follow; once stable, lengths return to rest when the damping window is over

Nothing is fenced but by a shorter path, so nothing waits for a member that is gone (safety.md section 3).
"""

from dataclasses import dataclass

from msgspec.structs import replace

from function_app.domain.base.timing import Timing
from function_app.domain.service.observation import Observed
from function_app.domain.service.ranked.paths import (
    Proposal,
    Rank,
    Reach,
    acknowledged,
    established_on_both,
    intend,
    landed,
    leading,
    learned,
    normalise,
    outrank,
    unacknowledged,
)
from function_app.domain.service.record import Record
from function_app.domain.service.steps import SendPath
from function_app.domain.topology.model import Naming, Service


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a ranked service's record becomes, and the orders to send (again) once that is durable."""

    record: Record
    effects: tuple[SendPath, ...] = ()
    held: tuple[str, ...] = ()


def noted(service: Service, timing: Timing, observed: Observed, record: Record) -> Record:
    """The record with what this look says of its orders. An acknowledgement counts, a status does not.

    An announcer that lost its disk says that it was ordered nothing: it is ordered the same once more.
    """
    if record.rank is None:
        return record
    at, rank = observed.at, record.rank
    for name, turn in observed.announced.items():
        rank = acknowledged(rank, name, turn, at)
    rank = landed(rank, at, timing.bgp_hold)
    lost = {
        name: announcer.latest.path
        for name, announcer in rank.announcers.items()
        if name in _answering(service, observed)
        and announcer.settled
        and name not in observed.announced
        and (announcer.acked_at is None or observed.at > announcer.acked_at)
        and (name not in observed.ordered or observed.ordered[name].turn < announcer.latest.turn)
    }
    return replace(record, rank=intend(rank, record.epoch, lost, at))


def from_status(service: Service, observed: Observed) -> Rank:
    """The rank where the record knows none: what announcers say they were last ordered."""
    return learned(service.announcers, observed.ordered)


def is_behind(observed: Observed, record: Record) -> bool:
    """Whether an announcer was ordered something that the record never heard of: it was rolled back."""
    rank = record.rank
    return rank is not None and any(
        order.turn > rank.announcers[name].latest.turn
        for name, order in observed.ordered.items()
        if name in rank.announcers and name not in observed.announced
    )


def best_names(record: Record, target: str) -> str | None:
    """The announcer whose path makes `target` everybody's next hop, whatever is still to arrive: the proof."""
    return leading(record.rank, target) if record.rank is not None else None


def outrank_for(service: Service, observed: Observed, record: Record, target: str) -> Ranked:
    """One more step towards the best path naming `target`, or keeping it so; nothing missing gives nothing."""
    if service.naming is None or record.rank is None:
        return Ranked(record)
    proposal = outrank(service.naming, record.rank, target, _reach(service, observed))
    return _ordered(service, observed, record, proposal)


def back_to_rest(service: Service, timing: Timing, observed: Observed, record: Record, holder: str) -> Ranked:
    """One step back to the lengths at rest, where nobody waits for it: never within the damping window."""
    if record.rank is None:
        return Ranked(record)
    reach = _reach(service, observed)
    proposal = normalise(record.rank, holder, reach, observed.at, timing.damping)
    coming = sorted(n for n, a in record.rank.announcers.items() if n in reach.answering and not a.at_rest)
    if coming and not proposal.paths and not proposal.held:
        # Not settled: until then a failover has less headroom, and there may be another step to take.
        why = f"what {', '.join(coming)} announced before may still be there: AS paths are not back at rest"
        return Ranked(record, held=(why,))
    return _ordered(service, observed, record, proposal)


def announces(service: Service, member: str, observed: Observed) -> bool:
    """Whether a holder that answers can be anybody's next hop: in `self` it needs a session of its own."""
    status = observed.status(member)
    if service.naming is not Naming.SELF or status is None:
        return True
    return any(status.sessions.values())


def _ordered(service: Service, observed: Observed, record: Record, proposal: Proposal) -> Ranked:
    rank = intend(record.rank or Rank(), record.epoch, proposal.paths, observed.at)
    answering = _answering(service, observed)
    orders = (
        SendPath(name, order.epoch, order.seq, order.path)
        for name, order in sorted(unacknowledged(rank).items())
        if name in answering
    )
    effects = tuple(order for order in orders if order not in observed.tried)
    return Ranked(replace(record, rank=rank), effects, proposal.held)


def _reach(service: Service, observed: Observed) -> Reach:
    """Whoever did not obey in this look cannot be counted on: another announcer may lead."""
    failed = {effect.member for effect in observed.tried if isinstance(effect, SendPath)}
    answering = _answering(service, observed) - failed
    on_both = frozenset(
        name for name in answering if (s := observed.status(name)) is not None and established_on_both(s.sessions)
    )
    return Reach(frozenset(service.announcers), answering, on_both)


def _answering(service: Service, observed: Observed) -> frozenset[str]:
    return frozenset(name for name in service.announcers if observed.status(name) is not None)
