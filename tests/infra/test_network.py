"""The app's way out leads past the NVAs, who must call it can, and what is closed to the public has a private name."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.compiler import Resource, Snapshot, at
from tests.infra.deployments import DEPLOYMENTS, EVERYTHING, FIRST, TOPIC_OF_OTHERS, lab, snapshot

NETWORK = "Microsoft.Network/"
SUBNET, ENDPOINT, SITE = f"{NETWORK}virtualNetworks/subnets", f"{NETWORK}privateEndpoints", "Microsoft.Web/sites"
ACCOUNT, VAULT = "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"
# The parts of the account that the app and its host use, of the vault and of the app, each with the zone that its names are
# looked up in: "Azure Private Endpoint private DNS zone values".
ZONES = {
    "blob": "privatelink.blob.core.windows.net",
    "queue": "privatelink.queue.core.windows.net",
    "table": "privatelink.table.core.windows.net",
    "vault": "privatelink.vaultcore.azure.net",
    "sites": "privatelink.azurewebsites.net",
}


def app_subnets(its: Snapshot) -> Iterator[Resource]:
    """Properties of every subnet that is made for a Flex Consumption app: "Flex Consumption: virtual network integration"."""
    inline = [
        subnet for network in its.resources(f"{NETWORK}virtualNetworks") for subnet in network["properties"]["subnets"]
    ]
    for subnet in (*its.resources(SUBNET), *inline):
        properties = subnet["properties"]
        services = [at(each, "properties.serviceName") for each in properties.get("delegations", ())]
        if "hopkeeper" in subnet["name"] and "endpoints" not in subnet["name"]:
            assert services == ["Microsoft.App/environments"], subnet["name"]
            yield properties


def ways_through_the_nvas(its: Snapshot) -> list[str]:
    """A default route that the NVAs announce is programmed in the app's subnet too ("Azure Route Server FAQ"): a route of the
    subnet's own outweighs it, and leads nowhere without a gateway (no default outbound access)."""
    past = {
        table["id"]
        for table in its.resources(f"{NETWORK}routeTables")
        for route in at(table, "properties.routes", ())
        if (at(route, "properties.addressPrefix"), at(route, "properties.nextHopType")) == ("0.0.0.0/0", "Internet")
    }
    found = []
    for subnet in app_subnets(its):
        found += [] if at(subnet, "routeTable.id") in past else ["no route past the NVAs"]
        found += [] if at(subnet, "natGateway.id") else ["no way out of the route"]
    return found


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_app_does_not_leave_through_the_nva_that_it_fails_over(deployment: str) -> None:
    assert ways_through_the_nvas(snapshot(deployment)) == []


def test_the_labs_app_does_not_either() -> None:
    assert len(list(app_subnets(lab()))) == 1
    assert ways_through_the_nvas(lab()) == []


def test_a_way_through_the_nvas_is_named() -> None:
    its = snapshot(FIRST)
    assert len(list(app_subnets(its))) == 1
    assert ways_through_the_nvas(its.spoilt(SUBNET, "properties.natGateway")) == ["no way out of the route"]
    for other in (
        its.spoilt(SUBNET, "properties.routeTable"),
        its.spoilt(f"{NETWORK}routeTables", "properties.routes.0.properties.nextHopType", "VirtualAppliance"),
        its.spoilt(f"{NETWORK}routeTables", "properties.routes.0.properties.addressPrefix", "0.0.0.0/1"),
    ):
        assert ways_through_the_nvas(other) == ["no route past the NVAs"]


# --- who is admitted


def shut_out(its: Snapshot) -> list[str]:
    """Who must reach the app and cannot."""
    site, allowed = its.one(SITE), _allowed(its)
    subnets = {rule["vnetSubnetResourceId"] for rule in allowed if "vnetSubnetResourceId" in rule}
    others = subnets - {at(site, "properties.virtualNetworkSubnetId")}
    prefixes = _addresses(allowed, "Default")
    found = [
        f"the platform's {tag}" for tag in sorted({"AzureEventGrid", "ActionGroup"} - _addresses(allowed, "ServiceTag"))
    ]
    found += [] if "sites" in parts(its) or others or prefixes else ["every agent"]
    # A subnet is known to a rule only through a service endpoint: "Set up Azure App Service access restrictions".
    known = [made for made in its.resources(SUBNET) if made["id"] in subnets]
    without = [made["id"] for made in known if not _has_endpoint(made)]
    return found + [f"{subnet.rpartition('/')[2]}, which has no service endpoint" for subnet in without]


def _allowed(its: Snapshot) -> list[dict[str, Any]]:
    rules = at(its.one(SITE), "properties.siteConfig.ipSecurityRestrictions", ())
    return [rule for rule in rules if rule["action"] == "Allow"]


def _addresses(allowed: list[dict[str, Any]], tag: str) -> set[str]:
    found = [rule for rule in allowed if rule.get("tag", "Default") == tag]
    return {rule["ipAddress"] for rule in found if "ipAddress" in rule}


