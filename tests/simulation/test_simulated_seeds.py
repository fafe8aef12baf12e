"""Seeds of the simulated Azure: exports as people have them, and what is said of those that cannot be used."""

import json
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from simulator.clock import VirtualClock
from simulator.resources import parse_path
from simulator.seed_file import SeedError, read
from simulator.seeds import SUBSCRIPTION, HubSeed, example
from simulator.template import Scope
from simulator.world import World

SCOPE = Scope(SUBSCRIPTION, "rg-hub")
NETWORK = f"{SCOPE.id}/providers/Microsoft.Network"
HUB = f"{NETWORK}/virtualHubs/rs-hub"
FIRST, SECOND = IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5")


def seed_of(folder: Path, *contents: Any) -> dict[str, Any]:
    files = [folder / f"{number}.json" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read(files, SCOPE)


def faults_of(folder: Path, content: Any) -> list[str]:
    with pytest.raises(SeedError) as refused:
        seed_of(folder, content)
    return [fault.removeprefix(f"{folder}/0.json: ") for fault in refused.value.faults]


def ids(seed: dict[str, Any]) -> list[str]:
    return [one["id"].removeprefix(f"{NETWORK}/") for one in seed["resources"]]


# A template as `az group export` writes one: names are parameters, children of two kinds, nothing that only ARM writes.
TEMPLATE = {
    "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {
        "virtualHubs_rs_hub_name": {"defaultValue": "rs-hub", "type": "String"},
        "virtualNetworks_vnet_name": {"defaultValue": "vnet", "type": "String"},
    },
    "variables": {},
    "resources": [
        {
            "type": "Microsoft.Network/virtualNetworks",
            "apiVersion": "2024-05-01",
            "name": "[parameters('virtualNetworks_vnet_name')]",
            "location": "[resourceGroup().location]",
            "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": []},
        },
        {
            "type": "Microsoft.Network/virtualNetworks/subnets",
            "apiVersion": "2024-05-01",
            "name": "[concat(parameters('virtualNetworks_vnet_name'), '/RouteServerSubnet')]",
            "dependsOn": ["[resourceId('Microsoft.Network/virtualNetworks', parameters('virtualNetworks_vnet_name'))]"],
            "properties": {"addressPrefix": "10.0.0.0/27"},
        },
        {
            "type": "Microsoft.Network/virtualHubs",
            "apiVersion": "2024-05-01",
            "name": "[parameters('virtualHubs_rs_hub_name')]",
            "kind": "RouteServer",
            "location": "uksouth",
            "properties": {"sku": "Standard", "allowBranchToBranchTraffic": False},
            "resources": [
                {
                    "type": "bgpConnections",
                    "name": "nva-a",
                    "apiVersion": "2024-05-01",
                    "properties": {"peerIp": "10.0.1.4", "peerAsn": 65001},
                }
            ],
        },
        {
            "type": "Microsoft.Network/virtualHubs/ipConfigurations",
            "apiVersion": "2024-05-01",
            "name": "[concat(parameters('virtualHubs_rs_hub_name'), '/ipconfig1')]",
            "properties": {
                "subnet": {
                    "id": "[resourceId('Microsoft.Network/virtualNetworks/subnets', "
                    "parameters('virtualNetworks_vnet_name'), 'RouteServerSubnet')]"
                }
            },
        },
    ],
}


