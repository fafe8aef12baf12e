"""What an operator writes: the desired state of one topology, schema `hopkeeper/v1`.

The shapes only: immutable, camelCase in the document, unknown keys are errors.
`document` decodes them from YAML, `laws` holds the rules between them.
"""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from functools import cache, cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from function_app.domain.base.azure_limits import ASN_MAX
from function_app.domain.base.timing import Timing

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)",
        description="a name: lower-case letters, digits and hyphens, a letter first and no hyphen last, 63 at most",
        examples=["hub"],
    ),
]
ResourceId = Annotated[
    str,
    Meta(
        pattern=r"^/subscriptions/[^/\s]+/resource[gG]roups/[^/\s]+/providers/[^\s]+[^/\s]$(?!\n)",
        description="an Azure resource id: /subscriptions/…/resourceGroups/…/providers/…/NAME",
        examples=["/subscriptions/s/resourceGroups/g/providers/p/n"],
    ),
]
Asn = Annotated[int, Meta(ge=1, le=ASN_MAX, description="a two-byte ASN, the only kind that a Route Server peers with")]
Priority = Annotated[int, Meta(ge=0, le=65535)]
AND = ", "
"""Between what belongs to several pools of one service where it is one text; in no id or name of ARM."""


class Mode(StrEnum):
    ACTIVE_PASSIVE = "active-passive"
    ACTIVE_ACTIVE = "active-active"


class Handover(StrEnum):
    """What new flows meet while a service moves, behind a load balancer that goes by its last probes (safety.md section 2a)."""

    PROMPT = "prompt"
    EXCLUSIVE = "exclusive"
    SEAMLESS = "seamless"


class Naming(StrEnum):
    """What an announcer names as next hop: itself, or the member that serves."""

    SELF = "self"
    MEMBER = "member"


class Slots(StrEnum):
    """What happens where more speakers want to peer with a Route Server than it takes."""

    REFUSE = "refuse"
    BY_PRIORITY = "byPriority"


