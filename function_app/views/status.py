"""The status: what is in force, who holds each service, why anything is held. From stored documents only: always quick."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from function_app.domain.base.errors import BadInput
from function_app.domain.service.record import Record
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile.passes.sweeps import last_sweep
from function_app.reconcile.ports import Clock, Documents
from function_app.reconcile.store import kept, keys
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import Topologies


class _Look(msgspec.Struct, frozen=True):
    """Of what the last slow pass saw, when that was."""

    at: datetime


async def overview(topologies: Topologies, documents: Documents, clock: Clock) -> Mapping[str, Any]:
    """Every topology: usable or not, and why not, and the age in seconds of its last completed look (None: none yet, or not
    readable); and when the last sweep came through, with its age likewise."""
    found: list[Mapping[str, Any]] = []
    for name in await topologies.names():
        looked = {"lastLookSeconds": await _look_seconds(documents, name, clock.now())}
        try:
            in_force = await topologies.in_force(name)
        except BadInput as error:
            found.append({"topology": name, "usable": False, "problems": [str(p) for p in error.problems]} | looked)
            continue
        problems = [str(p) for p in in_force.problems]
        services = [s.name for s in in_force.topology.services]
        found.append({"topology": name, "usable": True, "problems": problems, "services": services} | looked)
    swept = await last_sweep(documents)
    sweep = (
        None
        if swept is None
        else {"at": swept.at, "ageSeconds": max(0, round((clock.now() - swept.at).total_seconds()))}
    )
    return {"product": "hopkeeper", "topologies": found, "sweep": sweep}


async def _look_seconds(documents: Documents, name: str, now: datetime) -> int | None:
    """Minus where its time is later than now, by a clock that is wrong."""
    look, _ = await kept.load(documents, keys.status(name), _Look)
    return None if look is None else round((now - look.at).total_seconds())


async def detail(topologies: Topologies, documents: Documents, clock: Clock, name: str) -> Mapping[str, Any]:
    """One topology: its records as they are now, and what the last slow pass saw. Raises BadInput if it is unknown."""
    in_force = await topologies.in_force(name)
    stored = await documents.load(keys.status(name))
    last: dict[str, Any] = msgspec.json.decode(stored.body) if stored else {}
    records = Records(documents)
    services = []
    for service in in_force.topology.services:
        held = await records.load(in_force.topology, service, clock.now())
        services.append(_service(in_force.topology, service, held.record))
    return {
        "topology": name,
        "generation": in_force.generation,
        "problems": [str(p) for p in in_force.problems],
        "services": services,
        "lastLook": _aged(last, clock.now()) or None,
    }


def _aged(last: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What the last slow pass saw, with the age of its evidence as it is now."""
    for part in (last.get("routes"), last.get("networks")):
        if part and part.get("asOf"):
            part["ageSeconds"] = max(0, round((now - datetime.fromisoformat(part["asOf"])).total_seconds()))
    return last


def _paths(record: Record) -> Mapping[str, Any] | None:
    """Of a ranked service: what each announcer was last ordered, and what else of it may still be on the wire."""
    if record.rank is None:
        return None
    return {
        name: {
            "nextHop": announcer.latest.path.next_hop or None,
            "length": announcer.latest.path.length,
            "acknowledged": announcer.settled,
            "mayStillBe": sorted({order.path.length for order in announcer.orders[:-1]}),
        }
        for name, announcer in sorted(record.rank.announcers.items())
    }


def _service(topology: Topology, service: Service, record: Record) -> Mapping[str, Any]:
    operation = record.operation
    return {
        "service": service.name,
        "mode": service.mode,
        "phase": record.phase,
        "epoch": record.epoch,
        "holder": record.holder,
        "target": record.target,
        "mayServe": sorted(record.may_serve),
        "fenced": sorted(record.fenced),
        "owed": sorted(record.owed),
        "paused": None if record.pause is None else {"until": record.pause.until, "by": record.pause.by},
        "drained": {name: {"until": drain.until, "by": drain.by} for name, drain in sorted(record.drains.items())},
        "automaticFailovers": record.spacing.count if record.spacing else 0,
        "paths": _paths(record),
        "members": [{"name": n, "address": str(topology.speaker(n).address)} for n in service.names],
        "operation": None
        if operation is None
        else {"id": operation.id, "kind": operation.kind, "reason": operation.reason, "started": operation.started},
    }