def test_a_template_of_a_group_is_a_seed_with_its_children_and_what_only_arm_writes(tmp_path: Path) -> None:
    seed = seed_of(tmp_path, TEMPLATE)
    names = ["virtualNetworks/vnet", "virtualHubs/rs-hub", "virtualHubs/rs-hub/bgpConnections/nva-a"]
    assert ids(seed) == [*names, "virtualHubs/rs-hub/ipConfigurations/ipconfig1"]
    network, hub = seed["resources"][:2]
    assert [one["name"] for one in network["properties"]["subnets"]] == ["RouteServerSubnet"]
    assert network["location"] == "uksouth"
    facts = hub["properties"]
    assert (facts["virtualRouterIps"], facts["routingState"]) == (["10.0.0.5", "10.0.0.4"], "Provisioned")
    assert [peer.address for peer in World(VirtualClock(), seed).route_servers.peers()] == [IPv4Address("10.0.1.4")]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("[uniqueString('a')]", "uniqueString() is not evaluated, only parameters, variables, concat, tolower,"),
        ("[parameters('gone')]", "there is no parameter 'gone'"),
        ("[parameters('secret')]", "parameter 'secret' has no value: write one as its defaultValue"),
        ("[variables('a')]", "variables that are made of each other"),
        ("[resourceId('Microsoft.Network/virtualNetworks/subnets', 'vnet')]", "wants 2 names, not 1"),
        ("[concat('a']", "the expression ends too early"),
        ("[resourceGroup().tags]", "resourceGroup() has no 'tags'"),
        ("[concat('a') 'b']", "\"'b'\" was not expected"),
        ("[a + b]", "'+ b' is no expression"),
    ],
)
def test_an_expression_that_is_not_evaluated_is_named_with_its_place(tmp_path: Path, expression: str, why: str) -> None:
    given = {
        **TEMPLATE,
        "parameters": {"secret": {"type": "SecureString"}},
        "variables": {"a": "[variables('b')]", "b": "[variables('a')]"},
        "resources": [{"type": "Microsoft.Network/routeTables", "name": "rt", "properties": {"note": expression}}],
    }
    (fault,) = faults_of(tmp_path, given)
    assert fault.startswith(f"resources[0].properties.note: {expression}: ")
    assert why in fault


def test_what_az_prints_of_resources_is_a_seed(tmp_path: Path) -> None:
    table = {
        "id": f"{NETWORK}/routeTables/rt",
        "name": "rt",
        "type": "Microsoft.Network/routeTables",
        "resourceGroup": "rg-hub",
        "kind": None,
        "properties": {"subnets": [{"id": f"{NETWORK}/virtualNetworks/v/subnets/s", "resourceGroup": "rg-hub"}]},
    }
    plain = {
        **{key: table[key] for key in ("id", "name", "type")},
        "properties": {"subnets": [{"id": f"{NETWORK}/virtualNetworks/v/subnets/s"}]},
    }
    for printed in (table, [table], {"value": [table], "nextLink": None}):
        assert seed_of(tmp_path, printed)["resources"] == [plain]


def test_a_resource_group_among_resources_is_one_that_is_there(tmp_path: Path) -> None:
    group = {"id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-new", "properties": {}}
    world = World(VirtualClock(), seed_of(tmp_path, [group]))
    assert world.state.resources.has_group(SUBSCRIPTION, "rg-new")


def by_hand(subnet: str) -> list[dict[str, Any]]:
    """A Route Server as a person writes it down: no kind, and nothing else that only ARM writes."""
    network = f"{NETWORK}/virtualNetworks/vnet"
    subnets = [{"name": "RouteServerSubnet", "properties": {"addressPrefix": "10.0.0.0/26"}}]
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    return [
        {"id": network, "properties": {"addressSpace": space, "subnets": subnets}},
        {"id": HUB},
        {"id": f"{HUB}/ipConfigurations/ipconfig1", "properties": {"subnet": {"id": f"{network}/subnets/{subnet}"}}},
    ]


def test_a_hub_without_a_virtual_wan_is_a_route_server_whose_instances_are_in_the_subnet_of_its_ip_configuration(
    tmp_path: Path,
) -> None:
    (hub,) = (one for one in seed_of(tmp_path, by_hand("RouteServerSubnet"))["resources"] if one["id"] == HUB)
    assert sorted(hub["properties"]["virtualRouterIps"]) == ["10.0.0.4", "10.0.0.5"]
    assert hub["properties"]["routingState"] == "Provisioned"


def test_an_ip_configuration_in_a_subnet_that_is_not_there_leaves_a_route_server_without_instances(
    tmp_path: Path,
) -> None:
    (fault,) = faults_of(tmp_path, by_hand("RouteServerSubnett"))
    assert "properties.virtualRouterIps: missing" in fault


