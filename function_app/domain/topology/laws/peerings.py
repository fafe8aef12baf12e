"""Laws of peerings: who may peer with a Route Server or a hub, what is relayed, and which connections may be touched."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from function_app.domain.base.errors import Problem, among
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.model import Slots, Speaker, Topology
from function_app.domain.topology.peering_names import PREFIX, is_own


def speakers_peer_with_route_servers_or_hubs(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    speakers = {speaker.name: speaker for speaker in topology.speakers}
    for name in sorted(servers & speakers.keys()):
        yield Problem("$.routeServers", f"{name!r} is also a speaker's name: `peersWith` would not know which is meant")
    for i, speaker in enumerate(topology.speakers):
        for j, name in enumerate(speaker.peers_with):
            if name not in servers and (rule := _no_peer(speaker, name, speakers, servers)) is not None:
                yield Problem(f"$.speakers[{i}].peersWith[{j}]", rule)
        if len(set(speaker.peers_with)) != len(speaker.peers_with):
            yield Problem(f"$.speakers[{i}].peersWith", "a Route Server or hub is named twice")


def _no_peer(speaker: Speaker, name: str, speakers: Mapping[str, Speaker], servers: Iterable[str]) -> str | None:
    """Why a speaker may not peer with the speaker of this name."""
    if name not in speakers:
        hubs = (other.name for other in speakers.values() if other.role == "hub" and other is not speaker)
        return f"no Route Server or hub speaker is named {name!r}{among(name, (*servers, *hubs))}"
    if speakers[name].role != "hub":
        return f"speaker {name!r} is no hub: only a hub passes routes on"
    return "a hub peers with Route Servers, not with another hub" if speaker.role == "hub" else None


def route_servers_have_room(topology: Topology, _: Place) -> Iterator[Problem]:
    most = topology.timing.peers_max
    for i, server in enumerate(topology.route_servers):
        peers = topology.peered_with(server.name)
        if len(peers) > most and server.slots is Slots.REFUSE:
            names = ", ".join(s.name for s in peers)
            rule = (
                f"{len(peers)} speakers peer with {server.name!r} ({names}): a Route Server takes at most {most}; let the others "
                "peer with hub speakers (`role: hub`), or say `slots: byPriority`"
            )
            yield Problem(f"$.routeServers[{i}]", rule)


def hubs_pass_on(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    for i, speaker in enumerate(topology.speakers):
        if speaker.role == "hub" and not servers & set(speaker.peers_with):
            yield Problem(f"$.speakers[{i}].peersWith", "a hub peers with a Route Server: it passes routes to one")


def clients_have_an_asn_of_their_own(topology: Topology, _: Place) -> Iterator[Problem]:
    """Between speakers of one AS the session is iBGP: the client's AS path is empty there, and the hub's filters drop it."""
    hubs = {speaker.name: speaker for speaker in topology.speakers if speaker.role == "hub"}
    for i, speaker in enumerate(topology.speakers):
        for name in speaker.peers_with:
            if name in hubs and hubs[name].asn == speaker.asn:
                yield Problem(
                    f"$.speakers[{i}].asn", f"hub {name!r} has ASN {speaker.asn} too: a client needs another one"
                )


def relays_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    for i, speaker in enumerate(topology.speakers):
        for j, relay in enumerate(speaker.relays):
            path = f"$.speakers[{i}].relays[{j}]"
            for key, name in (("from", relay.source), ("to", relay.to)):
                if name not in servers or name not in speaker.peers_with:
                    meant = "" if name in servers else among(name, servers)
                    yield Problem(
                        f"{path}.{key}", f"{speaker.name!r} does not peer with a Route Server named {name!r}{meant}"
                    )
            if relay.source == relay.to:
                yield Problem(path, "a relay leads from one Route Server to another")
        if speaker.as_override and not speaker.relays:
            yield Problem(
                f"$.speakers[{i}].asOverride", "needs `relays`: it removes the loop guard, so it goes with filters"
            )


def adopted_are_peers(topology: Topology, _: Place) -> Iterator[Problem]:
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


def only_own_are_removed(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, server in enumerate(topology.route_servers):
        for j, connection in enumerate(server.remove):
            if not is_own(topology, server, connection):
                rule = f"{connection!r} is not a connection of this topology, and not adopted: it is never touched"
                yield Problem(f"$.routeServers[{i}].remove[{j}]", rule)
