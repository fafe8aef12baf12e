"""Whether the holder must be replaced, and by which member (safety.md section 4, the table)."""

from datetime import timedelta

from function_app.domain.service.confirm import is_recent, may_predate, reached_only
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import (
    elect,
    is_down_by_operator,
    is_down_unexplained,
    is_surely_down_by_operator,
    set_back,
)
from function_app.domain.service.health import (
    HealthRow,
    Judgement,
    Verdict,
    has_failed,
    has_session,
    is_ready,
    judge,
    probe_of_silent,
)
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.patience import SHOWN_LATE, looks_shown_late, patience_is_over
from function_app.domain.service.protocol import open_operation
from function_app.domain.service.record import Kind, Phase
from function_app.domain.service.steps import SendPromote

SILENT = (HealthRow.SILENT, HealthRow.APPLIANCE_SILENT)
PROBE_DOWN = (HealthRow.PROBE_DOWN, HealthRow.APPLIANCE_DOWN)
UNANSWERED_PROBE_DOWN = (HealthRow.PATH_BROKEN_PROBE_DOWN, HealthRow.SILENT_PROBE_DOWN)
UNSEEN = {
    HealthRow.APPLIANCE_UNSEEN: ", and nothing shows whether it is well",
    HealthRow.APPLIANCE_UNREACHED: ", as a last resort: the app's own check of it fails",
}
"""What is said of a member without an agent that takes over."""


def failover(look: Look, holder: str) -> Decision | None:
    """Whether the holder must be replaced, and by which member; None when it need not be (safety.md section 4, the table).

    | the holder                                        | then                                                      |
    |---------------------------------------------------|-----------------------------------------------------------|
    | is Down by an operator, or a pool lacks it        | another one; a Down that health contradicts is waited  |
    |                                                   | for, and one that only the pool shows soon after a move   |
    | is fit, but its probe fails (`PROBE_DOWN`)        | another one, unless that is stale, or was tried just now  |
    |                                                   | and the probe gets an answer of no other one either       |
    | cannot be judged, or only by a probe that may     | left alone                                                |
    | predate its grant, while its peers hear it        |                                                           |
    | answered, and then no PROMOTE of this look        | left alone until the next one, while it is granted        |
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
    elif judgement.row is HealthRow.APPLIANCE_DOWN and (look.lacks_a_pool(holder) or may_predate(look, holder)):
        return None
    elif judgement.verdict is Verdict.UNKNOWN or _is_too_new(look, holder, judgement):
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
    if look.lacks_a_pool(holder):
        return None
    if look.kind is Kind.PROBE and is_recent(look) and reached_only(look, holder) is None:
        why = f"{reason}; it was so with the last holder too: the probe's path is at fault (NSG, 168.63.129.16)"
        return Decision(look.record, held=(why,))
    return None if may_predate(look, holder) else _replaced(look, holder, Kind.PROBE, reason)


def _is_too_new(look: Look, holder: str, judgement: Judgement) -> bool:
    """Whether it is said to fail by a probe alone that may be from before it served."""
    return _is_heard_and_new(look, holder, judgement) or _may_just_serve(look, holder, judgement)


def _is_heard_and_new(look: Look, holder: str, judgement: Judgement) -> bool:
    """Whether a holder at rest that its peers hear is said to fail by a probe alone that may predate its grant."""
    is_heard = judgement.row is HealthRow.PATH_BROKEN_PROBE_DOWN
    if not is_heard or look.record.phase is not Phase.STABLE or not may_predate(look, holder):
        return False
    since = look.operation.granted_for(look.at) if look.operation is not None else None
    return since is not None and since < SHOWN_LATE + (look.record.noticed_within or timedelta(0))


def _may_just_serve(look: Look, holder: str, judgement: Judgement) -> bool:
    """Whether a PROMOTE of this look got no answer: it may be in effect, and the probe failed before, as a standby's does."""
    if judgement.row not in UNANSWERED_PROBE_DOWN:
        return False
    promoted = (e for e in look.observed.tried if isinstance(e, SendPromote) and e.member == holder)
    return look.record.phase is Phase.GRANTED and any(promoted)


def _taken_out(look: Look, holder: str, judgement: Judgement) -> str | None:
    """How an operator took it out of a pool, if so. Where a pool lacks the member that would follow as well, a move would not
    help."""
    if is_down_by_operator(look, holder):
        is_late = not is_surely_down_by_operator(look, holder) or _may_be_our_own(look, holder)
        return None if is_late else f"{holder}: an operator set its adminState to Down"
    if judgement.row not in PROBE_DOWN or not look.lacks_a_pool(holder):
        return None
    other = elect(look, without=holder)
    return judgement.because if other is not None and not look.lacks_a_pool(other) else None


def _may_be_our_own(look: Look, holder: str) -> bool:
    """Whether only the pool shows it Down, soon after an operation that may have lifted it: the pool may be shown as it was a
    minute ago. Then it counts after as many looks as that may last."""
    return is_down_unexplained(look, holder) and is_recent(look) and not patience_is_over(look, looks_shown_late(look))


def _late_down(look: Look, holder: str) -> Decision | None:
    """Held, where a Down is not ours and health contradicts it, or does not show it yet: the pool may be shown as it was a minute
    ago."""
    backend = look.backend(holder)
    if backend is None or not is_down_by_operator(look, holder):
        return None
    why = f"adminState of {holder} is Down, but health says {backend.reason or 'nothing'}: one of them is late"
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
    ready += UNSEEN.get(judge(look, other).row, "")
    return open_operation(look, other, kind, f"{reason}; {other} takes over{ready}")
