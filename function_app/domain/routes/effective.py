"""Whether a network interface's effective routes lead a service's prefixes where they should. Pure, evidence only.

Interfaces are named by the operator (`speakers[].interface`). A user-defined route that overrides a prefix is told, not
judged: on an NVA's own subnet it is what keeps a default route from looping.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.findings import Finding, FindingKind
from function_app.domain.topology.model import Topology

USER_DEFINED = "User"


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
) -> tuple[Finding, ...]:
    """`effective` is by speaker whose interface was asked; `next_hops` by service, one that is not known is not judged."""
    return tuple(
        finding
        for speaker, routes in sorted(effective.items())
        for service in topology.services
        if (next_hop := next_hops.get(service.name)) is not None
        for prefix in sorted(service.prefixes)
        for finding in _judged(speaker, service.name, prefix, [r for r in routes if r.network == prefix], next_hop)
    )


def _judged(
    speaker: str, service: str, prefix: IPv4Network, routes: list[EffectiveRoute], next_hop: IPv4Address
) -> Iterator[Finding]:
    def finding(kind: FindingKind, what: str, wrong: bool = True) -> Finding:
        sentence = f"{prefix} of {service} on the interface of {speaker} {what}"
        return Finding(kind, f"{speaker}'s interface", sentence, wrong, speaker, service, prefix)

    active = [r for r in routes if r.active]
    overriding = [r for r in active if r.source == USER_DEFINED]
    learned = sorted({hop for r in active if r.source not in (USER_DEFINED, "Default") for hop in r.next_hops})
    if overriding:
        to = ", ".join(map(str, overriding[0].next_hops)) or overriding[0].next_hop_type
        yield finding(FindingKind.OVERRIDDEN, f"is overridden by a user-defined route to {to}", wrong=False)
    elif not learned:
        yield finding(FindingKind.NOT_EFFECTIVE, f"is not in effect: no route leads to {next_hop}")
    elif learned != [next_hop]:
        yield finding(FindingKind.EFFECTIVE_NEXT_HOP, f"leads to {', '.join(map(str, learned))}, not {next_hop} alone")
