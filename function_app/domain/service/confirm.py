"""How the load balancer's probe confirms a new holder, and which readings may predate the grant (ADR 8).

Off the failover path: the load balancer's health is only read by slow passes, and shows a change late.
"""

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect, failed_before, is_known_out, set_back, unable
from function_app.domain.service.health import tally
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading, Observed, Value
from function_app.domain.service.patience import patience_is_over
from function_app.domain.service.protocol import back, open_operation, promote
from function_app.domain.service.record import Kind, Operation, Phase, Record, Tally


def with_probes(look: Look) -> Record:
    """The record with what this look's health reasons show: whose probe fails, whether the holder's was seen to rise, and,
    once it is stable, how often it failed: a standby's 503 is expected, a fresh holder's too."""
    record, balancer, holder = look.record, look.observed.balancer, look.record.holder
    if not isinstance(balancer, BalancerReading):
        return record
    noticed = balancer.noticed_within or record.noticed_within
    record = replace(record, noticed_within=noticed, last_choices=_known_out(look))
    if holder is None:
        return record
    probed = {name: backend.probed for name, backend in balancer.backends.items()}
    up = {name for name, value in probed.items() if value is Value.OK}
    down = {name for name, value in probed.items() if value is Value.BAD}
    counts = _counted(look, holder) if is_probe_news(look) else record.tallies
    return replace(
        record,
        tallies=counts,
        probe_down=(record.probe_down | down) - up,
        admitted=_admitted(look, up - {holder} - record.fenced.keys()),
        operation=_seen_to_rise(look, holder) if _is_up(look, holder) else record.operation,
    )


def _is_up(look: Look, member: str) -> bool:
    backend = look.backend(member)
    return backend is not None and backend.is_up_everywhere


def _seen_to_rise(look: Look, holder: str) -> Operation | None:
    """The operation, of a holder whose probe succeeds: that is news where it failed before, or where there is no agent and it
    was Down before."""
    record, operation = look.record, look.operation
    is_news = holder in record.probe_down or look.is_appliance(holder)
    return replace(operation, confirmed=True) if operation is not None and is_news else operation


def _known_out(look: Look) -> frozenset[str]:
    return frozenset(name for name in look.members if is_known_out(look, name))


def _admitted(look: Look, others: set[str]) -> dict[str, Tally]:
    """Of others that the load balancer admits and that do not answer us, the looks that showed it. Those that answer are
    fenced by their agents, and an acknowledgement is worth more than a probe that is shown late. One whose answer was not waited
    for is not counted."""
    unreachable = sorted(name for name in others if not look.obeys(name) and not look.observed.is_not_awaited(name))
    counts = ((n, tally(look.record.admitted.get(n), Value.BAD, look.at, look.timing)) for n in unreachable)
    return {name: count for name, count in counts if count is not None}


def is_probe_news(look: Look) -> bool:
    """Whether a failing probe is news: a fresh holder's fails for a while. Not so that of one to which an operation went back and
    whose agent does not answer: it serves as before, or stands by and cannot be promoted."""
    record = look.record
    is_out_of_reach = look.kind is Kind.BACK and record.target is not None and look.role(record.target) is None
    return record.phase is Phase.STABLE or look.kind is Kind.RENEW or is_out_of_reach


def _counted(look: Look, holder: str) -> dict[str, Tally]:
    """The tally of the holder alone, with this reading."""
    count = tally(look.record.tallies.get(holder), look.probed(holder), look.at, look.timing)
    return {holder: count} if count is not None else {}


def counted_anew(look: Look, holder: str) -> Record:
    """The record of a holder that is promoted again. Where it did not serve its probe fails for that, and counts anew, as after
    every promotion, also where no look has shown it yet. Once, until it was seen to rise: one that never serves must still be
    found out."""
    record, operation = look.record, look.operation
    serves = look.serves(holder) and not look.is_unconfirmed(holder)
    if serves or operation is None or not operation.confirmed or not promote(look, holder):
        return record
    others = {name: count for name, count in record.tallies.items() if name != holder}
    return replace(record, operation=replace(operation, confirmed=False), tallies=others)


