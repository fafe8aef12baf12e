"""Who should serve next. Pure ranking; whether anybody may be fenced for it is decided elsewhere."""

from datetime import datetime

from function_app.domain.health import Verdict, is_ready, judge
from function_app.domain.observation import AdminState, Observed
from function_app.domain.record import Record
from function_app.domain.timing import Timing
from function_app.domain.topology import Service


def elect(service: Service, observed: Observed, record: Record, timing: Timing, without: str | None) -> str | None:
    """The best member to promote, or None.

    Only members whose agent answers and finds itself fit, and that nobody drained or took out of the pool by hand. Ready
    ones first, among them those whose machine the platform is not about to interrupt; one that is not ready (no
    Established session) is the last resort. Then by priority, then by name.
    """
    candidates = [
        name
        for name in service.names
        if name != without
        and observed.status(name) is not None
        and judge(name, observed, record, timing).verdict is Verdict.HEALTHY
        and not _taken_out_by_hand(name, observed, record)
        and not is_drained(name, record, observed.at)
    ]
    ready = [name for name in candidates if is_ready(service, name, observed)]
    lasting = [name for name in ready if not maintained(name, observed)]
    return next(iter(lasting or ready or candidates), None)


def maintained(member: str, observed: Observed) -> str | None:
    """What the platform is about to do to it, if anything (Azure Scheduled Events)."""
    status = observed.status(member)
    return status.maintenance if status is not None else None


def is_drained(member: str, record: Record, at: datetime) -> bool:
    """Whether an operator's drain of this member is in force."""
    drain = record.drains.get(member)
    return drain is not None and at < drain.until


def _taken_out_by_hand(member: str, observed: Observed, record: Record) -> bool:
    """adminState Down that is not ours is an operator's maintenance: never undone, never elected (safety.md section 4)."""
    backend = observed.backend(member)
    return backend is not None and backend.admin_state is AdminState.DOWN and member not in record.owed
