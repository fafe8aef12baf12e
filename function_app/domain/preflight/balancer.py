"""Preflight of services behind a load balancer: would the failover and its fence do what they promise there?"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from function_app.domain.preflight.facts import Facts, at_each_pool
from function_app.domain.preflight.rule import Fault, Severity, services
from function_app.domain.service.balancer import AddressFacts, BalancerFacts, PoolFacts, ProbeFacts
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.provable import ALL_PROBED_UP, other_pools, reaches
from function_app.domain.topology.laws.services import pools_of
from function_app.domain.topology.model import LoadBalancer, Mode, Service, Speaker, Topology

PROBE_DETECTS_WITHIN = timedelta(seconds=10)
"""Interval times threshold beyond which a dead data path is seen late: 5 s, the shortest that Azure takes, twice."""

# What answers on a standby too: SSH and BGP.
ANSWERED_BY_STANDBYS = (22, 179)

AFFINE = frozenset({"sourceip", "sourceipprotocol"})


def _behind(topology: Topology, facts: Facts) -> Iterator[tuple[str, Service, LoadBalancer, BalancerFacts]]:
    """Services at each of their pools whose load balancer was read, and the path in the document that names it."""
    for path, service in services(topology):
        wheres = (where for where, _ in pools_of(service, path))
        for where, (key, each) in zip(wheres, at_each_pool(service).items(), strict=False):
            balancer, seen = each.load_balancer, facts.balancer(key)
            if balancer is not None and seen is not None:
                yield where, each, balancer, seen


def _region(location: str) -> str:
    """`UK South` and `uksouth` are one."""
    return location.casefold().replace(" ", "")


def same_region(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, service, _, seen in _behind(topology, facts):
        peered = {name for speaker in service.names for name in topology.speaker(speaker).peers_with}
        for server in topology.route_servers:
            there = facts.location(server.name)
            if server.name in peered and there is not None and _region(there) != _region(seen.location):
                yield Fault(
                    f"{path}.id",
                    f"the load balancer is in {seen.location}, Route Server {server.name} in {there}",
                    "use a load balancer in the Route Server's region: traffic to a next hop elsewhere is lost",
                )


def probe(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, service, balancer, seen in _behind(topology, facts):
        there = seen.probe(balancer.probe)
        if there is None:
            yield Fault(
                f"{path}.probe",
                f"the load balancer has no probe named {balancer.probe!r}",
                "make it, or name the right one",
            )
            continue
        wanted = f"/probe/{service.key}"
        wrong = list(_not_of_agents(topology, service, there, wanted))
        if wrong:
            yield Fault(
                f"{path}.probe",
                f"probe {there.name} is not the agent's: {', '.join(wrong)}",
                f"make it HTTP on the agents' probe port, path {wanted}: only who serves answers 200 there",
            )


def _not_of_agents(topology: Topology, service: Service, there: ProbeFacts, wanted: str) -> Iterator[str]:
    """What shows that a probe is not the agents'. Where no member has one, whatever a member answers while it is well will do."""
    agents = {name: agent for name in service.names if (agent := topology.speaker(name).agent) is not None}
    if agents and there.protocol.casefold() != "http":
        yield f"its protocol is {there.protocol}"
    elif agents and there.path != wanted:
        yield f"its path is {there.path}"
    for name, agent in agents.items():
        if there.port in (agent.port, *ANSWERED_BY_STANDBYS):
            yield f"its port is {there.port}, where standbys answer as well"
            return
        if agent.probe is not None and there.port != agent.probe:
            yield f"its port is {there.port}, and {name} answers at {agent.probe}"
            return


