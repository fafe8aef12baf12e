"""Preflight of routing: prefixes, budgets, hold times, sessions, and the ways back."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN, ROUTE_SERVER_INSTANCES
from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import Fault, Severity, services, speakers
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.announces import announced
from function_app.domain.topology.model import Naming, RouteServer, Service, Slots, Speaker, Topology
from function_app.domain.topology.peering_names import is_own

DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")

HOLD_ADVISED = timedelta(seconds=30)
"""Where a dead speaker's path attracts traffic until the hold time is over: 30/10 has been run against Route Servers."""
HOLD_BEHIND_BALANCER = timedelta(seconds=180)
"""Where every path names the frontend: the Route Server offers no more than this, and the lower one is negotiated."""


def own_next_hop(topology: Topology, _: object) -> Iterator[Fault]:
    for path, speaker in speakers(topology):
        for j, own in enumerate(speaker.own):
            address = own.next_hop.address if own.next_hop is not None else None
            if address is not None and not any(address in network for network in topology.networks):
                yield Fault(
                    f"{path}.announces[{j}].nextHop.address",
                    f"{address}, the next hop of {own.prefix}, is outside the declared networks",
                    "name an address in the Route Server's network or in one peered with it, and add that to `networks`: "
                    "packets to any other next hop are lost",
                )


def prefix_in_network(topology: Topology, facts: Facts) -> Iterator[Fault]:
    seen = facts.arm.interfaces.values() if facts.arm else ()
    networks = sorted({*topology.networks, *(network for interface in seen for network in interface.network)})
    for path, prefixes in _announced(topology):
        for prefix in prefixes:
            inside = next((network for network in networks if prefix.subnet_of(network)), None)
            if inside is not None:
                yield Fault(
                    path,
                    f"{prefix} lies inside {inside}, a network of the topology",
                    "announce an address outside of every virtual network (100.64.0.0/10 is free for it): Azure prefers its "
                    "own route inside a network, even to a more specific one that it learned",
                )


def _announced(topology: Topology) -> Iterator[tuple[str, tuple[IPv4Network, ...]]]:
    for path, service in services(topology):
        yield f"{path}.prefixes", service.prefixes
    for path, speaker in speakers(topology):
        yield f"{path}.announces", speaker.announces


def two_advertisers(topology: Topology, _: Facts) -> Iterator[Fault]:
    for path, service in services(topology):
        where = f"{path}.nextHop.member.announcers" if service.naming is Naming.MEMBER else f"{path}.members"
        if len(service.announcers) < 2:
            yield Fault(
                where,
                f"only {service.announcers[0]} announces the prefixes of {service.name}",
                "let two announce them: with the only one its routes are gone",
            )


