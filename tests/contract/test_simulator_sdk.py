"""The real Azure SDK clients, over HTTPS, against the simulator."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient
from azure.identity.aio import ManagedIdentityCredential
from azure.monitor.query import LogsQueryStatus
from azure.monitor.query.aio import LogsQueryClient
from azure.monitor.querymetrics.aio import MetricsClient

from lab.kit.credential import Credential
from simulator.data_plane import probed
from simulator.seeds import HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
FACTOR = 200.0  # a peering takes 0.4 s
GROUP = WANTED.group
PEERING = {"properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=FACTOR)) as running:
        yield running


async def create(network: Any, name: str = "hopkeeper-a", address: str = "10.0.1.4") -> Any:
    poller = await network.virtual_hub_bgp_connection.begin_create_or_update(
        GROUP, WANTED.route_server, name, {"properties": {"peerIp": address, "peerAsn": 65001}}
    )
    return await poller.result()


async def test_a_peering_is_created_read_listed_and_deleted(sim: Simulator, network: Any) -> None:
    started = time.monotonic()
    created = await create(network)
    took = time.monotonic() - started
    assert created.properties.provisioning_state == "Succeeded"
    assert 0.35 < took < 5
    read = await network.virtual_hub_bgp_connection.get(GROUP, WANTED.route_server, "hopkeeper-a")
    assert (read.properties.peer_ip, read.properties.peer_asn) == ("10.0.1.4", 65001)
    names = [one.name async for one in network.virtual_hub_bgp_connections.list(GROUP, WANTED.route_server)]
    assert names == ["hopkeeper-a"]
    await (await network.virtual_hub_bgp_connection.begin_delete(GROUP, WANTED.route_server, "hopkeeper-a")).result()
    with pytest.raises(ResourceNotFoundError):
        await network.virtual_hub_bgp_connection.get(GROUP, WANTED.route_server, "hopkeeper-a")


async def test_without_polling_a_put_returns_the_resource_as_updating(network: Any) -> None:
    poller = await network.virtual_hub_bgp_connection.begin_create_or_update(
        GROUP, WANTED.route_server, "hopkeeper-a", PEERING, polling=False
    )
    assert (await poller.result()).properties.provisioning_state == "Updating"


async def test_a_second_write_on_a_route_server_is_another_operation_in_progress(network: Any) -> None:
    begin = network.virtual_hub_bgp_connection.begin_create_or_update
    await begin(GROUP, WANTED.route_server, "hopkeeper-a", PEERING, polling=False)
    with pytest.raises(ResourceExistsError) as refused:
        await begin(GROUP, WANTED.route_server, "hopkeeper-b", {"properties": {"peerIp": "10.0.1.5", "peerAsn": 65001}})
    assert refused.value.error is not None
    assert refused.value.error.code == "AnotherOperationInProgress"


async def test_learned_routes_come_by_polling_or_by_a_stored_token(sim: Simulator, network: Any) -> None:
    await create(network)
    instance, peer = IPv4Address(WANTED.instances[0]), IPv4Address("10.0.1.4")
    sim.world.bgp.up(instance, peer)
    sim.world.bgp.announced((instance, peer), [IPv4Network("0.0.0.0/0")], IPv4Address("10.0.1.100"), (65001, 65001))
    poller = await network.virtual_hub_bgp_connections.begin_list_learned_routes(
        GROUP, WANTED.route_server, "hopkeeper-a"
    )
    token = poller.continuation_token()
    roles = dict(await poller.result())
    routes = [route for role in roles.values() for route in role]
    assert set(roles) == {"RouteServiceRole_IN_0", "RouteServiceRole_IN_1"}
    assert [(route["network"], route["nextHop"], route["asPath"]) for route in routes] == [
        ("0.0.0.0/0", "10.0.1.100", "65001-65001")
    ]
    again = await network.virtual_hub_bgp_connections.begin_list_learned_routes(
        GROUP, WANTED.route_server, "hopkeeper-a", continuation_token=token
    )
    await again.polling_method().update_status()
    assert again.polling_method().status() == "Succeeded"


async def test_a_pool_write_with_a_stale_etag_is_a_failed_precondition(network: Any) -> None:
    pools = network.load_balancer_backend_address_pools
    pool = await pools.get(GROUP, WANTED.load_balancer, WANTED.pool)
    stale = pool.etag
    assert (await network.load_balancers.get(GROUP, WANTED.load_balancer)).etag == stale
    pool.properties.load_balancer_backend_addresses[0].properties.admin_state = "Down"
    poller = await pools.begin_create_or_update(
        GROUP, WANTED.load_balancer, WANTED.pool, pool, headers={"If-Match": stale}
    )
    written = await poller.result()
    assert written.etag != stale
    assert written.properties.provisioning_state == "Succeeded"
    assert written.properties.load_balancer_backend_addresses[0].properties.admin_state == "Down"
    with pytest.raises(HttpResponseError) as refused:
        await pools.begin_create_or_update(GROUP, WANTED.load_balancer, WANTED.pool, pool, headers={"If-Match": stale})
    assert refused.value.status_code == 412
    assert refused.value.error is not None
    assert refused.value.error.code == "PreconditionFailed"


async def test_a_write_of_tags_gives_the_pool_a_new_etag_and_changes_nothing_else(sim: Simulator, network: Any) -> None:
    pools, balancers = network.load_balancer_backend_address_pools, network.load_balancers
    before = await pools.get(GROUP, WANTED.load_balancer, WANTED.pool)
    headers = {"If-Match": before.etag}
    written = await balancers.update_tags(GROUP, WANTED.load_balancer, {"tags": {"note": "1"}}, headers=headers)
    after = await pools.get(GROUP, WANTED.load_balancer, WANTED.pool)
    assert (written.tags, written.etag) == ({"note": "1"}, after.etag)
    assert after.etag != before.etag
    assert json.loads(json.dumps(after.as_dict()).replace(json.dumps(after.etag), json.dumps(before.etag))) == (
        before.as_dict()
    )
    with pytest.raises(HttpResponseError) as refused:
        await balancers.update_tags(GROUP, WANTED.load_balancer, {"tags": {}}, headers=headers)
    assert refused.value.status_code == 412
    assert (await balancers.get(GROUP, WANTED.load_balancer)).tags == {"note": "1"}


async def test_the_health_of_a_rule_has_a_reason_for_each_backend(sim: Simulator, network: Any) -> None:
    sim.world.data_plane.report(
        WANTED.load_balancer, {"10.0.1.4": probed(True, None), "10.0.1.5": probed(False, "Down_Probe_HttpStatus")}
    )
    poller = await network.load_balancer_load_balancing_rules.begin_health(GROUP, WANTED.load_balancer, "all-ports")
    health = await poller.result()
    found = [(one.ip_address, one.state, one.reason) for one in health.load_balancer_backend_addresses]
    assert (health.up, health.down) == (1, 1)
    assert found == [
        ("10.0.1.4", "Up", "Up_Probe_Success"),
        ("10.0.1.5", "Down", "Down_Probe_HttpStatusCodeError"),
    ]


async def test_a_route_server_is_read_with_its_instances(network: Any) -> None:
    hub = await network.virtual_hubs.get(GROUP, WANTED.route_server)
    assert (hub.kind, hub.properties.virtual_router_asn) == ("RouteServer", 65515)
    assert hub.properties.virtual_router_ips == list(WANTED.instances)
    assert hub.properties.routing_state == "Provisioned"
    assert [one.name async for one in network.virtual_hubs.list_by_resource_group(GROUP.upper())] == ["rs-hub"]


async def test_refused_management_api_answers_503_until_it_is_lifted(sim: Simulator, network: Any) -> None:
    sim.world.set_faults({"arm": "refuse"})
    with pytest.raises(HttpResponseError) as refused:
        await network.virtual_hubs.get(GROUP, WANTED.route_server)
    assert refused.value.status_code == 503
    assert refused.value.error is not None
    assert refused.value.error.code == "ServiceUnavailable"
    sim.world.set_faults({"arm": "ok"})
    assert (await network.virtual_hubs.get(GROUP, WANTED.route_server)).name == "rs-hub"


async def test_throttled_management_api_says_when_to_come_back(sim: Simulator, network: Any) -> None:
    sim.world.set_faults({"arm": "throttle", "arm_retry_after": 7})
    with pytest.raises(HttpResponseError) as refused:
        await network.virtual_hubs.get(GROUP, WANTED.route_server)
    assert refused.value.status_code == 429
    response: Any = refused.value.response
    assert response.headers["Retry-After"] == "7"


async def test_hanging_management_api_answers_when_it_is_lifted(sim: Simulator, network: Any) -> None:
    async with http(sim) as session:
        await session.post("/simulator/faults", json={"arm": "hang"})
        request = asyncio.create_task(network.virtual_hubs.get(GROUP, WANTED.route_server))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(request), 0.3)
        await session.post("/simulator/faults", json={"arm": "ok"})
    assert (await asyncio.wait_for(request, 5)).name == "rs-hub"


async def test_a_lost_reply_leaves_the_effect(sim: Simulator, network: Any) -> None:
    sim.world.set_faults({"arm": "lose_reply"})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        await network.virtual_hub_bgp_connection.begin_create_or_update(
            GROUP, WANTED.route_server, "hopkeeper-a", PEERING, polling=False
        )
    assert [one["name"] for one in sim.world.route_servers.peerings(WANTED.route_server_id)] == ["hopkeeper-a"]


async def test_dip_availability_is_read_in_a_batch_for_each_backend(sim: Simulator) -> None:
    sim.world.set_faults({"metrics_delay": 0})
    results = {"10.0.1.4": probed(True, None), "10.0.1.5": probed(False, None)}
    sim.world.data_plane.report(WANTED.load_balancer, results)
    async with MetricsClient(sim.url, Credential(), connection_verify=str(sim.ca_path), retry_total=0) as client:
        metric = await _dip_availability(client)
        async with asyncio.timeout(10):  # one whole one-minute aggregate has to pass, 0.3 s here
            while len(metric.timeseries) < 2 or not all(series.data for series in metric.timeseries):
                await asyncio.sleep(0.02)
                metric = await _dip_availability(client)
    found = {next(iter(series.metadata_values.values())): series.data[-1].average for series in metric.timeseries}
    assert found == {"10.0.1.4": 100.0, "10.0.1.5": 0.0}
    assert metric.id.startswith(WANTED.load_balancer_id)


async def _dip_availability(client: Any) -> Any:
    (answer,) = await client.query_resources(
        resource_ids=[WANTED.load_balancer_id],
        metric_namespace="Microsoft.Network/loadBalancers",
        metric_names=["DipAvailability"],
        timespan=timedelta(minutes=5),
        granularity=timedelta(minutes=1),
        aggregations=["Average"],
        filter="BackendIPAddress eq '*'",
        max_results=50,
    )
    (metric,) = answer.metrics
    return metric


async def test_health_events_are_read_with_a_logs_query(sim: Simulator) -> None:
    up, down = probed(True, None), probed(False, None)
    sim.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": up, "10.0.1.5": down})
    sim.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": down})
    async with LogsQueryClient(
        Credential(), endpoint=sim.url, connection_verify=str(sim.ca_path), retry_total=0
    ) as client:
        answer = await client.query_workspace(
            "00000000-0000-0000-0000-000000000009",
            f"ALBHealthEvent | where LoadBalancerResourceId =~ '{WANTED.load_balancer_id.upper()}' "
            "| where TimeGenerated > ago(5m) | project TimeGenerated, HealthEventType, Severity",
            timespan=timedelta(minutes=5),
        )
        with pytest.raises(HttpResponseError, match="does not know 'join'"):
            await client.query_workspace("x", "ALBHealthEvent | join other on x", timespan=None)
    assert answer.status == LogsQueryStatus.SUCCESS
    (row,) = answer.tables[0].rows
    assert (row["HealthEventType"], row["Severity"]) == ("NoHealthyBackends", "Critical")
    assert abs(row["TimeGenerated"] - datetime.now(UTC)) < timedelta(seconds=60)


async def test_cloud_events_of_the_publisher_client_are_kept(sim: Simulator) -> None:
    async with EventGridPublisherClient(
        f"{sim.url}/topics/hopkeeper/api/events", Credential(), connection_verify=str(sim.ca_path), retry_total=0
    ) as client:
        await client.send([CloudEvent(source="/hopkeeper", type="Hopkeeper.Promoted", data={"member": "nva-b"})])
    (event,) = sim.event_grid.topics["hopkeeper"]
    assert (event["type"], event["data"]) == ("Hopkeeper.Promoted", {"member": "nva-b"})


async def test_the_managed_identity_credential_gets_a_token(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    # The credential reads where App Service's endpoint is from the environment, and nowhere else.
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{sim.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    async with ManagedIdentityCredential(connection_verify=str(sim.ca_path)) as credential:
        token = await credential.get_token("https://management.azure.com/.default")
    assert token.token.count(".") == 2
    assert token.expires_on > time.time() + 3600


def http(sim: Simulator) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=str(sim.ca_path))
    return aiohttp.ClientSession(sim.url, connector=aiohttp.TCPConnector(ssl=context))
