"""What an administrator and Terraform request of the simulator besides what the product does, plainly and by the SDK.

Each rule has its source: a recording in tests/fixtures, a specification, or the provider's own code.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.network import NetworkManagementClient as SyncNetworkManagementClient
from azure.monitor.query import LogsBatchQuery
from azure.monitor.query.aio import LogsQueryClient

from lab.kit.credential import Credential
from simulator.data_plane import probed
from simulator.identity import token
from simulator.resources import Json
from simulator.seeds import SUBSCRIPTION, HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
SCOPE, GROUP = WANTED.network_scope, WANTED.group
SUBSCRIBED = f"/subscriptions/{SUBSCRIPTION}"
NETWORK = f"{SCOPE}/virtualNetworks/vnet-hub"
PUBLIC = f"{SCOPE}/publicIPAddresses/pip"
SUBNETS = [{"name": "RouteServerSubnet", "properties": {"addressPrefix": "10.0.0.0/27"}}]


def seed() -> Json:
    document = hub_seed(WANTED)
    document["resources"] += [
        {"id": NETWORK, "location": "uksouth", "properties": {"subnets": SUBNETS}},
        {"id": PUBLIC, "location": "uksouth", "properties": {}},
    ]
    return document


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(seed(), time_factor=1000.0)) as running:
        yield running


class SyncCredential:
    """As `lab.kit.credential`, for the clients that do not await."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        now = datetime.now(UTC)
        return AccessToken(token("https://management.azure.com", now, self._issuer), int(now.timestamp()) + 3600)


class Plain:
    """Requests as a client without an SDK sends them."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self._session = session

    async def ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, dict[str, str], Any]:
        """Status, headers with lower-case names, body."""
        bearer = token("https://management.azure.com", datetime.now(UTC), self.sim.url)
        joint = "&" if "?" in path else "?"
        url = path if path.startswith("http") else f"{self.sim.url}{path}{joint}api-version=2024-05-01"
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            found = await answer.json() if await answer.read() else None
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, found

    async def follow(self, headers: dict[str, str]) -> Json:
        """As go-azure-sdk's pollers do: Azure-AsyncOperation before Location, until the status is an end."""
        url = headers.get("azure-asyncoperation") or headers["location"]
        async with asyncio.timeout(10):
            while True:
                status, _, body = await self.ask("GET", url)
                if status in (200, 204) and (body or {}).get("status", "Succeeded") != "InProgress":
                    return body or {}
                await asyncio.sleep(0.01)


@pytest.fixture
async def plain() -> AsyncIterator[Plain]:
    async with (
        Simulator(SimulatorConfig(seed(), time_factor=1000.0, tls=False)) as running,
        aiohttp.ClientSession() as s,
    ):
        yield Plain(running, s)


# Groups, providers, all resources


async def test_a_group_that_holds_resources_exists_until_it_is_deleted_with_them(plain: Plain) -> None:
    """resource-group.json and route-server.json of the recordings."""
    group = f"{SUBSCRIBED}/resourcegroups/{GROUP}"
    assert (await plain.ask("HEAD", group))[0] == 204
    status, headers, _ = await plain.ask("DELETE", group)
    assert (status, "azure-asyncoperation" in headers) == (202, False)
    await plain.follow(headers)
    assert (await plain.ask("HEAD", group))[0] == 404
    status, _, refused = await plain.ask("GET", group)
    assert (status, refused["error"]["code"]) == (404, "ResourceGroupNotFound")
    assert (await plain.ask("GET", f"{SUBSCRIBED}/resources"))[2]["value"] == []


async def test_a_group_is_made_once_and_stays_in_its_location(plain: Plain) -> None:
    group = f"{SUBSCRIBED}/resourcegroups/rg-new"
    assert (await plain.ask("PUT", group, {"location": "uksouth"}))[0] == 201
    assert (await plain.ask("PUT", group, {"location": "UK South", "tags": {"a": "b"}}))[0] == 200
    assert (await plain.ask("GET", group))[2]["tags"] == {"a": "b"}
    status, _, refused = await plain.ask("PUT", group, {"location": "westeurope"})
    assert (status, refused["error"]["code"]) == (409, "InvalidResourceGroupLocation")


