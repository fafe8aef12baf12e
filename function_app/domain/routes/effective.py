"""Whether a network interface's effective routes lead a service's prefixes to its next hop. Pure, evidence only.

Interfaces are named by the operator (`speakers[].interface`). A user-defined route that overrides a prefix is reported,
not judged: on an NVA's own subnet it keeps a default route from looping.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.topology.model import Service, Topology

USER_DEFINED, DEFAULT = "User", "Default"
"""`source` of a route from a route table, and of one that Azure has by itself."""


@dataclass(frozen=True, slots=True)
class EffectiveRoute:
    """One prefix of a row of the effective route table; `source` is `User`, `VirtualNetworkGateway`, `Default`, …"""

    network: IPv4Network
    source: str
    next_hop_type: str
    next_hops: tuple[IPv4Address, ...]
    active: bool = True


def compare_effective(
    topology: Topology, effective: Mapping[str, tuple[EffectiveRoute, ...]], next_hops: Mapping[str, IPv4Address]
) -> tuple[RouteFinding, ...]:
    """By speaker whose interface was read, service and prefix. `next_hops` by service; without one it is not judged."""
    judged = [service for service in topology.services if service.name in next_hops]
    found: list[RouteFinding] = []
    for speaker, routes in sorted(effective.items()):
        for service in judged:
            found += _of_service(speaker, service, routes, next_hops[service.name])
    return tuple(found)


def _of_service(
    speaker: str, service: Service, routes: Sequence[EffectiveRoute], next_hop: IPv4Address
) -> Iterator[RouteFinding]:
    for prefix in sorted(service.prefixes):
        active = [route for route in routes if route.network == prefix and route.active]
        judged = _judged(active, next_hop)
        if judged is not None:
            kind, what = judged
            sentence = f"{prefix} of {service.name} on the interface of {speaker} {what}"
            wrong = kind is not FindingKind.OVERRIDDEN
            yield RouteFinding(kind, f"{speaker}'s interface", sentence, wrong, speaker, service.name, prefix)


# | active routes of the prefix                  | finding                     |
# |----------------------------------------------|-----------------------------|
# | one of a route table (`User`)                | overridden: worth knowing   |
# | none but Azure's own (`Default`)             | not in effect               |
# | learned, to the service's next hop alone     | none                        |
# | learned, to other next hops or to more       | leads elsewhere             |
def _judged(active: Sequence[EffectiveRoute], next_hop: IPv4Address) -> tuple[FindingKind, str] | None:
    overriding = next((route for route in active if route.source == USER_DEFINED), None)
    if overriding is not None:
        to = ", ".join(map(str, overriding.next_hops)) or overriding.next_hop_type
        return FindingKind.OVERRIDDEN, f"is overridden by a user-defined route to {to}"
    learned = sorted({hop for route in active if route.source != DEFAULT for hop in route.next_hops})
    if not learned:
        return FindingKind.NOT_EFFECTIVE, f"is not in effect: no route leads to {next_hop}"
    if learned != [next_hop]:
        return FindingKind.EFFECTIVE_NEXT_HOP, f"leads to {', '.join(map(str, learned))}, not {next_hop} alone"
    return None
