"""The slow pass: every service with its load balancer, Route Servers, routes, network flags and preflight.

It waits for no long-running operation: what one pass starts, a later one reads. Slow passes of a topology take turns,
which saves work and proves nothing (`turns`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from function_app.domain.base.errors import HopkeeperError
from function_app.domain.preflight.summary import Report
from function_app.domain.service.observation import MemberReading, Observed, Value
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import observe, trace
from function_app.reconcile.act.rehearse import rehearsals, rehearse_adopted
from function_app.reconcile.networks import keep_networks
from function_app.reconcile.passes.finish import converge, finish
from function_app.reconcile.passes.outcome import CONVERGED, Ending, Outcome, Pace, worst
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.passes.summary import Seen, Summary, keep_summary
from function_app.reconcile.passes.turns import in_turn
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.ports import HealthEvent, Ports
from function_app.reconcile.preflight import SeenInPass, kept_arm_facts, preflight
from function_app.reconcile.routes.verification import Verification
from function_app.reconcile.routes.verify import Basis, next_hops, verify
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import InForce
from function_app.reconcile.telemetry import PASS

log = logging.getLogger("hopkeeper.pass")


async def slow_pass(ports: Ports, in_force: InForce, trigger: str) -> Outcome:
    """PENDING while another one is running: that one makes a second turn for this. Raises Unavailable."""

    async def one_pass() -> Outcome:
        return await _everything(ports, in_force, trigger)

    topology = in_force.topology
    with trace.span(ports, PASS, topology=topology.name, pace=Pace.SLOW.value, trigger=trigger) as said:
        outcome = await in_turn(ports, topology.name, topology.timing.slow_pass_lease, one_pass)
        if outcome is None:
            said["outcome"] = "left to another pass"
            return Outcome(Ending.PENDING, (f"{topology.name}: another pass is running and goes on with this",))
        said["outcome"] = outcome.ending.word
        return await finish(ports, topology, Pace.SLOW, trigger, outcome)


async def _everything(ports: Ports, in_force: InForce, trigger: str) -> Outcome:
    """Services, Route Servers and preflight's facts at the same time; then routes and flags, which need what those read;
    last the look document and first rehearsals."""
    topology = in_force.topology
    woken = ports.clock.now()
    agents = observe.AgentReadings(ports, topology)
    explaining = Explaining(topology)
    async with asyncio.TaskGroup() as group:
        arm = group.create_task(explaining.part("what preflight reads", partial(kept_arm_facts, ports, in_force), None))
        rehearsed = group.create_task(explaining.part("rehearsals", partial(rehearsals, ports, topology), None))
        servers = [group.create_task(keep_membership(ports, topology, s)) for s in topology.route_servers]
        services = {
            s.name: group.create_task(
                _service(ServicePass(ports, topology, s, Pace.SLOW, trigger, woken), agents, explaining)
            )
            for s in topology.services
        }
    seen = {name: task.result() for name, task in services.items()}
    memberships = tuple(task.result() for task in servers)
    records = await Records(ports.documents).load_all(topology, ports.clock.now())
    hops = next_hops(topology, {name: s.balancer for name, s in seen.items()}, records)
    checked = partial(verify, ports, topology, Basis(memberships, hops, records))
    verification, routes = await explaining.part("routes", checked, (Verification(), CONVERGED))
    networks = await keep_networks(ports, topology, memberships, records)
    requested, readings = await agents.read()
    facts = SeenInPass(requested, readings, memberships, rehearsed.result())
    linted = await explaining.part("preflight", partial(preflight, topology, arm.result(), facts), Report(()))
    stored = Outcome(Ending.HELD if in_force.problems else Ending.CONVERGED, _problems(in_force))
    parts = (*(s.outcome for s in seen.values()), *(m.outcome for m in memberships), routes, networks.outcome, stored)
    outcome = worst((*parts, *explaining.faults))
    summary = Summary(
        at=ports.clock.now(),
        requested=requested,
        in_force=in_force,
        outcome=outcome,
        agents=readings,
        services=seen,
        next_hops=hops,
        records=records,
        memberships=memberships,
        verification=verification,
        networks=networks,
        preflight=linted,
    )
    await keep_summary(ports, summary)
    await rehearse_adopted(ports, summary, rehearsed.result())
    return outcome


def _problems(in_force: InForce) -> tuple[str, ...]:
    """Why what is in force is not what is stored, or not as it should be."""
    return tuple(f"{in_force.topology.name}: alarm: its document: {problem}" for problem in in_force.problems)


class Explaining:
    """Parts of a pass that only explain. Whatever one of them raises ends nothing else: it is in the outcome, and in the log."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.faults: list[Outcome] = []

    async def part[T](self, what: str, work: Callable[[], Awaitable[T]], otherwise: T) -> T:
        try:
            return await work()
        except Exception as error:
            known = isinstance(error, HopkeeperError)
            why = f"{what}: {error}" if known else f"{what}: {error!r}, which is a fault of ours"
            log.warning("a part of a pass that only explains did not end: %s", why, exc_info=None if known else error)
            self.faults.append(Outcome(Ending.FAILED, (why,), self._topology.timing.doubt_poll))
            return otherwise


async def _service(service_pass: ServicePass, agents: observe.AgentReadings, explaining: Explaining) -> Seen:
    """One service with its load balancer; metrics and logged events only explain, so they are read beside the rest."""
    service = service_pass.service
    shown = partial(_explanations, service_pass.ports, service_pass.topology, service)
    nothing: tuple[Mapping[str, Value], tuple[HealthEvent, ...]] = ({}, ())
    explained = asyncio.ensure_future(explaining.part(f"{service.name}: metrics and health events", shown, nothing))
    none: Mapping[str, MemberReading] = {}
    tried = asyncio.ensure_future(explaining.part(f"{service.name}: own checks", partial(_own, agents, service), none))
    observed: Observed | None = None

    async def look(again: bool) -> observe.Sight:
        nonlocal observed
        observed = await observe.one_look(agents, service, again)
        return observe.Sight(observed)

    try:
        outcome = await converge(service_pass, look)
        metrics, events = await explained
        own = await tried
    finally:
        explained.cancel()
        tried.cancel()
    if observed is not None:
        observed = replace(observed, agents={**observed.agents, **own})
    return Seen(observed, outcome, metrics, events)


async def _own(agents: observe.AgentReadings, service: Service) -> Mapping[str, MemberReading]:
    """The app's own checks of members where a look makes none, as no load balancer is read: for the status alone."""
    return await observe.own_checks(agents, service) if service.load_balancer is None else {}


async def _explanations(
    ports: Ports, topology: Topology, service: Service
) -> tuple[Mapping[str, Value], tuple[HealthEvent, ...]]:
    """By member its probe availability as a metric, and the load balancer's logged events; nothing where they cannot be
    read in time: no decision rests on them."""
    if service.load_balancer is None:
        return {}, ()
    balancer = service.load_balancer.id
    addresses = {name: topology.speaker(name).address for name in service.names}
    try:
        async with asyncio.timeout(topology.timing.observe_slow.total_seconds()):
            read = await ports.metrics.probe_availability(balancer, tuple(addresses.values()))
            events = await ports.health_logs.recent(balancer, topology.timing.verify_every)
    except (TimeoutError, HopkeeperError) as error:
        log.warning("metrics and health events of %s/%s could not be read: %s", topology.name, service.name, error)
        return {}, ()
    return {name: read.get(address, Value.UNKNOWN) for name, address in addresses.items()}, events