@pytest.mark.parametrize(
    ("clauses", "names"),
    [
        ("resourceType eq 'Microsoft.Network/loadBalancers'", ["lb-nva"]),
        ("resourceType eq 'microsoft.network/virtualhubs' and name eq 'RS-HUB'", ["rs-hub"]),
        ("resourceGroup eq 'nowhere'", []),
    ],
)
async def test_resources_are_filtered_by_each_clause(plain: Plain, clauses: str, names: list[str]) -> None:
    found = (await plain.ask("GET", f"{SUBSCRIBED}/resources?$filter={clauses}"))[2]["value"]
    assert [one["name"] for one in found] == names


async def test_a_filter_that_the_simulator_has_not_is_refused_rather_than_ignored(plain: Plain) -> None:
    status, _, refused = await plain.ask("GET", f"{SUBSCRIBED}/resources?$filter=tagName eq 'a'")
    assert (status, refused["error"]["code"]) == (400, "InvalidFilterInQueryString")


async def test_a_provider_says_its_types_and_versions_and_an_unknown_one_is_refused(plain: Plain) -> None:
    found = (await plain.ask("GET", f"{SUBSCRIBED}/providers/microsoft.network"))[2]
    hub = next(one for one in found["resourceTypes"] if one["resourceType"] == "virtualHubs/bgpConnections")
    assert found["registrationState"] == "Registered"
    assert len(hub["apiVersions"]) > 1
    assert (await plain.ask("POST", f"{SUBSCRIBED}/providers/Microsoft.Compute/register"))[0] == 200
    status, _, refused = await plain.ask("GET", f"{SUBSCRIBED}/providers/Microsoft.Nothing")
    assert (status, refused["error"]["code"]) == (404, "InvalidResourceNamespace")


async def test_what_the_simulator_does_not_answer_is_405_with_a_sentence(plain: Plain) -> None:
    for method, path in (("DELETE", f"{SUBSCRIBED}/providers"), ("POST", f"{WANTED.route_server_id}/reset")):
        status, _, refused = await plain.ask(method, path)
        assert (status, refused["error"]["code"]) == (405, "MethodNotAllowed")
        assert "The simulator does not answer" in refused["error"]["message"]


# A Route Server as Terraform makes and ends it: hashicorp/terraform-provider-azurerm at 041cd663,
# internal/services/network/route_server_resource.go


