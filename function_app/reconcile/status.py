"""The status: what is in force, who holds each service, why anything is held. From stored documents only: always quick."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from function_app.domain.base.errors import BadInput
from function_app.domain.service.record import Phase, Record
from function_app.domain.topology import model
from function_app.domain.topology.model import Mode, Topology
from function_app.reconcile.documents import status
from function_app.reconcile.documents.look import LastLook
from function_app.reconcile.documents.topologies import TopologyList, TopologyListed
from function_app.reconcile.passes.sweeps import last_sweep
from function_app.reconcile.ports import Clock, Documents
from function_app.reconcile.store import kept, keys
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import Topologies, unquoted
from function_app.reconcile.trouble import found_wrong

NOT_RUNNING = (
    "the app does not run, or does not reach its storage: restart it (`az functionapp restart`). Roles stay as they are, and "
    "nothing fails over meanwhile; `hopkeeper reconcile {} --direct` makes a pass"
)
"""With the topology's name."""
TROUBLED = ("paused", "held", "refused", "failed")
LOOK_SECONDS = 30.0
"""What a slow pass may take until its look is stored."""


class _LookTime(msgspec.Struct, frozen=True):
    """When a look was made; read also of a look document that cannot be read otherwise."""

    at: datetime


async def overview(topologies: Topologies, documents: Documents, clock: Clock, observing: bool) -> status.Overview:
    """Every topology, and when the last sweep came through. Raises Unavailable."""
    found = [await _summary(topologies, documents, name, clock.now()) for name in await topologies.names()]
    sweep = await _sweep(documents, clock.now())
    return status.Overview(topologies=tuple(found), sweep=sweep, observing=observing)


async def _sweep(documents: Documents, now: datetime) -> status.Sweep | None:
    swept = await last_sweep(documents)
    return None if swept is None else status.Sweep(at=swept.at, age_seconds=_age(swept.at, now))


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


async def listed(topologies: Topologies) -> TopologyList:
    """Every topology, with the etag that a change of its document names."""
    return TopologyList(topologies=tuple([await _listed(topologies, name) for name in await topologies.names()]))


async def _listed(topologies: Topologies, name: str) -> TopologyListed:
    try:
        in_force = await topologies.in_force(name)
        usable, etag, problems = True, in_force.generation, in_force.problems
    except BadInput as error:
        usable, etag, problems = False, await topologies.newest_etag(name) or "", error.problems
    return TopologyListed(topology=name, usable=usable, etag=unquoted(etag) or None, problems=tuple(map(str, problems)))


async def detail(topologies: Topologies, documents: Documents, clock: Clock, name: str) -> status.Status:
    """One topology: its records as they are now, and what the last slow pass saw. Raises BadInput if it is unknown."""
    in_force = await topologies.in_force(name)
    look, _ = await kept.load(documents, keys.status(name), LastLook)
    records = await Records(documents).load_all(in_force.topology, clock.now())
    now, sweep = clock.now(), in_force.topology.timing.sweep
    found = status.Status(
        topology=name,
        as_of=now,
        verdict="well",
        reasons=(),
        looked_seconds=None if look is None else _age(look.at, now),
        sweep=await _sweep(documents, now),
        sweep_seconds=sweep.total_seconds(),
        generation=in_force.generation,
        problems=tuple(map(str, in_force.problems)),
        speakers=tuple(map(_speaker, in_force.topology.speakers)),
        services=tuple(_service(in_force.topology, s, records[s.name], now) for s in in_force.topology.services),
        last_look=None if look is None else _aged(look, now),
    )
    stale = tuple(_stale(found))
    seen = None if stale else found.last_look
    wrong = found_wrong(in_force.topology, found, seen) if seen is not None else ()
    trouble = (*_trouble(found, seen), *wrong)
    return replace(found, verdict="stale" if stale else "trouble" if trouble else "well", reasons=stale + trouble)


def _stale(found: status.Status) -> Iterator[str]:
    """Why what was seen last says nothing of now: a sweep looks at everything, and two of them did not."""
    most = _overdue_after(found)
    if found.looked_seconds is None:
        yield "no look that can be read is on record"
    elif found.looked_seconds > most:
        looks = f"not looked at for {found.looked_seconds} s, and a sweep looks every {found.sweep_seconds:g} s"
        sweeps = found.sweep is not None and found.sweep.age_seconds <= most
        yield f"{looks}: {'sweeps come, but no look is completed' if sweeps else NOT_RUNNING.format(found.topology)}"


def _overdue_after(found: status.Status) -> float:
    """Seconds."""
    return max(2 * found.sweep_seconds, found.sweep_seconds + LOOK_SECONDS)


