"""What an instance of a Route Server has learned, read from its daemon and put into Azure's form. Pure.

`weight` and `origin` are no daemon's: Azure prints 32768 and EBgp for every route of a BGP peering in another AS, and so does
this. Everything else is what BIRD holds.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.packets import route_servers

WEIGHT = 32768


@dataclass(frozen=True, slots=True)
class Peer:
    """A speaker that the instances of a Route Server peer with."""

    name: str
    address: IPv4Address
    asn: int

    @property
    def protocol(self) -> str:
        """Its name in BIRD's language, which takes no dashes."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One learned route, in Azure's words (ARM `bgpConnections/learnedRoutes`)."""

    local_address: IPv4Address
    network: IPv4Network
    source_peer: IPv4Address
    next_hop: IPv4Address
    as_path: str
    weight: int = WEIGHT
    origin: str = "EBgp"

    def as_document(self) -> dict[str, str | int]:
        return {
            "localAddress": str(self.local_address),
            "network": str(self.network),
            "nextHop": str(self.next_hop),
            "sourcePeer": str(self.source_peer),
            "origin": self.origin,
            "asPath": self.as_path,
            "weight": self.weight,
        }


def rows(instance: IPv4Address, answer: list[str], peers: Iterable[Peer]) -> tuple[Row, ...]:
    """BIRD's `show route all` on `instance`; sorted. Routes of anybody who is not in `peers` are left out."""
    known: Mapping[str, Peer] = {peer.protocol: peer for peer in peers}
    found = (
        Row(
            local_address=instance,
            network=IPv4Network(route.prefix),
            source_peer=known[route.peer].address,
            next_hop=IPv4Address(route.next_hop),
            as_path="-".join(map(str, route.as_path)),
            origin="IBgp" if known[route.peer].asn == route_servers.ASN else "EBgp",
        )
        for route in route_servers.routes(answer)
        if route.peer in known
    )
    return tuple(sorted(found))


def up_since(answer: Iterable[str]) -> dict[str, str]:
    """BIRD's `show protocols`: since when each session is established, by peer as BIRD calls it. Its counters begin anew
    with a session, so that they alone do not show one that was lost and came back."""
    found = (re.match(r"(?:\d{4}-| )?(\S+)\s+BGP\s+\S+\s+up\s+(\S+)\s+Established", line) for line in answer)
    return {one[1]: one[2] for one in found if one is not None}


def differences(expected: Iterable[Row], found: Iterable[Row]) -> tuple[str, ...]:
    """Every row that is missing, and every one that should not be there; empty when they are equal, row for row."""
    wanted, held = sorted(expected), sorted(found)
    missing = [f"missing: {_line(row)}" for row in wanted if row not in held]
    extra = [f"not expected: {_line(row)}" for row in held if row not in wanted]
    twice = [f"twice: {_line(row)}" for row in sorted(set(held)) if held.count(row) > 1]
    return (*missing, *extra, *twice)


def _line(row: Row) -> str:
    return " ".join(str(cell) for cell in row.as_document().values())
