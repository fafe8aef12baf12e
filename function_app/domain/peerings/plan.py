"""The steps that make a Route Server's peerings what the topology wants. Membership, never failover.

Which speaker a peering is for is decided by its address and ASN, not by its name (`model`):

| there                            | wanted          | steps                                                        |
|----------------------------------|-----------------|--------------------------------------------------------------|
| nothing                          | kept speaker    | create                                                       |
| ours, fits                       | kept speaker    | none, whatever it is called                                  |
| ours, fits, Failed               | kept speaker    | create again under its name (the same write repairs it)      |
| ours, another address            | kept speaker    | create under a second name, then delete: nothing is lost     |
| the same, and no place is free   | kept speaker    | exchange: delete, then create; the step gives its exposure   |
| ours, its address in another AS  | kept speaker    | exchange: Azure takes no second peering with one address     |
| ours, fits                       | waits (`slots`) | exchange for a better one once no place is free              |
| ours                             | nothing         | delete                                                       |
| not ours, same address           | speaker         | none: an operator has to adopt or remove it                  |
| not ours                         | anything        | none: never touched                                          |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from function_app.domain.peerings.coverage import NOTHING, brings, may_bring, may_lose
from function_app.domain.peerings.model import Peering, PeeringStep, Provisioning, RouteServerReading, served
from function_app.domain.peerings.order import Creation, DueChanges, Removal, RemovalReason
from function_app.domain.peerings.slots import Allotment, allot
from function_app.domain.topology.announces import Prefixes, announced
from function_app.domain.topology.model import RouteServer, Speaker, Topology
from function_app.domain.topology.peering_names import is_own, speaker_named


@dataclass(frozen=True, slots=True)
class PeeringPlan:
    """`steps` in the order to be taken, the first one now; `blocked` are wanted too, and cannot be taken."""

    steps: tuple[PeeringStep, ...]
    blocked: tuple[PeeringStep, ...]
    held: tuple[str, ...]
    """What is wanted and needs an operator, and why."""
    allotment: Allotment


def plan(topology: Topology, server: RouteServer, reading: RouteServerReading) -> PeeringPlan:
    """What to do after a fresh, complete list. A write in progress counts as done: the guards wait for it."""
    allotment = allot(topology, server, reading)
    due = _due(topology, server, reading, allotment)
    order = due.order()
    left = tuple(i for i in range(len(due.changes)) if i not in order)
    steps = due.steps(order + left)
    held = tuple(
        f"{speaker.name}: already peered as {name!r}, which is not ours: adopt it, or have it removed"
        for speaker, name in allotment.occupied
    )
    return PeeringPlan(steps[: len(order)], steps[len(order) :], held, allotment)


def _due(topology: Topology, server: RouteServer, reading: RouteServerReading, allotment: Allotment) -> DueChanges:
    settled = _settled(reading)
    own = sorted((p for p in settled if is_own(topology, server, p.name)), key=lambda p: p.name.casefold())
    fitting = {speaker.name: p for p in own if (speaker := served(topology, server, p)) is not None}
    stay = [brings(topology, server, fitting[speaker.name]) for speaker in allotment.kept if speaker.name in fitting]
    creations = _creations(topology, server, fitting, allotment)
    return DueChanges(
        topology=topology.name,
        route_server=server.name,
        names=frozenset(p.name.casefold() for p in settled),
        free=allotment.most - len(settled),
        stands=NOTHING.union(*stay),
        changes=(*creations, *_removals(topology, server, own, allotment)),
        swap=topology.timing.peering_swap,
    )


def _settled(reading: RouteServerReading) -> list[Peering]:
    """The peerings as they will be once the writes in progress are over, and their sessions up."""
    staying = [p for p in reading.peerings if p.state is not Provisioning.DELETING]
    return [_as_it_will_be(p) if p.state is Provisioning.UPDATING else p for p in staying]


def _as_it_will_be(peering: Peering) -> Peering:
    return replace(peering, state=Provisioning.SUCCEEDED, connection_state=None)


def _creations(
    topology: Topology, server: RouteServer, fitting: Mapping[str, Peering], allotment: Allotment
) -> list[Creation]:
    """What the speakers that keep their place need; where slots are refused, only repairs."""
    found = [_creation(topology, server, speaker, fitting.get(speaker.name)) for speaker in allotment.kept]
    needed = [creation for creation in found if creation is not None]
    return needed if allotment.refused is None else [c for c in needed if not c.takes_a_place]


def _creation(topology: Topology, server: RouteServer, speaker: Speaker, there: Peering | None) -> Creation | None:
    """`there` is the speaker's peering that fits."""
    if there is None:
        return Creation(speaker, f"{speaker.name} is not peered", announced(topology, speaker, server.name))
    if there.state is not Provisioning.FAILED:
        return None
    why = f"the peering of {speaker.name} is Failed"
    return Creation(speaker, why, announced(topology, speaker, server.name), repairs=there.name)


