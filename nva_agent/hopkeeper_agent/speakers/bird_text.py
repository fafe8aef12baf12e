"""BIRD's language: the file that its configuration includes, and the answers of its control socket. Pure text.

Everything in the file carries our name: a table, a static protocol, a filter, and on a hub speaker a function. The table is
our own, so that no route in it reaches the kernel or another protocol unless the operator connects them. A route's
attributes are part of the route: BIRD replaces a changed static route in place, and its neighbours get one UPDATE.
(Attributes set in an export filter would need a `reload out`, which sends everything again.)
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from ipaddress import IPv4Address, IPv4Network

from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers.settings import Client

TABLE = "hopkeeper4"
PROTOCOL = "hopkeeper_routes"
FILTER = "hopkeeper_export"
FUNCTION = "hopkeeper_of_a_client"
"""Our names for Route Servers, and the function that a hub speaker's filters call."""

_FIRST_LINE = "# Written by the Hopkeeper agent: changes are lost. Everything here is named hopkeeper…\n"

_TABLE_LINE = f"ipv4 table {TABLE};\n\n"
_FUNCTION = re.compile(rf"(?<={re.escape(_TABLE_LINE)})function {FUNCTION}\(\) {{\n.*?\n}}\n\n", re.DOTALL)
_CODED = re.compile(r"(\d{4})([ -])(.*)")
_ROUTE = re.compile(r"(\d+\.\d+\.\d+\.\d+/\d+)\s")
_ALTERNATIVE = re.compile(r" +\S.* \[")
_PEER = re.compile(r"(\S+)\s+BGP\s+\S+\s+(\S+)\s+(.*?)(?:\s{2,}.*)?")
_EXPORTED = re.compile(r"Routes:.*?(?<!\d)(\d+) exported")


@dataclass(frozen=True, slots=True)
class Names:
    """Our names for one group of neighbours: its sessions export the table through the filter."""

    table: str
    protocol: str
    filter: str

    def head(self) -> str:
        """Everything but the routes and the last brace.

        The filter's text never changes, as BIRD would then export everything again. Assigning the next hop to itself makes
        it count as set on export: BIRD would announce its own address otherwise.
        """
        return f"""\
ipv4 table {self.table};

filter {self.filter} {{
    if proto != "{self.protocol}" then reject;
    bgp_next_hop = bgp_next_hop;
    accept;
}}

protocol static {self.protocol} {{
    ipv4 {{ table {self.table}; }};
"""


OURS = {
    Toward.ROUTE_SERVERS: Names(TABLE, PROTOCOL, FILTER),
    Toward.OUTWARD: Names("hopkeeper_outward4", "hopkeeper_outward", "hopkeeper_outward_export"),
}


@dataclass(frozen=True, slots=True)
class BirdReply:
    """A complete answer: its last code, and its lines without codes."""

    code: int
    lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether it is an error: 8xxx at run time, 9xxx in the command itself."""
        return self.code >= 8000


@dataclass(frozen=True, slots=True)
class BgpProtocol:
    """One BGP protocol of `show protocols all`."""

    name: str
    neighbour: IPv4Address
    established: bool
    since: datetime | None
    exported: int
    table: str
    restarts_gracefully: bool
    hold_seconds: int | None


def render(
    routes: Mapping[IPv4Network, Advertisement],
    asn: int,
    communities: Sequence[str],
    groups: Sequence[Toward] = (Toward.ROUTE_SERVERS,),
    clients: Sequence[Client] = (),
) -> str:
    """The included file for these routes; `groups` are those whose names the operator's sessions may use."""
    text = _FIRST_LINE
    for toward in groups:
        own = [routes[prefix] for prefix in sorted(routes) if routes[prefix].toward is toward]
        text += OURS[toward].head() + "".join(_route(item, asn, communities) for item in own) + "}\n"
    return with_clients(text, clients)


def with_clients(text: str, clients: Sequence[Client]) -> str:
    """The file with the function for these clients in place of its present one; without clients it has none.

    The function decides whether a route is a client's; the operator's import and export filters call it.
    """
    bare = _FUNCTION.sub("", text)
    return bare.replace(_TABLE_LINE, _TABLE_LINE + _function(clients), 1) if clients else bare


def empty(toward: Toward) -> str:
    """A group's part of the file while nothing is announced to it."""
    return OURS[toward].head() + "}\n"


def is_whole(data: bytes) -> bool:
    """Whether an answer is complete: its last line has a code followed by a blank."""
    if not data.endswith(b"\n"):
        return False
    last = data[:-1].rsplit(b"\n", 1)[-1]
    return len(last) >= 5 and last[:4].isdigit() and last[4:5] == b" "


def answer(data: bytes) -> BirdReply:
    """Parse an answer. A line that begins with a blank continues the code before it; one with + is a log line."""
    code, lines = 0, []
    for line in data.decode(errors="replace").splitlines():
        if match := _CODED.fullmatch(line):
            code = int(match[1])
            lines.append(match[3])
        elif not line.startswith("+"):
            lines.append(line.removeprefix(" "))
    return BirdReply(code, tuple(lines))


