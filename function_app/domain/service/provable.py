"""Whether `adminState: Down` in a service's backend pool stops every new flow to a member, so that it is a fence (F2).

| the load balancer                                  | the Down                                                 |
|----------------------------------------------------|----------------------------------------------------------|
| no rule joins the service's pool and its probe     | cannot be confirmed: there is no health action to ask    |
| a rule sends flows to the pool without a probe     | is ignored by that rule: adminState works through probes |
| a rule sends flows to another pool with the member | is set in one pool only: the other still gets flows      |
| none of these                                      | stops every new flow                                     |

Source: safety.md, findings 2, 6 and 7. The fence checks it before and after its write, preflight in advance.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from function_app.domain.service.balancer import FlowFacts, PoolFacts
from function_app.domain.topology.model import BackendPool, Speaker

ALL_PROBED_UP = "allprobedup"


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """What a reading shows beside rules and pools: the probe's `noHealthyBackendsBehavior`, the addresses that are no
    member's, and by member the IP configuration that the pool names."""

    no_healthy_backends: str | None
    strangers: frozenset[str]
    interfaces: Mapping[str, str | None]


def fencing_rule(flows: FlowFacts, spec: BackendPool) -> str | None:
    """The name of the first rule that joins the service's pool and probe: its health action confirms a fence."""
    joined = (rule for rule in flows.rules_of(spec.backend_pool) if rule.probed_by(spec.probe))
    return next((rule.name for rule in joined if rule.name), None)


def unjoined_by(flows: FlowFacts, spec: BackendPool) -> str:
    """What is missing where there is no such rule; empty where there is one."""
    if fencing_rule(flows, spec) is not None:
        return ""
    return f"no rule joins pool {spec.backend_pool} and probe {spec.probe}"


def other_pools(flows: FlowFacts, spec: BackendPool) -> Iterator[PoolFacts]:
    """The pools beside the service's own that some rule sends flows to."""
    for pool in flows.pools:
        if pool.name.casefold() != spec.backend_pool.casefold() and flows.rules_of(pool.name):
            yield pool


def reaches(pool: PoolFacts, speaker: Speaker, interface: str | None) -> bool:
    """Whether one of the pool's addresses is the speaker.

    It is known by its IP, by `interface` (the IP configuration that the service's pool names for it) and by the network
    interface that the topology names.
    """
    nic = f"{speaker.interface.casefold()}/" if speaker.interface else None
    for address in pool.addresses:
        if address.ip == speaker.address:
            return True
        if address.interface and (address.interface == interface or (nic and address.interface.startswith(nic))):
            return True
    return False


def flaws(flows: FlowFacts, spec: BackendPool, members: Mapping[str, Speaker], seen: PoolSeen) -> tuple[str, ...]:
    """Why a member that answers its probe with 503 may get new flows all the same, or another one than the members: what F1
    takes for granted (safety.md section 2b). Empty where nothing does."""
    found = []
    for rule in flows.rules_of(spec.backend_pool):
        if not rule.probed_by(spec.probe):
            found.append(f"rule {rule.name} goes by {rule.probe or 'no probe'} and not by {spec.probe}")
    if (seen.no_healthy_backends or "").casefold() == ALL_PROBED_UP:
        found.append(f"probe {spec.probe} has AllProbedUp: while no member answers it, all of them get new flows")
    way_out = "declare it, set it to Down, or take it out"
    found += [f"{name.rpartition('/')[2]} is in the pool and no member: {way_out}" for name in sorted(seen.strangers)]
    for pool in other_pools(flows, spec):
        also = [name for name, speaker in members.items() if reaches(pool, speaker, seen.interfaces.get(name))]
        found += [f"{name} is also in pool {pool.name}, to which rules send" for name in also]
    return tuple(found)


def unprovable(flows: FlowFacts, spec: BackendPool, speaker: Speaker, interface: str | None) -> str | None:
    """Why a Down of the speaker in the service's pool would be no fence; None where it is one. `interface` as above."""
    if missing := unjoined_by(flows, spec):
        return missing
    for rule in flows.rules_of(spec.backend_pool):
        if rule.probe is None:
            return f"rule {rule.name} has no probe, and there adminState does nothing"
    for pool in other_pools(flows, spec):
        if reaches(pool, speaker, interface):
            return f"{speaker.name} is also in pool {pool.name}, where this fence does nothing"
    return None


def hidden(flows: FlowFacts, spec: BackendPool, speaker: Speaker) -> str | None:
    """Why it is not known that a speaker which the service's pool does not list gets no flows from another one; None where it
    is known. A pool of network interfaces shows no IP, and only a speaker that names its interface is found in it."""
    for pool in other_pools(flows, spec):
        if speaker.interface is None and any(address.ip is None for address in pool.addresses):
            return f"whether {speaker.name} is in pool {pool.name} is not known without its `interface`"
    return None


def may_be_elsewhere(flows: FlowFacts, spec: BackendPool, speaker: Speaker) -> bool:
    """Whether a speaker that the service's pool does not list may get new flows from another pool."""
    found = any(reaches(pool, speaker, None) for pool in other_pools(flows, spec))
    return found or hidden(flows, spec, speaker) is not None
