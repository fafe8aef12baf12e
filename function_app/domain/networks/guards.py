"""The guards of a repair of flags: pure predicates in one tuple, each with the reason where it refuses.

| guard                | refuses                                             | because                                          |
|----------------------|-----------------------------------------------------|--------------------------------------------------|
| owned only           | what the topology does not call `owned`             | it is another owner's setting                    |
| no operation is open | while a service is not at rest                      | resets BGP sessions (azure-facts.md section 2)   |
| nothing is paused    | while a service is paused                           | an operator's word                               |
| one write at a time  | while anything of it is being written               | Azure answers 409, and changes would add up      |
| not again so soon    | a second repair of one thing within `verifyEvery`   | another writer may keep changing it back         |
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from function_app.domain.base.refusal import Guard, GuardAnswer, Refusal, refusals
from function_app.domain.networks.flags import NetworkPeeringReading, RepairFlags
from function_app.domain.peerings.model import Provisioning, RouteServerReading
from function_app.domain.service.record import Phase, Record


@dataclass(frozen=True, slots=True)
class FlagContext:
    """What a guard may look at: everything that was read, and when each repair was begun last."""

    at: datetime
    records: Mapping[str, Record]
    servers: Mapping[str, RouteServerReading]
    stepped: frozenset[str]
    """Route Servers to which this pass has written already."""
    peerings: Mapping[str, NetworkPeeringReading]
    repaired: Mapping[str, datetime]
    every: timedelta
    """How often one thing may be repaired: another writer may keep changing it back."""


def _owned_only(step: RepairFlags, context: FlagContext) -> GuardAnswer:
    return None if step.target.owned else f"{step.target.name} is not `owned`"


def _no_operation_is_open(step: RepairFlags, context: FlagContext) -> GuardAnswer:
    open_ = sorted(name for name, record in context.records.items() if record.phase is not Phase.STABLE)
    return f"{', '.join(open_)} is not at rest" if open_ else None


def _nothing_is_paused(step: RepairFlags, context: FlagContext) -> GuardAnswer:
    paused = sorted(n for n, r in context.records.items() if r.pause is not None and context.at < r.pause.until)
    return f"{', '.join(paused)} is paused" if paused else None


def _one_write_at_a_time(step: RepairFlags, context: FlagContext) -> GuardAnswer:
    busy = sorted({*context.stepped, *_being_written(context)})
    return f"{', '.join(busy)} is being written" if busy else None


def _being_written(context: FlagContext) -> Iterator[str]:
    for name, server in context.servers.items():
        if not server.provisioned or any(
            p.state in (Provisioning.UPDATING, Provisioning.DELETING) for p in server.peerings
        ):
            yield name
    yield from (name for name, peering in context.peerings.items() if not peering.settled)


def _not_again_so_soon(step: RepairFlags, context: FlagContext) -> GuardAnswer:
    last = context.repaired.get(step.target.name)
    if last is None or not timedelta(0) <= context.at - last < context.every:
        return None
    return f"it was repaired {(context.at - last).total_seconds():.0f} s ago: another writer may be changing it back"


GUARDS: tuple[Guard[RepairFlags, FlagContext], ...] = (
    _owned_only,
    _no_operation_is_open,
    _nothing_is_paused,
    _one_write_at_a_time,
    _not_again_so_soon,
)


def refuse(step: RepairFlags, context: FlagContext) -> tuple[Refusal, ...]:
    """Why this repair may not be begun now, by every guard that refuses it; empty when it may."""
    return refusals(GUARDS, step, context)
