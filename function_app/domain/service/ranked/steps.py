"""The ranked kinds inside an operation: `paths` says what may be ordered, here it becomes records and effects.

    every look   what was acknowledged is noted, what can no longer arrive is forgotten, what was lost is sent again
    fencing      outrank: intend (durable) -> SendPath -> accepted, until the best path names the target: the proof
    afterwards   the others follow; once stable, lengths return to rest when the damping window is over

Nothing is fenced but by a shorter path, so nothing waits for a member that is gone (safety.md section 3).
"""

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.health import has_failed
from function_app.domain.service.look import Look
from function_app.domain.service.ranked.paths import (
    Path,
    Proposal,
    Rank,
    Reach,
    Sessions,
    acknowledged,
    gone_for,
    held_for,
    intend,
    landed,
    leading,
    learned,
    live_instances,
    normalise,
    on_every_live,
    outrank,
    parted,
    reported_anew,
    unacknowledged,
    without_unknown,
)
from function_app.domain.service.record import Record
from function_app.domain.service.steps import SendPath


def noted(look: Look) -> Record:
    """The record with what this look shows of its orders. An acknowledgement counts, a status does not.

    An announcer that lost its disk reports that it was ordered nothing: it is ordered the same once more.
    """
    record, seen = look.record, look.observed
    if record.rank is None:
        return record
    rank = record.rank
    for name, turn in seen.announced.items():
        rank = acknowledged(rank, name, turn, look.at)
    statuses = {name: look.status(name) for name in look.service.announcers}
    rank = held_for(rank, {n: s.hold_time for n, s in statuses.items() if s is not None and s.hold_time is not None})
    rank = landed(rank, look.at, look.timing.bgp_hold)
    rank = parted(rank, seen.connected, look.at)
    rank = reported_anew(without_unknown(rank, _gone(look, rank)), seen.ordered)
    return replace(record, rank=intend(rank, record.epoch, _lost(look, rank), look.at))


def _lost(look: Look, rank: Rank) -> dict[str, Path]:
    """By announcer that answers and reports an older order than the one that it acknowledged, that one's path."""
    answering, seen = _answering(look), look.observed
    return {
        name: announcer.latest.path
        for name, announcer in rank.announcers.items()
        if name in answering
        and announcer.settled
        and name not in seen.announced
        and (announcer.acked_at is None or look.at > announcer.acked_at)
        and (name not in seen.ordered or seen.ordered[name].turn < announcer.latest.turn)
    }


def _gone(look: Look, rank: Rank) -> frozenset[str]:
    """Announcers that this look shows to have no session, as every look has for a hold time."""
    shown = (name for name, is_up in look.observed.connected.items() if not is_up)
    return frozenset(name for name in shown if gone_for(rank, name, look.at) >= look.timing.bgp_hold)


def known_rank(look: Look) -> Rank:
    """What announcers may have on the wire: as recorded, else what they report as their last orders (after `learn`)."""
    return look.record.rank or learned(look.service.announcers, look.observed.ordered)


def is_behind(look: Look) -> bool:
    """Whether an announcer was ordered something that is newer than the record: an older record was put back."""
    rank = look.record.rank
    return rank is not None and any(
        order.turn > rank.announcers[name].latest.turn
        for name, order in look.observed.ordered.items()
        if name in rank.announcers and name not in look.observed.announced
    )


def best_names(record: Record, target: str) -> str | None:
    """The announcer whose path makes `target` everybody's next hop, whatever is still to arrive: the proof."""
    return leading(record.rank, target) if record.rank is not None else None


def outrank_for(look: Look, target: str) -> Decision:
    """One more step towards the best path naming `target`, or keeping it so; nothing missing gives nothing."""
    naming, rank = look.service.naming, look.record.rank
    if naming is None or rank is None:
        return Decision(look.record)
    return _ordered(look, rank, outrank(naming, rank, target, _reach(look)))


def back_to_rest(look: Look, holder: str) -> Decision:
    """One step back to the lengths at rest, where it is not urgent: never within the damping window."""
    rank = look.record.rank
    if rank is None:
        return Decision(look.record)
    reach = _reach(look)
    proposal = normalise(rank, holder, reach, look.at, look.timing.damping)
    coming = sorted(n for n, a in rank.announcers.items() if n in reach.answering and not a.at_rest)
    if coming and not proposal.paths and not proposal.held:
        # Not settled: until then a failover has less headroom, and there may be another step to take.
        why = f"what {', '.join(coming)} announced before may still be there: AS paths are not back at rest"
        return Decision(look.record, held=(why,))
    return _ordered(look, rank, proposal)


def _ordered(look: Look, rank: Rank, proposal: Proposal) -> Decision:
    """The orders of the proposal, and those of earlier that are not acknowledged yet, to whoever answers."""
    rank = intend(rank, look.record.epoch, proposal.paths, look.at)
    answering = _answering(look)
    orders = (
        SendPath(name, order.epoch, order.seq, order.path)
        for name, order in sorted(unacknowledged(rank).items())
        if name in answering
    )
    effects = tuple(order for order in orders if order not in look.observed.tried)
    return Decision(replace(look.record, rank=rank), effects, proposal.held)


def _reach(look: Look) -> Reach:
    """Whoever did not obey in this look cannot be counted on: another announcer may lead."""
    failed = {effect.member for effect in look.observed.tried if isinstance(effect, SendPath)}
    statuses = {name: look.status(name) for name in look.service.announcers}
    gone = _gone(look, look.record.rank) if look.record.rank is not None else frozenset[str]()
    none: dict[str, Sessions] = {name: {} for name in gone}
    reported = {n: status.sessions if status is not None else none.get(n) for n, status in statuses.items()}
    live = live_instances(reported)
    on_every = frozenset(
        n for n, sessions in reported.items() if sessions is not None and on_every_live(sessions, live)
    )
    return Reach(frozenset(look.service.announcers), _answering(look) - failed, on_every, gone, _unfit(look))


def _unfit(look: Look) -> frozenset[str]:
    members = look.members
    return frozenset(name for name in look.service.announcers if name in members and has_failed(look, name))


def _answering(look: Look) -> frozenset[str]:
    return frozenset(name for name in look.service.announcers if look.status(name) is not None)
