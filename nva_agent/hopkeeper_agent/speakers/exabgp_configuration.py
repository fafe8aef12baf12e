"""What ExaBGP is told at its start: one configuration file, and its environment. Pure text.

One process speaks with all neighbours (both instances of a Route Server too: their addresses differ). Nothing listens:
the agent's side opens every session, so no privileged port is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers.settings import DEFAULT_BUDGET, BgpNeighbour, Budget

HELPER = "hopkeeper"

# exabgp.api.ack stays on: "done" per command, in order, is how the agent knows that ExaBGP lives and has taken a change.
# respawn is off: a second helper would know nothing of the sessions, so losing one means starting ExaBGP anew.
ENVIRONMENT = {
    "exabgp.api.ack": "true",
    "exabgp.api.cli": "false",
    "exabgp.api.respawn": "false",
    "exabgp.daemon.drop": "false",
    "exabgp.log.level": "CRITICAL",
}


@dataclass(frozen=True, slots=True)
class BgpSettings:
    """The speaker as configured. `port` is the neighbours' TCP port, `hold_time` in seconds."""

    address: IPv4Address
    asn: int
    router_id: IPv4Address
    port: int
    hold_time: int
    neighbours: tuple[BgpNeighbour, ...]
    communities: tuple[str, ...] = ()
    budget: Budget = DEFAULT_BUDGET
    fatal: bool = True


def environment(settings: BgpSettings) -> dict[str, str]:
    """The variables that ExaBGP reads."""
    return {**ENVIRONMENT, "exabgp.tcp.port": str(settings.port)}


def render(settings: BgpSettings, helper: Sequence[str]) -> str:
    """The configuration file; `helper` is the command of the helper process."""
    return "".join([_process(helper), *(_neighbour(settings, neighbour) for neighbour in settings.neighbours)])


def fingerprint(settings: BgpSettings, configuration: str) -> str:
    """Tells whether a running ExaBGP was started with the same."""
    return hashlib.sha256(repr((environment(settings), configuration)).encode()).hexdigest()


def route(advertisement: Advertisement, asn: int, communities: Sequence[str] = ()) -> str:
    """The route's attributes as ExaBGP reads them; also the form in which sent UPDATEs are compared."""
    path = " ".join([str(asn)] * (1 + advertisement.prepend))
    carried = f" community [ {' '.join(communities)} ]" if communities else ""
    return f"next-hop {advertisement.next_hop} as-path [ {path} ]{carried}"


def _process(helper: Sequence[str]) -> str:
    return f"process {HELPER} {{\n    run {' '.join(helper)};\n    encoder json;\n}}\n"


def _neighbour(settings: BgpSettings, neighbour: BgpNeighbour) -> str:
    # Part of the fingerprint: a running ExaBGP has told everything to everybody if it did not know of groups.
    group = "" if neighbour.toward is Toward.ROUTE_SERVERS else f"    description {neighbour.toward};\n"
    return f"""neighbor {neighbour.address} {{
{group}\
    router-id {settings.router_id};
    local-address {settings.address};
    local-as {settings.asn};
    peer-as {neighbour.asn};
    hold-time {settings.hold_time};
    connect {settings.port};
    adj-rib-in false;
    capability {{
        graceful-restart disable;
    }}
    family {{
        ipv4 unicast;
    }}
    api {{
        processes [ {HELPER} ];
        neighbor-changes;
        send {{
            parsed;
            update;
        }}
    }}
}}
"""
