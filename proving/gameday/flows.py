"""Where new flows go, by what carries them: the routes that each Route Server has programmed, and each load balancer's choice.

A flow is a service, or a prefix that a speaker announces by itself. The simulator has no virtual machines: their routes
follow those of the Route Server after the time that programming takes, and once in `DAMPING_SECONDS` for a prefix.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.topology.model import BackendPool, RouteServer, Service
from lab.kit.virtual import virtual_loop
from proving.stories.prober import balancer_of
from proving.stories.stage import Stage

DAMPING_SECONDS = 30.0
PROGRAMMING_SECONDS = (0.9, 5.6)
"""azure-facts.md section 2: measured in a lab; a run draws one of them."""

type Hops = frozenset[IPv4Address]


@dataclass(frozen=True, slots=True)
class Moment:
    """Of one flow: the share of new ones that reach no machine that forwards, and which machines get some."""

    lost: float
    reached: tuple[str, ...]


class Programmed:
    """The next hops of one prefix as virtual machines have them: later than the Route Server."""

    def __init__(self, hops: Hops, delay: float) -> None:
        self.hops = hops
        self._delay = delay
        self._last = float("-inf")
        self._due: float | None = None

    def follow(self, hops: Hops, now: float) -> None:
        """`hops` are what the Route Server has now."""
        if hops == self.hops:
            self._due = None
            return
        if self._due is None:
            self._due = max(now + self._delay, self._last + DAMPING_SECONDS)
        if now >= self._due:
            self.hops, self._last, self._due = hops, now, None


class Flows:
    """See the module. Made at rest: every prefix that is learned then is a flow, and goes on being one."""

    def __init__(self, stage: Stage, programming: float) -> None:
        self._stage = stage
        self._routes: dict[tuple[str, IPv4Network], Programmed] = {}
        for server in stage.topology.route_servers:
            for prefix, hops in self._learned(server).items():
                self._routes[server.name, prefix] = Programmed(hops, programming)
        self._names = {str(speaker.address): speaker.name for speaker in stage.topology.speakers}
        self._frontends = {stage.seed.frontends[s.name]: s for s in stage.topology.services if s.load_balancer}

    def look(self) -> Mapping[str, Moment]:
        """Every flow now, by name; the worst of its ways where it has several."""
        now = virtual_loop().time()
        found: dict[str, Moment] = {}
        for server in self._stage.topology.route_servers:
            learned = self._learned(server)
            for (name, prefix), programmed in self._routes.items():
                if name == server.name:
                    programmed.follow(learned.get(prefix, frozenset()), now)
                    _merge(found, self._called(name, prefix), self._by_routes(programmed.hops))
        for service in self._stage.topology.services:
            for pool in service.load_balancer.also_behind if service.load_balancer else ():
                _merge(found, service.name, self._by_balancer(service, pool))
        return found

    def _called(self, server: str, prefix: IPv4Network) -> str:
        of_service = (service.name for service in self._stage.topology.services if prefix in service.prefixes)
        return next(of_service, f"{prefix} at {server}")

    def _learned(self, server: RouteServer) -> Mapping[IPv4Network, Hops]:
        """The next hops of the shortest paths, of both instances together."""
        found: dict[IPv4Network, set[IPv4Address]] = {}
        for instance in self._stage.seed.instances[server.name]:
            best: dict[IPv4Network, tuple[int, set[IPv4Address]]] = {}
            for speaker in self._stage.topology.peered_with(server.name):
                for route in self._stage.world.bgp.routes(instance, speaker.address):
                    length, hops = best.get(route.network, (len(route.as_path) + 1, set()))
                    if len(route.as_path) < length:
                        length, hops = len(route.as_path), set()
                    if len(route.as_path) == length:
                        hops.add(route.next_hop)
                    best[route.network] = length, hops
            for network, (_, hops) in best.items():
                found.setdefault(network, set()).update(hops)
        return {network: frozenset(hops) for network, hops in found.items()}

    def _by_routes(self, hops: Hops) -> Moment:
        """Equal paths share new flows."""
        ways = [self._by_hop(hop) for hop in sorted(hops)]
        lost = sum(way.lost for way in ways) / len(ways) if ways else 1.0
        return Moment(lost, tuple(sorted({name for way in ways for name in way.reached})))

    def _by_hop(self, hop: IPv4Address) -> Moment:
        service = self._frontends.get(hop)
        if service is not None:
            assert service.load_balancer is not None
            return self._by_balancer(service, service.load_balancer)
        return self._shared((self._names[str(hop)],) if str(hop) in self._names else ())

    def _by_balancer(self, service: Service, pool: BackendPool) -> Moment:
        return self._shared(tuple(sorted(self._admitted(service, pool))))

    def _admitted(self, service: Service, spec: BackendPool) -> Iterator[str]:
        plane = self._stage.world.data_plane.named(balancer_of(spec))
        names = {str(spec.known(self._stage.topology.speaker(name)).address): name for name in service.names}
        for name, pool in plane.pools.items():
            for backend in pool if name.casefold() == spec.backend_pool.casefold() else ():
                seen = plane.probed.get(backend.ip)
                if backend.ip in names and backend.admin_state != "Down" and seen is not None and seen.up:
                    yield names[backend.ip]

    def _shared(self, names: tuple[str, ...]) -> Moment:
        broken = sum(name in self._stage.broken for name in names)
        return Moment(broken / len(names) if names else 1.0, names)


def _merge(found: dict[str, Moment], name: str, moment: Moment) -> None:
    before = found.get(name, Moment(0.0, ()))
    reached = tuple(sorted({*before.reached, *moment.reached}))
    found[name] = Moment(max(before.lost, moment.lost), reached)
