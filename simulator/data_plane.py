"""Where packets go: backend pools as propagated, what probes found, and the health that follows from both.

Reason codes are those of Azure's "Manage Azure Load Balancer health status" page. Probing itself is done by whoever
forwards packets and reported here; without a report a backend is not probed (`NA`). A report is of one probe, or of all.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address

from simulator.balancer_documents import CONFIGURATION, MEMBERS
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
    by_probe: dict[str, dict[str, Probed]] = field(default_factory=dict)
    """What one probe found, by its name, where that was said of it alone."""

    def found(self, backend: Backend, probe: str) -> Probed | None:
        return self.by_probe.get(probe, {}).get(backend.ip) or self.probed.get(backend.ip)

    def serves(self, backend: Backend, probe: str | None = None) -> bool:
        """Whether it takes new flows: by its adminState, else by that probe, else by any."""
        if backend.admin_state != "None":
            return backend.admin_state == "Up"
        if probe is not None:
            found = self.found(backend, probe)
            return found is not None and found.up
        seen = [results.get(backend.ip) for results in (self.probed, *self.by_probe.values())]
        return any(one is not None and one.up for one in seen)


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
        self._dark: dict[str, dict[str, Probed]] = {}  # addresses whose machine is off: what probes had found, by plane

    def propagate(self, document: Json) -> None:
        """A load balancer's configuration reaches the data plane."""
        key = key_of(document["id"])
        pools = {
            pool["name"]: [self._backend(address) for address in pool["properties"].get(MEMBERS, ())]
            for pool in document["properties"].get("backendAddressPools", ())
        }
        before = self.planes.get(key)
        probed, by_probe = ({}, {}) if before is None else (before.probed, before.by_probe)
        self.planes[key] = Plane(document, pools, probed, by_probe)
        self._measure(self.planes[key])

    def forget(self, resource_id: str) -> None:
        """A load balancer is gone: it forwards nothing any more."""
        if self.planes.pop(key_of(resource_id), None) is not None:
            self.version += 1

    def _backend(self, address: Json) -> Backend:
        """An address, or a network interface with the address that its configuration has."""
        facts = address["properties"]
        interface = (facts.get(CONFIGURATION) or {}).get("id")
        ip = facts.get("ipAddress") or self._address_of(interface or "")
        return Backend(address["name"], ip, facts.get("adminState") or "None", interface)

    def _address_of(self, configuration: str) -> str:
        """Empty where no network interface has that configuration."""
        interface = self._state.resources.get(configuration.rpartition("/ipConfigurations/")[0])
        held = interface["properties"].get("ipConfigurations") or () if interface is not None else ()
        found = (its for its in held if key_of(its.get("id", "")) == key_of(configuration))
        return next((str(its["properties"].get("privateIPAddress", "")) for its in found), "")

    def report(self, name: str, results: dict[str, Probed], probe: str | None = None) -> None:
        """What probes of a load balancer found, or one of them, by backend address. Raises KeyError for an unknown one."""
        plane = self.named(name)
        self._take(plane, {ip: found for ip, found in results.items() if ip not in self._dark}, probe)

    def _take(self, plane: Plane, results: dict[str, Probed], probe: str | None = None) -> None:
        before = _any_up(plane)
        if probe is None:
            plane.probed.update(results)
        else:
            plane.by_probe.setdefault(_probe_named(plane, probe), {}).update(results)
        self._measure(plane)
        if before and not _any_up(plane):
            self._note_no_healthy_backends(plane)

    def darken(self, address: IPv4Address) -> None:
        """The machine of an address is off: no probe finds it up, whatever is reported, until `light`."""
        ip = str(address)
        self._dark[ip] = {key: plane.probed[ip] for key, plane in self.planes.items() if ip in plane.probed}
        for key in self._dark[ip]:
            self._after_probes(key, partial(self._find, key, ip, Probed(False, DOWN_REASON), is_dark=True))

    def light(self, address: IPv4Address) -> None:
        """It is on again, and answers probes as it did before."""
        ip = str(address)
        for key, before in self._dark.pop(ip, {}).items():
            self._after_probes(key, partial(self._find, key, ip, before, is_dark=False))

    def _after_probes(self, key: str, act: Callable[[], None]) -> None:
        """When as many probes have been sent as it takes for a load balancer to change its mind."""
        facts: Json = next((p["properties"] for p in self.planes[key].document["properties"].get("probes") or ()), {})
        seconds = facts.get("intervalInSeconds", 15) * max(
            1, facts.get("probeThreshold") or facts.get("numberOfProbes", 1)
        )
        self._state.agenda.after(self._state.pace.scaled(seconds), act)

    def _find(self, key: str, ip: str, found: Probed, *, is_dark: bool) -> None:
        if key in self.planes and (ip in self._dark) == is_dark:
            self._take(self.planes[key], {ip: found})

    def named(self, name: str) -> Plane:
        for plane in self.planes.values():
            if plane.document["name"].lower() == name.lower():
                return plane
        there = ", ".join(plane.document["name"] for plane in self.planes.values()) or "none"
        raise KeyError(f"no load balancer is called {name!r}; there is {there}")

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
        backends = _backends_of(plane, facts)
        probe = str(facts["probe"]["id"]).rsplit("/", 1)[-1].lower()
        all_down_is_up = _all_probed_up(plane, rule) and not any(plane.serves(b, probe) for b in backends)
        if self._state.faults.health_empty:
            backends = []
        rows = [_health_row(plane, backend, probe, all_down_is_up) for backend in backends]
        up = sum(row["state"] == "Up" for row in rows)
        return {"up": up, "down": len(rows) - up, "loadBalancerBackendAddresses": rows}

    def _measure(self, plane: Plane) -> None:
        """DipAvailability reflects our own adminState as well as the probe; nothing is recorded before a probe."""
        self.version += 1
        if not plane.probed and not plane.by_probe:
            return
        now = self._state.now()
        frontend = ("FrontendIPAddress", frontend_ip(plane.document))
        for pool in plane.pools.values():
            for backend in pool:
                value = 100.0 if plane.serves(backend) else 0.0
                dims = (("BackendIPAddress", backend.ip), frontend)
                self._metrics.record(plane.document["id"], "DipAvailability", dims, now, value)
        vip = 100.0 if _any_up(plane) else 0.0
        self._metrics.record(plane.document["id"], "VipAvailability", (frontend,), now, vip)

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


