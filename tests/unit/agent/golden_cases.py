"""The advertisements that golden configurations are made of, and how each kind of speaker says them.

    python -m tests.unit.agent.golden_cases

writes the goldens anew, to be looked over before they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hopkeeper_agent.role import Advertisement
from hopkeeper_agent.speakers import bird_text, frr_text
from hopkeeper_agent.speakers.exabgp_configuration import route
from hopkeeper_agent.speakers.frr_text import Running, Style
from hopkeeper_agent.speakers.settings import Client

GOLDENS = Path(__file__).with_name("goldens")
ASN = 65001
SELF = "10.0.1.4"


@dataclass(frozen=True)
class Case:
    """Advertisements as (prefix, next hop, prepend), the communities they carry, and a hub speaker's clients."""

    routes: tuple[tuple[str, str, int], ...]
    communities: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()

    def table(self) -> dict[IPv4Network, Advertisement]:
        items = [Advertisement(IPv4Network(prefix), IPv4Address(hop), prepend) for prefix, hop, prepend in self.routes]
        return {item.prefix: item for item in items}


CLIENTS = (
    Client(IPv4Address("10.0.1.5"), 65002, (IPv4Network("10.8.0.0/24"), IPv4Network("10.9.0.0/24"))),
    Client(IPv4Address("10.0.1.6"), 65002, ()),
)
CASES = {
    "nothing": Case(()),
    "default-route": Case((("0.0.0.0/0", "10.0.1.100", 0),)),
    "next-hop-self": Case((("0.0.0.0/0", SELF, 3),)),
    "several": Case((("0.0.0.0/0", "10.0.1.100", 0), ("10.9.0.0/16", SELF, 1), ("100.64.0.1/32", "10.10.0.5", 2))),
    "prepends": Case(tuple((f"10.9.{prepend}.0/24", "10.0.1.100", prepend) for prepend in range(17))),
    "clients": Case((("0.0.0.0/0", "10.0.1.100", 0),), (), CLIENTS),
    "communities": Case((("0.0.0.0/0", "10.0.1.100", 1),), ("65001:7", "65001:100")),
}


def bird(case: Case) -> str:
    """The included file."""
    return bird_text.render(case.table(), ASN, case.communities, case.clients)


def frr(case: Case) -> str:
    """What is typed in configuration mode."""
    lists = frr_text.client_commands(Running(), case.clients)
    return "".join(f"{line}\n" for line in lists) + frr_text.render(case.table(), Style(ASN, case.communities))


def exabgp(case: Case) -> str:
    """The commands."""
    items = sorted(case.table().values(), key=lambda item: item.prefix)
    return "".join(f"announce route {item.prefix} {route(item, ASN, case.communities)}\n" for item in items)


SPEAKERS: Mapping[str, Callable[[Case], str]] = {"bird": bird, "frr": frr, "exabgp": exabgp}


def golden(kind: str, name: str) -> Path:
    """Where the golden of a case is."""
    return GOLDENS / kind / f"{name}.conf"


if __name__ == "__main__":
    for kind, render in SPEAKERS.items():
        for name, case in CASES.items():
            golden(kind, name).write_text(render(case))