async def test_a_route_server_is_made_updated_and_ended_as_terraform_does_it(plain: Plain) -> None:
    hub = f"{SCOPE}/virtualHubs/rs-two"
    assert (await plain.ask("GET", hub))[0] == 404
    sent = {
        "location": "uksouth",
        "properties": {"sku": "Standard", "hubRoutingPreference": "ExpressRoute"},
        "tags": {},
    }
    status, headers, made = await plain.ask("PUT", hub, sent)
    assert (status, made["kind"], made["properties"]["provisioningState"]) == (201, "RouteServer", "Succeeded")
    await plain.follow(headers)
    address = {"subnet": {"id": f"{NETWORK}/subnets/RouteServerSubnet"}, "publicIPAddress": {"id": PUBLIC}}
    status, headers, _ = await plain.ask("PUT", f"{hub}/ipConfigurations/ipConfig1", {"properties": address})
    assert (status, "azure-asyncoperation" in headers) == (201, True)
    busy, _, refused = await plain.ask("PUT", hub, sent)
    assert (busy, refused["error"]["code"]) == (409, "AnotherOperationInProgress")
    await plain.follow(headers)
    read = (await plain.ask("GET", hub))[2]
    assert read["properties"]["virtualRouterIps"] == ["10.0.0.5", "10.0.0.4"]
    listed = (await plain.ask("GET", f"{hub}/ipConfigurations"))[2]["value"]
    assert [one["properties"]["subnet"]["id"] for one in listed] == [address["subnet"]["id"]]
    read["properties"]["allowBranchToBranchTraffic"] = True
    await plain.follow((await plain.ask("PUT", hub, read))[1])
    assert (await plain.ask("GET", hub))[2]["properties"]["allowBranchToBranchTraffic"] is True
    await plain.follow((await plain.ask("DELETE", f"{hub}/ipConfigurations/ipConfig1"))[1])
    assert (await plain.ask("GET", f"{hub}/ipConfigurations/ipConfig1"))[0] == 404
    await plain.follow((await plain.ask("DELETE", hub))[1])
    assert (await plain.ask("GET", hub))[0] == 404


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"subnet": {"id": f"{NETWORK}/subnets/none"}}, "InvalidResourceReference"),
        (
            {"subnet": {"id": f"{NETWORK}/subnets/RouteServerSubnet"}, "publicIPAddress": {"id": f"{PUBLIC}x"}},
            "InvalidResourceReference",
        ),
    ],
)
async def test_a_route_server_cannot_lie_in_what_is_not_there(plain: Plain, facts: Json, code: str) -> None:
    await plain.ask("PUT", f"{SCOPE}/virtualHubs/rs-two", {"location": "uksouth", "properties": {"sku": "Standard"}})
    path = f"{SCOPE}/virtualHubs/rs-two/ipConfigurations/ipConfig1"
    status, _, refused = await plain.ask("PUT", path, {"properties": facts})
    assert (status, refused["error"]["code"]) == (400, code)


