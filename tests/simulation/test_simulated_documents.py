"""Documents of the simulated Azure on virtual time: written whole, as children, and refused, as Azure answers.

Each value has its source beside it; an index id names a stored public file.
"""

import json
from typing import Any

import pytest
from azure.mgmt.network import models

from lab.kit.credential import authorization, token_for
from simulator import arm
from simulator.clock import VirtualClock
from simulator.data_plane import probed
from simulator.kinds import KINDS
from simulator.seeds import SUBSCRIPTION, HubSeed, hub_seed
from simulator.wire import Reply, Request, decoded
from simulator.world import World

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
HOST = "https://arm.example"
BALANCER = WANTED.load_balancer_id
POOL = f"{BALANCER}/backendAddressPools/nvas"
RULE = f"{BALANCER}/loadBalancingRules/all-ports"
SCOPE = WANTED.network_scope
NETWORK = f"{SCOPE}/virtualNetworks/vnet"
BEYOND = f"{SCOPE}/virtualNetworks/beyond"
PEERING = f"{NETWORK}/virtualNetworkPeerings/out"
INTERFACE = f"{SCOPE}/networkInterfaces/nva-a-nic"
CONFIGURATION = f"{INTERFACE}/ipConfigurations/ipconfig1"
TABLE = f"{SCOPE}/routeTables/table"
SET = SCOPE.replace("Microsoft.Network", "Microsoft.Compute") + "/virtualMachineScaleSets/set"
MACHINE = SCOPE.replace("Microsoft.Network", "Microsoft.Compute") + "/virtualMachines/nva-a"
ADDRESSES = f"{WANTED.route_server_id}/ipConfigurations/ipconfig1"
NAT_RULE = f"{BALANCER}/inboundNatRules/ssh"
PUBLIC = f"{SCOPE}/publicIPAddresses/pip"
GATEWAY = f"{SCOPE}/virtualNetworkGateways/gw"
BGP = f"{WANTED.route_server_id}/bgpConnections/a"


def interfaces_only(seed: dict[str, Any]) -> dict[str, Any]:
    """The pool as `az network nic ip-config address-pool add` makes it: interfaces, no addresses."""
    (balancer,) = (one for one in seed["resources"] if one["id"] == BALANCER)
    for member in balancer["properties"]["backendAddressPools"][0]["properties"]["loadBalancerBackendAddresses"]:
        del member["properties"]["ipAddress"]
    return seed