def _removals(topology: Topology, server: RouteServer, own: list[Peering], allotment: Allotment) -> list[Removal]:
    """In policy order: by reason, then those that do not work, then the lowest priority, then by name."""
    causes = [(peering, _cause(topology, server, peering, allotment)) for peering in own]
    removals = [
        Removal(
            peering,
            cause.why,
            cause.reason,
            cause.priority,
            at_stake=_at_stake(topology, server, peering),
            brings=brings(topology, server, peering),
            replaced_by=cause.replaced_by,
        )
        for peering, cause in causes
        if cause is not None
    ]
    return sorted(removals, key=lambda r: (r.reason, r.peering.in_force, r.priority, r.peering.name.casefold()))


def _at_stake(topology: Topology, server: RouteServer, peering: Peering) -> Prefixes:
    """Prefixes that other peerings must announce before this one may go."""
    guarded = peering.in_force and not may_lose(server, peering.name)
    return may_bring(topology, server, peering) if guarded else NOTHING


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why a peering has to go. `priority` is that of its speaker, `replaced_by` the speaker whose new peering takes over."""

    reason: RemovalReason
    why: str
    priority: int = 0
    replaced_by: str | None = None


# | the peering of ours                              | its speaker             | it goes as                                |
# |--------------------------------------------------|-------------------------|-------------------------------------------|
# | fits a speaker                                   | keeps its place         | it stays                                  |
# |                                                  | waits                   | WAITING; SUPERFLUOUS if it does not work  |
# | has the address of a kept speaker, another AS    |                         | RENUMBERED; stays where slots are refused |
# | neither, by its name it is for a speaker that    | is peered, but not by   | it stays: an operator decides on both     |
# |                                                  | a peering of ours       |                                           |
# |                                                  | keeps its place         | MOVED; stays where slots are refused      |
# |                                                  | waits                   | SUPERFLUOUS                               |
# | for no speaker that is declared here             |                         | SUPERFLUOUS                               |
def _cause(topology: Topology, server: RouteServer, peering: Peering, allotment: Allotment) -> _Cause | None:
    fitting = served(topology, server, peering)
    if fitting is not None:
        return _waiting(fitting, peering) if fitting in allotment.waiting else None
    renumbered = next((s for s in allotment.kept if s.address == peering.address), None)
    if renumbered is not None:
        return _replaced(RemovalReason.RENUMBERED, renumbered, peering, allotment)
    name = speaker_named(topology, server, peering.name)
    if any(speaker.name == name for speaker, _ in allotment.occupied):
        return None
    moved = _named(name, allotment.kept)
    if moved is not None:
        return _replaced(RemovalReason.MOVED, moved, peering, allotment)
    if _named(name, allotment.waiting) is not None:
        return _Cause(RemovalReason.SUPERFLUOUS, f"{name} has to wait, and moved")
    return _Cause(RemovalReason.SUPERFLUOUS, "no speaker of the topology is behind it")


def _named(name: str | None, speakers: tuple[Speaker, ...]) -> Speaker | None:
    return next((speaker for speaker in speakers if speaker.name == name), None)


def _waiting(speaker: Speaker, peering: Peering) -> _Cause:
    reason = RemovalReason.WAITING if peering.in_force else RemovalReason.SUPERFLUOUS
    return _Cause(reason, f"{speaker.name} (priority {speaker.priority}) has to wait", speaker.priority)


def _replaced(reason: RemovalReason, speaker: Speaker, peering: Peering, allotment: Allotment) -> _Cause | None:
    if allotment.refused is not None:
        return None
    why = f"{speaker.name} is {speaker.address} in AS {speaker.asn}, the peering {peering.address} in AS {peering.asn}"
    return _Cause(reason, why, speaker.priority, speaker.name)
