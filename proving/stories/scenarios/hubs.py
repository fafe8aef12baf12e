"""Stories of hub speakers and of dual-homed networks: what every Route Server instance has learned, and what is lost."""

from ipaddress import IPv4Network
from typing import Any

from proving.stories.acts import apply, dies, expect, is_stable, passes, peerings_are_made, seen, stays
from proving.stories.bgp import learned
from proving.stories.scenarios.ranked import best
from proving.stories.seed import Seeding
from proving.stories.stage import Act, Stage, Story
from simulator.resources import Json
from simulator.route_servers import LEARNED_WEIGHT

PUBLISHED = {"rs": ("10.13.76.4", "10.13.76.5")}
"""The instances of the published environment (blog.cloudtrooper.net, beyond eight peers)."""
TEN = tuple(range(100, 110))
NVAS = tuple(f"nva-{n}" for n in TEN)

type Row = tuple[str, str, str, str, int]
"""(network, next hop, AS path, source peer, weight)."""


def rows(stage: Stage, server: str) -> dict[str, set[Row]]:
    """The learned routes of a Route Server by instance."""
    return {
        str(instance): {
            (route["network"], route["nextHop"], route["asPath"], str(speaker.address), LEARNED_WEIGHT)
            for speaker in stage.topology.peered_with(server)
            for route in learned(stage.world, instance, speaker.address)
        }
        for instance in stage.seed.instances[server]
    }


def table_is(words: str, server: str, wanted: set[Row], within: float = 30.0, *, shown: bool = False) -> Act:
    """Row for row, on both instances; `shown`: the table is printed as well."""

    async def do(stage: Stage) -> None:
        await stage.until(words, lambda: all(table == wanted for table in rows(stage, server).values()), within)
        if not shown:
            return
        for network, next_hop, path, source, weight in sorted(wanted, key=lambda row: (IPv4Network(row[0]), row[3])):
            stage.narrator.plain(f"{'':16}{network:18}{path:14}next hop {next_hop:15}from {source:14}weight {weight}")

    return Act("", do)


def published(*hubs: str) -> set[Row]:
    return {(f"100.0.0.{n}/32", f"10.13.76.{n}", f"65000-65{n}", hub, LEARNED_WEIGHT) for n in TEN for hub in hubs}


def hops(stage: Stage, server: str, network: str) -> set[str]:
    """The next hops of one prefix; empty where an instance has none."""
    found = [{row[1] for row in table if row[0] == network} for table in rows(stage, server).values()]
    return found[0] if all(one == found[0] for one in found) else set()


def leads_to(server: str, network: str, *next_hops: str, within: float = 30.0) -> Act:
    many = " and ".join(next_hops)
    return expect(
        f"{network} leads to {many}, on both instances of {server}",
        lambda stage: hops(stage, server, network) == set(next_hops),
        within,
    )


def found(words: str, *, wrong: bool, within: float = 200.0) -> Act:
    """What verification makes of the learned routes."""
    return seen(words, lambda last: last["routes"]["complete"] and (last["routes"]["wrong"] > 0) is wrong, within)


def gone(name: str, words: str) -> Act:
    """A speaker without an agent is there no more."""

    async def do(stage: Stage) -> None:
        stage.bgp.gone.add(name)
        stage.bgp.look()

    return Act(words, do)


def back(name: str, words: str) -> Act:
    async def do(stage: Stage) -> None:
        stage.bgp.gone.discard(name)
        stage.bgp.look_soon()

    return Act(words, do)


TEN_NVAS = Story(
    "ten-nvas-two-hubs",
    "ten NVAs behind two hub speakers take two slots; a hub is lost, and not one prefix with it.",
    "ten-nvas-two-hubs.yaml",
    (
        apply(),
        peerings_are_made("rs", "hub-a", "hub-b"),
        table_is(
            "the learned routes are the published ones", "rs", published("10.13.76.84", "10.13.76.85"), shown=True
        ),
        found("every client's next hop is found on both instances, and nothing is wrong", wrong=False),
        gone("hub-a", "hub-a is lost"),
        table_is("every prefix is still there, by hub-b", "rs", published("10.13.76.85")),
        found("Hopkeeper finds that hub-a passes on no routes any more", wrong=True, within=700),
        back("hub-a", "hub-a is back"),
        table_is("both pass them on again", "rs", published("10.13.76.84", "10.13.76.85")),
        gone("nva-104", "an NVA dies"),
        expect(
            "its prefix goes, and no other",
            lambda stage: not hops(stage, "rs", "100.0.0.104/32") and bool(hops(stage, "rs", "100.0.0.105/32")),
        ),
    ),
    Seeding(instances=PUBLISHED),
)

