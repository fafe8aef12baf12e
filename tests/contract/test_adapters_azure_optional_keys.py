"""Every key of ARM's documents that may be missing is missing once, null once, and empty once, for every reader.

Which may be missing say the SDK's models, which are made from the REST specification. A reader may say in Hopkeeper's own
words what it cannot read of *our* things; what another owner's part of a document leaves out must change nothing at all.
The documents have the shapes of the recordings that the simulator is checked against, cut to what is read.
"""

from collections.abc import Awaitable, Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ForwardRef, get_args

import pytest
from aiohttp import web
from azure.mgmt.network import models

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.load_balancer import AdminStatesOverArm, LoadBalancersOverArm
from function_app.adapters.arm.network_flags import NetworkFlagsOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.adapters.arm.scale_sets import ScaleSetsOverArm
from function_app.adapters.arm.surroundings import SurroundingsOverArm
from function_app.adapters.monitor.logs import HealthLogsOverLogAnalytics
from function_app.adapters.monitor.metrics import MetricsOverMonitor
from function_app.domain.base.errors import HopkeeperError
from function_app.domain.service.observation import BalancerReading
from function_app.domain.topology.model import NetworkPeering, ScaleSet, Speaker
from tests.contract.adapters_azure import NVA_A, SERVER, SPEAKERS, WANTED, fake_arm, service

LB = WANTED.load_balancer_id
SCOPE = WANTED.network_scope
FLEET = f"{SCOPE.replace('Microsoft.Network', 'Microsoft.Compute')}/virtualMachineScaleSets/nva"
VNET, NIC, TABLE = f"{SCOPE}/virtualNetworks/vnet", f"{SCOPE}/networkInterfaces/nic", f"{SCOPE}/routeTables/rt"
SPOKE = f"{VNET}/virtualNetworkPeerings/to-hub"
CONFIGURATION = f"{NIC}/ipConfigurations/ipconfig1"
NOW = datetime(2026, 1, 1, 3, 0, 30, tzinfo=UTC)


def sub(kind: str, name: str, **facts: Any) -> dict[str, Any]:
    """A part of a load balancer as it is answered."""
    return {"name": name, "id": f"{LB}/{kind}/{name}", "etag": 'W/"1"', "properties": facts}


def ref(kind: str, name: str) -> dict[str, Any]:
    return {"id": f"{LB}/{kind}/{name}"}


def addresses(*foreign: dict[str, Any]) -> list[dict[str, Any]]:
    """Other owners' first, then ours: one by its IP, one by its interface."""
    ours = sub("x", "a", ipAddress="10.0.1.4", adminState="None")
    ours_by_interface = sub("x", "b", networkInterfaceIPConfiguration={"id": CONFIGURATION}, adminState="Down")
    return [*foreign, ours, ours_by_interface]


def of_members(found: Any) -> Any:
    """A reading of a pool without what it says of addresses that are no member's: that is for others to leave out."""
    if not isinstance(found, BalancerReading):
        return found
    return replace(found, complete=True, strangers=frozenset(), flaws=())


def foreign_address() -> dict[str, Any]:
    return sub(
        "x",
        "other",
        ipAddress="10.0.9.9",
        adminState="Down",
        networkInterfaceIPConfiguration={"id": f"{CONFIGURATION}9"},
    )


def rule(name: str, pool: str, probe: str) -> dict[str, Any]:
    return sub(
        "loadBalancingRules",
        name,
        frontendIPConfiguration=ref("frontendIPConfigurations", "fe"),
        backendAddressPool=ref("backendAddressPools", pool),
        backendAddressPools=[ref("backendAddressPools", pool)],
        probe=ref("probes", probe),
        protocol="All",
        frontendPort=0,
        backendPort=0,
        loadDistribution="Default",
    )


