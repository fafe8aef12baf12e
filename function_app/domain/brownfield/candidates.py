"""Which services a network could have: members behind one load balancer, or that announce the same prefixes. Pure.

| the learned routes' next hop is | and its announcers                      | the service could be                      |
|---------------------------------|-----------------------------------------|-------------------------------------------|
| a load balancer's frontend      | are in a pool of a rule of the frontend | `loadBalancer`, with members of that pool |
| of nothing yet                  | are peers, and in such a pool           | the same, once it has prefixes            |
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
    for balancer in inventory.balancers:
        for (frontend, pool), probes in _joined(balancer).items():
            address, addresses = balancer.frontends.get(frontend.casefold()), balancer.flows.pool(pool)
            members = _members(inventory, addresses, peers)
            prefixes = {own.prefix for peer in members for own in peer.announces if own.next_hop == address}
            if address is None or not members:
                continue
            others = dict(_others(inventory, balancer, members))
            names = tuple(peer.name for peer in members)
            yield Candidate(
                name=f"{balancer.name}-{pool}",
                prefixes=tuple(sorted(prefixes)),
                members=names,
                pools=(PoolBehind(balancer.id, pool, probes[0]), *others),
                frontend=frontend,
                remarks=(
                    *_of_prefixes(prefixes, address),
                    *_of_rules(balancer, (frontend, pool), probes),
                    *_of_addresses(inventory, addresses, members),
                    *_not_announced(members, address, prefixes),
                    *filter(None, others.values()),
                ),
            )


def _joined(balancer: BalancerFound) -> dict[tuple[str, str], list[str]]:
    """By frontend and pool of a rule with a probe: the probes, each once. Of several spellings of a name the first one stays."""
    spelled: dict[str, str] = {}

    def one(name: str) -> str:
        return spelled.setdefault(name.casefold(), name)

    joined: dict[tuple[str, str], list[str]] = {}
    for rule in balancer.flows.rules:
        if rule.probe is None:
            continue
        for pool in rule.pools:
            probes = joined.setdefault((one(rule.frontend), one(pool)), [])
            probes += [probe] if (probe := one(rule.probe)) not in probes else []
    return joined


def _members(inventory: Inventory, pool: PoolFacts | None, peers: tuple[FoundPeer, ...]) -> tuple[FoundPeer, ...]:
    there = {address_of(inventory, facts) for facts in pool.addresses} if pool else set()
    return tuple(peer for peer in peers if peer.address in there)


def _others(
    inventory: Inventory, first: BalancerFound, members: tuple[FoundPeer, ...]
) -> Iterator[tuple[PoolBehind, str | None]]:
    """A pool of each other load balancer that holds a member, and which members it does not show."""
    for balancer in inventory.balancers:
        for (_, pool), probes in _joined(balancer).items() if balancer is not first else ():
            there = _members(inventory, balancer.flows.pool(pool), members)
            away = ", ".join(peer.name for peer in members if peer not in there)
            if there:
                remark = f"{away}: not in pool {pool} of {balancer.name}, unless by an address that `addresses` has to name there"
                yield PoolBehind(balancer.id, pool, probes[0]), remark if away else None
                break


def _of_prefixes(prefixes: set[IPv4Network], frontend: IPv4Address) -> Iterator[str]:
    if not prefixes:
        yield f"none of them announces anything with {frontend} as next hop: write the prefixes that they are to announce"


def _of_rules(balancer: BalancerFound, joined: tuple[str, str], probes: list[str]) -> Iterator[str]:
    """Of the rules that join this frontend and this pool."""
    frontend, pool = joined
    if probes[1:]:
        yield f"its rules have several probes, a service has one: {', '.join(probes)}"
    if sum(name == pool for _, name in _joined(balancer)) > 1:
        yield f"several frontends send to pool {pool}, which can have one service"
    others = [name for each, name in _joined(balancer) if each == frontend and name != pool]
    if others:
        also = f"frontend {frontend} also sends to pool {', '.join(others)}"
        yield f"{also}: a prefix has one service, so that one of them can be written down, and no failover moves the other"


def _of_addresses(inventory: Inventory, pool: PoolFacts | None, members: tuple[FoundPeer, ...]) -> Iterator[str]:
    by_address = {peer.address: peer.name for peer in members}
    for facts in pool.addresses if pool else ():
        address = address_of(inventory, facts)
        name = by_address.get(address) if address is not None else None
        if address is None and inventory.why_absent(facts.interface or "") is not None:
            yield f"{facts.interface} is in the pool, and could not be read: whether it is a speaker here is not known"
        elif name is None:
            yield f"{address or facts.name} is in the pool and no speaker here: it gets new flows whoever serves"
        elif facts.is_down:
            yield f"{name} has adminState Down: whoever set it has to set it back"
        elif facts.is_up:
            yield f"{name} has adminState Up: it gets new flows, dead or alive, and no failover holds: set it to None"


def _not_announced(members: tuple[FoundPeer, ...], frontend: IPv4Address, prefixes: set[IPv4Network]) -> Iterator[str]:
    for peer in members:
        missing = prefixes - {own.prefix for own in peer.announces if own.next_hop == frontend}
        if missing:
            listed = ", ".join(map(str, sorted(missing)))
            yield f"{peer.name} does not announce {listed} with this next hop, as a member should"


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
