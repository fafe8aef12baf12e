"""A scene in which a rehearsal is ordered, and what it leaves behind."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from function_app.domain.preflight.facts import Rehearsed
from function_app.domain.service.observation import AdminState
from function_app.domain.service.orders import RehearseOrder
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.store.topologies import InForce
from tests.builders import document, topology
from tests.unit.reconcile.scene import Scene

KEPT = "rehearsals/hub/fw.json"
DOWN, NONE = AdminState.DOWN, AdminState.NONE


def ordered_only(members: int = 3) -> Scene:
    """A scene in which nothing is rehearsed by itself."""
    doc = document(members)
    doc["services"][0]["failover"] = {"rehearse": "ordered"}
    return Scene(desired=topology(members, services=doc["services"]))


async def rehearse(scene: Scene, member: str | None = None) -> Outcome:
    scene.clock.at += timedelta(seconds=1)
    order = RehearseOrder(by="ann", member=member)
    return await operate(scene.ports, InForce(scene.topology, "g1"), scene.topology.services[0], order)


def kept(scene: Scene) -> Rehearsed | None:
    stored = scene.documents.stored.get(KEPT)
    return msgspec.json.decode(stored.body, type=Rehearsed) if stored else None


def written(scene: Scene, **changes: Any) -> None:
    body = msgspec.json.encode(msgspec.structs.replace(scene.record, **changes))
    scene.documents.stored["records/hub/fw.json"] = replace(
        scene.documents.stored["records/hub/fw.json"], body=body, etag="changed"
    )
