"""The trace of a pass (W3C Trace Context): one id in its lines of the log, in its commands to agents, and in theirs."""

import uuid
from contextvars import ContextVar

_trace: ContextVar[str] = ContextVar("trace", default="")


def begin() -> None:
    """A new trace, for all that this task does from here on."""
    _trace.set(uuid.uuid4().hex)


def current() -> str:
    """The id of the trace, 32 hex digits; empty outside of a pass."""
    return _trace.get()


def traceparent() -> dict[str, str]:
    """The header that hands the trace on; none outside of a pass."""
    return {"traceparent": f"00-{current()}-{uuid.uuid4().hex[:16]}-01"} if current() else {}
