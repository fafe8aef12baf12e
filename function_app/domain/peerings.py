"""Peerings of a Route Server: what one is, whose it is, and what may be done to it. Which steps are due: `peering_plan`.

A bgpConnection has no tags, so its name says whose it is, and Azure takes no second one with the same peer address
(azure-facts). Hence whose a connection is hangs on its name, and whom it serves on its address and ASN:

| name                                    | ours                                                        |
|-----------------------------------------|-------------------------------------------------------------|
| `hopkeeper-{topology}_{speaker}`        | yes                                                         |
| `hopkeeper-{topology}_{speaker}.2`      | yes: made while the first one still was there (replacement) |
| anything that `adopt` names             | yes, as it is: never renamed                                |
| anything else, other topologies' too    | no: never touched                                           |
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address

from function_app.domain.topology import RouteServer, Speaker, Topology

PREFIX = "hopkeeper-"
AGAIN = tuple(f".{number}" for number in range(2, 10))
"""What a further name of one speaker ends in; no speaker's name holds a dot."""


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

    @property
    def in_force(self) -> bool:
        """Whether routes may come in by it now: a Failed write may have left a session as it was."""
        return self.state is Provisioning.SUCCEEDED or (
            self.state is Provisioning.FAILED and self.connection_state == "Connected"
        )

    def fits(self, speaker: Speaker) -> bool:
        """Whether it is as the speaker wants it; an ASN that Azure does not tell is not held against it."""
        return self.address == speaker.address and self.asn in (None, speaker.asn)


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
    """Remove a peering of ours; `exposure` is how long a speaker of the topology is without one because of it."""

    route_server: str
    name: str
    why: str
    exposure: timedelta | None = None


type PeeringStep = CreatePeering | DeletePeering


def peering_name(topology: str, speaker: str) -> str:
    """`hopkeeper-{topology}_{speaker}`."""
    return f"{PREFIX}{topology}_{speaker}"


def free_name(topology: str, speaker: str, taken: frozenset[str]) -> str:
    """The first name of a speaker that is not `taken` (casefolded); at most eight are, whoever's they are."""
    base = peering_name(topology, speaker)
    return next(name for name in (base, *(base + end for end in AGAIN)) if name.casefold() not in taken)


def is_ours(name: str, topology: str) -> bool:
    """Whether this topology made the peering; Azure compares names without case."""
    return name.casefold().startswith(peering_name(topology, "").casefold())


def adopted_for(server: RouteServer, name: str) -> str | None:
    """The speaker for which an operator adopted this connection."""
    return next((s for s, adopted in server.adopt.items() if adopted.casefold() == name.casefold()), None)


def is_own(topology: Topology, server: RouteServer, name: str) -> bool:
    """Whether the peering may be touched: ours by name, or adopted."""
    return is_ours(name, topology.name) or adopted_for(server, name) is not None


def speaker_named(topology: Topology, server: RouteServer, name: str) -> str | None:
    """The speaker for which a connection of ours was made or adopted; it may have left the topology. None: not ours."""
    if is_ours(name, topology.name):
        return re.sub(r"\.[2-9]$", "", name.casefold().removeprefix(peering_name(topology.name, "").casefold()))
    return adopted_for(server, name)


def served(topology: Topology, server: RouteServer, peering: Peering) -> Speaker | None:
    """The speaker that this connection of ours serves as it should be, whatever the connection is called.

    Only one whose address Azure does not tell is taken for what its name says: unknown is not wrong.
    """
    if not is_own(topology, server, peering.name):
        return None
    named = speaker_named(topology, server, peering.name) if peering.address is None else None
    return next((s for s in topology.peered_with(server.name) if peering.fits(s) or s.name == named), None)


def connections(topology: Topology, server: RouteServer, reading: RouteServerReading) -> dict[str, str]:
    """By speaker, the name of its peering that is there and Succeeded: learned routes are asked for by that name."""
    return {
        speaker.name: peering.name
        for peering in reading.peerings
        if peering.state is Provisioning.SUCCEEDED and (speaker := served(topology, server, peering)) is not None
    }
