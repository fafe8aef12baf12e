"""What a Route Server reported of its routes: the rows that could be read, and what could not."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.as_paths import AsPath


@dataclass(frozen=True, slots=True)
class LearnedRoute:
    """One row of learnedRoutes or advertisedRoutes; `instance` is the address of the Route Server's instance
    (`localAddress`).

    ARM may leave out any key of a row (REST: every key of PeerRoute is optional), and leaves out `sourcePeer` in
    advertised routes (azure-facts.md section 2). None: not reported, or not readable.
    """

    instance: IPv4Address
    network: IPv4Network
    next_hop: IPv4Address | None = None
    as_path: AsPath | None = None
    source_peer: IPv4Address | None = None


type RoutesByPeer = Mapping[str, tuple[LearnedRoute, ...]]
"""By name of peer, the rows of both instances of one Route Server: what they learned from that peer, or advertise to it.
A peer whose routes have not been read is not in it; one with an empty tuple has no routes."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of an answer, or a value in one, that could not be read: its text, cut short."""

    said: str
