"""What hub speakers owe: each carries every client, and losing any one of them loses nothing. Pure.

Predicted from what was learned, not tried: a prefix that two hubs announce to an instance is still there without one.
The next hop of single prefixes is `learned`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.expected import Expected
from function_app.domain.routes.findings import Finding, FindingKind
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import Topology

NAMED_MAX = 3  # prefixes that a sentence names; the rest are counted


@dataclass(frozen=True, slots=True)
class Gap:
    """A client of which a hub carries nothing at all: what is missing of one service, or of what it announces itself."""

    hub: str
    client: str
    service: str | None
    networks: tuple[IPv4Network, ...]

    def finding(self, server: str) -> Finding:
        sentence = f"{self.hub} carries nothing of its client {self.client} to {server}: {named(self.networks)}"
        return Finding(FindingKind.HUB_LACKS_CLIENT, server, sentence, speaker=self.hub, service=self.service)


def lacking_clients(
    topology: Topology, wanted: Sequence[Expected], learned: Mapping[str, tuple[LearnedRoute, ...]]
) -> tuple[Gap, ...]:
    """By hub and client, where not one of the prefixes that only this client announces through it is learned."""
    mine: dict[tuple[str, str], list[Expected]] = {}
    for each in wanted:
        origins = {way.origin for way in each.ways}
        if topology.speaker(each.peer).role == "hub" and each.peer not in origins and len(origins) == 1:
            mine.setdefault((each.peer, origins.pop()), []).append(each)
    gaps = []
    for (hub, client), all_of_it in sorted(mine.items()):
        if not {route.network for route in learned[hub]}.isdisjoint(each.network for each in all_of_it):
            continue
        by_service: dict[str | None, list[IPv4Network]] = {}
        for each in all_of_it:
            by_service.setdefault(each.service, []).append(each.network)
        gaps += [Gap(hub, client, service, tuple(networks)) for service, networks in by_service.items()]
    return tuple(gaps)


def single_hubs(
    topology: Topology,
    server: str,
    wanted: Sequence[Expected],
    learned: Mapping[str, tuple[LearnedRoute, ...]],
    instances: Sequence[IPv4Address],
) -> tuple[Finding, ...]:
    """For each hub, what an instance would lose with it, though the topology has another hub for it.

    A client with one hub only is told too, as something to know: the topology says so. Judged once every hub of the
    Route Server has been asked.
    """
    hubs = [s.name for s in topology.peered_with(server) if s.role == "hub"]
    if any(hub not in learned for hub in hubs):
        return ()
    carriers: dict[tuple[IPv4Network, IPv4Address], set[str]] = {}
    for peer, routes in learned.items():
        for route in routes:
            carriers.setdefault((route.network, route.instance), set()).add(peer)
    ways: dict[IPv4Network, set[str]] = {}
    for each in wanted:
        ways.setdefault(each.network, set()).add(each.peer)
    found = []
    for hub in hubs:
        own = {each.network for each in wanted if each.peer == hub and any(w.origin == hub for w in each.ways)}
        lost = sorted(
            {
                network
                for instance in instances
                for network, peers in ways.items()
                if network not in own and len(peers) > 1 and carriers.get((network, instance)) == {hub}
            }
        )
        if lost:
            sentence = f"losing {hub} would lose {named(lost)} on {server}: no other peer carries it to both instances"
            found.append(Finding(FindingKind.ONE_HUB, server, sentence, speaker=hub))
    for client in topology.speakers:
        mine = [name for name in client.peers_with if name in hubs]
        if len(mine) == 1 and len(hubs) > 1 and server not in client.peers_with:
            sentence = f"{client.name} has one hub of {server} only: losing {mine[0]} would lose all that it announces"
            found.append(Finding(FindingKind.ONE_HUB, server, sentence, wrong=False, speaker=mine[0]))
    return tuple(found)


def named(networks: Sequence[IPv4Network]) -> str:
    """The first few by name, the others by count."""
    more = f" and {len(networks) - NAMED_MAX} more" if len(networks) > NAMED_MAX else ""
    return ", ".join(map(str, networks[:NAMED_MAX])) + more
