"""What an order does to who serves: before it is given a table of now and then, after it a line each change."""

from collections.abc import Iterator

from function_app.domain.base.moments import moment
from function_app.reconcile.documents.status import ServiceStatus, Status
from function_app.reconcile.status import spares_now
from function_app.views.columns import columns
from function_app.views.status import WORDS

DRAIN = "drain"


def move_lines(status: Status, service: ServiceStatus, verb: str, member: str | None) -> Iterator[str]:
    """What `verb` changes of each member's role. `member` is the one that it names: who is to serve, or is drained."""
    yield f"{verb} of {service.service} in {status.topology}, which is {WORDS[status.verdict]} (epoch {service.epoch})"
    yield from (f"  {reason}" for reason in status.reasons)
    seen = status.last_look if status.verdict != "stale" else None
    spares = {} if seen is None else spares_now(service, seen, status.generation)
    names = [each.name for each in service.members]
    rows = [(name, _now(service, name), _then(service, verb, member, name), spares.get(name) or "") for name in names]
    yield from columns((("MEMBER", "NOW", "THEN", "KEEPS IT FROM SERVING"), *rows))
    if _is_left_open(service, verb, member):
        yield "the best other member takes over"


def _now(service: ServiceStatus, name: str) -> str:
    if name in service.drained:
        return "drained"
    if name == service.holder:
        return "serves"
    return "may serve" if name in service.may_serve else "stands by"


def _then(service: ServiceStatus, verb: str, member: str | None, name: str) -> str:
    if name == member:
        return "drained" if verb == DRAIN else "serves"
    if verb == DRAIN or (member is None and name != service.holder) or name in service.drained:
        return _now(service, name)
    return "stands by"


def _is_left_open(service: ServiceStatus, verb: str, member: str | None) -> bool:
    return member is None or (verb == DRAIN and member == service.holder)


def progress_line(service: ServiceStatus) -> str:
    """How far a service is on its way to rest."""
    epoch = f"epoch {service.epoch}"
    if service.left is not None:
        return f"{service.left.how}{'' if service.left.done else ', under way'}, {epoch}"
    if service.since is not None and service.holder is not None:
        return f"{service.holder} serves since {moment(service.since)}, {epoch}"
    if service.holder is not None:
        return f"{service.phase}: {service.holder} may serve, not confirmed yet, {epoch}"
    waits = f"; may still serve: {', '.join(service.may_serve)}" if service.may_serve else ""
    return f"{service.phase}: {service.target or 'no member'} is to serve, {epoch}{waits}"
