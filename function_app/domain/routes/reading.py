"""What a Route Server showed of its routes: the rows that could be read, and what could not."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.as_paths import AsPath


@dataclass(frozen=True, slots=True)
class LearnedRoute:
    """One row of learnedRoutes or advertisedRoutes; `instance` is the Route Server instance's address (`localAddress`).

    ARM may leave out any key of a row (REST: every one of PeerRoute is optional), and of advertised routes does
    `sourcePeer`: None is what it did not say, or not so that it could be read.
    """

    instance: IPv4Address
    network: IPv4Network
    next_hop: IPv4Address | None = None
    as_path: AsPath | None = None
    source_peer: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of an answer, or a value in one, that could not be read: what it says, cut short."""

    said: str
