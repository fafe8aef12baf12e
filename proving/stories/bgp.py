"""BGP without BGP: which sessions are up, and what each Route Server instance has learned by them.

A session is up while both ends are there and the peering is in force; a change takes a moment. Hubs pass on their
clients' routes with the next hop unchanged, and relays pass on what one Route Server has to another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from itertools import product
from typing import Any

from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import Finding, Session, SessionState

from function_app.domain.topology.model import RouteServer, Speaker, Topology
from lab.kit.virtual import VirtualClock, virtual_loop
from proving.stories.seed import Seed
from simulator.route_servers import ROUTE_SERVER_ASN
from simulator.world import World

UP_AFTER_SECONDS = 3.0
"""From a peering in force to an Established session."""

type Route = tuple[IPv4Network, IPv4Address, tuple[int, ...]]
"""(prefix, next hop, AS path)."""


class Conversations:
    """Every session of a topology. `look` after whatever may have changed one."""

    def __init__(self, topology: Topology, seed: Seed, world: World) -> None:
        self._topology = topology
        self._seed = seed
        self._world = world
        self._voices: dict[str, SimulatedVoice] = {}
        self.gone: set[str] = set()
        """Speakers that are not there."""
        self.deaf: set[IPv4Address] = set()
        """Route Server instances that are not there."""
        self.announces: dict[str, tuple[IPv4Network, ...]] = {s.name: s.announces for s in topology.speakers}
        """What speakers announce by their own configuration; a story may change it."""
        self.forgetful: set[str] = set()
        """Speakers whose configuration lost the next hops that it names in place of itself."""
        self._lingering: set[str] = set()
        """Speakers that are not there, whose sessions are up until their hold times have run out."""
        self._due = False
        world.state.subscribers.append(lambda _: self.look_soon())

    def follow(self, topology: Topology) -> None:
        """The topology is another one now."""
        self._topology = topology
        self.announces |= {s.name: s.announces for s in topology.speakers if s.name not in self.announces}
        self.look_soon()

    def voice(self, speaker: Speaker, changed: Callable[[], None]) -> "SimulatedVoice":
        made = self._voices[speaker.name] = SimulatedVoice(self, speaker, changed)
        return made

    def linger(self, name: str, seconds: float) -> None:
        """It is about to end without a word: for so long its sessions stay up, and the routes learned by them."""

        def expire() -> None:
            self._lingering.discard(name)
            self.look()

        self._lingering.add(name)
        virtual_loop().call_later(seconds, expire)

    def back(self, name: str) -> None:
        self._lingering.discard(name)
        self.gone.discard(name)
        self.look_soon()

    def look_soon(self) -> None:
        if not self._due:
            self._due = True
            virtual_loop().call_later(UP_AFTER_SECONDS, self.look)

    def look(self) -> None:
        """Brings sessions and routes up to date, on the Route Servers and with the speakers."""
        self._due = False
        for server in self._topology.route_servers:
            peered = {(p.address, p.asn): p for p in self._world.route_servers.peers() if p.hub == server.id}
            for instance, speaker in self._ends(server):
                self._session(instance, speaker, is_peered=(speaker.address, speaker.asn) in peered)
        for server in self._topology.route_servers:
            for instance, speaker in self._ends(server):
                if self._world.bgp.is_established(instance, speaker.address):
                    self._tell(instance, speaker)
        for voice in self._voices.values():
            voice.turned()

    def _ends(self, server: RouteServer) -> Iterator[tuple[IPv4Address, Speaker]]:
        """Who could have a session: each instance with each speaker."""
        return product(self._seed.instances[server.name], self._topology.peered_with(server.name))

    def _session(self, instance: IPv4Address, speaker: Speaker, is_peered: bool) -> None:
        """Up where both ends are there and peered, else down."""
        table = self._world.bgp
        up = is_peered and self._is_there(speaker.name) and instance not in self.deaf
        if up != table.is_established(instance, speaker.address):
            (table.up if up else table.down)(instance, speaker.address)

    def established(self, speaker: Speaker) -> Mapping[IPv4Address, bool]:
        """By neighbour."""
        found: dict[IPv4Address, bool] = {}
        for name in speaker.peers_with:
            if name in self._seed.instances:
                for instance in self._seed.instances[name]:
                    found[instance] = self._world.bgp.is_established(instance, speaker.address)
            elif any(s.name == name for s in self._topology.speakers):
                found[self._topology.speaker(name).address] = self._is_there(name) and self._is_there(speaker.name)
        for address in self.premises(speaker.name):
            found[address] = self._is_there(speaker.name)
        return found

    def premises(self, name: str) -> frozenset[IPv4Address]:
        """A member's neighbours on-premises."""
        services = [s for s in self._topology.services if s.outward is not None and name in s.names]
        return frozenset(n.address for s in services if s.outward is not None for n in s.outward.neighbours)

    def on_premises(self) -> Mapping[str, Mapping[IPv4Network, int]]:
        """What routers there receive, by speaker and prefix: how often its ASN is prepended."""
        return {
            name: {item.prefix: item.prepend for item in voice.outward}
            for name, voice in self._voices.items()
            if name not in self.gone and voice.outward
        }

    def _is_there(self, name: str) -> bool:
        return name not in self.gone or name in self._lingering

    def _tell(self, instance: IPv4Address, speaker: Speaker) -> None:
        """What this instance has of this speaker: changes only, a path that is replaced is one UPDATE."""
        table, ends = self._world.bgp, (instance, speaker.address)
        wanted = {r[0]: r for r in self._routes(speaker, instance) if ROUTE_SERVER_ASN not in r[2]}
        held = {r.network: r for r in table.routes(*ends)}
        table.withdrawn(ends, [network for network in held if network not in wanted])
        for network, next_hop, path in wanted.values():
            known = held.get(network)
            if known is None or (known.next_hop, known.as_path) != (next_hop, path):
                table.announced(ends, [network], next_hop, path)

    def _routes(self, speaker: Speaker, instance: IPv4Address) -> Iterator[Route]:
        asn = speaker.asn
        for network in self.announces.get(speaker.name, ()):
            yield network, self._own_next_hop(speaker, network), (asn,)
        if (voice := self._voices.get(speaker.name)) is not None:
            for item in voice.announced:
                yield item.prefix, item.next_hop, (asn,) * (1 + item.prepend)
        if speaker.role == "hub":
            for client in self._topology.clients(speaker.name):
                if self._is_there(client.name):
                    for network in self.announces.get(client.name, ()):
                        yield network, self._own_next_hop(client, network), (asn, client.asn)
        yield from self._relayed(speaker, instance)

    def _own_next_hop(self, speaker: Speaker, network: IPv4Network) -> IPv4Address:
        """As its own configuration has it, which a story may have changed."""
        if speaker.name in self.forgetful:
            return speaker.address
        named = next((own.next_hop for own in speaker.own if own.prefix == network), None)
        if named is None:
            return speaker.address
        return named.address or self._seed.frontends[named.frontend or ""]

    def _relayed(self, speaker: Speaker, instance: IPv4Address) -> Iterator[Route]:
        """65515 is in the path of whatever a Route Server passes on, unless the speaker puts its own in its place."""
        for relay in speaker.relays:
            if instance not in self._seed.instances[relay.to]:
                continue
            if not any(self._world.bgp.is_established(i, speaker.address) for i in self._seed.instances[relay.source]):
                continue
            first = speaker.asn if speaker.as_override else ROUTE_SERVER_ASN
            for network in relay.prefixes:
                yield network, speaker.address, (speaker.asn, first)


