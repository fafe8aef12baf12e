"""Who should serve next. Only a ranking; whether anybody may be fenced for it is decided elsewhere."""

from datetime import datetime

from msgspec.structs import replace

from function_app.domain.base.moments import moment
from function_app.domain.service.health import HealthRow, Verdict, has_session, is_ready, is_seen, judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AdminState, BalancerReading, Value
from function_app.domain.topology.model import Naming


def elect(look: Look, without: str | None) -> str | None:
    """The best member to promote, or None.

    Only members whose agent answers and finds itself fit, or that have none and are not known to fail, and that no operator
    drained or took out of the pool. Ready ones first, then those with any Established session, among them those whose machine
    the platform is not about to interrupt; one without a session is the last resort. Before all that, those that did not refuse
    lately and that the load balancer's probe, and the app's own check, reach. Then by priority, then by name; of those that
    refused lately the one that did so longest ago. Where members announce themselves, one without a session is the very last:
    nothing reaches it.
    """
    candidates = [name for name in look.members if name != without and _passed_over(look, name) is None]
    reached = (has_session,) if look.service.naming is Naming.SELF else ()
    for is_better in (*reached, _is_willing, is_ready, has_session, _is_lasting, is_seen):
        candidates = [name for name in candidates if is_better(look, name)] or candidates
    long_ago = look.at - look.timing.spacing_forget
    return min(candidates, key=lambda name: _refused_lately(look, name) or long_ago, default=None)


def set_back(look: Look, member: str) -> Look:
    """The look in which it refused to serve just now, or failed where nothing will tell when it is well again."""
    return look.with_record(replace(look.record, refused={**look.record.refused, member: look.at}))


def _is_willing(look: Look, member: str) -> bool:
    return not is_last_choice(look, member)


def _is_lasting(look: Look, member: str) -> bool:
    return maintained(look, member) is None


def why_not(look: Look) -> tuple[str, ...]:
    """Of each member that is not elected, why."""
    return tuple(why for name in look.members if (why := _passed_over(look, name)))


def _passed_over(look: Look, member: str) -> str | None:
    judgement = judge(look, member)
    if look.role(member) is None or judgement.verdict is not Verdict.HEALTHY:
        return judgement.because
    if is_down_by_operator(look, member):
        return f"{member}: its adminState is Down, and the record does not say that we set it: an operator must undo it"
    return f"{member}: it is drained" if is_drained(look, member) else None


def unable(look: Look, member: str) -> str | None:
    """Why it could not take over now, or only as the last resort; None where it could."""
    if why := _passed_over(look, member):
        return why
    if look.lacks_a_pool(member):
        return f"{member}: it is not in {'the' if look.is_unlisted(member) else 'every'} backend pool"
    if is_last_choice(look, member):
        if is_unreached(look, member):
            return judge(look, member).because
        if look.is_appliance(member) and (at := _refused_lately(look, member)):
            return f"{member}: it failed at {moment(at)}, and nothing shows whether it is well since"
        return f"{member}: it refused to serve lately, or the load balancer's probe gets no answer of it"
    return None if is_ready(look, member) else f"{member}: not every BGP session of it is Established"


def is_last_choice(look: Look, member: str) -> bool:
    """Whether it refused to serve lately, or gets no new flows, or the app's own check of it fails."""
    return _refused_lately(look, member) is not None or is_known_out(look, member) or is_unreached(look, member)


def is_unreached(look: Look, member: str) -> bool:
    """Whether it has no agent, the app's own check of it fails, and no other source can tell."""
    return judge(look, member).row is HealthRow.APPLIANCE_UNREACHED


def _refused_lately(look: Look, member: str) -> datetime | None:
    """When it did; None where that was long ago, or where a member without an agent is seen to answer again."""
    at = _set_back_at(look, member)
    return None if at is None or judge(look, member).row is HealthRow.APPLIANCE_UP else at


def failed_before(look: Look, member: str) -> bool:
    """Whether one without an agent failed lately as the holder, well as it may look since: only its probe shows that."""
    return look.is_appliance(member) and _set_back_at(look, member) is not None


def _set_back_at(look: Look, member: str) -> datetime | None:
    """None where that was never, or long ago."""
    at = look.record.refused.get(member)
    return None if at is None or look.at - at >= look.timing.spacing_forget else at


def is_known_out(look: Look, member: str) -> bool:
    """Whether it gets no new flows, by this look or by the last one that read the load balancer: its probe gets no answer, a
    pool does not list it, or an operator set it to Down."""
    if not isinstance(look.observed.balancer, BalancerReading):
        return member in look.record.last_choices
    return look.probe_path(member) is Value.BAD or look.lacks_a_pool(member) or is_down_by_operator(look, member)


def maintained(look: Look, member: str) -> str | None:
    """What the platform is about to do to it, if anything (Azure Scheduled Events). A freeze counts if the document says so."""
    status = look.status(member)
    coming = status.maintenance if status is not None else None
    lasts_seconds = coming is not None and coming.lower().startswith("freeze")
    return None if lasts_seconds and look.service.failover.freeze == "stay" else coming


def is_drained(look: Look, member: str) -> bool:
    """Whether an operator's drain of this member is in force."""
    drain = look.record.drains.get(member)
    return drain is not None and look.at < drain.until


def is_down_by_operator(look: Look, member: str) -> bool:
    """adminState Down that is not ours is an operator's maintenance: never undone, never elected (safety.md section 4)."""
    backend = look.backend(member)
    down = backend is not None and (backend.admin_state is AdminState.DOWN or backend.partly_down)
    return down and member not in look.record.owed


def is_surely_down_by_operator(look: Look, member: str) -> bool:
    """The same, where health does not contradict it: the pool may be shown as it was a minute ago."""
    backend = look.backend(member)
    return backend is not None and backend.is_shown_down and is_down_by_operator(look, member)


def is_down_unexplained(look: Look, member: str) -> bool:
    """The same, where health does not name an adminState either: the pool alone shows it."""
    backend = look.backend(member)
    return backend is not None and is_surely_down_by_operator(look, member) and not backend.is_named_down
