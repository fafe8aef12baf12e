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
NOBODY = f"nothing lets an agent call the app.*{WAYS_IN}"
# What is changed, and what is said: the variable or parameter, what is wrong with its value, what to do.
REFUSED: Mapping[str, tuple[Mapping[str, str], str]] = {
    "no route server": ({"HOPKEEPER_ROUTE_SERVERS": ""}, "HOPKEEPER_ROUTE_SERVERS.* is empty: name at least one"),
    "no id": ({"HOPKEEPER_ROUTE_SERVERS": "rs-hub"}, 'HOPKEEPER_ROUTE_SERVERS.*"rs-hub" is not the resource id of a'),
    "another type": (
        {"HOPKEEPER_LOAD_BALANCERS": network_id("virtualHubs", "rs-hub")},
        "HOPKEEPER_LOAD_BALANCERS.* is not the resource id of a Microsoft.Network/loadBalancers",
    ),
    "a part of one": (
        {"HOPKEEPER_AGENT_SUBNETS": VNET},
        "HOPKEEPER_AGENT_SUBNETS.* is not the resource id of a Microsoft.Network/virtualNetworks/subnets",
    ),
    "no group": (
        {"HOPKEEPER_APPLIANCE_GROUPS": "rg-hub"},
        'HOPKEEPER_APPLIANCE_GROUPS.*"rg-hub" is not the id of a resource',
    ),
    "one that is none in a list": (
        {"HOPKEEPER_VIRTUAL_MACHINES": f"{LISTS['HOPKEEPER_VIRTUAL_MACHINES']},nva-b"},
        'HOPKEEPER_VIRTUAL_MACHINES.*"nva-b" is not the resource id',
    ),
    "no subnet": (
        {"HOPKEEPER_APP_SUBNET_PREFIX": ""},
        "exactly one of.*HOPKEEPER_APP_SUBNET_PREFIX.*HOPKEEPER_APP_SUBNET_ID",
    ),
    "two subnets": (
        {"HOPKEEPER_APP_SUBNET_ID": BROUGHT["HOPKEEPER_APP_SUBNET_ID"]},
        "exactly one of.*HOPKEEPER_APP_SUBNET_PREFIX.*HOPKEEPER_APP_SUBNET_ID",
    ),
    "two subnets of endpoints": (
        PRIVATE | {"HOPKEEPER_ENDPOINTS_SUBNET_ID": BROUGHT["HOPKEEPER_ENDPOINTS_SUBNET_ID"]},
        "at most one of.*HOPKEEPER_ENDPOINTS_SUBNET_PREFIX.*HOPKEEPER_ENDPOINTS_SUBNET_ID",
    ),
    "a subnet of no network": ({"HOPKEEPER_VIRTUAL_NETWORK": ""}, "a new subnet needs.*HOPKEEPER_VIRTUAL_NETWORK"),
    "zones without names": (
        PRIVATE | {"HOPKEEPER_PRIVATE_DNS_ZONES": "named"},
        "HOPKEEPER_PRIVATE_DNS_ZONES.*must name all of",
    ),
    "a zone without a name": (
        PRIVATE | ZONES | {"HOPKEEPER_PRIVATE_DNS_ZONES": "named", "HOPKEEPER_PRIVATE_DNS_TABLE": ""},
        "must name all of .*table",
    ),
    "names without zones": (
        PRIVATE | ZONES,
        'HOPKEEPER_PRIVATE_DNS_ZONES.*is "made": set it to "named" or leave the ids out',
    ),
    "nobody admitted": ({"HOPKEEPER_AGENT_SUBNETS": " , "}, NOBODY),
    "neither true nor false": ({"HOPKEEPER_IS_DEPLOYED": "yes"}, r'isDeployed|HOPKEEPER_IS_DEPLOYED|"yes"|bool'),
    "several": (
        {"HOPKEEPER_ROUTE_SERVERS": "", "HOPKEEPER_AGENT_SUBNETS": ""},
        f"HOPKEEPER_ROUTE_SERVERS.* is empty.*{NOBODY}",
    ),
}


@pytest.mark.parametrize("combination", REFUSED)
def test_a_combination_that_cannot_work_is_refused_with_what_to_do(combination: str) -> None:
    changed, said = REFUSED[combination]
    told = refused(MAIN, GOOD | changed)
    assert re.search(said, told, re.DOTALL), told


# What admits somebody: any one will do.
ADMITTED = {
    "private endpoints": PRIVATE,
    "brought endpoints": {"HOPKEEPER_ENDPOINTS_SUBNET_ID": BROUGHT["HOPKEEPER_ENDPOINTS_SUBNET_ID"]},
    "prefixes": {"HOPKEEPER_CALLER_PREFIXES": "192.0.2.0/24"},
}


@pytest.mark.parametrize("way", ADMITTED)
def test_any_one_way_in_will_do(way: str) -> None:
    assert evaluated(MAIN, AZD | ADMITTED[way]).one("Microsoft.Web/sites")


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


def made(its: Snapshot) -> list[str]:
    return sorted(str(each) for each in its.made)


def test_an_empty_list_and_one_of_nothing_but_commas_name_nobody() -> None:
    assert made(evaluated(MAIN, GOOD | {"HOPKEEPER_LOAD_BALANCERS": ", ,"})) == made(evaluated(MAIN, GOOD))