POOL = sub("backendAddressPools", "nvas", loadBalancerBackendAddresses=addresses(foreign_address()))
BALANCER = {
    "name": "lb-nva",
    "id": LB,
    "etag": 'W/"1"',
    "location": "uksouth",
    "tags": {"a": "b"},
    "properties": {
        "frontendIPConfigurations": [
            sub("frontendIPConfigurations", "other", privateIPAddress="10.0.1.99"),
            sub("frontendIPConfigurations", "fe", privateIPAddress="10.0.1.100"),
        ],
        "backendAddressPools": [
            sub("backendAddressPools", "other", loadBalancerBackendAddresses=[foreign_address()]),
            POOL,
        ],
        "loadBalancingRules": [rule("other", "other", "other"), rule("all-ports", "nvas", "agent")],
        "probes": [
            sub("probes", "other", protocol="Tcp", port=1, intervalInSeconds=5, probeThreshold=2),
            sub("probes", "agent", protocol="Http", port=8080, requestPath="/", intervalInSeconds=5, probeThreshold=2),
        ],
    },
}


def health(ip: str, interface: str, reason: str) -> dict[str, Any]:
    return {
        "ipAddress": ip,
        "networkInterfaceIPConfigurationId": interface,
        "state": reason.partition("_")[0],
        "reason": reason,
    }


HEALTH = {
    "up": 2,
    "down": 0,
    "loadBalancerBackendAddresses": [
        health("10.0.9.9", f"{CONFIGURATION}9", "Up_Probe_Success"),
        health("10.0.1.4", f"{CONFIGURATION}4", "Up_Probe_Success"),
        health("10.0.1.5", CONFIGURATION, "Down_Admin"),
    ],
}


def peering(name: str, ip: str) -> dict[str, Any]:
    facts = {"peerIp": ip, "peerAsn": 65001, "provisioningState": "Succeeded", "connectionState": "Connected"}
    return {"name": name, "id": f"{SERVER.id}/bgpConnections/{name}", "etag": 'W/"1"', "properties": facts}


HUB = {
    "name": "rs-hub",
    "id": SERVER.id,
    "etag": 'W/"1"',
    "location": "uksouth",
    "properties": {
        "provisioningState": "Succeeded",
        "routingState": "Provisioned",
        "virtualRouterAsn": 65515,
        "virtualRouterIps": ["10.0.0.4", "10.0.0.5"],
        "allowBranchToBranchTraffic": False,
        "hubRoutingPreference": "ExpressRoute",
    },
}
PEERINGS = {"value": [peering("theirs", "10.0.9.9"), peering("hopkeeper-hub_nva-a", "10.0.1.4")]}


def interface(own: str, ip: str, machine: str) -> dict[str, Any]:
    subnet = {"id": f"{VNET}/subnets/nvas"}
    configuration = {"privateIPAddress": ip, "primary": True, "subnet": subnet}
    return {
        "name": "nic",
        "id": own,
        "properties": {
            "provisioningState": "Succeeded",
            "primary": True,
            "enableIPForwarding": True,
            "virtualMachine": {"id": machine},
            "ipConfigurations": [{"name": "ipconfig1", "id": f"{own}/ipConfigurations/1", "properties": configuration}],
        },
    }


INTERFACES = {
    "value": [
        interface(f"{FLEET}/virtualMachines/0/networkInterfaces/nic", "10.0.3.4", f"{FLEET}/virtualMachines/0"),
        interface(f"{FLEET}/virtualMachines/1/networkInterfaces/nic", "10.0.3.5", f"{FLEET}/virtualMachines/1"),
    ]
}
NETWORK = {
    "name": "vnet",
    "id": VNET,
    "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "nvas", "id": f"{VNET}/subnets/nvas", "properties": {"routeTable": {"id": TABLE}}}],
    },
}
ROUTES = {
    "name": "rt",
    "id": TABLE,
    "properties": {
        "disableBgpRoutePropagation": False,
        "routes": [{"name": "default", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "Internet"}}],
    },
}
NETWORK_PEERING = {
    "name": "to-hub",
    "id": SPOKE,
    "etag": 'W/"1"',
    "properties": {
        "useRemoteGateways": True,
        "allowGatewayTransit": False,
        "allowForwardedTraffic": True,
        "peeringState": "Connected",
        "provisioningState": "Succeeded",
    },
}
METRICS = {
    "values": [
        {
            "timespan": "2026-01-01T02:57:00Z/2026-01-01T03:00:30Z",
            "interval": "PT1M",
            "value": [
                {
                    "id": f"{LB}/providers/Microsoft.Insights/metrics/DipAvailability",
                    "type": "Microsoft.Insights/metrics",
                    "name": {"value": "DipAvailability", "localizedValue": "Health Probe Status"},
                    "unit": "Count",
                    "timeseries": [
                        {
                            "metadatavalues": [{"name": {"value": "backendipaddress"}, "value": ip}],
                            "data": [{"timeStamp": "2026-01-01T02:59:00Z", "average": 100.0}],
                        }
                        for ip in ("10.0.9.9", "10.0.1.4")
                    ],
                }
            ],
        }
    ]
}
LOGS = {
    "tables": [
        {
            "name": "PrimaryResult",
            "columns": [
                {"name": "TimeGenerated", "type": "datetime"},
                {"name": "HealthEventType", "type": "string"},
                {"name": "Description", "type": "string"},
            ],
            "rows": [["2026-01-01T02:59:00Z", "NoHealthyBackends", "x"], ["2026-01-01T02:58:00Z", "y", "z"]],
        }
    ]
}


