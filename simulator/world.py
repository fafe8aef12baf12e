"""The simulated Azure as a whole: state and behaviour over an injected clock, without any wire format.

A caller that drives virtual time advances its clock and calls `settle`; the server does the same against real time.
"""

from copy import deepcopy
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any

from simulator.alerts import AlertRule, Alerts
from simulator.bgp_table import BgpTable
from simulator.clock import Clock, Pace
from simulator.data_plane import DataPlane
from simulator.documents import INTERFACE, Documents
from simulator.event_subscriptions import EventSubscriptions
from simulator.faults import Faults, changed
from simulator.hub_addresses import HubAddresses
from simulator.hubs import Hubs
from simulator.kinds import LOAD_BALANCER, complete
from simulator.load_balancers import LoadBalancers
from simulator.machines import MACHINE, Machines
from simulator.metrics import MetricStore
from simulator.network_peerings import NETWORK_PEERING, NetworkPeerings
from simulator.permissions import Permissions
from simulator.resources import Json, key_of, parse_path
from simulator.route_servers import PEERING, RouteServers
from simulator.scale_sets import ScaleSets
from simulator.scripted import ScriptedPeers
from simulator.state import State
from simulator.throttle import Throttle


class World:
    """Everything that exists, by part. `seed` has the shape that the package's docstring gives."""

    def __init__(self, clock: Clock, seed: Json, pace: Pace | None = None, faults: Faults | None = None) -> None:
        self.state = State(clock, pace or Pace(), faults or Faults(), seed=int(seed.get("randomSeed", 0)))
        self.bgp = BgpTable(self.state.now)
        self.metrics = MetricStore()
        self.data_plane = DataPlane(self.state, self.metrics)
        self.load_balancers = LoadBalancers(self.state, self.data_plane.propagate)
        self.documents = Documents(self.state)
        self.hubs = Hubs(self.state, self.remove)
        self.hub_addresses = HubAddresses(self.state)
        self.network_peerings = NetworkPeerings(self.state)
        self.route_servers = RouteServers(self.state, self.bgp, self.metrics)
        self.scripted = ScriptedPeers(seed.get("bgp", ()), self.bgp)
        self.machines = Machines(self.state, self._machine_off, self._machine_on)
        self.event_subscriptions = EventSubscriptions(self.state)
        self.scale_sets = ScaleSets(self.state)
        self.throttle = Throttle(self.state.pace)
        self.permissions = Permissions(seed.get("permissions"))
        self.groups: dict[str, Json] = {}  # resource groups' documents by key, once one was made or described
        self.fixed_metrics: list[Json] = list(seed.get("metrics", ()))
        self.effective_routes: dict[str, list[Json]] = {
            key_of(name): routes for name, routes in seed.get("effectiveRoutes", {}).items()
        }
        self.gateways: dict[str, Json] = {key_of(name): rows for name, rows in seed.get("gateways", {}).items()}
        self.alerts = Alerts(self.state, self.metrics, [_alert_rule(rule) for rule in seed.get("alerts", ())])
        for group in seed.get("resourceGroups", ()):
            self.state.resources.add_scope(group)
        for document in seed.get("resources", ()):
            self._take(deepcopy(document))
        self._relate()
        for hub_id, prefixes in seed.get("vnetPrefixes", {}).items():
            self.route_servers.set_vnet_prefixes(hub_id, prefixes)

    @property
    def now(self) -> datetime:
        return self.state.now()

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        self.state.agenda.settle()
        if self.scripted:
            self.scripted.look(self.route_servers.peers())

    def set_faults(self, changes: dict[str, Any]) -> None:
        """Raises UnknownFaultError; then nothing is changed."""
        before = self.state.faults
        self.state.faults = changed(before, changes)
        if self.state.faults.health_stale and not before.health_stale:
            self.data_plane.freeze()

    def _machine_off(self, address: IPv4Address) -> None:
        self.route_servers.silence(address)
        self.data_plane.darken(address)

    def _machine_on(self, address: IPv4Address) -> None:
        self.route_servers.silent.discard(address)
        self.data_plane.light(address)

    def remove(self, scope: str) -> None:
        """A resource is gone, or a group's content, with everything below; each deletion is published."""
        for document in self.state.resources.below(scope):
            match str(document["type"]).lower():
                case kind if kind == PEERING.lower():
                    self.route_servers.forget(document)
                case kind if kind == LOAD_BALANCER.lower():
                    self.data_plane.forget(document["id"])
                case kind if kind == INTERFACE.lower():
                    self.load_balancers.follow({**document, "properties": {}})
                case kind if kind == MACHINE.lower():
                    self.machines.forget(document)
            self.state.resources.remove(document["id"])
            self.state.publish("Delete", document)

    def adopt(self, document: Json) -> None:
        """Take a resource in as it is: no operation, no event. Raises ValueError for an id that is none."""
        self._take(document)
        self._relate()

    def _relate(self) -> None:
        """What two documents say of each other is in both."""
        resources = self.state.resources
        self.load_balancers.relate(resources.of_type(INTERFACE))
        for peering in resources.of_type(NETWORK_PEERING):
            self.network_peerings.relate(peering)

    def _take(self, document: Json) -> None:
        path = parse_path(document["id"])
        if path is None:
            raise ValueError(f"seed: {document['id']!r} is not a resource id")
        document.setdefault("name", path.names[-1])
        document.setdefault("type", path.type)
        document.setdefault("properties", {})
        if document["type"].lower() == LOAD_BALANCER.lower():
            self.load_balancers.adopt(document)
            return
        if document["type"].lower() == PEERING.lower():
            document["properties"].setdefault("provisioningState", "Succeeded")
            document.setdefault("etag", self.state.new_etag())
        complete(document, self.state.new_etag, self.state.new_id)
        self.state.resources.put(document)


def _alert_rule(given: Json) -> AlertRule:
    return AlertRule(
        name=given["name"],
        resource_id=given["resourceId"],
        metric=given.get("metric", "DipAvailability"),
        threshold=float(given.get("threshold", 90.0)),
        window_seconds=float(given.get("windowSeconds", 300.0)),
        severity=int(given.get("severity", 1)),
    )
