"""What can be made to go wrong in the simulated Azure, as data.

Durations are Azure's seconds (shrunk by the time factor), except `arm_retry_after`, which goes into a header as it is.
"""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any


class ServiceFault(StrEnum):
    OK = "ok"
    REFUSE = "refuse"  # 503 to everything
    THROTTLE = "throttle"  # 429 to everything
    HANG = "hang"  # no answer until lifted
    LOSE_REPLY = "lose_reply"  # the request is carried out, the answer is not sent


class Busy(StrEnum):
    """What a second write on a Route Server gets; ARM has been seen to answer either way."""

    CONFLICT = "conflict"  # 409 AnotherOperationInProgress
    THROTTLE = "throttle"  # 429 RetryableErrorDueToAnotherOperation


class WriteFault(StrEnum):
    OK = "ok"
    FAIL = "fail"  # accepted, and the operation ends Failed


@dataclass(frozen=True, slots=True)
class Faults:
    arm: ServiceFault = ServiceFault.OK
    arm_retry_after: int = 10
    monitor: ServiceFault = ServiceFault.OK
    busy: Busy = Busy.CONFLICT
    writes: WriteFault = WriteFault.OK
    health_stale: bool = False  # the health action repeats what it knew when this was set
    health_empty: bool = False  # the health action answers with no backends
    noop_keeps_etag: bool = False  # a write that changes nothing keeps the etag
    null_routes: bool = False  # an instance without routes is null instead of an empty list
    event_copies: int = 1  # at least once: every event is posted this many times
    propagation: float = 2.0  # from a successful write of a backend pool to the data plane
    health_seconds: float = 1.0
    pool_write_seconds: float = 3.0
    metrics_delay: float = 120.0  # an aggregate is visible this long after its interval has ended


class UnknownFaultError(ValueError):
    """A name or a value that is no fault; the message says which."""


def changed(faults: Faults, changes: dict[str, Any]) -> Faults:
    """`faults` with `changes` applied. Raises UnknownFaultError."""
    kinds = {field.name: type(getattr(faults, field.name)) for field in fields(faults)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in kinds:
            raise UnknownFaultError(f"no fault is called {name!r}; there are {', '.join(sorted(kinds))}")
        values[name] = _converted(name, value, kinds[name])
    return replace(faults, **values)


def _converted(name: str, value: Any, kind: type[Any]) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind in (int, float) and number and value >= 0:
        return kind(value)
    if issubclass(kind, StrEnum) and isinstance(value, str) and value in list(kind):
        return kind(value)
    raise UnknownFaultError(f"{name} cannot be {value!r}, only {_allowed(kind)}")


def _allowed(kind: type[Any]) -> str:
    if issubclass(kind, StrEnum):
        return ", ".join(kind)
    return "true or false" if kind is bool else "a number from 0 on"
