"""How long `learn`, `fencing` and `granted` may make no progress: a number of looks (ADR 8, safety.md section 2b).

Neither a clock nor a host that slept ends it. What follows then is the business of each phase.
"""

from datetime import timedelta

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.election import is_down_unexplained
from function_app.domain.service.health import tally
from function_app.domain.service.kind import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Value
from function_app.domain.service.record import Phase, Record

SHOWN_LATE = timedelta(minutes=1)
"""For so long the management API may show a pool, or its health, as it was before the last change (safety.md section 4)."""


def looks_shown_late(look: Look) -> int:
    """How many looks in a row may all have been shown as it was before the last change."""
    return -(-SHOWN_LATE // look.timing.doubt_poll)


def patience_is_over(look: Look, looks: int | None = None) -> bool:
    """Whether so many looks in a row made no progress, `verifyLooks` where it is not said how many."""
    stalled = look.record.stalled
    return stalled is not None and stalled.bad >= (look.timing.verify_looks if looks is None else looks)


def with_serving_seen(look: Look) -> Record:
    """The record of a target that serves: once a look can confirm it, patience begins anew, the first time."""
    record, operation = look.record, look.operation
    if operation is None or operation.served or not kind_of(look.service).can_tell(look):
        return record
    return replace(record, operation=replace(operation, served=True), stalled=None)


def with_patience(look: Look, decision: Decision) -> Decision:
    """The decision, with this look counted if it could have shown progress and did not.

    Progress is a step, a proof, or a fence that is gone; commands that are repeated are none. At rest a look is counted that
    shows the holder Down by the pool alone.
    """
    before, after = look.record, decision.record
    is_at_rest = after.phase is Phase.STABLE
    if _progress(before) != _progress(after) or (is_at_rest and not _holds_down(look)):
        return decision.with_record(replace(after, stalled=None))
    if not is_at_rest and not kind_of(look.service).can_tell(look):
        return decision
    stalled = tally(after.stalled, Value.BAD, look.at, look.timing)
    return decision.with_record(replace(after, stalled=stalled))


def _holds_down(look: Look) -> bool:
    holder = look.record.holder
    return holder is not None and is_down_unexplained(look, holder)


def _progress(record: Record) -> tuple[object, ...]:
    return record.phase, record.epoch, record.may_serve, record.fenced, record.owed, record.rank
