"""What the last slow pass saw, kept in `status/{topology}.json` for the status view. The last writer is right."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any

import msgspec

from function_app.domain.preflight.summary import Report
from function_app.domain.service.health import can_take_over
from function_app.domain.service.observation import AgentReading, AgentStatus, BalancerReading, Value
from function_app.reconcile import networks
from function_app.reconcile.networks import Networks
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.peerings.keep import Membership
from function_app.reconcile.peerings.told import told_slots, told_steps
from function_app.reconcile.ports import HealthEvent, Ports
from function_app.reconcile.preflight import as_document
from function_app.reconcile.routes import verification
from function_app.reconcile.routes.verification import Verification
from function_app.reconcile.store import keys
from function_app.reconcile.store.topologies import InForce


@dataclass(frozen=True, slots=True)
class Seen:
    """One service in a slow pass: its load balancer, and what only explains."""

    balancer: BalancerReading | str | None
    """None where the service has none; a text says why it could not be read."""
    outcome: Outcome
    metrics: Mapping[str, Value]
    events: tuple[HealthEvent, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything one slow pass saw."""

    at: datetime
    asked: datetime
    """When the agents were asked: what their clocks are compared with."""
    in_force: InForce
    outcome: Outcome
    agents: Mapping[str, AgentReading]
    services: Mapping[str, Seen]
    next_hops: Mapping[str, IPv4Address]
    """By service, where its routes should lead, as far as that is known."""
    memberships: tuple[Membership, ...]
    verification: Verification
    networks: Networks
    preflight: Report


async def keep_summary(ports: Ports, summary: Summary) -> None:
    """Writes the status document."""
    topology = summary.in_force.topology
    document = {
        "topology": topology.name,
        "at": summary.at,
        "generation": summary.in_force.generation,
        "problems": [str(p) for p in summary.in_force.problems],
        "outcome": summary.outcome.ending.name.lower(),
        "reasons": list(summary.outcome.reasons),
        "routeServers": {m.server: _membership(summary, m) for m in summary.memberships},
        "routes": verification.told(summary.verification),
        "networks": networks.told(summary.networks),
        "members": {name: _member(name, reading, summary) for name, reading in sorted(summary.agents.items())},
        "services": {name: _service(seen, summary.next_hops.get(name)) for name, seen in summary.services.items()},
        "preflight": as_document(summary.preflight)["findings"],
    }
    await ports.documents.put(keys.status(topology.name), msgspec.json.format(msgspec.json.encode(document), indent=1))


def _membership(summary: Summary, membership: Membership) -> dict[str, Any]:
    topology = summary.in_force.topology
    reading = membership.reading
    return {
        "outcome": membership.outcome.ending.name.lower(),
        "instances": [str(i) for i in reading.instances] if reading else [],
        "taken": len(reading.peerings) if reading else None,
        "most": topology.timing.peers_max,
        "slots": told_slots(membership),
        "steps": told_steps(membership),
        "own": {p.name: p.state for p in membership.own(topology)},
        "foreign": [p.name for p in reading.peerings if p not in membership.own(topology)] if reading else [],
    }


def _is_ready(name: str, reading: AgentStatus, summary: Summary) -> bool:
    services = [s for s in summary.in_force.topology.services if name in s.agents]
    return all(can_take_over(reading, announces=name in service.announcers) for service in services)


def _member(name: str, reading: AgentReading, summary: Summary) -> dict[str, Any]:
    if not isinstance(reading, AgentStatus):
        return {"reachable": False, "reason": reading.reason}
    return {
        "reachable": True,
        "version": reading.version,
        "fatal": list(reading.fatal),
        "ready": _is_ready(name, reading, summary),
        "sessions": {str(address): up for address, up in sorted(reading.sessions.items())},
        "outwardSessions": {str(address): up for address, up in sorted(reading.outward_sessions.items())},
        "peers": {peer: {"gossip": view.gossip, "probe": view.probe} for peer, view in sorted(reading.peers.items())},
        "clockOffsetSeconds": round((reading.clock - summary.asked).total_seconds(), 3),
    }


def _service(seen: Seen, next_hop: IPv4Address | None) -> dict[str, Any]:
    balancer = seen.balancer
    known = isinstance(balancer, BalancerReading)
    return {
        "outcome": seen.outcome.ending.name.lower(),
        "reasons": list(seen.outcome.reasons),
        "nextHop": str(next_hop) if next_hop else None,
        "loadBalancer": None if known else balancer,
        "backends": {
            name: {"adminState": backend.admin_state, "reason": backend.reason}
            for name, backend in (sorted(balancer.backends.items()) if isinstance(balancer, BalancerReading) else ())
        },
        "metrics": dict(seen.metrics),
        "events": [{"at": e.at, "kind": e.kind, "description": e.description} for e in seen.events],
    }
