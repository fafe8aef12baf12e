"""Learned routes, requested in one pass and fetched in another, through the real management SDK."""

import base64
import json
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.learned_routes import LearnedRoutesOverArm
from function_app.domain.base.errors import BadInput, Unavailable
from function_app.domain.routes.reading import LearnedRoute
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import SERVER, WANTED, azure_at, fake_arm, operations_over, refusal, until

NAME = "hopkeeper-hub_nva-a"
NVA = IPv4Address("10.0.1.4")
FIRST, SECOND = IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5")
DEFAULT = IPv4Network("0.0.0.0/0")
FRONTEND = IPv4Address("10.0.1.100")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """One peering, and learned routes that take a quarter of a second."""
    seed = hub_seed(WANTED)
    facts = {"peerIp": str(NVA), "peerAsn": 65001}
    seed["resources"].append({"id": f"{SERVER.id}/bgpConnections/{NAME}", "properties": facts})
    async with Simulator(SimulatorConfig(seed, time_factor=40)) as running:
        yield running


def announce(sim: Simulator, *instances: IPv4Address) -> None:
    for instance in instances:
        sim.world.bgp.up(instance, NVA)
        sim.world.bgp.announced((instance, NVA), [DEFAULT], FRONTEND, (65001, 65001))


def learned(instance: IPv4Address) -> LearnedRoute:
    return LearnedRoute(instance, DEFAULT, FRONTEND, (65001, 65001), NVA)


async def test_requested_in_one_pass_and_fetched_in_another_by_another_client(sim: Simulator, azure: Azure) -> None:
    announce(sim, FIRST, SECOND)
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    async with azure_at(sim.url, sim.ca_path) as another:
        assert await LearnedRoutesOverArm(another).fetch(token) is None
        await until(lambda: operations_over(sim))
        routes = await LearnedRoutesOverArm(another).fetch(token)
    assert routes is not None
    assert sorted(routes, key=lambda r: r.instance) == [learned(FIRST), learned(SECOND)]


async def test_a_fetch_looks_once(sim: Simulator, azure: Azure) -> None:
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    before = len(sim.requests)
    assert await LearnedRoutesOverArm(azure).fetch(token) is None
    assert [(r.method, r.status) for r in list(sim.requests)[before:]] == [("GET", 202)]


@pytest.mark.parametrize("null", [False, True])
async def test_an_instance_without_routes_is_an_empty_list_or_null(sim: Simulator, azure: Azure, null: bool) -> None:
    sim.world.set_faults({"null_routes": null})
    announce(sim, SECOND)
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    await until(lambda: operations_over(sim))
    assert await LearnedRoutesOverArm(azure).fetch(token) == (learned(SECOND),)


async def test_no_routes_at_all_are_none_of_them_and_not_unknown(sim: Simulator, azure: Azure) -> None:
    sim.world.set_faults({"null_routes": True})
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    await until(lambda: operations_over(sim))
    assert await LearnedRoutesOverArm(azure).fetch(token) == ()


async def test_the_instance_is_known_by_local_address_whatever_the_role_is_called(tmp_path: Path) -> None:
    """Azure has been seen to answer either address in either role."""
    row = {"localAddress": "10.0.0.5", "network": "0.0.0.0/0", "nextHop": "10.0.1.100", "sourcePeer": "10.0.1.4"}
    body = {"RouteServiceRole_IN_0": [row | {"asPath": "65001-65001"}], "RouteServiceRole_IN_1": None}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with fake_arm(answer, tmp_path) as azure:
        routes = LearnedRoutesOverArm(azure)
        assert await routes.fetch(await routes.ask(SERVER, NAME)) == (learned(SECOND),)


async def test_an_operation_that_arm_has_forgotten_is_to_be_requested_again(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            where = str(request.url.with_path("/subscriptions/s/operationResults/1"))
            return web.json_response(None, status=202, headers={"Location": where})
        return refusal(404, "OperationNotFound")

    async with fake_arm(answer, tmp_path) as azure:
        routes = LearnedRoutesOverArm(azure)
        token = await routes.ask(SERVER, NAME)
        with pytest.raises(BadInput, match="ARM does not know the operation any more"):
            await routes.fetch(token)


async def test_a_fetch_that_is_throttled_keeps_the_token(sim: Simulator, azure: Azure) -> None:
    announce(sim, FIRST, SECOND)
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    await until(lambda: operations_over(sim))
    sim.world.set_faults({"arm": "throttle"})
    with pytest.raises(Unavailable, match="429"):
        await LearnedRoutesOverArm(azure).fetch(token)
    sim.world.set_faults({"arm": "ok"})
    routes = await LearnedRoutesOverArm(azure).fetch(token)
    assert routes is not None
    assert len(routes) == 2


def forged(token: str, old: str, new: str) -> str:
    """The token with every `old` in the SDK's part replaced by `new`, as an attacker who can write to storage might."""
    held = json.loads(base64.urlsafe_b64decode(token))
    text = base64.b64decode(held["sdk"]).decode()
    assert old in text
    held["sdk"] = base64.b64encode(text.replace(old, new).encode()).decode()
    return encoded(held)


def encoded(held: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(held).encode()).decode()


@pytest.mark.parametrize(
    "host",
    ["https://evil.example", "http://{ours}", "https://{ours}@evil.example", "https://{ours}.evil.example", "//evil"],
)
async def test_a_forged_token_with_a_foreign_host_is_refused_and_no_request_is_sent(
    sim: Simulator, azure: Azure, host: str
) -> None:
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    before = len(sim.requests)
    foreign = host.replace("{ours}", sim.url.removeprefix("https://"))
    with pytest.raises(BadInput, match="its URL"):
        await LearnedRoutesOverArm(azure).fetch(forged(token, sim.url, foreign))
    with pytest.raises(BadInput, match="its URL"):
        await LearnedRoutesOverArm(azure).fetch(forged(token, f'"Location":"{sim.url}', f'"Location":"{foreign}'))
    assert len(sim.requests) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Location":', '"X":'),
        ('"status_code":202', '"status_code":"many"'),
    ],
)
async def test_a_token_that_the_sdk_cannot_take_up_is_bad_input(
    sim: Simulator, azure: Azure, old: str, new: str
) -> None:
    token = await LearnedRoutesOverArm(azure).ask(SERVER, NAME)
    with pytest.raises(BadInput, match="token: the SDK cannot take it up again"):
        await LearnedRoutesOverArm(azure).fetch(forged(token, old, new))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "%%%",
        "bm90IGpzb24=",
        encoded([]),
        encoded({"server": SERVER.id, "peering": NAME}),
        encoded({"server": SERVER.id, "peering": NAME, "sdk": "bm90IGpzb24=", "done": True}),
        encoded({"server": SERVER.id, "peering": NAME, "sdk": "eyJkYXRhIjp7fX0=", "done": False}),
        encoded({"server": "/subscriptions/x", "peering": NAME, "sdk": "", "done": False}),
        "A" * (1 << 21),
    ],
)
async def test_a_broken_token_is_bad_input(azure: Azure, token: str) -> None:
    with pytest.raises(BadInput):
        await LearnedRoutesOverArm(azure).fetch(token)
