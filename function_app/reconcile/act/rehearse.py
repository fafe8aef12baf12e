"""Carries a fence rehearsal out and keeps how it went, in `rehearsals/{topology}/{service}.json`.

The order is decided in `domain.rehearsal`; fence and lift are those of every pass (`services`, `fencing`). A rehearsal
that another pass cut short by lifting its member says nothing, and is not kept.
"""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from function_app.domain.base.errors import HopkeeperError
from function_app.domain.preflight.facts import Rehearsed
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.observation import Observed
from function_app.domain.service.orders import RehearseOrder
from function_app.domain.service.rehearsal import rehearse as may_be_rehearsed
from function_app.domain.service.steps import FenceByBalancer, LiftByBalancer
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import observe
from function_app.reconcile.passes.come_back import come_back
from function_app.reconcile.passes.outcome import Ending, Outcome, Pace
from function_app.reconcile.passes.service import Progress, ServicePass
from function_app.reconcile.passes.summary import Summary, look_at
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys
from function_app.reconcile.store.topologies import InForce

log = logging.getLogger("hopkeeper.pass")

BY_ADOPTION = "Hopkeeper, as the service is new to it"


async def rehearse(ports: Ports, in_force: InForce, service: Service, order: RehearseOrder) -> Outcome:
    """ACCEPTED where it passed, FAILED with the reason where not, REFUSED where it was not begun."""
    topology, began = in_force.topology, ports.clock.now()
    service_pass = ServicePass(ports, topology, service, Pace.SLOW, f"order: rehearse by {order.by}", began)
    progress = service_pass.begin(order)
    # The load balancer as well: which Down is ours must be known before another is written.
    watch = observe.watch_with_pool(observe.AgentReadings(ports, topology), service)
    outcome = await service_pass.carry_on(watch, progress)
    if outcome.retry_after is not None:
        await come_back(ports, topology.name, outcome.retry_after)
    fence = next((effect for effect in progress.ordered if isinstance(effect, FenceByBalancer)), None)
    if fence is None or progress.observed is None:
        return outcome
    why = _why_failed(fence, progress, progress.observed)
    if why is None and fence.member not in progress.observed.proofs:
        again = f"{service.name}: another pass took {fence.member} back before its fence was proven: order it again"
        return Outcome(Ending.FAILED, (again,), outcome.retry_after)
    now = ports.clock.now()
    result = Rehearsed(member=fence.member, at=now, seconds=(now - began).total_seconds(), failed=why)
    await ports.documents.put(keys.rehearsal(topology.name, service.key), msgspec.json.encode(result))
    if why is not None:
        failed = f"{service.name}: the rehearsal on {fence.member} failed: {why}"
        return Outcome(Ending.FAILED, (failed,), outcome.retry_after)
    passed = f"{service.name}: the fence of {fence.member} held and was lifted, in {result.seconds:.1f} s"
    return Outcome(Ending.ACCEPTED, (passed,))


def _why_failed(fence: FenceByBalancer, progress: Progress, seen: Observed) -> str | None:
    """None where the fence was proven and taken back, or where it is not known."""
    lift = LiftByBalancer(fence.member, fence.epoch)
    if fence.member not in seen.proofs:
        return seen.tried.get(fence)
    if progress.last is not None and fence.member in progress.last.owed:
        return f"it was fenced, but not lifted yet: {seen.tried.get(lift, 'the pass ended before')}"
    return None


async def rehearsals(ports: Ports, topology: Topology) -> Mapping[str, Rehearsed | None] | None:
    """How the last rehearsal of each service went, None for one that never was; None at all where that is unknown."""
    services = [service for service in topology.services if kind_of(service).has_fence(service)]
    try:
        kept_ones = (kept.load(ports.documents, keys.rehearsal(topology.name, s.key), Rehearsed) for s in services)
        found = await asyncio.gather(*kept_ones)
    except HopkeeperError as error:
        fields = {"topology": topology.name, "error": str(error)}
        log.warning("the results of rehearsals were not read: %s", fields, extra=fields)
        return None
    return {service.name: rehearsed for service, (rehearsed, _) in zip(services, found, strict=True)}


async def rehearse_adopted(ports: Ports, summary: Summary, known: Mapping[str, Rehearsed | None] | None) -> None:
    """The first rehearsal of services that have just become stable, by the look that showed it, where the topology wants it. One
    that would be refused is not begun, as a pair's would be by every pass, and one that failed is not tried again. Faults of it
    are in its result: the pass behind it is over."""
    in_force = summary.in_force
    for service in in_force.topology.services:
        is_settled = summary.services[service.name].outcome.ending is Ending.CONVERGED
        wanted = (
            is_settled
            and service.failover.rehearse == "adopted"
            and known is not None
            and known.get(service.name) is None
        )
        look = look_at(service, summary) if wanted else None
        if look is not None and may_be_rehearsed(look, None, BY_ADOPTION).effects:
            try:
                await rehearse(ports, in_force, service, RehearseOrder(by=BY_ADOPTION))
            except HopkeeperError as error:
                fields = {"topology": in_force.topology.name, "service": service.name, "error": str(error)}
                log.warning("the first rehearsal of a service did not end: %s", fields, extra=fields)