def _trouble(found: status.Status, seen: LastLook | None) -> Iterator[str]:
    """What is not as it should be, in short: why stands with the part that it is about. `seen`: the last look, where it says
    something of now."""
    if seen is not None and found.sweep is not None and found.sweep.age_seconds > _overdue_after(found):
        not_running = NOT_RUNNING.format(found.topology)
        yield f"no sweep for {found.sweep.age_seconds:g} s, and one is due every {found.sweep_seconds:g} s: {not_running}"
    if found.problems:
        yield (
            "the document that was stored last is refused, and the one before it stays in force, so that traffic is as it was: "
            f"`hopkeeper get {found.topology} > FILE` writes the one in force, `hopkeeper apply FILE` stores it again, mended"
        )
    for service in found.services:
        yield from (f"{service.service}: {why}" for why in _trouble_of(service, seen, found.generation))
    if seen is not None:
        parts = {name: server.outcome for name, server in seen.route_servers.items()}
        parts["networks"] = seen.networks.outcome
        yield from (f"{name}: {outcome}" for name, outcome in parts.items() if outcome in TROUBLED)
        if seen.routes.wrong:
            yield f"routes: {seen.routes.wrong} wrong"


def _trouble_of(service: status.ServiceStatus, seen: LastLook | None, generation: str) -> Iterator[str]:
    if service.left is not None:
        if not service.left.done:
            yield f"it is being {service.left.how}"
        return
    if service.holder is None and service.mode != Mode.ACTIVE_ACTIVE:
        yield "no member is known to serve"
    if service.paused is not None:
        yield "paused"
    if seen is not None and service.service in seen.services:
        yield from _trouble_seen(service, seen, generation)


def _trouble_seen(service: status.ServiceStatus, seen: LastLook, generation: str) -> Iterator[str]:
    looked = seen.services[service.service]
    if not answers(service.holder, seen):
        yield f"{service.holder} does not answer"
    if looked.outcome in TROUBLED and looked.outcome != "paused":  # whether it still is, the record says
        yield looked.outcome
    if service.mode != Mode.ACTIVE_ACTIVE and _has_no_spare(spares_now(service, seen, generation)):
        yield "no spare: the next failure is an outage"


def _has_no_spare(spares: dict[str, str | None]) -> bool:
    return bool(spares) and all(spares.values())


def answers(member: str | None, seen: LastLook) -> bool:
    """Whether its agent did, by this look; one that has none does not count."""
    reading = None if member is None else seen.members.get(member)
    return reading is None or reading.reachable


def spares_now(service: status.ServiceStatus, seen: LastLook, generation: str) -> dict[str, str | None]:
    """By member that does not serve why it could not take over, by a look at this very document; empty where that is not known.
    A drain of since then counts."""
    looked = seen.services.get(service.service)
    if looked is None or looked.spares is UNSET or seen.generation != generation:
        return {}
    return {name: f"{name}: it is drained" if name in service.drained else why for name, why in looked.spares.items()}


def _aged(look: LastLook, now: datetime) -> LastLook:
    """The look with the age of its evidence as it is now."""
    routes, networks = look.routes, look.networks
    if routes.as_of is not None:
        routes = replace(routes, age_seconds=_age(routes.as_of, now))
    return replace(look, routes=routes, networks=replace(networks, age_seconds=_age(networks.as_of, now)))


def _age(at: datetime, now: datetime) -> int:
    """In seconds, 0 where `at` is in the future."""
    return max(0, round((now - at).total_seconds()))


def _speaker(speaker: model.Speaker) -> status.SpeakerInForce:
    return status.SpeakerInForce(
        name=speaker.name,
        address=str(speaker.address),
        asn=speaker.asn,
        role=speaker.role,
        peers_with=speaker.peers_with,
        agent=speaker.agent is not None,
    )


def _service(topology: Topology, service: model.Service, record: Record, now: datetime) -> status.ServiceStatus:
    balancer = service.next_hop.load_balancer
    drains = sorted((name, drain) for name, drain in record.drains.items() if now < drain.until)
    return status.ServiceStatus(
        service=service.name,
        mode=service.mode,
        balancer=balancer.id.rpartition("/")[2] if balancer is not None else None,
        phase=record.phase,
        since=_since(record),
        left=_left(record),
        epoch=record.epoch,
        holder=record.holder,
        target=record.target,
        may_serve=tuple(sorted(record.may_serve)),
        fenced=tuple(sorted(record.fenced)),
        owed=tuple(sorted(record.owed)),
        paused=_pause(record, now),
        drained={name: status.DrainInForce(until=drain.until, by=drain.by) for name, drain in drains},
        automatic_failovers=record.spacing.count if record.spacing else 0,
        paths=_paths(record),
        members=tuple(status.MemberAddress(name=n, address=str(topology.speaker(n).address)) for n in service.names),
        operation=_operation(record),
    )


def _since(record: Record) -> datetime | None:
    operation = record.operation
    return operation.granted or operation.started if operation is not None and record.phase is Phase.STABLE else None


def _left(record: Record) -> status.Left | None:
    leaving = record.leaving
    return None if leaving is None else status.Left(how=leaving.how, by=leaving.by, done=leaving.done)


def _pause(record: Record, now: datetime) -> status.PauseInForce | None:
    pause = record.pause
    if pause is None or now >= pause.until:
        return None
    return status.PauseInForce(until=pause.until, by=pause.by, reason=pause.reason)


def _operation(record: Record) -> status.OperationUnderWay | None:
    operation = record.operation
    if operation is None:
        return None
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
