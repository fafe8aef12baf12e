"""The Route Server's two instances: BIRD, AS 65515, next hops as received, best routes merged as Azure's ECMP.

Configurations as text, BIRD's control socket, and what its counters say of every session.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from lab.kit import bird
from lab.packets.fabric import ADDRESSES, INSTANCES

ASN = 65515


@dataclass(frozen=True, slots=True)
class Timers:
    """BGP's timers in seconds."""

    hold: int = 180
    keepalive: int = 60

    def text(self, startup: bool) -> str:
        return bird.hold(self.hold, self.keepalive, startup)


@dataclass(frozen=True, slots=True)
class SessionCount:
    """What an instance has of one peer. An update is one prefix announced, also when it replaces what was there; `changes` are
    those that were another route than the one before."""

    established: bool
    updates: int
    withdrawals: int
    changes: int = 0


@dataclass(frozen=True, slots=True)
class LearnedRoute:
    """A route as an instance holds it."""

    peer: str
    prefix: str
    next_hop: str
    as_path: tuple[int, ...]


def configuration(instance: str, peers: Mapping[str, int], timers: Timers) -> str:
    """BIRD's configuration for one instance; `peers` are nodes with their ASNs."""
    own = ADDRESSES[instance]
    return bird.head(own, bird.LINK, bird.TO_KERNEL) + "".join(
        bird.session(peer, (own, ASN), (ADDRESSES[peer], asn), timers.text(startup=True), "import all; export none;")
        for peer, asn in sorted(peers.items())
    )


@dataclass(frozen=True, slots=True)
class Announced:
    """What an NVA announces: a prefix, with so many prepends, with itself or another address as next hop."""

    prefix: str
    prepend: int = 0
    next_hop: IPv4Address | None = None


def announcer(node: str, asn: int, announced: Announced, timers: Timers) -> str:
    """BIRD's configuration for an NVA that announces this to both instances."""
    own, prefix = ADDRESSES[node], announced.prefix
    changes = f"bgp_path.prepend({asn}); " * announced.prepend
    changes += f"bgp_next_hop = {announced.next_hop}; " if announced.next_hop is not None else ""
    channel = f"import none; export filter {{ if net != {prefix} then reject; {changes}accept; }};"
    vip = f"protocol static vip {{ ipv4; route {prefix} blackhole; }}\n"
    return bird.head(own, bird.LINK, vip) + "".join(
        bird.session(instance, (own, asn), (ADDRESSES[instance], ASN), timers.text(startup=False), channel)
        for instance in INSTANCES
    )


def ask(control: Path, command: str) -> list[str]:
    """One command on BIRD's control socket; its answer's lines. Raises OSError where no BIRD answers."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(str(control))
        with line.makefile("rw") as words:
            words.readline()  # the greeting
            words.write(f"{command}\n")
            words.flush()
            answer: list[str] = []
            while text := words.readline():
                answer.append(text.rstrip("\n"))
                if re.match(r"\d{4} ", text):
                    break
            return answer


def counts(answer: list[str]) -> dict[str, SessionCount]:
    """What `show protocols all` says of every BGP session, by peer."""
    found: dict[str, SessionCount] = {}
    peer = ""
    for line in answer:
        if (head := re.match(r"(?:1002-| )(\S+)\s+(\S+)\s+", line)) is not None and line[:5] != "     ":
            peer = head[1] if head[2] == "BGP" else ""
            if peer:
                found[peer] = SessionCount("Established" in line, 0, 0)
        if not peer:
            continue
        if (updates := re.search(r"Import updates:\s+(\d+)(?:\s+\S+){3}\s+(\d+)", line)) is not None:
            found[peer] = replace(found[peer], updates=int(updates[1]), changes=int(updates[2]))
        if (gone := re.search(r"Import withdraws:\s+(\d+)", line)) is not None:
            found[peer] = replace(found[peer], withdrawals=int(gone[1]))
    return found


def routes(answer: list[str]) -> tuple[LearnedRoute, ...]:
    """What `show route all` says of routes from BGP."""
    found: list[LearnedRoute] = []
    prefix = peer = ""
    path: tuple[int, ...] = ()
    for line in answer:
        text = re.sub(r"^\d{4}[- ]", "", line)
        if (head := re.match(r"\s*(\d+\.\d+\.\d+\.\d+/\d+)?\s+unicast \[(\w+) ", text)) is not None:
            prefix, peer = head[1] or prefix, head[2]
        elif "BGP.as_path:" in text:
            path = tuple(int(asn) for asn in text.split(":", 1)[1].split())
        elif "BGP.next_hop:" in text:
            found.append(LearnedRoute(peer, prefix, text.split(":", 1)[1].split()[0], path))
    return tuple(found)
