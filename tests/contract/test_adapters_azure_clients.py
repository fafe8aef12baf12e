"""What the Azure adapters share: imports that wait, clients that are made once and closed, credentials."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.exceptions import AzureError

from function_app.adapters.arm import client as shared
from function_app.adapters.arm.client import Azure, Cloud, ResourceId
from function_app.adapters.arm.learned_routes import LearnedRoutesOverArm
from function_app.adapters.arm.load_balancer import LoadBalancersOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.adapters.events.out import EventsOverEventGrid, EventsUnpublished
from function_app.adapters.monitor.logs import HealthLogsOverLogAnalytics, HealthLogsUnread
from function_app.adapters.monitor.metrics import MetricsOverMonitor, MetricsUnread
from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.domain.base.errors import BadInput, Unavailable
from function_app.reconcile.ports import EventsOut, HealthLogs, LoadBalancers, Metrics, PeerRoutes, RouteServers
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import POLL, SERVER, WANTED, Credential, azure_at
from tests.fakes import FakeClock

TREE = Path(__file__).resolve().parents[2]
OVER_SDKS = ("arm", "monitor", "events", "storage")
"""The packages of adapters that use an SDK. aiohttp is light, and needed at once."""
HEAVY = ("azure.mgmt", "azure.identity", "azure.monitor", "azure.eventgrid", "azure.storage")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=100)) as running:
        yield running


def test_importing_the_adapters_imports_no_sdk() -> None:
    files = [file for package in OVER_SDKS for file in (TREE / "function_app/adapters" / package).glob("*.py")]
    imports = "; ".join(f"import {'.'.join(file.relative_to(TREE).with_suffix('').parts)}" for file in files)
    tell = f"import sys; print([m for m in sys.modules if m.startswith({HEAVY!r})])"
    done = subprocess.run([sys.executable, "-c", f"{imports}; {tell}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


WARM = """
import asyncio, sys
from function_app.adapters.arm.client import Azure, Cloud
from function_app.adapters.arm.load_balancer import LoadBalancersOverArm

async def main():
    azure = Azure(Cloud(lambda: None))
    balancers = LoadBalancersOverArm(azure)
    balancers.warm()
    assert "azure.mgmt.network.aio" not in sys.modules
    balancers.warm()
    turns = 0
    while "azure.mgmt.network.aio" not in sys.modules:
        await asyncio.sleep(0.005)
        turns += 1
    await azure.close()
    print(turns > 3)

asyncio.run(main())
"""


def test_warming_imports_the_management_sdk_while_the_loop_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True", done.stderr


async def test_a_client_is_made_once_for_a_subscription_and_closed_with_the_credential(sim: Simulator) -> None:
    made: list[Credential] = []

    def factory() -> Credential:
        made.append(Credential())
        return made[-1]

    azure = Azure(Cloud(factory, sim.url, ca_file=str(sim.ca_path)))
    one, two, other = await asyncio.gather(azure.network("S"), azure.network("s"), azure.network("t"))
    assert one is two
    assert one is not other
    assert len(made) == 1
    await azure.close()
    assert made[0].closed == 1
    assert await azure.network("s") is not one
    await azure.close()
    assert [credential.closed for credential in made] == [1, 1]


async def test_requests_go_over_the_connections_of_earlier_ones_with_authorities_of_ones_own_too(
    tmp_path: Path,
) -> None:
    """azure-core reads a file of authorities anew for each request, and then finds no connection again."""
    authority, seen = trustme.CA(), set[int]()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        seen.add(request.transport.get_extra_info("peername")[1])
        return web.json_response({"value": []})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=context)
    try:
        azure = Azure(Cloud(Credential, str(server.make_url("")), ca_file=str(tmp_path / "ca.pem")))
        for subscription in ("s", "t", "s"):
            network = await azure.network(subscription)
            assert [hub async for hub in network.virtual_hubs.list()] == []
        await azure.close()
    finally:
        await server.close()
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("written", "why"), [(None, "No such file or directory"), ("no certificate", "holds no certificate")]
)
async def test_authorities_that_cannot_be_read_are_named(written: str | None, why: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if written is not None:
        file.write_text(written)
    azure = Azure(Cloud(Credential, "https://127.0.0.1:1", ca_file=str(file)))
    with pytest.raises(Unavailable, match=f"the authorities in {file} cannot be used: .*{why}"):
        await azure.network("s")
    await azure.close()


async def test_a_request_that_is_not_answered_ends_in_the_time_of_the_cloud() -> None:
    """Whatever transport its client has: azure-core's own waits for five minutes."""

    async def answers_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answers_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        azure = Azure(Cloud(Credential, f"http://127.0.0.1:{port}", timeout=timedelta(seconds=0.1)))
        network = await azure.network("s")
        with pytest.raises(AzureError, match=r"[Tt]imeout"):
            async with asyncio.timeout(20):
                await network.virtual_hubs.get("g", "rs", enforce_https=False)
        await azure.close()


