"""What preflight reads of ARM, through the real management SDK: the simulator's documents, and an ARM that refuses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.surroundings import SurroundingsOverArm
from function_app.domain.base.errors import BadInput, Missing, Unavailable
from function_app.domain.preflight.facts import AppSubnetFacts, Denied, InterfaceFacts, RouteFacts
from function_app.domain.service.balancer import AddressFacts, BalancerFacts, PoolFacts, ProbeFacts, RuleFacts
from function_app.domain.topology.model import Speaker
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import SERVER, WANTED, azure_at, fake_arm, refusal, service

SCOPE = WANTED.network_scope
NIC = f"{SCOPE}/networkInterfaces/nva-a-nic"
VNET, TABLE = f"{SCOPE}/virtualNetworks/hub", f"{SCOPE}/routeTables/nvas"
NVA = Speaker(name="nva-a", address=IPv4Address("10.0.1.4"), asn=65001, peers_with=("rs-hub",), interface=NIC)


def seed(**table: Any) -> dict[str, Any]:
    """The hub, with the network that its interfaces are in."""
    found = hub_seed(WANTED)
    for resource in found["resources"]:
        if resource["id"] == NIC:
            resource["properties"]["ipConfigurations"][0]["properties"]["subnet"] = {"id": f"{VNET}/subnets/NVAS"}
    gateway = {"id": f"{SCOPE}/natGateways/ng"}
    facts = {"addressPrefix": "10.0.1.0/24", "routeTable": {"id": TABLE}, "natGateway": gateway}
    subnet = {"name": "nvas", "properties": facts}
    found["resources"] += [
        {
            "id": VNET,
            "name": "hub",
            "type": "Microsoft.Network/virtualNetworks",
            "location": "uksouth",
            "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16", "fd00::/48"]}, "subnets": [subnet]},
        },
        {
            "id": TABLE,
            "name": "nvas",
            "type": "Microsoft.Network/routeTables",
            "location": "uksouth",
            "properties": table,
        },
    ]
    return found


@pytest.fixture
async def azure() -> AsyncIterator[Azure]:
    route = {"name": "internet", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "Internet"}}
    to = {"addressPrefix": "10.0.0.0/8", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.0.1.100"}
    appliance = {"name": "out", "properties": to}
    tag = {"name": "tag", "properties": {"addressPrefix": "Storage.UKSouth", "nextHopType": "Internet"}}
    async with (
        Simulator(SimulatorConfig(seed(routes=[route, appliance, tag]), time_factor=100)) as sim,
        azure_at(sim.url, sim.ca_path) as clients,
    ):
        yield clients


async def test_a_route_server_is_somewhere(azure: Azure) -> None:
    assert await SurroundingsOverArm(azure).location(SERVER) == "uksouth"


async def test_a_load_balancer_is_read_as_it_is_configured(azure: Azure) -> None:
    interfaces = [
        f"{SCOPE}/networkInterfaces/{n}-nic/ipConfigurations/ipconfig1".casefold() for n in ("nva-a", "nva-b")
    ]
    assert await SurroundingsOverArm(azure).balancer(service()) == BalancerFacts(
        location="uksouth",
        frontends=(IPv4Address("10.0.1.100"),),
        rules=(
            RuleFacts(
                name="all-ports",
                protocol="All",
                frontend="fe",
                frontend_port=0,
                backend_port=0,
                pools=("nvas",),
                probe="agent",
            ),
        ),
        probes=(ProbeFacts(name="agent", protocol="Http", port=8080, path="/probe", interval_seconds=5, threshold=2),),
        pools=(
            PoolFacts(
                name="nvas",
                addresses=(
                    AddressFacts(name="nva-a", ip=IPv4Address("10.0.1.4"), interface=interfaces[0]),
                    AddressFacts(name="nva-b", ip=IPv4Address("10.0.1.5"), interface=interfaces[1]),
                ),
            ),
        ),
    )


async def test_an_interface_is_read_with_its_network_and_its_subnet_s_routes(azure: Azure) -> None:
    assert await SurroundingsOverArm(azure).interface(NVA) == InterfaceFacts(
        forwards=True, network=(IPv4Network("10.0.0.0/16"),), default_route=True, propagates=True
    )


async def test_a_table_without_the_default_route_or_with_propagation_off_is_reported() -> None:
    async with (
        Simulator(SimulatorConfig(seed(disableBgpRoutePropagation=True), time_factor=100)) as sim,
        azure_at(sim.url, sim.ca_path) as azure,
    ):
        found = await SurroundingsOverArm(azure).interface(NVA)
    assert isinstance(found, InterfaceFacts)
    assert (found.default_route, found.propagates) == (False, False)


async def test_what_is_not_there_is_missing_and_what_names_nothing_is_refused(azure: Azure) -> None:
    surroundings = SurroundingsOverArm(azure)
    with pytest.raises(Missing, match="404"):
        await surroundings.interface(Speaker(name="x", address=NVA.address, asn=1, peers_with=(), interface=f"{NIC}-x"))
    with pytest.raises(BadInput, match="names none"):
        await surroundings.interface(Speaker(name="x", address=NVA.address, asn=1, peers_with=()))


async def test_the_app_s_own_subnet_is_read_with_its_route_table(azure: Azure) -> None:
    surroundings = SurroundingsOverArm(azure, f"{VNET}/subnets/NVAS")
    assert await surroundings.app_subnet() == AppSubnetFacts(
        id=f"{VNET}/subnets/NVAS",
        table=TABLE,
        routes=(
            RouteFacts(name="internet", to="0.0.0.0/0", next_hop="Internet"),
            RouteFacts(name="out", to="10.0.0.0/8", next_hop="VirtualAppliance", address=IPv4Address("10.0.1.100")),
            RouteFacts(name="tag", to="Storage.UKSouth", next_hop="Internet"),
        ),
        nat_gateway=True,
    )


async def test_a_subnet_without_a_table_has_no_routes_and_one_that_is_not_named_is_not_read() -> None:
    bare = seed()
    network = next(resource for resource in bare["resources"] if resource["id"] == VNET)
    network["properties"]["subnets"][0]["properties"] = {"addressPrefix": "10.0.1.0/24"}
    async with (
        Simulator(SimulatorConfig(bare, time_factor=100)) as sim,
        azure_at(sim.url, sim.ca_path) as azure,
    ):
        for spelled in ("subnets", "Subnets"):  # ids are compared without case
            found = await SurroundingsOverArm(azure, f"{VNET}/{spelled}/nvas").app_subnet()
            assert found == AppSubnetFacts(id=f"{VNET}/{spelled}/nvas")
        with pytest.raises(Unavailable, match="404"):
            await SurroundingsOverArm(azure, f"{VNET}/subnets/other").app_subnet()
        assert await SurroundingsOverArm(azure).app_subnet() is None


REFUSED = [
    ("location", "virtualHubs/rs-hub", "virtualHubs/read"),
    ("location", "bgpConnections", "virtualHubs/bgpConnections/read"),
    ("balancer", "loadBalancers/lb-nva", "loadBalancers/read"),
    ("balancer", "backendAddressPools/NVAs", "loadBalancers/backendAddressPools/read"),
    ("interface", "networkInterfaces/nva-a-nic", "networkInterfaces/read"),
    ("interface", "virtualNetworks/hub", "virtualNetworks/read"),
    ("interface", "routeTables/nvas", "routeTables/read"),
    ("app_subnet", "subnets/nvas", "virtualNetworks/subnets/read"),
    ("app_subnet", "routeTables/nvas", "routeTables/read"),
]


@pytest.mark.parametrize(("what", "path", "action"), REFUSED, ids=[action for _, _, action in REFUSED])
async def test_a_refused_read_names_the_missing_action(what: str, path: str, action: str, tmp_path: Path) -> None:
    documents = {resource["id"].casefold(): resource for resource in seed()["resources"]}
    documents[f"{VNET}/subnets/nvas".casefold()] = {"properties": {"routeTable": {"id": TABLE}}}

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith(path):
            return refusal(403, "AuthorizationFailed")
        if request.path.endswith("bgpConnections"):
            return web.json_response({"value": []})
        return web.json_response(documents.get(request.path.casefold(), {}))

    async with fake_arm(answer, tmp_path) as azure:
        surroundings = SurroundingsOverArm(azure, f"{VNET}/subnets/nvas")
        readers: dict[str, Callable[[], Awaitable[object]]] = {
            "location": lambda: surroundings.location(SERVER),
            "balancer": lambda: surroundings.balancer(service()),
            "interface": lambda: surroundings.interface(NVA),
            "app_subnet": surroundings.app_subnet,
        }
        found = await readers[what]()
    assert isinstance(found, Denied)
    assert found.action == f"Microsoft.Network/{action}"
