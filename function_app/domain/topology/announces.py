"""Which prefixes a speaker announces, by the topology alone.

What it announces at this moment, with which next hop and AS path, is a question for `routes`. What is passed on:

| from              | to            | prefixes                                                                         |
|-------------------|---------------|----------------------------------------------------------------------------------|
| any speaker       | anybody       | its own `announces`, and those of the services that it is an announcer of        |
| a speaker's relay | Route Server  | `relays[].prefixes` of relays that lead to this Route Server                     |
| a hub's client    | Route Server  | what the client originates; what the client relays goes to a Route Server itself |
"""

from collections.abc import Iterator
from ipaddress import IPv4Network

from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology

type Prefixes = frozenset[IPv4Network]


def of_services(topology: Topology, speaker: Speaker) -> Iterator[tuple[IPv4Network, Service]]:
    """Each prefix that it announces for a service, with that service; in the document's order."""
    for service in topology.announced_by(speaker.name):
        for prefix in service.prefixes:
            yield prefix, service


def originated(topology: Topology, speaker: Speaker) -> Prefixes:
    """All that starts at a speaker: what its own configuration announces, and what it announces for services."""
    return frozenset(speaker.announces).union(prefix for prefix, _ in of_services(topology, speaker))


def announced(topology: Topology, speaker: Speaker, peer: str) -> Prefixes:
    """All that a speaker may announce to one Route Server (or hub), by its name: its own, what it relays there, its clients'."""
    clients = topology.clients(speaker.name)
    relayed = (relay.prefixes for relay in speaker.relays if relay.to == peer)
    return originated(topology, speaker).union(*relayed, *(originated(topology, client) for client in clients))


def sources(topology: Topology, server: RouteServer) -> Iterator[tuple[IPv4Network, str]]:
    """Every prefix that a Route Server may learn, with each that it starts at: a service, or in words who else."""
    peers = topology.peered_with(server.name)
    clients = (client for peer in peers for client in topology.clients(peer.name))
    for speaker in (*peers, *clients):
        yield from ((prefix, f"service {service.name!r}") for prefix, service in of_services(topology, speaker))
        yield from ((prefix, f"`announces` of {speaker.name!r}") for prefix in speaker.announces)
    yield from _passed_on(topology, server)


def _passed_on(topology: Topology, server: RouteServer) -> Iterator[tuple[IPv4Network, str]]:
    """Of relays that lead to it, and of instances of scale sets."""
    relays = ((peer.name, relay) for peer in topology.peered_with(server.name) for relay in peer.relays)
    for name, relay in relays:
        if relay.to == server.name:
            yield from ((prefix, f"a relay of {name!r}") for prefix in relay.prefixes)
    for scale_set in topology.scale_sets:
        if server.name in scale_set.peers_with:
            yield from ((prefix, f"scale set {scale_set.name!r}") for prefix in scale_set.announces)
