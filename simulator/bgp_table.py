"""What the Route Server instances hold: sessions, routes learned from each peer, and counts of what was received.

Filled by real BGP (`bgp.py`) or through the control API. It decides nothing and knows no ARM.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

HISTORY_MAX = 20_000  # the newest entries kept; tests and the demo read far fewer


@dataclass(frozen=True, slots=True)
class Route:
    network: IPv4Network
    next_hop: IPv4Address
    as_path: tuple[int, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Session:
    established: bool
    since: datetime
    times_established: int


@dataclass(frozen=True, slots=True)
class BgpEvent:
    """One change of a session or a route: `kind` is up, down, update or withdraw."""

    time: datetime
    kind: str
    instance: IPv4Address
    peer: IPv4Address
    network: IPv4Network | None = None
    next_hop: IPv4Address | None = None
    as_path: tuple[int, ...] = ()


type Ends = tuple[IPv4Address, IPv4Address]  # (instance, peer)


class BgpTable:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.sessions: dict[Ends, Session] = {}
        self.history: deque[BgpEvent] = deque(maxlen=HISTORY_MAX)
        self.counts: Counter[tuple[IPv4Address, IPv4Address, IPv4Network, str]] = Counter()
        self._routes: dict[Ends, dict[IPv4Network, Route]] = {}
        self._watchers: list[Callable[[IPv4Address, IPv4Address], None]] = []

    def watch(self, watcher: Callable[[IPv4Address, IPv4Address], None]) -> None:
        """Call `watcher(instance, peer)` after every change."""
        self._watchers.append(watcher)

    def routes(self, instance: IPv4Address, peer: IPv4Address) -> list[Route]:
        held = self._routes.get((instance, peer), {})
        return [held[network] for network in sorted(held)]

    def is_established(self, instance: IPv4Address, peer: IPv4Address) -> bool:
        session = self.sessions.get((instance, peer))
        return session is not None and session.established

    def up(self, instance: IPv4Address, peer: IPv4Address) -> None:
        before = self.sessions.get((instance, peer))
        times = (before.times_established if before else 0) + 1
        self.sessions[instance, peer] = Session(True, self._now(), times)
        self._note(BgpEvent(self._now(), "up", instance, peer))

    def down(self, instance: IPv4Address, peer: IPv4Address) -> None:
        """The session is lost, and every route learned over it with it."""
        before = self.sessions.get((instance, peer))
        self._routes.pop((instance, peer), None)
        if before is None or not before.established:
            return
        self.sessions[instance, peer] = Session(False, self._now(), before.times_established)
        self._note(BgpEvent(self._now(), "down", instance, peer))

    def announced(
        self, ends: Ends, networks: Iterable[IPv4Network], next_hop: IPv4Address, as_path: tuple[int, ...]
    ) -> None:
        instance, peer = ends
        for network in networks:
            route = Route(network, next_hop, as_path, self._now())
            self._routes.setdefault(ends, {})[network] = route
            self.counts[instance, peer, network, "update"] += 1
            self._note(BgpEvent(self._now(), "update", instance, peer, network, next_hop, as_path))

    def withdrawn(self, ends: Ends, networks: Iterable[IPv4Network]) -> None:
        instance, peer = ends
        for network in networks:
            self._routes.get(ends, {}).pop(network, None)
            self.counts[instance, peer, network, "withdraw"] += 1
            self._note(BgpEvent(self._now(), "withdraw", instance, peer, network))

    def _note(self, event: BgpEvent) -> None:
        self.history.append(event)
        for watcher in self._watchers:
            watcher(event.instance, event.peer)
