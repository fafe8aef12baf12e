"""The app's own way out: what carries its calls to Azure through the members, what keeps them out, and what is unknown."""

from ipaddress import IPv4Address

import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.preflight.facts import RouteFacts
from function_app.domain.preflight.rule import LintFinding, Severity
from function_app.settings import from_environment
from tests.builders import SUB
from tests.unit.preflight_world import FRONTENDS, World, clean_subnet
from tests.unit.reconcile.test_preflight_facts import Looked

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def internet(*to: str) -> tuple[RouteFacts, ...]:
    return tuple(RouteFacts(name=f"r{i}", to=each, next_hop="Internet") for i, each in enumerate(to))


def appliance(to: str, address: str) -> RouteFacts:
    return RouteFacts(name="out", to=to, next_hop="VirtualAppliance", address=IPv4Address(address))


def found(world: World) -> list[LintFinding]:
    return [finding for finding in world.report().findings if finding.rule == "app-egress"]


def levels(world: World) -> list[Severity]:
    return [finding.severity for finding in found(world)]


HALVES = ("0.0.0.0/1", "128.0.0.0/1")


@pytest.mark.parametrize(
    ("announced", "table", "level"),
    [
        (["0.0.0.0/0"], internet("0.0.0.0/0"), []),
        (["0.0.0.0/0"], internet(*HALVES), []),
        (["0.0.0.0/0"], internet("0.0.0.0/1"), [ERROR]),
        (HALVES, internet(*HALVES), []),
        (HALVES, internet("0.0.0.0/0"), [ERROR]),  # the longer prefix wins, whoever it is from
        (["128.0.0.0/1"], internet("0.0.0.0/0"), [ERROR]),
        (["0.0.0.0/0"], internet("AzureResourceManager", "Storage.UKSouth"), []),
        (["0.0.0.0/0"], internet("AzureCloud"), []),
        (["0.0.0.0/0"], internet("AzureResourceManager"), [WARNING]),
        (["0.0.0.0/0"], internet("Storage"), [ERROR]),
        (["0.0.0.0/0"], (RouteFacts(name="drop", to="0.0.0.0/0", next_hop="None"),), [ERROR]),
        (["192.168.0.0/17", "172.16.0.0/13", "10.0.0.0/8"], (), []),
    ],
)
def test_a_prefix_that_azure_may_lie_in_needs_a_route_of_the_subnet_s_own(
    announced: list[str], table: tuple[RouteFacts, ...], level: list[Severity]
) -> None:
    world = World.clean()
    world.service("fw")["prefixes"] = list(announced)
    world.subnet(*table)
    assert levels(world) == level


def test_what_is_announced_to_the_subnet_is_found_where_it_stands_in_the_document() -> None:
    world = World.clean()
    for table in ((), internet("AzureResourceManager")):
        world.subnet(*table)
        assert [finding.path for finding in found(world)] == ["$.services[0].prefixes"]


@pytest.mark.parametrize("tag", ["AzureCloud", "AzureResourceManager", "Storage.UKSouth"])
@pytest.mark.parametrize(("address", "level"), [("10.0.1.4", ERROR), ("10.9.9.9", INFO)])
def test_a_service_tag_that_leads_to_an_appliance_is_judged_as_a_prefix_is(
    tag: str, address: str, level: Severity
) -> None:
    world = World.clean()
    world.subnet(*internet("0.0.0.0/0"), appliance(tag, address))
    assert levels(world) == [level]


def nowhere(to: str, next_hop: str) -> RouteFacts:
    return RouteFacts(name="lost", to=to, next_hop=next_hop)


@pytest.mark.parametrize(
    ("routes", "level"),
    [
        ((*internet("0.0.0.0/0"), nowhere("AzureResourceManager", "None")), [ERROR]),
        ((*internet("0.0.0.0/0"), nowhere("AzureCloud", "None")), [ERROR]),
        ((*internet("0.0.0.0/0"), nowhere("AzureCloud.UKSouth", "None")), [WARNING]),
        ((nowhere("0.0.0.0/0", "None"), *internet("AzureCloud.UKSouth")), [ERROR]),
        ((*internet("AzureResourceManager", "0.0.0.0/0"), nowhere("AzureCloud", "None")), [WARNING]),
        ((*internet("0.0.0.0/0", "AzureResourceManager"), nowhere("Storage", "None")), [WARNING]),
        ((*internet("0.0.0.0/0", "AzureCloud"), nowhere("AzureResourceManager", "VnetLocal")), [WARNING]),
        ((nowhere("0.0.0.0/0", "None"),), [ERROR]),
        ((nowhere("0.0.0.0/0", "VnetLocal"),), [WARNING]),
        ((nowhere("0.0.0.0/0", "VirtualNetworkGateway"),), [WARNING]),
        ((nowhere("0.0.0.0/0", "VirtualAppliance"),), [WARNING]),
        ((nowhere("0.0.0.0/0", "None"), *internet("AzureCloud")), []),
        ((nowhere("10.0.0.0/8", "None"), nowhere("Sql", "None"), *internet("0.0.0.0/0")), []),
    ],
)
def test_what_takes_azure_and_is_no_way_out_is_reported(routes: tuple[RouteFacts, ...], level: list[Severity]) -> None:
    world = World.clean()
    world.subnet(*routes)
    assert levels(world) == level
    for finding in found(world):
        assert "route lost of the app's subnet takes" in finding.what
        assert finding.do.endswith("-n lost --next-hop-type Internet")


