"""The custom roles grant every action that the code can call and nothing more, each at its own scope.

Names of actions: "Azure permissions for Networking" and "... for Monitor" (learn.microsoft.com), and for the linked joins
what Azure Resource Manager asks for when a pool names interfaces or addresses.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest

from tests.infra.bicep_text import files, leaves, parsed, planted, strings, text
from tests.infra.sdk_calls import adapters, operations, sdks

NETWORK = "Microsoft.Network/"
# A long-running operation is polled at subscription scope, wherever its resource is.
POLLED = {
    "subscription": {f"{NETWORK}locations/operations/read", f"{NETWORK}locations/operationResults/read"},
}
type Needs = dict[str, set[str]]

# What each SDK operation asks of which role. A new call without an entry fails.
OPERATIONS: dict[str, Needs] = {
    "virtual_hubs.get": {"route-server": {f"{NETWORK}virtualHubs/read"}},
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
        "backend-network": {f"{NETWORK}virtualNetworks/joinLoadBalancer/action"},
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
# SDKs whose rights are built-in data roles (or that are asked for nothing), besides those above.
OTHER_SDKS = {"azure.mgmt.network.aio", "azure.identity.aio", "azure.storage.blob.aio", "azure.storage.queue.aio"}
WILDCARDS = {
    f"{NETWORK}virtualHubs/bgpConnections/*": "the published operations name neither learnedRoutes/action nor "
    "advertisedRoutes/action, "
    "and Azure refuses a role with an action that it does not know"
}
# Built-in roles that Bicep may assign: "Azure built-in roles".
BUILT_IN = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
}
# Where each role may be assigned: the module that does, and what it is scoped to.
SCOPES = {
    "routeServerRole": ("modules/grant-route-server.bicep", "Microsoft.Network/virtualHubs"),
    "loadBalancerRole": ("modules/grant-load-balancer.bicep", "Microsoft.Network/loadBalancers"),
    "backendNetworkRole": ("modules/grant-backend-network.bicep", "Microsoft.Network/virtualNetworks"),
    "scaleSetRole": ("modules/grant-scale-set.bicep", "Microsoft.Compute/virtualMachineScaleSets"),
    "applianceNetworkRole": ("modules/grant-appliance-network.bicep", None),
    "subscriptionRole": ("modules/grant-subscription.bicep", None),
    "interfaceRole": ("modules/grant-interface.bicep", "Microsoft.Network/networkInterfaces"),
    "networkPeeringRole": ("modules/grant-network-peerings.bicep", "Microsoft.Network/virtualNetworks"),
    "networkPeeringFlagsRole": ("modules/grant-network-peerings.bicep", "Microsoft.Network/virtualNetworks"),
    "routeServerFlagsRole": ("modules/grant-route-server.bicep", "Microsoft.Network/virtualHubs"),
    "healthLogsRole": ("modules/grant-health-logs.bicep", "Microsoft.OperationalInsights/workspaces"),
}


def granted(texts: Mapping[str, str]) -> Needs:
    """Actions by the key of the role."""
    roles = parsed(texts)["modules/roles.bicep"].variables()["roles"]
    found = {}
    for role in roles.named_children:
        if role.type == "object":
            values = dict(leaves(role))
            found[text(values["key"]).strip("'")] = set(strings(values["actions"]))
    return found


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


def problems(texts: Mapping[str, str], code: Mapping[str, str]) -> list[str]:
    has, needs = granted(texts), needed(code)
    found = []
    for role in sorted({*has, *needs}):
        mine, wanted = has.get(role, set()), needs.get(role, set())
        found += [f"{role} lacks {each}" for each in sorted(wanted) if not any(fnmatchcase(each, its) for its in mine)]
        found += [
            f"{role} has idle {its}" for its in sorted(mine) if not any(fnmatchcase(each, its) for each in wanted)
        ]
        found += [f"{role} has wide {its}" for its in sorted(mine) if "*" in its and its not in WILDCARDS]
    return found


def misplaced(texts: Mapping[str, str]) -> list[str]:
    """Roles that are assigned by another module, or at another scope, than SCOPES says."""
    sources = parsed(texts)
    found = []
    assigned = {
        value.removeprefix("roles.outputs."): module.type
        for module in sources["main.bicep"].modules()
        for value in module.values.get("params.roleName", ())
    }
    for role, (module, scope) in SCOPES.items():
        if assigned.get(role) != module:
            found.append(f"{role} is assigned by {assigned.get(role)}")
        types = {resource.symbol: resource.type.split("@")[0] for resource in sources[module].resources()}
        (access,) = (each for each in sources[module].resources() if "roleAssignments" in each.type)
        at = [types[symbol] for symbol in access.values.get("scope", ())]
        if at != ([scope] if scope else []):
            found.append(f"{role} is assigned at {at}")
    return found


def test_the_roles_grant_what_the_code_calls_and_nothing_more() -> None:
    assert problems(files(), adapters()) == []


def test_every_operation_of_the_table_is_called() -> None:
    assert operations(adapters()) == set(OPERATIONS)


ACTIONS = sorted((role, action) for role, actions in granted(files()).items() for action in actions)


@pytest.mark.parametrize(("role", "action"), ACTIONS)
def test_an_action_that_is_taken_away_is_missed(role: str, action: str) -> None:
    its = files()["modules/roles.bicep"].partition(f"key: '{role}'")[2]  # another role may have the same action
    old = its[: its.index(f"'{action}'") + len(action) + 2]
    spoilt = planted("modules/roles.bicep", old, old.replace(action, f"{action.rpartition('/')[0]}/nothing"))
    found = problems(spoilt, adapters())
    assert any(problem.startswith(f"{role} lacks ") for problem in found)
    assert any(problem.startswith(f"{role} has idle ") for problem in found)


@pytest.mark.parametrize(
    ("action", "fault"),
    [("Microsoft.Network/loadBalancers/delete", "idle"), ("Microsoft.Network/loadBalancers/*", "wide"), ("*", "wide")],
)
def test_an_action_too_many_is_named(action: str, fault: str) -> None:
    known = "'Microsoft.Network/loadBalancers/read'"
    spoilt = planted("modules/roles.bicep", known, f"{known}\n      '{action}'")
    assert f"load-balancer has {fault} {action}" in problems(spoilt, adapters())


def test_a_wildcard_has_a_reason_and_is_in_use() -> None:
    in_use = {action for actions in granted(files()).values() for action in actions if "*" in action}
    assert in_use == set(WILDCARDS)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("network.virtual_hub_bgp_connections.list(", "network.route_maps.list(", "route_maps.list"),
        ("connections.begin_delete(", "connections.get(", "virtual_hub_bgp_connection.get"),
        ("(await network.virtual_hubs.get(", "(await other.begin_start(", "?.begin_start"),
    ],
)
def test_a_call_without_an_entry_is_named(old: str, new: str, named: str) -> None:
    code = adapters()
    assert old in code["route_server.py"]
    with pytest.raises(LookupError, match=named.replace("?", r"\?")):
        needed(code | {"route_server.py": code["route_server.py"].replace(old, new)})


def test_an_sdk_without_an_entry_is_named() -> None:
    with pytest.raises(LookupError, match=r"azure\.keyvault\.secrets\.aio"):
        needed(adapters() | {"new.py": 'SDK = "azure.keyvault.secrets.aio"'})


def test_each_role_is_assigned_at_the_smallest_scope() -> None:
    assert misplaced(files()) == []


def test_a_role_at_a_wider_scope_is_named() -> None:
    wider = planted("modules/grant-route-server.bicep", "  scope: server\n", "")
    assert misplaced(wider) == ["routeServerRole is assigned at []", "routeServerFlagsRole is assigned at []"]
    swapped = planted("main.bicep", "roles.outputs.routeServerRole", "roles.outputs.loadBalancerRole")
    assert "routeServerRole is assigned by None" in misplaced(swapped)


def built_in(texts: Mapping[str, str]) -> set[str]:
    literals = {each for source in parsed(texts).values() for each in strings(source.root)}
    return {each for each in literals if len(each) == 36 and each.count("-") == 4}


def test_only_data_roles_among_the_built_in_ones_are_assigned() -> None:
    assert built_in(files()) == set(BUILT_IN)
    contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
    assert contributor in built_in(
        planted("modules/key-vault.bicep", "4633458b-17de-408a-b874-0445c86b69e6", contributor)
    )
