"""Where packets go: backend pools as propagated, what probes found, and the health that follows from both.

Reason codes are those of Azure's "Manage Azure Load Balancer health status" page. Probing itself is done by whoever
forwards packets and reported here; without a report a backend is not probed (`NA`).
"""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

from simulator.metrics import MetricStore
from simulator.resources import Json, key_of
from simulator.state import ArmError, State

# What people write for short, and the code Azure documents for it.
REASONS = {
    "Down_Probe_HttpStatus": "Down_Probe_HttpStatusCodeError",
    "Down_Probe_TcpTimeout": "Down_Probe_TcpProbeTimeout",
}
DOWN_REASON = "Down_Probe_TcpProbeTimeout"
NOT_PROBED = "NA"


@dataclass(frozen=True, slots=True)
class Probed:
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Backend:
    name: str
    ip: str
    admin_state: str
    interface: str | None


@dataclass(slots=True)
class Plane:
    """One load balancer as the data plane knows it."""

    document: Json
    pools: dict[str, list[Backend]]
    probed: dict[str, Probed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """A row of the ALBHealthEvent table."""

    time: datetime
    resource_id: str
    kind: str
    severity: str
    frontend_ip: str
    description: str


class DataPlane:
    def __init__(self, state: State, metrics: MetricStore) -> None:
        self._state = state
        self._metrics = metrics
        self.planes: dict[str, Plane] = {}
        self.health_events: list[HealthEvent] = []
        self.version = 0  # rises with every change, so that a reader can tell
        self._frozen: dict[str, Plane] = {}

    def propagate(self, document: Json) -> None:
        """A load balancer's configuration reaches the data plane."""
        key = key_of(document["id"])
        pools = {
            pool["name"]: [_backend(address) for address in pool["properties"].get("loadBalancerBackendAddresses", ())]
            for pool in document["properties"].get("backendAddressPools", ())
        }
        probed = self.planes[key].probed if key in self.planes else {}
        self.planes[key] = Plane(document, pools, probed)
        self._measure(self.planes[key])

    def report(self, name: str, results: dict[str, Probed]) -> None:
        """What probes of a load balancer found, by backend address. Raises KeyError for an unknown one."""
        plane = self.named(name)
        before = self._any_up(plane)
        plane.probed.update(results)
        self._measure(plane)
        if before and not self._any_up(plane):
            self._note_no_healthy_backends(plane)

    def named(self, name: str) -> Plane:
        for plane in self.planes.values():
            if plane.document["name"].lower() == name.lower():
                return plane
        raise KeyError(f"no load balancer is called {name!r}")

    def freeze(self) -> None:
        """Remember the present as what a stale health action goes on saying."""
        self._frozen = deepcopy(self.planes)

    def health(self, resource_id: str, rule: Json) -> Json:
        """The answer of a rule's health action now. Raises ArmError for a rule without a probe."""
        facts = rule["properties"]
        if not facts.get("probe"):
            # The code is not from a recording.
            raise ArmError(400, "LoadBalancingRuleHasNoProbe", f"Rule {rule['id']} has no probe.")
        planes = self._frozen if self._state.faults.health_stale else self.planes
        plane = planes[key_of(resource_id)]
        wanted = [facts.get("backendAddressPool") or {}, *facts.get("backendAddressPools", ())]
        names = {reference["id"].rsplit("/", 1)[-1].lower() for reference in wanted if "id" in reference}
        backends = [b for name, pool in plane.pools.items() if name.lower() in names for b in pool]
        if self._state.faults.health_empty:
            backends = []
        rows = [self._health_row(plane, rule, backend) for backend in backends]
        up = sum(row["state"] == "Up" for row in rows)
        return {"up": up, "down": len(rows) - up, "loadBalancerBackendAddresses": rows}

    def _health_row(self, plane: Plane, rule: Json, backend: Backend) -> Json:
        state, reason = self._judged(plane, rule, backend)
        row: Json = {"ipAddress": backend.ip}
        if backend.interface is not None:
            row["networkInterfaceIPConfigurationId"] = backend.interface
        return {**row, "state": state, "reason": reason}

    def _judged(self, plane: Plane, rule: Json, backend: Backend) -> tuple[str, str]:
        if backend.admin_state == "Down":
            return "Down", "Down_Admin"
        if backend.admin_state == "Up":
            return "Up", "Up_Admin"
        probed = plane.probed.get(backend.ip)
        if probed is not None and probed.up:
            return "Up", probed.reason
        if _all_probed_up(plane, rule) and not self._any_up(plane):
            return "Up", "Up_Probe_AllDownIsUp"
        return "Down", NOT_PROBED if probed is None else probed.reason

    def _any_up(self, plane: Plane) -> bool:
        return any(_serves(plane, backend) for pool in plane.pools.values() for backend in pool)

    def _measure(self, plane: Plane) -> None:
        """DipAvailability reflects our own adminState as well as the probe; nothing is recorded before a probe."""
        self.version += 1
        if not plane.probed:
            return
        now = self._state.now()
        for pool in plane.pools.values():
            for backend in pool:
                value = 100.0 if _serves(plane, backend) else 0.0
                dims = (("BackendIPAddress", backend.ip),)
                self._metrics.record(plane.document["id"], "DipAvailability", dims, now, value)
        dims = (("FrontendIPAddress", frontend_ip(plane.document)),)
        vip = 100.0 if self._any_up(plane) else 0.0
        self._metrics.record(plane.document["id"], "VipAvailability", dims, now, vip)

    def _note_no_healthy_backends(self, plane: Plane) -> None:
        self.health_events.append(
            HealthEvent(
                self._state.now(),
                plane.document["id"],
                "NoHealthyBackends",
                "Critical",
                frontend_ip(plane.document),
                "All backend instances in the backend pool are unhealthy.",
            )
        )


def frontend_ip(document: Json) -> str:
    for frontend in document["properties"].get("frontendIPConfigurations", ()):
        return str(frontend["properties"].get("privateIPAddress", ""))
    return ""


def probed(up: bool, reason: str | None) -> Probed:
    """A probe's outcome with the documented reason code for what was reported."""
    default = "Up_Probe_Success" if up else DOWN_REASON
    return Probed(up, REASONS.get(reason, reason) if reason else default)


def _serves(plane: Plane, backend: Backend) -> bool:
    if backend.admin_state != "None":
        return backend.admin_state == "Up"
    found = plane.probed.get(backend.ip)
    return found is not None and found.up


def _all_probed_up(plane: Plane, rule: Json) -> bool:
    wanted = key_of(rule["properties"]["probe"]["id"])
    return any(
        probe["properties"].get("noHealthyBackendsBehavior") == "AllProbedUp"
        for probe in plane.document["properties"].get("probes", ())
        if key_of(probe["id"]) == wanted
    )


def _backend(address: Json) -> Backend:
    facts = address["properties"]
    interface = facts.get("networkInterfaceIPConfiguration") or {}
    admin = facts.get("adminState") or "None"
    return Backend(address["name"], facts["ipAddress"], admin, interface.get("id"))