def _any_up(plane: Plane) -> bool:
    return any(plane.serves(backend) for pool in plane.pools.values() for backend in pool)


def _backends_of(plane: Plane, rule: Json) -> list[Backend]:
    """Of every pool that a rule names, in either spelling."""
    wanted = [rule.get("backendAddressPool") or {}, *rule.get("backendAddressPools", ())]
    names = {reference["id"].rsplit("/", 1)[-1].lower() for reference in wanted if "id" in reference}
    return [backend for name, pool in plane.pools.items() if name.lower() in names for backend in pool]


def _probe_named(plane: Plane, name: str) -> str:
    names = {probe["name"].lower() for probe in plane.document["properties"].get("probes", ())}
    if name.lower() not in names:
        there = ", ".join(sorted(names)) or "none"
        raise KeyError(f"{plane.document['name']} has no probe that is called {name!r}; there is {there}")
    return name.lower()


def _health_row(plane: Plane, backend: Backend, probe: str, all_down_is_up: bool) -> Json:
    state, reason = _judged(plane, backend, probe, all_down_is_up)
    row: Json = {"ipAddress": backend.ip}
    if backend.interface is not None:
        row["networkInterfaceIPConfigurationId"] = backend.interface
    return {**row, "state": state, "reason": reason}


def _judged(plane: Plane, backend: Backend, probe: str, all_down_is_up: bool) -> tuple[str, str]:
    if backend.admin_state != "None":
        return backend.admin_state, f"{backend.admin_state}_Admin"
    found = plane.found(backend, probe)
    if found is not None and found.up:
        return "Up", found.reason
    if all_down_is_up:
        return "Up", "Up_Probe_AllDownIsUp"
    return "Down", NOT_PROBED if found is None else found.reason


def _all_probed_up(plane: Plane, rule: Json) -> bool:
    wanted = key_of(rule["properties"]["probe"]["id"])
    return any(
        probe["properties"].get("noHealthyBackendsBehavior") == "AllProbedUp"
        for probe in plane.document["properties"].get("probes", ())
        if key_of(probe["id"]) == wanted
    )
