"""The story of a firewall between on-premises and a hub: return traffic takes the way of whoever serves."""

from proving.stories.acts import (
    apply,
    boots,
    converged,
    data_path,
    dies,
    expect,
    holds,
    is_fenced,
    is_lifted,
    peerings_are_made,
    rewrite,
)
from proving.stories.stage import Act, Stage, Story
from simulator.resources import Json

SERVICE = "to-premises"


def hears(words: str, **prepends: int) -> Act:
    """What the router on-premises has by member: how often its ASN is prepended, the same for every prefix."""

    def holds(stage: Stage) -> bool:
        outward = stage.topology.service(SERVICE).outward
        assert outward is not None
        expected = {name.replace("_", "-"): dict.fromkeys(outward.prefixes, n) for name, n in prepends.items()}
        return stage.bgp.on_premises() == expected

    return expect(f"on-premises receives {words}", holds)


def _withhold(document: Json) -> None:
    document["services"][0]["outward"]["standby"] = "withhold"


OUTWARD_SYMMETRY = Story(
    "outward-symmetry",
    "the way from on-premises follows the firewall that serves, by its own role and without another command.",
    "outward-symmetry.yaml",
    (
        apply(),
        peerings_are_made("rs-hub", "nva-a", "nva-b"),
        holds(SERVICE, "nva-a"),
        hears("nva-a near and nva-b far", nva_a=0, nva_b=3),
        converged(),
        data_path("nva-a", works=False),
        holds(SERVICE, "nva-b"),
        hears("nva-b near and nva-a far", nva_a=3, nva_b=0),
        data_path("nva-a", works=True),
        converged(),
        dies("nva-b"),
        is_fenced(SERVICE, "nva-b"),
        holds(SERVICE, "nva-a"),
        hears("nva-a near, and nothing of nva-b", nva_a=0),
        boots("nva-b"),
        is_lifted(SERVICE, "nva-b"),
        hears("nva-a near and nva-b far", nva_a=0, nva_b=3),
        rewrite("the operator wants standbys to withhold", _withhold),
        hears("nva-a alone", nva_a=0),
        converged(),
    ),
)

STORIES = (OUTWARD_SYMMETRY,)
