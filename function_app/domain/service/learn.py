"""Learning: while the record cannot be believed, nothing is done but looking, until enough has been seen.

A record may be missing, unreadable, or put back to an older one (safety.md, finding 2). Any member may be serving then;
what ends it is an operation that fences all but one (safety.md section 2, `learn`).
"""

from datetime import timedelta

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect, unable, why_not
from function_app.domain.service.health import has_failed, judge
from function_app.domain.service.kind import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading, Role
from function_app.domain.service.patience import patience_is_over
from function_app.domain.service.protocol import open_operation
from function_app.domain.service.record import Kind, Learning, Phase, Record
from function_app.domain.topology.model import Mode

UNREAD = "the load balancer is read first, for an operator may have set a member to Down"
"""Why a look at the agents alone chooses no new holder: what the record knows of the load balancer counts no more."""


def behind(look: Look) -> str | None:
    """Why the record cannot be the newest that there was, if so."""
    newest = look.newest_epoch()
    if newest > look.record.epoch:
        return f"an agent is at epoch {newest}, or received it from a peer; the record is only at {look.record.epoch}"
    return _contradicted(look) or kind_of(look.service).contradicted(look)


def _contradicted(look: Look) -> str | None:
    """What a member does at the record's epoch although the record never ordered it: then an older version of the record
    was put back (R1, R6), and nothing in it can be believed."""
    record, epoch = look.record, look.record.epoch
    for name in filter(look.obeys, look.members):
        role = look.role(name)
        if role == (epoch, Role.SERVING) and not _may_be_promoted(record, name):
            return f"{name} serves at epoch {epoch}, which this record never granted it"
        if role == (epoch, Role.STANDBY) and not _may_be_fenced(record, name):
            return f"{name} was fenced at epoch {epoch}, which this record never ordered"
    if (target := record.target) and record.phase is Phase.FENCING and _serves_unseen(look, target):
        return f"{target} answers the load balancer's probe, and this record has yet to grant it epoch {epoch}"
    return None


def _may_be_promoted(record: Record, member: str) -> bool:
    """PROMOTE at the record's epoch exists only once the target is granted it, or shares it, and no fence of it is believed."""
    return (
        (record.phase is not Phase.FENCING or record.is_shared)
        and member in record.may_serve
        and member not in record.fenced
    )


def _may_be_fenced(record: Record, member: str) -> bool:
    """FENCE at the epoch of an operation that is not granted yet exists only for those who may be serving instead."""
    return record.phase is not Phase.FENCING or member in record.may_serve - {record.target}


def _serves_unseen(look: Look, member: str) -> bool:
    """Whether a member that cannot be serving, by the record, does not answer us and yet answers the probe."""
    return look.role(member) is None and member not in look.record.may_serve and look.is_admitted(member)


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
        stalled=None,
        admitted={},
        rank=None,
    )
    return Decision(record, held=(f"{why}: learning again, observing only",))


def learn(look: Look) -> Decision:
    """Observe only, until enough complete rounds were seen; then everyone is fenced but the one that should serve.

    A round is complete when every member answered, or is known to have failed.
    """
    learning = look.record.learning
    if learning is None or learning.since > look.at:  # a time in the future comes from a skewed clock
        learning = Learning(since=look.at)
    unresolved = [n for n in look.members if not _is_resolved(look, n)]
    if unresolved:
        return _in_part(look, replace(look.record, learning=learning), unresolved)
    if learning.last != look.at:
        learning = replace(learning, rounds=learning.rounds + 1, last=look.at)
    learned = replace(look.record, learning=learning)
    if too_early := _too_early(look, learning):
        return Decision(learned, held=(too_early,))
    return _adopt(look, learned)


def _is_resolved(look: Look, member: str) -> bool:
    """Whether this look shows if it serves: of an appliance only the load balancer can tell, where there is one."""
    if look.is_appliance(member):
        return look.service.load_balancer is None or isinstance(look.observed.balancer, BalancerReading)
    return look.role(member) is not None or has_failed(look, member)


def _in_part(look: Look, learned: Record, unresolved: list[str]) -> Decision:
    """Some members are unreachable: they are waited for, for as long as patience lasts. Then who serves, by its agent or by
    the load balancer's probe, keeps it, and the unreachable others are fenced at the load balancer (F2). Without an agent, only
    a reading of the load balancer shows which one serves, and without one no fence could be proven either."""
    if not patience_is_over(look) or any(map(look.is_appliance, unresolved)):
        return Decision(learned, held=tuple(f"learning: {judge(look, name).because}" for name in unresolved))
    admitted = [name for name in unresolved if look.is_admitted(name)]
    if len(admitted) == 1 and not any(look.serves(name) for name in look.members):
        why = f"learned in part: the load balancer admits {admitted[0]}, which cannot be reached"
        return open_operation(look, admitted[0], Kind.RENEW, why)
    return _adopt(look, learned)


def _too_early(look: Look, learning: Learning) -> str | None:
    """What is still missing before anything is believed."""
    timing, so_far = look.timing, look.at - learning.since
    if learning.rounds >= timing.learn_rounds and so_far >= timing.learn_for:
        return None
    left = max(timing.learn_for - so_far, timedelta(0))
    seen = f"{min(learning.rounds, timing.learn_rounds)} of {timing.learn_rounds} complete rounds"
    waits = (
        f"{left.total_seconds():.0f} s to go"
        if left
        else "the next once every member answers or is known to have failed"
    )
    return f"learning: {seen}, {waits}"


def _adopt(look: Look, learned: Record) -> Decision:
    """The member that serves already keeps it; where none or several do, see `_best`. One that does not serve waits for a
    look that read the load balancer, or tried to."""
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        epoch = max(look.record.epoch, look.newest_epoch(), 1)
        return Decision(replace(learned, phase=Phase.STABLE, epoch=epoch, learning=None), because=("learned",))
    serving = _serving(look)
    if learned.flaws and look.service.load_balancer is not None and len(serving) == 1:
        return Decision(learned, held=tuple(f"not adopted: {flaw}" for flaw in learned.flaws))
    target = _best(look, serving)
    if target is None:
        return Decision(learned, held=("learned, but no member is fit to serve", *why_not(look)))
    if target not in serving and not kind_of(look.service).can_tell(look):
        return Decision(learned, held=(f"learned, but {target} does not serve yet: {UNREAD}",))
    what = f"{target} serves already" if target in serving else f"{target} is the best of the fit members"
    return open_operation(look, target, Kind.ADOPT, f"learned: {what}")


def _serving(look: Look) -> list[str]:
    """Those that serve and have not failed."""
    return [name for name in look.members if look.serves(name) and not has_failed(look, name)]


def _serves_everywhere(look: Look, member: str) -> bool:
    """Of several pools in each, as far as there are pools: in a sandwich the others serve one side only."""
    backend = look.backend(member)
    return backend is None or (backend.is_up_everywhere and not backend.partly_unlisted)


def _best(look: Look, serving: list[str]) -> str | None:
    """The only one that serves, by every pool. Of several the one that the record names, if it could take over; else the best of
    the fit ones."""
    everywhere = [name for name in serving if _serves_everywhere(look, name)]
    if len(everywhere) == 1 or len(serving) == 1:
        return (everywhere or serving)[0]
    named = look.record.target
    return named if named in serving and unable(look, named) is None else elect(look, without=None)
