"""What a topology implies for one speaker's BGP configuration, in no vendor's language. Pure.

Not here: how a vendor writes it (`templates/`), and what is announced at this moment, which the agent decides. A
configuration has the state at rest: the first member serves, and no announcer has outranked another yet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN, ROUTE_SERVER_INSTANCES
from function_app.domain.base.errors import BadInput, Problem, among
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.model import Service, Speaker, Topology
from function_app.render import passing
from function_app.render.passing import Client, Upstream

KEEPALIVES_PER_HOLD = 3
"""RFC 4271 section 10."""
HOLD_LEAST, HOLD_MOST = timedelta(seconds=3), timedelta(seconds=65535)
"""RFC 4271 section 4.2. Zero, which would keep a session without keepalives for ever, is not offered."""

type InstanceAddresses = Mapping[str, tuple[IPv4Address, IPv4Address]]
"""By name of Route Server, the addresses of its two instances (ARM `virtualRouterIps`)."""

type Frontends = Mapping[str, IPv4Address]
"""By name of service, the address of its load balancer's frontend."""


@dataclass(frozen=True, slots=True)
class Session:
    """One BGP session with one instance of a Route Server, or with a hub speaker."""

    upstream: Upstream
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Announced:
    """A service as this speaker announces it at rest. `next_hop` is None where only the agent has to know it.

    `kind` is `loadBalancer`, `self` or `member`, and `own` for the speaker's own `announces`, which belong to no service:
    their name is their next hop, empty where that is the speaker itself.
    """

    name: str
    kind: str
    prefixes: tuple[IPv4Network, ...]
    next_hop: IPv4Address | None
    prepends: int


@dataclass(frozen=True, slots=True)
class Implied:
    """Everything that a template may use. `ours` is what starts here or at a client, sorted; times in whole seconds.

    `with_agent` is whether the agent announces the services in the running daemon, and not the configuration.
    """

    topology: str
    speaker: Speaker
    upstreams: tuple[Upstream, ...]
    clients: tuple[Client, ...]
    services: tuple[Announced, ...]
    own: tuple[Announced, ...]
    ours: tuple[IPv4Network, ...]
    hold: int
    keepalive: int
    with_agent: bool

    @property
    def sessions(self) -> tuple[Session, ...]:
        """With upstreams, one for each address."""
        return tuple(Session(upstream, address) for upstream in self.upstreams for address in upstream.addresses)

    @property
    def policies(self) -> tuple[Upstream, ...]:
        """One upstream for each set of lists: all share one unless something is relayed."""
        return self.upstreams if self.speaker.relays else self.upstreams[:1]

    @property
    def announced(self) -> tuple[Announced, ...]:
        """The services, then what the speaker originates by its own configuration."""
        return *self.services, *self.own

    @property
    def here(self) -> tuple[Announced, ...]:
        """What the configuration itself announces: with an agent no services."""
        return tuple(each for each in self.announced if each.kind == "own" or not self.with_agent)

    @property
    def prefixes(self) -> tuple[IPv4Network, ...]:
        """All that starts here and may leave, sorted."""
        return tuple(sorted(prefix for announced in self.announced for prefix in announced.prefixes))

    def addresses(self, upstream: str) -> tuple[IPv4Address, ...]:
        """Where an upstream is reached."""
        return next(u.addresses for u in self.upstreams if u.name == upstream)

    @property
    def client_asns(self) -> tuple[int, ...]:
        """Each once, sorted."""
        return tuple(sorted({client.asn for client in self.clients}))

    @property
    def client_prefixes(self) -> tuple[IPv4Network, ...]:
        """Each once, sorted."""
        return tuple(sorted({prefix for client in self.clients for prefix in client.prefixes}))

    @property
    def of_services(self) -> tuple[IPv4Network, ...]:
        """What the agent may announce, sorted."""
        return tuple(sorted(prefix for service in self.services for prefix in service.prefixes))


def implied(
    topology: Topology, name: str, instances: InstanceAddresses, frontends: Frontends, sets_next_hops: bool
) -> Implied:
    """What the configuration of speaker `name` needs; a frontend may be missing where an agent sets the next hops.

    `sets_next_hops` is whether the text does so even beside an agent.

    Raises BadInput naming every path and rule: no such speaker, an address is missing or unused.
    """
    index = _index(topology, name)
    speaker = topology.speakers[index]
    announced = topology.announced_by(name)
    with_agent = speaker.agent is not None and not sets_next_hops
    needed = () if with_agent else announced
    clients = passing.clients(topology, speaker)
    parts = (service.prefixes for service in topology.services if name in service.agents)
    ours = frozenset(speaker.announces).union(*parts, *(client.prefixes for client in clients))
    problems = (
        *_of_timing(topology),
        *_of_instances(topology, speaker, clients, instances),
        *_of_frontends(topology, (*needed, *_named(topology, speaker)), frontends),
        *passing.of_relays(speaker, f"$.speakers[{index}]", ours),
    )
    if problems:
        raise BadInput(problems)
    upstreams = tuple(_upstream(topology, speaker, peer, instances, ours) for peer in speaker.peers_with)
    services = tuple(_at_rest(topology, service, name, frontends) for service in announced)
    return Implied(
        topology=topology.name,
        speaker=speaker,
        upstreams=upstreams,
        clients=clients,
        services=services,
        own=_own(speaker, frontends),
        ours=tuple(sorted(ours)),
        hold=int(topology.timing.bgp_hold.total_seconds()),
        keepalive=int(topology.timing.bgp_hold.total_seconds()) // KEEPALIVES_PER_HOLD,
        with_agent=with_agent,
    )


