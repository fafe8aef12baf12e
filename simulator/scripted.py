"""Peers that a seed lets speak, without a machine: each has its sessions and announces its routes while its peering is in force.

For a world without BGP daemons. What the control API changes afterwards stays as it was changed until the peering, or the
peer's machine, comes anew.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

from simulator.bgp_table import BgpTable, Ends
from simulator.resources import Json
from simulator.route_servers import ROUTE_SERVER_ASN, Peer


class ScriptedPeers:
    def __init__(self, given: Sequence[Json], table: BgpTable) -> None:
        """`given` is the seed's part `bgp`: [{peer, routes: [{network, nextHop, asPath}]}]."""
        self._routes = {IPv4Address(one["peer"]): one.get("routes", []) for one in given}
        self._table = table
        self._speaking: set[Ends] = set()

    def __bool__(self) -> bool:
        return bool(self._routes)

    def look(self, peers: Sequence[Peer]) -> None:
        """`peers` are in force now: those that are new open their sessions. Whoever ends a peering ends its sessions."""
        now = {(instance, peer.address): peer for peer in peers for instance in peer.instances}
        wanted = {ends for ends in now if ends[1] in self._routes}
        for ends in sorted(wanted - self._speaking):
            self._open(ends, now[ends])
        self._speaking = wanted

    def _open(self, ends: Ends, peer: Peer) -> None:
        self._table.up(*ends)
        for route in self._routes[peer.address]:
            path = tuple(int(asn) for asn in route.get("asPath") or (peer.asn,))
            if ROUTE_SERVER_ASN not in path:  # a route that has been through a Route Server is not taken
                next_hop = IPv4Address(route.get("nextHop") or peer.address)
                self._table.announced(ends, [IPv4Network(route["network"])], next_hop, path)
