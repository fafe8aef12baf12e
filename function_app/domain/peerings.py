"""Which peerings a Route Server should have, and the steps that lead there. Membership, never failover.

| there               | wanted        | step                                                       |
|---------------------|---------------|------------------------------------------------------------|
| nothing             | speaker       | create                                                     |
| ours, as wanted     | speaker       | none                                                       |
| ours, Failed        | speaker       | create again (the same write repairs it)                   |
| ours, other address | speaker       | delete; the next look creates (Azure changes none in place)|
| ours                | nobody        | delete                                                     |
| foreign, same peer  | speaker       | none: held, and named                                      |
| foreign             | anything      | none: never touched                                        |
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from function_app.domain.topology import RouteServer, Speaker, Topology

PREFIX = "hopkeeper-"


class Provisioning(StrEnum):
    """`provisioningState` of a bgpConnection."""

    SUCCEEDED = "Succeeded"
    UPDATING = "Updating"
    DELETING = "Deleting"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Peering:
    """One configured peering as Azure lists it; every one counts for the eight, whoever made it."""

    name: str
    address: IPv4Address | None
    asn: int | None
    state: Provisioning
    connection_state: str | None = None


@dataclass(frozen=True, slots=True)
class RouteServerReading:
    """A fresh, complete list of one Route Server's peerings and its two instances."""

    instances: tuple[IPv4Address, ...]
    peerings: tuple[Peering, ...]
    provisioned: bool = True
    branch_to_branch: bool | None = None
    routing_preference: str | None = None


@dataclass(frozen=True, slots=True)
class CreatePeering:
    """Write a peering of ours (also the repair of a Failed one)."""

    route_server: str
    name: str
    address: IPv4Address
    asn: int
    why: str


@dataclass(frozen=True, slots=True)
class DeletePeering:
    """Remove a peering of ours."""

    route_server: str
    name: str
    why: str


type PeeringStep = CreatePeering | DeletePeering


@dataclass(frozen=True, slots=True)
class PeeringPlan:
    """Steps in order (creates first, then deletes), and what is wanted but not possible."""

    steps: tuple[PeeringStep, ...]
    held: tuple[str, ...]


def peering_name(topology: str, speaker: str) -> str:
    """`hopkeeper-{topology}_{speaker}`: a bgpConnection has no tags, so its name says whose it is (azure-facts)."""
    return f"{PREFIX}{topology}_{speaker}"


def is_ours(name: str, topology: str) -> bool:
    """Whether this topology made the peering; Azure compares names without case."""
    return name.casefold().startswith(peering_name(topology, "").casefold())


def plan(topology: Topology, server: RouteServer, reading: RouteServerReading) -> PeeringPlan:
    """The steps that make `reading` what `topology` wants, and the reasons for what cannot be done."""
    ours = {p.name.casefold(): p for p in reading.peerings if is_ours(p.name, topology.name)}
    foreign = {p.address: p for p in reading.peerings if not is_ours(p.name, topology.name)}
    wanted = {peering_name(topology.name, s.name): s for s in topology.peered_with(server.name)}
    creates: list[PeeringStep] = []
    deletes: list[PeeringStep] = []
    held: list[str] = []
    for name, speaker in sorted(wanted.items()):
        existing = ours.get(name.casefold())
        if existing is None and speaker.address in foreign:
            held.append(f"{speaker.name}: already peered as {foreign[speaker.address].name!r}, which is not ours")
        elif existing is None:
            creates.append(_create(server, name, speaker, f"{speaker.name} is not peered"))
        elif (existing.address, existing.asn) != (speaker.address, speaker.asn):
            is_now = f"{existing.address} in AS {existing.asn}"
            deletes.append(DeletePeering(server.name, existing.name, f"{speaker.name} moved: the peering is {is_now}"))
        elif existing.state is Provisioning.FAILED:
            creates.append(_create(server, existing.name, speaker, f"the peering of {speaker.name} is Failed"))
    keep = {name.casefold() for name in wanted}
    for key, peering in sorted(ours.items()):
        if key not in keep and peering.state is not Provisioning.DELETING:
            deletes.append(DeletePeering(server.name, peering.name, "no speaker of the topology is behind it"))
    return PeeringPlan((*creates, *deletes), tuple(held))


def _create(server: RouteServer, name: str, speaker: Speaker, why: str) -> CreatePeering:
    return CreatePeering(server.name, name, speaker.address, speaker.asn, why)
