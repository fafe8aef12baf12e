"""The simulated Azure grants what its seed says, action by action and scope by scope, and refuses as Azure does."""

import json
from typing import Any

import pytest

from lab.kit.credential import authorization
from simulator import arm, monitor
from simulator.clock import VirtualClock
from simulator.seeds import HubSeed, hub_seed
from simulator.state import ArmError
from simulator.wire import Reply, Request
from simulator.world import World

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"),))
HUB, BALANCER = WANTED.route_server_id, WANTED.load_balancer_id
POOL = f"{BALANCER}/backendAddressPools/nvas"
NETWORK = "Microsoft.Network"
VNET, TABLE = f"{WANTED.network_scope}/virtualNetworks/app", f"{WANTED.network_scope}/routeTables/app"
SUBNET = f"{VNET}/subnets/app"
SUBSCRIPTION = f"/subscriptions/{WANTED.subscription}"


def world(*grants: tuple[str, str]) -> World:
    permissions = [{"scope": scope, "actions": [action]} for scope, action in grants]
    seed = hub_seed(WANTED)
    subnet = {"name": "app", "properties": {"routeTable": {"id": TABLE}}}
    seed["resources"] += [
        {"id": VNET, "location": "uksouth", "properties": {"subnets": [subnet]}},
        {"id": TABLE, "location": "uksouth", "properties": {"routes": []}},
    ]
    return World(VirtualClock(), {**seed, "permissions": permissions})


def request(method: str, path: str, body: Any = None) -> Request:
    content = b"" if body is None else json.dumps(body).encode()
    return Request(method, path, {"api-version": "2025-05-01"}, authorization(), content, "https://arm")


def ask(azure: World, method: str, path: str, body: Any = None) -> Reply:
    return arm.answer(azure, request(method, path, body))


