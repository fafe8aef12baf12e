"""Hopkeeper's own verification, on tables that real daemons hold: what `hopkeeper verify` would say of them. Pure."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from function_app.domain.routes.expected import Standing
from function_app.domain.routes.findings import RouteFinding
from function_app.domain.routes.learned import compare
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import Topology
from lab.networks.instances import Instances
from lab.networks.learned import Row

NO_HOLDER = Standing()


def findings(
    topology: Topology, server: Instances, rows: Iterable[Row], now: Standing = NO_HOLDER
) -> tuple[RouteFinding, ...]:
    """Everything that is not as implied; the routes of every speaker that peers with `server` count as read."""
    learned: Mapping[IPv4Address, list[LearnedRoute]] = {s.address: [] for s in topology.peered_with(server.name)}
    for row in rows:
        if row.source_peer in learned:
            path = tuple(int(asn) for asn in row.as_path.split("-")) if row.as_path else ()
            route = LearnedRoute(row.local_address, row.network, row.next_hop, path, row.source_peer)
            learned[row.source_peer].append(route)
    by_name = {s.name: tuple(learned[s.address]) for s in topology.peered_with(server.name)}
    return compare(topology, server.name, by_name, server.addresses, now)


def complaints(found: Iterable[RouteFinding]) -> list[str]:
    """What is wrong, by kind; what is only worth knowing is left out."""
    return [f"{finding.kind}: {finding.sentence}" for finding in found if finding.wrong]
