"""FRR's language: the commands that bring bgpd from one set of routes to another, and what bgpd shows. Pure text.

A route is a `network` statement that names one of our route-maps. A route-map's name says all that is in it, so none is
ever edited: a change of next hop or prepending is a new name in the `network` statement, and bgpd replaces the path in
place 50 ms later (its own batching). Editing a route-map instead waits for `bgp route-map delay-timer`, 5 s.
No prefix-list is made: when one that a neighbour's policy names changes, bgpd sends everything again. Policies can match
our routes by their tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers.daemon import PeerReading, Routes
from hopkeeper_agent.speakers.settings import Client

PREFIX = "hopkeeper-"
TAGS = {Toward.ROUTE_SERVERS: 4242, Toward.OUTWARD: 4243}
"""Local to bgpd: an operator's outbound policy matches them to send each group its own routes."""

CLIENTS = f"{PREFIX}clients"
"""A hub speaker has a pair of lists for each client, and this pair for all of them."""
_LIST = re.compile(r"((?:bgp as-path access-list|ip prefix-list) hopkeeper-client\S*) (?:seq \d+ )?(\S.*?)\s*")

_NAME = re.compile(rf"{PREFIX}(outward-)?(\d+\.\d+\.\d+\.\d+)-(\d+)(-[0-9a-f]{{8}})?")
_OUTBOUND = (
    "routeMapForOutgoingAdvertisements",
    "outgoingUpdatePrefixFilterList",
    "outgoingUpdateNetworkFilterList",
)
_NETWORK = re.compile(r"\s+network (\d+\.\d+\.\d+\.\d+/\d+)(?: .*?route-map (\S+))?.*")


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of `show running-config` that matter: route-maps of networks by prefix, and the lines of our route-maps.

    `lists`: the lines of the clients' lists, each with its list and its rule without the sequence number.
    """

    networks: Mapping[IPv4Network, str | None] = field(default_factory=dict)
    maps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_instance: bool = False
    checks_imports: bool = True
    lists: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Style:
    """What every route carries beside its own attributes, and how it is named."""

    asn: int
    communities: tuple[str, ...] = ()

    def name(self, item: Advertisement) -> str:
        """The route-map of an advertisement."""
        suffix = f"-{sha256(' '.join(self.communities).encode()).hexdigest()[:8]}" if self.communities else ""
        group = "outward-" if item.toward is Toward.OUTWARD else ""
        return f"{PREFIX}{group}{item.next_hop}-{item.prepend}{suffix}"

    def body(self, item: Advertisement) -> list[str]:
        """The lines of its route-map."""
        lines = [f"set ip next-hop {item.next_hop}", f"set tag {TAGS[item.toward]}"]
        if self.communities:
            lines.append(f"set community {' '.join(self.communities)}")
        if item.prepend:
            lines.append(f"set as-path prepend {' '.join([str(self.asn)] * item.prepend)}")
        return lines

    def item(self, prefix: IPv4Network, name: str) -> Advertisement | None:
        """The advertisement of a `network` statement; None for a route-map that we would not name so now."""
        if not (match := _NAME.fullmatch(name)):
            return None
        toward = Toward.OUTWARD if match[1] else Toward.ROUTE_SERVERS
        item = Advertisement(prefix, IPv4Address(match[2]), int(match[3]), toward)
        return item if self.name(item) == name else None


def commands(running: Running, held: Routes, wanted: Routes, style: Style) -> list[str]:
    """What to type in configuration mode to go from `held` to `wanted`; empty if nothing changes. Withdrawals come last.

    A `network` statement of the operator's is replaced in place: bgpd sends one UPDATE where that changes the route, else none.
    """
    changed = [wanted[prefix] for prefix in sorted(wanted) if held.get(prefix) != wanted[prefix]]
    gone = sorted(held.keys() - wanted.keys())
    typed: list[str] = []
    for name, item in {style.name(item): item for item in changed}.items():
        if not is_intact(running, item, style):
            if name in running.maps:
                # Edited by hand, it is no longer what its name says.
                typed.append(f"no route-map {name}")
            typed += [f"route-map {name} permit 10", *style.body(item), "exit"]
    if changed or gone:
        typed += [f"router bgp {style.asn}", "address-family ipv4 unicast"]
        typed += [f"network {item.prefix} route-map {style.name(item)}" for item in changed]
        typed += [f"no network {prefix}" for prefix in gone]
        typed += ["exit", "exit"]
    return typed


def client_lists(clients: Sequence[Client]) -> list[tuple[str, str]]:
    """The lists of these clients, each line as (list, rule): which prefixes and AS paths a client may announce."""
    lines: list[tuple[str, str]] = []
    for client in clients:
        for name in (f"{PREFIX}client-{client.address}", CLIENTS):
            lines.append((f"bgp as-path access-list {name}", f"permit ^{client.asn}(_{client.asn})*$"))
            lines += [(f"ip prefix-list {name}", f"permit {prefix}") for prefix in client.prefixes]
    named = {name for name, _ in lines}
    bare = [f"ip prefix-list {PREFIX}client-{client.address}" for client in clients] + [f"ip prefix-list {CLIENTS}"]
    return [*dict.fromkeys(lines), *((name, "deny any") for name in bare if name not in named)]


def client_commands(running: Running, clients: Sequence[Client]) -> list[str]:
    """What to type in configuration mode for these clients; empty if nothing changes.

    Line by line, new ones first: a list that is gone for a moment denies everything. Without clients this is no hub
    speaker, and lists of that name may be the operator's: they stay.
    """
    if not clients:
        return []
    wanted, there = client_lists(clients), set(running.lists.values())
    added = [f"{name} {rule}" for name, rule in wanted if (name, rule) not in there]
    return added + [f"no {line}" for line, words in running.lists.items() if words not in wanted]


def adds_outward(held: Routes, wanted: Routes) -> bool:
    """Whether a route for on-premises neighbours is new or changes."""
    return any(item.toward is Toward.OUTWARD and held.get(prefix) != item for prefix, item in wanted.items())


def after(running: Running, held: Routes, wanted: Routes, style: Style) -> Running:
    """The running configuration once `commands` was typed."""
    added = {style.name(item): ("permit 10", *style.body(item)) for item in wanted.values()}
    others = {prefix: name for prefix, name in running.networks.items() if prefix not in held}
    ours = {prefix: style.name(item) for prefix, item in wanted.items()}
    return replace(running, networks={**others, **ours}, maps={**running.maps, **added})


def leftovers(running: Running, held: Routes, wanted: Routes | None, style: Style) -> list[str]:
    """What to type in configuration mode to remove what is ours and not used.

    route-map of ours that no network names               | removed
    network of ours, neither held nor wanted              | withdrawn: named as an earlier configuration of ours had it
    the same while nothing was ordered (`wanted` is None) | stays
    """
    used = set(running.networks.values())
    removed = [f"no route-map {name}" for name in sorted(running.maps) if name not in used]
    if wanted is None:
        return removed
    gone = [p for p in sorted(running.networks) if _is_ours(running, p) and p not in held and p not in wanted]
    return removed + _withdrawals(gone, style)


def _is_ours(running: Running, prefix: IPv4Network) -> bool:
    """Whether a `network` statement may be removed, though it is not held: it names a route-map of ours."""
    name = running.networks[prefix]
    return name is not None and name.startswith(PREFIX)


def _withdrawals(gone: Sequence[IPv4Network], style: Style) -> list[str]:
    if not gone:
        return []
    entered = [f"router bgp {style.asn}", "address-family ipv4 unicast"]
    return [*entered, *(f"no network {prefix}" for prefix in gone), "exit", "exit"]


def missing(held: Routes, wanted: Routes | None) -> str:
    """What FRR should hold and does not, in words; empty if nothing is missing."""
    lacking = sorted(str(prefix) for prefix in (wanted or {}).keys() - held.keys())
    return f"FRR does not hold {', '.join(lacking)}" if lacking else ""


def unfit_settings(running: Running, known: Mapping[IPv4Address, Mapping[str, Any]]) -> dict[str, str]:
    """The operator's settings that would defeat a failover, by topic; an empty text where all is well.

    `known`: the neighbours of `show bgp neighbors json`.
    """
    graceful = [str(address) for address, peer in known.items() if restarts_gracefully(peer)]
    replaced = [str(address) for address, peer in known.items() if own_next_hop(peer)]
    unseen = "on: networks that are in no table are not announced"
    return {
        "graceful-restart": f"on for {', '.join(graceful)}: a dead NVA's routes would stay" if graceful else "",
        "import-check": unseen if running.checks_imports else "",
        "next-hop": f"replaced for {', '.join(replaced)}: attribute-unchanged next-hop is missing" if replaced else "",
    }


def render(wanted: Routes, style: Style) -> str:
    """The same commands as the lines of a configuration file."""
    return "".join(f"{command}\n" for command in commands(Running(), {}, wanted, style))


def is_intact(running: Running, item: Advertisement, style: Style) -> bool:
    """Whether the route-map of an advertisement is there as we make it."""
    return sorted(running.maps.get(style.name(item), ())) == sorted(["permit 10", *style.body(item)])


def parse_running(text: str, asn: int) -> Running:
    """Read `show running-config`. Only the default instance counts: another one names its view or VRF.

    section begins with     | taken from it
    router bgp ASN          | networks of address-family ipv4 unicast, and whether it checks imports
    route-map hopkeeper-…   | its action and its lines, by name
    a list of the clients   | the line itself
    anything else           | nothing
    """
    networks: dict[IPv4Network, str | None] = {}
    maps: dict[str, list[str]] = {}
    lists: dict[str, tuple[str, str]] = {}
    has_instance, checks_imports = False, True
    for head, lines in _sections(text):
        if head == f"router bgp {asn}":
            has_instance = True
            checks_imports &= not any(line.strip() == "no bgp network import-check" for line in lines)
            networks |= _networks(lines)
        elif head.startswith(f"route-map {PREFIX}"):
            _, name, *action = head.split()
            body = [line.strip() for line in lines if line.startswith(" ")]
            maps.setdefault(name, []).extend([" ".join(action), *body])
        elif match := _LIST.fullmatch(head):
            lists[head.strip()] = (match[1], match[2])
    return Running(networks, {name: tuple(lines) for name, lines in maps.items()}, has_instance, checks_imports, lists)


def _sections(text: str) -> list[tuple[str, list[str]]]:
    """Each line that is not indented, with the indented ones under it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line and not line[0].isspace() and line != "!":
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    return found