NVA_AS_HUB = Story(
    "nva-as-hub",
    "a hub that carries traffic itself: its own prefix has its own next hop, those of the others keep theirs.",
    "nva-as-hub.yaml",
    (
        apply(),
        peerings_are_made("rs", "hub-a", "hub-b"),
        leads_to("rs", "100.0.0.200/32", "10.13.76.84"),
        leads_to("rs", "100.0.0.100/32", "10.13.76.100"),
        found("verification finds both rules kept, and nothing wrong", wrong=False),
        gone("hub-b", "the other hub is lost"),
        leads_to("rs", "100.0.0.101/32", "10.13.76.101"),
    ),
    Seeding(instances=PUBLISHED),
)

SPOKE_ACTIVE_ACTIVE = Story(
    "dual-homed-active-active",
    "a spoke whose Route Server peers with an NVA in each hub network; a hub network is lost, the other has it all.",
    "dual-homed-active-active.yaml",
    (
        apply(),
        peerings_are_made("rs-spoke", "nva-1", "nva-2"),
        leads_to("rs-spoke", "192.168.0.0/16", "10.1.1.4", "10.2.1.4"),
        gone("nva-1", "the first hub network is lost"),
        leads_to("rs-spoke", "192.168.0.0/16", "10.2.1.4"),
        back("nva-1", "it comes back"),
        leads_to("rs-spoke", "192.168.0.0/16", "10.1.1.4", "10.2.1.4"),
    ),
)

SPOKE_ACTIVE_PASSIVE = Story(
    "dual-homed-active-passive",
    "a spoke with an NVA in each hub network, one preferred by its AS path; its hub is lost, the other outranks it.",
    "dual-homed-active-passive.yaml",
    (
        apply(),
        peerings_are_made("rs-spoke", "nva-1", "nva-2"),
        best("on-premises", "nva-1", within=120),
        is_stable("on-premises"),
        dies("nva-1"),
        best("on-premises", "nva-2"),
    ),
)

SPOKE_EXPRESSROUTE = Story(
    "dual-homed-expressroute",
    "a Route Server in every hub network; the NVAs relay, with their own ASN in the place of 65515, or nothing passes.",
    "dual-homed-expressroute.yaml",
    (
        apply(),
        peerings_are_made("rs-spoke", "nva-1", "nva-2"),
        peerings_are_made("rs-hub-1", "nva-1"),
        peerings_are_made("rs-hub-2", "nva-2"),
        passes(10),
        leads_to("rs-spoke", "192.168.0.0/16", "10.1.1.4", "10.2.1.4"),
        leads_to("rs-hub-1", "10.0.0.0/16", "10.1.1.4"),
        found("verification finds nothing wrong on any of the three", wrong=False, within=700),
        gone("nva-1", "the first hub's NVA is lost"),
        leads_to("rs-spoke", "192.168.0.0/16", "10.2.1.4"),
        leads_to("rs-hub-2", "10.0.0.0/16", "10.2.1.4"),
    ),
)


def _forgets_override(document: dict[str, Any]) -> None:
    for speaker in document["speakers"]:
        del speaker["asOverride"]


def _dropped(last: Json) -> bool:
    return any(finding["kind"] == "dropped" for finding in last["routes"]["findings"])


OVERRIDE_FORGOTTEN = Story(
    "as-override-forgotten",
    "the same without as-override: 65515 is in every path that an NVA relays, and the Route Servers drop them all.",
    "dual-homed-expressroute.yaml",
    (
        apply(),
        seen("Hopkeeper says beforehand that they will be dropped", _dropped),
        stays(
            "and nothing is learned of it",
            lambda stage: not hops(stage, "rs-spoke", "192.168.0.0/16") and not hops(stage, "rs-hub-1", "10.0.0.0/16"),
            60,
        ),
    ),
    Seeding(peered=True),
    change=_forgets_override,
)

STORIES = (OVERRIDE_FORGOTTEN, TEN_NVAS, NVA_AS_HUB, SPOKE_ACTIVE_ACTIVE, SPOKE_ACTIVE_PASSIVE, SPOKE_EXPRESSROUTE)
