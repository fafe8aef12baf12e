"""Stories without a load balancer: the shortest AS path decides, and survivors outrank whoever is gone."""

from proving.stories.acts import (
    apply,
    boots,
    converged,
    dies,
    expect,
    is_stable,
    order,
    peerings_are_made,
    routes_are_verified,
)
from proving.stories.stage import Act, Stage, Story

BRANCHES, VIP = "on-premises", "vip"


def best(service: str, name: str, within: float = 30.0) -> Act:
    """On both instances the shortest path to every prefix names this member."""

    def holds(stage: Stage) -> bool:
        return best_next_hops(stage, service) == {str(stage.topology.speaker(name).address)}

    return expect(f"the best path to {service} leads to {name}, on both instances", holds, within)


def best_next_hops(stage: Stage, service: str) -> set[str]:
    """Next hops of the shortest paths, over all prefixes and instances."""
    found: set[str] = set()
    wanted = stage.topology.service(service)
    for server in stage.topology.route_servers:
        for instance in stage.seed.instances[server.name]:
            for prefix in wanted.prefixes:
                routes = [
                    route
                    for speaker in stage.topology.peered_with(server.name)
                    for route in stage.world.bgp.routes(instance, speaker.address)
                    if route.network == prefix
                ]
                shortest = min((len(route.as_path) for route in routes), default=0)
                found |= {str(route.next_hop) for route in routes if len(route.as_path) == shortest} or {"no next hop"}
    return found


AS_PATH = Story(
    "as-path-preference",
    "two routers without a load balancer; the one that serves dies, and the survivor's shorter AS path takes over.",
    "as-path-preference.yaml",
    (
        apply(),
        peerings_are_made("rs-hub", "nva-a", "nva-b"),
        best(BRANCHES, "nva-a", within=120),
        is_stable(BRANCHES),
        routes_are_verified(),
        dies("nva-a"),
        best(BRANCHES, "nva-b"),
        boots("nva-a"),
        best(BRANCHES, "nva-b"),
        converged(within=900),
    ),
)

INJECTOR = Story(
    "vip-by-injector",
    "a floating address on two servers that speak no BGP; the serving one dies, and the injector names the other.",
    "vip-by-injector.yaml",
    (
        apply(),
        peerings_are_made("rs", "watch1"),
        best(VIP, "ws1", within=120),
        is_stable(VIP),
        routes_are_verified(),
        dies("ws1"),
        best(VIP, "ws2"),
        boots("ws1"),
        best(VIP, "ws2"),
        converged(within=900),
    ),
)

WEB_SERVERS = Story(
    "fast-failover",
    "two plain web servers, and a watcher that requests their pages and announces the one that answers.",
    "fast-failover.yaml",
    (
        apply(),
        peerings_are_made("rs", "watch1"),
        best(VIP, "ws1", within=120),
        is_stable(VIP),
        routes_are_verified(),
        dies("ws1"),
        best(VIP, "ws2", within=5),
        boots("ws1"),
        converged(within=900),
        order("switchover", VIP, "the operator moves it back", to="ws1"),
        best(VIP, "ws1"),
    ),
)

STORIES = (AS_PATH, INJECTOR, WEB_SERVERS)
