"""Makes the look document of a slow pass and stores it: what the status shows of the last look, and what of it is news."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address

import msgspec
from msgspec import UNSET

from function_app.domain.networks.flags import NetworkPeeringReading
from function_app.domain.preflight.summary import Report
from function_app.domain.service.alarms import spares
from function_app.domain.service.health import can_take_over
from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AgentReading,
    AgentStatus,
    BalancerReading,
    MemberReading,
    Observed,
    Unreachable,
    Value,
)
from function_app.domain.service.record import Record
from function_app.domain.service.troubles import troubles
from function_app.domain.topology.model import Service
from function_app.domain.topology.peering_names import is_own
from function_app.reconcile import trace
from function_app.reconcile.documents import look
from function_app.reconcile.documents.event import Event, FoundOrGone
from function_app.reconcile.documents.findings import PreflightFinding, finding, preflight_finding
from function_app.reconcile.documents.lines import StateLine
from function_app.reconcile.documents.plan import slots, steps
from function_app.reconcile.networks import Networks
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.passes.publishing import Condition, News, publish
from function_app.reconcile.peerings.keep import Membership
from function_app.reconcile.ports import HealthEvent, Ports
from function_app.reconcile.routes.verification import Verification
from function_app.reconcile.store import kept, keys
from function_app.reconcile.store.topologies import InForce
from function_app.reconcile.telemetry import of_state

log = logging.getLogger("hopkeeper.pass")


@dataclass(frozen=True, slots=True)
class Seen:
    """One service in a slow pass: its load balancer, and what only explains."""

    observed: Observed | None
    """By its last look; None where none was completed."""
    outcome: Outcome
    metrics: Mapping[str, Value]
    events: tuple[HealthEvent, ...]

    @property
    def balancer(self) -> BalancerReading | str | None:
        """None where the service has none; a text says why it could not be read."""
        return None if self.observed is None else self.observed.balancer


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything one slow pass saw."""

    at: datetime
    requested: datetime
    """When the agents' statuses were requested: what their clocks are compared with."""
    in_force: InForce
    outcome: Outcome
    agents: Mapping[str, MemberReading]
    services: Mapping[str, Seen]
    next_hops: Mapping[str, IPv4Address]
    """By service, where its routes should lead, as far as that is known."""
    records: Mapping[str, Record]
    """By service, as it is after the pass."""
    memberships: tuple[Membership, ...]
    verification: Verification
    networks: Networks
    preflight: Report


class ServiceBefore(msgspec.Struct, frozen=True, rename="camel"):
    troubles: tuple[look.Trouble, ...] = ()


class Before(msgspec.Struct, frozen=True, rename="camel"):
    """Of the last look document what is compared with this one."""

    at: datetime | None = None
    preflight: tuple[PreflightFinding, ...] = ()
    preflight_earlier: tuple[PreflightFinding, ...] = ()
    services: dict[str, ServiceBefore] = {}

    def since(self, service: str) -> dict[str, datetime]:
        """By what was wrong with a service: since when."""
        before = self.services.get(service)
        return {} if before is None else {trouble.about: trouble.since for trouble in before.troubles}


async def keep_summary(ports: Ports, summary: Summary) -> None:
    """Writes the look document, and publishes what is news: what preflight finds now and did not before, and what began to stand
    or is over. Raises Unavailable."""
    topology = summary.in_force.topology.name
    before, _ = await kept.load(ports.documents, keys.status(topology), Before)
    known = _by_key(*before.preflight, *before.preflight_earlier) if before is not None else {}
    found = _by_key(*map(preflight_finding, summary.preflight.findings))
    unjudged = {rule.rule for rule in summary.preflight.unjudged}
    missing = {key: each for key, each in known.items() if key not in found}
    earlier = tuple(each for each in missing.values() if each.rule in unjudged)
    now = document(summary, earlier, before or Before())
    await ports.documents.put(keys.status(topology), msgspec.json.format(msgspec.json.encode(now), indent=1))
    new = tuple(_in_words(each) for key, each in found.items() if key not in known)
    gone = tuple(_in_words(each) for each in missing.values() if each not in earlier)
    _report_states(ports, summary, now, before)
    await publish(ports, _news(summary, now, new, gone))


def _report_states(ports: Ports, summary: Summary, now: look.LastLook, before: Before | None) -> None:
    """A line and the measures of each service."""
    since = summary.at - before.at if before is not None and before.at is not None else timedelta(0)
    for name, service in now.services.items():
        state = _state(summary, name, service, since)
        log.info("state %s", msgspec.json.encode(state).decode())
        ports.telemetry.measured(of_state(state, summary.in_force.topology.service(name).names))


