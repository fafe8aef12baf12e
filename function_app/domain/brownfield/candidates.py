"""Which services a network could have: members behind one load balancer, or that announce the same prefixes. Pure.

| the learned routes' next hop is | and its announcers                      | the service could be                      |
|---------------------------------|-----------------------------------------|-------------------------------------------|
| a load balancer's frontend      | are in a pool of a rule of the frontend | `loadBalancer`, with members of that pool |
| the peer itself                 | are two or more                         | `self`, which needs an agent on each      |
| anything else                   |                                         | none: another one's `announces`           |
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.brownfield.inventory import BalancerFound, Inventory
from function_app.domain.brownfield.peers import FoundPeer, name_from
from function_app.domain.service.balancer import AddressFacts, PoolFacts


@dataclass(frozen=True, slots=True)
class PoolBehind:
    """A backend pool with the probe by which its rules know it."""

    balancer: str
    """Its resource id."""
    pool: str
    probe: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A service that could be; it is one once an operator says so. `pools` is empty where the next hop is a member itself,
    `frontend` belongs to the first one. `remarks`: what to know before it is one."""

    name: str
    prefixes: tuple[IPv4Network, ...]
    members: tuple[str, ...]
    pools: tuple[PoolBehind, ...] = ()
    frontend: str = ""
    remarks: tuple[str, ...] = ()


def candidates(inventory: Inventory, peers: tuple[FoundPeer, ...]) -> tuple[Candidate, ...]:
    """By load balancer, then those whose next hop is a member itself; each with a name of its own."""
    found: list[Candidate] = []
    for each in (*_behind_balancers(inventory, peers), *_by_themselves(peers)):
        found.append(replace(each, name=name_from(each.name, [before.name for before in found])))
    return tuple(found)


def address_of(inventory: Inventory, facts: AddressFacts) -> IPv4Address | None:
    return facts.ip or inventory.interfaces.get(facts.interface or "")


def _behind_balancers(inventory: Inventory, peers: tuple[FoundPeer, ...]) -> Iterator[Candidate]:
    taken: set[tuple[str, str]] = set()
    for balancer in inventory.balancers:
        for frontend, pool, probe in _joined(balancer):
            address = balancer.frontends.get(frontend.casefold())
            members = _members(inventory, balancer.flows.pool(pool), peers)
            prefixes = {own.prefix for peer in members for own in peer.announces if own.next_hop == address}
            if address is None or not prefixes or (balancer.id, pool) in taken:
                continue
            taken.add((balancer.id, pool))
            yield Candidate(
                name=f"{balancer.name}-{pool}",
                prefixes=tuple(sorted(prefixes)),
                members=tuple(peer.name for peer in members),
                pools=(PoolBehind(balancer.id, pool, probe), *_others(inventory, balancer, members)),
                frontend=frontend,
                remarks=tuple(_remarks(inventory, balancer.flows.pool(pool), members, (address, prefixes))),
            )


def _joined(balancer: BalancerFound) -> Iterator[tuple[str, str, str]]:
    """Frontend, pool and probe of every rule that has a probe, once."""
    joined = ((rule.frontend, pool, rule.probe) for rule in balancer.flows.rules for pool in rule.pools)
    yield from dict.fromkeys((frontend, pool, probe) for frontend, pool, probe in joined if probe)


def _members(inventory: Inventory, pool: PoolFacts | None, peers: tuple[FoundPeer, ...]) -> tuple[FoundPeer, ...]:
    there = {address_of(inventory, facts) for facts in pool.addresses} if pool else set()
    return tuple(peer for peer in peers if peer.address in there)


def _others(inventory: Inventory, first: BalancerFound, members: tuple[FoundPeer, ...]) -> Iterator[PoolBehind]:
    """A pool of each other load balancer that holds a member."""
    for balancer in inventory.balancers:
        behind = (
            PoolBehind(balancer.id, pool, probe)
            for _, pool, probe in _joined(balancer)
            if _members(inventory, balancer.flows.pool(pool), members)
        )
        if balancer is not first and (found := next(behind, None)) is not None:
            yield found


def _remarks(
    inventory: Inventory,
    pool: PoolFacts | None,
    members: tuple[FoundPeer, ...],
    announced: tuple[IPv4Address, set[IPv4Network]],
) -> Iterator[str]:
    frontend, prefixes = announced
    by_address = {peer.address: peer.name for peer in members}
    for facts in pool.addresses if pool else ():
        address = address_of(inventory, facts)
        name = by_address.get(address) if address is not None else None
        if name is None:
            yield f"{address or facts.name} is in the pool and no speaker here: it gets new flows whoever serves"
        elif facts.is_down:
            yield f"{name} has adminState Down: whoever set it has to set it back"
    for peer in members:
        missing = prefixes - {own.prefix for own in peer.announces if own.next_hop == frontend}
        if missing:
            yield f"{peer.name} does not announce {', '.join(map(str, sorted(missing)))} with this next hop, as a member should"


def _by_themselves(peers: tuple[FoundPeer, ...]) -> Iterator[Candidate]:
    announcers: dict[IPv4Network, list[str]] = defaultdict(list)
    for peer in peers:
        for own in peer.announces:
            if own.next_hop is None:
                announcers[own.prefix].append(peer.name)
    groups: dict[tuple[str, ...], list[IPv4Network]] = defaultdict(list)
    for prefix, names in sorted(announcers.items()):
        groups[tuple(names)].append(prefix)
    for members, prefixes in groups.items():
        if len(members) > 1:
            yield Candidate(name=f"{members[0]}-and-others", prefixes=tuple(prefixes), members=members)
