"""What readings add up to: a member's verdict, with the evidence that made it.

Sources (safety.md section 4): A the agent itself, P its peers, L the load balancer's health reason.
A member has FAILED when it says so itself, when A and P both fail, or when L is down by probe for `fall` looks.
Each source's own fall and rise is counted where its period is known: A's checks and P's heartbeats in the agents,
L here, in the record's tallies, because L is only read by passes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from function_app.domain.base.timing import ONE_VOICE, Timing
from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AgentStatus,
    Appliance,
    MemberReading,
    NotAwaited,
    Observed,
    PeerView,
    Unreachable,
    Value,
)
from function_app.domain.service.record import Tally
from function_app.domain.service.steps import AwaitProbe
from function_app.domain.topology.model import Service


class Verdict(StrEnum):
    HEALTHY = "healthy"
    FAILED = "failed"
    UNKNOWN = "unknown"


class HealthRow(StrEnum):
    """The row of the table below that spoke."""

    NOT_AWAITED = "A not waited for"
    FATAL = "A says fatal"
    PROBE_DOWN = "A fit, L down by probe for fall looks"
    FIT = "A fit"
    FIT_UNHEARD = "A fit, P failing"
    PATH_BROKEN = "A unreachable, P ok"
    PATH_BROKEN_PROBE_DOWN = "A unreachable, P ok, L down by probe for fall looks"
    SILENT = "A unreachable, P failing on gossip and probe port"
    SILENT_YET = "A unreachable, P failing for less than silence"
    SILENT_PROBE_UP = "A unreachable, P failing, L up by probe"
    SILENT_PROBE_DOWN = "A unreachable, L down by probe for fall looks"
    SILENT_ALONE = "A unreachable, no other source"
    APPLIANCE_DOWN = "no agent, L down by probe for fall looks"
    APPLIANCE_SILENT = "no agent, P failing"
    APPLIANCE_SILENT_YET = "no agent, P failing for less than silence"
    APPLIANCE_PROBE_UP = "no agent, P failing, L up by probe"
    APPLIANCE_ONE_VOICE = "no agent, a single P failing, our own check succeeds"
    APPLIANCE_UP = "no agent, P ok or L up"
    APPLIANCE_UNREACHED = "no agent, no source but our own check, which fails"
    APPLIANCE_UNSEEN = "no agent, no source"


VERDICTS = {
    HealthRow.NOT_AWAITED: Verdict.UNKNOWN,
    HealthRow.FATAL: Verdict.FAILED,
    HealthRow.PROBE_DOWN: Verdict.FAILED,
    HealthRow.FIT: Verdict.HEALTHY,
    HealthRow.FIT_UNHEARD: Verdict.HEALTHY,
    HealthRow.PATH_BROKEN: Verdict.UNKNOWN,
    HealthRow.PATH_BROKEN_PROBE_DOWN: Verdict.FAILED,
    HealthRow.SILENT: Verdict.FAILED,
    HealthRow.SILENT_YET: Verdict.UNKNOWN,
    HealthRow.SILENT_PROBE_UP: Verdict.UNKNOWN,
    HealthRow.SILENT_PROBE_DOWN: Verdict.FAILED,
    HealthRow.SILENT_ALONE: Verdict.UNKNOWN,
    HealthRow.APPLIANCE_DOWN: Verdict.FAILED,
    HealthRow.APPLIANCE_SILENT: Verdict.FAILED,
    HealthRow.APPLIANCE_SILENT_YET: Verdict.UNKNOWN,
    HealthRow.APPLIANCE_PROBE_UP: Verdict.UNKNOWN,
    HealthRow.APPLIANCE_ONE_VOICE: Verdict.UNKNOWN,
    HealthRow.APPLIANCE_UP: Verdict.HEALTHY,
    HealthRow.APPLIANCE_UNREACHED: Verdict.HEALTHY,
    HealthRow.APPLIANCE_UNSEEN: Verdict.HEALTHY,
}
"""safety.md section 4: what each row says of the member. What is done about a holder is `failover`'s."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The row that spoke, the one sentence that decided it, and every reading that was looked at."""

    row: HealthRow
    because: str
    evidence: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        return VERDICTS[self.row]


