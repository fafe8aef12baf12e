"""Published examples that the simulator's answers have the shape of.

Azure's API specifications, Event Grid's event schema, Azure Monitor's common alert schema (tests/fixtures/SOURCES.md).
"""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.kit.credential import authorization
from simulator import arm, monitor
from simulator.alerts import AlertRule, Standing, common_alert
from simulator.clock import VirtualClock
from simulator.data_plane import probed
from simulator.event_grid import resource_event
from simulator.seeds import HubSeed, hub_seed
from simulator.wire import Reply, Request
from simulator.world import World

FIXTURES = Path(__file__).parents[1] / "fixtures"

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
HOST = "https://management.azure.com"


class Azure:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock, hub_seed(WANTED, alert_threshold=None))

    def call(self, method: str, url: str, body: Any = None) -> Reply:
        path, _, _ = url.removeprefix(HOST).partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        return arm.answer(
            self.world, Request(method, path, {"api-version": "2025-05-01"}, authorization(), content, HOST)
        )

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.world.settle()

    def act(self, url: str) -> Reply:
        accepted = self.call("POST", url)
        assert accepted.status == 202
        self.pass_seconds(10)
        return self.call("GET", accepted.headers["Location"])


def example(name: str, status: int = 200) -> Any:
    return json.loads((FIXTURES / "spec-examples" / name).read_text())["responses"][str(status)]["body"]


def keys(value: Any) -> Any:
    """Keys with their order and JSON types. Of a list of objects the first stands for all."""
    if isinstance(value, dict):
        return [(name, keys(one)) for name, one in value.items()]
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return type(value).__name__


