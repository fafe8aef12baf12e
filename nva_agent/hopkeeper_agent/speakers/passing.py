"""What an ExaBGP speaker passes on: its clients' routes if it is a hub speaker, and what it relays between Route Servers.

ExaBGP is no router and passes nothing on by itself. `Passing` decides which route of a prefix is announced, and by which
commands; the helper sends them. The rules are those of the rendered configurations of routers:
  the agent's own     what it was ordered to announce goes first
  a client's          one of its prefixes with nothing but its ASN in the AS path; its next hop stays
  a relay's           one of its prefixes from one of its sources; next hop this speaker, as-override if configured
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

ROUTE_SERVER_ASN = 65515

PATH_MAX = 255
"""ASNs of one segment (RFC 4271, section 4.3): ours goes in front."""

_ROUTE = re.compile(r"next-hop (\S+) as-path \[ ([\d ]*?) ?\](.*)")

Command = tuple[str, str]
"""A prefix, and a command about it."""


@dataclass(slots=True)
class Passing:
    """Addresses and prefixes as text. `neighbours` are instances of Route Servers.

    `clients` by address: their ASN and prefixes. `relays` by prefix: from which neighbours and to which.
    """

    asn: int
    address: str
    overrides: bool
    neighbours: tuple[str, ...] = ()
    clients: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    relays: dict[str, tuple[frozenset[str], tuple[str, ...]]] = field(default_factory=dict)
    _up: set[str] = field(default_factory=set)
    # By prefix and source, the route that this one announces at present, as ExaBGP would pass it on.
    _offers: dict[str, dict[str, str]] = field(default_factory=dict)
    _ours: set[str] = field(default_factory=set)
    # By prefix, the route that ExaBGP was commanded to announce, and the neighbours it has not sent it to yet: changes of
    # one prefix that pile up inside ExaBGP may be sent in the wrong order.
    _given: dict[str, str] = field(default_factory=dict)
    _unsent: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Passing | None:
        """Read the arguments of `exabgp_configuration.passing_arguments`; None if there are none."""
        if not arguments:
            return None
        _, asn, address, override = arguments[0].split("=")
        made = cls(int(asn), address, override == "override", tuple(arguments[1].split("=")[1].split("+")))
        for text in arguments[2:]:
            kind, first, second, joined = text.split("=")
            prefixes = [prefix for prefix in joined.split("+") if prefix]
            if kind == "client":
                made.clients[first] = second, frozenset(prefixes)
            else:
                made.relays |= dict.fromkeys(prefixes, (frozenset(first.split("+")), tuple(second.split("+"))))
        return made

    def aim(self, command: str, targets: Sequence[str] | None = None) -> str:
        """A command for these neighbours only, else for all of them; never for a client."""
        return f"{' , '.join(f'neighbor {address}' for address in targets or self.neighbours)} {command}"

    def order(self, prefix: str, is_announced: bool) -> str | None:
        """Take note of an order of the agent's; returns the client's route that replaces a withdrawn one in place."""
        self._unsent.pop(prefix, None)
        self._given.pop(prefix, None)
        if is_announced:
            self._ours.add(prefix)
            return None
        self._ours.discard(prefix)
        return self._give(prefix, self._best(prefix))

    def is_ours(self, peer: str, prefix: str, route: str) -> bool:
        """Whether a route that a neighbour was sent is the agent's own: only our ASN in its path, and not relayed."""
        if prefix in self.relays and peer in self.relays[prefix][1]:
            return False
        match = _ROUTE.match(route)
        return match is not None and set(match[2].split()) <= {str(self.asn)}

    def receive(self, peer: str, routes: Mapping[str, str | None], update: Mapping[str, Any]) -> list[Command]:
        """Take an UPDATE that was received; `routes` are its routes by prefix.

        Where an attribute is broken so that the route counts as withdrawn (RFC 7606), ExaBGP says so beside the route.
        """
        attributes = update.get("attribute", {})
        segments = attributes.get("as-path", {}).values()
        is_sequence = all(segment.get("element") == "as-sequence" for segment in segments)
        is_whole = is_sequence and not str(attributes.get("error", "")).startswith("treat-as-withdraw")
        for prefix, route in routes.items():
            offer = self._passed(peer, prefix, route) if route and is_whole else None
            if offer is not None:
                self._offers.setdefault(prefix, {})[peer] = offer
            else:
                self._offers.get(prefix, {}).pop(peer, None)
        return self._due(routes)

    def session(self, peer: str, is_up: bool) -> list[Command]:
        """Take note of a session that came up or went down: the routes received on it go with it."""
        if is_up:
            self._up.add(peer)
            return []
        self._up.discard(peer)
        lost = [prefix for prefix, offers in self._offers.items() if offers.pop(peer, None) is not None]
        # It is sent with everything else when the session comes up again.
        return self._is_sent(peer, list(self._unsent), lost)

    def sent(self, peer: str, routes: Mapping[str, str | None]) -> list[Command]:
        """Take note of what a neighbour was sent."""
        return self._is_sent(peer, [prefix for prefix, route in routes.items() if route == self._given.get(prefix)])

    def refused(self, prefix: str) -> None:
        """Forget a route that ExaBGP refused; the next UPDATE from its source tries again."""
        self._unsent.pop(prefix, None)
        self._given.pop(prefix, None)

    def _passed(self, peer: str, prefix: str, route: str) -> str | None:
        """A received route as it is passed on; None if it is not.

        from     | passed on if                                          | next hop     | AS path
        client   | the prefix is its own and only its ASN is in the path | the client's | own ASN in front
        relay    | the prefix is relayed from there and the own ASN is   | this speaker | own ASN in front; in place of the
                 | not in the path                                       |              | Route Server's with as-override
        """
        match = _ROUTE.match(route)
        if match is None or not 0 < len(path := match[2].split()) < PATH_MAX or not _leads(match[1]):
            return None
        own, next_hop = str(self.asn), match[1]
        if peer in self.clients:
            asn, allowed = self.clients[peer]
            if prefix not in allowed or set(path) != {asn}:
                return None
        else:
            sources, _ = self.relays.get(prefix, (frozenset[str](), ()))
            if peer not in sources or own in path:
                return None
            next_hop = self.address
            if self.overrides:
                path = [own if asn == str(ROUTE_SERVER_ASN) else asn for asn in path]
        return f"next-hop {next_hop} as-path [ {' '.join([own, *path])} ]{match[3]}"

    def _targets(self, prefix: str) -> tuple[str, ...]:
        return self.relays[prefix][1] if prefix in self.relays else self.neighbours

    def _is_sent(self, peer: str, prefixes: Sequence[str], more: Sequence[str] = ()) -> list[Command]:
        done = list(more)
        for prefix in prefixes:
            if (waiting := self._unsent.get(prefix)) is not None:
                waiting.discard(peer)
                if not waiting:
                    del self._unsent[prefix]
                    done.append(prefix)
        return self._due(dict.fromkeys(done))

    def _due(self, prefixes: Mapping[str, Any]) -> list[Command]:
        commands = []
        for prefix in sorted(prefixes):
            if prefix in self._ours or prefix in self._unsent:
                continue
            given, best, targets = self._given.get(prefix), self._best(prefix), self._targets(prefix)
            if best is not None and best != given:
                self._give(prefix, best)
                commands.append((prefix, self.aim(f"announce route {prefix} {best}", targets)))
            elif best is None and given is not None:
                del self._given[prefix]
                self._wait(prefix)
                commands.append((prefix, self.aim(f"withdraw route {prefix} {given}", targets)))
        return commands

    def _best(self, prefix: str) -> str | None:
        """The shortest path, then the lowest address."""
        offers = self._offers.get(prefix, {})
        if not offers:
            return None
        return offers[min(offers, key=lambda peer: (len(offers[peer].split("]")[0].split()), IPv4Address(peer)))]

    def _give(self, prefix: str, route: str | None) -> str | None:
        if route is not None:
            self._given[prefix] = route
            self._wait(prefix)
        return route

    def _wait(self, prefix: str) -> None:
        if waiting := self._up & set(self._targets(prefix)):
            self._unsent[prefix] = waiting


def _leads(next_hop: str) -> bool:
    """Whether it is an address; ExaBGP shows another word, or 0.0.0.0, where an UPDATE has none."""
    try:
        return not IPv4Address(next_hop).is_unspecified
    except ValueError:
        return False