def default_route_udr(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, speaker in speakers(topology):
        carries = DEFAULT_ROUTE in speaker.announces or any(
            DEFAULT_ROUTE in service.prefixes and speaker.name in service.names for service in topology.services
        )
        seen = facts.interface(speaker.name)
        if carries and seen is not None and seen.propagates and not seen.default_route:
            yield Fault(
                f"{path}.interface",
                f"the subnet of {speaker.name} learns the default route that leads to itself",
                "give the subnet a route table with 0.0.0.0/0 to Internet (or to the next firewall), or switch off the "
                "propagation of gateway routes: what it forwards would come back to it",
            )


def ip_forwarding(topology: Topology, facts: Facts) -> Iterator[Fault]:
    members = topology.members
    for path, speaker in speakers(topology):
        seen = facts.interface(speaker.name)
        if speaker.name in members and seen is not None and not seen.forwards:
            yield Fault(
                f"{path}.interface",
                f"the network interface of {speaker.name} does not forward",
                "set enableIPForwarding: Azure drops packets that are not for the interface's own address",
                Severity.WARNING if _terminates(topology, speaker) else None,
            )


def _terminates(topology: Topology, speaker: Speaker) -> bool:
    """Whether it may be the end of what it announces: single addresses, as of a server."""
    carried = [p for s in topology.services if speaker.name in s.names for p in s.prefixes]
    return all(prefix.prefixlen == prefix.max_prefixlen for prefix in carried)


def hold_time(topology: Topology, facts: Facts) -> Iterator[Fault]:
    hold = topology.timing.bgp_hold
    yield from _reported_hold_times(topology, facts)
    ranked = [service.name for service in topology.services if kind_of(service).is_ranked]
    own = [speaker.name for speaker in topology.speakers if _attracts(speaker)]
    advised = HOLD_ADVISED if ranked or own else HOLD_BEHIND_BALANCER
    if hold <= advised:
        return
    if ranked or own:
        whose = ", ".join((*ranked, *own))
        what = f"the path of a dead announcer of {whose} attracts traffic for {hold.total_seconds():g} s"
    else:
        what = f"{hold.total_seconds():g} s is longer than a Route Server offers"
    do = f"configure at most {advised.total_seconds():g} s on the speakers, and say so in bgpHold: the lower one counts"
    yield Fault("$.timing.bgpHold", what, do)


def _attracts(speaker: Speaker) -> bool:
    """Whether packets go to the speaker by what it announces itself; not where every next hop is a frontend."""
    return any(own.next_hop is None or own.next_hop.frontend is None for own in speaker.own)


def _reported_hold_times(topology: Topology, facts: Facts) -> Iterator[Fault]:
    hold = topology.timing.bgp_hold
    for path, speaker in speakers(topology):
        seen = facts.agents.get(speaker.name)
        if seen is not None and seen.hold_time is not None and seen.hold_time != hold:
            what = f"{speaker.name} reports a hold time of {seen.hold_time.total_seconds():g} s, bgpHold says"
            do = "say in bgpHold what is negotiated: it counts for every agent that does not report its own"
            yield Fault(path, f"{what} {hold.total_seconds():g} s", do)


def both_instances(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, speaker in speakers(topology):
        for server in topology.route_servers:
            sessions = _sessions(speaker, server, facts)
            missing = [instance for instance, up in sessions.items() if up is None]
            down = [instance for instance, up in sessions.items() if up is False]
            if missing:
                yield _session(path, speaker, server, missing, None)
            elif down:
                yield _session(path, speaker, server, down, Severity.WARNING)


def _sessions(speaker: Speaker, server: RouteServer, facts: Facts) -> dict[IPv4Address, bool | None]:
    """By instance of a Route Server that it peers with: whether a speaker's session is up, None where it has none.

    Empty where its agent did not answer, or not both instances are known.
    """
    seen, reading = facts.agents.get(speaker.name), facts.route_servers.get(server.name)
    if seen is None or reading is None or server.name not in speaker.peers_with:
        return {}
    if len(reading.instances) != ROUTE_SERVER_INSTANCES:
        return {}
    return {instance: seen.sessions.get(instance) for instance in reading.instances}


def _session(
    path: str, speaker: Speaker, server: RouteServer, which: list[IPv4Address], severity: Severity | None
) -> Fault:
    how = "is not Established with" if severity else "has no session with"
    return Fault(
        f"{path}.peersWith",
        f"{speaker.name} {how} {', '.join(map(str, which))} of {server.name}",
        "peer with both instances and announce the same to both: maintenance takes one away without notice",
        severity,
    )


def peer_budget(topology: Topology, facts: Facts) -> Iterator[Fault]:
    most = topology.timing.peers_max
    for i, server in enumerate(topology.route_servers):
        wanted = {speaker.address for speaker in topology.peered_with(server.name)}
        foreign = _foreign(topology, server, facts.route_servers.get(server.name), wanted)
        total = len(wanted) + len(foreign)
        others = f" and {len(foreign)} of others ({', '.join(foreign)})" if foreign else ""
        if total > most:
            yield Fault(
                f"$.routeServers[{i}]",
                f"{len(wanted)} peerings of this topology{others} are more than the {most} of {server.name}",
                "put NVAs behind hub speakers, or give up a peering",
                Severity.WARNING if server.slots is Slots.BY_PRIORITY else None,
            )
        elif total == most:
            yield Fault(
                f"$.routeServers[{i}]",
                f"{len(wanted)} peerings of this topology{others} take all {most} of {server.name}",
                "keep one free: a replacement is deleted before it is made, which takes about 165 s",
                Severity.INFO,
            )


def _foreign(
    topology: Topology, server: RouteServer, reading: RouteServerReading | None, wanted: set[IPv4Address]
) -> list[str]:
    """The names of connections that are neither this topology's by name, nor adopted, nor with a speaker of its own."""
    peerings = reading.peerings if reading is not None else ()
    return [p.name for p in peerings if not is_own(topology, server, p.name) and p.address not in wanted]


def one_hub(topology: Topology, _: Facts) -> Iterator[Fault]:
    for path, hub in speakers(topology):
        for server in hub.peers_with if hub.role == "hub" else ():
            hubs = [s.name for s in topology.peered_with(server) if s.role == "hub"]
            lost = [s.name for s in topology.clients(hub.name) if server not in s.peers_with]
            if len(hubs) == 1 and lost:
                yield Fault(
                    path,
                    f"{hub.name} is the only hub speaker of {server}: with it goes all that {', '.join(lost)} announce",
                    f"let two hub speakers peer with {server}, and every client with both",
                )


def remote_gateways(topology: Topology, _: Facts) -> Iterator[Fault]:
    """A network with several peerings in the document is a dual-homed one."""
    networks = [peering.id.casefold().partition("/virtualnetworkpeerings/")[0] for peering in topology.network_peerings]
    for i, peering in enumerate(topology.network_peerings):
        if peering.use_remote_gateways and networks.count(networks[i]) > 1:
            yield Fault(
                f"$.networkPeerings[{i}].useRemoteGateways",
                f"{peering.name} uses the gateways of one network, and its own is peered with several",
                "say false: a dual-homed network has a Route Server of its own, and learns from its NVAs",
            )


def prefix_budget(topology: Topology, _: Facts) -> Iterator[Fault]:
    most = topology.timing.prefixes_per_peer
    for path, speaker in speakers(topology):
        count = max((len(announced(topology, speaker, peer)) for peer in speaker.peers_with), default=0)
        if count > most:
            what, severity = f"{speaker.name} announces {count} prefixes, a Route Server takes {most} from a peer", None
        elif 2 * count > most:
            what = f"{speaker.name} announces {count} prefixes, more than half of the {most} that a peer may send"
            severity = Severity.WARNING
        else:
            continue
        do = (
            "announce fewer, or larger ones: what is held and what UPDATEs bring count together, so beside "
            f"{count} a change of more than {max(0, most - count)} at once ends the session, and a failover changes all"
        )
        yield Fault(path, what, do, severity)


def symmetric_return(topology: Topology, _: Facts) -> Iterator[Fault]:
    for path, service in services(topology):
        if service.outward is None and not service.snat:
            yield Fault(
                path,
                f"nothing says how return traffic of {service.name} finds the member that serves",
                "declare `outward` (on-premises routers learn who serves), or `snat: true` where members translate",
                Severity.INFO if _addresses_only(service) else None,
            )


def _addresses_only(service: Service) -> bool:
    """A floating address: its holder answers itself."""
    return service.naming is Naming.MEMBER and all(p.prefixlen == p.max_prefixlen for p in service.prefixes)


def as_override(topology: Topology, _: Facts) -> Iterator[Fault]:
    for path, speaker in speakers(topology):
        if speaker.relays and not speaker.as_override:
            yield Fault(
                f"{path}.asOverride",
                f"what {speaker.name} relays has {ROUTE_SERVER_ASN} in its AS path: {speaker.relays[0].to} drops it",
                "set `asOverride: true`, and on the NVA AS override with prefix filters both ways",
            )