def test_peerings_that_a_network_shows_are_documents_of_their_own(tmp_path: Path) -> None:
    own = f"{NETWORK}/virtualNetworks/vnet"
    shown = {
        "id": f"{own}/virtualNetworkPeerings/to-spoke",
        "name": "to-spoke",
        "properties": {"peeringState": "Connected"},
    }
    network = {"id": own, "properties": {"virtualNetworkPeerings": [shown]}}
    assert ids(seed_of(tmp_path, network)) == [
        "virtualNetworks/vnet",
        "virtualNetworks/vnet/virtualNetworkPeerings/to-spoke",
    ]


def test_parts_of_several_files_are_put_together(tmp_path: Path) -> None:
    own = {"bgp": [{"peer": "10.0.1.4"}], "vnetPrefixes": {HUB: ["10.0.0.0/16"]}}
    seed = seed_of(tmp_path, TEMPLATE, own)
    assert (len(seed["resources"]), seed["bgp"], seed["vnetPrefixes"]) == (4, own["bgp"], own["vnetPrefixes"])


HUB_DOCUMENT = {
    "id": HUB,
    "kind": "RouteServer",
    "properties": {"virtualRouterIps": ["10.0.0.4", "10.0.0.5"], "routingState": "Provisioned"},
}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("{", "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); "
         "`hopkeeper-simulator init` prints a seed to begin with"),
        ('"resources"', "holds no resources: a seed is a list of them, one of them, or an object with the key `resources`"),
        ({"resource": []}, "resource: no part of a seed; there are resources, resourceGroups, alerts, metrics, permissions, bgp, "
         "vnetPrefixes, gateways, effectiveRoutes, randomSeed"),
        ({"resources": {}}, "resources: must be a list"),
        ({"gateways": []}, "gateways: must be an object by resource id"),
        ([1], "resources[0]: must be an object"),
        ([{"properties": {}}], "resources[0]: has neither an id nor type and name; an id is "
         "/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{type}/{name}"),
        ([{"id": "/subscriptions/s"}], "resources[0] (/subscriptions/s): id: '/subscriptions/s' is no resource id: "
         "/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{type}/{name}"),
        ([{"type": "Microsoft.Network/virtualHubs/bgpConnections", "name": "a"}],
         "resources[0] (a): type Microsoft.Network/virtualHubs/bgpConnections wants 2 names divided by slashes, not 'a'"),
        ([{"id": HUB, "type": "Microsoft.Network/routeTables"}],
         f"resources[0] ({HUB}): type: Microsoft.Network/routeTables, but the id is of a Microsoft.Network/virtualHubs"),
        ([{"id": HUB, "properties": None}], f"resources[0] ({HUB}): properties: must be an object; `az resource list` leaves "
         "them out, `az resource show --ids ID` has them"),
        ([{"id": HUB, "provisioningState": "Succeeded"}], f"resources[0] ({HUB}): properties: missing: `az network` and `az vm` "
         "print a form of their own; take `az resource show --ids ID`"),
        ([{"id": HUB, "copy": {}}],
         f"resources[0] ({HUB}): copy: templates with it are not evaluated: write the resources that it makes"),
        ([HUB_DOCUMENT, HUB_DOCUMENT], f"resources: {HUB} is there twice: leave one out"),
        ([{"id": HUB, "kind": "RouteServer", "properties": {}}], f"resources: {HUB}: properties.virtualRouterIps: missing: write "
         "the addresses of its two instances, or add its IP configuration and its network"),
        ([{"id": f"{HUB}/bgpConnections/a", "properties": {"peerIp": "10.0.1.4", "peerAsn": 1}}],
         f"resources: {HUB}/bgpConnections/a: its Route Server {HUB} is not in the seed: add it"),
        ([{"id": f"{NETWORK}/loadBalancers/lb", "properties": {"probes": [{"properties": {}}]}}],
         f"resources: {NETWORK}/loadBalancers/lb: properties.probes[0]: name: missing"),
        ([{"id": f"{HUB}/bgpConnections/a", "properties": {"peerIp": "10.0.1.4"}}, HUB_DOCUMENT],
         f"resources: {HUB}/bgpConnections/a: as ARM would refuse it: Cannot parse the request: properties.peerAsn is missing."),
        ([{"id": f"{HUB}/bgpConnections/a", "properties": {"peerIp": "ten", "peerAsn": 65001}}, HUB_DOCUMENT],
         f"resources: {HUB}/bgpConnections/a: as ARM would refuse it: Cannot parse the request: properties.peerIp is 'ten'."),
        ([{"id": f"{NETWORK}/loadBalancers/lb", "properties": {"backendAddressPools": [{"name": "p", "properties":
         {"loadBalancerBackendAddresses": [{"properties": {}}]}}]}}],
         f"resources: {NETWORK}/loadBalancers/lb: something in it misses 'name', which ARM always answers"),
        ([{**HUB_DOCUMENT, "properties": {"virtualRouterIps": ["ten"]}}],
         f"resources: {HUB}: cannot be taken in: Expected 4 octets in 'ten'"),
        ({"vnetPrefixes": {HUB: []}}, f"vnetPrefixes.{HUB}: no resource of the seed has this id"),
        ({"alerts": [{"name": "a"}]}, "alerts[0]: resourceId is missing"),
        ({"alerts": [{"name": "a", "resourceId": HUB, "treshold": 1}]},
         "alerts[0]: treshold is unknown, there are name, resourceId, metric, threshold, windowSeconds, severity"),
        ({"alerts": [{"name": "a", "resourceId": HUB}]}, f"alerts[0].resourceId: no resource of the seed has the id '{HUB}'"),
        ({"bgp": [7]}, "bgp[0]: must be an object with peer"),
        ({"bgp": [{"peer": "nva"}]}, "bgp[0].peer: Expected 4 octets in 'nva'; an address is 10.0.1.4"),
        ({"bgp": [{"peer": "10.0.1.4", "routes": 1}]}, "bgp[0]: routes must be a list"),
        ({"bgp": [{"peer": "10.0.1.4", "routes": [{"network": "10.0.0.1/8"}]}]},
         "bgp[0].routes[0].network: 10.0.0.1/8 has host bits set; a prefix is 10.9.0.0/16"),
        ({"bgp": [{"peer": "10.0.1.4", "routes": [{"network": "10.9.0.0"}]}]},
         "bgp[0].routes[0].network: 10.9.0.0 says no length; a prefix is 10.9.0.0/16"),
        ([{"id": f"{NETWORK}/loadBalancers/lb", "properties": {"probes": [{"name": "p", "properties": {}}],
           "loadBalancingRules": [{"name": "r", "properties": {"probe": {"id": "p"}}}]}}],
         f"resources: {NETWORK}/loadBalancers/lb: properties.loadBalancingRules[0].properties.probe: no p in it; "
         f"there are {NETWORK}/loadBalancers/lb/probes/p"),
        ([{"id": f"{NETWORK}/loadBalancers/lb", "properties": {
           "loadBalancingRules": [{"name": "r", "properties": {"backendAddressPool": {"id": f"{NETWORK}/x"}}}]}}],
         f"resources: {NETWORK}/loadBalancers/lb: properties.loadBalancingRules[0].properties.backendAddressPool: "
         f"no {NETWORK}/x in it; it has no backendAddressPools"),
        ({"bgp": [{"peer": "10.0.1.4", "routes": [{"network": "10.0.0.0/8", "asPath": ["65001"]}]}]},
         "bgp[0].routes[0].asPath: must be a list of AS numbers, the peer's own first"),
        ({"resourceGroups": ["rg"]},
         "resourceGroups: 'rg' is no id of a group: /subscriptions/{subscription}/resourceGroups/{group}"),
        ([{"id": f"{NETWORK}/loadBalancers/lb", "properties": {"probes": 1}}],
         f"resources: {NETWORK}/loadBalancers/lb: properties.probes: must be a list"),
        ({"resources": [HUB_DOCUMENT], "vnetPrefixes": {HUB: "10.0.0.0/16"}}, f"vnetPrefixes.{HUB}: must be a list"),
        ({"resources": [HUB_DOCUMENT], "alerts": [{"name": "a", "resourceId": HUB, "severity": "1"}]},
         "alerts[0]: severity must be a number"),
        ({"randomSeed": "x"}, "randomSeed: must be a whole number"),
    ],
)  # fmt: skip
def test_a_seed_that_cannot_be_used_says_where_why_and_what_to_do(tmp_path: Path, given: Any, fault: str) -> None:
    assert faults_of(tmp_path, given) == [fault]


