"""The rules that a topology must keep, checked when it is loaded: each broken one names the path and the rule.

A document that breaks any is refused whole and the last good version stays in force.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base import timing
from function_app.domain.base.azure_limits import RESERVED_ASNS, RESOURCE_NAME_MAX
from function_app.domain.base.errors import Problem
from function_app.domain.topology.announces import of_services
from function_app.domain.topology.model import Mode, Naming, NextHop, Service, Slots, Topology, backend_pool_key
from function_app.domain.topology.outward_laws import broken_outward_laws
from function_app.domain.topology.peering_names import AGAIN, PREFIX, is_own, peering_name

# Never an agent or a speaker, whatever the networks say: instance metadata and link-local, the platform's wire server,
# multicast, "this" network, the limited broadcast (safety.md section 8, "where we connect").
FORBIDDEN = tuple(map(IPv4Network, ("0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/4", "240.0.0.0/4")))
LOOPBACK = IPv4Network("127.0.0.0/8")

PEM_CERTIFICATE = r"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"

INTERFACE = re.compile(r"/providers/microsoft\.network/networkinterfaces/[^/]+$")
NETWORK_PEERING = re.compile(r"/providers/microsoft\.network/virtualnetworks/[^/]+/virtualnetworkpeerings/[^/]+$")

INSTANCE_DIGITS_MAX = 6


@dataclass(frozen=True, slots=True)
class Place:
    """Where the app runs: only a lab on one machine lets topologies live on loopback addresses."""

    allow_loopback: bool = False


def broken_laws(topology: Topology, place: Place) -> tuple[Problem, ...]:
    """Every broken law, in the order of LAWS; empty when the topology may be used."""
    return tuple(problem for law in LAWS for problem in law(topology, place))


def _names_are_unique(topology: Topology, _: Place) -> Iterator[Problem]:
    names = {
        "routeServers": [server.name for server in topology.route_servers],
        "speakers": [speaker.name for speaker in topology.speakers],
        "services": [service.name for service in topology.services],
    }
    for key, listed in names.items():
        for i, name in enumerate(listed):
            if name in listed[:i]:
                yield Problem(f"$.{key}[{i}].name", f"the name {name!r} is taken: names are unique")
    for i, speaker in enumerate(topology.speakers):
        if len(peering_name(topology.name, speaker.name) + AGAIN[0]) > RESOURCE_NAME_MAX:
            rule = f"with the topology's it makes a peering name longer than {RESOURCE_NAME_MAX} characters"
            yield Problem(f"$.speakers[{i}].name", rule)
    route_servers: set[str] = set()
    for i, server in enumerate(topology.route_servers):
        if server.id.casefold() in route_servers:
            yield Problem(f"$.routeServers[{i}].id", "this Route Server is already listed")
        route_servers.add(server.id.casefold())
        if "/providers/microsoft.network/virtualhubs/" not in server.id.casefold():
            yield Problem(f"$.routeServers[{i}].id", "a Route Server's id ends in Microsoft.Network/virtualHubs/{name}")


def _addresses_are_inside(topology: Topology, place: Place) -> Iterator[Problem]:
    taken: dict[IPv4Address, str] = {}
    for i, speaker in enumerate(topology.speakers):
        path = f"$.speakers[{i}].address"
        if any(speaker.address in net for net in FORBIDDEN):
            yield Problem(path, f"{speaker.address} is never a speaker: metadata, wire server, link-local or multicast")
        elif speaker.address in LOOPBACK and not place.allow_loopback:
            yield Problem(path, f"{speaker.address} is a loopback address: only a lab may use those")
        elif not any(speaker.address in net for net in topology.networks):
            nets = ", ".join(map(str, topology.networks))
            yield Problem(path, f"{speaker.address} is outside the declared networks ({nets})")
        if speaker.address in taken:
            yield Problem(path, f"{speaker.address} already belongs to speaker {taken[speaker.address]!r}")
        taken[speaker.address] = speaker.name


def _asns_are_allowed(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        if speaker.asn in RESERVED_ASNS:
            yield Problem(f"$.speakers[{i}].asn", f"ASN {speaker.asn} is reserved by Azure or IANA")


def _certificates_are_pem(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        pem = speaker.agent.certificate if speaker.agent else None
        if pem is not None and not re.fullmatch(PEM_CERTIFICATE, pem.strip()):
            yield Problem(f"$.speakers[{i}].agent.certificate", "is not one certificate in PEM, as `enroll` prints it")


def _peerings_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    speakers = {speaker.name: speaker for speaker in topology.speakers}
    for name in sorted(servers & speakers.keys()):
        yield Problem("$.routeServers", f"{name!r} is also a speaker's name: `peersWith` would not know which is meant")
    for i, speaker in enumerate(topology.speakers):
        for j, name in enumerate(speaker.peers_with):
            path = f"$.speakers[{i}].peersWith[{j}]"
            if name in servers:
                continue
            if name not in speakers:
                yield Problem(path, f"no Route Server or hub speaker is named {name!r}")
            elif speakers[name].role != "hub":
                yield Problem(path, f"speaker {name!r} is no hub: only a hub passes routes on")
            elif speaker.role == "hub":
                yield Problem(path, "a hub peers with Route Servers, not with another hub")
        if len(set(speaker.peers_with)) != len(speaker.peers_with):
            yield Problem(f"$.speakers[{i}].peersWith", "a Route Server or hub is named twice")
    most = topology.timing.peers_max
    for i, server in enumerate(topology.route_servers):
        peers = topology.peered_with(server.name)
        if len(peers) > most and server.slots is Slots.REFUSE:
            names = ", ".join(s.name for s in peers)
            rule = f"{len(peers)} speakers peer with {server.name!r} ({names}): a Route Server takes at most {most}"
            yield Problem(f"$.routeServers[{i}]", rule)


def _hubs_pass_on(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    for i, speaker in enumerate(topology.speakers):
        if speaker.role == "hub" and not servers & set(speaker.peers_with):
            yield Problem(f"$.speakers[{i}].peersWith", "a hub peers with a Route Server: it passes routes to one")


def _relays_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    for i, speaker in enumerate(topology.speakers):
        for j, relay in enumerate(speaker.relays):
            path = f"$.speakers[{i}].relays[{j}]"
            for key, name in (("from", relay.source), ("to", relay.to)):
                if name not in servers or name not in speaker.peers_with:
                    yield Problem(f"{path}.{key}", f"{speaker.name!r} does not peer with a Route Server named {name!r}")
            if relay.source == relay.to:
                yield Problem(path, "a relay leads from one Route Server to another")
        if speaker.as_override and not speaker.relays:
            yield Problem(
                f"$.speakers[{i}].asOverride", "needs `relays`: it removes the loop guard, so it goes with filters"
            )


def _network_ids_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        if speaker.interface is not None and not INTERFACE.search(speaker.interface.casefold()):
            yield Problem(f"$.speakers[{i}].interface", "its id ends in Microsoft.Network/networkInterfaces/{name}")
    taken = {server.name for server in topology.route_servers}
    for i, peering in enumerate(topology.network_peerings):
        if not NETWORK_PEERING.search(peering.id.casefold()):
            shape = "virtualNetworks/{network}/virtualNetworkPeerings/{name}"
            yield Problem(f"$.networkPeerings[{i}].id", f"its id ends in Microsoft.Network/{shape}")
        if peering.name in taken:
            yield Problem(f"$.networkPeerings[{i}].name", f"the name {peering.name!r} is taken: names are unique")
        taken.add(peering.name)


def _adopted_are_peers(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, server in enumerate(topology.route_servers):
        peers = {s.name for s in topology.peered_with(server.name)}
        for name, connection in server.adopt.items():
            if name not in peers:
                yield Problem(f"$.routeServers[{i}].adopt", f"no speaker {name!r} peers with {server.name!r}")
            if connection.casefold().startswith(PREFIX):
                yield Problem(f"$.routeServers[{i}].adopt.{name}", f"{connection!r} is a connection of Hopkeeper's own")
        for connection, count in Counter(c.casefold() for c in server.adopt.values()).items():
            if count > 1:
                yield Problem(f"$.routeServers[{i}].adopt", f"{connection!r} is adopted for more than one speaker")


def _only_own_are_removed(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, server in enumerate(topology.route_servers):
        for j, connection in enumerate(server.remove):
            if not is_own(topology, server, connection):
                rule = f"{connection!r} is not a connection of this topology, and not adopted: it is never touched"
                yield Problem(f"$.routeServers[{i}].remove[{j}]", rule)


def _scale_sets_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    speakers = [s.name for s in topology.speakers]
    for i, scale_set in enumerate(topology.scale_sets):
        path = f"$.scaleSets[{i}]"
        if scale_set.name in {*servers, *speakers, *(s.name for s in topology.scale_sets[:i])}:
            yield Problem(f"{path}.name", f"the name {scale_set.name!r} is taken: names are unique")
        for name in speakers:
            if re.fullmatch(rf"{scale_set.name}-\d+", name):
                yield Problem(f"{path}.name", f"speaker {name!r} has the name of an instance")
        longest = peering_name(topology.name, f"{scale_set.name}-{'9' * INSTANCE_DIGITS_MAX}") + AGAIN[0]
        if len(longest) > RESOURCE_NAME_MAX:
            rule = f"with the topology's and an instance's it makes a peering name longer than {RESOURCE_NAME_MAX}"
            yield Problem(f"{path}.name", rule)
        if "/providers/microsoft.compute/virtualmachinescalesets/" not in scale_set.id.casefold():
            yield Problem(f"{path}.id", "a scale set's id ends in Microsoft.Compute/virtualMachineScaleSets/{name}")
        if scale_set.asn in RESERVED_ASNS:
            yield Problem(f"{path}.asn", f"ASN {scale_set.asn} is reserved by Azure or IANA")
        for j, name in enumerate(scale_set.peers_with):
            if name not in servers:
                yield Problem(f"{path}.peersWith[{j}]", f"no Route Server is named {name!r}")


def _members_are_speakers(topology: Topology, _: Place) -> Iterator[Problem]:
    speakers = {s.name: s for s in topology.speakers}
    for i, service in enumerate(topology.services):
        for j, member in enumerate(service.members):
            path = f"$.services[{i}].members[{j}].speaker"
            if member.speaker not in speakers:
                yield Problem(path, f"no speaker is named {member.speaker!r}")
            elif speakers[member.speaker].agent is None:
                yield Problem(path, f"speaker {member.speaker!r} has no agent: a member is commanded through one")
        for name, count in Counter(m.speaker for m in service.members).items():
            if count > 1:
                yield Problem(f"$.services[{i}].members", f"{name!r} is a member twice")
        yield from _min_healthy_fits(service, f"$.services[{i}].minHealthy")


def _witnesses_only_watch(topology: Topology, _: Place) -> Iterator[Problem]:
    parts = frozenset[str]().union(*(service.agents for service in topology.services))
    for i, speaker in enumerate(topology.speakers):
        if speaker.role != "witness":
            continue
        if speaker.agent is None:
            yield Problem(f"$.speakers[{i}].agent", "a witness is an agent: it needs one")
        if speaker.peers_with:
            yield Problem(f"$.speakers[{i}].peersWith", "a witness peers with nobody")
        if speaker.name in parts:
            yield Problem(f"$.speakers[{i}].role", "a witness serves and announces nothing")


def _one_kind_of_next_hop(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, service in enumerate(topology.services):
        if len(service.next_hop.given) != 1:
            yield Problem(f"$.services[{i}].nextHop", f"needs exactly one of {', '.join(NextHop.kinds())}")


def _announcers_can_rank(topology: Topology, _: Place) -> Iterator[Problem]:
    """What outranking rests on: commanded announcers with sessions, one holder, and room for distinct path lengths."""
    speakers = {s.name: s for s in topology.speakers}
    servers = {server.name for server in topology.route_servers}
    for i, service in enumerate(topology.services):
        if service.naming is None:
            continue
        path = f"$.services[{i}]"
        where = f"{path}.nextHop.member.announcers" if service.naming is Naming.MEMBER else f"{path}.members"
        if service.mode is not Mode.ACTIVE_PASSIVE:
            yield Problem(f"{path}.mode", "only behind a load balancer can a service be active-active")
        if len(set(service.announcers)) != len(service.announcers):
            yield Problem(where, "an announcer is listed twice")
        if len(service.announcers) > ANNOUNCERS_MAX:
            yield Problem(where, f"at most {ANNOUNCERS_MAX} announcers have AS paths of distinct length")
        for name in service.announcers:
            if name not in speakers:
                yield Problem(where, f"no speaker is named {name!r}")
            elif not servers & set(speakers[name].peers_with):
                yield Problem(where, f"{name!r} peers with no Route Server: it cannot announce")
            elif speakers[name].agent is None:
                yield Problem(where, f"speaker {name!r} has no agent: an announcer is commanded through one")


def _min_healthy_fits(service: Service, path: str) -> Iterator[Problem]:
    if service.min_healthy is None:
        return
    if service.mode is not Mode.ACTIVE_ACTIVE:
        yield Problem(path, "only an active-active service has minHealthy")
    elif service.min_healthy > len(service.members):
        yield Problem(path, f"{service.min_healthy} cannot be healthy among {len(service.members)} members")


def _pools_have_one_service(topology: Topology, _: Place) -> Iterator[Problem]:
    claimed: dict[tuple[str, str], str] = {}
    for i, service in enumerate(topology.services):
        balancer = service.load_balancer
        if balancer is None:
            continue
        path = f"$.services[{i}].nextHop.loadBalancer"
        if "/providers/microsoft.network/loadbalancers/" not in balancer.id.casefold():
            yield Problem(f"{path}.id", "a load balancer's id ends in Microsoft.Network/loadBalancers/{name}")
        key = backend_pool_key(balancer)
        if key in claimed:
            rule = f"backend pool {balancer.backend_pool!r} already belongs to service {claimed[key]!r}: one service a pool"
            yield Problem(f"{path}.backendPool", rule)
        claimed.setdefault(key, service.name)


def _prefixes_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, service in enumerate(topology.services):
        if len(set(service.prefixes)) != len(service.prefixes):
            yield Problem(f"$.services[{i}].prefixes", "a prefix is listed twice")
        if len(service.prefixes) > PREFIXES_OF_A_SERVICE:
            rule = f"{len(service.prefixes)} prefixes: one signed command names at most {PREFIXES_OF_A_SERVICE}"
            yield Problem(f"$.services[{i}].prefixes", rule)
    for i, speaker in enumerate(topology.speakers):
        owners: dict[IPv4Network, str] = {}
        for prefix, service in of_services(topology, speaker):
            if owners.setdefault(prefix, service.name) != service.name:
                rule = f"{prefix} is announced for both {owners[prefix]!r} and {service.name!r}: one service a prefix"
                yield Problem(f"$.speakers[{i}]", rule)
        if len(owners) > topology.timing.prefixes_per_peer:
            rule = (
                f"{len(owners)} prefixes: a Route Server takes at most {topology.timing.prefixes_per_peer} from a peer"
            )
            yield Problem(f"$.speakers[{i}]", rule)


def _outward_fits(topology: Topology, place: Place) -> Iterator[Problem]:
    yield from broken_outward_laws(topology, FORBIDDEN if place.allow_loopback else (*FORBIDDEN, LOOPBACK))


def _timing_holds(topology: Topology, _: Place) -> Iterator[Problem]:
    yield from timing.broken_laws(topology.timing)


ANNOUNCERS_MAX = 8

PREFIXES_OF_A_SERVICE = 600
"""As many as surely fit into a token of 64 KiB (safety.md section 8), however long their texts are."""

LAWS: tuple[Callable[[Topology, Place], Iterator[Problem]], ...] = (
    _names_are_unique,
    _addresses_are_inside,
    _asns_are_allowed,
    _certificates_are_pem,
    _peerings_fit,
    _hubs_pass_on,
    _relays_fit,
    _network_ids_fit,
    _adopted_are_peers,
    _only_own_are_removed,
    _scale_sets_fit,
    _members_are_speakers,
    _witnesses_only_watch,
    _one_kind_of_next_hop,
    _announcers_can_rank,
    _pools_have_one_service,
    _prefixes_fit,
    _outward_fits,
    _timing_holds,
)
