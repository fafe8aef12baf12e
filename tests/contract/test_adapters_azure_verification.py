"""Advertised and effective routes, and flags of networks, through the real management SDK, against the simulator."""

import json
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.effective_routes import EffectiveRoutesOverArm
from function_app.adapters.arm.learned_routes import AdvertisedRoutesOverArm, LearnedRoutesOverArm
from function_app.adapters.arm.network_flags import NetworkFlagsOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.domain.base.errors import BadInput, Superseded, Unavailable, Unusable
from function_app.domain.networks.flags import Flag, NetworkPeeringReading, RepairFlags
from function_app.domain.routes.effective import EffectiveRoute
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import NetworkPeering, RouteServer
from function_app.reconcile.ports import EffectiveRoutes, NetworkFlags, PeerRoutes
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import SERVER, WANTED, fake_arm, operations_over, refusal, until

FIXTURES = Path(__file__).parents[1] / "fixtures"

NAME = "hopkeeper-hub_nva-a"
NVA, OTHER = IPv4Address("10.0.1.4"), IPv4Address("10.0.1.5")
FIRST, SECOND = IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5")
DEFAULT = IPv4Network("0.0.0.0/0")
NIC = f"{WANTED.network_scope}/networkInterfaces/nva-a-nic"
PEERING = NetworkPeering(
    name="spoke-to-hub",
    id=f"{WANTED.network_scope}/virtualNetworks/vnet-spoke/virtualNetworkPeerings/to-hub",
    use_remote_gateways=False,
    owned=True,
)
TABLE = [
    {
        "source": "VirtualNetworkGateway",
        "state": "Active",
        "addressPrefix": ["0.0.0.0/0", "::/0"],
        "nextHopType": "VirtualNetworkGateway",
        "nextHopIpAddress": ["10.0.1.100"],
    },
    {"source": "Default", "state": "Invalid", "addressPrefix": ["0.0.0.0/0"], "nextHopType": "Internet"},
]


