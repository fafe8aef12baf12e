"""The guards of a Route Server's peerings: pure predicates that a write must pass, in commented tuples by kind of write.

| guard                       | guards                      | because                                                     |
|-----------------------------|-----------------------------|-------------------------------------------------------------|
| own only                    | every write                 | a peering that is not ours is never touched                 |
| route server is provisioned | every write                 | answers 409 meanwhile (azure-facts.md section 1)            |
| one write in flight         | every write                 | a second one answers 409 or 429                             |
| at most eight               | creates                     | a Route Server takes eight, whatever their state            |
| address is free             | creates                     | Azure takes no second peering with one peer address         |
| instances are listed        | deletes                     | no instance is gone because its scale set cannot be listed  |
| last announcer is kept      | deletes                     | a prefix of the topology would be withdrawn                 |
| holder is kept              | deletes of working peerings | where it serves with its own address, traffic would move    |
| deletes are spaced          | deletes of working peerings | safety.md section 5: at most one in so long                 |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from function_app.domain.base.refusal import Guard, GuardAnswer, Refusal, refusals
from function_app.domain.peerings.coverage import lost_with, may_lose
from function_app.domain.peerings.model import (
    CreatePeering,
    DeletePeering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
    served,
)
from function_app.domain.topology.model import RouteServer, Topology
from function_app.domain.topology.peering_names import is_own, speaker_named


@dataclass(frozen=True, slots=True)
class PeeringContext:
    """What the guards of a peering decide on: the topology, a fresh and complete list, and what was done before."""

    topology: Topology
    reading: RouteServerReading
    deleted: tuple[str, timedelta] | None = None
    """The name of the working peering that was last deleted here, and how long ago."""
    holders: frozenset[str] = frozenset()
    """Speakers that serve with their own address as next hop: their routes are the service."""
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """Peerings that may belong to an instance of a scale set that cannot be listed: name (casefolded), scale set."""

    def server(self, step: CreatePeering | DeletePeering) -> RouteServer:
        return next(s for s in self.topology.route_servers if s.name == step.route_server)


def _own_only(step: PeeringStep, context: PeeringContext) -> GuardAnswer:
    return None if is_own(context.topology, context.server(step), step.name) else f"{step.name!r} is not ours"


def _route_server_is_provisioned(step: PeeringStep, context: PeeringContext) -> GuardAnswer:
    if context.reading.provisioned:
        return None
    return "the Route Server is not provisioned yet"


def _one_write_in_flight(step: PeeringStep, context: PeeringContext) -> GuardAnswer:
    busy = [p.name for p in context.reading.peerings if p.state in (Provisioning.UPDATING, Provisioning.DELETING)]
    return f"{', '.join(busy)} is being written: one write at a time per Route Server" if busy else None


def _at_most_eight(step: CreatePeering, context: PeeringContext) -> GuardAnswer:
    there = {p.name.casefold() for p in context.reading.peerings}
    most = context.topology.timing.peers_max
    if step.name.casefold() in there or len(there) < most:
        return None
    server = context.server(step)
    foreign = [p.name for p in context.reading.peerings if not is_own(context.topology, server, p.name)]
    named = f"; not ours: {', '.join(sorted(foreign))}" if foreign else ""
    return f"{len(there)} of {most} peers are taken (Updating, Deleting, Failed and foreign ones count){named}"


def _address_is_free(step: CreatePeering, context: PeeringContext) -> GuardAnswer:
    there = [p for p in context.reading.peerings if p.name.casefold() != step.name.casefold()]
    holder = next((p.name for p in there if p.address == step.address), None)
    return f"{step.address} is peered as {holder!r}: Azure takes no second peering with it" if holder else None


def _instances_are_listed(step: DeletePeering, context: PeeringContext) -> GuardAnswer:
    scale_set = context.unlisted.get(step.name.casefold())
    if scale_set is None or may_lose(context.server(step), step.name):
        return None
    return (
        f"{step.name!r} may be an instance of {scale_set}, which cannot be listed: name it in `remove` if it shall go"
    )


def _last_announcer_is_kept(step: DeletePeering, context: PeeringContext) -> GuardAnswer:
    server = context.server(step)
    if may_lose(server, step.name):
        return None
    lost = lost_with(context.topology, server, context.reading, step.name)
    if not lost:
        return None
    prefixes = ", ".join(map(str, sorted(lost)))
    return f"{step.name!r} is the last peering that announces {prefixes}: name it in `remove` if it shall go"


def _holder_is_kept(step: DeletePeering, context: PeeringContext) -> GuardAnswer:
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


def _deletes_are_spaced(step: DeletePeering, context: PeeringContext) -> GuardAnswer:
    if context.deleted is None:
        return None
    before, ago = context.deleted
    doomed = next((p for p in context.reading.peerings if p.name.casefold() == step.name.casefold()), None)
    if before.casefold() == step.name.casefold() or doomed is None or not doomed.in_force or ago < timedelta(0):
        return None
    left = context.topology.timing.peering_delete_spacing - ago
    if left <= timedelta(0):
        return None
    return f"{before!r} was deleted {ago.total_seconds():.0f} s ago: in {left.total_seconds():.0f} s", left


OF_A_WRITE: tuple[Guard[PeeringStep, PeeringContext], ...] = (
    _own_only,
    _route_server_is_provisioned,
    _one_write_in_flight,
)
"""The cheapest refusal first, here and below."""
OF_A_CREATE: tuple[Guard[CreatePeering, PeeringContext], ...] = (
    _at_most_eight,
    _address_is_free,
)
OF_A_DELETE: tuple[Guard[DeletePeering, PeeringContext], ...] = (
    _instances_are_listed,
    _last_announcer_is_kept,
    _holder_is_kept,
    _deletes_are_spaced,
)

GUARDS: tuple[Callable[..., GuardAnswer], ...] = (*OF_A_WRITE, *OF_A_CREATE, *OF_A_DELETE)
"""Every guard once, for documents and tests that list them."""


def refuse(step: PeeringStep, context: PeeringContext) -> tuple[Refusal, ...]:
    """Why this write may not be done now, by every guard that refuses it; empty when it may."""
    refused = refusals(OF_A_WRITE, step, context)
    if isinstance(step, CreatePeering):
        return refused + refusals(OF_A_CREATE, step, context)
    return refused + refusals(OF_A_DELETE, step, context)
