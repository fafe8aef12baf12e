"""Load balancers as ARM documents: pools, the etag they share with their load balancer, and writes.

The control plane only. What a write comes to where packets go is `data_plane.py`'s, and later.
"""

from collections.abc import Callable
from copy import deepcopy

from simulator.balancer_documents import (
    CONFIGURATION,
    MEMBERS,
    as_written,
    fill,
    fill_pool,
    is_interface,
    member_name,
    merged_members,
    refer_back,
    restamp,
)
from simulator.documents import pools_of, resource
from simulator.kinds import LOAD_BALANCER
from simulator.refusals import missing, parent_missing
from simulator.resources import Json, ResourcePath, key_of
from simulator.state import ArmError, Operation, OperationKind, OperationStatus, State


class LoadBalancers:
    def __init__(self, state: State, propagate: Callable[[Json], None]) -> None:
        """`propagate(snapshot)` is called when a write has succeeded and its propagation delay has passed."""
        self._state = state
        self._propagate = propagate
        self._writes = 0
        self._reached: dict[str, int] = {}

    def adopt(self, document: Json) -> None:
        """Take a seeded load balancer in. One written by hand, without an etag, gets what ARM would have filled in."""
        if "etag" not in document:
            document["etag"] = self._state.new_etag()
            facts = document["properties"]
            document["properties"] = {"provisioningState": "Succeeded", "resourceGuid": self._state.new_id(), **facts}
            fill(document)
        self._state.resources.put(document)
        self._propagate(deepcopy(document))

    def owner(self, path: ResourcePath, method: str = "GET") -> Json:
        """The load balancer a path lies in. Raises ArmError."""
        document = self._state.resources.get(path.up(len(path.types) - 1).id)
        if document is None:
            raise parent_missing(path, method)
        return document

    def child(self, path: ResourcePath) -> Json:
        """A pool, rule, probe or frontend by its path. Raises ArmError."""
        found = resource(self._state.resources, path)
        if found is None:
            raise missing(path)
        return found

    def put(self, path: ResourcePath, body: Json, if_match: str | None) -> tuple[Json, bool, Operation | None]:
        """Create or replace a load balancer: (document, created, operation). Raises ArmError."""
        known = self._state.resources.get(path.id)
        if known is not None:
            self._check_match(known, if_match)
        elif if_match not in (None, "*"):
            raise _precondition_failed(path.id)
        if "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        document = self._document(path, body, known)
        fill(document)
        self._state.resources.put(document)
        return document, known is None, self._write(document, document)

    def _document(self, path: ResourcePath, body: Json, known: Json | None) -> Json:
        """What a body makes of a load balancer: with its guid, and with the network interfaces that are in its pools."""
        given = deepcopy(body.get("properties") or {})
        before = _members_of(known)
        for pool in given.get("backendAddressPools") or ():
            facts = pool.setdefault("properties", {})
            facts[MEMBERS] = merged_members(before.get(pool["name"].lower(), []), facts.get(MEMBERS) or [])
        keys: Json = known or {"id": path.id, "etag": self._state.new_etag(), "properties": {}}
        guid = keys["properties"].get("resourceGuid") or self._state.new_id()
        return {
            "name": path.names[-1],
            "id": keys["id"],
            "etag": keys["etag"],
            "type": LOAD_BALANCER,
            "location": body["location"],
            **({"tags": body.get("tags") or {}} if known is None or "tags" in body else {}),
            "properties": {**given, "provisioningState": "Succeeded", "resourceGuid": guid},
            "sku": body.get("sku", {"name": "Standard", "tier": "Regional"}),
        }

    def patch(self, path: ResourcePath, body: Json, if_match: str | None) -> Json:
        """Replace the tags: a new etag for the load balancer and all in it, and nothing else. Raises ArmError."""
        document = self.owner(path, "PATCH")
        self._check_match(document, if_match)
        document["tags"] = deepcopy(body.get("tags") or {})
        restamp(document, etag=self._state.new_etag(), state=document["properties"]["provisioningState"])
        self._state.publish("Write", document)
        return document

    def put_pool(self, path: ResourcePath, body: Json, if_match: str | None) -> tuple[Json, bool, Operation | None]:
        """Create or replace a backend pool: (pool, created, operation). Raises ArmError."""
        document = self.owner(path, "PUT")
        self._check_match(document, if_match)
        pools = document["properties"].setdefault("backendAddressPools", [])
        known = next((p for p in pools if p["name"].lower() == path.names[-1].lower()), None)
        pool = known or _new_pool(document, path.names[-1])
        before = pool["properties"].get(MEMBERS, [])
        given = (body.get("properties") or {}).get(MEMBERS) or []
        members = merged_members(before, given)
        if known is not None and self._state.faults.noop_keeps_etag and as_written(members) == as_written(before):
            return pool, False, None
        if known is None:
            pools.append(pool)
        pool["properties"][MEMBERS] = members
        fill_pool(pool)
        refer_back(document["properties"])
        return pool, known is None, self._write(document, pool)

    def follow(self, interface: Json) -> None:
        """A network interface was written: it is in the pools that its configurations name, and in no other one."""
        wanted = joined_by(interface)
        prefix = key_of(interface["id"]) + "/"
        for document in self._state.resources.of_type(LOAD_BALANCER):
            pools = document["properties"].get("backendAddressPools") or ()
            changes = [_join(pool, prefix, wanted.get(key_of(pool["id"]), {})) for pool in pools]
            if any(changes):
                self._write(document, document)

    def unknown_pools(self, interface: Json) -> list[str]:
        """Pools that a network interface's configurations name, and that are not there."""
        known = {
            key_of(pool["id"])
            for document in self._state.resources.of_type(LOAD_BALANCER)
            for pool in document["properties"].get("backendAddressPools") or ()
        }
        return [pool for pool in pools_of(interface) if key_of(pool) not in known]

    def relate(self, interfaces: list[Json]) -> None:
        """Seeded documents: a pool and a network interface's configuration name each other where one names the other."""
        for document in self._state.resources.of_type(LOAD_BALANCER):
            pools = document["properties"].get("backendAddressPools") or ()
            for pool in pools:
                for interface in interfaces:
                    _relate(pool, interface)
            members = [member for pool in pools for member in pool["properties"].get(MEMBERS) or ()]
            if any(is_interface(member["properties"]) for member in members):  # their addresses are known only now
                self._propagate(deepcopy(document))

    def _check_match(self, document: Json, if_match: str | None) -> None:
        if if_match not in (None, "*", document["etag"]):
            raise _precondition_failed(document["id"])

    def _write(self, document: Json, changed: Json) -> Operation:
        """Accept a write: one new etag for all, Updating now, Succeeded later, and later still in the data plane."""
        self._writes += 1
        number = self._writes
        for earlier in self._state.in_flight(key_of(document["id"])):
            earlier.status = OperationStatus.CANCELED
            earlier.error = ArmError(
                409,
                "CanceledAndSupersededDueToAnotherOperation",
                f"Operation {earlier.id} on {document['id']} was canceled and superseded by another operation.",
            )
        restamp(document, etag=self._state.new_etag(), state="Updating")
        written = deepcopy(document)

        def finish(operation: Operation) -> None:
            if operation.status is OperationStatus.CANCELED:
                return
            if operation.status is OperationStatus.FAILED:
                restamp(document, etag=document["etag"], state="Failed")
                return
            restamp(document, etag=document["etag"], state="Succeeded")
            operation.result = changed
            self._state.publish("Write", changed)
            delay = self._state.pace.scaled(self._state.faults.propagation)
            self._state.agenda.after(delay, lambda: self._arrive(number, written))

        return self._state.begin(OperationKind.WRITE, document, (self._state.faults.pool_write_seconds,), finish)

    def _arrive(self, number: int, written: Json) -> None:
        """A write reaches the data plane, unless a newer one was faster, or the load balancer is gone."""
        if (
            self._state.resources.get(written["id"]) is not None
            and self._reached.get(key_of(written["id"]), 0) < number
        ):
            self._reached[key_of(written["id"])] = number
            self._propagate(written)


