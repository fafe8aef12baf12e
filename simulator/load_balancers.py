"""Load balancers as ARM documents: pools, the etag they share with their load balancer, and writes.

The control plane only. What a write comes to where packets go is `data_plane.py`'s, and later.
"""

from collections.abc import Callable
from copy import deepcopy
from ipaddress import AddressValueError, IPv4Address

from simulator.resources import Json, ResourcePath, key_of
from simulator.state import ArmError, Operation, OperationKind, OperationStatus, State

LOAD_BALANCER = "Microsoft.Network/loadBalancers"
CHILDREN = (
    "frontendIPConfigurations",
    "backendAddressPools",
    "loadBalancingRules",
    "probes",
    "inboundNatRules",
    "outboundRules",
)
ADMIN_STATES = ("None", "Up", "Down")


class LoadBalancers:
    def __init__(self, state: State, propagate: Callable[[Json], None]) -> None:
        """`propagate(snapshot)` is called when a write has succeeded and its propagation delay has passed."""
        self._state = state
        self._propagate = propagate
        self._writes = 0
        self._reached: dict[str, int] = {}

    def adopt(self, document: Json) -> None:
        """Take a seeded load balancer in: children written by hand get what ARM would have filled in."""
        document.setdefault("etag", self._state.new_etag())
        facts = document["properties"]
        facts.setdefault("provisioningState", "Succeeded")
        for kind in CHILDREN:
            for child in facts.get(kind, ()):
                if "id" not in child:
                    _complete(document, kind, child)
        _refer_back(facts)
        self._state.resources.put(document)
        self._propagate(deepcopy(document))

    def owner(self, path: ResourcePath) -> Json:
        """The load balancer a path lies in. Raises ArmError."""
        document = self._state.resources.get(path.up(len(path.types) - 1).id)
        if document is None:
            group = path.group
            raise ArmError(
                404,
                "ResourceNotFound",
                f"The Resource '{LOAD_BALANCER}/{path.names[0]}' under resource group '{group}' was not found. "
                "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
            )
        return document

    def child(self, path: ResourcePath) -> Json:
        """A pool, rule, probe or frontend by its path. Raises ArmError."""
        for child in self.children(path):
            if child["name"].lower() == path.names[-1].lower():
                return child
        raise ArmError(404, "NotFound", f"Resource {path.id} not found.")

    def children(self, path: ResourcePath) -> list[Json]:
        facts = self.owner(path)["properties"]
        for kind in CHILDREN:
            if kind.lower() == path.types[1].lower():
                return list(facts.get(kind, ()))
        raise ArmError(404, "NotFound", f"Resource {path.id} not found.")

    def put(self, path: ResourcePath, body: Json, if_match: str | None) -> tuple[Json, bool, Operation | None]:
        """Create or replace a load balancer: (document, created, operation). Raises ArmError."""
        known = self._state.resources.get(path.id)
        if known is not None:
            self._check_match(known, if_match)
        elif if_match not in (None, "*"):
            raise _precondition_failed(path.id)
        if "location" not in body:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        document: Json = {
            "name": path.names[-1],
            "id": path.id,
            "etag": known["etag"] if known else self._state.new_etag(),
            "type": LOAD_BALANCER,
            "location": body["location"],
            "tags": body.get("tags", {}),
            "properties": {"provisioningState": "Succeeded", **deepcopy(body.get("properties") or {})},
            "sku": body.get("sku", {"name": "Standard", "tier": "Regional"}),
        }
        document["properties"].pop("resourceGuid", None)
        for kind in CHILDREN:
            for child in document["properties"].setdefault(kind, []):
                _complete(document, kind, child)
        _refer_back(document["properties"])
        for pool in document["properties"]["backendAddressPools"]:
            _check_addresses(pool["properties"].get("loadBalancerBackendAddresses", []))
        self._state.resources.put(document)
        return document, known is None, self._write(document, document)

    def patch(self, path: ResourcePath, body: Json, if_match: str | None) -> Json:
        """Replace the tags: a new etag for the load balancer and all in it, and nothing else. Raises ArmError."""
        document = self.owner(path)
        self._check_match(document, if_match)
        document["tags"] = deepcopy(body.get("tags") or {})
        _stamp(document, etag=self._state.new_etag(), state=document["properties"]["provisioningState"])
        self._state.publish("Write", document)
        return document

    def put_pool(self, path: ResourcePath, body: Json, if_match: str | None) -> tuple[Json, bool, Operation | None]:
        """Create or replace a backend pool: (pool, created, operation). Raises ArmError."""
        document = self.owner(path)
        self._check_match(document, if_match)
        addresses = deepcopy((body.get("properties") or {}).get("loadBalancerBackendAddresses") or [])
        _check_addresses(addresses)
        pools = document["properties"].setdefault("backendAddressPools", [])
        pool = next((p for p in pools if p["name"].lower() == path.names[-1].lower()), None)
        created = pool is None
        if pool is None:
            pool = {"name": path.names[-1]}
            _complete(document, "backendAddressPools", pool)
            pools.append(pool)
        before = pool["properties"].get("loadBalancerBackendAddresses", [])
        _keep_read_only(before, addresses)
        if not created and addresses == before and self._state.faults.noop_keeps_etag:
            return pool, False, None
        pool["properties"]["loadBalancerBackendAddresses"] = addresses
        _refer_back(document["properties"])
        return pool, created, self._write(document, pool)

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
        _stamp(document, etag=self._state.new_etag(), state="Updating")
        written = deepcopy(document)

        def finish(operation: Operation) -> None:
            if operation.status is OperationStatus.CANCELED:
                return
            if operation.status is OperationStatus.FAILED:
                _stamp(document, etag=document["etag"], state="Failed")
                return
            _stamp(document, etag=document["etag"], state="Succeeded")
            operation.result = changed
            self._state.publish("Write", changed)
            delay = self._state.pace.scaled(self._state.faults.propagation)
            self._state.agenda.after(delay, lambda: self._arrive(number, written))

        return self._state.begin(OperationKind.WRITE, document, (self._state.faults.pool_write_seconds,), finish)

    def _arrive(self, number: int, written: Json) -> None:
        """A write reaches the data plane, unless a newer one was faster."""
        if self._reached.get(key_of(written["id"]), 0) < number:
            self._reached[key_of(written["id"])] = number
            self._propagate(written)


