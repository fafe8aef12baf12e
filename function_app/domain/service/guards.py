"""The guards of a service: pure predicates that a step must pass, in commented tuples by kind of step.

They only take away. What a step needs for being right at all (proofs, epochs) stands in `protocol` and `operation`; what
every effect owes at execution stands in `reconcile.act.perform`; what a topology must keep, `topology.laws`;
what a peering must pass, `peerings.guards` (safety.md section 5).

| guard                       | guards                          | because                                                        |
|-----------------------------|---------------------------------|----------------------------------------------------------------|
| paused                      | everything done to a service    | an operator ordered it                                         |
| nothing is up               | everything done to a service    | adminState Up ignores the probe: no fence could hold there     |
| members are known           | everything done to a service    | a forgotten member that may be serving could not be fenced     |
| names mean the same         | everything done to a service    | what is believed of a name was seen at another address or pool |
| look is fresh               | openings of any kind            | a host that slept decides on what is no longer true            |
| spacing                     | automatic failovers from a      | a service that flaps must not be moved as fast as it flaps     |
|                             | holder that answers, or to one  |                                                                |
|                             | without an agent that failed    |                                                                |
| not blind                   | moves that are not urgent       | at least half look unhealthy at once: the fault is likely ours |
| target is ready             | moves that are not urgent       | it would trade a working holder for a hope                     |
| balancer is sound           | moves that are not urgent       | neither acknowledgement nor length would prove who gets flows  |
| damping window is over      | the same, in ranked services    | a second change in it costs 30 s (azure-facts.md section 2)    |
| minimum stays healthy       | drains in active-active         | `minHealthy`                                                   |
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from function_app.domain.base.moments import moment
from function_app.domain.base.refusal import Guard, GuardAnswer, Refusal, refusals
from function_app.domain.base.timing import Timing
from function_app.domain.service.election import failed_before, is_drained, is_known_out
from function_app.domain.service.health import Verdict, has_failed, is_ready, judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AdminState
from function_app.domain.service.ranked.paths import damped_for
from function_app.domain.service.record import AUTOMATIC, DISCRETIONARY, Kind, Spacing
from function_app.domain.service.referents import moved
from function_app.domain.topology.model import Mode


@dataclass(frozen=True, slots=True)
class Touch:
    """Anything done to a service at all: a write of its record, an effect."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An operation that is about to be opened."""

    kind: Kind
    target: str


@dataclass(frozen=True, slots=True)
class Draining:
    """A member that an operator wants to drain."""

    member: str


type Step = Touch | Opening | Draining


def is_paused(look: Look) -> bool:
    """Whether an operator's pause is in force."""
    return look.record.pause is not None and look.at < look.record.pause.until


def _paused(step: Step, look: Look) -> GuardAnswer:
    pause, at = look.record.pause, look.at
    if pause is None or not is_paused(look):
        return None
    until = f"until {moment(pause.until)} by {pause.by}" + (f" ({pause.reason})" if pause.reason else "")
    return until, pause.until - at


def _nothing_is_up(step: Step, look: Look) -> GuardAnswer:
    up = [n for n in look.members if (b := look.backend(n)) is not None and b.admin_state is AdminState.UP]
    return f"adminState of {', '.join(up)} is Up, which ignores the probe for ever: set it to None" if up else None


def _members_are_known(step: Step, look: Look) -> GuardAnswer:
    record = look.record
    strangers = sorted(record.believed - set(look.members))
    return (
        f"{', '.join(strangers)} may still be serving but left the topology: put it back until it stands by, or `forget` it"
        if strangers
        else None
    )


def _names_mean_the_same(step: Step, look: Look) -> GuardAnswer:
    record = look.record
    elsewhere = moved(record.about, look.named, record.believed) if look.named is not None else ()
    what = "; ".join(elsewhere)
    way_out = "put the document back, `forget` a member that is gone, or `release` the service"
    return f"{what}: {way_out}" if what else None


def _spacing(step: Opening, look: Look) -> GuardAnswer:
    """Waiting protects only a holder that answers: for one that is silent it is an outage and nothing else, unless the one that
    follows failed before it, and those without an agent would take turns without end."""
    victim = look.record.holder
    is_silent = victim is not None and look.status(victim) is None and not look.observed.is_not_awaited(victim)
    if step.kind not in AUTOMATIC or (is_silent and not failed_before(look, step.target)):
        return None
    before, at = look.record.spacing, look.at
    if before is None:
        return None
    quiet = at - before.last
    if quiet < timedelta(0) or quiet > look.timing.spacing_forget:
        return None  # a time in the future comes from a skewed clock
    left = spacing_after(before, look.timing) - quiet
    if left <= timedelta(0):
        return None
    return f"{before.count} automatic failovers in a row: the next one in {left.total_seconds():.0f} s", left


