"""Who should serve next. Pure ranking; whether anybody may be fenced for it is decided elsewhere."""

from datetime import datetime

from function_app.domain.base.timing import Timing
from function_app.domain.service.health import Verdict, is_ready, judge
from function_app.domain.service.observation import AdminState, Observed
from function_app.domain.service.record import Record
from function_app.domain.topology.model import Service


def elect(service: Service, observed: Observed, record: Record, timing: Timing, without: str | None) -> str | None:
    """The best member to promote, or None.

    Only members whose agent answers and finds itself fit, and that nobody drained or took out of the pool by hand. Ready
    ones first, among them those whose machine the platform is not about to interrupt; one that is not ready (no
    Established session) is the last resort. Then by priority, then by name.
    """
    others = [name for name in service.names if name != without]
    candidates = [name for name in others if _passed_over(name, observed, record, timing) is None]
    ready = [name for name in candidates if is_ready(service, name, observed)]
    lasting = [name for name in ready if not maintained(name, observed)]
    return next(iter(lasting or ready or candidates), None)


def why_not(service: Service, observed: Observed, record: Record, timing: Timing) -> tuple[str, ...]:
    """Of each member that is not elected, why."""
    return tuple(why for name in service.names if (why := _passed_over(name, observed, record, timing)))


def _passed_over(member: str, observed: Observed, record: Record, timing: Timing) -> str | None:
    judgement = judge(member, observed, record, timing)
    if observed.status(member) is None or judgement.verdict is not Verdict.HEALTHY:
        return judgement.because
    if _taken_out_by_hand(member, observed, record):
        return (
            f"{member}: its adminState is Down, and not by us as far as the record goes: it is somebody's to take back"
        )
    return f"{member}: it is drained" if is_drained(member, record, observed.at) else None


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
