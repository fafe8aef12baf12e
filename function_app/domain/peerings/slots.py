"""Which speakers get a place at a Route Server that takes eight peers, which wait, and the arithmetic. No steps.

A peering that is not ours keeps its place, in whatever state it is. For the places that are left:

| `slots`      | where more speakers want to peer than there is room for                                            |
|--------------|----------------------------------------------------------------------------------------------------|
| `refuse`     | no new speaker gets one; the refusal gives the arithmetic and the ways out; what is there is kept  |
| `byPriority` | the highest priorities get them; of equals, those that are peered (an exchange interrupts a        |
|              | session for minutes), then the first by name; the others wait and are named                        |

A speaker whose address a peering that is not ours already has wants no place: Azure takes no second peering with it.
"""

from dataclasses import dataclass, replace

from function_app.domain.peerings.model import Provisioning, RouteServerReading, served
from function_app.domain.topology.model import RouteServer, Slots, Speaker, Topology
from function_app.domain.topology.peering_names import is_own


@dataclass(frozen=True, slots=True)
class Allotment:
    """Who keeps or gets a place and who waits, best first, and the numbers behind it."""

    most: int
    taken: int
    """Peerings in any state, whoever made them."""
    foreign: tuple[str, ...]
    """Peerings that are not ours, by name."""
    kept: tuple[Speaker, ...]
    waiting: tuple[Speaker, ...]
    occupied: tuple[tuple[Speaker, str], ...]
    """Speakers whose address is already peered by a peering that is not ours, and its name."""
    refused: str | None = None
    """Why no new speaker gets a place: more want one than there are, and `slots` is `refuse`."""

    @property
    def room(self) -> int:
        """Places that peerings of ours may take."""
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
    foreign = sorted((p.name, p.address) for p in reading.peerings if not is_own(topology, server, p.name))
    occupied_by = {address: name for name, address in foreign}
    peers = topology.peered_with(server.name)
    wanting = [speaker for speaker in peers if speaker.address not in occupied_by]
    peered = _peered(topology, server, reading)
    ranked = sorted(wanting, key=lambda speaker: (-speaker.priority, speaker.name not in peered, speaker.name))
    occupied = tuple((speaker, occupied_by[speaker.address]) for speaker in peers if speaker.address in occupied_by)
    everybody = Allotment(
        most=topology.timing.peers_max,
        taken=len(reading.peerings),
        foreign=tuple(name for name, _ in foreign),
        kept=tuple(ranked),
        waiting=(),
        occupied=occupied,
    )
    room = everybody.room
    if len(ranked) <= room:
        return everybody
    if server.slots is Slots.BY_PRIORITY:
        return replace(everybody, kept=tuple(ranked[:room]), waiting=tuple(ranked[room:]))
    return replace(everybody, refused=f"{everybody.arithmetic}; {_ways_out(ranked[room:])}")


def _peered(topology: Topology, server: RouteServer, reading: RouteServerReading) -> frozenset[str]:
    """Speakers that have a peering as they should; one that is being deleted does not count."""
    there = [p for p in reading.peerings if p.state is not Provisioning.DELETING]
    speakers = [served(topology, server, peering) for peering in there]
    return frozenset(speaker.name for speaker in speakers if speaker is not None)


def _ways_out(beyond: list[Speaker]) -> str:
    names = ", ".join(speaker.name for speaker in beyond)
    return (
        f"either let hub speakers (`role: hub`) carry some of them, or give up {names} (the lowest priority): "
        "take it out of `peersWith`, or say `slots: byPriority`"
    )
