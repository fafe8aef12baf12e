"""Which prefixes a peering brings to a Route Server, and which would be withdrawn with it.

For the guard "last announcer is kept" and for the order in which peerings are exchanged. Counted by the topology alone
(`topology.announces`); which routes were really learned is compared in `routes`.
"""

from ipaddress import IPv4Network

from function_app.domain.peerings.model import Peering, Provisioning, RouteServerReading, served
from function_app.domain.peerings.scale_sets import is_named_for
from function_app.domain.topology.announces import Prefixes, announced
from function_app.domain.topology.model import RouteServer, Topology
from function_app.domain.topology.peering_names import speaker_named

NOTHING: Prefixes = frozenset[IPv4Network]()


def may_bring(topology: Topology, server: RouteServer, peering: Peering) -> Prefixes:
    """The most that a peering of ours may announce.

    | behind the peering                                        | may announce                                            |
    |-----------------------------------------------------------|---------------------------------------------------------|
    | a speaker, at the address and in the AS of the topology   | what that speaker announces                             |
    | a speaker at another address or in another AS than now    | the same, and what the speaker at its address announces |
    | no speaker of the topology: it left                       | whatever any speaker of this Route Server announces     |
    | none that is listed, but maybe an instance of a scale set | the same, and what the scale set announces              |
    """
    fitting = served(topology, server, peering)
    if fitting is not None:
        return announced(topology, fitting, server.name)
    peers = topology.peered_with(server.name)
    name = speaker_named(topology, server, peering.name)
    if any(speaker.name == name for speaker in peers):
        behind = [speaker for speaker in peers if speaker.name == name or speaker.address == peering.address]
        return NOTHING.union(*(announced(topology, speaker, server.name) for speaker in behind))
    anybody = NOTHING.union(*(announced(topology, speaker, server.name) for speaker in peers))
    return anybody | _of_scale_sets(topology, server, peering, name)


def _of_scale_sets(topology: Topology, server: RouteServer, peering: Peering, name: str | None) -> Prefixes:
    """What scale sets announce here of which a peering for `name` may be an instance, by its AS or by that name."""
    here = [scale_set for scale_set in topology.scale_sets if server.name in scale_set.peers_with]
    possible = [s.announces for s in here if peering.asn in (None, s.asn) or is_named_for(s, str(name))]
    return NOTHING.union(*possible)


def brings(topology: Topology, server: RouteServer, peering: Peering) -> Prefixes:
    """What a peering of ours certainly announces: it is Succeeded, no session of it is reported down, and its speaker is as the
    topology says.

    A write that succeeded makes no session. Recorded peerings of Route Servers show no connection state: those count.
    """
    fitting = served(topology, server, peering)
    if fitting is None or peering.state is not Provisioning.SUCCEEDED or peering.is_down:
        return NOTHING
    return announced(topology, fitting, server.name)


def may_lose(server: RouteServer, name: str) -> bool:
    """Whether the operator named this peering in `remove`: it may go although no other peering announces its prefixes."""
    return name.casefold() in {allowed.casefold() for allowed in server.remove}


def lost_with(topology: Topology, server: RouteServer, reading: RouteServerReading, name: str) -> Prefixes:
    """Prefixes that the peering of this name may announce now, and that no other peering of ours `brings`."""
    doomed = [p for p in reading.peerings if p.name.casefold() == name.casefold() and p.in_force]
    others = [p for p in reading.peerings if p.name.casefold() != name.casefold()]
    at_stake = NOTHING.union(*(may_bring(topology, server, p) for p in doomed))
    return at_stake.difference(*(brings(topology, server, p) for p in others))