def peers_views(member: str, observed: Observed) -> list[PeerView]:
    """What each peer that answers us reports of a member."""
    return [
        status.peers[member]
        for name, status in sorted(observed.agents.items())
        if name != member and isinstance(status, AgentStatus) and member in status.peers
    ]


def seen_by_peers(member: str, observed: Observed) -> Value:
    """P: OK if any reachable peer hears it; BAD only if every peer that can tell fails on gossip and on the probe port."""
    views = peers_views(member, observed)
    if any(v.gossip is Value.OK or v.probe is Value.OK for v in views):
        return Value.OK
    if views and all(v.gossip is Value.BAD and v.probe is Value.BAD for v in views):
        return Value.BAD
    return Value.UNKNOWN


def silence_left(
    service: Service, observed: Observed, timing: Timing, among: frozenset[str] | None = None
) -> timedelta | None:
    """How much longer it takes until the silence of every member that peers miss is evidence; None where it is already. `among`:
    of these members alone."""
    names = [name for name in service.names if among is None or name in among]
    young = [left for name in names if (left := _left(service, name, observed, timing)) is not None]
    return max(young, default=None)


def _left(service: Service, member: str, observed: Observed, timing: Timing) -> timedelta | None:
    """Only behind a load balancer, where a move costs more than a short stall (safety.md finding 15)."""
    if (
        service.load_balancer is None
        or not isinstance(observed.agents.get(member), Unreachable | Appliance)
        or seen_by_peers(member, observed) is not Value.BAD
    ):
        return None
    silence = _silence(member, observed, timing)
    left = silence - _silent_for(member, observed, silence)
    return left if left > timedelta(0) else None


def _silence(member: str, observed: Observed, timing: Timing) -> timedelta:
    """How long it must last. What a single one of those that watch a member without an agent says is never believed at once: it
    may have lost its own network, and the other one be dead (safety.md section 4a)."""
    return max(timing.silence, ONE_VOICE) if _has_one_accuser(member, observed) else timing.silence


def _has_one_accuser(member: str, observed: Observed) -> bool:
    return isinstance(observed.agents.get(member), Appliance) and len(peers_views(member, observed)) < 2


def _silent_for(member: str, observed: Observed, otherwise: timedelta) -> timedelta:
    """Since when every peer misses it, as far as they say so."""
    return min((view.age for view in peers_views(member, observed) if view.age is not None), default=otherwise)


def probe_of_silent(look: Look, member: str) -> AwaitProbe | None:
    """What a fast pass, which does not read the load balancer, still waits for before a member that is silent has failed:
    its probe may get an answer (safety.md section 4a). None where it was read, or it is not known how long that takes."""
    known = look.record.noticed_within
    if look.observed.balancer is not None or known is None or not _may_be_cut_off(look, member):
        return None
    silent, none = _silent_for(member, look.observed, timedelta(0)), timedelta(0)
    within, failing_after = max(known - silent, none), max(known / PERIODS - silent, none)
    return AwaitProbe(member, look.record.epoch, False, within, first_counts=True, failing_after=failing_after)


PERIODS = 3
"""What a probe of two failures needs at most to notice, in its own periods. Silence that has lasted for one of them, and a probe
that has failed meanwhile, are no stall any more."""


def _may_be_cut_off(look: Look, member: str) -> bool:
    """Whether a probe that succeeds counts more than silence: behind a load balancer, until patience is over."""
    silence = _silence(member, look.observed, look.timing)
    lasted = _silent_for(member, look.observed, silence)
    is_asked_for = look.service.load_balancer is not None and silence > timedelta(0)
    return is_asked_for and lasted < look.timing.operation_deadline


def tally(previous: Tally | None, reading: Value, now: datetime, timing: Timing) -> Tally | None:
    """The count after one more reading: UNKNOWN leaves it, `rise` good ones in a row end it. It saturates at the largest
    threshold, so that a lasting fault causes no more writes.

    It counts once in the source's own period, which is the health poll's (safety.md section 4), however often we look.
    """
    if previous is not None and _counted_lately(previous, now, timing):
        return previous
    enough = max(timing.load_balancer_fall, timing.verify_looks)
    match reading:
        case Value.UNKNOWN:
            return previous
        case Value.BAD if previous is not None and previous.bad >= enough and not previous.good:
            return previous
        case Value.BAD:
            return Tally(bad=(previous.bad if previous else 0) + 1, at=now)
        case Value.OK if previous is not None and previous.good + 1 < timing.load_balancer_rise:
            return Tally(bad=previous.bad, good=previous.good + 1, at=now)
    return None