class Azure:
    def __init__(self, *, interfaces: bool = False) -> None:
        self.clock = VirtualClock()
        seed = hub_seed(WANTED, alert_threshold=None)
        seed["resources"] += [
            {
                "id": NETWORK,
                "location": "uksouth",
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                    "subnets": [{"name": "appliances", "properties": {"addressPrefix": "10.0.1.0/24"}}],
                },
            },
            {"id": PUBLIC, "location": "uksouth", "properties": {}},
            {"id": ADDRESSES, "properties": {"subnet": {"id": f"{NETWORK}/subnets/appliances"}}},
            {"id": BEYOND, "location": "uksouth", "properties": {"addressSpace": {"addressPrefixes": ["10.9.0.0/16"]}}},
            {"id": PEERING, "properties": {"remoteVirtualNetwork": {"id": BEYOND}, "allowForwardedTraffic": True}},
            {"id": TABLE, "location": "uksouth", "properties": {"routes": [{"name": "all", "properties": {}}]}},
            {"id": GATEWAY, "location": "uksouth", "properties": {"gatewayType": "Vpn", "vpnType": "RouteBased"}},
            {"id": BGP, "properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}},
        ]
        (balancer,) = (one for one in seed["resources"] if one["id"] == BALANCER)
        ssh = {"protocol": "Tcp", "frontendPort": 50000, "backendPort": 22}
        frontend = {"id": f"{BALANCER}/frontendIPConfigurations/fe"}
        balancer["properties"]["inboundNatRules"] = [
            {"name": "ssh", "properties": {"frontendIPConfiguration": frontend, **ssh}}
        ]
        self.world = World(self.clock, interfaces_only(seed) if interfaces else seed)
        self.world.scale_sets.add(SET, "0", "10.0.3.4")

    def call(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        path, _, query = url.removeprefix(HOST).partition("?")
        asked = dict(pair.split("=", 1) for pair in query.split("&")) if query else {"api-version": "2025-05-01"}
        content = b"" if body is None else json.dumps(body).encode()
        shown = authorization() if headers is None else headers
        return arm.answer(self.world, Request(method, path, asked, shown, content, HOST))

    def get(self, url: str) -> Any:
        reply = self.call("GET", url)
        assert reply.status == 200, reply.body
        return json.loads(reply.content())

    def put(self, url: str, body: Any) -> Reply:
        reply = self.call("PUT", url, body)
        assert reply.status in (200, 201), reply.body
        self.pass_seconds(120)
        return reply

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.world.settle()

    def health(self, rule: str = RULE) -> dict[str, tuple[str, str]]:
        accepted = self.call("POST", f"{rule}/health")
        assert accepted.status == 202
        self.pass_seconds(1)
        rows = self.call("GET", accepted.headers["Location"]).body["loadBalancerBackendAddresses"]
        return {row["ipAddress"]: (row["state"], row["reason"]) for row in rows}


def refusal(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body["error"]["code"]


def without_etags(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_etags(one) for name, one in value.items() if name != "etag"}
    return [without_etags(one) for one in value] if isinstance(value, list) else value


WRITTEN = {
    "virtualHubs": WANTED.route_server_id,
    "bgpConnections": BGP,
    "ipConfigurations": ADDRESSES,
    "loadBalancers": BALANCER,
    "backendAddressPools": POOL,
    "networkInterfaces": INTERFACE,
    "virtualNetworks": NETWORK,
    "subnets": f"{NETWORK}/subnets/appliances",
    "inboundNatRules": NAT_RULE,
    "publicIPAddresses": PUBLIC,
    "virtualNetworkPeerings": PEERING,
    "routeTables": TABLE,
    "virtualNetworkGateways": GATEWAY,
    "virtualMachines": MACHINE,
    "virtualMachineScaleSets": SET,
    "virtualMachineScaleSets/virtualMachines": f"{SET}/virtualMachines/0",
}


@pytest.mark.parametrize("interfaces", [False, True])
@pytest.mark.parametrize("kind", WRITTEN)
def test_what_was_read_and_is_put_back_changes_nothing(kind: str, interfaces: bool) -> None:
    azure = Azure(interfaces=interfaces)
    before = azure.get(WRITTEN[kind])
    azure.put(WRITTEN[kind], before)
    assert without_etags(azure.get(WRITTEN[kind])) == without_etags(before)
    azure.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": probed(True, None)})
    assert azure.health() == {"10.0.1.4": ("Up", "Up_Probe_Success"), "10.0.1.5": ("Down", "NA")}


def test_every_type_that_is_written_is_put_back() -> None:
    written = {name for name, verb in arm.HANDLERS if verb == "PUT"}
    put_back = {resource.split("/providers/")[1].lower() for resource in WRITTEN.values()}
    types = {"/".join([one.split("/")[0], *one.split("/")[1::2]]) for one in put_back}
    assert types == written
    assert {name for name, kind in KINDS.items() if kind.is_written_whole} <= types


@pytest.mark.parametrize(
    "resource", [INTERFACE, NETWORK, PUBLIC, TABLE, GATEWAY, MACHINE, BALANCER, WANTED.route_server_id]
)
def test_a_patch_replaces_the_tags_and_nothing_else(resource: str) -> None:
    """ "Update Tags" of Microsoft.Network 2025-05-01; its body is TagsObject."""
    azure = Azure()
    azure.put(resource, {**azure.get(resource), "tags": {"old": "1"}})
    before = azure.get(resource)
    patched = azure.call("PATCH", resource, {"tags": {"new": "2"}})
    assert (patched.status, patched.body["tags"]) == (200, {"new": "2"})
    azure.pass_seconds(120)
    assert without_etags(azure.get(resource)) == {**without_etags(before), "tags": {"new": "2"}}
    assert azure.get(resource).get("etag", "new") != before.get("etag", "old")


def test_an_embedded_child_has_the_etag_of_a_document_whose_tags_were_patched() -> None:
    azure = Azure()
    azure.call("PATCH", INTERFACE, {"tags": {"new": "2"}})
    assert azure.get(CONFIGURATION)["etag"] == azure.get(INTERFACE)["etag"]


def test_a_gateway_takes_its_time_and_keeps_its_subnet_and_its_address() -> None:
    """Its keys: index id 21327877162. How long it takes is chosen: public guides say 30 to 45 minutes."""
    azure = Azure()
    gateway = f"{SCOPE}/virtualNetworkGateways/new"
    facts = {"subnet": {"id": f"{BEYOND}/subnets/GatewaySubnet"}, "publicIPAddress": {"id": PUBLIC}}
    azure.put(f"{BEYOND}/subnets/GatewaySubnet", {"properties": {"addressPrefix": "10.9.0.0/27"}})
    wanted = {"gatewayType": "Vpn", "ipConfigurations": [{"name": "default", "properties": facts}]}
    made = azure.put(gateway, {"location": "uksouth", "properties": wanted})
    assert made.status == 201
    assert "Azure-AsyncOperation" in made.headers
    assert azure.get(gateway)["properties"]["provisioningState"] == "Updating"
    azure.pass_seconds(45 * 60)
    found = azure.get(gateway)["properties"]
    assert (found["provisioningState"], found["natRules"], found["enableBgp"]) == ("Succeeded", [], False)
    assert found["ipConfigurations"][0]["id"] == f"{gateway}/ipConfigurations/default"
    assert refusal(azure.call("DELETE", PUBLIC)) == (400, "PublicIPAddressCannotBeDeleted")
    assert refusal(azure.call("DELETE", BEYOND)) == (400, "InUseSubnetCannotBeDeleted")
    assert azure.call("DELETE", gateway).status == 202
    azure.pass_seconds(60)
    assert refusal(azure.call("GET", gateway)) == (404, "ResourceNotFound")
    assert azure.call("DELETE", PUBLIC).status == 202


@pytest.mark.parametrize("resource", [INTERFACE, BALANCER, MACHINE, WANTED.route_server_id])
def test_a_patch_that_changes_more_than_tags_is_refused_rather_than_half_done(resource: str) -> None:
    azure = Azure()
    refused = azure.call("PATCH", resource, {"tags": {"new": "2"}, "properties": {"x": 1}})
    assert refusal(refused) == (405, "MethodNotAllowed")
    assert "tags alone, not properties" in refused.body["error"]["message"]
    assert "new" not in (azure.get(resource).get("tags") or {})


def test_a_patch_of_what_is_not_there_is_refused() -> None:
    assert refusal(Azure().call("PATCH", f"{INTERFACE}x", {"tags": {}})) == (404, "ResourceNotFound")


@pytest.mark.parametrize("spelling", ["backendAddressPool", "backendAddressPools"])
def test_a_rule_says_its_pool_twice_whichever_spelling_was_written(spelling: str) -> None:
    """Recorded: index id 37928932. az drops one of the two from what it sends back."""
    azure = Azure()
    document = azure.get(BALANCER)
    facts = document["properties"]["loadBalancingRules"][0]["properties"]
    assert (facts["backendAddressPool"], facts["backendAddressPools"]) == ({"id": POOL}, [{"id": POOL}])
    del facts[spelling]
    azure.put(BALANCER, document)
    found = azure.get(RULE)["properties"]
    assert (found["backendAddressPool"], found["backendAddressPools"]) == ({"id": POOL}, [{"id": POOL}])


def test_a_load_balancer_has_what_arm_fills_in() -> None:
    """Recorded: LoadBalancerTest.test_find_by_name and index id 37928932."""
    azure = Azure()
    body = azure.get(BALANCER)
    facts = body["properties"]
    assert {"resourceGuid", "inboundNatPools", "outboundRules", "inboundNatRules"} <= facts.keys()
    rule = facts["loadBalancingRules"][0]["properties"]
    constants = (
        "enableTcpReset",
        "allowBackendPortConflict",
        "enableDestinationServiceEndpoint",
        "disableOutboundSnat",
    )
    assert [rule[name] for name in constants] == [False] * 4
    frontend = facts["frontendIPConfigurations"][0]["properties"]
    assert (frontend["privateIPAllocationMethod"], frontend["privateIPAddressVersion"]) == ("Static", "IPv4")
    facts["backendAddressPools"].append({"name": "empty"})
    azure.put(BALANCER, body)
    assert azure.get(f"{BALANCER}/backendAddressPools/empty")["properties"]["loadBalancerBackendAddresses"] == []


def test_what_uses_a_child_of_a_load_balancer_is_named_there() -> None:
    azure = Azure()
    body = azure.get(BALANCER)
    frontend = body["properties"]["frontendIPConfigurations"][0]["id"]
    out = {"backendAddressPool": {"id": POOL}, "frontendIPConfigurations": [{"id": frontend}], "protocol": "All"}
    into = {"frontendIPConfiguration": {"id": frontend}, "backendAddressPool": {"id": POOL}, "frontendPort": 22}
    body["properties"]["outboundRules"] = [{"name": "out", "properties": out}]
    body["properties"]["inboundNatRules"] = [{"name": "in", "properties": into}]
    azure.put(BALANCER, body)
    pool = azure.get(POOL)["properties"]
    assert pool["outboundRules"] == [{"id": f"{BALANCER}/outboundRules/out"}]
    assert pool["inboundNatRules"] == [{"id": f"{BALANCER}/inboundNatRules/in"}]
    assert [one["name"] for one in azure.get(f"{BALANCER}/outboundRules")["value"]] == ["out"]
    assert azure.get(f"{BALANCER}/inboundNatRules/in")["properties"]["enableTcpReset"] is False
    assert azure.get(frontend)["properties"]["outboundRules"] == pool["outboundRules"]


def test_a_peering_between_networks_has_what_arm_fills_in() -> None:
    """Recorded: index id 45260073171."""
    facts = Azure().get(PEERING)["properties"]
    assert (facts["peeringState"], facts["peeringSyncLevel"]) == ("Connected", "FullyInSync")
    assert (facts["doNotVerifyRemoteGateways"], facts["peerCompleteVnets"], facts["routeServiceVips"]) == (
        False,
        True,
        {},
    )
    assert (
        facts["remoteAddressSpace"] == facts["remoteVirtualNetworkAddressSpace"] == {"addressPrefixes": ["10.9.0.0/16"]}
    )
    assert facts["resourceGuid"]


# Children


CHILDREN = [
    (f"{INTERFACE}/ipConfigurations", "ipconfig1"),
    (f"{NETWORK}/subnets", "appliances"),
    (f"{NETWORK}/virtualNetworkPeerings", "out"),
    (f"{TABLE}/routes", "all"),
    (f"{BALANCER}/frontendIPConfigurations", "fe"),
    (f"{BALANCER}/probes", "agent"),
    (f"{SET}/virtualMachines/0/networkInterfaces/nic/ipConfigurations", "ipconfig1"),
]


@pytest.mark.parametrize(("collection", "name"), CHILDREN)
def test_a_child_is_the_same_alone_in_its_collection_and_in_its_parent(collection: str, name: str) -> None:
    azure = Azure()
    parent, _, kind = collection.rpartition("/")
    (listed,) = azure.get(collection)["value"]
    assert listed["name"] == name
    assert azure.get(f"{collection}/{name}") == listed
    assert azure.get(parent)["properties"][kind] == [listed]
    assert refusal(azure.call("GET", f"{collection}/other")) == (404, "NotFound")
    assert refusal(azure.call("GET", f"{parent}x/{kind}")) == (404, "ParentResourceNotFound")


# Pools of network interfaces


def test_a_pool_of_interfaces_names_them_and_they_name_it() -> None:
    """Recorded: index id 37928932."""
    azure = Azure(interfaces=True)
    facts = azure.get(POOL)["properties"]
    first = facts["loadBalancerBackendAddresses"][0]
    assert "ipAddress" not in first["properties"]
    assert first["properties"]["networkInterfaceIPConfiguration"] == {"id": CONFIGURATION}
    assert facts["backendIPConfigurations"][0] == {"id": CONFIGURATION}
    assert azure.get(CONFIGURATION)["properties"]["loadBalancerBackendAddressPools"] == [{"id": POOL}]
    listed = azure.get(f"{BALANCER}/networkInterfaces")["value"]
    assert [one["name"] for one in listed] == ["nva-a-nic", "nva-b-nic"]
    assert [one["id"] for one in azure.get(f"{INTERFACE}/loadBalancers")["value"]] == [BALANCER]


def test_an_interface_joins_and_leaves_a_pool_by_its_own_document() -> None:
    """Microsoft, "Backend pool management": any addition or deletion of such members is on the network interface."""
    azure = Azure(interfaces=True)
    body = azure.get(INTERFACE)
    del body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"]
    azure.put(INTERFACE, body)
    assert set(azure.health()) == {"10.0.1.5"}
    body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = [{"id": POOL}]
    azure.put(INTERFACE, body)
    added = azure.get(POOL)["properties"]["loadBalancerBackendAddresses"][-1]
    assert added["name"] == "rg-hub_nva-a-nicipconfig1"
    assert set(azure.health()) == {"10.0.1.4", "10.0.1.5"}
    body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = [{"id": POOL + "x"}]
    assert refusal(azure.call("PUT", INTERFACE, body)) == (400, "InvalidResourceReference")


def test_a_pool_s_own_document_neither_adds_an_interface_nor_takes_one_away() -> None:
    azure = Azure(interfaces=True)
    azure.put(POOL, {"properties": {"loadBalancerBackendAddresses": []}})
    assert set(azure.health()) == {"10.0.1.4", "10.0.1.5"}
    body = azure.get(BALANCER)
    body["properties"]["backendAddressPools"][0]["properties"] = {}
    azure.put(BALANCER, body)
    assert set(azure.health()) == {"10.0.1.4", "10.0.1.5"}
    new = {"name": "new", "properties": {"networkInterfaceIPConfiguration": {"id": CONFIGURATION}}}
    refused = azure.call("PUT", POOL, {"properties": {"loadBalancerBackendAddresses": [new]}})
    assert refusal(refused) == (400, "InvalidRequestFormat")


def test_admin_state_of_an_interface_in_a_pool_is_set_by_the_pool() -> None:
    """Microsoft, "Administrative State": only as part of a NIC-based pool's creation it cannot be set (2018582276)."""
    azure = Azure(interfaces=True)
    body = azure.get(POOL)
    body["properties"]["loadBalancerBackendAddresses"][0]["properties"]["adminState"] = "Down"
    azure.put(POOL, body)
    assert azure.health()["10.0.1.4"] == ("Down", "Down_Admin")


# Health of several rules


def test_each_rule_has_the_health_of_its_own_pools_by_its_own_probe() -> None:
    azure = Azure()
    body = azure.get(BALANCER)
    facts = body["properties"]
    other = {"protocol": "Tcp", "port": 22, "intervalInSeconds": 5, "noHealthyBackendsBehavior": "AllProbedUp"}
    facts["probes"].append({"name": "ssh", "properties": other})
    member = {"name": "c", "properties": {"ipAddress": "10.0.1.6"}}
    facts["backendAddressPools"].append({"name": "more", "properties": {"loadBalancerBackendAddresses": [member]}})
    rule = {**facts["loadBalancingRules"][0]["properties"], "probe": {"id": f"{BALANCER}/probes/ssh"}}
    del rule["backendAddressPool"]
    second = {**rule, "backendAddressPools": [{"id": POOL}, {"id": f"{BALANCER}/backendAddressPools/more"}]}
    facts["loadBalancingRules"].append({"name": "second", "properties": second})
    azure.put(BALANCER, body)
    plane = azure.world.data_plane
    plane.report(
        "lb-nva", {"10.0.1.4": probed(True, None), "10.0.1.5": probed(False, "Down_Probe_HttpStatus")}, "agent"
    )
    plane.report("lb-nva", {"10.0.1.4": probed(False, None), "10.0.1.6": probed(False, None)}, "SSH")
    assert azure.health() == {
        "10.0.1.4": ("Up", "Up_Probe_Success"),
        "10.0.1.5": ("Down", "Down_Probe_HttpStatusCodeError"),
    }
    all_up = ("Up", "Up_Probe_AllDownIsUp")
    assert azure.health(f"{BALANCER}/loadBalancingRules/second") == dict.fromkeys(
        ("10.0.1.4", "10.0.1.5", "10.0.1.6"), all_up
    )
    plane.report("lb-nva", {"10.0.1.6": probed(True, None)}, "ssh")
    assert azure.health(f"{BALANCER}/loadBalancingRules/second") == {
        "10.0.1.4": ("Down", "Down_Probe_TcpProbeTimeout"),
        "10.0.1.5": ("Down", "NA"),
        "10.0.1.6": ("Up", "Up_Probe_Success"),
    }
    with pytest.raises(KeyError, match="no probe that is called 'shh'"):
        plane.report("lb-nva", {"10.0.1.6": probed(True, None)}, "shh")


# Refusals


GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-hub"
HUBS = "providers/Microsoft.Network/virtualHubs"
ELSEWHERE = "/subscriptions/99999999-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("GET", f"{GROUP}x/{HUBS}", (404, "ResourceGroupNotFound")),
        ("GET", f"{GROUP}x/{HUBS}/rs-hub", (404, "ResourceGroupNotFound")),
        ("PUT", f"{GROUP}x/{HUBS}/rs-hub", (404, "ResourceGroupNotFound")),
        ("GET", f"{ELSEWHERE}/{HUBS}", (404, "SubscriptionNotFound")),
        ("GET", f"/subscriptions/x/{HUBS}", (400, "InvalidSubscriptionId")),
        ("GET", f"{GROUP}/{HUBS}/other", (404, "ResourceNotFound")),
        ("GET", f"{GROUP}/{HUBS}/other/bgpConnections/a", (404, "ParentResourceNotFound")),
        ("PUT", f"{GROUP}/{HUBS}/other/bgpConnections/a", (404, "ParentResourceNotFound")),
        ("POST", f"{GROUP}/{HUBS}/rs-hub/restart", (405, "MethodNotAllowed")),
        ("PUT", f"{GROUP}/{HUBS}/bad name!", (400, "InvalidResourceName")),
        ("PUT", f"{GROUP}/{HUBS}/{'n' * 81}", (400, "InvalidResourceName")),
        ("PUT", f"{GROUP}/{HUBS}/ends-with-", (400, "InvalidResourceName")),
        ("GET", f"{GROUP}/{HUBS}?other=1", (400, "MissingApiVersionParameter")),
    ],
)
def test_what_is_not_there_or_misspelt_is_refused_as_arm_refuses_it(
    method: str, url: str, expected: tuple[int, str]
) -> None:
    """Sources: simulator/refusals.py."""
    body = {"properties": {"peerIp": "10.0.1.9", "peerAsn": 65001}} if "bgp" in url else {"location": "uksouth"}
    assert refusal(Azure().call(method, url, body)) == expected


