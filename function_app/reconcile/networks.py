"""Keeps the flags of network peerings and Route Servers: reads and compares, and repairs what is owned, one write a pass.

Slow passes only, and never beside an operation of a service (`domain/networks`, its guards). When a repair was begun is
written before it is, in `networks/{topology}.json`: a crash or another pass then finds it and does not repeat it soon.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from function_app.domain.base.errors import HopkeeperError, Superseded, Transient
from function_app.domain.networks.flags import NetworkPeeringReading, RepairFlags, plan
from function_app.domain.networks.guards import FlagContext, refuse
from function_app.domain.routes.findings import Finding
from function_app.domain.service.record import Record
from function_app.domain.topology.model import NetworkPeering, Topology
from function_app.reconcile.passes.outcome import CONVERGED, Ending, Outcome
from function_app.reconcile.peerings.keep import Membership
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """When a repair of each network peering or Route Server was begun last, by name."""

    at: dict[str, datetime] = {}


@dataclass(frozen=True, slots=True)
class Networks:
    """What one look at flags led to; a peering that could not be read has a reason in its place."""

    at: datetime
    peerings: Mapping[str, NetworkPeeringReading | str]
    findings: tuple[Finding, ...]
    steps: tuple[RepairFlags, ...]
    outcome: Outcome


async def keep_networks(
    ports: Ports,
    topology: Topology,
    memberships: tuple[Membership, ...],
    records: Mapping[str, Record],
    dry_run: bool = False,
) -> Networks:
    """Reads every network peering, compares all flags, and begins the first repair that no guard refuses."""
    peerings = await _read(ports, topology)
    at = ports.clock.now()
    known = {name: reading for name, reading in peerings.items() if not isinstance(reading, str)}
    servers = {m.server: m.reading for m in memberships if m.reading is not None}
    wanted = plan(topology, known, servers)
    reasons = tuple(reading for reading in peerings.values() if isinstance(reading, str))
    if not wanted.steps:
        outcome = Outcome(Ending.HELD, reasons) if reasons else CONVERGED
        return Networks(at, peerings, wanted.findings, (), outcome)
    key = f"networks/{topology.name}.json"
    # Unreadable, nothing is known to have been repaired: one write too many, under its etag, harms nothing.
    known_repairs, etag = await kept.load(ports.documents, key, Repaired)
    repaired = known_repairs or Repaired()
    context = FlagContext(
        at=at,
        records=records,
        servers=servers,
        stepped=frozenset(m.server for m in memberships if m.steps and m.outcome.ending is not Ending.REFUSED),
        peerings=known,
        repaired=repaired.at,
        every=topology.timing.verify_every,
    )
    refused = {step.target.name: refuse(step, context) for step in wanted.steps}
    reasons += tuple(f"{name}: {refusal}" for name, each in refused.items() for refusal in each)
    permitted = next((step for step in wanted.steps if not refused[step.target.name]), None)
    if permitted is None:
        outcome = Outcome(Ending.HELD, reasons, topology.timing.doubt_poll)
    elif dry_run:
        outcome = Outcome(Ending.PENDING, reasons)
    else:
        intent = Repaired(at={**repaired.at, permitted.target.name: at})
        outcome = await _begin(ports, topology, permitted, key, (intent, etag))
    return Networks(at, peerings, wanted.findings, wanted.steps, outcome)


async def _begin(
    ports: Ports, topology: Topology, step: RepairFlags, key: str, intent: tuple[Repaired, str | None]
) -> Outcome:
    """The intent first, by compare-and-swap; then one write, whose progress the next pass reads."""
    again, name = topology.timing.doubt_poll, step.target.name
    repaired, etag = intent
    try:
        await ports.documents.save(key, msgspec.json.encode(repaired), etag)
    except Superseded:
        return Outcome(Ending.PENDING, (f"{name}: another pass was faster",), again)
    try:
        await ports.network_flags.repair(step)
    except HopkeeperError as error:
        later = error.retry_after if isinstance(error, Transient) else again
        return Outcome(Ending.HELD, (f"{name}: {error}",), max(again, later))
    return Outcome(Ending.PENDING, (f"{name}: repaired: {step.why}",), again)


async def _read(ports: Ports, topology: Topology) -> dict[str, NetworkPeeringReading | str]:
    async def one(peering: NetworkPeering) -> NetworkPeeringReading | str:
        try:
            return await ports.network_flags.read(peering)
        except HopkeeperError as error:
            return f"{peering.name}: {error}"

    readings = await asyncio.gather(*(one(peering) for peering in topology.network_peerings))
    return {p.name: reading for p, reading in zip(topology.network_peerings, readings, strict=True)}