def _counted_lately(previous: Tally, now: datetime, timing: Timing) -> bool:
    """Whether the last count is less than a period old; a time in the future comes from a skewed clock."""
    return timedelta(0) <= now - previous.at < timing.doubt_poll


def judge(look: Look, member: str) -> Judgement:
    """The verdict on one member from this look and the record's tallies."""
    reading = look.observed.agents.get(member, Unreachable("not requested"))
    peers = seen_by_peers(member, look.observed)
    backend = look.backend(member)
    down_by_probe = _down_by_probe(look, member)
    evidence = (
        _agent_line(reading, look.service.key),
        f"P peers say {peers}",
        f"L {backend.reason or 'no reason'}, adminState {backend.admin_state}" if backend else "L not read",
    )

    def says(row: HealthRow, because: str) -> Judgement:
        return Judgement(row, f"{member}: {because}", evidence)

    if isinstance(reading, NotAwaited):
        return says(HealthRow.NOT_AWAITED, "its agent's answer was not waited for, so nothing is known of it")
    if isinstance(reading, Appliance):
        return says(*_of_appliance(look, member, peers, reading.reached))
    if isinstance(reading, Unreachable):
        return says(*_of_silent(look, member, peers, reading.reason))
    if reading.fatal:
        return says(HealthRow.FATAL, f"its agent says {'; '.join(reading.fatal)}")
    if down_by_probe and look.serves(member):
        return says(
            HealthRow.PROBE_DOWN,
            _why_no_flows(look, member, f"the load balancer's probe fails ({look.reason(member)})"),
        )
    if peers is Value.BAD:
        return says(HealthRow.FIT_UNHEARD, "its agent is fit, but its peers do not hear it")
    return says(HealthRow.FIT, "its agent is fit")


def _is_probed_still(look: Look, member: str, peers: Value) -> bool:
    """The veto of the load balancer's probe (safety.md section 4a): those that watch a member miss it, and it gets its answer."""
    return peers is Value.BAD and look.is_admitted(member) and _may_be_cut_off(look, member)


def _of_silent(look: Look, member: str, peers: Value, reason: str) -> tuple[HealthRow, str]:
    if _is_probed_still(look, member, peers):
        missed = f"its agent does not answer ({reason}), and its peers miss it"
        return HealthRow.SILENT_PROBE_UP, f"{missed}, but the load balancer's probe gets its answer"
    left = _left(look.service, member, look.observed, look.timing)
    return _silent(reason, peers, _down_by_probe(look, member), left)


def _silent(reason: str, peers: Value, down_by_probe: bool, left: timedelta | None) -> tuple[HealthRow, str]:
    """The rows of an agent that does not answer, and why it did not. `left`: until its silence is evidence."""
    if peers is Value.OK and down_by_probe:
        why = f"its agent does not answer us ({reason}), and though its peers hear it, the load balancer's probe fails"
        return HealthRow.PATH_BROKEN_PROBE_DOWN, why
    if peers is Value.OK:
        return HealthRow.PATH_BROKEN, f"only our path to it is broken ({reason}), its peers hear it"
    if left is not None and not down_by_probe:
        yet = f"{left.total_seconds():.1f} s more until that is evidence (`silence`)"
        return (
            HealthRow.SILENT_YET,
            f"its agent does not answer ({reason}), and its peers have missed it just now: {yet}",
        )
    if peers is Value.BAD:
        return HealthRow.SILENT, f"its agent does not answer ({reason}), gossip and probe port fail at its peers"
    if down_by_probe:
        return HealthRow.SILENT_PROBE_DOWN, f"its agent does not answer ({reason}) and the load balancer's probe fails"
    return HealthRow.SILENT_ALONE, f"its agent does not answer ({reason}) and no other source can tell"


