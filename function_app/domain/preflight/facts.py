"""What preflight looks at beside the document: what was read of ARM and of the agents. Every part may be unknown.

Values only. Who reads them is `reconcile.preflight`; what they come to is the rules' business. A name that is missing
in a mapping, or a part that is None, is unknown, and unknown is never bad (safety.md section 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

from msgspec import Struct

from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.service.balancer import BalancerFacts
from function_app.domain.topology.model import Service

THE_APP = "the app"
UNREAD = "it was not read"


def at_each_pool(service: Service) -> dict[str, Service]:
    """The service at each of its pools, by the key of what is read there: its name, and in `alsoBehind` the pool's load
    balancer after it."""
    first, *others = service.at_each_pool
    return {service.name: first} | {f"{service.name}, {e.load_balancer.id}": e for e in others if e.load_balancer}


class InterfaceFacts(Struct, frozen=True, kw_only=True):
    """A speaker's network interface, and the subnet and virtual network that it is in."""

    forwards: bool
    """`enableIPForwarding`."""
    network: tuple[IPv4Network, ...]
    """The virtual network's IPv4 address space."""
    default_route: bool
    """Whether the subnet's own route table has a route for 0.0.0.0/0."""
    propagates: bool = True
    """Whether routes of gateways and Route Servers reach the subnet."""
    machine: str | None = None
    """The id of the virtual machine that it is attached to."""


class RouteFacts(Struct, frozen=True, kw_only=True):
    """A route of a route table: `to` is an IPv4 prefix or a service tag, `next_hop` the `nextHopType`."""

    name: str
    to: str
    next_hop: str
    address: IPv4Address | None = None
    """Of the appliance, where it is one."""


class AppSubnetFacts(Struct, frozen=True, kw_only=True):
    """The subnet that the app itself leaves through, and its route table, empty where it has none."""

    id: str
    table: str | None = None
    routes: tuple[RouteFacts, ...] = ()
    propagates: bool = True
    """Whether routes of gateways and Route Servers reach it."""
    nat_gateway: bool = False


class Denied(Struct, frozen=True, kw_only=True):
    """A read that Azure refused with 403: which action is missing, and on what."""

    action: str
    resource: str


class ArmFacts(Struct, frozen=True, kw_only=True):
    """What was read of ARM, and when. Locations by Route Server, load balancers by `at_each_pool`, interfaces by speaker."""

    at: datetime
    locations: dict[str, str] = {}
    balancers: dict[str, BalancerFacts] = {}
    interfaces: dict[str, InterfaceFacts] = {}
    app_subnet: AppSubnetFacts | None = None
    app_subnet_unset: bool = False
    """Whether the setting that names the app's own subnet is missing."""
    denied: tuple[Denied, ...] = ()
    missing: dict[str, str] = {}
    """By id in lower case of what the document names and ARM has not: how ARM said so."""
    unread: dict[str, str] = {}
    """By id in lower case of what was not read, "the app" for its own subnet: why."""


class Rehearsed(Struct, frozen=True, kw_only=True):
    """How the last rehearsal of a service's fence went: on which member, when, how long it took, why it failed if so."""

    member: str
    at: datetime
    seconds: float
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What an agent that answered says of itself."""

    version: str
    offset: timedelta
    """Its clock minus ours; the answer's way is part of it."""
    sessions: Mapping[IPv4Address, bool]
    hold_time: timedelta | None = None
    """After which its sessions with Route Servers end in silence, where it reports that."""
    fatal: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    """Checks of it that fail and are not fatal."""
    peers: frozenset[str] = frozenset()
    """The agents that it watches."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known. Nothing at all is known where only the document was read."""

    arm: ArmFacts | None = None
    route_servers: Mapping[str, RouteServerReading] = field(default_factory=dict)
    route_servers_unread: Mapping[str, str] = field(default_factory=dict)
    """Why, by name, where its peerings were not read."""
    agents: Mapping[str, AgentFacts] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    """Agents that were requested and did not answer, while others did."""
    agents_unread: Mapping[str, str] = field(default_factory=dict)
    """Why, by name, where an agent's status is not known."""
    rehearsals: Mapping[str, Rehearsed | None] | None = None
    """By service; None for one that was never rehearsed."""

    def location(self, server: str) -> str | None:
        return self.arm.locations.get(server) if self.arm else None

    def balancer(self, service: str) -> BalancerFacts | None:
        return self.arm.balancers.get(service) if self.arm else None

    def interface(self, speaker: str) -> InterfaceFacts | None:
        return self.interfaces.get(speaker)

    @property
    def interfaces(self) -> Mapping[str, InterfaceFacts]:
        """By speaker; empty where ARM was not read."""
        return self.arm.interfaces if self.arm else {}

    @property
    def app_subnet(self) -> AppSubnetFacts | None:
        return self.arm.app_subnet if self.arm else None

    def why_unread(self, resource: str) -> str:
        """Why nothing is known of what the document names by this id."""
        if self.arm is None:
            return UNREAD
        key = resource.casefold()
        return self.arm.missing.get(key) or self.arm.unread.get(key) or UNREAD

    def knows_route_server(self, name: str) -> bool:
        """Whether both its region and its peerings were read."""
        return self.location(name) is not None and name in self.route_servers
