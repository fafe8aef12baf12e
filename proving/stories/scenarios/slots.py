"""Stories of peer slots: other people's peerings, and hands in the portal."""

from collections.abc import Iterator

from function_app.domain.topology.peering_names import peering_name
from proving.stories.acts import (
    apply,
    converged,
    edited_by_hand,
    expect,
    foreign_peering,
    holds,
    own_peerings,
    peering_vanishes,
    peerings_are_made,
    refused,
    rewrite,
    routes_are_verified,
    says,
    stays,
)
from proving.stories.seed import Seeding
from proving.stories.stage import Act, Stage, Story

EXAMPLE, FIREWALL = "active-passive.yaml", "egress-firewall"
COLLEAGUES = 8


def _leaves(document: dict[str, object]) -> None:
    """nva-b is in no service any more, and is no speaker."""
    _service(document)["members"] = [{"speaker": "nva-a", "priority": 200}]
    document["speakers"] = [s for s in _speakers(document) if s["name"] != "nva-b"]


def _comes_back(document: dict[str, object]) -> None:
    _service(document)["members"] = [{"speaker": "nva-a", "priority": 200}, {"speaker": "nva-b", "priority": 100}]
    document["speakers"] = [*_speakers(document), {**_speakers(document)[0], "name": "nva-b", "address": "10.0.1.5"}]


def _nine(document: dict[str, object]) -> None:
    routers = [
        {"name": f"router-{n}", "address": f"10.0.2.{n}", "asn": 65100 + n, "peersWith": ["rs-hub"]}
        for n in range(1, 8)
    ]
    document["speakers"] = [*_speakers(document), *routers]


def _speakers(document: dict[str, object]) -> list[dict[str, object]]:
    found = document["speakers"]
    assert isinstance(found, list)
    return found


def _service(document: dict[str, object]) -> dict[str, object]:
    found = document["services"]
    assert isinstance(found, list)
    first: dict[str, object] = found[0]
    return first


def _colleagues() -> Iterator[Act]:
    for n in range(1, COLLEAGUES + 1):
        yield foreign_peering("rs-hub", f"colleague-{n}", f"10.0.9.{n}", 65200 + n)


def _foreign(stage: Stage) -> int:
    hub = stage.topology.route_servers[0].id
    return sum(item["name"].startswith("colleague-") for item in stage.world.route_servers.peerings(hub))


FOREIGN = Story(
    "foreign-peerings",
    "colleagues have taken all eight slots; ours wait until two are given up, and theirs are never touched.",
    EXAMPLE,
    (
        *_colleagues(),
        apply(),
        says(
            "nothing is made, and it is said whose the slots are",
            "8 of 8 peers are taken",
            "colleague-1",
            "colleague-8",
        ),
        stays("the colleagues keep theirs", lambda stage: _foreign(stage) == COLLEAGUES, 60),
        peering_vanishes("rs-hub", "colleague-7", "two colleagues give their slots up"),
        peering_vanishes("rs-hub", "colleague-8", ""),
        peerings_are_made("rs-hub", "nva-a", "nva-b"),
        holds(FIREWALL, "nva-a"),
        routes_are_verified(),
        converged(),
        expect("the other six colleagues have theirs", lambda stage: _foreign(stage) == COLLEAGUES - 2),
    ),
)

NINE = Story(
    "nine-speakers-refused",
    "a topology with a ninth speaker is refused when it is written, and the one in force goes on.",
    EXAMPLE,
    (
        apply(),
        refused("the operator adds seven routers: nine would peer with rs-hub", _nine, "9 speakers", "at most 8"),
        stays(
            "nothing has changed on rs-hub",
            lambda stage: own_peerings(stage, "rs-hub") == {peering_name("hub-uksouth", n) for n in ("nva-a", "nva-b")},
            120,
        ),
        converged(),
    ),
    Seeding(peered=True),
)

BY_HAND = Story(
    "edited-by-hand",
    "at 2 a.m. somebody edits a peering in the portal; it is made again as written, and nothing fails over.",
    EXAMPLE,
    (
        apply(),
        holds(FIREWALL, "nva-a", within=90),
        converged(),
        edited_by_hand("rs-hub", "nva-b", 65077),
        expect("Hopkeeper deletes it", lambda stage: len(own_peerings(stage, "rs-hub")) == 1, within=300),
        peerings_are_made("rs-hub", "nva-a", "nva-b"),
        holds(FIREWALL, "nva-a"),
        routes_are_verified(),
        converged(),
    ),
    Seeding(peered=True),
)

MEMBER_LEAVES = Story(
    "a-speaker-leaves",
    "an appliance is taken out of the topology: its peering is deleted, and made again when it comes back.",
    EXAMPLE,
    (
        apply(),
        holds(FIREWALL, "nva-a", within=90),
        converged(),
        rewrite("the operator takes nva-b out of the topology", _leaves),
        peerings_are_made("rs-hub", "nva-a"),
        holds(FIREWALL, "nva-a"),
        rewrite("and puts one back in its place", _comes_back),
        peerings_are_made("rs-hub", "nva-a", "nva-b"),
        holds(FIREWALL, "nva-a"),
    ),
    Seeding(peered=True),
)


def _adopts(document: dict[str, object]) -> None:
    servers = document["routeServers"]
    assert isinstance(servers, list)
    servers[0]["adopt"] = {"nva-a": "by-hand"}


def _kept(stage: Stage) -> bool:
    rs = stage.last_look().get("routeServers", {}).get("rs-hub", {})
    return "by-hand" in rs.get("own", {})


ADOPTED = Story(
    "adopted",
    "a peering that somebody made by hand is in the way until the operator adopts it by name; then it is kept as ours.",
    EXAMPLE,
    (
        foreign_peering("rs-hub", "by-hand", "10.0.1.4", 65001),
        apply(),
        peerings_are_made("rs-hub", "nva-b"),
        says("whose peering is in the way is said", "nva-a", "by-hand"),
        rewrite("the operator adopts it", _adopts),
        expect("it counts as ours from now on", _kept, within=100),
        stays("and is left as it is", lambda stage: len(own_peerings(stage, "rs-hub")) == 1, 120),
        converged(),
    ),
)

STORIES = (ADOPTED, FOREIGN, NINE, BY_HAND, MEMBER_LEAVES)