NETWORK_S = sorted(
    name for name, resource in WRITTEN.items() if "Microsoft.Network" in resource.rpartition("/providers/")[2]
)


@pytest.mark.parametrize("kind", NETWORK_S)
def test_a_property_that_a_type_has_not_is_refused(kind: str) -> None:
    """Seen of api 2024-10-01: index id 49101026355."""
    azure = Azure()
    resource = WRITTEN[kind]
    body = azure.get(resource)
    body["properties"]["peerIP4"] = "x"
    refused = azure.call("PUT", resource, body)
    assert refusal(refused) == (400, "InvalidRequestFormat")
    (detail,) = refused.body["error"]["details"]
    assert detail["code"] == "InvalidJson"
    assert detail["message"].startswith("Could not find member 'peerIP4' on object of type")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("loadBalancers", models.LoadBalancerPropertiesFormat),
        ("loadBalancers/backendAddressPools", models.BackendAddressPoolPropertiesFormat),
        ("loadBalancers/inboundNatRules", models.InboundNatRulePropertiesFormat),
        ("networkInterfaces", models.NetworkInterfacePropertiesFormat),
        ("publicIPAddresses", models.PublicIPAddressPropertiesFormat),
        ("routeTables", models.RouteTablePropertiesFormat),
        ("virtualHubs", models.VirtualHubProperties),
        ("virtualHubs/bgpConnections", models.BgpConnectionProperties),
        ("virtualHubs/ipConfigurations", models.HubIPConfigurationPropertiesFormat),
        ("virtualNetworkGateways", models.VirtualNetworkGatewayPropertiesFormat),
        ("virtualNetworks", models.VirtualNetworkPropertiesFormat),
        ("virtualNetworks/subnets", models.SubnetPropertiesFormat),
        ("virtualNetworks/virtualNetworkPeerings", models.VirtualNetworkPeeringPropertiesFormat),
    ],
)
def test_a_type_knows_every_property_that_the_specification_names(name: str, model: Any) -> None:
    """azure-mgmt-network is generated from the specification."""
    kind = KINDS[f"microsoft.network/{name}".lower()]
    named = {each._rest_name for each in model()._attr_to_rest_field.values()}
    assert {one for one in named if not kind.knows(one)} == set()


