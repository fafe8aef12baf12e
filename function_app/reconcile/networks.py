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
from function_app.domain.routes.findings import RouteFinding
from function_app.domain.service.record import Record
from function_app.domain.topology.model import NetworkPeering, Topology
from function_app.reconcile.passes.outcome import CONVERGED, Ending, Outcome
from function_app.reconcile.peerings.keep import Membership
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """When a repair of each network peering or Route Server was begun last, by name."""

    at: dict[str, datetime] = {}


@dataclass(frozen=True, slots=True)
class Networks:
    """What one look at flags led to; a peering that could not be read has a reason in its place."""

    at: datetime
    peerings: Mapping[str, NetworkPeeringReading | str]
    findings: tuple[RouteFinding, ...]
    steps: tuple[RepairFlags, ...]
    outcome: Outcome


async def keep_networks(
    ports: Ports,
    topology: Topology,
    memberships: tuple[Membership, ...],
    records: Mapping[str, Record],
    dry_run: bool = False,
) -> Networks:
    """Reads every network peering, compares all flags, and begins the first repair that no guard refuses.

    Raises Unavailable where storage does not answer; what ARM does not answer is a reason of the outcome.
    """
    peerings = await _read(ports, topology)
    at = ports.clock.now()
    known = {name: reading for name, reading in peerings.items() if not isinstance(reading, str)}
    unread = tuple(reading for reading in peerings.values() if isinstance(reading, str))
    servers = {m.server: m.reading for m in memberships if m.reading is not None}
    wanted = plan(topology, known, servers)
    if not wanted.steps:
        outcome = Outcome(Ending.FAILED, unread) if unread else CONVERGED
        return Networks(at, peerings, wanted.findings, (), outcome)
    repairs = RepairsOf(ports, topology)
    context = FlagContext(
        at=at,
        records=records,
        servers=servers,
        stepped=_stepped(memberships),
        peerings=known,
        repaired=await repairs.load(),
        every=topology.timing.verify_every,
    )
    permitted, reasons = _sift(wanted.steps, context)
    reasons = (*unread, *reasons)
    if permitted is None:
        outcome = Outcome(Ending.HELD, reasons, topology.timing.doubt_poll)
    elif dry_run:
        outcome = Outcome(Ending.PENDING, reasons)
    else:
        outcome = await repairs.begin(permitted, at)
    return Networks(at, peerings, wanted.findings, wanted.steps, outcome)


def _stepped(memberships: tuple[Membership, ...]) -> frozenset[str]:
    """Route Servers on which this pass may have begun a write."""
    return frozenset(m.server for m in memberships if m.steps and m.outcome.ending is not Ending.REFUSED)


def _sift(steps: tuple[RepairFlags, ...], context: FlagContext) -> tuple[RepairFlags | None, tuple[str, ...]]:
    """The first step that no guard refuses, and why the others are refused."""
    refused = [(step, refuse(step, context)) for step in steps]
    permitted = next((step for step, refusals in refused if not refusals), None)
    return permitted, tuple(f"{step.target.name}: {refusal}" for step, refusals in refused for refusal in refusals)


class RepairsOf:
    """When repairs of one topology were begun, loaded once, written before a repair."""

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self._ports = ports
        self._key = keys.network_repairs(topology.name)
        self._again = topology.timing.doubt_poll
        self._known = Repaired()
        self._etag: str | None = None

    async def load(self) -> Mapping[str, datetime]:
        """By name when its last repair was begun. Unreadable, none is known: a write too many, under its etag, is harmless.
        Raises Unavailable."""
        known, self._etag = await kept.load(self._ports.documents, self._key, Repaired)
        self._known = known or Repaired()
        return self._known.at

    async def begin(self, step: RepairFlags, at: datetime) -> Outcome:
        """The intent first, by compare-and-swap; then one write, whose progress the next pass reads."""
        name = step.target.name
        intent = Repaired(at={**self._known.at, name: at})
        try:
            await self._ports.documents.save(self._key, msgspec.json.encode(intent), self._etag)
        except Superseded:
            return Outcome(Ending.PENDING, (f"{name}: another pass was faster",), self._again)
        try:
            await self._ports.network_flags.repair(step)
        except HopkeeperError as error:
            ending, later = Ending.FAILED, self._again
            if isinstance(error, Transient):
                ending, later = Ending.PENDING, error.retry_after
            return Outcome(ending, (f"{name}: {error}",), max(self._again, later))
        return Outcome(Ending.PENDING, (f"{name}: repaired: {step.why}",), self._again)


async def _read(ports: Ports, topology: Topology) -> dict[str, NetworkPeeringReading | str]:
    async def one(peering: NetworkPeering) -> NetworkPeeringReading | str:
        try:
            return await ports.network_flags.read(peering)
        except HopkeeperError as error:
            return f"{peering.name}: {error}"

    readings = await asyncio.gather(*(one(peering) for peering in topology.network_peerings))
    return {p.name: reading for p, reading in zip(topology.network_peerings, readings, strict=True)}
