"""What the prober's file says: outages, losses, who carried the packets. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median


@dataclass(frozen=True, slots=True)
class Reply:
    """One packet that came back; times of the monotonic clock, in seconds."""

    number: int
    sent: float
    received: float
    server: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One packet as the client behind the NVAs saw it."""

    number: int
    arrived: float
    server: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without an answered packet: from the last answered one to the next, both when they were sent."""

    begin: float
    end: float
    lost: int

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def replies(lines: Iterable[str]) -> list[Reply]:
    """The prober's file; a last line that is not yet whole is left out."""
    fields = (line.split() for line in lines if line.endswith("\n"))
    return [Reply(int(n), float(sent), float(received), server) for n, sent, received, server in fields]


def arrivals(lines: Iterable[str]) -> list[Arrival]:
    """The client's file."""
    fields = (line.split() for line in lines if line.endswith("\n"))
    return [Arrival(int(n), float(arrived), server) for n, arrived, server in fields]


def longest_gap(answered: Sequence[Reply], begin: float, end: float) -> Gap | None:
    """The longest gap among packets sent from `begin` to `end`; None with fewer than two answered."""
    inside = sorted((r for r in answered if begin <= r.sent <= end), key=lambda r: r.sent)
    gaps = [Gap(a.sent, b.sent, b.number - a.number - 1) for a, b in pairwise(inside)]
    return max(gaps, key=lambda gap: gap.seconds, default=None)


def arrivals_gap(arrived: Sequence[Arrival], begin: float, end: float) -> float:
    """Seconds of the longest time without a packet reaching the client; 0 with fewer than two."""
    times = sorted(a.arrived for a in arrived if begin <= a.arrived <= end)
    return max((b - a for a, b in pairwise(times)), default=0.0)


def lost(answered: Sequence[Reply], begin: float, end: float) -> int:
    """Packets sent between the first and the last answered one of that time that were not answered."""
    numbers = sorted(r.number for r in answered if begin <= r.sent <= end)
    return numbers[-1] - numbers[0] + 1 - len(set(numbers)) if numbers else 0


def moves(answered: Sequence[Reply]) -> int:
    """How often the packets, in the order they were sent, changed their server."""
    ordered = sorted(answered, key=lambda r: r.sent)
    return sum(a.server != b.server for a, b in pairwise(ordered))


def two_serving(answered: Sequence[Reply], old: str, new: str) -> int:
    """Packets that `old` carried although one sent before them was carried by `new` already."""
    first = min((r.sent for r in answered if r.server == new), default=None)
    return 0 if first is None else sum(r.server == old and r.sent > first for r in answered)


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several runs' seconds."""

    runs: int
    median: float
    least: float
    most: float


def spread(seconds: Sequence[float]) -> Spread | None:
    return Spread(len(seconds), median(seconds), min(seconds), max(seconds)) if seconds else None