def test_a_property_that_a_document_has_is_put_back_whoever_named_it() -> None:
    """Azure answers some that no specification names."""
    azure = Azure()
    document = azure.world.state.resources.get(INTERFACE)
    assert document is not None
    document["properties"]["internal"] = True
    assert azure.put(INTERFACE, azure.get(INTERFACE)).body["properties"]["internal"] is True


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "AuthenticationFailed"),
        ({"authorization": "Bearer nonsense"}, "InvalidAuthenticationToken"),
        ({"authorization": "Basic " + token_for("https://management.azure.com")}, "InvalidAuthenticationToken"),
        (authorization("https://vault.azure.net"), "InvalidAuthenticationTokenAudience"),
    ],
)
def test_who_shows_no_token_for_the_management_api_is_refused_with_a_challenge(headers: Any, code: str) -> None:
    """Curl's answer and the challenge: index ids 32433223230, 7319117922."""
    refused = Azure().call("GET", BALANCER, headers=headers)
    assert refusal(refused) == (401, code)
    assert refused.headers["WWW-Authenticate"].startswith('Bearer authorization_uri="https://arm.example/')


def test_a_token_that_has_expired_is_refused() -> None:
    azure = Azure()
    azure.pass_seconds(4_000_000_000)
    assert refusal(azure.call("GET", BALANCER)) == (401, "ExpiredAuthenticationToken")


