"""The trace of what was requested (W3C Trace Context): its spans, and one id in the log, in commands to agents, and in theirs.

A trace begins with a trigger and ends with the verification, which a later pass may make: the operation in the record remembers
the span that opened it, where telemetry is configured.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from secrets import token_hex

from function_app.reconcile.ports import Ports
from function_app.reconcile.telemetry import FAILED, Said, Span, SpanContext

_here: ContextVar[SpanContext | None] = ContextVar("span", default=None)


@contextmanager
def span(
    ports: Ports, name: str, *, began: datetime | None = None, of: SpanContext | None = None, **said: Said
) -> Iterator[dict[str, Said]]:
    """A span for all that the body does; it gives the attributes, to add to. The first one of a task begins a trace. `of`:
    the parent, of an earlier pass. Where telemetry records nothing, only that first one is made, for the log and the agents."""
    above = _here.get()
    if above is not None and not ports.telemetry.records:
        yield said
        return
    parent, link = (of, above) if of is not None and above is not None and of.trace != above.trace else (above, None)
    context = SpanContext(parent.trace if parent else uuid.uuid4().hex, token_hex(8))
    began, before = began or ports.clock.now(), _here.set(context)
    try:
        yield said
    except BaseException as error:
        said[FAILED] = f"{type(error).__name__}: {error}"
        raise
    finally:
        _here.reset(before)
        ended = ports.clock.now()
        ports.telemetry.ended(Span(context, parent, link, name, began, ended, said))


def current() -> str:
    """The id of the trace, 32 hex digits; empty outside of one."""
    here = _here.get()
    return here.trace if here else ""


def traceparent() -> str:
    """The value of the header that hands the trace on, by the innermost span; empty outside of one."""
    return str(_here.get() or "")