def _state(summary: Summary, name: str, service: look.Service, since: timedelta) -> StateLine:
    topology, seen, record = summary.in_force.topology, summary.services[name], summary.records[name]
    desired, operation, under_way = topology.service(name), record.operation, record.under_way
    looked, is_held = look_at(desired, summary), seen.outcome.ending is Ending.HELD
    return StateLine(
        topology=topology.name,
        service=name,
        at=summary.at,
        trace=trace.current(),
        mode=desired.mode,
        phase=record.phase,
        epoch=record.epoch,
        holder=record.holder,
        serving=sum(map(looked.serves, desired.names)) if looked is not None else 0,
        may_serve=len(record.may_serve),
        owed=len(record.owed),
        spares=sum(why is None for why in service.spares.values()) if isinstance(service.spares, dict) else None,
        outcome=service.outcome,
        held=is_held,
        held_seconds=since.total_seconds() if is_held else 0,
        reasons=service.reasons,
        operation=operation.kind if operation is not None else "",
        operation_seconds=(summary.at - under_way.started).total_seconds() if under_way is not None else 0,
        evidence_seconds=(summary.at - seen.observed.at).total_seconds() if seen.observed is not None else 0,
        automatic_failovers=record.spacing.count if record.spacing is not None else 0,
        write_tokens_left=summary.verification.cost.most - summary.verification.cost.spent,
    )


def _by_key(*findings: PreflightFinding) -> dict[tuple[str, str, str], PreflightFinding]:
    """By what they are about: `what` may hold figures that change."""
    return {(found.rule, found.path, found.do): found for found in findings}


def _in_words(found: PreflightFinding) -> FoundOrGone:
    return FoundOrGone(rule=found.rule, severity=found.severity, path=found.path, what=found.what, do=found.do)


def _news(summary: Summary, now: look.LastLook, new: tuple[FoundOrGone, ...], gone: tuple[FoundOrGone, ...]) -> News:
    topology, at = now.topology, summary.at
    changed = Event(
        id=f"{topology}/findings/{keys.stamp(at)}",
        kind="FindingsChanged",
        at=at,
        topology=topology,
        subject=topology,
        found=new,
        gone=gone,
    )
    standing = {**dict(_standing_services(summary, now)), **dict(_standing_places(summary))}
    if summary.in_force.problems:
        standing["rejected"] = Condition(kind="TopologyRejected", subject=topology, reasons=now.problems)
    return News(
        at=at,
        topology=topology,
        services=tuple(now.services),
        standing=standing,
        unknown=frozenset(_unknown(summary, now)),
        more=(changed,) if new or gone else (),
    )


def _standing_services(summary: Summary, now: look.LastLook) -> Iterator[tuple[str, Condition]]:
    for name, service in now.services.items():
        if summary.services[name].outcome.ending is Ending.HELD:
            yield f"held {name}", Condition(kind="Held", subject=name, reasons=service.reasons, over="HeldOver")
        spare = service.spares
        if isinstance(spare, dict) and spare and all(spare.values()):
            why = tuple(reason for reason in spare.values() if reason)
            lost = Condition(kind="RedundancyLost", subject=name, reasons=why, over="RedundancyBack")
            yield f"redundancy {name}", lost


def _standing_places(summary: Summary) -> Iterator[tuple[str, Condition]]:
    """Of Route Servers, and of flags: what is being put right is news once it is."""
    for membership in summary.memberships:
        server, reasons = membership.server, membership.outcome.reasons
        if membership.plan is not None and membership.plan.allotment.refused is not None:
            yield f"slot {server}", Condition(kind="SlotRefused", subject=server, reasons=reasons)
        if membership.steps and membership.outcome.ending is Ending.PENDING:
            yield f"drift {server}", Condition(kind=None, subject=server, reasons=reasons, over="DriftRepaired")
    for step in summary.networks.steps:
        if summary.networks.outcome.ending is Ending.PENDING:
            name, why = step.target.name, (step.why,)
            yield f"flags {name}", Condition(kind=None, subject=name, reasons=why, over="DriftRepaired")


def _unknown(summary: Summary, now: look.LastLook) -> Iterator[str]:
    """The keys of what this pass could not judge: it stands as it did."""
    yield from (f"redundancy {name}" for name, service in now.services.items() if service.spares is UNSET)
    for membership in summary.memberships:
        is_busy = bool(membership.steps) or membership.outcome.ending is Ending.PENDING
        if membership.reading is None or is_busy:
            yield f"drift {membership.server}"
        if membership.reading is None:
            yield f"slot {membership.server}"
    yield from (f"flags {step.target.name}" for step in summary.networks.steps)
    yield from (f"flags {name}" for name, reading in summary.networks.peerings.items() if isinstance(reading, str))


def document(summary: Summary, preflight_earlier: tuple[PreflightFinding, ...], before: Before) -> look.LastLook:
    in_force = summary.in_force
    return look.LastLook(
        topology=in_force.topology.name,
        at=summary.at,
        generation=in_force.generation,
        problems=tuple(map(str, in_force.problems)),
        outcome=summary.outcome.ending.word,
        reasons=summary.outcome.reasons,
        route_servers={m.server: _route_server(summary, m) for m in summary.memberships},
        routes=_routes(summary.verification),
        networks=_networks(summary.networks),
        members={name: _member(name, reading, summary) for name, reading in _of_agents(summary)},
        services={s.name: _service(s, summary, before.since(s.name)) for s in in_force.topology.services},
        preflight=tuple(map(preflight_finding, summary.preflight.findings)),
        preflight_earlier=preflight_earlier,
    )


