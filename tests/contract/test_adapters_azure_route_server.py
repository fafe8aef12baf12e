"""Route Servers through the real management SDK, over HTTPS, against the simulator."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.domain.base.errors import BadInput, Superseded, Unavailable
from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, Provisioning
from function_app.domain.topology.model import RouteServer
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import SERVER, WANTED, azure_at, fake_arm, operations_over, refusal, until

NAME = "hopkeeper-hub_nva-a"
CREATE = CreatePeering("rs-hub", NAME, IPv4Address("10.0.1.4"), 65001, "nva-a is not peered")
DELETE = DeletePeering("rs-hub", NAME, "no speaker of the topology is behind it")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=100)) as running:
        yield running


async def test_a_read_gives_instances_and_provisioning(azure: Azure) -> None:
    reading = await RouteServersOverArm(azure).read(SERVER)
    assert reading.instances == (IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5"))
    assert reading.peerings == ()
    assert reading.provisioned


async def test_create_returns_at_once_and_the_list_shows_updating_then_succeeded(sim: Simulator, azure: Azure) -> None:
    servers = RouteServersOverArm(azure)
    await servers.read(SERVER)
    began = time.monotonic()
    await servers.create(SERVER, CREATE)
    assert time.monotonic() - began < 0.5  # the operation takes 0.8 s here
    [peering] = (await servers.read(SERVER)).peerings
    assert peering == Peering(NAME, IPv4Address("10.0.1.4"), 65001, Provisioning.UPDATING, peering.connection_state)
    await until(lambda: operations_over(sim))
    [peering] = (await servers.read(SERVER)).peerings
    assert peering.state is Provisioning.SUCCEEDED


async def test_a_second_write_while_one_is_in_flight_is_unavailable(sim: Simulator, azure: Azure) -> None:
    servers = RouteServersOverArm(azure)
    await servers.create(SERVER, CREATE)
    other = CreatePeering("rs-hub", "hopkeeper-hub_nva-b", IPv4Address("10.0.1.5"), 65001, "nva-b is not peered")
    with pytest.raises(Unavailable, match="AnotherOperationInProgress"):
        await servers.create(SERVER, other)
    sim.world.set_faults({"busy": "throttle"})
    with pytest.raises(Unavailable, match="RetryableErrorDueToAnotherOperation"):
        await servers.create(SERVER, other)


async def test_delete_is_begun_and_one_that_is_gone_is_deleted(sim: Simulator, azure: Azure) -> None:
    servers = RouteServersOverArm(azure)
    await servers.delete(SERVER, DELETE)
    await servers.create(SERVER, CREATE)
    await until(lambda: operations_over(sim))
    await servers.delete(SERVER, DELETE)
    assert [p.state for p in (await servers.read(SERVER)).peerings] == [Provisioning.DELETING]
    await until(lambda: operations_over(sim))
    assert (await servers.read(SERVER)).peerings == ()


async def test_a_throttled_read_names_the_wait_that_arm_requested(sim: Simulator, azure: Azure) -> None:
    sim.world.set_faults({"arm": "throttle", "arm_retry_after": 17})
    with pytest.raises(Unavailable, match="429 TooManyRequests") as caught:
        await RouteServersOverArm(azure).read(SERVER)
    assert caught.value.retry_after == timedelta(seconds=17)


async def test_an_arm_that_refuses_is_unavailable(sim: Simulator, azure: Azure) -> None:
    sim.world.set_faults({"arm": "refuse"})
    with pytest.raises(Unavailable, match="503 ServiceUnavailable"):
        await RouteServersOverArm(azure).read(SERVER)


async def test_an_arm_that_hangs_is_unavailable_within_the_timeout(sim: Simulator) -> None:
    async with azure_at(sim.url, sim.ca_path) as warm:
        await RouteServersOverArm(warm).read(SERVER)
    sim.world.set_faults({"arm": "hang"})
    async with azure_at(sim.url, sim.ca_path, timeout=0.5) as azure:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await RouteServersOverArm(azure).read(SERVER)
        assert time.monotonic() - began < 3


async def test_an_arm_that_is_not_there_is_unavailable(sim: Simulator) -> None:
    async with azure_at("https://127.0.0.1:9", sim.ca_path) as azure:
        with pytest.raises(Unavailable, match="reading Route Server rs-hub"):
            await RouteServersOverArm(azure).read(SERVER)


async def test_a_certificate_of_another_authority_is_unavailable(sim: Simulator) -> None:
    async with azure_at(sim.url, None) as azure:
        with pytest.raises(Unavailable, match="reading Route Server rs-hub"):
            await RouteServersOverArm(azure).read(SERVER)


async def test_a_route_server_that_is_not_there_is_named_and_not_read_again_soon(azure: Azure) -> None:
    gone = RouteServer(name="rs-gone", id=f"{WANTED.network_scope}/virtualHubs/rs-gone")
    with pytest.raises(Unavailable, match="rs-gone: 404 ResourceNotFound") as caught:
        await RouteServersOverArm(azure).read(gone)
    assert caught.value.retry_after >= timedelta(seconds=60)


async def test_an_id_of_another_kind_is_bad_input(azure: Azure) -> None:
    with pytest.raises(BadInput, match=r"is not the id of a Microsoft.Network/virtualHubs"):
        await RouteServersOverArm(azure).read(RouteServer(name="rs", id=WANTED.load_balancer_id))


async def test_every_page_of_peerings_is_read(tmp_path: Path) -> None:
    """And what ARM leaves out, or calls by a state that a plan has no word for, still counts for the eight."""

    def item(name: str, **facts: object) -> dict[str, object]:
        return {"name": name, "id": f"{SERVER.id}/bgpConnections/{name}", "properties": facts}

    async def answer(request: web.Request) -> web.Response:
        if not request.path.endswith("/bgpConnections"):
            return web.json_response({"name": "rs-hub", "properties": {"provisioningState": "Updating"}})
        if "page" in request.query:
            late = item("second", peerIp="10.0.1.5", peerAsn=65002, provisioningState="Canceled")
            return web.json_response({"value": [late, item("third", provisioningState="Pondering")]})
        first = item("first", peerIp="10.0.1.4", peerAsn=65001, provisioningState="Creating")
        return web.json_response({"value": [first], "nextLink": f"{request.url}&page=2"})

    async with fake_arm(answer, tmp_path) as azure:
        reading = await RouteServersOverArm(azure).read(SERVER)
    assert reading.peerings == (
        Peering("first", IPv4Address("10.0.1.4"), 65001, Provisioning.UPDATING),
        Peering("second", IPv4Address("10.0.1.5"), 65002, Provisioning.FAILED),
        Peering("third", None, None, Provisioning.UPDATING),
    )
    assert reading.instances == ()
    assert not reading.provisioned


@pytest.mark.parametrize(
    ("status", "code", "error", "seconds"),
    [
        (409, "AnotherOperationInProgress", Unavailable, 5),
        (409, "HubBgpConnectionParentHubMustHaveProvisionedRoutingState", Unavailable, 5),
        (409, "CanceledAndSupersededDueToAnotherOperation", Superseded, 5),
        (409, "SomethingElse", Superseded, 5),
        (412, "PreconditionFailed", Superseded, 5),
        (429, "RetryableErrorDueToAnotherOperation", Unavailable, 5),
        (500, "InternalServerError", Unavailable, 5),
        (400, "InvalidRequest", Unavailable, 60),
        (403, "AuthorizationFailed", Unavailable, 60),
    ],
)
async def test_a_refused_write_is_reported_by_status_and_code(
    tmp_path: Path, status: int, code: str, error: type[Unavailable | Superseded], seconds: int
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return refusal(status, code)

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(error, match=f"{status} {code}: this is {code}") as caught:
            await RouteServersOverArm(azure).create(SERVER, CREATE)
    assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("header", "value", "least", "most"),
    [
        ("Retry_After", "120", 120, 120),
        ("Retry_After", "Fri, 31 Dec 2999 23:59:59 GMT", 3600, 3600),
        ("Retry_After", "Sat, 01 Jan 2000 00:00:00 GMT", 5, 5),
        ("Retry_After", "soon", 5, 5),
        ("x_ms_retry_after_ms", "1500", 1.5, 1.5),
        ("Retry_After", "99999999999", 3600, 3600),
    ],
)
async def test_every_form_of_retry_after_is_understood_and_bounded(
    tmp_path: Path, header: str, value: str, least: float, most: float
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return refusal(429, "TooManyRequests", **{header: value})

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Unavailable) as caught:
            await RouteServersOverArm(azure).create(SERVER, CREATE)
    assert timedelta(seconds=least) <= caught.value.retry_after <= timedelta(seconds=most)


@pytest.mark.parametrize("row", [{}, {"properties": {"peerIp": "10.0.1.4"}}], ids=str)
async def test_a_list_with_a_peering_that_cannot_be_named_is_no_list(tmp_path: Path, row: Any) -> None:
    """Every one counts for the eight: to act on the others would be to act on a guess."""

    async def answer(request: web.Request) -> web.Response:
        listed = request.path.endswith("/bgpConnections")
        return web.json_response({"value": [row]} if listed else {"name": "rs-hub", "id": SERVER.id})

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="a peering has neither name nor id"):
            await RouteServersOverArm(azure).read(SERVER)


@pytest.mark.parametrize(("asn", "read"), [(65001, 65001), ("65001", 65001), (None, None), ("", None)])
async def test_an_asn_that_is_not_in_the_answer_is_unknown(tmp_path: Path, asn: Any, read: int | None) -> None:
    async def answer(request: web.Request) -> web.Response:
        row = {"id": f"{SERVER.id}/bgpConnections/a", "properties": {"peerAsn": asn, "peerIp": "10.0.1.4"}}
        return web.json_response({"value": [row]} if request.path.endswith("/bgpConnections") else {"name": "rs-hub"})

    async with fake_arm(answer, tmp_path) as azure:
        (peering,) = (await RouteServersOverArm(azure).read(SERVER)).peerings
    assert (peering.name, peering.asn) == ("a", read)