def _stamp(document: Json, *, etag: str, state: str) -> None:
    """One etag and one provisioning state for the load balancer and everything in it."""
    document["etag"] = etag
    document["properties"]["provisioningState"] = state
    for kind in CHILDREN:
        for child in document["properties"].get(kind, ()):
            child["etag"] = etag
            child["properties"]["provisioningState"] = state


def _complete(document: Json, kind: str, child: Json) -> None:
    """Give a child the keys ARM answers, in ARM's order."""
    facts = child.get("properties") or {}
    filled = {
        "name": child["name"],
        "id": f"{document['id']}/{kind}/{child['name']}",
        "etag": document["etag"],
        "type": f"{LOAD_BALANCER}/{kind}",
        "properties": {"provisioningState": "Succeeded", **facts},
    }
    child.clear()
    child.update(filled)


def _refer_back(facts: Json) -> None:
    """Frontends, pools and probes name the rules that use them, where a rule names them."""
    for kind, name in (
        ("frontendIPConfigurations", "frontendIPConfiguration"),
        ("backendAddressPools", "backendAddressPool"),
        ("probes", "probe"),
    ):
        for child in facts.get(kind, ()):
            users = [
                {"id": rule["id"]}
                for rule in facts.get("loadBalancingRules", ())
                if key_of(rule["properties"].get(name, {}).get("id", "")) == key_of(child["id"])
            ]
            if users and "loadBalancingRules" not in child["properties"]:
                child["properties"]["loadBalancingRules"] = users


def _keep_read_only(before: list[Json], after: list[Json]) -> None:
    """A write does not lose the network interface a backend address belongs to."""
    known = {old["name"]: old["properties"].get("networkInterfaceIPConfiguration") for old in before}
    for address in after:
        interface = known.get(address["name"])
        if interface is not None:
            address["properties"].setdefault("networkInterfaceIPConfiguration", interface)


def _check_addresses(addresses: list[Json]) -> None:
    for address in addresses:
        facts = address.get("properties") or {}
        if facts.get("adminState", "None") not in ADMIN_STATES:
            raise ArmError(400, "InvalidRequestFormat", f"adminState {facts['adminState']!r} is not None, Up or Down.")
        try:
            IPv4Address(facts["ipAddress"])
        except (KeyError, AddressValueError) as error:
            raise ArmError(400, "InvalidRequestFormat", f"ipAddress of {address.get('name')!r} is missing.") from error
        if not address.get("name"):
            raise ArmError(400, "InvalidRequestFormat", f"the backend address {facts['ipAddress']} has no name.")


def _precondition_failed(resource_id: str) -> ArmError:
    return ArmError(412, "PreconditionFailed", f"Precondition failed: the etag of {resource_id} has changed.")