def _of_appliance(look: Look, member: str, peers: Value, reached: Value) -> tuple[HealthRow, str]:
    """The rows of a member without an agent. While it is Down by us only those that watch it can tell, and the app, whose word
    alone makes it the last choice and no more; where none can, nothing speaks against it."""
    left = _left(look.service, member, look.observed, look.timing)
    if _down_by_probe(look, member):
        return HealthRow.APPLIANCE_DOWN, _why_no_flows(look, member, "the load balancer's probe of it fails")
    if _is_probed_still(look, member, peers):
        missed = "those that watch it miss it"
        return HealthRow.APPLIANCE_PROBE_UP, f"{missed}, but the load balancer's probe gets its answer"
    if peers is Value.BAD and reached is Value.OK and _has_one_accuser(member, look.observed):
        return (
            HealthRow.APPLIANCE_ONE_VOICE,
            "the only one that watches it misses it, but the app's own check reaches it",
        )
    if peers is Value.BAD and left is not None:
        yet = f"{left.total_seconds():.1f} s more until that is evidence (`silence`)"
        return HealthRow.APPLIANCE_SILENT_YET, f"those that watch it have missed it just now: {yet}"
    if peers is Value.BAD:
        return HealthRow.APPLIANCE_SILENT, "no member or witness that watches it reaches it"
    if Value.OK in (peers, reached) or look.is_admitted(member):
        return HealthRow.APPLIANCE_UP, "it answers"
    if reached is Value.BAD:
        return HealthRow.APPLIANCE_UNREACHED, "the app's own check of it fails, and no other source can tell"
    return HealthRow.APPLIANCE_UNSEEN, "it has no agent, and no source can tell whether it is well"


def _why_no_flows(look: Look, member: str, otherwise: str) -> str:
    if look.lacks_a_pool(member):
        return (
            "no backend pool lists it" if look.is_unlisted(member) else "a backend pool of the service does not list it"
        )
    return otherwise


def is_seen(look: Look, member: str) -> bool:
    """Whether any source can tell how it is."""
    return judge(look, member).row is not HealthRow.APPLIANCE_UNSEEN


def _down_by_probe(look: Look, member: str) -> bool:
    """L: the probe fails now, and has for `fall` looks."""
    count = look.record.tallies.get(member)
    return look.probed(member) is Value.BAD and count is not None and count.bad >= look.timing.load_balancer_fall


def has_failed(look: Look, member: str) -> bool:
    return judge(look, member).verdict is Verdict.FAILED


def is_ready(look: Look, member: str) -> bool:
    """Whether it can take over at once."""
    if look.is_appliance(member):
        return not has_failed(look, member)
    status = look.status(member)
    return status is not None and can_take_over(status, announces=member in look.service.announcers)


def has_session(look: Look, member: str) -> bool:
    """Whether it answers and reports any BGP session Established. Those of an appliance, and those that an agent does not
    see, are the Route Server's to show."""
    if look.is_appliance(member):
        return True
    status = look.status(member)
    return status is not None and (status.unseen or any(status.sessions.values()))


def can_take_over(status: AgentStatus, announces: bool) -> bool:
    """Its agent finds itself fit, and, where it announces the service, every BGP session of it is Established or not seen."""
    if status.fatal:
        return False
    return not announces or status.unseen or (bool(status.sessions) and all(status.sessions.values()))


def _agent_line(reading: MemberReading, service: str) -> str:
    if isinstance(reading, Appliance):
        return f"A none: it has no agent; the app's own check of it says {reading.reached}"
    if isinstance(reading, Unreachable):
        return f"A unreachable: {reading.reason}"
    if isinstance(reading, NotAwaited):
        return "A not waited for"
    mine = reading.services.get(service)
    role = "no role yet"
    if mine:
        kept = "" if mine.durable else " (not on disk yet)"
        kept += " (from before its machine booted, not confirmed yet)" if mine.unconfirmed else ""
        role = f"{mine.role} at epoch {mine.epoch}{kept}, probe answers {200 if mine.answering else 503}"
    return f"A {role}" + (f", fatal: {'; '.join(reading.fatal)}" if reading.fatal else "")