def with_peer() -> tuple[Azure, str]:
    azure = Azure()
    url = f"{WANTED.route_server_id}/bgpConnections/conn1"
    azure.call("PUT", url, {"properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}})
    azure.pass_seconds(80)
    for address in WANTED.instances:
        ends = (IPv4Address(address), IPv4Address("10.0.1.4"))
        azure.world.bgp.up(*ends)
        azure.world.bgp.announced(ends, [IPv4Network("10.101.0.0/16")], IPv4Address("10.0.1.4"), (65002, 65001))
    return azure, url


def test_a_bgp_connection_has_the_shape_of_its_example() -> None:
    request = json.loads((FIXTURES / "spec-examples" / "VirtualHubBgpConnectionPut.json").read_text())
    azure = Azure()
    url = f"{WANTED.route_server_id}/bgpConnections/conn1"
    created = azure.call("PUT", url, request["parameters"]["parameters"])
    expected = example("VirtualHubBgpConnectionPut.json", 201)
    # A Route Server's peering has been recorded with a type and without a connection state.
    del expected["properties"]["connectionState"]
    own = json.loads(created.content())
    assert own.pop("type") == "Microsoft.Network/virtualHubs/bgpConnections"
    assert created.status == 201
    assert keys(own) == keys(expected)


def test_learned_routes_have_the_shape_of_their_example() -> None:
    azure, url = with_peer()
    own = azure.act(f"{url}/learnedRoutes").body
    assert keys(own) == keys(example("VirtualRouterPeerListLearnedRoute.json"))
    assert own["RouteServiceRole_IN_0"][0]["asPath"] == "65002-65001"


def test_advertised_routes_have_the_shape_of_their_example_but_for_what_real_route_servers_leave_out() -> None:
    """No public capture has `sourcePeer` in advertised rows: see test_adapters_azure_rows."""
    azure, url = with_peer()
    own = azure.act(f"{url}/advertisedRoutes").body
    expected = example("VirtualRouterPeerListAdvertisedRoute.json")
    for row in (row for role in expected.values() for row in role):
        del row["sourcePeer"]
    assert keys(own) == keys(expected)
    own_row, row = own["RouteServiceRole_IN_0"][0], expected["RouteServiceRole_IN_0"][0]
    assert [own_row[name] for name in ("origin", "asPath", "weight")] == [
        row[n] for n in ("origin", "asPath", "weight")
    ]


def test_the_health_of_a_rule_has_the_shape_of_its_example() -> None:
    azure = Azure()
    azure.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": probed(True, None)})
    own = azure.act(f"{WANTED.load_balancer_id}/loadBalancingRules/all-ports/health").body
    expected = example("LoadBalancerHealth.json")
    assert keys(own) == keys(expected)
    row = own["loadBalancerBackendAddresses"][0]
    assert (row["state"], row["reason"]) == ("Up", "Up_Probe_Success")


@pytest.mark.parametrize(("pool", "status"), [("nvas", 200), ("new", 201)])
def test_a_backend_pool_has_the_shape_of_its_example(pool: str, status: int) -> None:
    request = json.loads((FIXTURES / "spec-examples" / "LBBackendAddressPoolWithBackendAddressesPut.json").read_text())
    azure = Azure()
    url = f"{WANTED.load_balancer_id}/backendAddressPools/{pool}"
    reply = azure.call("PUT", url, request["parameters"]["parameters"])
    expected = example("LBBackendAddressPoolWithBackendAddressesPut.json", status)
    if status == 201:  # no rule uses a pool that was made just now
        del expected["properties"]["loadBalancingRules"]
    own = json.loads(reply.content())
    for member in own["properties"]["loadBalancerBackendAddresses"]:
        # Recorded, and not in the example: Azure/azure-cli, test_network_lb_address_pool_addresses.yaml at 004e5085.
        assert member.pop("id") == f"{own['id']}/loadBalancerBackendAddresses/{member['name']}"
        assert member.pop("type") == f"{own['type']}/loadBalancerBackendAddresses"
        assert (member.pop("etag"), member["properties"].pop("provisioningState")) == (own["etag"], "Updating")
    assert reply.status == status
    assert keys(own) == keys(expected)


def test_effective_routes_have_the_shape_of_their_example() -> None:
    expected = example("NetworkInterfaceEffectiveRouteTableList.json")
    interface = f"{WANTED.network_scope}/networkInterfaces/nva-a-nic"
    azure = Azure()
    azure.world.effective_routes[interface.lower()] = expected["value"]
    assert azure.act(f"{interface}/effectiveRouteTable").body == expected


@pytest.mark.parametrize(
    ("kind", "name"), [("Write", "eg_ResourceWriteSuccess.json"), ("Delete", "eg_ResourceDeleteSuccess.json")]
)
def test_an_event_has_the_keys_of_its_sample(kind: str, name: str) -> None:
    (expected,) = json.loads((FIXTURES / "eventgrid" / name).read_text())
    azure, url = with_peer()
    if kind == "Delete":
        azure.call("DELETE", url)
        azure.pass_seconds(80)
    own = resource_event(azure.world.state.published[-1])
    assert own["eventType"] == expected["eventType"]
    assert set(own) == set(expected)
    assert set(own["data"]) == set(expected["data"])
    assert set(own["data"]["authorization"]) == set(expected["data"]["authorization"])
    assert own["dataVersion"] == expected["dataVersion"]


def test_an_alert_has_the_keys_of_its_sample() -> None:
    expected = json.loads((FIXTURES / "alerts" / "common_schema_metric_resolved.json").read_text())
    now = VirtualClock().now()
    rule = AlertRule("rule", WANTED.load_balancer_id)
    own = common_alert(rule, Standing(now, "aaaa"), 100.0, resolved=now)
    window = json.loads((FIXTURES / "alerts" / "metric_static_alertContext.json").read_text())["alertContext"]
    expected["data"]["alertContext"]["condition"] |= window["condition"]
    assert own["schemaId"] == expected["schemaId"]
    assert set(own["data"]["essentials"]) == set(expected["data"]["essentials"])
    condition, sample = (one["data"]["alertContext"]["condition"] for one in (own, expected))
    assert set(condition) == set(sample)
    assert {name: type(one) for name, one in condition["allOf"][0].items()} | {"metricValue": float} == {
        name: type(one) for name, one in sample["allOf"][0].items()
    }


def test_a_metrics_batch_has_the_keys_of_its_sample() -> None:
    expected = json.loads((FIXTURES / "metrics" / "getBatch_response_storage.json").read_text())
    azure = Azure()
    azure.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": probed(True, None)})
    azure.pass_seconds(300)
    query = {"metricnames": "DipAvailability", "aggregation": "average", "filter": "BackendIPAddress eq '*'"}
    body = json.dumps({"resourceids": [WANTED.load_balancer_id]}).encode()
    own = monitor.batch(azure.world, Request("POST", "/", query, {}, body, HOST)).body
    assert set(own) == set(expected)
    mine, theirs = own["values"][0], expected["values"][0]
    assert set(mine) == set(theirs)
    assert set(mine["value"][0]) == set(theirs["value"][0])
    series, sample = mine["value"][0]["timeseries"][0], theirs["value"][0]["timeseries"][0]
    assert keys(series["metadatavalues"]) == keys(sample["metadatavalues"])
    assert set(series["data"][0]) == {"timeStamp", "average"}
