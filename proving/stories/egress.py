"""Where the app's packets to Azure go: by the routes of its own subnet, the longest prefix first, then whose route it is.

At one length a route of the subnet's table wins over one that Route Servers tell, and that over Azure's own (Virtual
network traffic routing). Storage is not part of it: a story's documents are as if behind a private endpoint.
"""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.topology.model import Topology
from proving.stories.nva import Appliance
from proving.stories.seed import Seed
from simulator.data_plane import Backend, Plane
from simulator.resources import Json
from simulator.world import World

MANAGEMENT = IPv4Address("20.62.128.10")
"""Some address of Azure's, which no network of a topology holds."""
BY_TABLE, BY_ROUTE_SERVER, BY_AZURE = 2, 1, 0
INTERNET = IPv4Network("0.0.0.0/0")


class WayOut:
    """See the module."""

    def __init__(
        self, world: World, seed: Seed, topology: Callable[[], Topology], nvas: Mapping[str, Appliance]
    ) -> None:
        self._world = world
        self._seed = seed
        self._topology = topology
        self._nvas = nvas

    def is_open(self) -> bool:
        """Whether a packet to Azure arrives there now."""
        candidates = [route for route in self._routes() if MANAGEMENT in route[0]]
        first = max((prefix.prefixlen, origin) for prefix, origin, _ in candidates)
        hops = {hop for prefix, origin, hop in candidates if (prefix.prefixlen, origin) == first}
        return all(self._has_nat() if hop is None else self._carries(hop) for hop in hops)

    def _routes(self) -> Iterator[tuple[IPv4Network, int, IPv4Address | None]]:
        """(prefix, whose, next hop); the next hop None is Internet."""
        yield INTERNET, BY_AZURE, None
        table = self._facts(self._subnet().get("routeTable"))
        for route in table.get("routes") or ():
            hop = route["properties"].get("nextHopIpAddress")
            yield IPv4Network(route["properties"]["addressPrefix"]), BY_TABLE, IPv4Address(hop) if hop else None
        if table.get("disableBgpRoutePropagation"):
            return
        for server in self._topology().route_servers:
            for instance in self._seed.instances[server.name]:
                for speaker in self._topology().peered_with(server.name):
                    for learned in self._world.bgp.routes(instance, speaker.address):
                        yield learned.network, BY_ROUTE_SERVER, learned.next_hop

    def _carries(self, hop: IPv4Address) -> bool:
        """Whether packets to a next hop are forwarded: a load balancer sends to members it takes for healthy, dead or not."""
        named = {name: plane for name, plane in self._frontends() if name == hop}
        if not named:
            return self._is_up(str(hop))
        return any(self._is_up(backend.ip) for plane in named.values() for backend in _eligible(plane))

    def _frontends(self) -> Iterator[tuple[IPv4Address, Plane]]:
        for service in self._topology().services:
            if service.load_balancer is not None:
                plane = self._world.data_plane.named(service.load_balancer.id.rpartition("/")[2])
                yield self._seed.frontends[service.name], plane

    def _is_up(self, address: str) -> bool:
        return any(nva.is_up for nva in self._nvas.values() if nva.address == address)

    def _has_nat(self) -> bool:
        return self._subnet().get("natGateway") is not None

    def _subnet(self) -> Json:
        network_id, _, name = self._seed.app_subnet.partition("/subnets/")
        subnets = self._facts({"id": network_id})["subnets"]
        return next(dict(subnet["properties"]) for subnet in subnets if subnet["name"] == name)

    def _facts(self, reference: Json | None) -> Json:
        document = self._world.state.resources.get(reference["id"]) if reference else None
        return dict(document["properties"]) if document is not None else {}


def _eligible(plane: Plane) -> list[Backend]:
    """Who gets new flows."""
    return [
        backend
        for pool in plane.pools.values()
        for backend in pool
        if backend.admin_state != "Down" and (seen := plane.probed.get(backend.ip)) is not None and seen.up
    ]
