"""What a Route Server sends to its peers, as far as the topology says something about it. Pure, evidence only.

Both instances must send the same; what a speaker is to relay must reach it; and a service's own prefix that comes back
to an agent of that service is named, for a default route taken back would loop through the frontend (azure-facts).
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.as_paths import holds
from function_app.domain.routes.findings import Finding, FindingKind
from function_app.domain.routes.hubs import named
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import Topology

type Advertised = Mapping[str, tuple[LearnedRoute, ...]]
"""By name of peer, what one Route Server's instances send to it; a peer that has not been asked is not there."""


def compare_advertised(
    topology: Topology, server: str, advertised: Advertised, instances: tuple[IPv4Address, ...]
) -> tuple[Finding, ...]:
    """Everything worth saying of what `server` advertises to the peers in `advertised`."""
    return tuple(
        finding
        for peer, routes in sorted(advertised.items())
        for finding in (
            *_differences(server, peer, routes, instances),
            *_not_relayed(topology, server, peer, routes),
            *_coming_back(topology, server, peer, routes),
        )
    )


def _differences(
    server: str, peer: str, routes: tuple[LearnedRoute, ...], instances: tuple[IPv4Address, ...]
) -> Iterator[Finding]:
    sent = {i: {r.network for r in routes if r.instance == i} for i in instances}
    everything = set[IPv4Network]().union(*sent.values())
    for instance in instances:
        missing = sorted(everything - sent[instance])
        if missing:
            sentence = f"instance {instance} of {server} does not advertise {named(missing)} to {peer}, the other does"
            yield Finding(FindingKind.ADVERTISED_DIFFERS, server, sentence, speaker=peer)


def _not_relayed(topology: Topology, server: str, peer: str, routes: tuple[LearnedRoute, ...]) -> Iterator[Finding]:
    sent = {r.network for r in routes}
    for relay in topology.speaker(peer).relays:
        if relay.source != server:
            continue
        missing = sorted(set(relay.prefixes) - sent)
        if missing:
            sentence = f"{server} does not advertise {named(missing)} to {peer}, which is to relay it to {relay.to}"
            yield Finding(FindingKind.NOT_ADVERTISED, server, sentence, speaker=peer)


def _coming_back(topology: Topology, server: str, peer: str, routes: tuple[LearnedRoute, ...]) -> Iterator[Finding]:
    asn = topology.speaker(peer).asn
    for service in topology.services:
        if peer not in service.agents:
            continue
        for prefix in sorted(service.prefixes):
            paths = [r.as_path for r in routes if r.network == prefix]
            if not paths:
                continue
            guarded = all(path is not None and holds(path, asn) for path in paths)
            then = f"its loop guard drops it (AS {asn} is in the path)" if guarded else "its filter must drop it"
            sentence = f"{prefix} of {service.name} comes back to {peer} from {server}: {then}"
            yield Finding(
                FindingKind.COMES_BACK, server, sentence, wrong=False, speaker=peer, service=service.name, prefix=prefix
            )
