"""Laws of `outward`: what may be announced to neighbours beyond Azure.

Not here: whether a member's agent has the neighbours in its configuration. The document cannot know; an agent that has
none refuses the command, and the status says so.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN
from function_app.domain.base.errors import Problem
from function_app.domain.topology.laws.reserved import FORBIDDEN, LOOPBACK, Place
from function_app.domain.topology.model import Outward, Service, Topology

PREFIXES_MAX = 200
"""As many as an agent takes (docs/agent-protocol.md)."""


def outward_fits(topology: Topology, place: Place) -> Iterator[Problem]:
    """Neighbours may be outside of the declared networks."""
    forbidden = FORBIDDEN if place.allow_loopback else (*FORBIDDEN, LOOPBACK)
    asns: dict[IPv4Address, int] = {}
    for i, service in enumerate(topology.services):
        if service.outward is None:
            continue
        path = f"$.services[{i}].outward"
        yield from _neighbours(topology, service.outward, path, forbidden)
        for j, neighbour in enumerate(service.outward.neighbours):
            if asns.setdefault(neighbour.address, neighbour.asn) != neighbour.asn:
                rule = f"{neighbour.address} has ASN {asns[neighbour.address]} elsewhere in this document"
                yield Problem(f"{path}.neighbours[{j}].asn", rule)
        yield from _prefixes(topology, service, service.outward, path)


def _neighbours(
    topology: Topology, outward: Outward, path: str, forbidden: tuple[IPv4Network, ...]
) -> Iterator[Problem]:
    speakers = {speaker.address: speaker.name for speaker in topology.speakers}
    seen: set[IPv4Address] = set()
    for j, neighbour in enumerate(outward.neighbours):
        where = f"{path}.neighbours[{j}]"
        if any(neighbour.address in net for net in forbidden):
            yield Problem(
                f"{where}.address", f"{neighbour.address} is never a neighbour: reserved by the platform or IANA"
            )
        if neighbour.address in speakers:
            rule = f"{neighbour.address} is speaker {speakers[neighbour.address]!r}: outward is beyond Azure"
            yield Problem(f"{where}.address", rule)
        if neighbour.asn == ROUTE_SERVER_ASN:
            yield Problem(f"{where}.asn", f"ASN {ROUTE_SERVER_ASN} is a Route Server's: name it in `peersWith`")
        if neighbour.address in seen:
            yield Problem(f"{where}.address", f"{neighbour.address} is listed twice")
        seen.add(neighbour.address)


def _prefixes(topology: Topology, service: Service, outward: Outward, path: str) -> Iterator[Problem]:
    if len(set(outward.prefixes)) != len(outward.prefixes):
        yield Problem(f"{path}.prefixes", "a prefix is listed twice")
    if len(outward.prefixes) > PREFIXES_MAX:
        yield Problem(f"{path}.prefixes", f"{len(outward.prefixes)} prefixes: an agent takes at most {PREFIXES_MAX}")
    members = frozenset(service.names)
    for other in topology.services:
        taken = set(other.prefixes) if members & other.agents else set()
        if other.name != service.name and other.outward is not None and members & frozenset(other.names):
            taken |= set(other.outward.prefixes)
        for prefix in sorted(taken & set(outward.prefixes)):
            yield Problem(f"{path}.prefixes", f"{prefix} is announced for service {other.name!r} by the same members")
