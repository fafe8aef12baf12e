"""What the names in a record stand for: a name is not what it refers to (safety.md, finding 12).

A record is kept by names, and what it believes of them was seen at a backend pool and at addresses. Where the document now
means others by these names, nothing that is believed holds for them, and nothing is done until it means the same again
(`guards`), or until the service is retired or released.
"""

from collections.abc import Collection, Iterator

from msgspec import Struct

from function_app.domain.topology.model import AND, Service, Topology


class Referents(Struct, frozen=True, kw_only=True):
    """`next_hop`: the ARM ids of the backend pools, joined by `AND`, else the kind of next hop. `members`: the address of
    each, by name."""

    next_hop: str
    members: dict[str, str]

    @property
    def pools(self) -> frozenset[str]:
        return frozenset(self.next_hop.split(AND))


def referents_of(topology: Topology, service: Service) -> Referents:
    """What the document means by the names of a service."""
    balancer = service.load_balancer
    next_hop = AND.join(pool.pool_id for pool in balancer.pools) if balancer else str(service.naming)
    return Referents(next_hop=next_hop, members={name: str(topology.speaker(name).address) for name in service.names})


def noted(known: Referents | None, named: Referents, believed: Collection[str]) -> Referents:
    """What the record should say: of members about which something is believed as it was, of the others as the document."""
    if known is None or not believed:
        return named
    kept = {name: address for name, address in known.members.items() if name in believed}
    next_hop = named.next_hop if known.pools <= named.pools else known.next_hop
    return Referents(next_hop=next_hop, members={**named.members, **kept})


def moved(known: Referents | None, named: Referents, believed: Collection[str]) -> Iterator[str]:
    """Where the document means something else than the record, of which something is believed. A member that is not in
    the document is not among them, nor is one more pool: a fence is believed of no pool in which it was not proven."""
    if known is None or not believed:
        return
    if not known.pools <= named.pools:
        yield f"the next hop is {named.next_hop} now and was {known.next_hop}"
    for name in sorted(believed):
        was, now = known.members.get(name), named.members.get(name)
        if was is not None and now is not None and was != now:
            yield f"{name} is at {now} now and was at {was}"
