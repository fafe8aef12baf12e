"""Whether the Route Server learned what the topology implies: every prefix, from every peer, with the right next hop,
on both instances. Evidence for the status; never a reason to touch peerings during a failover.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from function_app.domain.observation import LearnedRoute
from function_app.domain.ranking import Naming
from function_app.domain.topology import Service, Topology


@dataclass(frozen=True, slots=True)
class RouteCheck:
    """One service's routes as learned from one speaker: `missing` names what is not as it should be."""

    service: str
    speaker: str
    missing: tuple[str, ...]

    @property
    def verified(self) -> bool:
        return not self.missing


def check(
    topology: Topology,
    learned: Mapping[str, tuple[LearnedRoute, ...]],
    instances: tuple[IPv4Address, ...],
    next_hops: Mapping[str, IPv4Address],
) -> tuple[RouteCheck, ...]:
    """Compares `learned` (by speaker) with what each service implies.

    `instances` are the Route Server's addresses, `next_hops` the frontend or the holder's address of each service (by
    name); a service whose next hop is not known yet is not judged.
    """
    return tuple(
        RouteCheck(
            service.name, speaker, _missing(service, learned[speaker], instances, _hop(topology, service, speaker, hop))
        )
        for service in topology.services
        if (hop := next_hops.get(service.name)) is not None
        for speaker in service.announcers
        if speaker in learned
    )


def _hop(topology: Topology, service: Service, speaker: str, next_hop: IPv4Address) -> IPv4Address:
    return topology.speaker(speaker).address if service.naming is Naming.SELF else next_hop


def _missing(
    service: Service, learned: tuple[LearnedRoute, ...], instances: tuple[IPv4Address, ...], next_hop: IPv4Address
) -> tuple[str, ...]:
    found = []
    for prefix in sorted(service.prefixes):
        for instance in instances:
            hops = {r.next_hop for r in learned if r.network == prefix and r.instance == instance}
            if not hops:
                found.append(f"{prefix} is not learned on instance {instance}")
            elif hops != {next_hop}:
                found.append(
                    f"{prefix} on instance {instance} has next hop {', '.join(map(str, sorted(hops)))}, not {next_hop}"
                )
    return tuple(found)
