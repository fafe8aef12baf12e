"""What an ExaBGP hub speaker passes on: its clients' routes, next hop unchanged, to the Route Server and to nobody else.

ExaBGP is no router and passes nothing on by itself. Here stands which client's route counts for a prefix, and which commands
follow; the helper speaks with ExaBGP. A client may announce its own prefixes with nothing but its own ASN in the AS path,
as in the rendered configurations of routers. What the agent itself was ordered to announce goes before a client's. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

_PATH = re.compile(r"as-path \[ ([\d ]*?) ?\]")


@dataclass(slots=True)
class Passing:
    """`neighbours` are the Route Server's instances, `clients` by address their ASN and prefixes; all as text."""

    asn: int
    neighbours: tuple[str, ...]
    clients: Mapping[str, tuple[int, frozenset[str]]]
    _up: set[str] = field(default_factory=set)
    # By prefix and client, what the client announces at present, as ExaBGP would announce it with our ASN in front.
    _offers: dict[str, dict[str, str]] = field(default_factory=dict)
    _ours: set[str] = field(default_factory=set)
    # What ExaBGP was told to announce, and to whom it has not sent it yet: changes of one prefix that pile up inside
    # ExaBGP may be sent in the wrong order.
    _given: dict[str, str] = field(default_factory=dict)
    _unsent: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Passing | None:
        """Read what `exabgp_configuration.passing_arguments` wrote; None for no arguments."""
        if not arguments:
            return None
        asn, neighbours = arguments[0].split("=")
        clients = {}
        for text in arguments[1:]:
            address, client_asn, prefixes = text.split("=")
            clients[address] = (int(client_asn), frozenset(prefixes.split("+")) - {""})
        return cls(int(asn), tuple(neighbours.split("+")), clients)

    def aim(self, command: str) -> str:
        """A command for the Route Server's instances only."""
        return f"{' , '.join(f'neighbor {address}' for address in self.neighbours)} {command}"

    def order(self, prefix: str, is_announced: bool) -> str | None:
        """Take note of the agent's own; returns the client's route that replaces a withdrawn one in place."""
        self._unsent.pop(prefix, None)
        self._given.pop(prefix, None)
        if is_announced:
            self._ours.add(prefix)
            return None
        self._ours.discard(prefix)
        return self._give(prefix, self._best(prefix))

    def is_ours(self, route: str) -> bool:
        """Whether a route as it was sent is no client's: there is nothing but our ASN in its path."""
        match = _PATH.search(route)
        return match is not None and set(match[1].split()) <= {str(self.asn)}

    def hear(self, client: str, routes: Mapping[str, str | None], update: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Take a client's UPDATE (`routes` as told by prefix); returns commands, each with its prefix."""
        segments = update.get("attribute", {}).get("as-path", {}).values()
        is_sequence = all(segment.get("element") == "as-sequence" for segment in segments)
        asn, allowed = self.clients[client]
        for prefix, route in routes.items():
            match = _PATH.search(route or "")
            offers = self._offers.setdefault(prefix, {})
            if route and match and is_sequence and prefix in allowed and set(match[1].split()) == {str(asn)}:
                offers[client] = route.replace("as-path [ ", f"as-path [ {self.asn} ", 1)
            else:
                offers.pop(client, None)
        return self._due(routes)

    def session(self, peer: str, is_up: bool) -> list[tuple[str, str]]:
        """Take note of a session that turned: a client's routes go with it. Returns commands, each with its prefix."""
        if peer in self.clients:
            lost = [prefix for prefix, offers in self._offers.items() if offers.pop(peer, None) is not None]
            return self._due(lost)
        if is_up:
            self._up.add(peer)
            return []
        # What was not sent will be, with everything else, when the session comes back.
        self._up.discard(peer)
        return self._is_sent(peer, list(self._unsent))

    def sent(self, peer: str, routes: Mapping[str, str | None]) -> list[tuple[str, str]]:
        """Take note of what a neighbour was sent; returns commands, each with its prefix."""
        return self._is_sent(peer, [prefix for prefix, route in routes.items() if route == self._given.get(prefix)])

    def refused(self, prefix: str) -> None:
        """Forget what ExaBGP did not take; the client's next UPDATE tries again."""
        self._unsent.pop(prefix, None)
        self._given.pop(prefix, None)

    def _is_sent(self, peer: str, prefixes: Sequence[str]) -> list[tuple[str, str]]:
        done = []
        for prefix in prefixes:
            if (waiting := self._unsent.get(prefix)) is not None:
                waiting.discard(peer)
                if not waiting:
                    del self._unsent[prefix]
                    done.append(prefix)
        return self._due(done)

    def _due(self, prefixes: Sequence[str] | Mapping[str, Any]) -> list[tuple[str, str]]:
        commands = []
        for prefix in sorted(prefixes):
            if prefix in self._ours or prefix in self._unsent:
                continue
            given, best = self._given.get(prefix), self._best(prefix)
            if best is not None and best != given:
                self._give(prefix, best)
                commands.append((prefix, self.aim(f"announce route {prefix} {best}")))
            elif best is None and given is not None:
                del self._given[prefix]
                self._wait(prefix)
                commands.append((prefix, self.aim(f"withdraw route {prefix} {given}")))
        return commands

    def _best(self, prefix: str) -> str | None:
        """The shortest path, then the lowest address."""
        offers = self._offers.get(prefix, {})
        if not offers:
            return None
        return offers[min(offers, key=lambda client: (len(offers[client].split("]")[0].split()), IPv4Address(client)))]

    def _give(self, prefix: str, route: str | None) -> str | None:
        if route is not None:
            self._given[prefix] = route
            self._wait(prefix)
        return route

    def _wait(self, prefix: str) -> None:
        if self._up:
            self._unsent[prefix] = set(self._up)
