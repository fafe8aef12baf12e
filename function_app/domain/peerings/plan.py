"""The steps that make a Route Server's peerings what the topology wants. Membership, never failover.

Whom a peering is for is seen by its address and ASN, not by its name (`model`):

| there                            | wanted         | steps                                                        |
|----------------------------------|----------------|--------------------------------------------------------------|
| nothing                          | kept speaker   | create                                                       |
| ours, fits                       | kept speaker   | none, whatever it is called                                  |
| ours, fits, Failed               | kept speaker   | create again under its name (the same write repairs it)      |
| ours, another address            | kept speaker   | create under a second name, then delete: nothing is lost     |
| the same, and no place is free   | kept speaker   | exchange: delete, then create; its exposure is told          |
| ours, its address in another AS  | kept speaker   | exchange: Azure takes no second peering with one address     |
| ours, fits                       | waits (`slots`)| exchange for a better one once no place is free              |
| ours                             | nobody         | delete                                                       |
| foreign, same address            | speaker        | none: held, and named                                        |
| foreign                          | anything       | none: never touched                                          |
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from function_app.domain.peerings.coverage import brings, may_bring, may_lose
from function_app.domain.peerings.model import Peering, PeeringStep, Provisioning, RouteServerReading, served
from function_app.domain.peerings.order import Make, Turn, Unmake, Work
from function_app.domain.peerings.slots import Allotment, allot
from function_app.domain.topology.announces import announced
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
    """What to do after a fresh, complete list. What is being written or deleted counts as done: guards wait for it."""
    allotment = allot(topology, server, reading)
    work = _work(topology, server, reading, allotment)
    order = work.order()
    left = tuple(i for i in range(len(work.changes)) if i not in order)
    told = work.told(order + left)
    held = tuple(
        f"{speaker.name}: already peered as {name!r}, which is not ours: adopt it, or have it removed"
        for speaker, name in allotment.occupied
    )
    return PeeringPlan(told[: len(order)], told[len(order) :], held, allotment)


def _work(topology: Topology, server: RouteServer, reading: RouteServerReading, allotment: Allotment) -> Work:
    settled = [
        replace(p, state=Provisioning.SUCCEEDED) if p.state is Provisioning.UPDATING else p
        for p in reading.peerings
        if p.state is not Provisioning.DELETING
    ]
    own = sorted((p for p in settled if is_own(topology, server, p.name)), key=lambda p: p.name.casefold())
    fitting = {s.name: p for p in own if (s := served(topology, server, p)) is not None}
    makes = [m for s in allotment.kept if (m := _make(topology, server, s, fitting.get(s.name))) is not None]
    if allotment.refused is not None:
        makes = [m for m in makes if m.repairs is not None]
    unmakes = [u for p in own if (u := _unmake(topology, server, p, allotment)) is not None]
    unmakes.sort(key=lambda u: (u.turn, u.peering.in_force, u.priority, u.peering.name.casefold()))
    stands = [brings(topology, server, fitting[s.name]) for s in allotment.kept if s.name in fitting]
    return Work(
        topology=topology.name,
        route_server=server.name,
        names=frozenset(p.name.casefold() for p in settled),
        free=allotment.most - len(settled),
        stands=frozenset[IPv4Network]().union(*stands),
        changes=(*makes, *unmakes),
        swap=topology.timing.peering_swap,
    )


def _make(topology: Topology, server: RouteServer, speaker: Speaker, there: Peering | None) -> Make | None:
    if there is None:
        return Make(speaker, f"{speaker.name} is not peered", announced(topology, speaker, server.name))
    if there.state is not Provisioning.FAILED:
        return None
    why = f"the peering of {speaker.name} is Failed"
    return Make(speaker, why, announced(topology, speaker, server.name), repairs=there.name)


def _unmake(topology: Topology, server: RouteServer, peering: Peering, allotment: Allotment) -> Unmake | None:
    """Why this connection of ours has to go; None where it stays, also because its replacement is not to be made."""
    guarded = peering.in_force and not may_lose(server, peering.name)
    at_stake = may_bring(topology, server, peering) if guarded else frozenset[IPv4Network]()
    waiting = {s.name for s in allotment.waiting}
    fitting = served(topology, server, peering)
    if fitting is not None:
        if fitting.name not in waiting:
            return None
        why = f"{fitting.name} (priority {fitting.priority}) has to wait"
        turn = Turn.WAITING if peering.in_force else Turn.SUPERFLUOUS
        return Unmake(peering, why, turn, fitting.priority, at_stake, brings(topology, server, peering))
    named = speaker_named(topology, server, peering.name)
    here = next((s for s in allotment.kept if s.address == peering.address), None)
    if here is None and any(s.name == named for s, _ in allotment.occupied):
        return None
    moved = here or next((s for s in allotment.kept if s.name == named), None)
    if moved is None:
        why = f"{named} has to wait, and moved" if named in waiting else "no speaker of the topology is behind it"
        return Unmake(peering, why, Turn.SUPERFLUOUS, 0, at_stake, frozenset())
    if allotment.refused is not None:
        return None
    why = f"{moved.name} is {moved.address} in AS {moved.asn}, the peering {peering.address} in AS {peering.asn}"
    turn = Turn.MOVED if here is None else Turn.RENUMBERED
    return Unmake(peering, why, turn, moved.priority, at_stake, frozenset(), moved.name)