class RouteServer(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """An Azure Route Server (ARM type `virtualHubs`)."""

    name: Name
    """How speakers refer to it."""
    id: ResourceId
    """Its resource id (`Microsoft.Network/virtualHubs/...`)."""
    branch_to_branch: bool | None = None
    """`allowBranchToBranchTraffic` as it should be; left out: not managed."""
    routing_preference: Literal["ExpressRoute", "VpnGateway", "ASPath"] | None = None
    """`hubRoutingPreference` as it should be; left out: not managed."""
    owned: bool = False
    """Whether the flags above are repaired, or only reported when they differ."""
    slots: Slots = Slots.REFUSE
    """Where more speakers want to peer than there is room for: `refuse` them, or `byPriority`."""
    adopt: dict[Name, str] = {}
    """By speaker, the name of a connection that was made by hand and that is ours from now on."""
    remove: tuple[str, ...] = ()
    """Connections of ours that may be removed although they are the last to announce a prefix."""


class Agent(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Where a speaker's agent listens, and its enrolled certificate (PEM): trust anchor and signature key in one."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    """Where it takes commands."""
    address: IPv4Address | None = None
    """Where that is not the speaker's own: another network interface, or a machine beside an appliance (a companion)."""
    certificate: str | None = None
    """What `hopkeeper-agent enroll` prints (PEM); without it the agent cannot be commanded."""
    probe: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """The port of its probe listener, for preflight: the load balancer's probe is compared with it. Of an agent with an
    address of its own it says that it answers the load balancer's probe of the speaker there, too (a law)."""


class MemberCheck(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """How agents and witnesses see whether a member is well that has no agent of its own machine: `[[watch]]` of their
    configuration. `fall` and `rise` are trials in a row."""

    kind: Literal["ping", "tcp", "http"] = "ping"
    """`ping`, `tcp` (a connection opens) or `http` (an answer below 400)."""
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """Of `tcp` and `http`."""
    path: (
        Annotated[
            str,
            Meta(
                pattern=r"^/[!#-\[\]-~]*$(?!\n)",
                description="a path: / first, then ASCII without blanks, quotation marks and backslashes",
                examples=["/up"],
            ),
        ]
        | None
    ) = None
    """Of `http`; a status below 400 is good."""
    fall: Annotated[int, Meta(ge=1, le=100)] = 3
    """Trials in a row that must fail."""
    rise: Annotated[int, Meta(ge=1, le=100)] = 5
    """Trials in a row that must succeed again."""


class Relay(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Routes that a speaker passes on from one Route Server to another, and no others: dual-homed networks."""

    source: Name = field(name="from")
    """The Route Server that the routes come from."""
    to: Name
    """The Route Server that they are passed on to."""
    prefixes: Annotated[tuple[IPv4Network, ...], Meta(min_length=1)]
    """Exactly these, and no others."""


class OwnNextHop(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What a speaker names in place of itself: exactly one of the two (a law)."""

    address: IPv4Address | None = None
    """The next hop that its configuration sets."""
    frontend: Name | None = None
    """A service behind a load balancer: the frontend that is its next hop."""


class Announcement(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A prefix that a speaker originates by its own configuration. In the document a prefix alone means: next hop itself."""

    prefix: IPv4Network
    """What is announced."""
    next_hop: OwnNextHop | None = None
    """What it names as next hop; left out: itself."""


class Speaker(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Something that speaks BGP with a Route Server, or with a hub speaker.

    `own` (`announces` in the document) is what it originates by its own configuration: verified, never commanded. What a
    service announces through its agent stands in the service.
    """

    name: Name
    """How peers, services and orders refer to it, and the agent's own name."""
    address: IPv4Address
    """Its IPv4 address, unique and inside `networks`: the peer IP of its peerings."""
    asn: Asn
    """1-65534, none that Azure or IANA reserve, and another one than that of a hub speaker it peers with."""
    peers_with: tuple[Name, ...]
    """Route Servers and hub speakers."""
    role: Literal["router", "hub", "witness"] = "router"
    """A hub passes its clients' routes to its Route Servers, next hop unchanged. A witness only watches: its agent
    reports which member is silent, for pairs in which no other peer could."""
    priority: Priority = 100
    """Who keeps a slot where a Route Server has too few: the higher one, then the first by name."""
    own: tuple[Announcement, ...] = field(default=(), name="announces")
    """Prefixes that it originates by its own configuration: verified on both instances, never commanded."""
    relays: tuple[Relay, ...] = ()
    """Routes that it passes from one Route Server to another, and no others."""
    as_override: bool = False
    """Whether it puts its own ASN in the place of 65515 in what it relays; a Route Server drops paths that hold it."""
    agent: Agent | None = None
    """Left out: nothing of ours runs on it, and as a member it is moved by `adminState` alone."""
    watch: MemberCheck | None = None
    """Of a member that no agent is on the machine of; left out: ping."""
    vm: ResourceId | None = None
    """Resource id of the virtual machine, so that its events wake this topology."""
    interface: ResourceId | None = None
    """Its network interface, where its effective routes are to be looked at."""

    @property
    def announces(self) -> tuple[IPv4Network, ...]:
        """The prefixes of `own`."""
        return tuple(each.prefix for each in self.own)

    @property
    def agent_address(self) -> IPv4Address:
        """Where the app and other agents reach its agent: at the speaker's own address, unless the document names another."""
        address = self.agent.address if self.agent is not None else None
        return address or self.address

    @property
    def has_agent_elsewhere(self) -> bool:
        """Whether its agent has another address than itself."""
        return self.agent_address != self.address


class ScaleSet(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A virtual machine scale set (uniform orchestration) each instance of which speaks BGP with Route Servers.

    Its instances become speakers `{name}-{instance}` as they come and go: peered, and nothing more.
    """

    name: Name
    """Its instances are called `{name}-{instance}`."""
    id: ResourceId
    """Of the scale set (`Microsoft.Compute/virtualMachineScaleSets/...`); its events wake this topology."""
    asn: Asn
    """As of a speaker."""
    peers_with: Annotated[tuple[Name, ...], Meta(min_length=1)]
    """Route Servers."""
    priority: Priority = 100
    """With `slots: byPriority`: which instances keep a place when the set grows beyond the free ones."""
    announces: tuple[IPv4Network, ...] = ()
    """What each instance originates: the last of them to announce it is kept."""


class NetworkPeering(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A peering between virtual networks (ARM `virtualNetworks/virtualNetworkPeerings`) and the flags it should have."""

    name: Name
    """How findings refer to it."""
    id: ResourceId
    """`.../virtualNetworks/{network}/virtualNetworkPeerings/{name}`."""
    use_remote_gateways: bool | None = None
    """As the flag should be; left out: not managed."""
    allow_gateway_transit: bool | None = None
    """As the flag should be; left out: not managed."""
    allow_forwarded_traffic: bool | None = None
    """As the flag should be; left out: not managed."""
    owned: bool = False
    """Whether flags that differ are repaired, or only reported."""


class Neighbour(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A BGP neighbour on-premises, beyond Azure."""

    address: IPv4Address
    """No speaker, no Route Server; may be outside of `networks`."""
    asn: Annotated[int, Meta(ge=1, le=4294967295)]
    """Its ASN, of two or four bytes."""


class Outward(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What members tell their on-premises neighbours, so that return traffic takes the holder's way."""

    neighbours: Annotated[tuple[Neighbour, ...], Meta(min_length=1)]
    """Of every member."""
    prefixes: Annotated[tuple[IPv4Network, ...], Meta(min_length=1)]
    """What is reached through the members; at most 200."""
    standby: Literal["prepend", "withhold"] = "prepend"
    """Whether a standby's AS path is longer, or it announces nothing."""
    prepend: Annotated[int, Meta(ge=1, le=16)] = 3
    """By how many ASNs a standby's AS path is longer than the holder's; more where the ways beyond differ in length."""


class BackendPool(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A load balancer's backend pool that holds the members of a service, and the probe by which it knows them."""

    id: ResourceId
    """Of the load balancer."""
    backend_pool: str
    """The pool that the members are in."""
    probe: str
    """The name of the probe by which they are known: the agent's, where members have one."""
    addresses: dict[Name, IPv4Address] = {}
    """Of members that are in the pool with another address than their speaker's: another network interface."""

    @property
    def pool_id(self) -> str:
        """The ARM id of the backend pool, in lower case, as Azure compares it."""
        return f"{self.id}/backendAddressPools/{self.backend_pool}".casefold()

    def known(self, speaker: Speaker) -> Speaker:
        """The speaker as the pool knows it."""
        address = self.addresses.get(speaker.name)
        return speaker if address is None else replace(speaker, address=address, interface=None)


class LoadBalancer(BackendPool, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """An internal load balancer whose frontend is the next hop that every member announces."""

    naming: ClassVar[Naming | None] = None

    frontend: str
    """The name of the frontend that every member announces as next hop."""
    also_behind: tuple[BackendPool, ...] = ()
    """Pools of other load balancers that give new flows to the same members."""

    @property
    def pools(self) -> tuple[BackendPool, ...]:
        return self, *self.also_behind

    def announcers(self, members: tuple[str, ...]) -> tuple[str, ...]:
        return members


class Itself(Struct, frozen=True, forbid_unknown_fields=True):
    """Every member announces its own address; the holder's AS path is the shortest."""

    naming: ClassVar[Naming | None] = Naming.SELF

    def announcers(self, members: tuple[str, ...]) -> tuple[str, ...]:
        return members


class Injectors(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Route injectors announce the address of the holder; they carry no traffic and need not be members."""

    naming: ClassVar[Naming | None] = Naming.MEMBER

    injectors: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=8)] = field(name="announcers")
    """Speakers with an agent, by name."""

    def announcers(self, members: tuple[str, ...]) -> tuple[str, ...]:
        return self.injectors


type NextHopSpecification = LoadBalancer | Itself | Injectors
"""Of each kind: what an announcer names as next hop (`naming`, None where no length of a path decides), and who announces."""


class NextHop(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True, dict=True):
    """How a service's prefixes are reached: exactly one kind (a law)."""

    load_balancer: LoadBalancer | None = None
    """Every member announces the frontend of an internal load balancer."""
    itself: Itself | None = field(default=None, name="self")
    """Every member announces its own address; the holder's AS path is the shortest."""
    member: Injectors | None = None
    """Route injectors announce the holder's address."""

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Their keys in the document."""
        return cls.__struct_encode_fields__

    @property
    def given(self) -> tuple[NextHopSpecification, ...]:
        """Every kind that the document names: exactly one, once the laws hold."""
        return tuple(kind for name in self.__struct_fields__ if (kind := getattr(self, name)) is not None)

    @cached_property
    def kind(self) -> NextHopSpecification | None:
        """None only where a document names no kind, which a law refuses."""
        return self.given[-1] if self.given else None


class Member(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A speaker in a service. `backend` names its address in the pool where the pool does not show its IP."""

    speaker: Name
    """Its name under `speakers`."""
    priority: Priority = 100
    """The higher one is preferred."""
    backend: str | None = None
    """Its name in the pool, where the pool does not show its IP."""


class Failover(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`preempt: never` keeps a returned member on standby; `ready` lets the higher priority return."""

    preempt: Literal["never", "ready"] = "never"
    """Whether a member of higher priority that has returned takes the service back."""
    return_after: timedelta = timedelta(minutes=30)
    """With `preempt: ready`: how long it must have been ready before."""
    rehearse: Literal["adopted", "ordered"] = "adopted"
    """Behind a load balancer: whether the fence is rehearsed by itself once, where a standby can be spared for it."""
    freeze: Literal["stay", "move"] = "stay"
    """Whether a freeze that Azure announces moves the service: it lasts seconds, and a move may cost more."""


class Service(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True, dict=True):
    """What is kept alive: prefixes, and the members that may serve them."""

    name: Name
    """Part of the probe's path (`/probe/{name}`) and of orders."""
    mode: Mode
    """`active-passive`: one member serves; `active-active`: every healthy one does."""
    prefixes: Annotated[tuple[IPv4Network, ...], Meta(min_length=1)]
    """What the announcers announce, at most 600; on one Route Server nothing else announces any of them."""
    next_hop: NextHop
    """Exactly one kind."""
    members: Annotated[tuple[Member, ...], Meta(min_length=1)]
    """Who may serve."""
    failover: Failover = Failover()
    """What happens by itself beyond a failover."""
    handover: Handover = Handover.PROMPT
    """Behind a load balancer, active-passive: what new flows meet while the service moves."""
    min_healthy: Annotated[int, Meta(ge=1)] | None = None
    """Active-active only: fewer healthy members than these are never left by an order."""
    outward: Outward | None = None
    """What members announce to routers on-premises, by their role."""
    snat: bool = False
    """Whether members translate source addresses: return traffic then finds its way back by itself."""
    formerly: Name | None = None
    """The name under which it was adopted, where it has another one now: its record, its agents and its probe's path keep it."""

    @property
    def key(self) -> str:
        """What its record is kept by, and what its agents know it by: a new name changes neither."""
        return self.formerly or self.name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Member names, highest priority first; equal priorities by name."""
        return tuple(m.speaker for m in sorted(self.members, key=lambda m: (-m.priority, m.speaker)))

    def member(self, name: str) -> Member:
        return next(m for m in self.members if m.speaker == name)

    @property
    def load_balancer(self) -> LoadBalancer | None:
        """Where the next hop is a frontend."""
        return self.next_hop.load_balancer

    @cached_property
    def at_each_pool(self) -> tuple["Service", ...]:
        """The service as if it were behind one of its pools alone, for each of them, the next hop's first: a request to ARM
        is about one pool."""
        balancer = self.load_balancer
        if balancer is None or not balancer.also_behind:
            return (self,)
        alone = [
            LoadBalancer(id=p.id, frontend="", backend_pool=p.backend_pool, probe=p.probe, addresses=p.addresses)
            for p in balancer.also_behind
        ]
        first = replace(balancer, also_behind=())
        return tuple(replace(self, next_hop=NextHop(load_balancer=each)) for each in (first, *alone))

    @property
    def naming(self) -> Naming | None:
        """What announcers of a ranked kind name as next hop; None where no length of an AS path decides."""
        return self.next_hop.kind.naming if self.next_hop.kind is not None else None

    @property
    def announcers(self) -> tuple[str, ...]:
        """Who announces the prefixes, by name of speaker."""
        return self.next_hop.kind.announcers(self.names) if self.next_hop.kind is not None else self.names

    @cached_property
    def agents(self) -> frozenset[str]:
        """Whose agents have a part in it."""
        return frozenset(self.names) | frozenset(self.announcers)


class Topology(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One document: the Route Servers, the speakers that peer with them, the services they carry."""

    schema: Literal["hopkeeper/v1"]
    """The version of this form."""
    name: Name
    """How orders, keys in storage and peerings refer to it."""
    networks: Annotated[tuple[IPv4Network, ...], Meta(min_length=1)]
    """Address ranges of the virtual networks: every speaker and agent must be inside one of them."""
    route_servers: tuple[RouteServer, ...] = ()
    """The Azure Route Servers."""
    speakers: Annotated[tuple[Speaker, ...], Meta(min_length=1)]
    """Who speaks BGP, with a Route Server or with a hub speaker."""
    scale_sets: tuple[ScaleSet, ...] = ()
    """Speakers that come from virtual machine scale sets."""
    services: tuple[Service, ...] = ()
    """What is kept alive."""
    network_peerings: tuple[NetworkPeering, ...] = ()
    """Peerings between virtual networks, and the flags that they should have."""
    timing: Timing = Timing()
    """Only what differs from the defaults."""

    def speaker(self, name: str) -> Speaker:
        return next(s for s in self.speakers if s.name == name)

    def service(self, name: str) -> Service:
        return next(s for s in self.services if s.name == name)

    def peered_with(self, route_server: str) -> tuple[Speaker, ...]:
        return tuple(s for s in self.speakers if route_server in s.peers_with)

    def clients(self, hub: str) -> tuple[Speaker, ...]:
        """Who peers with this hub speaker."""
        return tuple(s for s in self.speakers if hub in s.peers_with)

    def announced_by(self, speaker: str) -> tuple[Service, ...]:
        return tuple(s for s in self.services if speaker in s.announcers)

    @property
    def commanded(self) -> frozenset[str]:
        """Every speaker whose agent is requested for its status: it has a part in a service, or is a witness."""
        witnesses = frozenset(s.name for s in self.speakers if s.role == "witness")
        return witnesses.union(*(service.agents for service in self.services)) - self.appliances

    @property
    def members(self) -> frozenset[str]:
        """Of all services."""
        return frozenset[str]().union(*(service.names for service in self.services))

    @property
    def appliances(self) -> frozenset[str]:
        """Members of services that have no agent."""
        return self.members.intersection(speaker.name for speaker in self.speakers if speaker.agent is None)

    @property
    def resource_ids(self) -> frozenset[str]:
        """Every Azure resource that the document names, lower case (Azure compares ids without case): whatever a field
        holds that is annotated as a ResourceId."""
        return frozenset(resource.casefold() for resource in _resources(self, Topology))


def _resources(value: object, hint: Any) -> Iterator[str]:
    """The resource ids in a value whose annotation is `hint`."""
    match value:
        case str() if _may_be_id(hint):
            yield value
        case tuple() | list():
            for each in value:
                yield from _resources(each, hint)
        case Struct():
            for name, annotation in _annotations(type(value)).items():
                yield from _resources(getattr(value, name), annotation)


def _may_be_id(hint: Any) -> bool:
    return hint == ResourceId or any(map(_may_be_id, get_args(hint)))


@cache
def _annotations(struct: type) -> dict[str, Any]:
    return get_type_hints(struct, include_extras=True)
