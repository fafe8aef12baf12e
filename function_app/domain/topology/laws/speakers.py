"""Laws of speakers: the addresses, ASNs, certificates and roles that may be used, and what they announce by themselves."""

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import RESERVED_ASN, RESERVED_ASNS
from function_app.domain.base.errors import Problem
from function_app.domain.topology.laws.reserved import FORBIDDEN, LOOPBACK, Place
from function_app.domain.topology.model import MemberCheck, OwnNextHop, Topology

PEM_CERTIFICATE = r"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"


def addresses_are_inside(topology: Topology, place: Place) -> Iterator[Problem]:
    taken: dict[IPv4Address, str] = {}
    for i, speaker in enumerate(topology.speakers):
        path = f"$.speakers[{i}].address"
        if (rule := _unusable(speaker.address, topology, place)) is not None:
            yield Problem(path, rule)
        if speaker.address in taken:
            yield Problem(path, f"{speaker.address} already belongs to speaker {taken[speaker.address]!r}")
        taken[speaker.address] = speaker.name


def agents_have_addresses_of_their_own(topology: Topology, place: Place) -> Iterator[Problem]:
    """Where the app connects, if not to the speaker's own address. One agent an address: its gossip and its probe have their
    ports there, too."""
    taken = {speaker.address: f"speaker {speaker.name!r}" for speaker in topology.speakers}
    for i, speaker in enumerate(topology.speakers):
        path, address = f"$.speakers[{i}].agent.address", speaker.agent_address
        if not speaker.has_agent_elsewhere:
            continue
        if (rule := _unusable(address, topology, place)) is not None:
            yield Problem(path, rule)
        if address in taken:
            yield Problem(path, f"{address} already belongs to {taken[address]}: one agent an address")
        taken[address] = f"the agent of {speaker.name!r}"


def _unusable(address: IPv4Address, topology: Topology, place: Place) -> str | None:
    if any(address in net for net in FORBIDDEN):
        return f"{address} is never a speaker: metadata, wire server, link-local or multicast"
    if address in LOOPBACK and not place.allow_loopback:
        return f"{address} is a loopback address: only a lab may use those"
    if not any(address in net for net in topology.networks):
        return f"{address} is outside the declared networks ({', '.join(map(str, topology.networks))})"
    return None


def asns_are_allowed(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        if speaker.asn in RESERVED_ASNS:
            yield Problem(f"$.speakers[{i}].asn", f"ASN {speaker.asn} {RESERVED_ASN}")


def announcements_fit(topology: Topology, place: Place) -> Iterator[Problem]:
    """What speakers announce by their own configuration, each prefix once, with a next hop that packets can be sent to."""
    frontends = {service.name for service in topology.services if service.load_balancer is not None}
    forbidden = FORBIDDEN if place.allow_loopback else (*FORBIDDEN, LOOPBACK)
    for i, speaker in enumerate(topology.speakers):
        seen: set[IPv4Network] = set()
        for j, own in enumerate(speaker.own):
            path = f"$.speakers[{i}].announces[{j}]"
            if own.prefix in seen:
                yield Problem(path, f"{own.prefix} is listed twice")
            seen.add(own.prefix)
            if own.next_hop is not None and (rule := _no_next_hop(own.next_hop, frontends, forbidden)) is not None:
                yield Problem(f"{path}.nextHop", rule)


def _no_next_hop(next_hop: OwnNextHop, frontends: Collection[str], forbidden: Iterable[IPv4Network]) -> str | None:
    if (next_hop.address is None) == (next_hop.frontend is None):
        return "needs exactly one of: address, frontend"
    if next_hop.frontend is not None and next_hop.frontend not in frontends:
        return f"no service behind a load balancer is named {next_hop.frontend!r}: `frontend` means that of a service"
    if next_hop.address is not None and any(next_hop.address in net for net in forbidden):
        return f"{next_hop.address} is never a next hop: reserved by the platform or IANA"
    return None


def certificates_are_pem(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        pem = speaker.agent.certificate if speaker.agent else None
        if pem is not None and not re.fullmatch(PEM_CERTIFICATE, pem.strip()):
            yield Problem(f"$.speakers[{i}].agent.certificate", "is not one certificate in PEM, as `enroll` prints it")


def witnesses_only_watch(topology: Topology, _: Place) -> Iterator[Problem]:
    parts = frozenset[str]().union(*(service.agents for service in topology.services))
    for i, speaker in enumerate(topology.speakers):
        if speaker.role != "witness":
            continue
        if speaker.agent is None:
            yield Problem(f"$.speakers[{i}].agent", "a witness is an agent: it needs one")
        if speaker.peers_with:
            yield Problem(f"$.speakers[{i}].peersWith", "a witness has no peers")
        if speaker.name in parts:
            yield Problem(f"$.speakers[{i}].role", "a witness serves and announces nothing")


def witnesses_announce_nothing(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        if speaker.role == "witness" and speaker.own:
            yield Problem(
                f"$.speakers[{i}].announces", "a witness announces nothing: it has no peers to announce it to"
            )


def watches_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    members = topology.members
    may_be_meant = bool(members - {speaker.name for speaker in topology.speakers})
    for i, speaker in enumerate(topology.speakers):
        if speaker.watch is None:
            continue
        path = f"$.speakers[{i}].watch"
        if (speaker.name not in members and not may_be_meant) or (
            speaker.agent is not None and not speaker.has_agent_elsewhere
        ):
            yield Problem(path, "is of a member without an agent: others are watched by heartbeats, or not at all")
        if (rule := _untried(speaker.watch)) is not None:
            yield Problem(path, rule)


def _untried(watch: MemberCheck) -> str | None:
    """Why there is no such check."""
    if watch.kind == "ping":
        return "`ping` has no port and no path" if (watch.port, watch.path) != (None, None) else None
    if watch.port is None:
        return f"`{watch.kind}` needs a port"
    return "`tcp` has no path" if watch.kind == "tcp" and watch.path is not None else None