class SimulatedVoice:
    """The agent's speaker port: what it is commanded to announce, and its sessions."""

    def __init__(self, conversations: Conversations, speaker: Speaker, changed: Callable[[], None]) -> None:
        self._conversations = conversations
        self._speaker = speaker
        self._changed = changed
        self._clock = VirtualClock(virtual_loop())
        self._since: dict[IPv4Address, tuple[bool, datetime]] = {}
        self.announced: tuple[Advertisement, ...] = ()
        self.outward: tuple[Advertisement, ...] = ()

    async def start(self) -> None:
        self.outward = ()
        self._conversations.back(self._speaker.name)

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        if toward is Toward.OUTWARD:
            self.outward = tuple(advertisements)
            return
        self.announced = tuple(advertisements)
        self._conversations.look()

    def sessions(self) -> Mapping[IPv4Address, Session]:
        premises = self._conversations.premises(self._speaker.name)
        return {
            neighbour: Session(
                SessionState.ESTABLISHED if up else SessionState.DOWN,
                since,
                toward=Toward.OUTWARD if neighbour in premises else Toward.ROUTE_SERVERS,
            )
            for neighbour, (up, since) in self._now().items()
        }

    def unsent(self) -> str:
        return ""

    def findings(self) -> Mapping[str, Finding]:
        return {}

    async def close(self) -> None:
        self._conversations.gone.add(self._speaker.name)
        self._conversations.look()

    def turned(self) -> None:
        """Lets the agent know when a session came or went."""
        before, after = dict(self._since), self._now()
        if before != after:
            self._changed()

    def _now(self) -> Mapping[IPv4Address, tuple[bool, datetime]]:
        up = self._conversations.established(self._speaker)
        for neighbour, is_up in up.items():
            if neighbour not in self._since or self._since[neighbour][0] != is_up:
                self._since[neighbour] = (is_up, self._clock.now())
        return self._since


def learned(world: World, instance: IPv4Address, peer: IPv4Address) -> list[dict[str, Any]]:
    """The rows of one instance about one peer, as the story's expectations want them."""
    return [
        {"network": str(r.network), "nextHop": str(r.next_hop), "asPath": "-".join(map(str, r.as_path))}
        for r in world.bgp.routes(instance, peer)
    ]
