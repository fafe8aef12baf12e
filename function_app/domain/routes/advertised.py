"""What a Route Server advertises to its peers, where the topology says something about it. Pure, evidence only.

Both instances must advertise the same; what a speaker is to relay must reach it; and a service's own prefix that is
advertised back to an agent of that service is named: a default route taken back would loop through the frontend
(azure-facts.md section 2).
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.as_paths import holds
from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.routes.hubs import named
from function_app.domain.routes.reading import LearnedRoute, RoutesByPeer
from function_app.domain.topology.model import Topology


def compare_advertised(
    topology: Topology, server: str, advertised: RoutesByPeer, instances: tuple[IPv4Address, ...]
) -> tuple[RouteFinding, ...]:
    """All findings on what `server` advertises to the peers in `advertised`, by peer; `instances` are its addresses."""
    found: list[RouteFinding] = []
    for peer, routes in sorted(advertised.items()):
        found += _differences(server, peer, routes, instances)
        found += _not_relayed(topology, server, peer, routes)
        found += _coming_back(topology, server, peer, routes)
    return tuple(found)


def _differences(
    server: str, peer: str, routes: tuple[LearnedRoute, ...], instances: tuple[IPv4Address, ...]
) -> Iterator[RouteFinding]:
    """Prefixes that one instance advertises to the peer and the other does not."""
    sent: dict[IPv4Address, set[IPv4Network]] = {}
    for instance in instances:
        sent[instance] = {route.network for route in routes if route.instance == instance}
    everything = set[IPv4Network]().union(*sent.values())
    for instance in instances:
        missing = sorted(everything - sent[instance])
        if missing:
            sentence = f"instance {instance} of {server} does not advertise {named(missing)} to {peer}, the other does"
            yield RouteFinding(FindingKind.ADVERTISED_DIFFERS, server, sentence, speaker=peer)


def _not_relayed(
    topology: Topology, server: str, peer: str, routes: tuple[LearnedRoute, ...]
) -> Iterator[RouteFinding]:
    """Prefixes that the peer is to relay from this Route Server, and that neither instance advertises to it."""
    sent = {route.network for route in routes}
    from_here = [relay for relay in topology.speaker(peer).relays if relay.source == server]
    for relay in from_here:
        missing = sorted(set(relay.prefixes) - sent)
        if missing:
            sentence = f"{server} does not advertise {named(missing)} to {peer}, which is to relay it to {relay.to}"
            yield RouteFinding(FindingKind.NOT_ADVERTISED, server, sentence, speaker=peer)


# What drops a prefix of a service that is advertised back to an agent of that service:
#
# | its AS paths                                | what drops it                                      |
# |---------------------------------------------|----------------------------------------------------|
# | all hold the peer's ASN                     | BGP's own loop guard (RFC 4271 section 9.1.2)      |
# | one does not, or was not reported           | only the peer's import filter                      |
def _coming_back(
    topology: Topology, server: str, peer: str, routes: tuple[LearnedRoute, ...]
) -> Iterator[RouteFinding]:
    asn = topology.speaker(peer).asn
    for service in topology.services:
        prefixes = sorted(service.prefixes) if peer in service.agents else ()
        for prefix in prefixes:
            paths = [route.as_path for route in routes if route.network == prefix]
            if not paths:
                continue
            guarded = all(path is not None and holds(path, asn) for path in paths)
            then = f"its loop guard drops it (AS {asn} is in the path)" if guarded else "its filter must drop it"
            sentence = f"{prefix} of {service.name} comes back to {peer} from {server}: {then}"
            yield RouteFinding(
                FindingKind.COMES_BACK, server, sentence, wrong=False, speaker=peer, service=service.name, prefix=prefix
            )