@pytest.fixture
async def sim(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    seed = hub_seed(WANTED)
    for name, address in ((NAME, NVA), ("hopkeeper-hub_nva-b", OTHER)):
        facts: dict[str, Any] = {"peerIp": str(address), "peerAsn": 65001}
        seed["resources"].append({"id": f"{SERVER.id}/bgpConnections/{name}", "properties": facts})
    facts = {
        "remoteVirtualNetwork": {"id": f"{WANTED.network_scope}/virtualNetworks/vnet-hub"},
        "allowVirtualNetworkAccess": True,
        "allowForwardedTraffic": True,
        "useRemoteGateways": True,
        "remoteAddressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
    }
    seed["resources"].append({"id": PEERING.id, "properties": facts})
    seed["effectiveRoutes"] = {NIC: TABLE}
    async with Simulator(SimulatorConfig(seed, time_factor=getattr(request, "param", 100))) as running:
        yield running


async def test_each_adapter_is_its_port(azure: Azure) -> None:
    advertised: PeerRoutes = AdvertisedRoutesOverArm(azure)
    effective: EffectiveRoutes = EffectiveRoutesOverArm(azure)
    flags: NetworkFlags = NetworkFlagsOverArm(azure)
    with pytest.raises(BadInput):
        await advertised.fetch("")
    with pytest.raises(BadInput):
        await effective.fetch("")
    assert (await flags.read(PEERING)).settled


# --- advertised routes -----------------------------------------------------------------------------------------------


async def test_advertised_routes_are_those_of_the_other_peer_with_the_route_servers_asn_before(
    sim: Simulator, azure: Azure
) -> None:
    for instance in (FIRST, SECOND):
        for peer in (NVA, OTHER):
            sim.world.bgp.up(instance, peer)
        sim.world.bgp.announced((instance, OTHER), [DEFAULT], IPv4Address("10.0.1.100"), (65001,))
    token = await AdvertisedRoutesOverArm(azure).ask(SERVER, NAME)
    assert await AdvertisedRoutesOverArm(azure).fetch(token) is None
    await until(lambda: operations_over(sim))
    routes = await AdvertisedRoutesOverArm(azure).fetch(token)
    assert routes is not None
    assert sorted(routes, key=str) == sorted(
        (
            LearnedRoute(instance, network, instance, path)
            for instance in (FIRST, SECOND)
            for network, path in ((IPv4Network("10.0.0.0/16"), (65515,)), (DEFAULT, (65515, 65001)))
        ),
        key=str,
    )


def recorded(action: str) -> Any:
    """What ARM answered to an action in the end, in the recording of 2021."""
    exchanges = json.loads((FIXTURES / "recordings" / "route-server-peer.json").read_text())
    at = next(i for i, e in enumerate(exchanges) if e["method"] == "POST" and f"/{action}?" in e["uri"])
    return next(e["body"] for e in exchanges[at + 1 :] if e["method"] == "GET" and e["status"] == 200)


@pytest.mark.parametrize("adapter", [AdvertisedRoutesOverArm, LearnedRoutesOverArm])
async def test_the_recorded_answer_is_read(adapter: Callable[[Azure], PeerRoutes], tmp_path: Path) -> None:
    action = "advertisedRoutes" if adapter is AdvertisedRoutesOverArm else "learnedRoutes"
    body = recorded(action)
    polls: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            assert request.path.endswith(f"/{action}")
            where = str(request.url.with_path("/subscriptions/s/operationResults/1"))
            return web.json_response(None, status=202, headers={"Location": where})
        polls.append(request.path)
        return web.json_response(body)

    async with fake_arm(answer, tmp_path) as azure:
        routes = adapter(azure)
        found = await routes.fetch(await routes.ask(SERVER, NAME))
    rows = [row for role in body.values() for row in role or ()]
    assert found is not None
    assert [str(r.network) for r in found] == [row["network"] for row in rows]
    assert polls


# --- effective routes ------------------------------------------------------------------------------------------------


async def test_effective_routes_are_one_for_each_prefix(sim: Simulator, azure: Azure) -> None:
    token = await EffectiveRoutesOverArm(azure).ask(NIC)
    assert await EffectiveRoutesOverArm(azure).fetch(token) is None
    await until(lambda: operations_over(sim))
    assert await EffectiveRoutesOverArm(azure).fetch(token) == (
        EffectiveRoute(DEFAULT, "VirtualNetworkGateway", "VirtualNetworkGateway", (IPv4Address("10.0.1.100"),)),
        EffectiveRoute(DEFAULT, "Default", "Internet", (), active=False),
    )


async def test_an_interface_that_is_not_there_or_is_none_says_so(azure: Azure) -> None:
    with pytest.raises(Unavailable, match="404"):
        await EffectiveRoutesOverArm(azure).ask(f"{NIC}-2")
    with pytest.raises(BadInput, match="is not the id of a Microsoft"):
        await EffectiveRoutesOverArm(azure).ask(WANTED.load_balancer_id)


async def test_a_table_of_which_nothing_can_be_read_is_of_no_use(tmp_path: Path) -> None:
    body: dict[str, Any] = {"value": [{"addressPrefix": ["nowhere"]}]}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with fake_arm(answer, tmp_path) as azure:
        effective = EffectiveRoutesOverArm(azure)
        with pytest.raises(Unusable, match="not one of 1 rows can be read, the first: 'nowhere' does not appear"):
            await effective.fetch(await effective.ask(NIC))


@pytest.mark.parametrize("source", ["recorded", "published"])
async def test_recorded_and_published_tables_are_read(source: str, tmp_path: Path) -> None:
    if source == "published":
        spec = json.loads((FIXTURES / "spec-examples" / "NetworkInterfaceEffectiveRouteTableList.json").read_text())
        body = spec["responses"]["200"]["body"]
    else:
        name = "NetworkInterfaceTest.test_find_by_default_routes.json"
        body = json.loads((FIXTURES / "recordings" / name).read_text())[-1]["body"]

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with fake_arm(answer, tmp_path) as azure:
        effective = EffectiveRoutesOverArm(azure)
        routes = await effective.fetch(await effective.ask(NIC))
    assert routes is not None
    assert [str(r.network) for r in routes] == [p for row in body["value"] for p in row["addressPrefix"]]
    assert {r.source for r in routes} == {"Default"}


# --- network peerings and Route Server flags -------------------------------------------------------------------------


async def test_a_network_peering_is_read_with_its_flags(azure: Azure) -> None:
    assert await NetworkFlagsOverArm(azure).read(PEERING) == NetworkPeeringReading(
        flags={
            Flag.USE_REMOTE_GATEWAYS: True,
            Flag.ALLOW_GATEWAY_TRANSIT: False,
            Flag.ALLOW_FORWARDED_TRAFFIC: True,
        },
        state="Connected",
        settled=True,
    )


async def test_a_repair_changes_its_flags_and_nothing_else(sim: Simulator, azure: Azure) -> None:
    before = dict(sim.world.state.resources.get(PEERING.id)["properties"])  # type: ignore[index]
    flags = NetworkFlagsOverArm(azure)
    await flags.repair(RepairFlags(PEERING, ((Flag.USE_REMOTE_GATEWAYS, False),), "it is true"))
    assert not (await flags.read(PEERING)).settled
    await until(lambda: operations_over(sim))
    after = await flags.read(PEERING)
    assert (after.settled, after.flags[Flag.USE_REMOTE_GATEWAYS]) == (True, False)
    now = sim.world.state.resources.get(PEERING.id)["properties"]  # type: ignore[index]
    assert now == before | {"useRemoteGateways": False, "allowGatewayTransit": False}


async def test_a_repair_of_a_route_server_leaves_its_instances_and_peerings(sim: Simulator, azure: Azure) -> None:
    servers = RouteServersOverArm(azure)
    before = await servers.read(SERVER)
    assert (before.branch_to_branch, before.routing_preference) == (False, "ExpressRoute")
    step = RepairFlags(SERVER, ((Flag.BRANCH_TO_BRANCH, True), (Flag.ROUTING_PREFERENCE, "ASPath")), "both differ")
    await NetworkFlagsOverArm(azure).repair(step)
    assert not (await servers.read(SERVER)).provisioned
    await until(lambda: operations_over(sim))
    after = await servers.read(SERVER)
    assert (after.branch_to_branch, after.routing_preference, after.provisioned) == (True, "ASPath", True)
    assert (after.instances, after.peerings) == (before.instances, before.peerings)


@pytest.mark.parametrize("sim", [1], indirect=True)
async def test_a_route_server_that_is_being_written_is_unavailable(sim: Simulator, azure: Azure) -> None:
    """Time goes no faster than real: the first write must be under way when the second one comes, on a busy machine too."""
    step = RepairFlags(SERVER, ((Flag.BRANCH_TO_BRANCH, True),), "it is false")
    flags = NetworkFlagsOverArm(azure)
    await flags.repair(step)
    with pytest.raises(Unavailable, match="AnotherOperationInProgress"):
        await flags.repair(step)


@pytest.mark.parametrize("target", [PEERING, SERVER], ids=["peering", "server"])
async def test_a_change_of_another_writer_in_between_is_not_undone(
    target: NetworkPeering | RouteServer, tmp_path: Path
) -> None:
    written: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"id": target.id, "etag": 'W/"1"', "properties": {"sku": "Standard"}})
        written.append(request.headers.get("If-Match"))
        return refusal(412, "PreconditionFailed")

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Superseded):
            await NetworkFlagsOverArm(azure).repair(RepairFlags(target, ((Flag.BRANCH_TO_BRANCH, True),), "why"))
    assert written == ['W/"1"']


@pytest.mark.parametrize(
    "text",
    [
        f"{WANTED.network_scope}/virtualNetworks/vnet-spoke",
        f"{WANTED.network_scope}/virtualNetworks/vnet-spoke/virtualNetworkPeerings/",
        f"{WANTED.network_scope}/virtualNetworks/vnet-spoke/virtualNetworkPeerings/a/b",
        f"{WANTED.network_scope}/loadBalancers/x/virtualNetworkPeerings/a",
    ],
)
async def test_what_is_no_network_peering_is_bad_input(azure: Azure, text: str) -> None:
    with pytest.raises(BadInput, match="is not the id of a"):
        await NetworkFlagsOverArm(azure).read(NetworkPeering(name="x", id=text))