@dataclass(frozen=True)
class Clock:
    def now(self) -> datetime:
        return NOW

    async def sleep(self, duration: timedelta) -> None: ...


@dataclass(frozen=True)
class Reader:
    """One method of one adapter, the answer of its that is changed, the model of that in the SDK (None: Monitor's, where
    everything may be missing), and where in it other owners' things are."""

    call: Callable[[Azure], Awaitable[Any]]
    answer: str
    model: Any = None
    foreign: tuple[tuple[Any, ...], ...] = ()


ANSWERS: dict[str, Any] = {
    "balancer": BALANCER,
    "pool": POOL,
    "health": HEALTH,
    "hub": HUB,
    "peerings": PEERINGS,
    "interfaces": INTERFACES,
    "interface": interface(NIC, "10.0.1.4", "vm"),
    "network": NETWORK,
    "routes": ROUTES,
    "network peering": NETWORK_PEERING,
    "metrics": METRICS,
    "logs": LOGS,
}
WHERE = {
    f"{LB}": "balancer",
    f"{LB}/backendAddressPools/NVAs": "pool",
    f"{LB}/loadBalancingRules/all-ports/health": "health",
    f"{SERVER.id}": "hub",
    f"{SERVER.id}/bgpConnections": "peerings",
    f"{FLEET}/networkInterfaces": "interfaces",
    NIC: "interface",
    VNET: "network",
    TABLE: "routes",
    SPOKE: "network peering",
}
MEMBER = Speaker(name="nva-a", address=IPv4Address("10.0.1.4"), asn=65001, peers_with=("rs-hub",), interface=NIC)


def read(azure: Azure) -> Awaitable[Any]:
    return LoadBalancersOverArm(azure).read(service(), SPEAKERS, timedelta(seconds=5))


def look(azure: Azure) -> Awaitable[Any]:
    return AdminStatesOverArm(azure).look(service(), NVA_A)


def reason(azure: Azure) -> Awaitable[Any]:
    return AdminStatesOverArm(azure).health_reason(service(), NVA_A)


def configured(azure: Azure) -> Awaitable[Any]:
    return SurroundingsOverArm(azure).balancer(service())


def interface_facts(azure: Azure) -> Awaitable[Any]:
    return SurroundingsOverArm(azure).interface(MEMBER)


