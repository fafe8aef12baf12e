"""The section `[speaker]` of the configuration, one shape for each kind of daemon."""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from hopkeeper_agent.role import Toward
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from hopkeeper_agent.speakers.settings import (
    POLL_SECONDS,
    PREFIX_BUDGET,
    BgpNeighbour,
    BirdSettings,
    Budget,
    Client,
    DaemonSettings,
    FrrSettings,
    Relay,
)
from hopkeeper_agent.toml_table import ConfigError, Table

SpeakerSettings = BgpSettings | BirdSettings | FrrSettings

PORT_MAX = 65535
ASN_MAX = 65534  # Route Server takes 2-byte peers only
_COMMUNITY = re.compile(r"(\d{1,5}):(\d{1,5})")


def decode_speaker(table: Table) -> SpeakerSettings | None:
    """None for an appliance that speaks BGP by other means; raises ConfigError."""
    match table.text("kind"):
        case "none":
            settings: SpeakerSettings | None = None
        case "exabgp":
            settings = _exabgp(table)
        case "bird":
            control, include = table.path("control", "/run/bird/bird.ctl"), table.path("include")
            settings = BirdSettings(_daemon(table), control, include)
        case "frr":
            settings = FrrSettings(vty=table.path("vty", "/run/frr/bgpd.vty"), daemon=_daemon(table))
        case _:
            raise table.wrong("kind", "must be exabgp, bird, frr or none")
    table.finish()
    return settings


def _exabgp(table: Table) -> BgpSettings:
    address, neighbours = table.address("address"), _neighbours(table)
    relays, as_override = _relays(table, neighbours), table.flag("as_override", False)
    if as_override and not relays:
        raise table.wrong("as_override", "needs relays: it removes BGP's guard against loops, so it goes with prefixes")
    return BgpSettings(
        address=address,
        asn=table.integer("asn", low=1, high=ASN_MAX),
        router_id=table.address("router_id", address),
        port=table.integer("port", 179, low=1, high=PORT_MAX),
        hold_time=table.integer("hold_time", 180, low=3, high=PORT_MAX),
        neighbours=neighbours,
        clients=_clients(table, neighbours, listens=True),
        relays=relays,
        as_override=as_override,
        announces=_prefixes(table, "announces") if table.has("announces") else (),
        communities=_communities(table),
        budget=_budget(table),
        fatal=table.flag("fatal", True),
    )


def _daemon(table: Table) -> DaemonSettings:
    neighbours = _neighbours(table)
    return DaemonSettings(
        asn=table.integer("asn", low=1, high=ASN_MAX),
        neighbours=neighbours,
        clients=_clients(table, neighbours, listens=False),
        communities=_communities(table),
        budget=_budget(table),
        poll_seconds=table.number("poll_seconds", POLL_SECONDS, low=0.02, high=60),
        fatal=table.flag("fatal", True),
    )


def _neighbours(table: Table) -> tuple[BgpNeighbour, ...]:
    neighbours = []
    for item in table.tables("neighbors"):
        group = item.text("group", Toward.ROUTE_SERVERS)
        if group not in list(Toward):
            raise item.wrong("group", f"must be {' or '.join(Toward)}")
        asn = item.integer("asn", low=1, high=2**32 - 1)
        neighbours.append(BgpNeighbour(item.address("address"), asn, Toward(group)))
        item.finish()
    if not neighbours:
        raise table.wrong("neighbors", "missing, a speaker needs at least one")
    if len({neighbour.address for neighbour in neighbours}) != len(neighbours):
        raise ConfigError("speaker.neighbors: every address must be a different one")
    return tuple(neighbours)


def _clients(table: Table, neighbours: tuple[BgpNeighbour, ...], *, listens: bool) -> tuple[Client, ...]:
    clients, taken = [], {neighbour.address for neighbour in neighbours}
    for item in table.tables("clients"):
        address, asn = item.address("address"), item.integer("asn", low=1, high=2**32 - 1)
        listen = item.flag("listen", False) if listens else False
        clients.append(Client(address, asn, _prefixes(item, "prefixes"), listen))
        item.finish()
        if address in taken:
            raise ConfigError("speaker.clients: every address must be a different one, and no neighbour's")
        taken.add(address)
    return tuple(sorted(clients, key=lambda client: client.address))


def _relays(table: Table, neighbours: tuple[BgpNeighbour, ...]) -> tuple[Relay, ...]:
    known, relays = {str(neighbour.address): neighbour.address for neighbour in neighbours}, list[Relay]()
    for item in table.tables("relays"):
        ends = []
        for key in ("from", "to"):
            texts = item.texts(key)
            if not set(texts) <= known.keys():
                raise item.wrong(key, "must be addresses of neighbors")
            ends.append(tuple(known[text] for text in texts))
        relay = Relay(ends[0], ends[1], _prefixes(item, "prefixes"))
        if any(set(relay.prefixes) & set(other.prefixes) for other in relays):
            raise item.wrong("prefixes", "a prefix is relayed once: from one Route Server to others")
        if set(relay.sources) & set(relay.targets):
            raise item.wrong("to", "would send routes back to where they come from")
        relays.append(relay)
        item.finish()
    return tuple(relays)


def _prefixes(table: Table, key: str) -> tuple[IPv4Network, ...]:
    try:
        return tuple(sorted({IPv4Network(text) for text in table.texts(key, allow_empty=True)}))
    except ValueError as error:
        raise table.wrong(key, f"must be IPv4 prefixes: {error}") from error


def _budget(table: Table) -> Budget:
    prefixes = table.integer("prefix_budget", PREFIX_BUDGET, low=1, high=1_000_000)
    over = table.text("over_budget", "split")
    if over not in ("split", "refuse"):
        raise table.wrong("over_budget", "must be split or refuse")
    return Budget(prefixes, over == "split")


def _communities(table: Table) -> tuple[str, ...]:
    if not table.has("communities"):
        return ()
    found = table.texts("communities", allow_empty=True)
    for text in found:
        match = _COMMUNITY.fullmatch(text)
        if match is None or not all(int(part) <= PORT_MAX for part in match.groups()):
            raise table.wrong("communities", "each must be two numbers, as 65001:100")
    # In the order in which daemons show them.
    return tuple(sorted(set(found), key=lambda text: [int(part) for part in text.split(":")]))