def _networks(lines: Sequence[str]) -> dict[IPv4Network, str | None]:
    """The route-map that each `network` statement names, by prefix."""
    found: dict[IPv4Network, str | None] = {}
    family = ""
    for line in lines:
        if line.startswith(" address-family"):
            family = line.strip()
        elif family == "address-family ipv4 unicast" and (match := _NETWORK.fullmatch(line)):
            found[IPv4Network(match[1])] = match[2]
    return found


def peers(text: str, wanted: Sequence[IPv4Address]) -> dict[IPv4Address, PeerReading]:
    """The sessions of `show bgp ipv4 unicast summary json`."""
    found = {}
    known = _object(text).get("peers", {})
    for address in wanted:
        peer = known.get(str(address))
        if peer is not None:
            up = peer.get("state") == "Established"
            epoch = peer.get("peerUptimeEstablishedEpoch")
            since = datetime.fromtimestamp(epoch, timezone.utc) if up and epoch else None
            found[address] = PeerReading(up, since, int(peer.get("pfxSnt", 0)), not peer.get("outq"))
    return found


def sent(text: str) -> dict[IPv4Network, Advertisement]:
    """The routes of `show bgp ipv4 unicast neighbors … advertised-routes json`, as they were sent.

    An operator's aggregate is shown without a next hop of IPv4: bgpd puts its own address there, as for 0.0.0.0. What his
    `default-originate` sends is not among the routes.
    """
    shown = _object(text)
    found = {}
    if originated := shown.get("bgpOriginatingDefaultNetwork"):
        found[IPv4Network(originated)] = Advertisement(IPv4Network(originated), IPv4Address(0), 0)
    for prefix, route in (shown.get("advertisedRoutes") or {}).items():
        network = IPv4Network(prefix)
        # The own ASN in front is set on sending and not shown.
        prepend = len(str(route.get("path", "")).split())
        found[network] = Advertisement(network, IPv4Address(route.get("nextHop", 0)), prepend)
    return found


