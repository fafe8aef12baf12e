"""Instances of a scale set through the real management SDK, over HTTPS, against the simulator."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.scale_sets import ScaleSetsOverArm
from function_app.domain.base.errors import BadInput, Unavailable
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.topology.model import ScaleSet
from simulator.scale_sets import FLEXIBLE
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import WANTED, fake_arm

ID = f"{WANTED.network_scope.replace('Microsoft.Network', 'Microsoft.Compute')}/virtualMachineScaleSets/nva"
FLEET = ScaleSet(name="fleet", id=ID, asn=65010, peers_with=("rs-hub",))


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=100)) as running:
        yield running


async def test_instances_are_listed_with_their_addresses_and_say_that_they_leave(sim: Simulator, azure: Azure) -> None:
    scale_sets = sim.world.scale_sets
    scale_sets.make(ID)
    assert await ScaleSetsOverArm(azure).instances(FLEET) == ()
    for number in (0, 3):
        scale_sets.add(ID, str(number), f"10.0.3.{4 + number}")
    scale_sets.add(f"{ID}-other", "0", "10.0.3.99")
    scale_sets.leave(ID, "3")
    assert await ScaleSetsOverArm(azure).instances(FLEET) == (
        Instance("0", IPv4Address("10.0.3.4")),
        Instance("3", IPv4Address("10.0.3.7"), leaving=True),
    )
    scale_sets.remove(ID, "3")
    assert [i.id for i in await ScaleSetsOverArm(azure).instances(FLEET)] == ["0"]
    with pytest.raises(ValueError, match="not the id of a scale set"):
        scale_sets.add(WANTED.route_server_id, "0", "10.0.3.4")


@pytest.mark.parametrize("there", [True, False])
async def test_a_flexible_set_is_reported_as_what_it_may_be(sim: Simulator, azure: Azure, there: bool) -> None:
    """ARM answers 404 for its interfaces although the set is there (Azure/azure-cli#28258): like for one that is not."""
    if there:
        sim.world.scale_sets.make(ID, FLEXIBLE)
    with pytest.raises(Unavailable, match="flexible orchestration, whose instances cannot be listed") as caught:
        await ScaleSetsOverArm(azure).instances(FLEET)
    assert "name its machines as speakers" in str(caught.value)
    assert str(caught.value).startswith("fleet: ")


async def test_an_arm_that_refuses_is_unavailable(sim: Simulator, azure: Azure) -> None:
    sim.world.set_faults({"arm": "refuse"})
    with pytest.raises(Unavailable, match="listing the instances of scale set fleet: 503"):
        await ScaleSetsOverArm(azure).instances(FLEET)


async def test_an_id_of_another_kind_is_bad_input(azure: Azure) -> None:
    with pytest.raises(BadInput, match=r"is not the id of a Microsoft.Compute/virtualMachineScaleSets"):
        await ScaleSetsOverArm(azure).instances(
            ScaleSet(name="fleet", id=WANTED.route_server_id, asn=65010, peers_with=("rs",))
        )


async def test_what_is_no_instance_with_an_address_is_left_out(tmp_path: Path) -> None:
    """A second interface, and one that is still being made; and every page is read."""

    def nic(machine: str | None, *addresses: tuple[str | None, bool], primary: bool | None = None) -> dict[str, object]:
        facts: dict[str, object] = {
            "virtualMachine": {"id": f"{ID}/virtualMachines/{machine}"} if machine else None,
            "ipConfigurations": [{"properties": {"privateIPAddress": a, "primary": p}} for a, p in addresses],
        }
        made = "Creating" if machine is None or addresses[0][0] is None else "Succeeded"
        return {"properties": facts | {"provisioningState": made} | ({} if primary is None else {"primary": primary})}

    async def answer(request: web.Request) -> web.Response:
        if "page" in request.query:
            return web.json_response({"value": [nic("9", ("10.0.3.9", True), primary=True)]})
        first = [
            nic("1", ("10.0.3.77", False), ("10.0.3.1", True), primary=True),
            nic("1", ("10.0.4.1", True), primary=False),
            nic("2", (None, True)),
            nic(None, ("10.0.3.5", True)),
        ]
        return web.json_response({"value": first, "nextLink": f"{request.url}&page=2"})

    async with fake_arm(answer, tmp_path) as azure:
        found = await ScaleSetsOverArm(azure).instances(FLEET)
    assert found == (Instance("1", IPv4Address("10.0.3.1")), Instance("9", IPv4Address("10.0.3.9")))


@pytest.mark.parametrize("key", ["virtualMachine", "ipConfigurations", "properties"])
async def test_an_interface_that_does_not_say_whose_it_is_and_where_makes_the_list_no_whole_one(
    tmp_path: Path, key: str
) -> None:
    """Left out, an instance that is there would be taken for gone, and its peering removed (ADR 15)."""
    known = {"provisioningState": "Succeeded", "virtualMachine": {"id": f"{ID}/virtualMachines/1"}}
    facts = known | {"ipConfigurations": [{"properties": {"privateIPAddress": "10.0.3.1"}}]}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"value": [{"properties": None if key == "properties" else facts | {key: None}}]})

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="an interface names no machine or no IPv4 address, and is"):
            await ScaleSetsOverArm(azure).instances(FLEET)


async def test_an_interface_that_does_not_say_whether_it_is_the_first_counts_for_it(tmp_path: Path) -> None:
    nic = {"privateIPAddress": "10.0.3.1", "primary": None}
    machine = {"id": f"{ID}/virtualMachines/1"}
    facts = {"primary": None, "virtualMachine": machine, "ipConfigurations": [{"properties": nic}]}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"value": [{"properties": facts}]})

    async with fake_arm(answer, tmp_path) as azure:
        assert await ScaleSetsOverArm(azure).instances(FLEET) == (Instance("1", IPv4Address("10.0.3.1")),)
