"""What Bicep grants, as the simulator's seed wants it: each role at the scopes that it is assigned at for a topology."""

from fnmatch import fnmatchcase
from typing import Any

from function_app.domain.topology.model import NetworkPeering, Topology
from proving.stories.catalogue import STORIES
from proving.stories.seed import Seed
from proving.stories.stage import Ending, Story, decoded, play
from tests.infra.sdk_calls import adapters
from tests.infra.test_role import Needs, granted, needed


def actions() -> Needs:
    """What Bicep grants, by role, a wildcard as the actions that the code calls under it."""
    wanted = needed(adapters())
    return {
        role: {
            action
            for its in mine
            for action in ((w for w in wanted[role] if fnmatchcase(w, its)) if "*" in its else (its,))
        }
        for role, mine in granted().items()
    }


def scopes(topology: Topology) -> dict[str, list[str]]:
    """Where each role is assigned for a topology: the parameters of infra/bicep/main.bicep."""
    balancers = _balancers(topology)
    servers = [server.id for server in topology.route_servers]
    subscriptions = sorted(
        {resource.split("/providers/")[0].split("/resource")[0] for resource in (*balancers, *servers)}
    )
    groups = sorted({server.split("/providers/")[0] for server in servers})
    return {
        "route-server": servers,
        "load-balancer": balancers,
        "backend-network": [f"{group}/providers/Microsoft.Network/virtualNetworks/vnet" for group in groups],
        "subscription": subscriptions,
        "appliance-network": groups,
        "app-subnet": [Seed(topology).app_subnet, Seed(topology).app_table],
        "scale-set": [s.id for s in topology.scale_sets],
        "interface": [s.interface for s in topology.speakers if s.interface],
        **_network_peering_scopes(topology),
        "route-server-flags": [server.id for server in topology.route_servers if server.owned],
        "health-logs": [f"{groups[0]}/providers/Microsoft.OperationalInsights/workspaces/hopkeeper"],
    }


def _balancers(topology: Topology) -> list[str]:
    return [pool.id for s in topology.services if s.load_balancer for pool in s.load_balancer.pools]


def _network_peering_scopes(topology: Topology) -> dict[str, list[str]]:
    owned = [p for p in topology.network_peerings if p.owned]
    return {
        "network-peering": [_network(p) for p in topology.network_peerings],
        "network-peering-flags": [end for p in owned for end in (_network(p), Seed(topology).beyond(p))],
    }


def _network(peering: NetworkPeering) -> str:
    return peering.id.rpartition("/virtualNetworkPeerings/")[0]


def permissions(story: Story, allowed: Needs) -> list[dict[str, Any]]:
    """The simulator's seed key. A role without a scope of its own above is granted for the whole subscription."""
    topology = decoded(story.document())
    at = scopes(topology)
    return [
        {"scope": scope, "actions": sorted(its)}
        for role, its in allowed.items()
        for scope in at.get(role, at["subscription"])
    ]


def played(name: str, allowed: Needs) -> Ending:
    return play(STORIES[name], azure={"permissions": permissions(STORIES[name], allowed)})