@pytest.mark.parametrize(
    "resource", [f"{BALANCER}x", f"{POOL}x", f"{NETWORK}x", f"{MACHINE}x", f"{PEERING}x", f"{BGP}x"]
)
def test_a_delete_of_what_is_not_there_is_204(resource: str) -> None:
    assert Azure().call("DELETE", resource).status == 204


def test_head_says_whether_a_resource_is_there() -> None:
    """ "Resources - Check Existence"."""
    assert Azure().call("HEAD", BALANCER).status == 204
    assert Azure().call("HEAD", f"{BALANCER}x").status == 404


def test_a_method_that_the_simulator_has_not_is_refused_with_what_it_has() -> None:
    refused = Azure().call("PATCH", f"{WANTED.route_server_id}/bgpConnections/a", {})
    assert refused.body["error"]["message"] == (
        "The simulator does not answer PATCH of Microsoft.Network/virtualHubs/bgpConnections; of that type it answers "
        "GET, HEAD, PUT, DELETE, and the actions learnedroutes, advertisedroutes."
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "metricnames=DipAvailabilty",
            "Failed to find metric configuration for provider: Microsoft.Network, resource Type: ",
        ),
        (
            "metricnames=DipAvailability&interval=PT7M",
            "Invalid time grain duration: PT7M, supported ones are: 00:01:00,",
        ),
        (
            "metricnames=DipAvailability&$filter=Backend eq '*'",
            "Metric: DipAvailability does not support requested dimension combination: backend, supported ones are: Pro",
        ),
    ],
)
def test_metrics_that_there_are_not_are_refused_with_a_flat_body(query: str, said: str) -> None:
    """Sources: simulator/metric_definitions.py."""
    url = f"{BALANCER}/providers/Microsoft.Insights/metrics?api-version=2023-10-01&{query}"
    refused = Azure().call("GET", url)
    assert (refused.status, refused.body["code"], set(refused.body)) == (400, "BadRequest", {"code", "message"})
    assert refused.body["message"].startswith(said)


