"""The custom roles grant every action that the code can call and nothing more, each at its own scope.

Names of actions: "Azure permissions for Networking" and "... for Monitor" (learn.microsoft.com), and for the linked joins
what Azure Resource Manager requires when a pool names interfaces or addresses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest

from tests.infra.compiler import INFRA, Snapshot, at, evaluated
from tests.infra.deployments import (
    AZD,
    BROUGHT,
    DEPLOYMENTS,
    EVERYTHING,
    FIRST,
    MAIN,
    OTHER,
    PUBLIC,
    TOPIC_OF_OTHERS,
    network_id,
    snapshot,
)
from tests.infra.sdk_calls import adapters, operations, sdks

NETWORK = "Microsoft.Network/"
# A long-running operation is polled at subscription scope, wherever its resource is.
POLLED = {
    "subscription": {f"{NETWORK}locations/operations/read", f"{NETWORK}locations/operationResults/read"},
}
type Needs = dict[str, set[str]]

# The actions that each SDK operation needs, by role. A new call without an entry fails.
OPERATIONS: dict[str, Needs] = {
    "virtual_hubs.get": {"route-server": {f"{NETWORK}virtualHubs/read"}},
    "virtual_hubs.list_by_resource_group": {},  # `hopkeeper init`, with an operator's own rights
    "load_balancers.list": {},
    "virtual_hub_bgp_connections.list": {"route-server": {f"{NETWORK}virtualHubs/bgpConnections/read"}},
    "virtual_hub_bgp_connection.begin_create_or_update": {  # read back on a later pass, not polled
        "route-server": {f"{NETWORK}virtualHubs/bgpConnections/write"}
    },
    "virtual_hub_bgp_connection.begin_delete": {"route-server": {f"{NETWORK}virtualHubs/bgpConnections/delete"}},
    "virtual_hub_bgp_connections.begin_list_learned_routes": {
        "route-server": {f"{NETWORK}virtualHubs/bgpConnections/learnedRoutes/action"},
        **POLLED,
    },
    "virtual_hub_bgp_connections.begin_list_advertised_routes": {
        "route-server": {f"{NETWORK}virtualHubs/bgpConnections/advertisedRoutes/action"},
        **POLLED,
    },
    "virtual_hubs.begin_create_or_update": {"route-server-flags": {f"{NETWORK}virtualHubs/write"}},  # read back later
    "network_interfaces.begin_get_effective_route_table": {
        "interface": {f"{NETWORK}networkInterfaces/effectiveRouteTable/action"},
        **POLLED,
    },
    "virtual_network_peerings.get": {
        "network-peering": {f"{NETWORK}virtualNetworks/virtualNetworkPeerings/read"},
    },
    "virtual_network_peerings.begin_create_or_update": {  # read back on a later pass; peer/action is the other end's
        "network-peering-flags": {
            f"{NETWORK}virtualNetworks/virtualNetworkPeerings/write",
            f"{NETWORK}virtualNetworks/peer/action",
        }
    },
    "network_interfaces.list_virtual_machine_scale_set_network_interfaces": {
        "scale-set": {"Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read"}
    },
    "network_interfaces.get": {"appliance-network": {f"{NETWORK}networkInterfaces/read"}},
    "virtual_networks.get": {"appliance-network": {f"{NETWORK}virtualNetworks/read"}},
    "subnets.get": {"app-subnet": {f"{NETWORK}virtualNetworks/subnets/read"}},
    "route_tables.get": {  # of the appliances' subnets, and of the app's own
        "appliance-network": {f"{NETWORK}routeTables/read"},
        "app-subnet": {f"{NETWORK}routeTables/read"},
    },
    "load_balancers.get": {"load-balancer": {f"{NETWORK}loadBalancers/read"}},
    "load_balancers.update_tags": {"load-balancer": {f"{NETWORK}loadBalancers/write"}},
    "load_balancer_backend_address_pools.get": {"load-balancer": {f"{NETWORK}loadBalancers/backendAddressPools/read"}},
    "load_balancer_backend_address_pools.begin_create_or_update": {
        "load-balancer": {
            f"{NETWORK}loadBalancers/backendAddressPools/write",
            f"{NETWORK}loadBalancers/backendAddressPools/join/action",
        },
        "backend-network": {
            f"{NETWORK}virtualNetworks/joinLoadBalancer/action",
            f"{NETWORK}virtualNetworks/subnets/joinLoadBalancer/action",  # where an address of the pool names its subnet
        },
        **POLLED,
    },
    "load_balancer_load_balancing_rules.begin_health": {
        "load-balancer": {f"{NETWORK}loadBalancers/loadBalancingRules/health/action"},
        **POLLED,
    },
    "azure.monitor.querymetrics.aio.query_resources": {"subscription": {"Microsoft.Insights/metrics/read"}},
    "azure.monitor.query.aio.query_workspace": {
        "health-logs": {
            "Microsoft.OperationalInsights/workspaces/query/read",
            "Microsoft.OperationalInsights/workspaces/query/ALBHealthEvent/read",
        }
    },
    "azure.eventgrid.aio.send": {},  # data only: EventGrid Data Sender
}
# SDKs whose rights are built-in data roles (or that are not called), besides those above.
OTHER_SDKS = {"azure.mgmt.network.aio", "azure.identity.aio", "azure.storage.queue.aio"}
WILDCARDS = {
    f"{NETWORK}virtualHubs/bgpConnections/*": "the published operations name neither learnedRoutes/action nor "
    "advertisedRoutes/action, "
    "and Azure refuses a role with an action that it does not know",
    "Microsoft.OperationalInsights/workspaces/query/*/read": "the published operations name some tables and not ALBHealthEvent",
}
STORAGE = "Microsoft.Storage/storageAccounts"
CONTAINER = f"{STORAGE}/blobServices/containers"
# Built-in roles that may be assigned ("Azure built-in roles"): to which principal, and at what scope. `app` is the app's
# identity, `deploy` the one that its package is written and read with, `topic` the system topic's own.
BUILT_IN = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
}
# The host's own containers are made for it, so that it needs no right on the account: AzureWebJobsStorage in "Use managed
# identity for connections", whose tables take its diagnostic events.
READS_THE_KEY = ("app", "Key Vault Secrets User", "Microsoft.KeyVault/vaults/secrets signing-key")
EXPECTED = {
    ("app", "Storage Blob Data Owner", f"{CONTAINER} hopkeeper"),
    ("app", "Storage Blob Data Owner", f"{CONTAINER} azure-webjobs-hosts"),
    ("app", "Storage Blob Data Owner", f"{CONTAINER} azure-webjobs-secrets"),
    ("app", "Storage Queue Data Contributor", STORAGE),
    ("app", "Storage Table Data Contributor", STORAGE),
    READS_THE_KEY,
    ("app", "Monitoring Metrics Publisher", "Microsoft.Insights/components"),
    ("deploy", "Storage Blob Data Contributor", f"{CONTAINER} packages"),
    ("topic", "Storage Blob Data Contributor", f"{CONTAINER} dead-letters"),
}
PUBLISHES = ("app", "EventGrid Data Sender", "Microsoft.EventGrid/topics")  # where it publishes
# Where each custom role may be assigned, and to the app only.
SCOPES = {
    "route-server": {f"{NETWORK}virtualHubs"},
    "load-balancer": {f"{NETWORK}loadBalancers"},
    "backend-network": {f"{NETWORK}virtualNetworks"},
    "scale-set": {"Microsoft.Compute/virtualMachineScaleSets"},
    "appliance-network": {"resource group"},
    "subscription": {"subscription"},
    "interface": {f"{NETWORK}networkInterfaces"},
    "network-peering": {f"{NETWORK}virtualNetworks"},
    "network-peering-flags": {f"{NETWORK}virtualNetworks"},
    "route-server-flags": {f"{NETWORK}virtualHubs"},
    "health-logs": {"Microsoft.OperationalInsights/workspaces"},
    "app-subnet": {f"{NETWORK}virtualNetworks/subnets", f"{NETWORK}routeTables"},
}


def roles_text() -> str:
    return (INFRA / "modules" / "roles.bicep").read_text()


def granted(content: str | None = None) -> Needs:
    """Actions by the key of the role, from the text of roles.bicep: stories played under these roles need no compiler."""
    code = re.sub(r"(?m)^\s*//.*$", "", content if content is not None else roles_text())
    roles = re.findall(r"key: '([\w-]+)'.*?actions: \[(.*?)\]", code, re.DOTALL)
    return {key: set(re.findall(r"'([^']+)'", actions)) for key, actions in roles}


def needed(code: Mapping[str, str]) -> Needs:
    """Raises LookupError for operations and SDKs that no table knows."""
    called = operations(code)
    unknown = called - set(OPERATIONS) | (sdks(code) - OTHER_SDKS - {name.rpartition(".")[0] for name in OPERATIONS})
    if unknown:
        raise LookupError(f"which actions do these need? {sorted(unknown)}")
    found: Needs = {}
    for operation in called:
        for role, actions in OPERATIONS[operation].items():
            found[role] = found.get(role, set()) | actions
    return found


def problems(has: Needs, code: Mapping[str, str]) -> list[str]:
    found, needs = [], needed(code)
    for role in sorted({*has, *needs}):
        mine, wanted = has.get(role, set()), needs.get(role, set())
        found += [f"{role} lacks {each}" for each in sorted(wanted) if not any(fnmatchcase(each, its) for its in mine)]
        found += [
            f"{role} has idle {its}" for its in sorted(mine) if not any(fnmatchcase(each, its) for each in wanted)
        ]
        found += [f"{role} has wide {its}" for its in sorted(mine) if "*" in its and its not in WILDCARDS]
    return found


def test_the_roles_grant_what_the_code_calls_and_nothing_more() -> None:
    assert problems(granted(), adapters()) == []


def test_every_operation_of_the_table_is_called() -> None:
    assert operations(adapters()) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("role", "action"), sorted((role, its) for role, actions in granted().items() for its in actions)
)
def test_an_action_that_is_taken_away_is_missed(role: str, action: str) -> None:
    other = granted()[role] - {action} | {"Microsoft.Network/nothing/read"}
    found = problems(granted() | {role: other}, adapters())
    assert any(problem.startswith(f"{role} lacks ") for problem in found)
    assert f"{role} has idle Microsoft.Network/nothing/read" in found


@pytest.mark.parametrize(
    ("action", "fault"),
    [("Microsoft.Network/loadBalancers/delete", "idle"), ("Microsoft.Network/loadBalancers/*", "wide"), ("*", "wide")],
)
def test_an_action_too_many_is_named(action: str, fault: str) -> None:
    more = granted() | {"load-balancer": granted()["load-balancer"] | {action}}
    assert f"load-balancer has {fault} {action}" in problems(more, adapters())


def test_a_wildcard_has_a_reason_and_is_in_use() -> None:
    assert {action for actions in granted().values() for action in actions if "*" in action} == set(WILDCARDS)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("network.virtual_hub_bgp_connections.list,", "network.route_maps.list,", "route_maps.list"),
        ("connections.begin_delete(", "connections.get(", "virtual_hub_bgp_connection.get"),
        ("(await network.virtual_hubs.get(", "(await other.begin_start(", "?.begin_start"),
    ],
)
def test_a_call_without_an_entry_is_named(old: str, new: str, named: str) -> None:
    code = adapters()
    assert old in code["arm/route_server.py"]
    with pytest.raises(LookupError, match=named.replace("?", r"\?")):
        needed(code | {"arm/route_server.py": code["arm/route_server.py"].replace(old, new)})


def test_an_sdk_without_an_entry_is_named() -> None:
    with pytest.raises(LookupError, match=r"azure\.keyvault\.secrets\.aio"):
        needed(adapters() | {"new.py": 'SDK = "azure.keyvault.secrets.aio"'})


# --- what the roles are, and where they are assigned, when it is deployed


def defined(its: Snapshot) -> dict[str, str]:
    """Keys of the custom roles by their GUIDs."""
    roles = its.resources("Microsoft.Authorization/roleDefinitions")
    return {role["name"]: re.sub(r"^Hopkeeper ([\w-]+) .*", r"\1", role["properties"]["roleName"]) for role in roles}


def test_the_compiler_reads_the_same_roles() -> None:
    its = snapshot(FIRST)
    keys = defined(its)
    read = {
        keys[role["name"]]: set(role["properties"]["permissions"][0]["actions"])
        for role in its.resources("Microsoft.Authorization/roleDefinitions")
    }
    assert read == granted()
    for role in its.resources("Microsoft.Authorization/roleDefinitions"):
        (permissions,) = role["properties"]["permissions"]
        assert permissions["notActions"] == permissions["dataActions"] == permissions["notDataActions"] == []


@dataclass(frozen=True, slots=True)
class Grant:
    """`scope` is a resource id, or that of a resource group or subscription."""

    to: str
    role: str
    scope: str

    @property
    def at(self) -> str:
        """The type of the scope; of what is one of several, with its name."""
        parts = self.scope.split("/")
        if "providers" not in parts:
            return {3: "subscription", 5: "resource group"}[len(parts)]
        type_ = "/".join([parts[6], *parts[7::2]])
        return f"{type_} {parts[-1]}" if type_.endswith(("/containers", "/secrets")) else type_


def grants(its: Snapshot) -> set[Grant]:
    roles, found = BUILT_IN | defined(its), set()
    for each in its.resources("Microsoft.Authorization/roleAssignments"):
        guid = at(each, "properties.roleDefinitionId").rpartition("/")[2]
        found.add(Grant(_holder(at(each, "properties.principalId")), roles.get(guid, guid), _scope(each["id"])))
    return found


def _holder(principal: str) -> str:
    if "/systemTopics/" in principal:
        return "topic"
    found = re.search(r"/userAssignedIdentities/[\w-]+?(-deploy)?'", principal)
    return principal if found is None else "deploy" if found[1] else "app"


def _scope(id_: str) -> str:
    """Of an assignment, whose own name is often known in Azure only."""
    if found := re.match(r"\[extensionResourceId\('([^']+)'", id_):
        return found[1]
    if found := re.match(r"\[resourceId\('([^']+)', '([^']+)'", id_):
        return f"/subscriptions/{found[1]}/resourceGroups/{found[2]}"
    if found := re.match(r"\[subscriptionResourceId\('([^']+)'", id_):
        return f"/subscriptions/{found[1]}"
    return id_.partition("/providers/Microsoft.Authorization/")[0]


def misplaced(its: Snapshot) -> list[str]:
    """Roles that another principal holds, or at another scope, than the tables say; and those of the tables not assigned."""
    held = grants(its)
    built_in = {(each.to, each.role, each.at) for each in held if each.role not in SCOPES}
    expected = EXPECTED | ({PUBLISHES} if its.resources("Microsoft.EventGrid/topics") else set())
    # There is no right on a key that is not there yet: azd's hook makes it after the first deployment.
    later = set() if its.resources("Microsoft.EventGrid/systemTopics/eventSubscriptions") else {READS_THE_KEY}
    found = [f"{to} is not {role} at {scope}" for to, role, scope in expected - later - built_in]
    found += [f"{to} is {role} at {scope}" for to, role, scope in built_in - expected]
    found += [
        f"{each.to} is {each.role} at {each.at}"
        for each in held
        if each.role in SCOPES and (each.to != "app" or each.at not in SCOPES[each.role])
    ]
    package = at(its.one("Microsoft.Web/sites"), "properties.functionAppConfig.deployment.storage.authentication")
    if not package["userAssignedIdentityResourceId"].endswith("-deploy"):
        found.append("the package is read by another identity")
    return sorted(found)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_each_role_is_assigned_at_the_smallest_scope(deployment: str) -> None:
    assert misplaced(snapshot(deployment)) == []


def test_every_role_is_assigned_and_the_app_reads_its_own_route_table() -> None:
    everything = grants(snapshot(EVERYTHING))
    assert {each.role for each in everything} == {*SCOPES, *(role for _, role, _ in EXPECTED), PUBLISHES[1]}
    for its in (everything, grants(snapshot(TOPIC_OF_OTHERS))):
        assert {each.at for each in its if each.role == "app-subnet"} == SCOPES["app-subnet"]


def test_every_network_that_is_named_is_looked_after() -> None:
    """Both hubs, in subscriptions of their own."""
    held = grants(snapshot(EVERYTHING))
    assert {each.scope.rpartition("/")[2] for each in held if each.role == "route-server"} == {"rs-hub", "rs-other"}
    assert {each.scope[15:17] for each in held if each.role == "subscription"} == {"00", "11"}


THIRD = OTHER.replace("11111111-1111-1111-1111-111111111111", "44444444-4444-4444-4444-444444444444")
NETWORK_OF_A_THIRD = network_id("virtualNetworks", "vnet-spoke", THIRD)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"HOPKEEPER_BACKEND_NETWORKS": NETWORK_OF_A_THIRD},
        {"HOPKEEPER_APPLIANCE_GROUPS": THIRD},
        {**BROUGHT, "HOPKEEPER_APP_SUBNET_ID": f"{NETWORK_OF_A_THIRD}/subnets/snet-functions"},
    ],
    ids=lambda elsewhere: next(iter(elsewhere)),
)
def test_a_role_is_assignable_in_every_subscription_where_it_is_assigned(elsewhere: Mapping[str, str]) -> None:
    its = evaluated(MAIN, AZD | PUBLIC | elsewhere)
    custom = its.resources("Microsoft.Authorization/roleDefinitions")[0]["properties"]["assignableScopes"]
    assert any(each.scope.startswith(THIRD) for each in grants(its))
    assert THIRD.partition("/resourceGroups/")[0] in custom


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("/virtualHubs/rs-other', 'Micro", "/loadBalancers/rs-other', 'Micro", "app is route-server at Microsoft.Network/loadB"),
        ("/blobServices/default/containers/hopkeeper', 'Micro", "', 'Micro", f"app is Storage Blob Data Owner at {STORAGE}"),
        ("/containers/azure-webjobs-hosts', 'Micro", "/containers/packages', 'Micro", "app is Storage Blob Data Owner"),
        ("0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3", "b24988ac-6180-42a0-ab88-20f7382dd24c", "app is b24988ac-6180"),
        ("-deploy', '", "', '", f"app is Storage Blob Data Contributor at {CONTAINER} packages"),
        ('-deploy"}', '"}', "the package is read by another identity"),
        ("/secrets/signing-key', 'Micro", "', 'Micro", "app is Key Vault Secrets User at Microsoft.KeyVault/vaults"),
    ],
)  # fmt: skip
def test_a_role_at_a_wider_scope_or_in_other_hands_is_named(old: str, new: str, named: str) -> None:
    assert any(problem.startswith(named) for problem in misplaced(snapshot(EVERYTHING).replaced(old, new)))
