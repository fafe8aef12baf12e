"""The advertisements that golden configurations are made of, and how each kind of speaker says them.

    python -m tests.unit.agent.golden_cases

writes the goldens anew, to be looked over before they are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import bird_text, frr_text
from hopkeeper_agent.speakers.exabgp_configuration import route
from hopkeeper_agent.speakers.exabgp_helper import Memory
from hopkeeper_agent.speakers.frr_text import Running, Style
from hopkeeper_agent.speakers.settings import Client

GOLDENS = Path(__file__).with_name("goldens")
ASN = 65001
SELF = "10.0.1.4"


@dataclass(frozen=True)
class Case:
    """Advertisements as (prefix, next hop, prepend), the communities they carry, what is for on-premises alone, clients."""

    routes: tuple[tuple[str, str, int], ...]
    communities: tuple[str, ...] = ()
    outward: tuple[tuple[str, str, int], ...] = ()
    clients: tuple[Client, ...] = ()

    def table(self) -> dict[IPv4Network, Advertisement]:
        items = [
            Advertisement(IPv4Network(prefix), IPv4Address(hop), prepend, toward)
            for toward, routes in ((Toward.ROUTE_SERVERS, self.routes), (Toward.OUTWARD, self.outward))
            for prefix, hop, prepend in routes
        ]
        return {item.prefix: item for item in items}

    @property
    def operator(self) -> str:
        """The golden configuration of the operator that it goes with."""
        return "operator-outward.conf" if self.outward else "operator.conf"


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
    "clients": Case((("0.0.0.0/0", "10.0.1.100", 0),), clients=CLIENTS),
    "communities": Case((("0.0.0.0/0", "10.0.1.100", 1),), ("65001:7", "65001:100")),
    "outward-standby": Case((("0.0.0.0/0", "10.0.1.100", 0),), outward=(("10.0.0.0/16", SELF, 3),)),
    "outward-serving": Case(
        (("0.0.0.0/0", "10.0.1.100", 0),), ("65001:7",), (("10.0.0.0/16", SELF, 0), ("10.4.0.0/16", SELF, 0))
    ),
}
NEIGHBOURS = {Toward.ROUTE_SERVERS: ["10.0.0.36", "10.0.0.37"], Toward.OUTWARD: ["192.168.100.1"]}


def bird(case: Case) -> str:
    """The included file."""
    groups = tuple(Toward) if case.outward else (Toward.ROUTE_SERVERS,)
    return bird_text.render(case.table(), ASN, case.communities, groups, case.clients)


def frr(case: Case) -> str:
    """What is typed in configuration mode."""
    lists = frr_text.client_commands(Running(), case.clients)
    return "".join(f"{line}\n" for line in lists) + frr_text.render(case.table(), Style(ASN, case.communities))


def exabgp(case: Case) -> str:
    """The commands."""
    helper, commands = Memory(1, "fingerprint"), list[str]()
    for toward in Toward:
        items = sorted((item for item in case.table().values() if item.toward is toward), key=lambda item: item.prefix)
        changes = [(str(item.prefix), route(item, ASN, case.communities)) for item in items]
        request: dict[str, object] = {"id": 1, "changes": changes}
        if case.outward:
            request["neighbors"] = NEIGHBOURS[toward]
        commands += helper.feed_agent(json.dumps(request)) if changes else []
    return "".join(f"{command}\n" for command in commands)


SPEAKERS: Mapping[str, Callable[[Case], str]] = {"bird": bird, "frr": frr, "exabgp": exabgp}


def golden(kind: str, name: str) -> Path:
    """Where the golden of a case is."""
    return GOLDENS / kind / f"{name}.conf"


if __name__ == "__main__":
    for kind, render in SPEAKERS.items():
        for name, case in CASES.items():
            golden(kind, name).write_text(render(case))
