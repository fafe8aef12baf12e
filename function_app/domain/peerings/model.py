"""Peerings of a Route Server: what one is, which speaker it is for, and the steps that change one. Which are due: `plan`.

Whether a peering is ours is decided by its name (`topology.peering_names`), which speaker it is for by its address and
ASN: Azure takes no second peering with one peer address (azure-facts.md section 1).
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
    """One configured peering as Azure lists it; every one counts towards the eight, whoever made it.

    `address` and `asn` are None where Azure does not report them, `connection_state` too (`Connected`: a session is up).
    """

    name: str
    address: IPv4Address | None
    asn: int | None
    state: Provisioning
    connection_state: str | None = None

    @property
    def is_down(self) -> bool:
        """Whether Azure reports that it has no session."""
        return self.connection_state not in (None, "Connected")

    @property
    def in_force(self) -> bool:
        """Whether routes may be learned by it now: a write that Failed may have left the session as it was."""
        return self.state is Provisioning.SUCCEEDED or (
            self.state is Provisioning.FAILED and self.connection_state == "Connected"
        )

    def fits(self, speaker: Speaker) -> bool:
        """Whether it has the speaker's address and ASN; an ASN that Azure does not report counts as the right one."""
        return self.address == speaker.address and self.asn in (None, speaker.asn)


@dataclass(frozen=True, slots=True)
class RouteServerReading:
    """A fresh, complete list of one Route Server's peerings, the addresses of its two instances, and its flags.

    `branch_to_branch` and `routing_preference` are None where Azure does not report them.
    """

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
    """Delete a peering of ours; `exposure` is how long a speaker of the topology is without a peering because of it."""

    route_server: str
    name: str
    why: str
    exposure: timedelta | None = None


type PeeringStep = CreatePeering | DeletePeering


def served(topology: Topology, server: RouteServer, peering: Peering) -> Speaker | None:
    """The speaker that this peering of ours is for, with the right address and ASN, whatever the peering is called.

    Its name decides only where Azure does not report the address: unknown is not wrong.
    """
    if not is_own(topology, server, peering.name):
        return None
    named = speaker_named(topology, server, peering.name) if peering.address is None else None
    return next((s for s in topology.peered_with(server.name) if peering.fits(s) or s.name == named), None)


def connections(topology: Topology, server: RouteServer, reading: RouteServerReading) -> dict[str, str]:
    """By speaker, the name of its Succeeded peering: learned routes are requested by that name."""
    return {
        speaker.name: peering.name
        for peering in reading.peerings
        if peering.state is Provisioning.SUCCEEDED and (speaker := served(topology, server, peering)) is not None
    }


NO_SESSION = frozenset({"NotConnected", "Connecting"})
"""Values of `connectionState` without a session; what Azure does not report, or calls Unknown, is not known."""


def shown_sessions(topology: Topology, server: RouteServer, reading: RouteServerReading) -> dict[str, bool]:
    """By speaker, whether the Route Server shows a session with it, whoever made the peering; left out where it is not known."""
    found: dict[str, bool] = {}
    for speaker in topology.peered_with(server.name):
        states = {p.connection_state for p in reading.peerings if p.address in (speaker.address, None)}
        if "Connected" in states or states <= NO_SESSION:
            found[speaker.name] = "Connected" in states
    return found
