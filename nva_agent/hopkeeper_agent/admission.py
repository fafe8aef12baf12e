"""Which connections a listener takes: decided by their source, before anything is spent on them.

A source has so many places, and all that are not reserved share so many more. Whoever holds the most gives way to one that
holds fewer, so that a flood of one machine costs that machine's own places. Reserved sources (the load balancer's probe, peers)
share with no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

PLATFORM = IPv4Address("168.63.129.16")
"""From here Azure's load balancers probe (Azure: "What is IP address 168.63.129.16?")."""

SOURCE_MAX = 32
SHARED_MAX = 64
YIELDS_AFTER_SECONDS = 1.0
"""A connection that has lasted so long gives way to a new one of its own source: an honest one is over by then, or idle."""

End = tuple[str, int]
"""The other end of a connection: address and port."""


@dataclass(frozen=True, slots=True)
class Admission:
    """`only`: where connections may come from, and none where everyone may; reserved sources always may."""

    only: tuple[IPv4Network, ...] = ()
    reserved: frozenset[str] = frozenset()

    @classmethod
    def of(cls, only: Collection[IPv4Network] = (), reserved: Collection[IPv4Address] = ()) -> Admission:
        """From addresses."""
        return cls(tuple(only), frozenset(map(str, reserved)))

    def lets_in(self, source: str) -> bool:
        """Whether connections from this address are taken at all."""
        if not self.only or source in self.reserved:
            return True
        address = IPv4Address(source)
        return any(address in network for network in self.only)


EVERYONE = Admission()


@dataclass(frozen=True, slots=True)
class Held:
    """The place of one connection: since when it has it, and what cuts it."""

    since: float
    cut: Callable[[], None]


@dataclass(slots=True)
class Places:
    """The connections of one listener. Times are of a monotonic clock, in seconds."""

    admission: Admission
    _held: dict[str, dict[int, Held]] = field(default_factory=dict)
    """By source and port of the other end, the oldest first."""

    def take(self, end: End, now: float, cut: Callable[[], None]) -> bool:
        """Whether there is a place for this connection; another one may be cut for it. `release` gives it back."""
        source, port = end
        if not self.admission.lets_in(source) or not self._is_room(source, now):
            return False
        self._held.setdefault(source, {})[port] = Held(now, cut)
        return True

    def release(self, end: End) -> None:
        """Give a place back, if it is still held."""
        source, port = end
        held = self._held.get(source, {})
        held.pop(port, None)
        if not held:
            self._held.pop(source, None)

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def _is_room(self, source: str, now: float) -> bool:
        own = len(self._held.get(source, ()))
        if own >= SOURCE_MAX:
            return self._cut_oldest(source, now - YIELDS_AFTER_SECONDS)
        if source in self.admission.reserved:
            return True
        shared = dict(self._sharing())
        if sum(shared.values()) < SHARED_MAX:
            return True
        most = max(shared, key=lambda each: shared[each])
        return shared[most] > own + 1 and self._cut_oldest(most, now)

    def _sharing(self) -> Iterator[tuple[str, int]]:
        for source, held in self._held.items():
            if source not in self.admission.reserved:
                yield source, len(held)

    def _cut_oldest(self, source: str, before: float) -> bool:
        """Cut the oldest connection of a source, if it has its place since then or longer."""
        port, oldest = next(iter(self._held[source].items()))
        if oldest.since > before:
            return False
        self.release((source, port))
        oldest.cut()
        return True
