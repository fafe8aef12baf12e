"""Which peerings become speakers of a first topology, under which names, and what each announces by itself. Pure.

A peering becomes a speaker where that changes nothing: Hopkeeper would repair one that is Failed, and never touches one
that another topology made.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.base.azure_limits import ASN_MAX, PEERS_MAX, RESERVED_ASNS
from function_app.domain.brownfield.inventory import Inventory
from function_app.domain.peerings.model import Peering, Provisioning
from function_app.domain.routes.as_paths import written
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.laws.reserved import FORBIDDEN
from function_app.domain.topology.peering_names import PREFIX, is_ours, peering_name

NAME_MAX = 30
"""Of a name that is made here: with the topology's it makes the name of a peering (`RESOURCE_NAME_MAX`)."""
WORDS_OF_YAML = ("true", "false", "null")
"""Names that would be read as something else."""
ANNOUNCED_MAX = 200
"""Prefixes of one speaker that are written down: a document is read by people."""


@dataclass(frozen=True, slots=True)
class Originated:
    """A prefix whose AS path is the peer's own; `next_hop` is None where it is the peer itself, or was not reported."""

    prefix: IPv4Network
    next_hop: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class FoundPeer:
    """A peering as a speaker. `remarks`: what of it is not written down, and why."""

    name: str
    connection: str
    address: IPv4Address
    asn: int
    announces: tuple[Originated, ...]
    remarks: tuple[str, ...]


def name_from(text: str, taken: Collection[str]) -> str:
    """A name that a document takes (`topology.model.Name`), as near to `text` as can be, and not `taken`."""
    base = re.sub("[^a-z0-9]+", "-", text.casefold()).strip("-")
    base = base if base[:1].isalpha() and base not in WORDS_OF_YAML else f"nva-{base}"
    base = base[:NAME_MAX].strip("-")
    names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def peers_of(inventory: Inventory, topology: str) -> tuple[tuple[FoundPeer, ...], tuple[str, ...]]:
    """The peers by name of peering, and why each other peering is left out. `topology` is the document's name."""
    found: list[FoundPeer] = []
    left_out: list[str] = []
    for peering in sorted(inventory.reading.peerings, key=lambda p: p.name.casefold()):
        why = _unfit(peering, topology, found)
        if why is None:
            taken = {name_from(inventory.name, ()), *(peer.name for peer in found)}
            found.append(_peer(inventory, peering, name_from(_wish(peering.name, topology), taken)))
        else:
            left_out.append(f"{peering.name!r} ({peering.address or 'no IPv4 address'}, AS {peering.asn}): {why}")
    return tuple(found), tuple(left_out)


def _unfit(peering: Peering, topology: str, found: list[FoundPeer]) -> str | None:
    """Why a peering cannot become a speaker."""
    if peering.state in (Provisioning.FAILED, Provisioning.DELETING):
        return f"it is {peering.state}: mend or remove it first"
    if peering.address is None or _is_reserved(peering.address):
        return "its address is none that a speaker may have"
    if peering.asn is None or not 1 <= peering.asn <= ASN_MAX or peering.asn in RESERVED_ASNS:
        return "its AS number is none that a speaker may have"
    if peering.name.casefold().startswith(PREFIX) and not is_ours(peering.name, topology):
        return "its name is that of another topology of Hopkeeper's"
    if any(peer.address == peering.address for peer in found):
        return "another peering has its address"
    return f"a Route Server takes {PEERS_MAX} peers" if len(found) >= PEERS_MAX else None


def _wish(connection: str, topology: str) -> str:
    """What the speaker of a connection would be called."""
    if not is_ours(connection, topology):
        return connection
    return re.sub(r"\.[2-9]$", "", connection[len(peering_name(topology, "")) :])


def _peer(inventory: Inventory, peering: Peering, name: str) -> FoundPeer:
    if peering.address is None or peering.asn is None:
        raise ValueError(f"{peering.name} has no address or no AS number")
    by_prefix: dict[IPv4Network, list[LearnedRoute]] = defaultdict(list)
    for row in inventory.routes.get(peering.name, ()):
        by_prefix[row.network].append(row)
    judged = [_judged(rows, peering.address, peering.asn) for _, rows in sorted(by_prefix.items())]
    announces = [each for each in judged if isinstance(each, Originated)]
    remarks = [each for each in judged if isinstance(each, str)]
    remarks += _passing_on([each for each in judged if isinstance(each, LearnedRoute)])
    remarks += _missing(len(announces) - ANNOUNCED_MAX, inventory.unread.get(peering.name))
    shown = tuple(announces[:ANNOUNCED_MAX])
    return FoundPeer(name, peering.name, peering.address, peering.asn, shown, tuple(remarks))


def _missing(more: int, unread: str | None) -> Iterator[str]:
    if more > 0:
        yield f"{more} more prefixes are learned from it: not written down"
    if unread:
        yield f"what it announces could not be read, or not all of it: {unread}"


def _judged(rows: list[LearnedRoute], own: IPv4Address, asn: int) -> Originated | LearnedRoute | str:
    """One prefix as it is written down; a row of it where the AS path goes on beyond the peer; why it is not written down."""
    passed = next((row for row in rows if row.as_path is not None and set(row.as_path) - {asn}), None)
    if passed is not None:
        return passed
    hops = {row.next_hop for row in rows}
    hop = next(iter(hops))
    if len(hops) > 1 or _is_reserved(hop):
        listed = " and ".join(sorted(str(each or "unknown") for each in hops))
        return f"{rows[0].network} has next hop {listed}: not written down"
    return Originated(rows[0].network, None if hop == own else hop)


def _is_reserved(hop: IPv4Address | None) -> bool:
    return hop is not None and any(hop in network for network in FORBIDDEN)


def _passing_on(beyond: list[LearnedRoute]) -> Iterator[str]:
    if beyond:
        first = beyond[0]
        yield (
            f"it passes {len(beyond)} prefixes of other ASs on, such as {first.network} by {written(first.as_path or ())}: "
            "not written down; `role: hub` and `relays` say what a speaker passes on"
        )
