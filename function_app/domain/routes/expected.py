"""What each Route Server should learn from each of its peers, from the topology and what the records hold. Pure.

| a peer that is     | announces                                 | next hop               | AS path               |
|--------------------|-------------------------------------------|------------------------|-----------------------|
| any speaker        | its own `announces`                       | itself, or its nextHop | its ASN               |
| an announcer       | its services' prefixes                    | frontend, or a member  | its ASN               |
| a hub              | the same of every client, for the client  | unchanged              | hub's ASN, client's   |
| a relay            | `relays[].prefixes`, of what it learned   | itself                 | its ASN, then any     |

An ASN may stand several times in a row: any speaker may prepend, and the length is compared only where it was commanded.
A Route Server drops a route whose AS path holds 65515 (azure-facts.md section 2):
what a relay passes on comes from a Route Server, so it is dropped unless the speaker overrides. `learned` does the comparison.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.record import Record
from function_app.domain.topology.model import Announcement, Relay, Service, Speaker, Topology


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records of all services say now."""

    next_hops: Mapping[str, IPv4Address] = field(default_factory=dict)
    """By service, the next hop that its routes should have; missing while it is not known."""
    lengths: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By service and announcer, the AS path's length that it acknowledged, with no replacement in progress."""
    holders: Mapping[str, str] = field(default_factory=dict)
    """By service, the member that serves."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a prefix may be learned: `origin` is the speaker that it starts at.

    `next_hop` is None while it is not known, `length` (of the AS path, in ASNs) where none was commanded; `more` is
    whether the AS path may go on behind `as_path`.
    """

    origin: str
    next_hop: IPv4Address | None
    as_path: tuple[int, ...]
    more: bool = False
    length: int | None = None
    service: str | None = None

    @property
    def collapsed(self) -> tuple[int, ...]:
        return collapse(self.as_path)


@dataclass(frozen=True, slots=True)
class ExpectedRoute:
    """What `peer` should announce to `server` for one prefix: a peer has one best path, so one of `ways`."""

    server: str
    peer: str
    network: IPv4Network
    ways: tuple[Way, ...]

    @property
    def service(self) -> str | None:
        """The service that it is a prefix of; None where speakers only announce it themselves."""
        return next((way.service for way in self.ways if way.service is not None), None)

    def starts_at(self, speaker: str) -> bool:
        """Whether the speaker may announce it for itself, not only pass it on."""
        return any(way.origin == speaker for way in self.ways)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a relay would pass on in vain, and the beginning of the AS path for which a Route Server drops it."""

    speaker: str
    relay: Relay
    as_path: tuple[int, ...]


def standing(records: Mapping[str, Record], next_hops: Mapping[str, IPv4Address]) -> Standing:
    """From the records and the next hops as read, both by service."""
    ranks = {name: record.rank for name, record in records.items() if record.rank is not None}
    lengths = {
        (name, announcer): known.latest.path.length
        for name, rank in ranks.items()
        for announcer, known in rank.announcers.items()
        if known.at_rest
    }
    holders = {name: record.holder for name, record in records.items() if record.holder is not None}
    return Standing(next_hops, lengths, holders)


def expected_routes(topology: Topology, server: str, now: Standing) -> tuple[ExpectedRoute, ...]:
    """Everything that `server` should learn, by peer and prefix, sorted."""
    found: dict[tuple[str, IPv4Network], list[Way]] = {}
    for peer in topology.peered_with(server):
        for network, way in _announced(topology, server, peer, now):
            found.setdefault((peer.name, network), []).append(way)
    return tuple(
        ExpectedRoute(server, peer, network, _best(topology, ways, now))
        for (peer, network), ways in sorted(found.items())
    )


def dropped(topology: Topology) -> tuple[Dropped, ...]:
    """The relays whose routes no Route Server will take."""
    return tuple(
        Dropped(speaker.name, relay, (speaker.asn, ROUTE_SERVER_ASN))
        for speaker in topology.speakers
        for relay in speaker.relays
        if not speaker.as_override
    )


def collapse[Asn](as_path: tuple[Asn, ...]) -> tuple[Asn, ...]:
    """An AS path without its prepends."""
    return tuple(asn for i, asn in enumerate(as_path) if i == 0 or asn != as_path[i - 1])


def _announced(topology: Topology, server: str, peer: Speaker, now: Standing) -> Iterator[tuple[IPv4Network, Way]]:
    yield from _own(topology, peer, now)
    if peer.role == "hub":
        for client in topology.clients(peer.name):
            for network, way in _own(topology, client, now):
                length = way.length + 1 if way.length is not None else None
                yield network, replace(way, as_path=(peer.asn, *way.as_path), length=length)
    for relay in peer.relays:
        if relay.to == server and peer.as_override:
            for network in relay.prefixes:
                yield network, Way(peer.name, peer.address, (peer.asn,), more=True)


def _own(topology: Topology, speaker: Speaker, now: Standing) -> Iterator[tuple[IPv4Network, Way]]:
    for own in speaker.own:
        yield own.prefix, Way(speaker.name, _own_next_hop(own, speaker, now), (speaker.asn,))
    for service in topology.announced_by(speaker.name):
        way = Way(
            speaker.name,
            _next_hop(service, speaker, now),
            (speaker.asn,),
            length=_length(service, speaker, now),
            service=service.name,
        )
        for network in service.prefixes:
            yield network, way


def _own_next_hop(own: Announcement, speaker: Speaker, now: Standing) -> IPv4Address | None:
    """Itself where the document says nothing else; None for a frontend that is not known."""
    if own.next_hop is None:
        return speaker.address
    return own.next_hop.address or now.next_hops.get(own.next_hop.frontend or "")


def _next_hop(service: Service, speaker: Speaker, now: Standing) -> IPv4Address | None:
    """What the speaker should name: `next_hops` holds the frontend, or the holder's address."""
    known = now.next_hops.get(service.name)
    return kind_of(service).next_hop(announcer=speaker.address, holder=known, frontend=known)


def _length(service: Service, speaker: Speaker, now: Standing) -> int | None:
    """Of the AS path; where lengths decide, only what was ordered and can no longer change is known."""
    if not kind_of(service).is_ranked:
        return kind_of(service).length_at_rest(service, speaker.name)
    return now.lengths.get((service.name, speaker.name))


# Which of the ways that a hub has for one prefix of a service can be its best path:
#
# | the service's announcers name    | the holder      | ways that may be learned                             |
# |----------------------------------|-----------------|------------------------------------------------------|
# | a frontend, or the same member   |                 | all: they differ in the AS path only                 |
# | themselves                       | behind this hub | the holder's alone: its AS path is the shortest      |
# |                                  | elsewhere, none | all of this hub's: the shortest of them is not known |
#
# A way without a service (the speaker's own `announces`) may always be learned, for no command decides its length.
def _best(topology: Topology, ways: list[Way], now: Standing) -> tuple[Way, ...]:
    """The ways that may be learned: a peer announces one best path for a prefix."""
    held = {
        way
        for way in ways
        if way.service is not None
        and kind_of(topology.service(way.service)).holder_announces
        and now.holders.get(way.service) == way.origin
    }
    services = {way.service for way in held}
    return tuple(way for way in ways if way in held or way.service not in services)
