"""A new holder and the load balancer's probe: what verifies it, what it is waited for, what may be of before (ADR 8).

Off the failover path: the load balancer's health is only read by slow passes, and tells late.
"""

from msgspec.structs import replace

from function_app.domain.base.timing import Timing
from function_app.domain.service.election import elect
from function_app.domain.service.health import counted_lately, tally
from function_app.domain.service.observation import BalancerReading, Observed, Value
from function_app.domain.service.protocol import Decision, Kind, Look, open_operation
from function_app.domain.service.record import Phase, Record, Tally


def with_probes(timing: Timing, observed: Observed, record: Record) -> Record:
    """Keeps what this look's health reasons say: whose probe fails, whether the holder's was seen to rise, and, once it
    is stable, how often it failed: a standby's 503 is expected, a fresh holder's too."""
    balancer, holder = observed.balancer, record.holder
    if not isinstance(balancer, BalancerReading) or holder is None:
        return record
    probed = {name: backend.probed for name, backend in balancer.backends.items()}
    up, down = ({name for name, value in probed.items() if value is said} for said in (Value.OK, Value.BAD))
    counts, operation = record.tallies, record.operation
    if record.phase is Phase.STABLE:
        count = tally(counts.get(holder), probed.get(holder, Value.UNKNOWN), observed.at, timing)
        counts = {holder: count} if count is not None else {}
    if operation is not None and holder in up & record.probe_down:
        operation = replace(operation, confirmed=True)
    kept = replace(record, tallies=counts, probe_down=(record.probe_down | down) - up, operation=operation)
    return record if kept == record else kept


def verify(look: Look, target: str) -> Decision:
    """Step 6, off the failover path: stable once the load balancer's probe agrees.

    Where it disagrees, or nothing tells (ARM down, health empty), that is waited for: a holder that the probe has not
    found yet must not count as one that it lost. Patience is a number of looks; no clock, no host that slept ends it.
    """
    record, seen = look.record, look.observed
    serves, backend = f"{target} serves at epoch {record.epoch}", seen.backend(target)
    if look.service.naming is not None or (backend is not None and backend.probed is Value.OK):
        return _rest(record, f"{serves}, verified")
    if seen.balancer is None:
        return Decision(record, held=(f"{serves}; the load balancer is still to confirm it",))
    reason = backend.reason if backend is not None else None
    said = f", but the probe says {reason}" if reason else f"; the load balancer does not tell: {_silence(seen)}"
    waited = _waited(look)
    if record.operation is not None:
        record = replace(record, operation=replace(record.operation, unverified=waited))
    if waited.bad <= look.timing.verify_looks:
        return Decision(record, held=(serves + said,))
    if reason is None:
        return _rest(record, serves + said)
    other = elect(look.service, seen, record, look.timing, without=target)
    if other is None or look.kind is Kind.PROBE:
        return Decision(record, held=(serves + said,))
    return open_operation(look, other, Kind.PROBE, f"{target} was not verified in time ({reason})")


def _silence(seen: Observed) -> str:
    return seen.balancer if isinstance(seen.balancer, str) else "its health says nothing"


def _waited(look: Look) -> Tally:
    """How many looks since the grant have not found the holder confirmed, this one counted."""
    before, at = look.record.operation.unverified if look.record.operation else None, look.observed.at
    if before is not None and (counted_lately(before, at, look.timing) or before.bad > look.timing.verify_looks):
        return before
    return Tally(bad=(before.bad if before else 0) + 1, at=at)


def _rest(record: Record, because: str) -> Decision:
    return Decision(replace(record, phase=Phase.STABLE), because=(because,))


def may_be_of_before(look: Look, holder: str) -> bool:
    """Whether the failing probe may still be that of a standby: health tells late, and may have told that it was up from
    an earlier time that it served. Then it is given as many looks as a holder that was not found yet (`verify`)."""
    operation, count = look.record.operation, look.record.tallies[holder].bad
    confirmed = operation is not None and operation.confirmed
    return is_recent(look) and not confirmed and count < look.timing.verify_looks


def is_recent(look: Look) -> bool:
    """Whether the last operation was opened less than `spacing_forget` ago."""
    operation = look.record.operation
    return operation is not None and look.observed.at - operation.started < look.timing.spacing_forget
