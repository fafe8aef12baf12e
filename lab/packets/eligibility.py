"""Who could have been given new flows, and when: the safety contract's `eligible`, from samples. Pure.

A member is eligible while its agent's probe says 200 and its adminState is not Down. What the load balancer admits lags behind
both for the time of its probe, and is a service's `handover` (safety.md section 2a): `lab.handover` measures it with many flows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

type Sample = tuple[float, bool]


@dataclass(frozen=True, slots=True)
class Span:
    begin: float
    end: float


def spans(samples: Iterable[Sample]) -> list[Span]:
    """From the first to the last of each row of true samples: only what is certain, never a moment more."""
    found: list[Span] = []
    begin = end = 0.0
    inside = False
    for at, value in samples:
        if value:
            begin = at if not inside else begin
            end = at
        elif inside:
            found.append(Span(begin, end))
        inside = value
    return [*found, Span(begin, end)] if inside else found


def both(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The times that lie in a span of each."""
    cut = [Span(max(a.begin, b.begin), min(a.end, b.end)) for a in one for b in other]
    return sorted((span for span in cut if span.end > span.begin), key=lambda span: span.begin)


def two_eligible(eligible: Mapping[str, Sequence[Span]]) -> list[Span]:
    """Every time at which two members were eligible."""
    return [span for one, other in combinations(eligible, 2) for span in both(eligible[one], eligible[other])]


def changes(log: Iterable[str], names: dict[str, str]) -> list[tuple[float, tuple[str, ...]]]:
    """When the load balancer began to admit which members, from its log."""
    found = []
    for line in log:
        at, said, addresses = line.partition(" INFO tools.load_balancer.balancer: eligible backends: ")
        if said:
            admitted = tuple(names[a] for a in addresses.strip().split(", ") if a in names)
            found.append((datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp(), admitted))
    return found