LISTS = ("frontendIPConfigurations", "loadBalancingRules", "backendAddressPools")
OTHERS = tuple(("properties", kind, 0) for kind in LISTS)
READERS = {
    "read, its load balancer": Reader(read, "balancer", models.LoadBalancer, OTHERS),
    "read, its pool": Reader(
        read, "pool", models.BackendAddressPool, (("properties", "loadBalancerBackendAddresses", 0),)
    ),
    "read, its health": Reader(
        read, "health", models.LoadBalancerHealthPerRule, (("loadBalancerBackendAddresses", 0),)
    ),
    "look, its load balancer": Reader(look, "balancer", models.LoadBalancer, OTHERS),
    "look, its pool": Reader(
        look, "pool", models.BackendAddressPool, (("properties", "loadBalancerBackendAddresses", 0),)
    ),
    "health": Reader(reason, "health", models.LoadBalancerHealthPerRule, (("loadBalancerBackendAddresses", 0),)),
    "load balancer as configured": Reader(configured, "balancer", models.LoadBalancer),
    "interface": Reader(interface_facts, "interface", models.NetworkInterface),
    "its network": Reader(interface_facts, "network", models.VirtualNetwork),
    "its route table": Reader(interface_facts, "routes", models.RouteTable),
    "Route Server": Reader(lambda azure: RouteServersOverArm(azure).read(SERVER), "hub", models.VirtualHub),
    "peerings": Reader(lambda azure: RouteServersOverArm(azure).read(SERVER), "peerings", models.BgpConnection),
    "scale set": Reader(
        lambda azure: ScaleSetsOverArm(azure).instances(
            ScaleSet(name="fleet", id=FLEET, asn=65010, peers_with=("rs-hub",))
        ),
        "interfaces",
        models.NetworkInterface,
    ),
    "network peering": Reader(
        lambda azure: NetworkFlagsOverArm(azure).read(NetworkPeering(name="spoke", id=SPOKE)),
        "network peering",
        models.VirtualNetworkPeering,
    ),
    "metrics": Reader(
        lambda azure: MetricsOverMonitor(azure, azure.cloud.endpoint, Clock()).probe_availability(
            LB, (IPv4Address("10.0.1.4"),)
        ),
        "metrics",
    ),
    "logs": Reader(
        lambda azure: HealthLogsOverLogAnalytics(azure, "w", azure.cloud.endpoint).recent(LB, timedelta(hours=1)),
        "logs",
    ),
}


def optional(value: Any, model: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every key in an answer that its model lets be missing, and of every item of a list."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield (*path, index)
            yield from optional(each, model, (*path, index))
    elif isinstance(value, dict):
        fields = annotations(model)
        for name, each in value.items():
            annotation = fields.get(name)
            if annotation is None or type(None) in get_args(annotation):
                yield (*path, name)
            yield from optional(each, model_in(annotation) if annotation is not None else model, (*path, name))


def annotations(model: Any) -> dict[str, Any]:
    """A model's annotations by the keys that they have on the wire; of what has no model, nothing is known."""
    if model is None:
        return {}
    known = {name: hint for each in model.__mro__ for name, hint in vars(each).get("__annotations__", {}).items()}
    made = model()
    return {field._rest_name: known[name] for name, field in made._attr_to_rest_field.items() if name in known}


def model_in(annotation: Any) -> Any:
    """The model that an annotation names, through Optional and list."""
    for each in (annotation, *get_args(annotation)):
        name = each.__forward_arg__ if isinstance(each, ForwardRef) else each if isinstance(each, str) else ""
        if name.startswith("_models."):
            return getattr(models, name.removeprefix("_models."))
        if each is not annotation and get_args(each) and (found := model_in(each)) is not None:
            return found
    return None


def changed(answer: Any, path: tuple[Any, ...], how: str) -> Any:
    found = deepcopy(answer)
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    last = path[-1]
    if how == "missing":
        del inner[last]
    elif how == "null":
        inner[last] = None
    else:
        inner[last] = type(inner[last])()
    return found


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("how", ["missing", "null", "empty"])
async def test_whatever_an_answer_may_leave_out_is_left_out(tmp_path: Path, name: str, how: str) -> None:
    reader = READERS[name]
    answers = dict(ANSWERS)

    async def answer(request: web.Request) -> web.Response:
        where = WHERE.get(request.path) or next(
            (w for p, w in WHERE.items() if p.lower() == request.path.lower()), None
        )
        return web.json_response(answers[where or ("metrics" if "metrics" in request.path else "logs")])

    async with fake_arm(answer, tmp_path) as azure:
        whole = await reader.call(azure)
        assert whole, "nothing is proven by an answer that says nothing"
        paths = list(optional(ANSWERS[reader.answer], reader.model))
        assert len(paths) > 3
        for path in paths:
            answers[reader.answer] = changed(ANSWERS[reader.answer], path, how)
            try:
                found = await reader.call(azure)
            except HopkeeperError as error:
                found = str(error)
            if any(path[: len(foreign)] == foreign for foreign in reader.foreign):
                nobodys = how == "null" and isinstance(path[-1], int)  # an item that is null may have been ours
                assert (of_members(found) == of_members(whole)) is not nobodys, path