def confirm(look: Look, target: str) -> Decision:
    """Step 6, off the failover path: stable once the load balancer's probe agrees.

    | the load balancer shows of the target     | then                                                                |
    |-------------------------------------------|---------------------------------------------------------------------|
    | its probe succeeds                        | stable                                                              |
    | nothing, for it was not read              | held until a slow pass reads it                                     |
    | its probe fails, or no reason, few looks  | held: health shows a change late                                    |
    | no reason, after `verifyLooks` looks      | stable, and the reason says that it could not be confirmed          |
    | its probe fails, after `verifyLooks`      | the next candidate, but only once (`Kind.PROBE`); then held, unless |
    |                                           | the probe is answered by that candidate and not by the target       |
    | the same of one without an agent, once    | the next candidate, or after a switchover the old holder            |
    | the probe has had its time                |                                                                     |

    Patience is a number of looks: neither a clock nor a host that slept ends it.
    """
    record, seen = look.record, look.observed
    serves, backend = f"{target} serves at epoch {record.epoch}", look.backend(target)
    if _is_up(look, target):
        return rest(record, f"{serves}, verified")
    if seen.balancer is None:
        return Decision(record, held=(f"{serves}; the load balancer is still to confirm it",))
    reason = backend.least if backend is not None else None
    shown = f", but the probe says {reason}" if reason else f"; the load balancer does not tell: {_silence(seen)}"
    if not patience_is_over(look, _looks_of_probe(look, target) if reason else None):
        return Decision(record, held=(serves + shown,))
    if reason is None:
        return rest(record, serves + shown)
    kind, other = _next(look, target)
    if other is None:
        return Decision(record, held=(serves + shown,))
    why = f"{target} was not verified in time ({reason})"
    if kind is Kind.FAILOVER:
        why += ": the load balancer's probe of it fails"
    if look.is_appliance(target):
        look = set_back(look, target)
    return back(look, why) if kind is Kind.BACK else open_operation(look, other, kind, why)


def _looks_of_probe(look: Look, target: str) -> int | None:
    """How many looks a failing probe is given where there is no agent: what is lifted answers at once or not at all, so that the
    probe's own time will do, and one look more, which may have begun before."""
    noticed = look.record.noticed_within
    if noticed is None or not look.is_appliance(target):
        return None
    return min(1 - (-noticed // look.timing.doubt_poll), look.timing.verify_looks)


def _next(look: Look, target: str) -> tuple[Kind, str | None]:
    """Who follows a target that the probe does not confirm, and as what. Without an agent nothing else shows whether one is well:
    they are tried one after the other, and once each was, ever more slowly (`spacing`)."""
    if look.is_appliance(target):
        other = elect(look, without=target)
        if look.kind is Kind.SWITCHOVER:
            return Kind.BACK, other
        return Kind.FAILOVER if other is not None and failed_before(look, other) else Kind.NEXT, other
    if look.kind is Kind.PROBE:
        return Kind.NEXT, reached_only(look, target)
    return Kind.PROBE, elect(look, without=target)


def reached_only(look: Look, target: str) -> str | None:
    """A member that could take over and that the probe gets an answer of, though not a 200 while it stands by, and none of the
    target."""
    if look.probe_path(target) is not Value.BAD:
        return None
    able = (name for name in look.members if name != target and unable(look, name) is None)
    return next((name for name in able if look.probe_path(name) is Value.OK), None)


def _silence(seen: Observed) -> str:
    return seen.balancer if isinstance(seen.balancer, str) else "its health says nothing"


def rest(record: Record, because: str) -> Decision:
    """The operation is over: the service is stable."""
    return Decision(replace(record, phase=Phase.STABLE), because=(because,))


def may_predate(look: Look, holder: str) -> bool:
    """Whether the failing probe may still be that of a standby: health shows a change late, and its last success may date
    from an earlier time that it served. Then it is given as many looks as a holder that is not confirmed (`confirm`)."""
    operation, count = look.record.operation, look.record.tallies[holder].bad
    confirmed = operation is not None and operation.confirmed
    return is_recent(look) and not confirmed and count < look.timing.verify_looks


def is_recent(look: Look) -> bool:
    """Whether the last operation was opened less than `spacing_forget` ago."""
    operation = look.record.operation
    return operation is not None and look.at - operation.started < look.timing.spacing_forget
