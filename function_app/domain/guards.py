"""The guards: pure predicates that a step must pass, in one commented tuple, each with the reason when it does not.

They only take away. What a step needs for being right at all (proofs, epochs) stands in `protocol` and `decide`; what
every effect owes at execution stands in `reconcile.act`; what a topology must keep stands in `topology_laws`
(safety.md section 5).

| guard                       | speaks on                       | because                                                        |
|-----------------------------|---------------------------------|----------------------------------------------------------------|
| paused                      | everything done to a service    | an operator's word                                             |
| nothing is up               | everything done to a service    | adminState Up ignores the probe: no fence could hold there     |
| members are known           | everything done to a service    | nobody who may be serving is forgotten: it could not be fenced |
| spacing                     | automatic failovers             | a service that flaps must not be moved as fast as it flaps     |
| look is fresh               | openings of any kind            | a host that slept decides on what is no longer true            |
| not blind                   | moves that nobody needs now     | when half of all go bad at once, it is more likely us          |
| target is ready             | moves that nobody needs now     | it would trade a working holder for a hope                     |
| damping window is over      | the same, in ranked services    | a second change within it costs half a minute (azure-facts)    |
| minimum stays healthy       | drains in active-active         | `minHealthy`                                                   |
| own only                    | peering writes                  | whatever the plan says, never somebody else's                  |
| route server is provisioned | peering writes                  | a write meanwhile answers 409 (azure-facts)                    |
| one write in flight         | peering writes                  | a second one answers 409 or 429                                |
| at most eight               | peering creates                 | a Route Server takes eight, whatever their state               |
| address is free             | peering creates                 | Azure takes no second peering with one peer address            |
| instances are listed        | peering deletes                 | nobody is gone because a scale set could not be listed         |
| last announcer is kept      | peering deletes                 | a prefix of the topology would be withdrawn                    |
| holder is kept              | deletes of working peerings     | where it serves with its own address, traffic would move       |
| deletes are spaced          | deletes of working peerings     | safety.md section 5: at most one in so long                    |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from function_app.domain.announcing import lost_with, may_lose
from function_app.domain.election import is_drained
from function_app.domain.health import Verdict, is_ready, judge
from function_app.domain.observation import AdminState, Observed
from function_app.domain.peerings import (
    CreatePeering,
    DeletePeering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
    is_own,
    served,
    speaker_named,
)
from function_app.domain.protocol import AUTOMATIC, DISCRETIONARY, Kind
from function_app.domain.ranking import damped_for
from function_app.domain.record import Record, Spacing
from function_app.domain.timing import Timing
from function_app.domain.topology import RouteServer, Service, Topology


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that may not be taken, the guard that spoke, why, and when it may be asked again if time alone helps."""

    guard: str
    reason: str
    wait: timedelta | None = None

    def __str__(self) -> str:
        return f"{self.guard}: {self.reason}"


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