async def test_a_credential_that_cannot_be_made_is_tried_again_next_time(sim: Simulator) -> None:
    tries: list[int] = []

    def factory() -> Credential:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        return Credential()

    azure = Azure(Cloud(factory, sim.url, ca_file=str(sim.ca_path)))
    with pytest.raises(ValueError, match="not yet"):
        await azure.network("s")
    assert await azure.network("s")
    await azure.close()


async def test_the_factories_make_credentials_of_azure_identity() -> None:
    managed, default = shared.managed_identity("client")(), shared.default_credential()()
    assert type(managed).__name__ == "ManagedIdentityCredential"
    assert type(default).__name__ == "DefaultAzureCredential"
    await managed.close()
    await default.close()


async def test_every_adapter_is_its_port(sim: Simulator) -> None:
    async with azure_at(sim.url, sim.ca_path) as azure:
        balancers: LoadBalancers = LoadBalancersOverArm(azure, POLL)
        servers: RouteServers = RouteServersOverArm(azure)
        routes: PeerRoutes = LearnedRoutesOverArm(azure)
        metrics: tuple[Metrics, ...] = (MetricsOverMonitor(azure, sim.url, FakeClock()), MetricsUnread())
        logs: tuple[HealthLogs, ...] = (HealthLogsOverLogAnalytics(azure, "w", sim.url), HealthLogsUnread())
        events: tuple[EventsOut, ...] = (EventsOverEventGrid(azure, sim.url), EventsUnpublished())
        assert (await servers.read(SERVER)).instances == (IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5"))
        assert all((balancers, routes, *metrics, *logs, *events))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb/",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualHubs/lb",
        "https://host/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb",
    ],
)
def test_what_is_no_id_of_the_kind_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not the id of a Microsoft.Network/loadBalancers"):
        ResourceId.parse(text, "Microsoft.Network/loadBalancers")


def test_an_id_is_read_without_case() -> None:
    text = "/SUBSCRIPTIONS/s/resourcegroups/G/Providers/microsoft.network/LoadBalancers/lb"
    assert ResourceId.parse(text, "Microsoft.Network/loadBalancers") == ResourceId("s", "G", "lb")


def test_a_client_follows_no_redirect_reads_no_proxy_and_never_retries() -> None:
    options = Cloud(Credential, timeout=timedelta(seconds=8)).options
    assert (options["permit_redirects"], options["use_env_settings"], options["retry_total"]) == (False, False, 0)
    assert (options["connection_timeout"], options["read_timeout"]) == (8, 8)


@asynccontextmanager
async def noting(body: dict[str, Any], status: int = 200) -> AsyncIterator[tuple[str, list[web.BaseRequest]]]:
    """A server on loopback that answers everything alike, and keeps what came."""
    came: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        came.append(request)
        return web.json_response(body, status=status)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", came
    finally:
        await runner.cleanup()


async def test_no_proxy_of_the_environment_is_shown_what_opens_storage_or_the_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = {"access_token": "t", "expires_on": "4000000000", "resource": "r", "token_type": "Bearer"}
    async with noting(token) as (platform, shown), noting({}, 404) as (storage, read), noting({}, 502) as (proxy, seen):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{platform}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        identity = shared.managed_identity(None)()
        async with identity:
            assert (await identity.get_token("https://management.azure.com/.default")).token == "t"
        documents = DocumentsInBlobs.from_connection_string(
            f"AccountName=a;AccountKey=a2V5;BlobEndpoint={storage}/a", "c"
        )
        with pytest.raises(Unavailable):
            await documents.load("topologies/hub.yaml")
        await documents.close()
    assert [request.headers["X-IDENTITY-HEADER"] for request in shown] == ["secret"]
    assert (read != [], seen) == (True, [])
