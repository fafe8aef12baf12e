"""What was read of a network that is not managed yet: a Route Server, what it learned, and load balancers near it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.routes.reading import RoutesByPeer
from function_app.domain.service.balancer import FlowFacts


@dataclass(frozen=True, slots=True)
class BalancerFound:
    """A load balancer: `frontends` are its private ones, by name in lower case, as Azure compares it."""

    id: str
    frontends: Mapping[str, IPv4Address]
    flows: FlowFacts

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Inventory:
    """`routes` and `unread` are by name of peering: the rows that its peer announced, and why some could not be read (or "").

    `interfaces` gives the address of each IP configuration (its id, lower case) that is in a pool without showing one.
    `absent`: by id, why something else was not read: the load balancers of the resource group, or a network interface (in
    lower case) that a pool names.
    """

    id: str
    """Of the Route Server."""
    reading: RouteServerReading
    balancers: tuple[BalancerFound, ...]
    routes: RoutesByPeer
    unread: Mapping[str, str]
    interfaces: Mapping[str, IPv4Address]
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    def why_absent(self, configuration: str) -> str | None:
        """Why the network interface of an IP configuration (its id, lower case) was not read; None where it was."""
        return self.absent.get(interface_of(configuration))


def interface_of(configuration: str) -> str:
    """The network interface of an IP configuration, both by their ids in lower case."""
    return configuration.partition("/ipconfigurations/")[0]
