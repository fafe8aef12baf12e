"""Children that lie in their parent's document and have a PUT and a DELETE of their own: each is a write of the parent.

By the specification (Microsoft.Network 2025-05-01) these are a load balancer's pools and inbound NAT rules, and subnets. Its
rules, probes, frontends and outbound rules have none: who changes them puts the whole load balancer.
"""

from copy import deepcopy
from datetime import timedelta

from simulator.balancer_documents import REFERENCES
from simulator.deletions import refuse_in_use
from simulator.documents import resource
from simulator.kinds import LOAD_BALANCER, kind_of
from simulator.refusals import parent_missing, reference_missing
from simulator.resources import Json, ResourcePath, key_of
from simulator.state import Operation, OperationKind, OperationStatus
from simulator.world import World


def put(world: World, path: ResourcePath, body: Json, if_match: str | None) -> tuple[Json, bool, Operation | None]:
    """Create or replace a child: (child, whether it is new, operation). Raises ArmError."""
    parent, collection = _parent(world, path, "PUT")
    siblings: list[Json] = parent["properties"].setdefault(collection, [])
    at = _index(siblings, path.names[-1])
    child = {"name": path.names[-1], "properties": deepcopy(body.get("properties") or {})}
    siblings[len(siblings) if at is None else at : None if at is None else at + 1] = [child]
    _, _, operation = _write(world, path, parent, if_match)
    written = resource(world.state.resources, path)
    return written or child, at is None, operation


def delete(world: World, path: ResourcePath, if_match: str | None) -> Operation | None:
    """Start to delete a child; None where there is none. Raises ArmError where it is in use."""
    parent, collection = _parent(world, path, "DELETE")
    siblings: list[Json] = parent["properties"].get(collection) or []
    at = _index(siblings, path.names[-1])
    if at is None:
        return None
    refuse_in_use(world.state.resources, path.type, path.id)
    _refuse_referred(parent, collection, path.id)
    gone = siblings.pop(at)
    _, _, operation = _write(world, path, parent, if_match)
    if operation is not None:
        operation.kind = OperationKind.DELETE
        world.state.agenda.after(sum(operation.waits, timedelta()), lambda: _publish(world, operation, gone))
    return operation


def _publish(world: World, operation: Operation, gone: Json) -> None:
    if operation.status is OperationStatus.SUCCEEDED and "id" in gone:
        world.state.publish("Delete", gone)


def _parent(world: World, path: ResourcePath, method: str) -> tuple[Json, str]:
    """A copy of the parent's document, and the name in it of the child's collection. Raises ArmError."""
    known = world.state.resources.get(path.up().id)
    if known is None:
        raise parent_missing(path, method)
    return deepcopy(known), kind_of(known["type"]).embedded_as(path.types[-1]) or path.types[-1]


def _index(siblings: list[Json], name: str) -> int | None:
    return next((i for i, one in enumerate(siblings) if one["name"].lower() == name.lower()), None)


def _write(world: World, path: ResourcePath, parent: Json, if_match: str | None) -> tuple[Json, bool, Operation | None]:
    if parent["type"].lower() == LOAD_BALANCER.lower():
        return world.load_balancers.put(path.up(), parent, if_match)
    return world.documents.put(path.up(), parent, if_match)


def _refuse_referred(parent: Json, collection: str, resource_id: str) -> None:
    """Raises ArmError where another child of the parent refers to this one. The words are not from a recording."""
    for holder, reference, target, _ in REFERENCES:
        if target != collection or parent["type"].lower() != LOAD_BALANCER.lower():
            continue
        for child in parent["properties"].get(holder) or ():
            held = child["properties"].get(reference) or []
            for one in held if isinstance(held, list) else [held]:
                if key_of(one["id"]) == key_of(resource_id):
                    raise reference_missing(resource_id, child["id"])
