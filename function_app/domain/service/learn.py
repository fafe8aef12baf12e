"""Learning: what is done while the record cannot be believed: nothing but looking, until enough has been seen.

A record may be missing, unreadable, or put back to an older one (finding 2). Whoever may be serving is unknown then, so
everyone may be; what ends it is an operation that fences all but one (safety.md section 2, `learn`).
"""

from datetime import timedelta

from msgspec.structs import replace

from function_app.domain.service.election import elect, why_not
from function_app.domain.service.observation import Role, Value
from function_app.domain.service.protocol import Decision, Kind, Look, open_operation
from function_app.domain.service.ranked.steps import is_behind
from function_app.domain.service.record import Learning, Phase, Record
from function_app.domain.topology.model import Mode


def behind(look: Look) -> str | None:
    """Why the record cannot be the newest that there was, if so."""
    newest = look.newest_epoch()
    if newest > look.record.epoch:
        return f"an agent is at epoch {newest}, or was told of it, the record only at {look.record.epoch}"
    if why := _contradicted(look):
        return why
    if is_behind(look.observed, look.record):
        return "an announcer was given an order that this record does not know"
    return None


def _contradicted(look: Look) -> str | None:
    """What a member does at the record's epoch although the record never ordered it: then it was put back to a version
    of before (R1, R6), and there is nothing in it to believe."""
    record, epoch = look.record, look.record.epoch
    for name in look.members:
        role = look.role(name)
        if role == (epoch, Role.SERVING) and not _may_be_promoted(record, name):
            return f"{name} serves at epoch {epoch}, which this record never granted it"
        if role == (epoch, Role.STANDBY) and not _may_be_fenced(record, name):
            return f"{name} was fenced at epoch {epoch}, which this record never ordered"
    if (target := record.target) and record.phase is Phase.FENCING and _serves_unheard(look, target):
        return f"{target} answers the load balancer's probe, and this record has yet to grant it epoch {epoch}"
    return None


def _may_be_promoted(record: Record, member: str) -> bool:
    """PROMOTE at the record's epoch exists only once the target is granted it and no fence of it is believed."""
    return record.phase is not Phase.FENCING and member in record.may_serve and member not in record.fenced


def _may_be_fenced(record: Record, member: str) -> bool:
    """FENCE at the epoch of an operation that is not granted yet exists only for those who may be serving instead."""
    return record.phase is not Phase.FENCING or member in record.may_serve - {record.target}


def _serves_unheard(look: Look, member: str) -> bool:
    """Whether one that cannot be serving, by the record, is silent to us and answers the probe all the same."""
    backend = look.observed.backend(member)
    unheard = look.role(member) is None and member not in look.record.may_serve
    return unheard and backend is not None and backend.probed is Value.OK


def relearn(look: Look, why: str) -> Decision:
    """The record was lost or put back to an older one: believe nothing, look again (safety.md, `learn`)."""
    record = replace(
        look.record,
        phase=Phase.LEARN,
        may_serve=look.record.may_serve | frozenset(look.members),
        fenced={},
        acks={},
        operation=None,
        learning=Learning(since=look.observed.at),
        rank=None,
    )
    return Decision(record, held=(f"{why}: learning again, observing only",))


def learn(look: Look) -> Decision:
    """Observe only, until enough complete rounds were seen; then everyone is fenced but the one that should serve.

    A round is complete when every member answered, or is known to have failed.
    """
    at, timing = look.observed.at, look.timing
    learning = look.record.learning
    if learning is None or learning.since > at:  # a time that is still to come was written by a clock that was wrong
        learning = Learning(since=at)
    unheard = [n for n in look.members if look.role(n) is None and not look.failed(n)]
    if unheard:
        record = replace(look.record, learning=learning)
        return Decision(record, held=tuple(f"learning: {look.judge(name).because}" for name in unheard))
    if learning.last != at:
        learning = replace(learning, rounds=learning.rounds + 1, last=at)
    learned = replace(look.record, learning=learning)
    if learning.rounds < timing.learn_rounds or at - learning.since < timing.learn_for:
        patience = max(timing.learn_for - (at - learning.since), timedelta(0))
        seen = f"{learning.rounds} of {timing.learn_rounds} complete rounds"
        return Decision(learned, held=(f"learning: {seen}, {patience.total_seconds():.0f} s to go",))
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        epoch = max(look.record.epoch, look.newest_epoch(), 1)
        return Decision(replace(learned, phase=Phase.STABLE, epoch=epoch, learning=None), because=("learned",))
    serving = [n for n in look.members if look.serves(n) and not look.failed(n)]
    target = serving[0] if len(serving) == 1 else elect(look.service, look.observed, look.record, timing, without=None)
    if target is None:
        why = why_not(look.service, look.observed, look.record, timing)
        return Decision(learned, held=("learned, but no member is fit to serve", *why))
    what = f"{target} serves already" if serving == [target] else f"{target} is the best of the fit members"
    return open_operation(look, target, Kind.ADOPT, f"learned: {what}")