def _has_endpoint(subnet: dict[str, Any]) -> bool:
    return "Microsoft.Web" in [each["service"] for each in at(subnet, "properties.serviceEndpoints", ())]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_agents_and_the_platform_are_admitted(deployment: str) -> None:
    assert shut_out(snapshot(deployment)) == []


def test_whoever_is_shut_out_is_named() -> None:
    its, everything = snapshot(FIRST), snapshot(EVERYTHING)
    assert shut_out(its.replaced('"vnetSubnetResourceId"', '"subnet"')) == ["every agent"]
    assert shut_out(everything.replaced('"vnetSubnetResourceId"', '"subnet"')) == []
    assert shut_out(its.replaced('"ActionGroup"', '"AzureMonitor"')) == ["the platform's ActionGroup"]
    unknown = its.spoilt(SUBNET, "properties.serviceEndpoints")
    assert shut_out(unknown) == ["snet-hopkeeper, which has no service endpoint"]


# --- private endpoints


def parts(its: Snapshot) -> set[str]:
    return {
        part
        for endpoint in its.resources(ENDPOINT)
        for connection in endpoint["properties"]["privateLinkServiceConnections"]
        for part in connection["properties"]["groupIds"]
    }


def closed_to_the_app(its: Snapshot) -> list[str]:
    """Parts that the public address does not serve, and no endpoint either."""
    needed: set[str] = set()
    for type_, its_parts in ((ACCOUNT, {"blob", "queue", "table"}), (VAULT, {"vault"})):
        rules = at(its.one(type_), "properties.networkAcls.defaultAction")
        public = str(at(its.one(type_), "properties.publicNetworkAccess", "Enabled")).lower()
        needed |= its_parts if rules == "Deny" or public == "disabled" else set()
    return sorted(needed - parts(its))


def nameless(its: Snapshot) -> list[str]:
    """Endpoints whose names still lead to the public address."""
    groups = {
        group["id"].rpartition("/privateDnsZoneGroups/")[0]: [
            at(config, "properties.privateDnsZoneId") for config in group["properties"]["privateDnsZoneConfigs"]
        ]
        for group in its.resources(f"{ENDPOINT}/privateDnsZoneGroups")
    }
    made, linked = {zone["id"] for zone in its.resources(f"{NETWORK}privateDnsZones")}, _linked(its)
    own = re.compile(rf"/resourceGroups/{its.one(SITE)['id'].split('/')[4]}/", re.IGNORECASE)
    found = []
    for endpoint in its.resources(ENDPOINT):
        (part,) = at(endpoint, "properties.privateLinkServiceConnections.0.properties.groupIds")
        zones = groups.get(endpoint["id"], [])
        found += [] if [zone.rpartition("/")[2] for zone in zones] == [ZONES[part]] else [f"{part} is in no zone"]
        # A zone that is not made here was named: its links are its owner's business.
        found += [f"{part} is not found from the app's network" for zone in zones if zone in made - linked]
        found += [f"{part}'s zone is not made" for zone in zones if zone not in made and own.search(zone)]
    return found


def _linked(its: Snapshot) -> set[str]:
    """Zones that the app's network resolves."""
    network = at(its.one(SITE), "properties.virtualNetworkSubnetId").partition("/subnets/")[0].lower()
    links = its.resources(f"{NETWORK}privateDnsZones/virtualNetworkLinks")
    mine = [link["id"] for link in links if at(link, "properties.virtualNetwork.id").lower() == network]
    return {link.rpartition("/virtualNetworkLinks/")[0] for link in mine}


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_what_is_closed_to_the_public_is_open_to_the_app(deployment: str) -> None:
    assert closed_to_the_app(snapshot(deployment)) == []


@pytest.mark.parametrize("deployment", [each for each in DEPLOYMENTS if each != TOPIC_OF_OTHERS])
def test_every_private_endpoint_has_a_name_that_the_app_finds(deployment: str) -> None:
    assert nameless(snapshot(deployment)) == []


def test_names_that_another_owner_keeps_are_left_to_them() -> None:
    its = snapshot(TOPIC_OF_OTHERS)
    assert parts(its) == set(ZONES)
    assert its.resources(f"{ENDPOINT}/privateDnsZoneGroups") == its.resources(f"{NETWORK}privateDnsZones") == []


def test_a_part_that_is_closed_or_nameless_is_named() -> None:
    its = snapshot(EVERYTHING)
    assert parts(its) == set(ZONES)
    assert closed_to_the_app(its.without(ENDPOINT, "pe-table")) == ["table"]
    assert closed_to_the_app(snapshot(FIRST).spoilt(VAULT, "properties.publicNetworkAccess", "disabled")) == ["vault"]
    assert nameless(its.without(f"{ENDPOINT}/privateDnsZoneGroups", "pe-queue")) == ["queue is in no zone"]
    astray = its.without(f"{NETWORK}privateDnsZones/virtualNetworkLinks", "vaultcore")
    assert nameless(astray) == ["vault is not found from the app's network"]
    assert nameless(its.without(f"{NETWORK}privateDnsZones", "privatelink.azurewebsites")) == [
        "sites's zone is not made"
    ]
    assert nameless(its.replaced("privatelink.table.core", "privatelink.tables.core")) == ["table is in no zone"]