def test_every_fault_of_a_seed_is_said_at_once(tmp_path: Path) -> None:
    assert len(faults_of(tmp_path, {"resources": [1, {"id": "x"}], "bgb": []})) == 3


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"none\.json: cannot be read: No such file or directory"):
        read([tmp_path / "none.json"], SCOPE)


# --- peers that the seed lets speak


def learned(
    world: World, instance: IPv4Address, peer: str = "10.0.1.4"
) -> list[tuple[IPv4Network, IPv4Address, tuple[int, ...]]]:
    return [(one.network, one.next_hop, one.as_path) for one in world.bgp.routes(instance, IPv4Address(peer))]


def speaking(*routes: dict[str, Any]) -> tuple[VirtualClock, World]:
    """A Route Server that peers with 10.0.1.4, which announces these."""
    peering = {"id": f"{HUB}/bgpConnections/a", "properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}
    clock = VirtualClock()
    seed = {"resources": [dict(HUB_DOCUMENT), peering], "bgp": [{"peer": "10.0.1.4", "routes": list(routes)}]}
    world = World(clock, seed)
    world.settle()
    return clock, world


def test_both_instances_learn_what_a_scripted_peer_announces_while_its_peering_is_in_force() -> None:
    clock, world = speaking(
        {"network": "0.0.0.0/0"}, {"network": "10.9.0.0/16", "nextHop": "10.0.1.100", "asPath": [65001, 65009]}
    )
    route = (IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.4"), (65001,))
    other = (IPv4Network("10.9.0.0/16"), IPv4Address("10.0.1.100"), (65001, 65009))
    assert learned(world, FIRST) == learned(world, SECOND) == [route, other]
    path = parse_path(f"{HUB}/bgpConnections/a")
    assert path is not None
    world.route_servers.delete_peering(path)
    assert learned(world, FIRST) == []
    clock.advance(timedelta(minutes=2).total_seconds())
    world.settle()
    body = {"properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}
    world.route_servers.put_peering(path, body)
    world.settle()
    assert learned(world, FIRST) == []
    clock.advance(timedelta(minutes=2).total_seconds())
    world.settle()
    assert learned(world, FIRST) == [route, other]


def test_a_scripted_peer_s_route_that_has_been_through_a_route_server_is_not_taken() -> None:
    _, world = speaking({"network": "10.9.0.0/16", "asPath": [65001, 65515]})
    assert world.bgp.is_established(FIRST, IPv4Address("10.0.1.4"))
    assert learned(world, FIRST) == []


def test_what_is_changed_by_hand_of_a_scripted_peer_stays_as_it_was_changed() -> None:
    _, world = speaking({"network": "0.0.0.0/0"})
    world.bgp.down(FIRST, IPv4Address("10.0.1.4"))
    world.settle()
    assert learned(world, FIRST) == []
    assert learned(world, SECOND) != []


def test_a_scripted_peer_speaks_again_when_its_machine_is_on_again() -> None:
    _, world = speaking({"network": "0.0.0.0/0"})
    peer = IPv4Address("10.0.1.4")
    world.route_servers.silence(peer)
    world.settle()
    assert not world.bgp.is_established(FIRST, peer)
    world.route_servers.silent.discard(peer)
    world.settle()
    assert learned(world, FIRST) != []


def test_the_example_is_a_seed_and_its_first_nva_has_announced(tmp_path: Path) -> None:
    world = World(VirtualClock(), seed_of(tmp_path, example()))
    world.settle()
    assert [str(peer.address) for peer in world.route_servers.peers()] == ["10.0.1.4"]
    assert [one[1] for one in learned(world, FIRST)] == [IPv4Address(HubSeed(backends=()).frontend)]
