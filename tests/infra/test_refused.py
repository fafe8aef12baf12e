"""A combination of values that cannot work is refused before anything is made, with what is wrong and what to do."""

import re
from collections.abc import Mapping

import pytest

from tests.infra.compiler import Snapshot, at, evaluated, refused
from tests.infra.deployments import AZD, BROUGHT, DEPLOYED, HUB, LISTS, MAIN, OTHER, PRIVATE, PUBLIC, VNET, network_id

ZONE = f"{HUB}/providers/Microsoft.Network/privateDnsZones/privatelink"
ZONES = {
    "HOPKEEPER_PRIVATE_DNS_BLOB": f"{ZONE}.blob.core.windows.net",
    "HOPKEEPER_PRIVATE_DNS_QUEUE": f"{ZONE}.queue.core.windows.net",
    "HOPKEEPER_PRIVATE_DNS_TABLE": f"{ZONE}.table.core.windows.net",
    "HOPKEEPER_PRIVATE_DNS_VAULT": f"{ZONE}.vaultcore.azure.net",
    "HOPKEEPER_PRIVATE_DNS_SITES": f"{ZONE}.azurewebsites.net",
}
GOOD = AZD | PUBLIC
WAYS_IN = "HOPKEEPER_ENDPOINTS_SUBNET_PREFIX.*HOPKEEPER_AGENT_SUBNETS.*HOPKEEPER_CALLER_PREFIXES"
# Everything that is wrong is said at once. What is changed, and what is said of it: the variable, what is wrong with its value,
# what to do.
REFUSED: Mapping[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "ids that are none": (
        {
            "HOPKEEPER_ROUTE_SERVERS": "rs-hub",
            "HOPKEEPER_LOAD_BALANCERS": network_id("virtualHubs", "rs-hub"),
            "HOPKEEPER_AGENT_SUBNETS": VNET,
            "HOPKEEPER_APPLIANCE_GROUPS": "rg-hub",
            "HOPKEEPER_ENTRA_CLIENT_ID": "hopkeeper",
            "HOPKEEPER_VIRTUAL_MACHINES": f"{LISTS['HOPKEEPER_VIRTUAL_MACHINES']}, nva-b",
        },
        (
            'HOPKEEPER_ROUTE_SERVERS[^;]*"rs-hub" is not the resource id of a Microsoft.Network/virtualHubs',
            "HOPKEEPER_LOAD_BALANCERS[^;]* is not the resource id of a Microsoft.Network/loadBalancers",
            "HOPKEEPER_AGENT_SUBNETS[^;]* is not the resource id of a Microsoft.Network/virtualNetworks/subnets",
            'HOPKEEPER_APPLIANCE_GROUPS[^;]*"rg-hub" is not the id of a resource group',
            'HOPKEEPER_ENTRA_CLIENT_ID[^;]*"hopkeeper": the appId of a registration',
            'HOPKEEPER_VIRTUAL_MACHINES[^;]*"nva-b" is not the resource id',
        ),
    ),
    "nothing": (
        dict.fromkeys(GOOD, "") | {"AZURE_LOCATION": "uksouth", "HOPKEEPER_AGENT_SUBNETS": " , "},
        (
            "HOPKEEPER_ROUTE_SERVERS[^;]* is empty: name at least one",
            "exactly one of[^;]*HOPKEEPER_APP_SUBNET_PREFIX[^;]*HOPKEEPER_APP_SUBNET_ID",
            f"nothing lets an agent call the app[^;]*{WAYS_IN}",
        ),
    ),
    "too much": (
        PRIVATE
        | ZONES
        | {
            "HOPKEEPER_VIRTUAL_NETWORK": "",
            "HOPKEEPER_APP_SUBNET_ID": BROUGHT["HOPKEEPER_APP_SUBNET_ID"],
            "HOPKEEPER_ENDPOINTS_SUBNET_ID": BROUGHT["HOPKEEPER_ENDPOINTS_SUBNET_ID"],
            "HOPKEEPER_ENTRA_TENANT": "99999999-8888-7777-6666-555555555555",
        },
        (
            "exactly one of[^;]*HOPKEEPER_APP_SUBNET_PREFIX[^;]*HOPKEEPER_APP_SUBNET_ID",
            "at most one of[^;]*HOPKEEPER_ENDPOINTS_SUBNET_PREFIX[^;]*HOPKEEPER_ENDPOINTS_SUBNET_ID",
            "a new subnet needs[^;]*HOPKEEPER_VIRTUAL_NETWORK",
            'HOPKEEPER_PRIVATE_DNS_ZONES[^;]*is "made": set it to "named" or leave the ids out',
            "HOPKEEPER_ENTRA_TENANT[^;]*goes with[^;]*HOPKEEPER_ENTRA_CLIENT_ID",
        ),
    ),
    "a zone without a name": (
        PRIVATE | ZONES | {"HOPKEEPER_PRIVATE_DNS_ZONES": "named", "HOPKEEPER_PRIVATE_DNS_TABLE": ""},
        ("HOPKEEPER_PRIVATE_DNS_ZONES[^;]*must name all of[^;]*table",),
    ),
    "what Azure would refuse late": (
        PRIVATE
        | ZONES
        | {
            "HOPKEEPER_NAME": "Hub_1",
            "HOPKEEPER_APP_SUBNET_PREFIX": "10.0.9.0/28",
            "HOPKEEPER_ENDPOINTS_SUBNET_PREFIX": "10.0.9.0/28",
            "HOPKEEPER_VIRTUAL_NETWORK": network_id("virtualNetworks", "vnet-other", OTHER),
            "HOPKEEPER_APP_ROUTE_TABLE": BROUGHT["HOPKEEPER_APP_ROUTE_TABLE"],
            "HOPKEEPER_CALLER_PREFIXES": "office, 192.0.2.0",
            "HOPKEEPER_PRIVATE_DNS_ZONES": "named",
            "HOPKEEPER_STORAGE_SKU": "Premium_LRS",
            "HOPKEEPER_PRIVATE_DNS_QUEUE": f"{HUB}/providers/Microsoft.Network/privateDnsZones/wrong.example",
            "HOPKEEPER_ALWAYS_READY": "20",
            "HOPKEEPER_MAXIMUM_INSTANCES": "5",
            "HOPKEEPER_AGENT_SUBNETS": f"{VNET}/virtualNetworkPeerings/p",
            "HOPKEEPER_BACKEND_NETWORKS": VNET.replace("00000000-0000-0000-0000-000000000000", "0000"),
            "HOPKEEPER_PEERED_NETWORKS": VNET.replace("/resourceGroups/", "/groups/"),
        },
        (
            'HOPKEEPER_NAME[^;]*"Hub_1": lower-case letters and digits',
            "HOPKEEPER_APP_SUBNET_PREFIX[^;]*/27 or larger",
            "both 10.0.9.0/28",
            "HOPKEEPER_VIRTUAL_NETWORK[^;]*another subscription[^;]*HOPKEEPER_APP_SUBNET_ID",
            "HOPKEEPER_APP_ROUTE_TABLE[^;]*goes with appSubnetId",
            'HOPKEEPER_CALLER_PREFIXES[^;]*"office" is not a prefix',
            'HOPKEEPER_CALLER_PREFIXES[^;]*"192.0.2.0" is not a prefix',
            "HOPKEEPER_PRIVATE_DNS_QUEUE[^;]*wrong.example[^;]*privatelink.queue.",
            "HOPKEEPER_STORAGE_SKU[^;]*Premium_LRS",
            "HOPKEEPER_ALWAYS_READY[^;]*20[^;]*HOPKEEPER_MAXIMUM_INSTANCES[^;]*5",
            "HOPKEEPER_AGENT_SUBNETS[^;]* is not the resource id of a Microsoft.Network/virtualNetworks/subnets",
            "HOPKEEPER_BACKEND_NETWORKS[^;]* is not the resource id",
            "HOPKEEPER_PEERED_NETWORKS[^;]* is not the resource id",
        ),
    ),
    "what would be left aside": (
        {
            "HOPKEEPER_APP_SUBNET_PREFIX": "",
            "HOPKEEPER_APP_SUBNET_ID": BROUGHT["HOPKEEPER_APP_SUBNET_ID"],
            "HOPKEEPER_NAT_GATEWAY": network_id("natGateways", "ng-hub"),
            "HOPKEEPER_LINKED_NETWORKS": VNET,
        },
        ("HOPKEEPER_NAT_GATEWAY[^;]*goes with appSubnetPrefix", "HOPKEEPER_LINKED_NETWORKS[^;]*private endpoints"),
    ),
    "neither true nor false": ({"HOPKEEPER_IS_DEPLOYED": "yes"}, ("isDeployed|HOPKEEPER_IS_DEPLOYED|bool",)),
}