async def test_a_route_server_takes_its_peerings_and_their_sessions_with_it(sim: Simulator, network: Any) -> None:
    sim.world.adopt(
        {"id": f"{WANTED.route_server_id}/bgpConnections/a", "properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}
    )
    await (await network.virtual_hubs.begin_delete(GROUP, WANTED.route_server)).result()
    assert sim.world.route_servers.peers() == []
    assert sim.world.state.resources.below(WANTED.route_server_id) == []


# A load balancer's children as Terraform writes them: internal/services/loadbalancer/*_resource.go get the whole
# document, change it and put it back


async def test_a_probe_is_added_by_the_whole_document_and_read_back(plain: Plain) -> None:
    whole = (await plain.ask("GET", WANTED.load_balancer_id))[2]
    whole["properties"]["probes"].append({"name": "ssh", "properties": {"protocol": "Tcp", "port": 22}})
    status, headers, _ = await plain.ask("PUT", WANTED.load_balancer_id, whole)
    assert status == 200
    assert (await plain.follow(headers))["status"] == "Succeeded"
    after = (await plain.ask("GET", WANTED.load_balancer_id))[2]
    assert [one["name"] for one in after["properties"]["probes"]] == ["agent", "ssh"]
    assert (await plain.ask("GET", f"{WANTED.load_balancer_id}/probes/ssh"))[2]["properties"]["port"] == 22


async def test_a_load_balancer_that_is_deleted_forwards_nothing(sim: Simulator, network: Any) -> None:
    await (await network.load_balancers.begin_delete(GROUP, WANTED.load_balancer)).result()
    with pytest.raises(ResourceNotFoundError):
        await network.load_balancers.get(GROUP, WANTED.load_balancer)
    with pytest.raises(KeyError):
        sim.world.data_plane.named(WANTED.load_balancer)


# The SDK's other calls, sync and aio


async def test_an_interface_in_use_is_not_deleted_and_one_that_is_not_there_is_no_error(network: Any) -> None:
    """aka.ms/deletenic; 204 of DELETE is ARM's resource provider contract."""
    with pytest.raises(HttpResponseError) as refused:
        await network.network_interfaces.begin_delete(GROUP, "nva-a-nic")
    assert refused.value.error is not None
    assert refused.value.error.code == "NicInUse"
    await (await network.network_interfaces.begin_delete(GROUP, "none")).result()


async def test_a_peering_of_networks_is_connected_by_its_pair_and_disconnected_without_it(network: Any) -> None:
    """learn.microsoft.com, Virtual network peering: peering status."""
    peerings = network.virtual_network_peerings
    other = NETWORK.replace("vnet-hub", "vnet-spoke")

    async def peer(here: str, there: str) -> str:
        body = {"properties": {"remoteVirtualNetwork": {"id": there}}}
        made = await (await peerings.begin_create_or_update(GROUP, here, "pair", body)).result()
        return str(made.properties.peering_state.value)

    assert await peer("vnet-hub", other) == "Initiated"
    assert await peer("vnet-spoke", NETWORK) == "Connected"
    assert (await peerings.get(GROUP, "vnet-hub", "pair")).properties.peering_state == "Connected"
    await (await peerings.begin_delete(GROUP, "vnet-spoke", "pair")).result()
    assert (await peerings.get(GROUP, "vnet-hub", "pair")).properties.peering_state == "Disconnected"


async def test_the_sync_client_lists_gets_begins_and_deletes_as_the_other_one(sim: Simulator) -> None:
    def work() -> list[str]:
        client: Any
        with SyncNetworkManagementClient(
            SyncCredential(sim.url), SUBSCRIPTION, base_url=sim.url, connection_verify=str(sim.ca_path), retry_total=0
        ) as client:
            hubs = [one.name for one in client.virtual_hubs.list()]
            body = {"properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}
            begun = client.virtual_hub_bgp_connection.begin_create_or_update(GROUP, WANTED.route_server, "a", body)
            peers = [begun.result().name]
            client.virtual_hub_bgp_connection.begin_delete(GROUP, WANTED.route_server, "a").result()
            peers += [one.name for one in client.virtual_hub_bgp_connections.list(GROUP, WANTED.route_server)]
            balancers = [one.name for one in client.load_balancers.list(GROUP)]
            interfaces = [one.name for one in client.network_interfaces.list_all()]
            return [*hubs, *peers, *balancers, *interfaces]

    assert await asyncio.to_thread(work) == ["rs-hub", "a", "lb-nva", "nva-a-nic", "nva-b-nic"]


async def test_effective_rules_come_as_an_operation_and_are_none_without_a_group(network: Any) -> None:
    poller = await network.network_interfaces.begin_list_effective_network_security_groups(GROUP, "nva-a-nic")
    assert list((await poller.result()).value or ()) == []


# Events and logs


async def test_a_webhook_gets_the_events_that_its_subscription_wants_until_it_is_deleted(plain: Plain) -> None:
    path = f"{SUBSCRIBED}/resourceGroups/{GROUP}/providers/Microsoft.EventGrid/eventSubscriptions/hook"
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": "http://127.0.0.1:9/hook?code=secret"}}
    wanted = {"includedEventTypes": ["Microsoft.Resources.ResourceDeleteSuccess"], "subjectBeginsWith": SCOPE.upper()}
    status, headers, _ = await plain.ask("PUT", path, {"properties": {"destination": destination, "filter": wanted}})
    assert status == 201
    await plain.follow(headers)
    read = (await plain.ask("GET", path))[2]["properties"]
    assert read["destination"]["properties"] == {"endpointBaseUrl": "http://127.0.0.1:9/hook"}
    (subscriber,) = plain.sim.event_grid.subscribers
    written = {"eventType": "Microsoft.Resources.ResourceWriteSuccess", "subject": WANTED.load_balancer_id}
    assert not subscriber.wants(written)
    assert subscriber.wants(written | {"eventType": "Microsoft.Resources.ResourceDeleteSuccess"})
    await plain.follow((await plain.ask("DELETE", path))[1])
    assert plain.sim.event_grid.subscribers == []


async def test_a_batch_of_log_queries_is_answered_one_by_one(sim: Simulator) -> None:
    up, down = probed(True, None), probed(False, None)
    sim.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": up})
    sim.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": down})
    queries = ["ALBHealthEvent | summarize n = count(), max(TimeGenerated) by Severity", "ALBHealthEvent | join x on y"]
    batch = [LogsBatchQuery("workspace", query, timespan=None) for query in queries]
    async with LogsQueryClient(
        Credential(), endpoint=sim.url, connection_verify=str(sim.ca_path), retry_total=0
    ) as client:
        good: Any
        good, bad = await client.query_batch(batch)
    (row,) = good.tables[0].rows
    assert (row["Severity"], row["n"]) == ("Critical", 1)
    assert abs(row["max_TimeGenerated"] - datetime.now(UTC)) < timedelta(seconds=60)
    assert "does not know 'join'" in str(bad)


async def test_a_pool_that_a_rule_uses_stays_and_another_one_goes(network: Any) -> None:
    """Microsoft.Network 2025-05-01: LoadBalancerBackendAddressPools_Delete."""
    pools = network.load_balancer_backend_address_pools
    with pytest.raises(HttpResponseError) as refused:
        await pools.begin_delete(GROUP, WANTED.load_balancer, WANTED.pool)
    assert refused.value.error is not None
    assert refused.value.error.code == "InvalidResourceReference"
    await (await pools.begin_create_or_update(GROUP, WANTED.load_balancer, "spare", {"properties": {}})).result()
    await (await pools.begin_delete(GROUP, WANTED.load_balancer, "spare")).result()
    assert [one.name async for one in pools.list(GROUP, WANTED.load_balancer)] == [WANTED.pool]


async def test_an_inbound_nat_rule_and_a_subnet_are_written_as_children_and_are_in_their_parent(network: Any) -> None:
    """Microsoft.Network 2025-05-01: InboundNatRules_CreateOrUpdate, Subnets_CreateOrUpdate."""
    rule = {"properties": {"protocol": "Tcp", "frontendPort": 50000, "backendPort": 22}}
    made = await (
        await network.inbound_nat_rules.begin_create_or_update(GROUP, WANTED.load_balancer, "ssh", rule)
    ).result()
    assert (made.name, made.properties.backend_port) == ("ssh", 22)
    balancer = await network.load_balancers.get(GROUP, WANTED.load_balancer)
    assert [one.name for one in balancer.properties.inbound_nat_rules] == ["ssh"]
    await (await network.inbound_nat_rules.begin_delete(GROUP, WANTED.load_balancer, "ssh")).result()
    assert [one async for one in network.inbound_nat_rules.list(GROUP, WANTED.load_balancer)] == []
    subnet = {"properties": {"addressPrefix": "10.0.9.0/24"}}
    await (await network.subnets.begin_create_or_update(GROUP, "vnet-hub", "new", subnet)).result()
    names = [one.name for one in (await network.virtual_networks.get(GROUP, "vnet-hub")).properties.subnets]
    assert names == ["RouteServerSubnet", "new"]
    await (await network.subnets.begin_delete(GROUP, "vnet-hub", "new")).result()
    assert [one.name async for one in network.subnets.list(GROUP, "vnet-hub")] == ["RouteServerSubnet"]


@pytest.mark.parametrize("child", ["loadBalancingRules/all-ports", "probes/agent", "frontendIPConfigurations/fe"])
async def test_children_that_have_no_write_of_their_own_are_405(plain: Plain, child: str) -> None:
    """Microsoft.Network 2025-05-01 has only Get and List of them."""
    status, _, refused = await plain.ask("PUT", f"{WANTED.load_balancer_id}/{child}", {"properties": {}})
    assert (status, refused["error"]["code"]) == (405, "MethodNotAllowed")
