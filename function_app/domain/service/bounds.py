"""The worst time that a failover may take, for each way it is detected and fenced, from the configuration alone.

Each bound is a sum of named parts, so that a person sees what to change. A network that delays beyond the timeouts, or
ARM that does not answer, is not bounded: then the failover is held. The storms demand these bounds once all has healed.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from function_app.domain.base.timing import Timing
from function_app.domain.topology.model import Handover, Service, Topology


@dataclass(frozen=True, slots=True)
class Probe:
    """The load balancer's probe, as Azure has it; 5 s x 2 is the usual one."""

    interval: timedelta = timedelta(seconds=5)
    threshold: int = 2

    @property
    def notices(self) -> timedelta:
        """From a change to the end of the last probe that counts: one interval may just have begun."""
        return self.interval * (self.threshold + 1)


class Detection(StrEnum):
    SAYS = "the holder says so itself"
    SILENT = "the holder is silent, a peer or witness reports it"
    WATCHED = "the holder has no agent, those that watch it report it"
    PROBE_ALONE = "the holder is silent, only the load balancer's probe shows it"
    PROBE = "the holder is fit, the load balancer's probe fails"
    ORDERED = "an operator orders it"


class WithAgent(StrEnum):
    """How many members of a service have one."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


def with_agents(service: Service, topology: Topology) -> WithAgent:
    bare = topology.appliances.intersection(service.names)
    if not bare:
        return WithAgent.ALL
    return WithAgent.SOME if len(bare) < len(service.names) else WithAgent.NONE


class FencedBy(StrEnum):
    AGENT = "F1, acknowledged"
    BALANCER = "F2, at the load balancer"
    OUTRANKED = "outranked by a shorter path"


@dataclass(frozen=True, slots=True)
class Bound:
    """One path and its parts, in order."""

    detection: Detection
    fence: FencedBy
    parts: tuple[tuple[str, timedelta], ...]
    overlap: timedelta = timedelta(0)
    """How long at most two members are admitted: given new flows by the load balancer."""
    gap: timedelta | None = None
    """How long at most no member is; None for as long as the whole path takes."""

    @property
    def total(self) -> timedelta:
        return sum((part for _, part in self.parts), timedelta(0))


SHOWN = timedelta(seconds=5)
"""Until the health action has shown that a member is up, and a pass has looked again: a margin, not a setting."""
REPORT = timedelta(seconds=1)
"""An agent's report and the app's records, warm: a margin, not a setting."""

SWEEP_SILENT = timedelta(seconds=70)
"""How long no sweep comes after the app's host was killed, measured: its timer's lock runs out first. No part of a bound, which
is of an app that runs; it comes on top where only a sweep looks (PROBE, PROBE_ALONE)."""


def bounds(
    timing: Timing, probe: Probe, handover: Handover = Handover.PROMPT, agents: WithAgent = WithAgent.ALL
) -> tuple[Bound, ...]:
    """Every path, the quickest detection first (safety.md section 2a)."""
    return tuple(_bound(path, timing, probe, handover, agents) for path in _paths(agents))


def noticed(topology: Topology, found: tuple[Bound, ...]) -> tuple[Bound, ...]:
    """Those that can happen: without a witness or any other agent nothing watches a member that has none."""
    return tuple(bound for bound in found if topology.commanded or bound.detection is not Detection.WATCHED)


type _Path = tuple[Detection, FencedBy]


def _paths(agents: WithAgent) -> tuple[_Path, ...]:
    """A member without an agent is fenced by the load balancer alone (safety.md section 4a)."""
    both = (*PATHS, *(path for path in BARE_PATHS if path not in PATHS))
    return {WithAgent.ALL: PATHS, WithAgent.SOME: both, WithAgent.NONE: BARE_PATHS}[agents]


def _bound(path: _Path, timing: Timing, probe: Probe, handover: Handover, agents: WithAgent) -> Bound:
    detection, fence = path
    detected = (*_detected(detection, timing, probe), *_lasting(detection, timing, probe))
    seen = ("load balancer sees the new holder", probe.notices)
    proof, promotion = _moved(fence, timing, agents)
    forgets = ("load balancer lets the old holder go", probe.notices)
    planned = detection is Detection.ORDERED
    if handover is Handover.SEAMLESS and planned:
        parts = (*detected, ("old holder's epoch", timing.command_timeout), promotion, seen, proof, forgets)
        return Bound(detection, fence, parts, probe.notices + SHOWN + proof[1] + probe.notices, timedelta(0))
    waits = handover is Handover.EXCLUSIVE and fence is FencedBy.AGENT
    moved = (proof, *((forgets,) if waits else ()), promotion, seen)
    overlap = timedelta(0) if waits or fence is FencedBy.BALANCER else probe.notices
    gap = sum((part for _, part in moved), timedelta(0)) if planned else None
    return Bound(detection, fence, (*detected, *moved), overlap, gap)


def ranked_bounds(timing: Timing, agents: WithAgent = WithAgent.ALL) -> tuple[Bound, ...]:
    """Every path of a service whose next hop is a member: no load balancer, and a member that is gone is not waited for."""
    moved = (("shorter path accepted", timing.command_timeout), ("routes programmed", timing.route_programming))
    watched = {WithAgent.ALL: RANKED, WithAgent.SOME: (*RANKED, Detection.WATCHED), WithAgent.NONE: BARE_RANKED}[agents]
    return tuple(
        Bound(detection, FencedBy.OUTRANKED, (*_detected(detection, timing, Probe()), *moved)) for detection in watched
    )


def _lasting(detection: Detection, timing: Timing, probe: Probe) -> tuple[tuple[str, timedelta], ...]:
    """Behind a load balancer: what remains of `silence` after a first look, and the look that finds that it lasted; then what
    its probe needs to let a member go that is dead, and the look after that."""
    if detection not in (Detection.SILENT, Detection.WATCHED) or not timing.silence:
        return ()
    again = timing.observe_fast
    lasts = (("silence lasts", timing.silence), ("second look at the agents", again))
    return (
        *lasts,
        ("load balancer's probe, and its health", probe.notices + SHOWN),
        ("third look at the agents", again),
    )


RANKED = (Detection.ORDERED, Detection.SAYS, Detection.SILENT)
BARE_RANKED = (Detection.ORDERED, Detection.WATCHED)
PATHS = (
    (Detection.ORDERED, FencedBy.AGENT),
    (Detection.SAYS, FencedBy.AGENT),
    (Detection.SILENT, FencedBy.AGENT),
    (Detection.SILENT, FencedBy.BALANCER),
    (Detection.PROBE, FencedBy.AGENT),
    (Detection.PROBE_ALONE, FencedBy.BALANCER),
)
BARE_PATHS = (
    (Detection.ORDERED, FencedBy.BALANCER),
    (Detection.WATCHED, FencedBy.BALANCER),
    (Detection.PROBE_ALONE, FencedBy.BALANCER),
)
"""Where the holder has no agent."""


def _detected(detection: Detection, timing: Timing, probe: Probe) -> tuple[tuple[str, timedelta], ...]:
    match detection:
        case Detection.ORDERED:
            return (("look at the agents, and at what Azure shows", timing.observe_slow),)
        case Detection.SAYS:
            checks = timing.check_period * (timing.check_fall + 1)
            return (("self-check", checks), ("report", REPORT), ("look at the agents", timing.observe_fast))
        case Detection.SILENT:
            gossip = timing.gossip_period * (timing.gossip_fall + 1)
            probe_port = timing.gossip_period * 2 * timing.gossip_fall
            heard = (("heartbeats missed", gossip), ("probe port tried", probe_port))
            return (*heard, ("report", REPORT), ("look at the agents", timing.observe_fast))
        case Detection.WATCHED:
            # A trial of `[[watch]]` is no self-check, but as often and as many of them count.
            missed = timing.check_period * (timing.check_fall + 1)
            return (("watch", missed), ("report", REPORT), ("look at the agents", timing.observe_fast))
        case Detection.PROBE | Detection.PROBE_ALONE:
            # A look that comes a moment before the period is over counts for nothing: the next one is a period later.
            # A fit holder that is not confirmed yet is left more looks (ADR 8): these are for one that is.
            looks = timing.sweep + 2 * timing.doubt_poll * (timing.load_balancer_fall - 1)
            return (
                ("load balancer's probe", probe.notices),
                ("looks at its health", looks),
                ("look", timing.observe_slow),
            )


def _moved(fence: FencedBy, timing: Timing, agents: WithAgent) -> tuple[tuple[str, timedelta], tuple[str, timedelta]]:
    """The fence of the old holder, and what lets the new one in: one without an agent is lifted, and the lift proven."""
    written = max(timing.fence_timeout, timing.command_timeout)
    proof = timing.command_timeout if fence is FencedBy.AGENT else written
    entry = ("promotion", timing.command_timeout) if agents is WithAgent.ALL else ("lift and its proof", written)
    return ("fence and proof", proof), entry


def worst(timing: Timing, probe: Probe, agents: WithAgent = WithAgent.ALL) -> timedelta:
    """The longest of all, without spacing: what liveness may demand of any single failover."""
    return max(bound.total for bound in bounds(timing, probe, agents=agents))
