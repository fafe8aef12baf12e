"""The status: what is in force, who holds each service, why anything is held. From stored documents only: always quick."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from function_app.domain.base.errors import BadInput
from function_app.domain.service.record import Operation, Record
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile.documents import status
from function_app.reconcile.documents.look import LastLook
from function_app.reconcile.passes.sweeps import last_sweep
from function_app.reconcile.ports import Clock, Documents
from function_app.reconcile.store import kept, keys
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import Topologies


class _LookTime(msgspec.Struct, frozen=True):
    """When a look was made; read also of a look document that cannot be read otherwise."""

    at: datetime


async def overview(topologies: Topologies, documents: Documents, clock: Clock, observing: bool) -> status.Overview:
    """Every topology, and when the last sweep came through. Raises Unavailable."""
    found = [await _summary(topologies, documents, name, clock.now()) for name in await topologies.names()]
    swept = await last_sweep(documents)
    sweep = None
    if swept is not None:
        sweep = status.Sweep(at=swept.at, age_seconds=_age(swept.at, clock.now()))
    return status.Overview(topologies=tuple(found), sweep=sweep, observing=observing)


async def _summary(topologies: Topologies, documents: Documents, name: str, now: datetime) -> status.TopologySummary:
    look, _ = await kept.load(documents, keys.status(name), _LookTime)
    seconds = None if look is None else round((now - look.at).total_seconds())
    try:
        in_force = await topologies.in_force(name)
    except BadInput as error:
        problems = tuple(map(str, error.problems))
        return status.TopologySummary(topology=name, usable=False, problems=problems, last_look_seconds=seconds)
    return status.TopologySummary(
        topology=name,
        usable=True,
        problems=tuple(map(str, in_force.problems)),
        services=tuple(s.name for s in in_force.topology.services),
        last_look_seconds=seconds,
    )


async def detail(topologies: Topologies, documents: Documents, clock: Clock, name: str) -> status.Status:
    """One topology: its records as they are now, and what the last slow pass saw. Raises BadInput if it is unknown."""
    in_force = await topologies.in_force(name)
    look, _ = await kept.load(documents, keys.status(name), LastLook)
    records = await Records(documents).load_all(in_force.topology, clock.now())
    return status.Status(
        topology=name,
        generation=in_force.generation,
        problems=tuple(map(str, in_force.problems)),
        services=tuple(_service(in_force.topology, s, records[s.name]) for s in in_force.topology.services),
        last_look=None if look is None else _aged(look, clock.now()),
    )


def _aged(look: LastLook, now: datetime) -> LastLook:
    """The look with the age of its evidence as it is now."""
    routes, networks = look.routes, look.networks
    if routes.as_of is not None:
        routes = replace(routes, age_seconds=_age(routes.as_of, now))
    return replace(look, routes=routes, networks=replace(networks, age_seconds=_age(networks.as_of, now)))


def _age(at: datetime, now: datetime) -> int:
    """In seconds, 0 where `at` is in the future."""
    return max(0, round((now - at).total_seconds()))


def _service(topology: Topology, service: Service, record: Record) -> status.ServiceStatus:
    pause, drains = record.pause, sorted(record.drains.items())
    return status.ServiceStatus(
        service=service.name,
        mode=service.mode,
        phase=record.phase,
        epoch=record.epoch,
        holder=record.holder,
        target=record.target,
        may_serve=tuple(sorted(record.may_serve)),
        fenced=tuple(sorted(record.fenced)),
        owed=tuple(sorted(record.owed)),
        paused=None if pause is None else status.PauseInForce(until=pause.until, by=pause.by),
        drained={name: status.DrainInForce(until=drain.until, by=drain.by) for name, drain in drains},
        automatic_failovers=record.spacing.count if record.spacing else 0,
        paths=_paths(record),
        members=tuple(status.MemberAddress(name=n, address=str(topology.speaker(n).address)) for n in service.names),
        operation=None if record.operation is None else _operation(record.operation),
    )


def _operation(operation: Operation) -> status.OperationUnderWay:
    return status.OperationUnderWay(
        id=operation.id, kind=operation.kind, reason=operation.reason, started=operation.started
    )


def _paths(record: Record) -> dict[str, status.PathOrder] | None:
    """Of a ranked service: what each announcer was last commanded, and what else it may still announce."""
    if record.rank is None:
        return None
    return {
        name: status.PathOrder(
            next_hop=announcer.latest.path.next_hop or None,
            length=announcer.latest.path.length,
            acknowledged=announcer.settled,
            may_still_be=tuple(sorted({order.path.length for order in announcer.orders[:-1]})),
        )
        for name, announcer in sorted(record.rank.announcers.items())
    }
