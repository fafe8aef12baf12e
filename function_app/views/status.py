"""The status as a person reads it at night: a verdict, then of each service who serves, since when, why, and who could follow.

Stored readings are of the moment at which they were made: where that is long ago, nothing is said in the present tense.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import UNSET

from function_app.domain.base.moments import moment
from function_app.reconcile.documents import look
from function_app.reconcile.documents.status import Overview, ServiceStatus, Status, Sweep, TopologySummary
from function_app.reconcile.status import answers, spares_now

REASONS_MOST = 6
"""Lines of reasons of one service; all of them are in the JSON."""
FOUND = {"error": "errors", "warning": "warnings", "info": "to know"}
WORDS = {"well": "well", "trouble": "TROUBLE", "stale": "UNKNOWN"}


def status_lines(status: Status) -> Iterator[str]:
    """For a terminal, without colour."""
    yield f"{status.topology}: {WORDS[status.verdict]}"
    yield from (f"  {reason}" for reason in status.reasons)
    yield _looked(status)
    yield from (f"  its document: {problem}" for problem in status.problems)
    for service in status.services:
        yield ""
        yield from _service(service, status)
    if status.last_look is not None:
        yield f"as of {moment(status.last_look.at)}:" if status.verdict == "stale" else ""
        yield from _surroundings(status.last_look, status.topology)


def overview_lines(overview: Overview, verdicts: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """One line a topology, with its verdict where that is known, then the sweep."""
    for each in overview.topologies:
        verdict = verdicts.get(each.topology)
        yield _summary(each, f"{WORDS[verdict]}; " if verdict is not None else "")
    if unwell := [name for name, verdict in verdicts.items() if verdict != "well"]:
        yield f"what is wrong, and why: `hopkeeper status {unwell[0]}`"
    if not overview.topologies:
        yield "no topology is in force: `hopkeeper apply FILE`"
    yield _swept(overview.sweep)
    if overview.observing:
        yield "observing only: nothing is changed, and orders are refused"


def _summary(each: TopologySummary, verdict: str) -> str:
    if not each.usable:
        return f"{each.topology}: no version of its document can be used: {'; '.join(each.problems)}"
    looked = "no look yet" if each.last_look_seconds is None else f"looked at {ago(each.last_look_seconds)}"
    services = ", ".join(each.services) if each.services is not UNSET and each.services else "no services"
    trouble = f"; its document: {'; '.join(each.problems)}" if each.problems else ""
    return f"{each.topology}: {verdict}{services}; {looked}{trouble}"


def _looked(status: Status) -> str:
    if status.last_look is None or status.looked_seconds is None:
        return f"no look on record; {_swept(status.sweep)}"
    at = moment(status.last_look.at)
    return (
        f"looked at {ago(status.looked_seconds)} ({at}); {_swept(status.sweep)}, due every {status.sweep_seconds:g} s"
    )


def _swept(sweep: Sweep | None) -> str:
    return "no sweep came yet" if sweep is None else f"the last sweep came {ago(sweep.age_seconds)}"


def _service(service: ServiceStatus, status: Status) -> Iterator[str]:
    yield f"{service.service} ({service.mode}): {_who(service, status)}"
    if service.left is not None:
        return
    if service.operation is not None:
        yield f"  why    {service.operation.kind}: {service.operation.reason}"
    yield from _ordered(service)
    if status.last_look is not None and service.service in status.last_look.services:
        yield from _seen(service, status.last_look, status)


def _ordered(service: ServiceStatus) -> Iterator[str]:
    if service.paused is not None:
        why = f": {service.paused.reason}" if service.paused.reason else ""
        yield f"  paused until {moment(service.paused.until)} by {service.paused.by}{why}; `resume` ends it"
    for name, drain in service.drained.items():
        yield f"  drained {name} until {moment(drain.until)} by {drain.by}"


def _seen(service: ServiceStatus, last: look.LastLook, status: Status) -> Iterator[str]:
    seen = last.services[service.service]
    if status.verdict != "stale":
        taking = service.target if service.holder is None else None  # it is no spare of itself
        spares = spares_now(service, last, status.generation)
        yield from _spares(service, {name: why for name, why in spares.items() if name != taking}, last)
    yield f"  {seen.outcome}, as of {moment(last.at)}" if status.verdict == "stale" else f"  {seen.outcome}"
    reasons = [reason.removeprefix(f"{service.service}: ") for reason in seen.reasons]
    yield from (f"  {reason}" for reason in reasons[:REASONS_MOST])
    if len(reasons) > REASONS_MOST:
        yield f"  and {len(reasons) - REASONS_MOST} more: --json"


def _who(service: ServiceStatus, status: Status) -> str:
    epoch = f"epoch {service.epoch}"
    if service.left is not None:
        return f"{service.left.how} by {service.left.by}: {'not managed' if service.left.done else 'under way'}"
    if service.mode == "active-active":
        return f"every member may serve: {', '.join(service.may_serve) or 'none'}, {epoch}"
    if service.holder is None:
        coming = f"{service.target} is to serve" if service.target else "who serves is being learned"
        return f"NO member serves for certain; {coming} ({service.phase}, {epoch})"
    if status.verdict == "stale":
        return f"{service.holder} served by the record ({epoch}); whether it does now is unknown"
    if service.since is None:
        return f"{service.holder} may serve, not confirmed yet ({service.phase}, {epoch})"
    since = f"since {moment(service.since)}, {ago((status.as_of - service.since).total_seconds())} ({epoch})"
    if status.last_look is not None and not answers(service.holder, status.last_look):
        return f"{service.holder} has the role {since}, and does NOT answer"
    return f"{_with_agent(service.holder, status.last_look)} serves {since}"


def _with_agent(member: str, last: look.LastLook | None) -> str:
    """Its name, and that it has no agent where that is so: only the load balancer, and those that watch it, show how it is."""
    return member if last is None or member in last.members else f"{member} (no agent)"


def _spares(service: ServiceStatus, spares: dict[str, str | None], last: look.LastLook) -> Iterator[str]:
    if len(service.members) == 1:
        yield "  spare  none: it has one member"
    if not spares:
        return
    able = [_with_agent(name, last) for name, why in spares.items() if why is None]
    lacking = [why for why in spares.values() if why is not None]
    yield f"  spare  {', '.join(able) if able else 'NONE: the next failure is an outage'}"
    yield from (f"         {why}" for why in lacking)


def _surroundings(last: look.LastLook, topology: str) -> Iterator[str]:
    for name, server in last.route_servers.items():
        taken = "not read" if server.taken is None else f"{server.taken} of {server.most} peers"
        yield f"{name}: {taken}, {server.outcome}"
        if server.outcome != "converged":
            yield from (f"  {why.removeprefix(f'{name}: ')}" for why in last.reasons if why.startswith(f"{name}: "))
    routes = (
        "verified"
        if last.routes.verified
        else f"{last.routes.wrong} wrong (`hopkeeper verify {topology}`)"
        if last.routes.wrong
        else "not verified yet"
    )
    age = "" if last.routes.age_seconds is UNSET else f", the oldest answer {ago(last.routes.age_seconds)}"
    yield f"routes: {routes}{age}"
    if last.preflight:
        yield f"preflight: {_counted(last)}: `hopkeeper lint {topology}`"


def _counted(last: look.LastLook) -> str:
    found = Counter(finding.severity for finding in last.preflight)
    return ", ".join(f"{found[each]} {words}" for each, words in FOUND.items() if each in found)


def ago(seconds: float) -> str:
    """An age in the unit in which a person would say it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
