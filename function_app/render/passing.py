"""What a speaker passes on: its clients' routes if it is a hub speaker, and what it relays between Route Servers. Pure.

Not here: what a speaker announces itself (`implied`), and how a vendor says it (`templates/`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.errors import Problem
from function_app.domain.topology.announces import originated
from function_app.domain.topology.model import Speaker, Topology


@dataclass(frozen=True, slots=True)
class Client:
    """A speaker that peers with this hub speaker. `prefixes` is all that it may announce, sorted."""

    name: str
    address: IPv4Address
    asn: int
    prefixes: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A Route Server or a hub speaker that this speaker announces its routes to.

    `refused` is never taken from it, `relayed` is passed on to it; both sorted. `suffix` makes the names of its lists its
    own where they differ from those of others.
    """

    name: str
    label: str
    asn: int
    addresses: tuple[IPv4Address, ...]
    is_hub: bool
    refused: tuple[IPv4Network, ...]
    relayed: tuple[IPv4Network, ...]
    suffix: str


def clients(topology: Topology, speaker: Speaker) -> tuple[Client, ...]:
    """The clients of a hub speaker, in the order of their addresses; another speaker has none."""
    if speaker.role != "hub":
        return ()
    found = sorted(topology.clients(speaker.name), key=lambda s: s.address)
    return tuple(Client(s.name, s.address, s.asn, tuple(sorted(originated(topology, s)))) for s in found)


def refused(speaker: Speaker, upstream: str, ours: frozenset[IPv4Network]) -> tuple[IPv4Network, ...]:
    """What is never taken from an upstream: what starts here or at a client, and what is relayed from elsewhere.

    The last is the loop guard of relays: with AS override none of BGP's own is left.
    """
    elsewhere = {p for relay in speaker.relays if relay.source != upstream for p in relay.prefixes}
    from_here = {p for relay in speaker.relays if relay.source == upstream for p in relay.prefixes}
    return tuple(sorted(ours | (elsewhere - from_here)))


def relayed(speaker: Speaker, upstream: str) -> tuple[IPv4Network, ...]:
    """What is passed on to a Route Server."""
    return tuple(sorted({p for relay in speaker.relays if relay.to == upstream for p in relay.prefixes}))


def of_relays(speaker: Speaker, path: str, ours: frozenset[IPv4Network]) -> Iterator[Problem]:
    """Where filters by prefix could not keep relays apart, so that a route would go round or where it should not."""
    pairs: dict[IPv4Network, set[tuple[str, str]]] = {}
    for relay in speaker.relays:
        for prefix in relay.prefixes:
            pairs.setdefault(prefix, set()).add((relay.source, relay.to))
    for prefix in sorted(pairs):
        sources = {source for source, _ in pairs[prefix]}
        targets = {target for _, target in pairs[prefix]}
        if both := sorted(sources & targets):
            yield Problem(f"{path}.relays", f"{prefix} is relayed both from and to {both[0]!r}: it would go round")
        elif len(pairs[prefix]) != len(sources) * len(targets):
            rule = f"{prefix} is relayed from several Route Servers, but not from each to the same ones"
            yield Problem(f"{path}.relays", rule)
        if prefix in ours:
            yield Problem(f"{path}.relays", f"{prefix} is relayed, but it starts at this speaker or at its client")