def restarts_gracefully(neighbour: Mapping[str, Any]) -> bool:
    """Whether a session was offered graceful restart, or the next one would be."""
    offered = str(neighbour.get("neighborCapabilities", {}).get("gracefulRestartCapability", ""))
    mode = str(neighbour.get("gracefulRestartInfo", {}).get("localGrMode", "Disable"))
    return offered.startswith("advertised") or not mode.startswith("Disable")


def hold_seconds(neighbour: Mapping[str, Any]) -> int | None:
    """As negotiated, of a session that is Established (RFC 4271, 4.2); None where it is not, or bgpd does not say."""
    milliseconds = neighbour.get("bgpTimerHoldTimeMsecs")
    if neighbour.get("bgpState") != "Established" or not isinstance(milliseconds, int):
        return None
    return milliseconds // 1000


def own_next_hop(neighbour: Mapping[str, Any]) -> IPv4Address | None:
    """The address that bgpd announces to this neighbour in place of our next hops; None if it keeps ours.

    Beyond its own subnet it announces itself unless configured otherwise. What an operator's route-map does to the next hop
    is unknown here.
    """
    family = neighbour.get("addressFamilyInfo", {}).get("ipv4Unicast", {})
    if family.get("unchangedNextHopPropogatedToNbr") or family.get("routeMapForOutgoingAdvertisements"):
        return None
    own = neighbour.get("nexthop")
    return IPv4Address(own) if own else None


def sends_everything(neighbour: Mapping[str, Any]) -> bool:
    """Whether a neighbour has no outbound policy, so that it would be sent what is for another group.

    An AS-path access-list is none: routes of both groups have our ASN alone.
    """
    family = neighbour.get("addressFamilyInfo", {}).get("ipv4Unicast", {})
    return not any(family.get(policy) for policy in _OUTBOUND)


def neighbours(text: str) -> dict[str, Mapping[str, Any]]:
    """`show bgp neighbors json` by address."""
    return {address: value for address, value in _object(text).items() if isinstance(value, dict)}


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text) if text.strip() else {}
    return value if isinstance(value, dict) else {}