@pytest.mark.parametrize("combination", REFUSED)
def test_a_combination_that_cannot_work_is_refused_with_what_to_do(combination: str) -> None:
    changed, said = REFUSED[combination]
    refusal = refused(MAIN, GOOD | changed)
    assert [each for each in said if not re.search(each, refusal)] == [], refusal


def test_a_prefix_alone_admits_callers() -> None:
    assert evaluated(MAIN, AZD | {"HOPKEEPER_CALLER_PREFIXES": "192.0.2.0/24"}).one("Microsoft.Web/sites")


def test_zones_that_are_named_are_used_and_none_is_made() -> None:
    its = evaluated(MAIN, AZD | PRIVATE | ZONES | {"HOPKEEPER_PRIVATE_DNS_ZONES": "named"})
    configs = [
        at(each, "properties.privateDnsZoneConfigs.0.properties.privateDnsZoneId")
        for each in its.resources("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    ]
    assert sorted(configs) == sorted(ZONES.values())
    assert its.resources("Microsoft.Network/privateDnsZones") == []


def spelt(environment: Mapping[str, str]) -> dict[str, str]:
    """The same lists as people write them: spaces, a comma too many, one at the end."""
    lists = {name: value for name, value in environment.items() if name in LISTS}
    return {**environment, **{name: f" , {value.replace(',', ' ,, ')} ," for name, value in lists.items()}}


def test_a_list_is_read_as_it_is_meant() -> None:
    given = AZD | LISTS | PUBLIC | PRIVATE | DEPLOYED
    assert made(evaluated(MAIN, spelt(given))) == made(evaluated(MAIN, given))
    assert OTHER in str(made(evaluated(MAIN, spelt(given))))


def test_an_id_is_one_in_any_case() -> None:
    """Two assignments of one role to one principal at one scope are refused (RoleAssignmentExists)."""
    server = network_id("virtualHubs", "rs-hub")
    shouted = server.replace("rg-hub", "RG-HUB")
    names = [
        re.findall(r"guid\('([^']+)'", str(made(evaluated(MAIN, GOOD | {"HOPKEEPER_ROUTE_SERVERS": each}))))
        for each in (server, shouted, f"{server},{shouted}")
    ]
    assert names[0] == names[1] == names[2]


def test_line_ends_and_empty_values_are_read_as_meant() -> None:
    odd = {
        "HOPKEEPER_NAME": "hopkeeper\r\n",
        "HOPKEEPER_OBSERVE_ONLY": "",
        "HOPKEEPER_STORAGE_SKU": " ",
        "AZURE_LOCATION": "uksouth\r",
    }
    assert made(evaluated(MAIN, GOOD | odd)) == made(evaluated(MAIN, GOOD))


def made(its: Snapshot) -> list[str]:
    return sorted(str(each) for each in its.made)
