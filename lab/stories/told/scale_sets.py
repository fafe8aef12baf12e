"""The story of a scale set: instances come and go, and their peerings with them, as far as there are places."""

from function_app.domain.peerings import peering_name
from lab.stories.acts import adopt, apply, converged, expect, foreign_peering, holds, own_peerings, says
from lab.stories.seed import Seeding
from lab.stories.stage import Act, Stage, Story

SET = "router"
ROUTERS = 3


def grows(stage: Stage) -> None:
    for n in range(ROUTERS):
        stage.world.scale_sets.add(stage.topology.scale_sets[0].id, str(n), f"10.0.2.{10 + n}")


def leaves(instance: int) -> Act:
    def leave(stage: Stage) -> None:
        stage.world.scale_sets.remove(stage.topology.scale_sets[0].id, str(instance))

    return adopt(f"instance {instance} is deleted", leave)


def has(*speakers: str, within: float) -> Act:
    def so(stage: Stage) -> bool:
        return own_peerings(stage, "rs-hub") == {peering_name(stage.topology.name, name) for name in speakers}

    return expect(f"rs-hub peers with {', '.join(speakers)}", so, within)


SCALE_SET = Story(
    "scale-set",
    "three routers of a scale set for two places: the firewalls keep theirs, the third waits until one is deleted.",
    "scale-set.yaml",
    (
        *(foreign_peering("rs-hub", f"colleague-{n}", f"10.0.9.{n}", 65200 + n) for n in range(1, 5)),
        apply(),
        holds("egress-firewall", "nva-a", within=90),
        adopt("the scale set grows to three routers", grows),
        has("nva-a", "nva-b", "router-0", "router-1", within=250),
        says("one waits, and is named", f"waiting: {SET}-2"),
        leaves(0),
        has("nva-a", "nva-b", "router-1", "router-2", within=250),
        converged(),
    ),
    Seeding(peered=True),
)

STORIES = (SCALE_SET,)
