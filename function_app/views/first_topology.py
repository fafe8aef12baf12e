"""A first topology as text: YAML that `decode` takes, with comments on what Azure does not say. Pure.

It has no service: a service moves traffic, and who serves now is for an operator to know. Services that could be stand in it
as comments, each of which is a service once its `# ` is taken away.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from typing import Any

from function_app.domain.base.errors import BadInput
from function_app.domain.brownfield.candidates import Candidate, PoolBehind, candidates
from function_app.domain.brownfield.inventory import Inventory
from function_app.domain.brownfield.peers import FoundPeer, Originated, name_from, peers_of
from function_app.domain.topology.peering_names import is_ours

WIDTH = 128
UNBROKEN: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
PREFERENCES = ("ExpressRoute", "VpnGateway", "ASPath")
SPELLED = {
    each.casefold(): each
    for each in ("subscriptions", "resourceGroups", "providers", "Microsoft.Network", "virtualHubs", "loadBalancers")
}
HEAD = (
    "A first topology, from what Azure says of this Route Server. It takes over the peerings below under the names that they "
    "have, and changes nothing: `hopkeeper plan` finds nothing to do. Comments say what Azure does not know. With "
    "`hopkeeper schema > topology.schema.json` beside it an editor completes and explains it."
)
EDITOR = "# yaml-language-server: $schema=topology.schema.json"
ABSENT = "Could not be read, so services may be missing below, or members of them: {0}: {1}"
NETWORKS = (
    "Only where the peers are now: write the ranges of your virtual networks. No speaker and no agent may be elsewhere."
)
SPEAKERS = (
    "Azure does not know on which of them an agent runs, so none has one here. With an agent, and the certificate that "
    "`hopkeeper-agent enroll` prints: agent: {port: 8443, certificate: ...}"
)
ANNOUNCES = (
    "`announces` is what the Route Server learns from each now; `hopkeeper verify` compares. What a service announces stands "
    "in the service alone."
)
SERVICES = (
    "Services that this network could have, by the next hops that are learned. To use one, take away its `# ` and that of "
    "`services:`, and take its prefixes out of the `announces` of its members. From then on one member at a time gets new "
    "flows; `priority` (higher first, 100) says which is preferred."
)
BARE = (
    "Members without an agent are moved by adminState alone: all but the one that serves are set to Down, also where all of "
    "them get new flows today (docs/topology.md, Members without an agent)."
)
AGENTS = (
    "The next hop is each member itself, so a service needs an agent on every one of them, which then announces the prefixes. "
    "Until then Azure uses those with the shortest AS path side by side."
)
NO_SERVICES = (
    "No service of what was read: no peer is in a pool to which a frontend with a probed rule sends, and no prefix is learned of "
    "two peers whose next hop is each itself."
)


def first_topology(inventory: Inventory, name: str | None = None) -> str:
    """The document; its name is made from the Route Server's where none is given.

    Raises BadInput where no peering of the Route Server can be a speaker.
    """
    name = name or name_from(inventory.name, ())
    peers, left_out = peers_of(inventory, name)
    if not peers:
        rule = "; ".join(left_out) or "it has no peering"
        raise BadInput.of(inventory.name, f"nothing to write down: a topology needs a speaker, and {rule}")
    server, by_address = name_from(inventory.name, ()), sorted(peers, key=lambda peer: peer.address)
    lines = [
        EDITOR,
        *_comment(HEAD),
        *(line for each in inventory.absent.items() for line in _comment(ABSENT.format(*each))),
        "schema: hopkeeper/v1",
        f"name: {name}",
        *_comment(NETWORKS),
        f"networks: [{', '.join(f'{peer.address}/32' for peer in by_address)}]",
        *_route_server(inventory, peers, (name, server)),
        *(line for each in left_out for line in _comment(f"Left out, and left alone: peering {each}.", "  # ")),
        *_comment(SPEAKERS),
        *_comment(ANNOUNCES),
        "speakers:",
        *(line for peer in peers for line in _speaker(inventory, peers, peer, server)),
        *_services(candidates(inventory, peers)),
    ]
    return "\n".join(lines) + "\n"


def _route_server(inventory: Inventory, peers: tuple[FoundPeer, ...], names: tuple[str, str]) -> Iterator[str]:
    topology, server = names
    reading = inventory.reading
    yield "routeServers:"
    yield f"  - name: {server}"
    yield f"    id: {_id(inventory.id)}"
    if reading.branch_to_branch is not None:
        yield f"    branchToBranch: {str(reading.branch_to_branch).lower()}"
    if reading.routing_preference in PREFERENCES:
        yield f"    routingPreference: {reading.routing_preference}"
    adopted = [peer for peer in peers if not is_ours(peer.connection, topology)]
    if adopted:
        yield "    adopt:"
    for peer in adopted:
        yield f"      {peer.name}: {_scalar(peer.connection)}"


def _speaker(inventory: Inventory, peers: tuple[FoundPeer, ...], peer: FoundPeer, server: str) -> Iterator[str]:
    yield f"  - name: {peer.name}"
    yield f"    address: {peer.address}"
    yield f"    asn: {peer.asn}"
    yield f"    peersWith: [{server}]"
    for remark in peer.remarks:
        yield from _comment(f"{remark[:1].upper()}{remark[1:]}", "    # ")
    if peer.announces:
        yield "    announces:"
    for own in peer.announces:
        yield f"      - {_announcement(own)}{_whose(inventory, peers, own.next_hop)}"


def _announcement(own: Originated) -> str:
    return (
        str(own.prefix) if own.next_hop is None else f"{{prefix: {own.prefix}, nextHop: {{address: {own.next_hop}}}}}"
    )


def _whose(inventory: Inventory, peers: tuple[FoundPeer, ...], hop: IPv4Address | None) -> str:
    """A comment on whose address a next hop is, where that is known."""
    for balancer in inventory.balancers:
        for frontend, address in balancer.frontends.items():
            if address == hop:
                return _remark(f"frontend {frontend} of {balancer.name}")
    names = [peer.name for peer in peers if peer.address == hop]
    return (
        _remark(names[0])
        if names
        else ""
        if hop is None
        else _remark("of nothing that was read: in another resource group (--group)?")
    )


def _remark(text: str) -> str:
    return f"  # {_line(text)}"


def _services(found: tuple[Candidate, ...]) -> Iterator[str]:
    if not found:
        yield from _comment(NO_SERVICES)
        return
    yield from _comment(SERVICES)
    yield "# services:"
    for candidate in found:
        for note in (BARE if candidate.pools else AGENTS, *candidate.remarks):
            yield from _comment(note, "# # ")
        yield from (f"# {line}" for line in _service(candidate))


def _service(candidate: Candidate) -> Iterator[str]:
    yield f"  - name: {candidate.name}"
    yield "    mode: active-passive"
    yield f"    prefixes: [{', '.join(map(str, candidate.prefixes))}]"
    yield "    nextHop:"
    if candidate.pools:
        yield from _load_balancer(candidate)
    else:
        yield "      self: {}"
    yield f"    members: [{', '.join(f'{{speaker: {name}}}' for name in candidate.members)}]"


def _load_balancer(candidate: Candidate) -> Iterator[str]:
    first, *others = candidate.pools
    yield "      loadBalancer:"
    yield f"        id: {_id(first.balancer)}"
    yield f"        frontend: {_scalar(candidate.frontend)}"
    yield from (f"        {line}" for line in _pool(first))
    if others:
        yield "        alsoBehind:"
    for pool in others:
        yield f"          - id: {_id(pool.balancer)}"
        yield from (f"            {line}" for line in _pool(pool))


def _pool(pool: PoolBehind) -> tuple[str, str]:
    return f"backendPool: {_scalar(pool.pool)}", f"probe: {_scalar(pool.probe)}"


def _id(resource: str) -> str:
    """A resource id as a document takes it: what is the same in every id is compared there with its case, unlike in Azure."""
    return _scalar("/".join(SPELLED.get(segment.casefold(), segment) for segment in resource.split("/")))


def _scalar(text: str) -> str:
    """Text as YAML reads it back, whatever is in it: names of Azure may look like numbers, or hold a colon."""
    plain = re.fullmatch(r"[A-Za-z/][\w./-]*", text, re.ASCII) and text.casefold() not in ("true", "false", "null")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _comment(text: str, margin: str = "# ") -> Iterable[str]:
    return textwrap.wrap(_line(text), WIDTH, initial_indent=margin, subsequent_indent=margin, **UNBROKEN)


def _line(text: str) -> str:
    """What came from Azure, as one line that can stand in a comment."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