def _route_server(summary: Summary, membership: Membership) -> look.RouteServer:
    topology, reading = summary.in_force.topology, membership.reading
    peerings = reading.peerings if reading is not None else ()
    server = next(s for s in topology.route_servers if s.name == membership.server)
    own = [p for p in peerings if is_own(topology, server, p.name)]
    return look.RouteServer(
        outcome=membership.outcome.ending.word,
        instances=tuple(map(str, reading.instances)) if reading is not None else (),
        taken=len(peerings) if reading is not None else None,
        most=topology.timing.peers_max,
        slots=slots(membership),
        steps=steps(membership),
        own={p.name: p.state for p in own},
        foreign=tuple(p.name for p in peerings if p not in own),
    )


def _routes(verification: Verification) -> look.Routes:
    cost = verification.cost
    return look.Routes(
        verified=verification.verified,
        complete=verification.complete,
        as_of=verification.as_of,
        checks=tuple(
            look.RouteCheck(service=c.service, speaker=c.speaker, verified=c.verified, missing=c.missing)
            for c in verification.checks
        ),
        wrong=len(verification.wrong),
        findings=tuple(map(finding, verification.findings)),
        answers=dict(sorted(verification.answers.items())),
        under_way=verification.under_way,
        trouble=verification.trouble,
        cost=look.WriteTokens(write_tokens=cost.spent, budget=cost.most, per_seconds=cost.per.total_seconds()),
    )


def _networks(networks: Networks) -> look.Networks:
    return look.Networks(
        as_of=networks.at,
        outcome=networks.outcome.ending.word,
        reasons=networks.outcome.reasons,
        peerings={name: _network_peering(reading) for name, reading in sorted(networks.peerings.items())},
        findings=tuple(map(finding, networks.findings)),
    )


def _network_peering(reading: NetworkPeeringReading | str) -> look.NetworkPeering:
    if isinstance(reading, str):
        return look.NetworkPeering(state="unknown", reason=reading)
    flags = {str(flag): value for flag, value in reading.flags.items()}
    return look.NetworkPeering(state=reading.state, settled=reading.settled, flags=flags)


def _is_ready(name: str, reading: AgentStatus, summary: Summary) -> bool:
    services = [s for s in summary.in_force.topology.services if name in s.agents]
    return all(can_take_over(reading, announces=name in service.announcers) for service in services)


def _of_agents(summary: Summary) -> Iterator[tuple[str, AgentReading]]:
    for name, reading in sorted(summary.agents.items()):
        if isinstance(reading, AgentStatus | Unreachable):
            yield name, reading


def _member(name: str, reading: AgentReading, summary: Summary) -> look.Member:
    if not isinstance(reading, AgentStatus):
        return look.Member(reachable=False, reason=reading.reason)
    views = sorted(reading.peers.items())
    return look.Member(
        reachable=True,
        version=reading.version,
        fatal=reading.fatal,
        ready=_is_ready(name, reading, summary),
        sessions={str(address): up for address, up in sorted(reading.sessions.items())},
        outward_sessions={str(address): up for address, up in sorted(reading.outward_sessions.items())},
        peers={peer: look.PeerView(gossip=view.gossip, probe=view.probe) for peer, view in views},
        clock_offset_seconds=round((reading.clock - summary.requested).total_seconds(), 3),
    )


def _service(service: Service, summary: Summary, since: Mapping[str, datetime]) -> look.Service:
    seen, next_hop = summary.services[service.name], summary.next_hops.get(service.name)
    balancer, looked = seen.balancer, look_at(service, summary)
    backends = sorted(balancer.backends.items()) if isinstance(balancer, BalancerReading) else []
    return look.Service(
        outcome=seen.outcome.ending.word,
        reasons=seen.outcome.reasons,
        next_hop=str(next_hop) if next_hop is not None else None,
        load_balancer=balancer if isinstance(balancer, str) else None,
        backends={name: look.Backend(admin_state=b.admin_state, reason=b.reason) for name, b in backends},
        spares=spares(looked) if looked is not None else UNSET,
        troubles=_troubles(looked, summary.at, since) if looked is not None else UNSET,
        metrics={name: str(value) for name, value in seen.metrics.items()},
        events=tuple(look.HealthEvent(at=e.at, kind=e.kind, description=e.description) for e in seen.events),
    )


def _troubles(looked: Look, at: datetime, since: Mapping[str, datetime]) -> tuple[look.Trouble, ...]:
    found = troubles(looked).items()
    return tuple(look.Trouble(about=about, what=what, since=since.get(about, at)) for about, what in found)


def look_at(service: Service, summary: Summary) -> Look | None:
    """The service as it was last seen, with its record as it is; None where no look was completed."""
    observed = summary.services[service.name].observed
    if observed is None:
        return None
    return Look(service, summary.in_force.topology.timing, observed, summary.records[service.name], summary.at)