def _index(topology: Topology, name: str) -> int:
    names = [speaker.name for speaker in topology.speakers]
    if name not in names:
        raise BadInput.of("$.speakers", f"no speaker is named {name!r}{among(name, names)}")
    return names.index(name)


def _upstream(
    topology: Topology, speaker: Speaker, name: str, instances: InstanceAddresses, ours: frozenset[IPv4Network]
) -> Upstream:
    hub = next((s for s in topology.speakers if s.name == name), None)
    return Upstream(
        name=name,
        label=f"hub speaker {name}" if hub else f"Route Server {name}",
        asn=hub.asn if hub else ROUTE_SERVER_ASN,
        addresses=(hub.address,) if hub else tuple(sorted(instances[name])),
        is_hub=hub is not None,
        refused=passing.refused(speaker, name, ours),
        relayed=passing.relayed(speaker, name),
        suffix=f"-{name}" if speaker.relays else "",
    )


def _at_rest(topology: Topology, service: Service, announcer: str, frontends: Frontends) -> Announced:
    # Equal lengths are used side by side (ECMP): right behind one frontend, wrong where next hops differ.
    kind = kind_of(service)
    next_hop = kind.next_hop(
        announcer=topology.speaker(announcer).address,
        holder=topology.speaker(service.names[0]).address,
        frontend=frontends.get(service.name),
    )
    prefixes = tuple(sorted(service.prefixes))
    prepends = kind.length_at_rest(service, announcer) - 1
    return Announced(service.name, kind.key, prefixes, next_hop, prepends)


def _own(speaker: Speaker, frontends: Frontends) -> tuple[Announced, ...]:
    """By next hop, the speaker itself first."""
    found: dict[IPv4Address, list[IPv4Network]] = {}
    for each in speaker.own:
        named = each.next_hop.address or frontends[each.next_hop.frontend or ""] if each.next_hop else speaker.address
        found.setdefault(named, []).append(each.prefix)
    itself = speaker.address
    return tuple(
        Announced("" if hop == itself else str(hop), "own", tuple(sorted(found[hop])), hop, prepends=0)
        for hop in sorted(found, key=lambda hop: (hop != itself, hop))
    )


def _of_timing(topology: Topology) -> Iterator[Problem]:
    hold = topology.timing.bgp_hold
    if hold % timedelta(seconds=1) or not HOLD_LEAST <= hold <= HOLD_MOST:
        rule = f"BGP's hold time is a whole number of seconds from 3 to 65535, not {hold.total_seconds():g}"
        yield Problem("$.timing.bgpHold", rule)


def _of_instances(
    topology: Topology, speaker: Speaker, clients: tuple[Client, ...], instances: InstanceAddresses
) -> Iterator[Problem]:
    known = {server.name for server in topology.route_servers}
    for name in sorted(instances.keys() - known):
        yield Problem(f"instances.{name}", f"no Route Server is named {name!r}")
    taken = _speaker_addresses(topology, speaker, clients)
    servers = [name for name in speaker.peers_with if name in known]
    for name in servers:
        if name not in instances:
            yield Problem(f"instances.{name}", "the addresses of both instances are needed (its virtualRouterIps)")
            continue
        if len(set(instances[name])) != ROUTE_SERVER_INSTANCES:
            yield Problem(f"instances.{name}", "a Route Server has two instances with different addresses")
        for address in sorted(set(instances[name])):
            if address in taken:
                yield Problem(f"instances.{name}", f"{address} already belongs to {taken[address]}")
            taken[address] = f"Route Server {name!r}"


def _speaker_addresses(topology: Topology, speaker: Speaker, clients: tuple[Client, ...]) -> dict[IPv4Address, str]:
    """The addresses of the speaker, its hubs and its clients, and what each belongs to."""
    near = {speaker.name, *speaker.peers_with, *(client.name for client in clients)}
    return {s.address: f"speaker {s.name!r}" for s in topology.speakers if s.name in near}


def _named(topology: Topology, speaker: Speaker) -> tuple[Service, ...]:
    """Whose frontends the speaker names in what it announces by itself."""
    named = {own.next_hop.frontend for own in speaker.own if own.next_hop is not None}
    return tuple(service for service in topology.services if service.name in named)


def _of_frontends(topology: Topology, needed: tuple[Service, ...], frontends: Frontends) -> Iterator[Problem]:
    behind = {service.name for service in topology.services if service.load_balancer is not None}
    for name in sorted(frontends.keys() - behind):
        yield Problem(f"frontends.{name}", f"no service behind a load balancer is named {name!r}")
    for service in {service.name: service for service in needed}.values():
        if service.load_balancer is not None and service.name not in frontends:
            rule = f"the address of frontend {service.load_balancer.frontend!r} is needed: it is the next hop"
            yield Problem(f"frontends.{service.name}", rule)
