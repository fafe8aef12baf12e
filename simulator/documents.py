"""Documents that are written whole, of types without behaviour of their own, and children: where they are found.

A child lies in its parent's document (`embedded`), has a document of its own that the parent shows (`shown`), or is said
by other documents (`FROM_OTHERS`); `kinds.py` has the table. How long a write takes is not from a recording.
"""

from collections.abc import Callable
from copy import deepcopy

from simulator.kinds import LOAD_BALANCER, NETWORK, is_network, kind_of, stamp
from simulator.refusals import missing, parent_missing, refuse_unless_matched
from simulator.resources import Json, ResourcePath, Resources, key_of
from simulator.state import ArmError, Operation, OperationKind, OperationStatus, State

WAITS = (3.0,)
INTERFACE = f"{NETWORK}/networkInterfaces"


class Documents:
    def __init__(self, state: State) -> None:
        self._state = state

    def put(
        self, path: ResourcePath, body: Json, if_match: str | None, then: Callable[[Json], None] = lambda document: None
    ) -> tuple[Json, bool, Operation]:
        """Create or replace one: (document, created, operation); `then` once it has succeeded. Raises ArmError."""
        known = self._state.resources.get(path.id)
        refuse_unless_matched(path.id, known, if_match)
        if known is None and len(path.names) == 1 and "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        document = self._document(path, body, known)
        self._state.resources.put(document)

        def finish(operation: Operation) -> None:
            done = operation.status is OperationStatus.SUCCEEDED
            document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
            stamp(document)
            if done:
                operation.result = document
                self._state.publish("Write", document)
                then(document)

        waits = (kind_of(path.type).create_waits if known is None else ()) or WAITS
        return document, known is None, self._state.begin(OperationKind.WRITE, document, waits, finish)

    def patch(self, path: ResourcePath, body: Json, if_match: str | None) -> Json:
        """Replace the tags, at once: a new etag for it and what lies in it, and nothing else. Raises ArmError."""
        document = self._state.resources.get(path.id)
        if document is None:
            raise missing(path)
        refuse_unless_matched(path.id, document, if_match)
        if "tags" in body:
            document["tags"] = deepcopy(body["tags"] or {})
        if is_network(path.type):
            document["etag"] = self._state.new_etag()
        stamp(document)
        self._state.publish("Write", document)
        return document

    def _document(self, path: ResourcePath, body: Json, known: Json | None) -> Json:
        """What a body makes of a resource: with what no write changes, and with its children where it names none."""
        kind = kind_of(path.type)
        given = deepcopy(body.get("properties") or {})
        before = {} if known is None else known["properties"]
        fixed = {"resourceGuid": self._state.new_id()} if known is None and kind.guid else kind.kept(before)
        kept = {name: deepcopy(before[name]) for name in kind.embedded if name in before}
        for name in (*kind.kept(given), *kind.shown):
            given.pop(name, None)
        keys = known or {"name": path.names[-1], "id": path.id, "type": path.type}
        document: Json = {
            **body,
            **{name: keys[name] for name in ("name", "id", "type")},
            "properties": {**fixed, **kept, **given, "provisioningState": "Updating"},
        }
        document.pop("etag", None)
        if is_network(path.type):
            document["etag"] = self._state.new_etag()
        kind.filled(document["properties"])
        stamp(document)
        return document


def collection(resources: Resources, path: ResourcePath, method: str = "GET") -> list[Json]:
    """The members of a collection, wherever they are kept. Raises ArmError where what holds them is not there."""
    if not path.names:
        return [shown(resources, document) for document in resources.in_collection(path)]
    holder = path.up()
    parent = resources.get(holder.id)
    if parent is None:
        inside = _embedded_in(resources, holder)
        if inside is None:
            raise parent_missing(path, method)
        return []
    others = FROM_OTHERS.get((parent["type"].lower(), path.types[-1].lower()))
    if others is not None:
        return others(resources, parent)
    embedded = kind_of(parent["type"]).embedded_as(path.types[-1])
    if embedded is None:
        return resources.in_collection(path)
    return [child_of(parent, embedded, child) for child in parent["properties"].get(embedded) or ()]


def resource(resources: Resources, path: ResourcePath) -> Json | None:
    """One resource as it is answered; None where there is none. Raises ArmError where its parent is not there."""
    document = resources.get(path.id)
    if document is not None:
        return shown(resources, document)
    if len(path.names) == 1:
        return None
    siblings = collection(
        resources, ResourcePath(path.subscription, path.group, path.namespace, path.types, path.names[:-1])
    )
    return next((one for one in siblings if one["name"].lower() == path.names[-1].lower()), None)


def shown(resources: Resources, document: Json) -> Json:
    """A document with those of its children that have documents of their own."""
    names = kind_of(str(document.get("type", ""))).shown
    if not names:
        return document
    prefix = key_of(document["id"]) + "/"
    below = {}
    for name in names:
        found = resources.of_type(f"{document['type']}/{name}")
        below[name] = [one for one in found if key_of(one["id"]).startswith(prefix)]
    return {**document, "properties": {**document["properties"], **below}}


def child_of(parent: Json, name: str, child: Json) -> Json:
    """An embedded child; with its id, where a document that was recorded or written by hand leaves it out."""
    return child if "id" in child else {"id": f"{parent['id']}/{name}/{child['name']}", **child}


def _embedded_in(resources: Resources, path: ResourcePath) -> Json | None:
    """A child that holds no documents of its own: a rule, a configuration."""
    parent = resources.get(path.up().id) if len(path.names) > 1 else None
    embedded = None if parent is None else kind_of(parent["type"]).embedded_as(path.types[-1])
    if parent is None or embedded is None:
        return None
    children: list[Json] = parent["properties"].get(embedded) or []
    return next((child for child in children if child["name"].lower() == path.names[-1].lower()), None)


def _interfaces_of(resources: Resources, balancer: Json) -> list[Json]:
    """Those whose configurations are in a pool of it."""
    prefix = key_of(balancer["id"]) + "/"
    return [one for one in resources.of_type(INTERFACE) if any(key_of(p).startswith(prefix) for p in pools_of(one))]


def _balancers_of(resources: Resources, interface: Json) -> list[Json]:
    prefixes = {key_of(pool).rpartition("/backendaddresspools/")[0] for pool in pools_of(interface)}
    return [one for one in resources.of_type(LOAD_BALANCER) if key_of(one["id"]) in prefixes]


def pools_of(interface: Json) -> list[str]:
    """The backend pools that its configurations name."""
    return [
        pool["id"]
        for its in (interface.get("properties") or {}).get("ipConfigurations") or ()
        for pool in (its.get("properties") or {}).get("loadBalancerBackendAddressPools") or ()
    ]


FROM_OTHERS: dict[tuple[str, str], Callable[[Resources, Json], list[Json]]] = {
    (LOAD_BALANCER.lower(), "networkinterfaces"): _interfaces_of,
    (INTERFACE.lower(), "loadbalancers"): _balancers_of,
}
