"""Which prefixes a peering brings to a Route Server, and which would be lost with it.

For the guard "last announcer is kept" and for the order in which peerings are exchanged. What is really announced at a
moment is `routes`' business; here counts what the topology says, and what it no longer says may be anything.
"""

from ipaddress import IPv4Network

from function_app.domain.peerings.model import Peering, Provisioning, RouteServerReading, served
from function_app.domain.peerings.scale_sets import is_named_for
from function_app.domain.topology.model import RouteServer, Speaker, Topology
from function_app.domain.topology.peering_names import speaker_named

type Prefixes = frozenset[IPv4Network]


def announced(topology: Topology, speaker: Speaker, server: RouteServer) -> Prefixes:
    """What a speaker brings there: its services', its own, what it relays, and as a hub all that its clients announce."""
    relayed = {prefix for relay in speaker.relays if relay.to == server.name for prefix in relay.prefixes}
    clients = topology.clients(speaker.name) if speaker.role == "hub" else ()
    return frozenset(_originated(topology, speaker) | relayed).union(*(_originated(topology, c) for c in clients))


def _originated(topology: Topology, speaker: Speaker) -> set[IPv4Network]:
    return {p for s in topology.announced_by(speaker.name) for p in s.prefixes} | set(speaker.announces)


def may_bring(topology: Topology, server: RouteServer, peering: Peering) -> Prefixes:
    """The most that a connection of ours may announce.

    The speaker it serves as it should be is certain. One that does not fit may still have its speaker behind it, at
    the old address or in the old AS; behind one whose speaker left the topology, anything that is wanted here, also
    what a scale set announces that lists no instance.
    """
    peers = topology.peered_with(server.name)
    fitting = served(topology, server, peering)
    if fitting is not None:
        return announced(topology, fitting, server)
    name = speaker_named(topology, server, peering.name)
    behind = [s for s in peers if s.name == name or s.address == peering.address]
    known = any(s.name == name for s in peers)
    if known:
        return frozenset[IPv4Network]().union(*(announced(topology, s, server) for s in behind))
    sets = [s for s in topology.scale_sets if peering.asn in (None, s.asn) or is_named_for(s, str(name))]
    of_sets = {p for s in sets if server.name in s.peers_with for p in s.announces}
    return frozenset(of_sets).union(*(announced(topology, s, server) for s in peers))


def brings(topology: Topology, server: RouteServer, peering: Peering) -> Prefixes:
    """What a connection of ours brings for certain: it is Succeeded, and an announcer is behind it as it should be."""
    fitting = served(topology, server, peering)
    if fitting is None or peering.state is not Provisioning.SUCCEEDED:
        return frozenset()
    return announced(topology, fitting, server)


def may_lose(server: RouteServer, name: str) -> bool:
    """Whether the operator allowed this connection to go although nobody else announces what it does."""
    return name.casefold() in {allowed.casefold() for allowed in server.remove}


def lost_with(topology: Topology, server: RouteServer, reading: RouteServerReading, name: str) -> Prefixes:
    """Prefixes that this connection may announce now, and that no other Succeeded peering of ours would."""
    doomed = [p for p in reading.peerings if p.name.casefold() == name.casefold() and p.in_force]
    others = [p for p in reading.peerings if p.name.casefold() != name.casefold()]
    at_stake = frozenset[IPv4Network]().union(*(may_bring(topology, server, p) for p in doomed))
    return at_stake.difference(*(brings(topology, server, p) for p in others))
