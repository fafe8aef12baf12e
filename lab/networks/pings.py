"""Pings from one node to many addresses, and what of them was lost. The program is `ping`; here its words are read."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

EVERY = 0.05
"""Seconds between two packets to one address."""

_ANSWER = re.compile(r"bytes from \S+ icmp_seq=(\d+)")
_TOTAL = re.compile(r"(\d+) packets transmitted")


@dataclass(frozen=True, slots=True)
class Counted:
    """To one address. `longest` is the longest run of packets without an answer."""

    sent: int
    lost: int
    longest: int


def counted(lines: Iterable[str]) -> Counted:
    """What one `ping` said until it was stopped. Its last packet counts only if it was answered: it may be on its way.

    Raises ValueError for a ping that did not get as far as its total.
    """
    answered: set[int] = set()
    total = None
    for line in lines:
        if (found := _ANSWER.search(line)) is not None:
            answered.add(int(found[1]))
        elif (found := _TOTAL.search(line)) is not None:
            total = int(found[1])
    if total is None:
        raise ValueError("this ping has no total")
    sent = total if total in answered else max(0, total - 1)
    run = longest = 0
    for number in range(1, sent + 1):
        run = 0 if number in answered else run + 1
        longest = max(longest, run)
    return Counted(sent, sum(number not in answered for number in range(1, sent + 1)), longest)


@dataclass(frozen=True, slots=True)
class Phase:
    """What happened to packets while something else happened."""

    name: str
    seconds: float
    by_address: Mapping[IPv4Address, Counted]

    @property
    def sent(self) -> int:
        return sum(count.sent for count in self.by_address.values())

    @property
    def lost(self) -> int:
        return sum(count.lost for count in self.by_address.values())

    @property
    def outage(self) -> float:
        """Seconds that the address that fared worst went without an answer."""
        return max((count.longest * EVERY for count in self.by_address.values()), default=0.0)

    @property
    def silent(self) -> tuple[IPv4Address, ...]:
        """Addresses that no packet was sent to, or that answered nothing at all."""
        return tuple(a for a, count in self.by_address.items() if count.sent == count.lost)

    def as_document(self) -> dict[str, object]:
        return {
            "phase": self.name,
            "seconds": round(self.seconds, 2),
            "sent": self.sent,
            "lost": self.lost,
            "longest_outage_seconds": round(self.outage, 2),
            "by_address": {str(a): {"sent": c.sent, "lost": c.lost} for a, c in self.by_address.items()},
        }
