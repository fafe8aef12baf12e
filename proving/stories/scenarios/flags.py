"""Stories of what a topology looks at and owns besides peerings: routes in effect, network peerings, Route Server flags."""

from typing import Any

from proving.stories.acts import adopt, apply, converged, expect, holds, peerings_are_made, seen
from proving.stories.seed import Seeding
from proving.stories.stage import Act, Stage, Story
from simulator.resources import Json

SPOKE = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/spoke/providers/Microsoft.Network"
PEERING = f"{SPOKE}/virtualNetworks/spoke/virtualNetworkPeerings/to-hub-1"
HUB = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network"
INTERFACE = f"{HUB}/networkInterfaces/nva-a-nic"
FIREWALL, FRONTEND = "egress-firewall", "10.0.255.252"


def turned(words: str, resource: str, flag: str, value: bool) -> Act:
    """Somebody changes a flag in the portal."""

    def change(stage: Stage) -> None:
        document = stage.world.state.resources.get(resource)
        assert document is not None
        document["properties"][flag] = value
        stage.world.state.publish("Write", document)

    return adopt(words, change)


def is_turned(words: str, resource: str, flag: str, value: bool) -> Act:
    def holds_so(stage: Stage) -> bool:
        document = stage.world.state.resources.get(resource)
        return document is not None and document["properties"][flag] is value

    return expect(words, holds_so, within=200)


def _owned(document: dict[str, Any]) -> None:
    for item in (*document["networkPeerings"], *document["routeServers"]):
        item["owned"] = True
    document["routeServers"][0]["branchToBranch"] = False


def _with_interface(document: dict[str, Any]) -> None:
    document["speakers"][0]["interface"] = INTERFACE


FLAGS = Story(
    "flags-are-repaired",
    "somebody turns flags of a network peering and of the Route Server in the portal; what is owned is turned back.",
    "dual-homed-active-active.yaml",
    (
        apply("the operator puts the topology in force, and owns its network peerings"),
        peerings_are_made("rs-spoke", "nva-1", "nva-2"),
        turned("somebody has the spoke use the hub's gateway", PEERING, "useRemoteGateways", True),
        is_turned("it is repaired", PEERING, "useRemoteGateways", False),
        turned(
            "somebody turns branch-to-branch on", f"{SPOKE}/virtualHubs/rs-spoke", "allowBranchToBranchTraffic", True
        ),
        is_turned("it is repaired", f"{SPOKE}/virtualHubs/rs-spoke", "allowBranchToBranchTraffic", False),
    ),
    Seeding(peered=True),
    change=_owned,
)

ROUTES = Story(
    "what-routes-say",
    "routes are requested, each for its token, and preflight reads what is around an appliance; evidence, nothing else.",
    "active-passive.yaml",
    (
        apply("the operator puts the topology in force, with the interface of nva-a in it"),
        holds(FIREWALL, "nva-a", within=90),
        seen("what the Route Server advertises has been read", lambda last: answered(last, "advertised rs-hub/nva-a")),
        seen("and where the interface's packets go", lambda last: answered(last, "effective nva-a")),
        seen("nothing is wrong with either", lambda last: last["routes"]["wrong"] == 0),
        seen("preflight has read the interface, its network and its route table", lambda last: not refused(last)),
        converged(),
    ),
    Seeding(peered=True),
    {
        "effectiveRoutes": {
            INTERFACE: [
                {
                    "source": "VirtualNetworkGateway",
                    "state": "Active",
                    "addressPrefix": ["0.0.0.0/0"],
                    "nextHopType": "VirtualNetworkGateway",
                    "nextHopIpAddress": [FRONTEND],
                }
            ]
        }
    },
    _with_interface,
)


def _with_appliance(document: dict[str, Any]) -> None:
    """A firewall on which no agent runs: it announces by itself, and names the load balancer as next hop."""
    announced = {"prefix": "10.200.0.0/16", "nextHop": {"frontend": FIREWALL}}
    document["speakers"].append(
        {"name": "fw-1", "address": "10.0.1.9", "asn": 65009, "peersWith": ["rs-hub"], "announces": [announced]}
    )


def _forget(stage: Stage) -> None:
    stage.bgp.forgetful.add("fw-1")
    stage.bgp.look_soon()


BY_ITSELF = Story(
    "appliance-by-itself",
    "an appliance without an agent announces a prefix with the load balancer as next hop: right, until it names itself.",
    "active-passive.yaml",
    (
        apply("the operator puts the topology in force, with an appliance that announces by itself"),
        holds(FIREWALL, "nva-a", within=90),
        seen("what the Route Server learned from it has been read", lambda last: answered(last, "learned rs-hub/fw-1")),
        seen("and its next hop is right, on both instances", lambda last: last["routes"]["wrong"] == 0),
        adopt("its configuration loses the route-map that sets the next hop", _forget),
        seen(
            "the next hop is wrong",
            lambda last: "next hop 10.0.1.9, not" in str(last["routes"]["findings"]),
            within=400,
        ),
    ),
    Seeding(peered=True),
    change=_with_appliance,
)


def refused(last: Json) -> list[str]:
    """What preflight was not allowed to read."""
    return [finding["what"] for finding in last["preflight"] if "may not read" in finding["what"]]


def answered(last: Json, question: str) -> bool:
    return last["routes"]["answers"].get(question) is not None


STORIES = (FLAGS, ROUTES, BY_ITSELF)