def test_a_metric_has_its_documented_name_and_unit() -> None:
    """ "Supported metrics for Microsoft.Network/loadBalancers", index id 4384633577."""
    url = f"{BALANCER}/providers/Microsoft.Insights/metrics?api-version=2018-01-01&metricnames=dipavailability"
    (metric,) = Azure().get(url)["value"]
    assert metric["name"] == {"value": "DipAvailability", "localizedValue": "Health Probe Status"}
    assert (metric["unit"], metric["errorCode"]) == ("Count", "Success")


@pytest.mark.parametrize("quoted", ["a b/c:d", "a%20b%2Fc%3Ad", "a%2520b%252Fc%253Ad", "a+b%2Fc%3Ad"])
def test_a_query_value_is_what_it_is_however_often_it_was_quoted(quoted: str) -> None:
    """Azure/azure-cli, test_monitor_metrics_scenario.yaml at 1268baa3: a timespan that az quoted twice is answered 200."""
    assert decoded({"timespan": quoted}) == {"timespan": "a b/c:d"}


IMAGES = "locations/uksouth/publishers/Canonical/artifacttypes/vmimage/offers/ubuntu/skus/22_04/versions"


@pytest.mark.parametrize(
    ("method", "url", "kind"),
    [
        ("GET", f"{GROUP}/{HUBS}/rs-hub/routeMaps", "Microsoft.Network/virtualHubs/routeMaps"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Sql/servers", "Microsoft.Sql/servers"),
        (
            "GET",
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/{IMAGES}",
            "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions",
        ),
        ("PUT", f"{GROUP}/providers/Microsoft.Resources/deployments/d", "Microsoft.Resources/deployments"),
    ],
)
def test_a_type_of_which_nothing_is_known_is_refused_rather_than_empty(method: str, url: str, kind: str) -> None:
    refused = Azure().call(method, url, {} if method == "PUT" else None)
    assert refusal(refused) == (405, "MethodNotAllowed")
    assert refused.body["error"]["message"].startswith(f"The simulator does not simulate {kind}, and its seed has none")


def test_a_type_that_the_seed_has_is_listed_and_another_one_is_only_not_there_by_its_id() -> None:
    azure = Azure()
    server = f"{GROUP}/providers/Microsoft.Sql/servers/one"
    assert refusal(azure.call("GET", server)) == (404, "ResourceNotFound")
    azure.world.state.resources.put({"id": server, "name": "one", "type": "Microsoft.Sql/servers", "properties": {}})
    assert [one["name"] for one in azure.get(f"{GROUP}/providers/Microsoft.Sql/servers")["value"]] == ["one"]
