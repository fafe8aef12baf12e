"""Peerings of a Route Server: what one is, whom it serves, and what may be done to it. Which steps are due: `plan`.

Whose a connection is hangs on its name (`topology.peering_names`), whom it serves on its address and ASN: Azure takes no
second connection with one peer address (azure-facts).
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address

from function_app.domain.topology.model import RouteServer, Speaker, Topology
from function_app.domain.topology.peering_names import is_own, speaker_named


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