type Step = Touch | Opening | Draining | PeeringStep


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a guard may look at for a step on a service."""

    service: Service
    timing: Timing
    observed: Observed
    record: Record
    now: datetime
    """When the step would be taken; `observed.at` is when the look was over."""


@dataclass(frozen=True, slots=True)
class PeeringContext:
    """What a guard may look at for a peering: the topology and a fresh, complete list."""

    topology: Topology
    reading: RouteServerReading
    deleted: tuple[str, timedelta] | None = None
    """The working peering that was last deleted here, and how long ago."""
    holders: frozenset[str] = frozenset()
    """Speakers that serve with their own address as next hop: their routes are the service."""
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """By name (casefolded) of a connection that may be of an instance of a scale set which cannot be listed, its name."""

    def server(self, step: CreatePeering | DeletePeering) -> RouteServer:
        return next(s for s in self.topology.route_servers if s.name == step.route_server)


type Context = ServiceContext | PeeringContext
type Answer = str | tuple[str, timedelta] | None
type Guard = Callable[[Step, Context], Answer]


# --- services --------------------------------------------------------------------------------------------------------


def _paused(step: Step, context: Context) -> Answer:
    if not isinstance(context, ServiceContext) or context.record.pause is None:
        return None
    pause, at = context.record.pause, context.observed.at
    if at >= pause.until:
        return None
    until = f"until {pause.until:%Y-%m-%d %H:%M:%SZ} by {pause.by}" + (f" ({pause.reason})" if pause.reason else "")
    return until, pause.until - at


def _nothing_is_up(step: Step, context: Context) -> Answer:
    if not isinstance(context, ServiceContext):
        return None
    seen = context.observed
    up = [n for n in context.service.names if (b := seen.backend(n)) is not None and b.admin_state is AdminState.UP]
    return f"adminState of {', '.join(up)} is Up, which ignores the probe for ever: set it to None" if up else None


def _members_are_known(step: Step, context: Context) -> Answer:
    if not isinstance(context, ServiceContext):
        return None
    record = context.record
    strangers = sorted((record.may_serve | record.owed.keys()) - set(context.service.names))
    return (
        f"{', '.join(strangers)} may still be serving but left the topology: put it back, or drain it"
        if strangers
        else None
    )


def _spacing(step: Step, context: Context) -> Answer:
    if not isinstance(step, Opening) or not isinstance(context, ServiceContext) or step.kind not in AUTOMATIC:
        return None
    before, at = context.record.spacing, context.observed.at
    if before is None:
        return None
    quiet = at - before.last
    if quiet < timedelta(0) or quiet > context.timing.spacing_forget:
        return None  # a time that is still to come was written by a clock that was wrong
    left = spacing_after(before, context.timing) - quiet
    if left <= timedelta(0):
        return None
    return f"{before.count} automatic failovers in a row: the next one in {left.total_seconds():.0f} s", left


def spacing_after(spacing: Spacing, timing: Timing) -> timedelta:
    """What the next automatic failover waits after the last one: nothing, then a step, doubling up to the most."""
    if spacing.count <= 1:
        return timedelta(0)
    doublings: int = min(spacing.count - 2, 16)
    return min(timing.spacing_step * (1 << doublings), timing.spacing_max)


def _look_is_fresh(step: Step, context: Context) -> Answer:
    if not isinstance(step, Opening) or not isinstance(context, ServiceContext):
        return None
    age = context.now - context.observed.at
    if age <= context.timing.look_lasts:
        return None
    return f"what was seen is {age.total_seconds():.0f} s old: looking again", timedelta(0)


def _not_blind(step: Step, context: Context) -> Answer:
    if not _discretionary(step) or not isinstance(context, ServiceContext):
        return None
    names = context.service.names
    bad = [name for name in names if name not in _healthy(context)]
    return (
        f"{', '.join(bad)} are bad or unknown at once: more likely it is us"
        if 2 <= len(bad) >= len(names) / 2
        else None
    )


def _target_is_ready(step: Step, context: Context) -> Answer:
    if not isinstance(step, Opening) or not _discretionary(step) or not isinstance(context, ServiceContext):
        return None
    ready = is_ready(context.service, step.target, context.observed)
    return (
        None
        if ready
        else f"{step.target} is not ready: its agent must answer, be fit, and have every session Established"
    )


def _damping_window_is_over(step: Step, context: Context) -> Answer:
    if not isinstance(step, Opening) or not _discretionary(step) or not isinstance(context, ServiceContext):
        return None
    rank = context.record.rank
    left = damped_for(rank, context.now, context.timing.damping) if rank is not None else timedelta(0)
    if not left:
        return None
    return f"the Route Server may still be damping the last change: in {left.total_seconds():.0f} s", left


def _minimum_stays_healthy(step: Step, context: Context) -> Answer:
    if not isinstance(step, Draining) or not isinstance(context, ServiceContext):
        return None
    at = context.observed.at
    left = [n for n in _healthy(context) if n != step.member and not is_drained(n, context.record, at)]
    least = context.service.min_healthy or 1
    return None if len(left) >= least else f"{len(left)} healthy members would be left, at least {least} are wanted"


def _healthy(context: ServiceContext) -> list[str]:
    look = (context.observed, context.record, context.timing)
    return [n for n in context.service.names if judge(n, *look).verdict is Verdict.HEALTHY]


def _discretionary(step: Step) -> bool:
    return isinstance(step, Draining) or (isinstance(step, Opening) and step.kind in DISCRETIONARY)


# --- peerings --------------------------------------------------------------------------------------------------------


def _own_only(step: Step, context: Context) -> Answer:
    if not isinstance(step, CreatePeering | DeletePeering) or not isinstance(context, PeeringContext):
        return None
    return None if is_own(context.topology, context.server(step), step.name) else f"{step.name!r} is not ours"


def _route_server_is_provisioned(step: Step, context: Context) -> Answer:
    if not isinstance(context, PeeringContext) or context.reading.provisioned:
        return None
    return "the Route Server is not provisioned yet"


def _one_write_in_flight(step: Step, context: Context) -> Answer:
    if not isinstance(context, PeeringContext):
        return None
    busy = [p.name for p in context.reading.peerings if p.state in (Provisioning.UPDATING, Provisioning.DELETING)]
    return f"{', '.join(busy)} is being written: one write at a time per Route Server" if busy else None


def _at_most_eight(step: Step, context: Context) -> Answer:
    if not isinstance(step, CreatePeering) or not isinstance(context, PeeringContext):
        return None
    there = {p.name.casefold() for p in context.reading.peerings}
    most = context.topology.timing.peers_max
    if step.name.casefold() in there or len(there) < most:
        return None
    server = context.server(step)
    foreign = [p.name for p in context.reading.peerings if not is_own(context.topology, server, p.name)]
    named = f"; not ours: {', '.join(sorted(foreign))}" if foreign else ""
    return f"{len(there)} of {most} peers are taken (Updating, Deleting, Failed and foreign ones count){named}"


def _address_is_free(step: Step, context: Context) -> Answer:
    if not isinstance(step, CreatePeering) or not isinstance(context, PeeringContext):
        return None
    there = [p for p in context.reading.peerings if p.name.casefold() != step.name.casefold()]
    holder = next((p.name for p in there if p.address == step.address), None)
    return f"{step.address} is peered as {holder!r}: Azure takes no second peering with it" if holder else None


def _instances_are_listed(step: Step, context: Context) -> Answer:
    if not isinstance(step, DeletePeering) or not isinstance(context, PeeringContext):
        return None
    scale_set = context.unlisted.get(step.name.casefold())
    if scale_set is None or may_lose(context.server(step), step.name):
        return None
    return (
        f"{step.name!r} may be an instance of {scale_set}, which cannot be listed: name it in `remove` if it shall go"
    )


def _last_announcer_is_kept(step: Step, context: Context) -> Answer:
    if not isinstance(step, DeletePeering) or not isinstance(context, PeeringContext):
        return None
    server = context.server(step)
    if may_lose(server, step.name):
        return None
    lost = lost_with(context.topology, server, context.reading, step.name)
    if not lost:
        return None
    prefixes = ", ".join(map(str, sorted(lost)))
    return f"{step.name!r} is the last peering that announces {prefixes}: name it in `remove` if it shall go"


def _holder_is_kept(step: Step, context: Context) -> Answer:
    if not isinstance(step, DeletePeering) or not isinstance(context, PeeringContext):
        return None
    server = context.server(step)
    serving: dict[str, set[str]] = {}
    for peering in context.reading.peerings:
        speaker = served(context.topology, server, peering)
        name = speaker.name if speaker is not None else speaker_named(context.topology, server, peering.name)
        if name in context.holders and peering.in_force:
            serving.setdefault(name, set()).add(peering.name.casefold())
    lost = [name for name, its in serving.items() if its == {step.name.casefold()}]
    if not lost or may_lose(server, step.name):
        return None
    return f"{lost[0]} serves with its own address: move the service first, or name {step.name!r} in `remove`"


def _deletes_are_spaced(step: Step, context: Context) -> Answer:
    if not isinstance(step, DeletePeering) or not isinstance(context, PeeringContext) or context.deleted is None:
        return None
    before, ago = context.deleted
    doomed = next((p for p in context.reading.peerings if p.name.casefold() == step.name.casefold()), None)
    if before.casefold() == step.name.casefold() or doomed is None or not doomed.in_force or ago < timedelta(0):
        return None
    left = context.topology.timing.peering_delete_spacing - ago
    if left <= timedelta(0):
        return None
    return f"{before!r} was deleted {ago.total_seconds():.0f} s ago: in {left.total_seconds():.0f} s", left


GUARDS: tuple[Guard, ...] = (
    # A whole service: the first to speak is what a person should read first.
    _paused,
    _nothing_is_up,
    _members_are_known,
    # Openings: automatic ones are spaced, those that nobody needs now want a clear view and a ready target.
    _look_is_fresh,
    _spacing,
    _not_blind,
    _target_is_ready,
    _damping_window_is_over,
    _minimum_stays_healthy,
    # Peerings: the cheapest refusal first.
    _own_only,
    _route_server_is_provisioned,
    _one_write_in_flight,
    _at_most_eight,
    _address_is_free,
    _instances_are_listed,
    _last_announcer_is_kept,
    _holder_is_kept,
    _deletes_are_spaced,
)


def refuse(step: Step, context: Context) -> tuple[Refusal, ...]:
    """Why this step may not be taken now, by every guard that speaks; empty when it may."""
    return tuple(_refusal(guard, answer) for guard in GUARDS if (answer := guard(step, context)) is not None)


def guard_name(guard: Guard) -> str:
    """`_at_most_eight` speaks as "at most eight"."""
    return guard.__name__.removeprefix("_").replace("_", " ")


def _refusal(guard: Guard, answer: str | tuple[str, timedelta]) -> Refusal:
    reason, wait = (answer, None) if isinstance(answer, str) else answer
    return Refusal(guard_name(guard), reason, wait)
