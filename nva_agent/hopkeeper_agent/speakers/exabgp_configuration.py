"""ExaBGP's configuration: its settings, the file and the environment that it starts with. Pure text.

One process has the sessions with all neighbours and, on a hub speaker, with its clients. It opens them itself, so that it
needs no privileged port; it listens only for a client that opens its own session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from hopkeeper_agent.decoding import Address, Addresses, Flag, Key, Port, Prefixes, whole
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers.settings import BgpNeighbour, Client, SpeakerSettings

HELPER = "hopkeeper"

# exabgp.api.ack: by "done" for each command, in order, the agent knows that ExaBGP is alive and has taken a change.
# exabgp.api.respawn is off: a second helper would not know the sessions, so without its helper ExaBGP is started again.
ENVIRONMENT = {
    "exabgp.api.ack": "true",
    "exabgp.api.cli": "false",
    "exabgp.api.respawn": "false",
    "exabgp.daemon.drop": "false",
    "exabgp.log.level": "CRITICAL",
}


@dataclass(frozen=True, slots=True)
class Relay:
    """Prefixes that are passed on, from both instances of one Route Server to both of another."""

    sources: Annotated[Addresses, Key("from")]
    targets: Annotated[Addresses, Key("to")]
    prefixes: Prefixes


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpSettings(SpeakerSettings):
    """The speaker as configured. `port` is the neighbours' TCP port; the lower `hold_time` of both sides counts (seconds).

    `announces` is what it originates by configuration, next hop itself. `as_override`: in relayed paths its own ASN takes
    the place of the Route Server's.
    """

    address: Address
    router_id: Address | None = None
    port: Port = 179
    hold_time: Annotated[int, whole(3, 65535)] = 180
    announces: Prefixes = ()
    relays: tuple[Relay, ...] = ()
    as_override: Flag = False

    def next_hop(self, agent: IPv4Address) -> IPv4Address:
        """The speaker's own address."""
        return self.address

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """What is wrong between keys, as (key, rule)."""
        yield from SpeakerSettings.mistakes(self)
        if self.as_override and not self.relays:
            yield "as_override", "needs relays: it removes BGP's guard against loops, so it goes with prefixes"
        neighbours = {item.address for item in self.neighbours}
        relayed: set[IPv4Network] = set()
        for index, relay in enumerate(self.relays):
            for key, ends in (("from", relay.sources), ("to", relay.targets)):
                if not neighbours.issuperset(ends):
                    yield f"relays[{index}].{key}", "must be addresses of neighbors"
            if relayed.intersection(relay.prefixes):
                yield f"relays[{index}].prefixes", "a prefix is relayed once: from one Route Server to others"
            if set(relay.sources) & set(relay.targets):
                yield f"relays[{index}].to", "would send routes back to where they come from"
            relayed.update(relay.prefixes)


def environment(settings: BgpSettings) -> dict[str, str]:
    """The variables that ExaBGP reads."""
    return {**ENVIRONMENT, "exabgp.tcp.port": str(settings.port)}


def render(settings: BgpSettings, helper: Sequence[str]) -> str:
    """The configuration file; `helper` is the command of the helper process."""
    neighbours = (_neighbour(settings, neighbour) for neighbour in settings.neighbours)
    clients = (_client(settings, client) for client in settings.clients)
    return "".join([_process(helper), *neighbours, *clients])


def passing_arguments(settings: BgpSettings) -> list[str]:
    """Clients and relays as arguments of the helper, without the characters at which ExaBGP splits (commas, blanks)."""
    if not settings.clients and not settings.relays:
        return []
    override = "override" if settings.as_override else ""
    clients = (f"client={c.address}={c.asn}={_joined(c.prefixes)}" for c in settings.clients)
    relays = (f"relay={_joined(r.sources)}={_joined(r.targets)}={_joined(r.prefixes)}" for r in settings.relays)
    neighbours = _joined(n.address for n in settings.neighbours if n.toward is Toward.ROUTE_SERVERS)
    return [f"self={settings.asn}={settings.address}={override}", f"to={neighbours}", *clients, *relays]


def _joined(items: Iterable[IPv4Address | IPv4Network]) -> str:
    return "+".join(map(str, items))


def fingerprint(settings: BgpSettings, configuration: str) -> str:
    """Equal for a running ExaBGP that was started with the same configuration and environment."""
    return hashlib.sha256(repr((environment(settings), configuration)).encode()).hexdigest()


def route(advertisement: Advertisement, asn: int, communities: Sequence[str] = ()) -> str:
    """The route's attributes in ExaBGP's words, which sent UPDATEs are compared in as well."""
    path = " ".join([str(asn)] * (1 + advertisement.prepend))
    carried = f" community [ {' '.join(communities)} ]" if communities else ""
    return f"next-hop {advertisement.next_hop} as-path [ {path} ]{carried}"


def _process(helper: Sequence[str]) -> str:
    return f"process {HELPER} {{\n    run {' '.join(helper)};\n    encoder json;\n}}\n"


def _neighbour(settings: BgpSettings, neighbour: BgpNeighbour) -> str:
    is_source = any(neighbour.address in relay.sources for relay in settings.relays)
    receive = "        receive {\n            parsed;\n            update;\n        }\n" if is_source else ""
    is_outward = neighbour.toward is Toward.OUTWARD
    # Part of the fingerprint: an ExaBGP started without groups has announced everything to all neighbours.
    group = f"    description {neighbour.toward};\n" if is_outward else ""
    return f"""neighbor {neighbour.address} {{
{group}{_session(settings, neighbour.asn)}    api {{
        processes [ {HELPER} ];
        neighbor-changes;
        send {{
            parsed;
            update;
        }}
{receive}    }}
{"" if is_outward else _static(settings)}}}
"""


def _client(settings: BgpSettings, client: Client) -> str:
    # Nothing is announced to a client: the helper names the neighbours in every command.
    passive = f"    passive true;\n    listen {settings.port};\n" if client.listen else ""
    return f"""neighbor {client.address} {{
{_session(settings, client.asn)}{passive}    api {{
        processes [ {HELPER} ];
        neighbor-changes;
        receive {{
            parsed;
            update;
        }}
    }}
}}
"""


def _session(settings: BgpSettings, asn: int) -> str:
    # After a new network peering a Route Server requests everything again (RFC 2918), or without refresh ends the session.
    return f"""    router-id {settings.router_id or settings.address};
    local-address {settings.address};
    local-as {settings.asn};
    peer-as {asn};
    hold-time {settings.hold_time};
    connect {settings.port};
    adj-rib-in false;
    capability {{
        graceful-restart disable;
        route-refresh enable;
    }}
    family {{
        ipv4 unicast;
    }}
"""


def _static(settings: BgpSettings) -> str:
    if not settings.announces:
        return ""
    itself = f"next-hop {settings.address} as-path [ {settings.asn} ]"
    return "    static {\n" + "".join(f"        route {p} {itself};\n" for p in settings.announces) + "    }\n"
