"""Each action of the custom roles in infra/bicep is needed by a named story (that they are enough: test_stories).

The simulator is seeded with exactly what Bicep grants, each role at the scopes that it is assigned at, and answers 403 to
everything else.
"""

from collections.abc import Iterator

import pytest

from tests.simulation.story_roles import actions, played

NETWORK = "Microsoft.Network/"
LOGS = "Microsoft.OperationalInsights/workspaces/"

# The story that cannot be played without an action.
STORY_OF = {
    f"{NETWORK}virtualHubs/read": "a-speaker-leaves",
    f"{NETWORK}virtualHubs/bgpConnections/read": "a-speaker-leaves",
    f"{NETWORK}virtualHubs/bgpConnections/write": "a-speaker-leaves",
    f"{NETWORK}virtualHubs/bgpConnections/delete": "a-speaker-leaves",
    f"{NETWORK}virtualHubs/bgpConnections/learnedRoutes/action": "edited-by-hand",
    f"{NETWORK}virtualHubs/bgpConnections/advertisedRoutes/action": "what-routes-say",
    f"{NETWORK}networkInterfaces/effectiveRouteTable/action": "what-routes-say",
    f"{NETWORK}networkInterfaces/read": "what-routes-say",
    f"{NETWORK}virtualNetworks/read": "what-routes-say",
    f"{NETWORK}routeTables/read": "what-routes-say",
    f"{NETWORK}virtualNetworks/subnets/read": "what-routes-say",
    f"{NETWORK}virtualHubs/write": "flags-are-repaired",
    f"{NETWORK}virtualNetworks/virtualNetworkPeerings/read": "flags-are-repaired",
    f"{NETWORK}virtualNetworks/virtualNetworkPeerings/write": "flags-are-repaired",
    f"{NETWORK}virtualNetworks/peer/action": "flags-are-repaired",
    f"{NETWORK}loadBalancers/read": "active-passive",
    f"{NETWORK}loadBalancers/write": "half-a-fence",
    f"{NETWORK}loadBalancers/backendAddressPools/read": "active-passive",
    f"{NETWORK}loadBalancers/backendAddressPools/write": "active-passive",
    f"{NETWORK}loadBalancers/backendAddressPools/join/action": "active-passive",
    f"{NETWORK}loadBalancers/loadBalancingRules/health/action": "active-passive",
    f"{NETWORK}virtualNetworks/joinLoadBalancer/action": "pool-of-addresses",
    f"{NETWORK}virtualNetworks/subnets/joinLoadBalancer/action": "pool-of-addresses",
    f"{NETWORK}locations/operations/read": "active-passive",
    f"{NETWORK}locations/operationResults/read": "active-passive",
    "Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read": "scale-set",
    "Microsoft.Insights/metrics/read": "what-explains",
    f"{LOGS}query/read": "what-explains",
    f"{LOGS}query/ALBHealthEvent/read": "what-explains",
}


def every_action() -> Iterator[tuple[str, str]]:
    for role, its in actions().items():
        for action in sorted(its):
            yield role, action


@pytest.mark.parametrize(("role", "action"), sorted(every_action()))
def test_without_an_action_a_named_story_fails(role: str, action: str) -> None:
    allowed = actions()
    allowed[role] = allowed[role] - {action}
    assert played(STORY_OF[action], allowed).failure is not None


def test_every_action_has_its_story() -> None:
    assert {action for _, action in every_action()} == set(STORY_OF)