def _new_pool(document: Json, name: str) -> Json:
    return {
        "name": name,
        "id": f"{document['id']}/backendAddressPools/{name}",
        "etag": document["etag"],
        "type": f"{LOAD_BALANCER}/backendAddressPools",
        "properties": {"provisioningState": "Succeeded"},
    }


def _members_of(document: Json | None) -> dict[str, list[Json]]:
    pools = document["properties"].get("backendAddressPools") or () if document is not None else ()
    return {pool["name"].lower(): pool["properties"].get(MEMBERS, []) for pool in pools}


def _configurations(interface: Json) -> list[Json]:
    return interface["properties"].get("ipConfigurations") or []


def joined_by(interface: Json) -> dict[str, dict[str, str]]:
    """Of each pool, by its key, the members that a network interface is: their names and its configurations' ids."""
    found: dict[str, dict[str, str]] = {}
    for its in _configurations(interface):
        for pool in its["properties"].get("loadBalancerBackendAddressPools") or ():
            own = its.get("id") or f"{interface['id']}/ipConfigurations/{its['name']}"
            found.setdefault(key_of(pool["id"]), {})[member_name(own)] = own
    return found


def _join(pool: Json, prefix: str, wanted: dict[str, str]) -> bool:
    """A pool's members of one interface are those that are wanted. Gives whether that changed anything."""
    members = pool["properties"].get(MEMBERS) or []
    own = {key: member for member in members if (key := _configuration_of(member)).startswith(prefix)}
    ids = {key_of(each): name for name, each in wanted.items()}
    if own.keys() == ids.keys():
        return False
    gone = own.keys() - ids.keys()
    added = [(name, each) for name, each in wanted.items() if key_of(each) not in own]
    pool["properties"][MEMBERS] = [
        *(member for member in members if _configuration_of(member) not in gone),
        *({"name": name, "properties": {CONFIGURATION: {"id": each}}} for name, each in added),
    ]
    fill_pool(pool)
    return True


def _configuration_of(member: Json) -> str:
    """The key of the configuration that a member is; empty for one that is an address."""
    facts = member["properties"]
    return key_of(facts[CONFIGURATION]["id"]) if is_interface(facts) else ""


def _relate(pool: Json, interface: Json) -> None:
    held = {_configuration_of(member) for member in pool["properties"].get(MEMBERS) or ()} - {""}
    for its in _configurations(interface):
        named = its["properties"].get("loadBalancerBackendAddressPools") or []
        if key_of(its.get("id", "")) in held and all(key_of(one["id"]) != key_of(pool["id"]) for one in named):
            its["properties"]["loadBalancerBackendAddressPools"] = [*named, {"id": pool["id"]}]
    wanted = joined_by(interface).get(key_of(pool["id"]), {})
    if wanted:
        _join(pool, key_of(interface["id"]) + "/", wanted)


def _precondition_failed(resource_id: str) -> ArmError:
    return ArmError(412, "PreconditionFailed", f"Precondition failed: the etag of {resource_id} has changed.")
