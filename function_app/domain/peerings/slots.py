"""Who gets a place at a Route Server that takes eight peers: the arithmetic, and whom it leaves waiting. No steps.

Every connection that is not ours keeps its place, whatever state it is in. Of what is left:

| `slots`      | more speakers want to peer than there is room for                                              |
|--------------|------------------------------------------------------------------------------------------------|
| `refuse`     | refused, with the arithmetic and the ways out; what is there is kept and repaired              |
| `byPriority` | the higher priority is kept; of equals who has a peering already (an exchange costs minutes of |
|              | it), then the first by name; the rest wait, and are named                                      |
"""

from dataclasses import dataclass

from function_app.domain.peerings.model import Provisioning, RouteServerReading, served
from function_app.domain.topology.model import RouteServer, Slots, Speaker, Topology
from function_app.domain.topology.peering_names import is_own


@dataclass(frozen=True, slots=True)
class Allotment:
    """Who is kept and who waits, best first, and the numbers behind it."""

    most: int
    taken: int
    """Peerings in any state, whoever made them."""
    foreign: tuple[str, ...]
    """Connections that are not ours, by name."""
    kept: tuple[Speaker, ...]
    waiting: tuple[Speaker, ...]
    occupied: tuple[tuple[Speaker, str], ...]
    """Speakers with whose address somebody else's connection peers already, and its name."""
    refused: str | None = None
    """Why nobody new gets a place: more speakers want one than there are, and `slots` says `refuse`."""

    @property
    def room(self) -> int:
        """Places that are not somebody else's."""
        return max(0, self.most - len(self.foreign))

    @property
    def wanted(self) -> int:
        """Speakers that want a place of their own."""
        return len(self.kept) + len(self.waiting)

    @property
    def arithmetic(self) -> str:
        others = f", {len(self.foreign)} of them not ours ({', '.join(self.foreign)})" if self.foreign else ""
        return (
            f"{self.taken} of {self.most} peers are taken{others}: "
            f"room for {self.room}, and {self.wanted} speakers want to peer"
        )


def allot(topology: Topology, server: RouteServer, reading: RouteServerReading) -> Allotment:
    """Who gets a place, after a fresh and complete list."""
    foreign = {p.name: p.address for p in reading.peerings if not is_own(topology, server, p.name)}
    by_address = {address: name for name, address in sorted(foreign.items())}
    peers = topology.peered_with(server.name)
    seated = {
        speaker.name
        for p in reading.peerings
        if p.state is not Provisioning.DELETING and (speaker := served(topology, server, p)) is not None
    }
    ranked = sorted(
        (s for s in peers if s.address not in by_address),
        key=lambda s: (-s.priority, s.name not in seated, s.name),
    )
    room = max(0, topology.timing.peers_max - len(foreign))
    short = len(ranked) > room
    cut = room if short and server.slots is Slots.BY_PRIORITY else len(ranked)
    found = Allotment(
        most=topology.timing.peers_max,
        taken=len(reading.peerings),
        foreign=tuple(sorted(foreign)),
        kept=tuple(ranked[:cut]),
        waiting=tuple(ranked[cut:]),
        occupied=tuple((s, by_address[s.address]) for s in peers if s.address in by_address),
    )
    return _refused(found) if short and server.slots is Slots.REFUSE else found


def _refused(found: Allotment) -> Allotment:
    given_up = ", ".join(s.name for s in found.kept[found.room :])
    ways = (
        f"either let hub speakers (`role: hub`) carry some of them, or give up {given_up} (the lowest priority): "
        "take it out of `peersWith`, or say `slots: byPriority`"
    )
    return Allotment(
        found.most,
        found.taken,
        found.foreign,
        found.kept,
        found.waiting,
        found.occupied,
        f"{found.arithmetic}; {ways}",
    )