PEERING = {"properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}
ADDRESSES = {"loadBalancerBackendAddresses": [{"name": "nva-a", "properties": {"ipAddress": "10.0.1.4"}}]}

CALLS = [
    ("GET", HUB, None, "virtualHubs/read", HUB),
    ("GET", f"{HUB}/bgpConnections", None, "virtualHubs/bgpConnections/read", HUB),
    ("PUT", f"{HUB}/bgpConnections/a", PEERING, "virtualHubs/bgpConnections/write", f"{HUB}/bgpConnections/a"),
    ("DELETE", f"{HUB}/bgpConnections/a", None, "virtualHubs/bgpConnections/delete", f"{HUB}/bgpConnections/a"),
    ("GET", SUBNET, None, "virtualNetworks/subnets/read", SUBNET),
    ("GET", TABLE, None, "routeTables/read", TABLE),
    ("PATCH", BALANCER, {"tags": {}}, "loadBalancers/write", BALANCER),
    (
        "POST",
        f"{BALANCER}/loadBalancingRules/all-ports/health",
        None,
        "loadBalancers/loadBalancingRules/health/action",
        f"{BALANCER}/loadBalancingRules/all-ports",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "action", "scope"), CALLS)
def test_a_call_needs_its_action_at_its_scope(method: str, path: str, body: Any, action: str, scope: str) -> None:
    refused = ask(world(), method, path, body)
    assert (refused.status, refused.body["error"]["code"]) == (403, "AuthorizationFailed")
    assert f"perform action '{NETWORK}/{action}' over scope '{scope}'" in refused.body["error"]["message"]
    assert ask(world((scope, f"{NETWORK}/{action}")), method, path, body).status < 300
    assert ask(world((f"{scope}-other", f"{NETWORK}/{action}")), method, path, body).status == 403


def test_a_wildcard_covers_what_is_below_it_and_nothing_else() -> None:
    azure = world((SUBSCRIPTION, f"{NETWORK}/virtualHubs/bgpConnections/*"))
    assert ask(azure, "PUT", f"{HUB}/bgpConnections/a", PEERING).status == 201
    assert ask(azure, "GET", HUB).status == 403


def test_without_any_grants_said_everything_is_allowed() -> None:
    assert ask(World(VirtualClock(), hub_seed(WANTED)), "GET", HUB).status == 200


def test_a_refused_write_changes_nothing() -> None:
    azure = world((HUB, f"{NETWORK}/virtualHubs/bgpConnections/read"))
    ask(azure, "PUT", f"{HUB}/bgpConnections/a", PEERING)
    assert ask(azure, "GET", f"{HUB}/bgpConnections").body == {"value": []}


def test_a_pool_of_interfaces_needs_the_join_of_the_pool() -> None:
    """Also where the write leaves the interfaces out, as the SDK's does."""
    write = (POOL, f"{NETWORK}/loadBalancers/backendAddressPools/write")
    refused = ask(world(write), "PUT", POOL, {"properties": ADDRESSES})
    assert (refused.status, refused.body["error"]["code"]) == (403, "LinkedAuthorizationFailed")
    assert "'Microsoft.Network/loadBalancers/backendAddressPools/join/action'" in refused.body["error"]["message"]
    join = (POOL, f"{NETWORK}/loadBalancers/backendAddressPools/join/action")
    assert ask(world(write, join), "PUT", POOL, {"properties": ADDRESSES}).status == 200


def test_a_pool_of_addresses_needs_the_join_of_their_network() -> None:
    pool, vnet = f"{BALANCER}/backendAddressPools/other", f"{WANTED.network_scope}/virtualNetworks/vnet"
    body = {"properties": {**ADDRESSES, "virtualNetwork": {"id": vnet}}}
    write = (pool, f"{NETWORK}/loadBalancers/backendAddressPools/write")
    refused = ask(world(write), "PUT", pool, body)
    assert refused.body["error"]["code"] == "LinkedAuthorizationFailed"
    assert f"on the linked scope(s) '{vnet}'" in refused.body["error"]["message"]
    join = (vnet, f"{NETWORK}/virtualNetworks/joinLoadBalancer/action")
    assert ask(world(write, join), "PUT", pool, body).status == 201


def test_an_address_that_names_its_subnet_needs_the_join_of_that_too() -> None:
    pool, vnet = f"{BALANCER}/backendAddressPools/other", f"{WANTED.network_scope}/virtualNetworks/vnet"
    address = {"name": "nva-a", "properties": {"ipAddress": "10.0.1.4", "subnet": {"id": f"{vnet}/subnets/nvas"}}}
    body = {"properties": {"loadBalancerBackendAddresses": [address]}}
    write = (pool, f"{NETWORK}/loadBalancers/backendAddressPools/write")
    refused = ask(world(write), "PUT", pool, body)
    assert f"on the linked scope(s) '{vnet}/subnets/nvas'" in refused.body["error"]["message"]
    join = (vnet, f"{NETWORK}/virtualNetworks/subnets/joinLoadBalancer/action")
    assert ask(world(write, join), "PUT", pool, body).status == 201


def test_a_peering_between_networks_needs_a_right_at_the_other_one() -> None:
    here, there = (f"{WANTED.network_scope}/virtualNetworks/{name}" for name in ("spoke", "hub"))
    peering = f"{here}/virtualNetworkPeerings/to-hub"
    granted = (here, f"{NETWORK}/virtualNetworks/virtualNetworkPeerings/write")
    refused = ask(world(granted), "PUT", peering, {"properties": {"remoteVirtualNetwork": {"id": there}}})
    assert refused.body["error"]["code"] == "LinkedAuthorizationFailed"
    assert (
        f"'{NETWORK}/virtualNetworks/peer/action' on the linked scope(s) '{there}'" in refused.body["error"]["message"]
    )


def test_an_operation_is_polled_with_a_right_of_its_own_at_the_subscription() -> None:
    granted = (HUB, f"{NETWORK}/virtualHubs/bgpConnections/write")
    azure = world(granted)
    url = ask(azure, "PUT", f"{HUB}/bgpConnections/a", PEERING).headers["Azure-AsyncOperation"]
    path = url.removeprefix("https://arm").split("?")[0]
    assert ask(azure, "GET", path).status == 403
    azure = world(granted, (SUBSCRIPTION, f"{NETWORK}/locations/operations/read"))
    url = ask(azure, "PUT", f"{HUB}/bgpConnections/a", PEERING).headers["Azure-AsyncOperation"]
    assert ask(azure, "GET", url.removeprefix("https://arm").split("?")[0]).status == 200


def test_metrics_of_many_need_the_right_at_the_subscription() -> None:
    call = request("POST", f"{SUBSCRIPTION}/metrics:getBatch", {"resourceids": [BALANCER]})
    with pytest.raises(ArmError, match="AuthorizationFailed"):
        monitor.batch(world((BALANCER, "Microsoft.Insights/metrics/read")), call)
    assert monitor.batch(world((SUBSCRIPTION, "Microsoft.Insights/metrics/read")), call).status == 200


def test_metrics_of_one_need_the_right_at_the_resource() -> None:
    path = f"{BALANCER}/providers/Microsoft.Insights/metrics"
    assert ask(world(), "GET", path).status == 403
    assert ask(world((BALANCER, "Microsoft.Insights/metrics/read")), "GET", path).status == 200


def test_a_query_of_logs_needs_the_workspace_and_the_table() -> None:
    workspace, query = f"{SUBSCRIPTION}/resourceGroups/rg/x", "Microsoft.OperationalInsights/workspaces/query"
    call = request("POST", "/v1/workspaces/w/query", {"query": "ALBHealthEvent | take 1"})
    with pytest.raises(ArmError, match="InsufficientAccessError"):
        monitor.query_logs(world((workspace, f"{query}/read")), call)
    both = world((workspace, f"{query}/read"), (workspace, f"{query}/ALBHealthEvent/read"))
    assert monitor.query_logs(both, call).status == 200