def probe_timing(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, _, balancer, seen in _behind(topology, facts):
        there = seen.probe(balancer.probe)
        if there is None:
            continue
        lasts = timedelta(seconds=there.interval_seconds * there.threshold)
        if lasts > PROBE_DETECTS_WITHIN:
            yield Fault(
                f"{path}.probe",
                f"probe {there.name} takes {there.threshold} x {there.interval_seconds} s to see a change",
                f"set interval and threshold to {PROBE_DETECTS_WITHIN.total_seconds():g} s together or less, "
                "5 s x 1 at best: every failover waits for it",
            )


def all_probed_up(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, _, balancer, seen in _behind(topology, facts):
        there = seen.probe(balancer.probe)
        if there is not None and (there.no_healthy_backends or "").casefold() == ALL_PROBED_UP:
            yield Fault(
                f"{path}.probe",
                f"probe {there.name} counts every member as up when all are down (AllProbedUp)",
                "set noHealthyBackendsBehavior to AllProbedDown: two would be eligible at once",
            )


def members_in_pool(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, service, balancer, seen in _behind(topology, facts):
        pool = seen.pool(balancer.backend_pool)
        if pool is None:
            yield Fault(
                f"{path}.backendPool",
                f"the load balancer has no pool named {balancer.backend_pool!r}",
                "name the right one",
            )
            continue
        known = {name: balancer.known(topology.speaker(name)) for name in service.names}
        found = {name: _found(service, speaker, pool) for name, speaker in known.items()}
        unclaimed = [a for a in pool.addresses if a.ip is None and a not in found.values()]
        absent = [name for name, address in found.items() if address is None]
        if unclaimed:  # the pool shows no IP for these: any of them may be the one that is looked for
            absent = absent[len(unclaimed) :]
        for name in absent:
            yield Fault(
                f"{path}.backendPool",
                f"{name} ({known[name].address}) is not in pool {pool.name}",
                "add it: a member outside the pool gets no flows when it is promoted",
            )
        yield from _strangers(path, pool, known, found)


def _strangers(
    path: str, pool: PoolFacts, known: Mapping[str, Speaker], found: Mapping[str, AddressFacts | None]
) -> Iterator[Fault]:
    """Addresses of the pool that are no member's, where it shows their IP."""
    members = {speaker.address for speaker in known.values()}
    for address in pool.addresses:
        if address.ip not in (None, *members) and address not in found.values():
            yield Fault(
                f"{path}.backendPool",
                f"{address.name} ({address.ip}) is in pool {pool.name}, and no member",
                "take it out, or make it a member: what is not Down there gets flows, whoever serves",
                Severity.INFO if address.is_down else None,
            )


def _found(service: Service, speaker: Speaker, pool: PoolFacts) -> AddressFacts | None:
    backend = (service.member(speaker.name).backend or "").casefold()
    for address in pool.addresses:
        if address.ip == speaker.address or (address.ip is None and backend and address.name.casefold() == backend):
            return address
        if address.interface and speaker.interface and address.interface.startswith(f"{speaker.interface.casefold()}/"):
            return address
    return None


def one_pool(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, service, balancer, seen in _behind(topology, facts):
        own = seen.pool(balancer.backend_pool)
        for pool in other_pools(seen, balancer):
            for name in service.names:
                speaker = balancer.known(topology.speaker(name))
                address = _found(service, speaker, own) if own is not None else None
                if reaches(pool, speaker, address.interface if address else None):
                    yield Fault(
                        f"{path}.backendPool",
                        f"{name} is also in pool {pool.name}",
                        "take it out there: adminState Down in one pool stops no flows of the other",
                    )


def all_ports_rule(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, _, balancer, seen in _behind(topology, facts):
        if not balancer.frontend:  # no next hop leads there
            continue
        joined = seen.rules_of(balancer.backend_pool)
        if not any(r.all_ports and r.frontend.casefold() == balancer.frontend.casefold() for r in joined):
            yield Fault(
                path,
                f"no rule sends all ports of frontend {balancer.frontend} to pool {balancer.backend_pool}",
                "make one with protocol All and both ports 0 (HA ports): what no rule takes is dropped",
            )


def probed_rules(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, _, balancer, seen in _behind(topology, facts):
        if seen.probe(balancer.probe) is None:
            continue
        for rule in seen.rules_of(balancer.backend_pool):
            if not rule.probed_by(balancer.probe):
                yield Fault(
                    f"{path}.probe",
                    f"rule {rule.name} sends flows to pool {balancer.backend_pool} by {rule.probe or 'no probe'}",
                    f"give it probe {balancer.probe}: otherwise it sends flows to standbys, and no fence holds there",
                )


def distribution(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, service, balancer, seen in _behind(topology, facts):
        if service.mode is not Mode.ACTIVE_ACTIVE or service.snat:
            continue
        for rule in seen.rules_of(balancer.backend_pool):
            if rule.all_ports and rule.distribution.casefold() not in AFFINE:
                yield Fault(
                    path,
                    f"rule {rule.name} spreads the flows of one client over several members ({rule.distribution})",
                    "set loadDistribution to SourceIP, or declare `snat`: connections that belong together "
                    "must meet one member's state",
                )


def rehearsal(topology: Topology, facts: Facts) -> Iterator[Fault]:
    if facts.rehearsals is None:
        return
    for path, service in services(topology):
        if not kind_of(service).has_fence(service) or service.name not in facts.rehearsals:
            continue
        if topology.commanded.isdisjoint(service.names):
            continue  # without agents each move is a fence, and at rest all are in force
        last = facts.rehearsals[service.name]
        if last is not None and last.failed is None:
            continue
        why = (
            "its fence was never rehearsed" if last is None else f"the rehearsal on {last.member} failed: {last.failed}"
        )
        yield Fault(
            path,
            f"the death of a whole NVA may be held: {why}",
            f"hopkeeper rehearse {topology.name} {service.name}" + (" STANDBY" if len(service.members) == 2 else ""),
        )