def test_without_propagation_nothing_of_a_route_server_arrives() -> None:
    world = World.clean()
    world.subnet(propagates=False)
    assert found(world) == []


@pytest.mark.parametrize("where", ["speaker", "relay", "scale set"])
def test_whoever_announces_it_is_named(where: str) -> None:
    world = World.clean()
    world.service("fw")["prefixes"] = ["192.0.2.0/24"]
    match where:
        case "speaker":
            world.speaker("ws1")["announces"] = ["0.0.0.0/0"]
            path, who = "$.speakers[4].announces", "ws1"
        case "relay":
            world.speaker("relay")["relays"][0]["prefixes"] = ["0.0.0.0/0"]
            path, who = "$.speakers[6].relays", "relay"
        case _:
            ids = f"{SUB.replace('Network', 'Compute')}/virtualMachineScaleSets/vmss"
            many = {"name": "many", "id": ids, "asn": 65010, "peersWith": ["rs"], "announces": ["0.0.0.0/0"]}
            world.doc["scaleSets"] = [many]
            path, who = "$.scaleSets[0].announces", "many"
    world.subnet()
    (finding,) = found(world)
    assert (finding.path, finding.severity) == (path, ERROR)
    assert finding.what.startswith(f"{who} announces 0.0.0.0/0: if the app's network is a Route Server's or peered")


@pytest.mark.parametrize("address", [FRONTENDS["fw"], "10.0.1.4"])
def test_a_route_of_its_own_to_a_member_or_its_load_balancer_is_the_same_fault(address: str) -> None:
    world = World.clean()
    world.subnet(appliance("0.0.0.0/0", address))
    (finding,) = found(world)
    assert (finding.path, finding.severity) == ("$", ERROR)
    assert finding.do == (
        "az network route-table route update -g hub --route-table-name app -n out --next-hop-type Internet"
    )


def test_another_appliance_is_to_be_known_and_a_way_out() -> None:
    world = World.clean()
    world.subnet(appliance("0.0.0.0/0", "10.9.9.9"), nat_gateway=False)
    assert [(finding.path, finding.severity) for finding in found(world)] == [("$", INFO)]


def test_without_a_nat_gateway_there_may_be_no_way_out_at_all() -> None:
    world = World.clean()
    world.subnet(*internet("0.0.0.0/0"), nat_gateway=False)
    (finding,) = found(world)
    assert (finding.path, finding.severity) == ("$", WARNING)
    assert "no NAT gateway" in finding.what


def test_what_to_do_is_a_line_to_paste_with_or_without_a_table() -> None:
    world = World.clean()
    world.subnet(table=None)
    (finding,) = found(world)
    assert finding.do == (
        "az network route-table create -g hub -n rt-hopkeeper && az network route-table route create -g hub "
        "--route-table-name rt-hopkeeper -n internet-0.0.0.0-0 --address-prefix 0.0.0.0/0 --next-hop-type Internet && "
        f"az network vnet subnet update --ids {clean_subnet().id} --route-table rt-hopkeeper"
    )
    world.subnet()
    (finding,) = found(world)
    assert finding.do == (
        "az network route-table route create -g hub --route-table-name app -n internet-0.0.0.0-0 "
        "--address-prefix 0.0.0.0/0 --next-hop-type Internet"
    )


def test_a_subnet_that_is_not_named_is_a_warning_where_it_matters_and_one_that_was_not_read_is_unknown() -> None:
    world = World.clean()
    world.arm(app_subnet=None, app_subnet_unset=True)
    (finding,) = found(world)
    assert finding.severity is WARNING
    assert "HOPKEEPER_APP_SUBNET_ID" in finding.do
    world.service("fw")["prefixes"] = ["192.0.2.0/24"]
    assert found(world) == []
    world.service("fw")["prefixes"] = ["0.0.0.0/0"]
    world.arm(app_subnet=None, app_subnet_unset=False)
    report = world.report()
    assert report.findings == ()
    assert [(gap.need, gap.of) for gap in report.unjudged if gap.rule == "app-egress"] == [("subnet", ("the app",))]


async def test_a_pass_writes_it_to_the_status() -> None:
    scene = Looked()
    scene.around.own["the app"] = None
    await scene.slow()
    assert scene.found == ["symmetric-return", "app-egress"]


SETTINGS = {"AzureWebJobsStorage__accountName": "store", "HOPKEEPER_SIGNING_KEY": "pem"}


def test_which_subnet_is_the_app_s_is_a_setting_and_may_be_left_out() -> None:
    subnet = clean_subnet().id
    assert from_environment({**SETTINGS, "HOPKEEPER_APP_SUBNET_ID": subnet}).app_subnet == subnet
    assert from_environment({**SETTINGS, "HOPKEEPER_APP_SUBNET_ID": ""}).app_subnet is None
    with pytest.raises(BadInput, match=r"HOPKEEPER_APP_SUBNET_ID.*must be the resource id of a subnet"):
        from_environment({**SETTINGS, "HOPKEEPER_APP_SUBNET_ID": subnet.rpartition("/subnets/")[0]})
