"""Stories of the app's own way to Azure, where the members announce the default route."""

from proving.stories.acts import adopt, apply, converged, dies, holds, is_fenced, says, seen, stays
from proving.stories.seed import Seeding, app_route_table
from proving.stories.stage import Act, Stage, Story
from simulator.resources import Json

FIREWALL = "egress-firewall"


def found(last: Json) -> list[str]:
    """How serious the findings about the app's own way out are."""
    return [finding["severity"] for finding in last["preflight"] if finding["rule"] == "app-egress"]


def adds_route_table() -> Act:
    """From the operator's own machine, whose way to Azure is another."""

    def change(stage: Stage) -> None:
        network_id, _, name = stage.seed.app_subnet.partition("/subnets/")
        network = stage.world.state.resources.get(network_id)
        assert network is not None
        stage.world.adopt(app_route_table(stage.seed.app_table))
        (subnet,) = (each for each in network["properties"]["subnets"] if each["name"] == name)
        subnet["properties"]["routeTable"] = {"id": stage.seed.app_table}

    return adopt("the operator gives the app's subnet a route table: 0.0.0.0/0 to Internet", change)


def no_promotion(stage: Stage) -> bool:
    """For all that is known the dead one may serve, it is not fenced, and no other serves."""
    record = stage.record(FIREWALL)
    fenced = stage.admin_state("nva-a", FIREWALL) == "Down"
    suspected = record is not None and record.may_serve == {"nva-a"}
    return suspected and not fenced and not stage.nvas["nva-b"].answers(FIREWALL)


NO_WAY_OUT = Story(
    "no-way-out",
    "the app's subnet has no route of its own: with the holder dead the app reaches no Azure, and holds for ever.",
    "active-passive.yaml",
    (
        apply(),
        holds(FIREWALL, "nva-a", within=90),
        seen("preflight says that this will be so", lambda last: found(last) == ["error"]),
        dies("nva-a"),
        says("the status says why it is held", "no proof that nva-a does not serve", "no answer in time"),
        stays("no member takes over: without Azure no fence is proven", no_promotion, 600),
        adds_route_table(),
        is_fenced(FIREWALL, "nva-a", within=120),
        holds(FIREWALL, "nva-b", within=60),
    ),
    Seeding(peered=True, own_way_out=False),
)

ITS_OWN_WAY_OUT = Story(
    "its-own-way-out",
    "the same with a route table and a NAT gateway on the app's subnet: the holder dies, is fenced, and the other serves.",
    "active-passive.yaml",
    (
        apply(),
        holds(FIREWALL, "nva-a", within=90),
        converged(),
        seen("preflight has nothing against the app's way out", lambda last: found(last) == []),
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
    ),
    Seeding(peered=True),
)

STORIES = (NO_WAY_OUT, ITS_OWN_WAY_OUT)