def routes(lines: Sequence[str], communities: Sequence[str]) -> dict[IPv4Network, Advertisement]:
    """The routes of `show route … all` with a next hop that carry exactly these communities."""
    found: dict[IPv4Network, Advertisement] = {}
    for prefix, attributes in _shown(lines):
        carried = re.findall(r"\((\d+),(\d+)\)", attributes.get("BGP.community", ""))
        if "BGP.next_hop" in attributes and sorted(":".join(pair) for pair in carried) == sorted(communities):
            found.setdefault(prefix, _advertisement(prefix, attributes))
    return found


def sent(lines: Sequence[str]) -> dict[IPv4Network, Advertisement]:
    """The routes of `show route … export … all`, as they leave. One without a next hop, which BIRD sets to its own address on
    the way out, has 0.0.0.0."""
    found: dict[IPv4Network, Advertisement] = {}
    for prefix, attributes in _shown(lines):
        found.setdefault(prefix, _advertisement(prefix, attributes))
    return found


def prefixes(lines: Sequence[str]) -> frozenset[IPv4Network]:
    """Those of `show route`."""
    return frozenset(prefix for prefix, _ in _shown(lines))


def _advertisement(prefix: IPv4Network, attributes: Mapping[str, str]) -> Advertisement:
    shown = attributes.get("BGP.next_hop")
    next_hop = IPv4Address(shown.split()[0] if shown else 0)
    # The own ASN in front is set on sending and not shown.
    return Advertisement(prefix, next_hop, len(attributes.get("BGP.as_path", "").split()))


def _shown(lines: Sequence[str]) -> Iterator[tuple[IPv4Network, Mapping[str, str]]]:
    """Each prefix, with the attributes of its best route, which comes first."""
    prefix, attributes, is_best = None, dict[str, str](), True
    for line in [*lines, "0.0.0.0/0 "]:  # one more, to close the last
        if match := _ROUTE.match(line):
            if prefix is not None:
                yield prefix, attributes
            prefix, attributes, is_best = IPv4Network(match[1]), {}, True
        elif _ALTERNATIVE.match(line):
            is_best = False
        elif is_best and ": " in line:
            key, value = line.strip().split(": ", 1)
            attributes[key] = value


def protocols(lines: Sequence[str], now: datetime) -> list[BgpProtocol]:
    """The BGP protocols of `show protocols all`; `now` completes the times that BIRD shows without a date."""
    found: list[BgpProtocol] = []
    for block in _blocks(lines):
        header, text = _PEER.fullmatch(block[0]), "\n".join(block)
        address = re.search(r"Neighbor address: (\d+\.\d+\.\d+\.\d+)", text)
        if header is None or address is None:
            continue
        exported, table = _EXPORTED.search(text), re.search(r"Channel ipv4\n(?:.*\n)*? +Table: +(\S+)", text)
        own = text.split("Neighbor capabilities")[0]
        hold = re.search(r"Hold timer: +[\d.]+/(\d+)", text)
        graceful = re.search(r"raceful restart\n(?: {8,}.*\n)*? +AF (?:supported|preserved): +\S", own)
        found.append(
            BgpProtocol(
                name=header[1],
                neighbour=IPv4Address(address[1]),
                established=re.search(r"BGP state: +Established", text) is not None,
                since=_since(header[3], now),
                exported=int(exported[1]) if exported else 0,
                table=table[1] if table else "",
                restarts_gracefully=graceful is not None,
                hold_seconds=int(hold[1]) if hold else None,
            )
        )
    return found


def was_read_before(edited: datetime, status: Sequence[str]) -> bool:
    """Whether BIRD has read its configuration before the file was edited. False for a format of times of the operator's own.

    BIRD cuts off what is below the last digit it prints: a file that is read as soon as it is written is not older by that.
    """
    marker = "Last reconfiguration on "
    text = next((line.removeprefix(marker) for line in status if line.startswith(marker)), "")
    try:
        read = datetime.fromisoformat(text).astimezone()
    except ValueError:
        return False
    return edited >= read + (timedelta(milliseconds=1) if "." in text else timedelta(seconds=1))


def _function(clients: Sequence[Client]) -> str:
    lines = [f"function {FUNCTION}() {{"]
    for client in clients:
        if client.prefixes:
            path = f"bgp_path.first = {client.asn} && delete(bgp_path, {client.asn}).len = 0"
            prefixes = ", ".join(map(str, client.prefixes))
            lines += [f"    if from = {client.address} then", f"        return {path} && net ~ [ {prefixes} ];"]
    return "\n".join([*lines, "    return false;", "}", "", ""])


def _route(item: Advertisement, asn: int, communities: Sequence[str]) -> str:
    prepends = f" bgp_path.prepend({asn});" * item.prepend
    added = "".join(f" bgp_community.add(({text.replace(':', ',')}));" for text in communities)
    return f"    route {item.prefix} unreachable {{ bgp_next_hop = {item.next_hop};{prepends}{added} }};\n"


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = []
    for line in lines:
        if line and not line[0].isspace() and not line.startswith("Name "):
            found.append([line])
        elif found:
            found[-1].append(line)
    return found


def _since(text: str, now: datetime) -> datetime | None:
    """A time as `timeformat protocol` has it: of today without a date, of an older day perhaps without a time."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text).astimezone()
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        return None
    today = datetime.combine(now.date(), clock).astimezone()
    return today if today <= now + timedelta(seconds=1) else today - timedelta(days=1)