def spacing_after(spacing: Spacing, timing: Timing) -> timedelta:
    """What the next automatic failover waits after the last one: nothing, then a step, doubling up to the most."""
    if spacing.count <= 1:
        return timedelta(0)
    doublings: int = min(spacing.count - 2, 16)
    return min(timing.spacing_step * (1 << doublings), timing.spacing_max)


def _look_is_fresh(step: Opening, look: Look) -> GuardAnswer:
    age = look.now - look.at
    if age <= look.timing.look_lasts:
        return None
    return f"what was seen is {age.total_seconds():.0f} s old: looking again", timedelta(0)


def _not_blind(step: Opening | Draining, look: Look) -> GuardAnswer:
    """A member that failed may be drained however many look bad: it takes nothing away (as in `_minimum_stays_healthy`)."""
    names = look.members
    if isinstance(step, Draining) and has_failed(look, step.member):
        return None
    bad = [name for name in names if name not in _healthy(look)]
    return (
        f"{', '.join(bad)} are bad or unknown at once: more likely the fault is ours"
        if 2 <= len(bad) >= len(names) / 2
        else None
    )


def _target_is_ready(step: Opening, look: Look) -> GuardAnswer:
    ready = is_ready(look, step.target)
    return (
        None
        if ready
        else f"{step.target} is not ready: its agent must answer, be fit, and have every session Established"
    )


def _balancer_is_sound(step: Opening, look: Look) -> GuardAnswer:
    flaws = look.record.flaws
    if flaws and look.service.load_balancer is None:
        return f"{'; '.join(flaws)}: the shortest path does not decide alone who gets new flows"
    return f"{'; '.join(flaws)}: who answers the probe does not decide alone who gets new flows" if flaws else None


def _damping_window_is_over(step: Opening, look: Look) -> GuardAnswer:
    rank = look.record.rank
    left = damped_for(rank, look.now, look.timing.damping) if rank is not None else timedelta(0)
    if not left:
        return None
    return f"the Route Server may still be damping the last change: in {left.total_seconds():.0f} s", left


def _minimum_stays_healthy(step: Draining, look: Look) -> GuardAnswer:
    """A member that failed is none of the healthy ones: its drain takes nothing away. Those count that get new flows, or would;
    of an active-active service those that serve: one whose drain is just over does not yet."""
    if has_failed(look, step.member):
        return None
    left = [n for n in _healthy(look) if n != step.member and not is_drained(look, n) and not is_known_out(look, n)]
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        left = [name for name in left if look.serves(name)]
    least = look.service.min_healthy or 1
    return None if len(left) >= least else f"{len(left)} healthy members would be left, at least {least} are wanted"


def _healthy(look: Look) -> list[str]:
    return [name for name in look.members if judge(look, name).verdict is Verdict.HEALTHY]


OF_EVERYTHING: tuple[Guard[Step, Look], ...] = (
    # The first to refuse is what a person should read first.
    _paused,
    _nothing_is_up,
    _members_are_known,
    _names_mean_the_same,
)
OF_AN_OPENING: tuple[Guard[Opening, Look], ...] = (
    _look_is_fresh,
    _spacing,
)
OF_A_DISCRETIONARY_OPENING: tuple[Guard[Opening, Look], ...] = (
    # A move that is not urgent wants a clear view and a ready target.
    _not_blind,
    _target_is_ready,
    _balancer_is_sound,
    _damping_window_is_over,
)
OF_A_DRAIN: tuple[Guard[Draining, Look], ...] = (
    _not_blind,
    _minimum_stays_healthy,
)

GUARDS: tuple[Callable[..., GuardAnswer], ...] = tuple(
    dict.fromkeys((*OF_EVERYTHING, *OF_AN_OPENING, *OF_A_DISCRETIONARY_OPENING, *OF_A_DRAIN))
)
"""Every guard once, for whoever lists them."""


def refuse(step: Step, look: Look) -> tuple[Refusal, ...]:
    """Why this step may not be taken now, by every guard that refuses it; empty when it may."""
    refused = refusals(OF_EVERYTHING, step, look)
    match step:
        case Opening():
            refused += refusals(OF_AN_OPENING, step, look)
            if step.kind in DISCRETIONARY:
                refused += refusals(OF_A_DISCRETIONARY_OPENING, step, look)
        case Draining():
            refused += refusals(OF_A_DRAIN, step, look)
    return refused
