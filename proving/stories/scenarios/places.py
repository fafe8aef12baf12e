"""Stories of who gets the eight places of a Route Server: by priority, and as a scale set grows and shrinks."""

from proving.stories.acts import (
    adopt,
    apply,
    converged,
    holds,
    own_peerings,
    peerings_are_made,
    rewrite,
    says,
    stays,
)
from proving.stories.seed import Seeding
from proving.stories.stage import Stage, Story

FIREWALL = "egress-firewall"
FIREWALLS = ("nva-a", "nva-b")


def _routers(priorities: dict[str, int]) -> list[dict[str, object]]:
    return [
        {
            "name": f"router-{n}",
            "address": f"10.0.2.{n}",
            "asn": 65100 + n,
            "peersWith": ["rs-hub"],
            "priority": priorities.get(f"router-{n}", 100),
        }
        for n in range(1, 8)
    ]


def _nine(document: dict[str, list[dict[str, object]]]) -> None:
    document["routeServers"][0]["slots"] = "byPriority"
    document["speakers"] = document["speakers"][:2] + _routers({"router-7": 50})


def _promoted(document: dict[str, list[dict[str, object]]]) -> None:
    document["speakers"] = document["speakers"][:2] + _routers({"router-7": 200, "router-6": 50})


def _grow(stage: Stage) -> None:
    for n in range(8):
        stage.world.scale_sets.add(stage.topology.scale_sets[0].id, str(n), f"10.0.3.{4 + n}")


def _leave(stage: Stage) -> None:
    stage.world.scale_sets.leave(stage.topology.scale_sets[0].id, "0")


def _gone(stage: Stage) -> None:
    stage.world.scale_sets.remove(stage.topology.scale_sets[0].id, "0")


def _fleet(*numbers: int) -> tuple[str, ...]:
    return (*FIREWALLS, *(f"router-{n}" for n in numbers))


NINTH = Story(
    "ninth-by-priority",
    "nine speakers want eight places: one waits by its priority, and moves up by an exchange that is announced first.",
    "active-passive.yaml",
    (
        apply(),
        rewrite("the operator adds seven routers by priority; router-7 has the lowest", _nine),
        peerings_are_made("rs-hub", *_fleet(*range(1, 7))),
        says("router-7 waits, with the arithmetic", "room for 8, and 9 speakers want to peer", "waiting: router-7"),
        rewrite("router-7 becomes more important, and router-6 less", _promoted),
        says("what it costs is said", "router-6 will be deleted", "one fewer for about 165 s"),
        peerings_are_made("rs-hub", *_fleet(1, 2, 3, 4, 5, 7)),
        holds(FIREWALL, "nva-a"),
        converged(),
    ),
    Seeding(peered=True),
)

SCALE_SET = Story(
    "scale-set",
    "a scale set grows beyond the places that are left, and shrinks: who waits moves up when a peering is given back.",
    "scale-set.yaml",
    (
        apply(),
        holds(FIREWALL, "nva-a", within=90),
        adopt("the scale set grows to eight instances", _grow),
        peerings_are_made("rs-hub", *_fleet(*range(6))),
        says("who waits is named", "room for 8, and 10 speakers want to peer", "waiting: router-6, router-7"),
        adopt("the platform begins to delete instance 0", _leave),
        stays(
            "it keeps its peering while it is there",
            lambda stage: "hopkeeper-hub-uksouth_router-0" in own_peerings(stage, "rs-hub"),
            90,
        ),
        adopt("instance 0 is gone", _gone),
        peerings_are_made("rs-hub", *_fleet(*range(1, 7))),
        holds(FIREWALL, "nva-a"),
        converged(),
    ),
    Seeding(peered=True),
)

STORIES = (NINTH, SCALE_SET)
