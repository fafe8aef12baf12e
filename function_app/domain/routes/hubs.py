"""Whether hub speakers are redundant: each carries every client, and no prefix is lost with any one of them. Pure.

Predicted from the routes that were learned, nothing is switched off: a prefix that two hubs announce to an instance is
still there without one of them. The next hop of each prefix is compared in `learned`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.expected import ExpectedRoute
from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.routes.reading import RoutesByPeer
from function_app.domain.topology.model import Topology

NAMED_MAX = 3
"""Prefixes that a sentence names; the others are counted."""


@dataclass(frozen=True, slots=True)
class MissingClient:
    """A client of which a hub carries nothing: `networks` are the missing ones of one service, or the client's own."""

    hub: str
    client: str
    service: str | None
    networks: tuple[IPv4Network, ...]

    def finding(self, server: str) -> RouteFinding:
        sentence = f"{self.hub} carries nothing of its client {self.client} to {server}: {named(self.networks)}"
        return RouteFinding(FindingKind.HUB_LACKS_CLIENT, server, sentence, speaker=self.hub, service=self.service)


def missing_clients(wanted: Sequence[ExpectedRoute], learned: RoutesByPeer) -> tuple[MissingClient, ...]:
    """By hub and client, where not one of the prefixes that only this client announces through it is learned.

    Only a hub announces what starts at none but another speaker.
    """
    through: dict[tuple[str, str], list[ExpectedRoute]] = defaultdict(list)
    for route in wanted:
        origins = {way.origin for way in route.ways}
        if route.peer not in origins and len(origins) == 1:
            through[route.peer, origins.pop()].append(route)
    missing: list[MissingClient] = []
    for (hub, client), routes in sorted(through.items()):
        carried = {row.network for row in learned[hub]}
        if carried.isdisjoint(route.network for route in routes):
            missing += _by_service(hub, client, routes)
    return tuple(missing)


def _by_service(hub: str, client: str, routes: Sequence[ExpectedRoute]) -> Iterator[MissingClient]:
    networks: dict[str | None, list[IPv4Network]] = defaultdict(list)
    for route in routes:
        networks[route.service].append(route.network)
    for service, each in networks.items():
        yield MissingClient(hub, client, service, tuple(each))


def single_hubs(
    topology: Topology,
    server: str,
    wanted: Sequence[ExpectedRoute],
    learned: RoutesByPeer,
    instances: Sequence[IPv4Address],
) -> tuple[RouteFinding, ...]:
    """What one Route Server would lose with one hub, and clients that have one hub only (as something to know).

    Empty until the routes of every hub of the Route Server have been read: `learned` has no answer for one that has not.
    """
    hubs = [speaker.name for speaker in topology.peered_with(server) if speaker.role == "hub"]
    if not learned.keys() >= set(hubs):
        return ()
    return (
        *_lost_with_a_hub(server, hubs, wanted, _sole_carriers(learned, instances)),
        *_one_hub(topology, server, hubs),
    )


# What an instance would lose with a hub:
#
# | the prefix is expected from | the instance learned it from | lost with the hub                                      |
# |-----------------------------|------------------------------|--------------------------------------------------------|
# | one peer only               |                              | not judged: the topology has no second way for it      |
# | the hub, as the hub's own   |                              | not judged: the hub carries it for itself              |
# | several peers               | the hub and another peer     | no                                                     |
# |                             | the hub only                 | yes                                                    |
# |                             | not from the hub             | no; that it is missing from the hub is said elsewhere  |
def _lost_with_a_hub(
    server: str, hubs: Sequence[str], wanted: Sequence[ExpectedRoute], sole: dict[str, set[IPv4Network]]
) -> Iterator[RouteFinding]:
    """`sole`: by peer, what at least one instance learned from that peer only."""
    peers: dict[IPv4Network, set[str]] = defaultdict(set)
    for route in wanted:
        peers[route.network].add(route.peer)
    redundant = {network for network, announcing in peers.items() if len(announcing) > 1}
    for hub in hubs:
        own = {route.network for route in wanted if route.starts_at(hub)}
        lost = sorted((sole[hub] & redundant) - own)
        if lost:
            sentence = f"losing {hub} would lose {named(lost)} on {server}: no other peer carries it to both instances"
            yield RouteFinding(FindingKind.ONE_HUB, server, sentence, speaker=hub)


def _sole_carriers(learned: RoutesByPeer, instances: Sequence[IPv4Address]) -> dict[str, set[IPv4Network]]:
    """By peer, the prefixes that at least one instance learned from that peer and no other."""
    carriers: dict[tuple[IPv4Network, IPv4Address], set[str]] = defaultdict(set)
    for peer, rows in learned.items():
        for row in rows:
            carriers[row.network, row.instance].add(peer)
    sole: dict[str, set[IPv4Network]] = defaultdict(set)
    for (network, instance), peers in carriers.items():
        if len(peers) == 1 and instance in instances:
            sole[min(peers)].add(network)
    return sole


def _one_hub(topology: Topology, server: str, hubs: Sequence[str]) -> Iterator[RouteFinding]:
    """Clients that peer with one of several hubs, and not with the Route Server itself: the topology says so."""
    for client in topology.speakers:
        peered = [name for name in client.peers_with if name in hubs]
        if len(peered) == 1 and len(hubs) > 1 and server not in client.peers_with:
            [hub] = peered
            sentence = f"{client.name} has one hub of {server} only: losing {hub} would lose all that it announces"
            yield RouteFinding(FindingKind.ONE_HUB, server, sentence, wrong=False, speaker=hub)


def named(networks: Sequence[IPv4Network]) -> str:
    """The first few, and how many more there are: "10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16 and 4 more"."""
    more = f" and {len(networks) - NAMED_MAX} more" if len(networks) > NAMED_MAX else ""
    return ", ".join(map(str, networks[:NAMED_MAX])) + more
