"""Any topology, any set of peerings that may be there: what stepping a plan never does, and how few writes it takes.

A model of Azure takes one write at a time and refuses a ninth peering and a second one with the same address. The
guards are the product's; what may never be lost is computed here on its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function_app.domain.base.timing import Timing
from function_app.domain.peerings.guards import PeeringContext, refuse
from function_app.domain.peerings.model import (
    CreatePeering,
    DeletePeering,
    Peering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
)
from function_app.domain.peerings.plan import plan
from function_app.domain.peerings.slots import allot
from function_app.domain.topology.model import (
    Itself,
    Member,
    Mode,
    NextHop,
    RouteServer,
    Service,
    Slots,
    Speaker,
    Topology,
)
from function_app.domain.topology.peering_names import free_name, peering_name, speaker_named
from tests.builders import by_itself
from tests.fakes import INSTANCES

PREFIXES = tuple(IPv4Network(f"100.0.{n}.0/24") for n in range(3))
SERVED = IPv4Network("0.0.0.0/0")
AS_NUMBERS = (65001, 65009)
QUIET: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": (HealthCheck.too_slow, HealthCheck.filter_too_much),
}

type Listed = frozenset[Peering]
type Peer = tuple[IPv4Address | None, int | None]


@dataclass(frozen=True)
class Scenery:
    """A topology of one Route Server, and what is listed there at first."""

    topology: Topology
    listed: Listed

    @property
    def server(self) -> RouteServer:
        return self.topology.route_servers[0]

    @property
    def most(self) -> int:
        return self.topology.timing.peers_max


def peer(each: Peering | Speaker | CreatePeering) -> Peer:
    """What a Route Server knows it by."""
    return each.address, each.asn


def address(number: int) -> IPv4Address:
    return IPv4Address(f"10.0.1.{number}")


@st.composite
def sceneries(draw: st.DrawFn, speakers_max: int, places_max: int) -> Scenery:
    """Speakers 4, 5, … of one Route Server, some of them hubs; peerings of theirs, departed, adopted and foreign ones."""
    count = draw(st.integers(1, speakers_max))
    of_topology = draw(speakers(count))
    places = draw(st.integers(1, places_max))
    addresses = st.lists(st.integers(4, 5 + count + 2), unique=True, max_size=places + 1)
    listed = {p.name: p for p in (draw(peerings(n, count)) for n in draw(addresses))}
    topology = Topology(
        schema="hopkeeper/v1",
        name="hub",
        networks=(IPv4Network("10.0.0.0/16"),),
        route_servers=(draw(route_servers(count, [name for name in listed if name.startswith("hopkeeper-hub_")])),),
        speakers=of_topology,
        services=draw(services([s.name for s in of_topology])),
        timing=Timing(peers_max=places),
    )
    return Scenery(topology, frozenset(listed.values()))


@st.composite
def speakers(draw: st.DrawFn, count: int) -> tuple[Speaker, ...]:
    """So many at the Route Server, and up to two behind hubs among them."""
    peered = [draw(speaker(n, ("rs",))) for n in range(count)]
    hubs = [s.name for s in peered if s.role == "hub"]
    served = [draw(st.sets(st.sampled_from(hubs), min_size=1)) for _ in range(draw(st.integers(0, 2)) if hubs else 0)]
    return (*peered, *(draw(speaker(20 + n, tuple(names))) for n, names in enumerate(served)))


@st.composite
def route_servers(draw: st.DrawFn, count: int, removable: list[str]) -> RouteServer:
    return RouteServer(
        name="rs",
        id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualHubs/rs",
        slots=draw(st.sampled_from(Slots)),
        adopt={f"nva-{n}": f"by-hand-{n}" for n in range(count) if draw(st.integers(0, 3)) == 0},
        remove=tuple(draw(st.sets(st.sampled_from(removable), max_size=1))) if removable else (),
    )


@st.composite
def speaker(draw: st.DrawFn, number: int, peers_with: tuple[str, ...]) -> Speaker:
    return Speaker(
        name=f"nva-{number}",
        address=address(4 + number),
        asn=AS_NUMBERS[0],
        peers_with=peers_with,
        role=draw(st.sampled_from(("router", "router", "router", "hub"))) if peers_with == ("rs",) else "router",
        priority=draw(st.sampled_from((50, 100, 200))),
        own=by_itself(*draw(st.sets(st.sampled_from(PREFIXES), max_size=2))),
    )


@st.composite
def services(draw: st.DrawFn, names: list[str]) -> tuple[Service, ...]:
    members = draw(st.sets(st.sampled_from(names), max_size=3))
    hop = NextHop(itself=Itself())
    listed = tuple(Member(speaker=name) for name in sorted(members))
    mine = Service(name="fw", mode=Mode.ACTIVE_PASSIVE, prefixes=(SERVED,), next_hop=hop, members=listed)
    return (mine,) if members else ()


@st.composite
def peerings(draw: st.DrawFn, number: int, speakers: int) -> Peering:
    whose = draw(st.integers(0, speakers))
    kind = draw(st.sampled_from(("own", "own", "own", "second", "by-hand", "foreign")))
    name = {
        "own": peering_name("hub", f"nva-{whose}"),
        "second": peering_name("hub", f"nva-{whose}") + ".2",
        "by-hand": f"by-hand-{whose}",
        "foreign": f"other-{number}",
    }[kind]
    state = draw(st.sampled_from((Provisioning.SUCCEEDED, Provisioning.SUCCEEDED, Provisioning.FAILED)))
    connected = draw(st.sampled_from((None, "Connected")))
    return Peering(name, address(number), draw(st.sampled_from((AS_NUMBERS[0], *AS_NUMBERS))), state, connected)


def reading(listed: Listed) -> RouteServerReading:
    return RouteServerReading(INSTANCES, tuple(sorted(listed, key=lambda p: p.name)))


def own(scenery: Scenery, name: str) -> bool:
    return name.startswith("hopkeeper-hub_") or name in scenery.server.adopt.values()


def announcing_now(scenery: Scenery, listed: Listed) -> list[Speaker]:
    """Speakers as they are in the topology with a Succeeded peering of ours, and those behind hubs among them."""
    ours = [p for p in listed if own(scenery, p.name)]
    there = {peer(p) for p in ours if p.state is Provisioning.SUCCEEDED}
    peered = [s for s in scenery.topology.peered_with("rs") if peer(s) in there]
    return peered + [s for hub in peered if hub.role == "hub" for s in scenery.topology.clients(hub.name)]


def certain(scenery: Scenery, listed: Listed) -> set[IPv4Network]:
    """What is announced to the Route Server over some peering that is surely there."""
    announcing = announcing_now(scenery, listed)
    names = {s.name for s in announcing}
    announced = {prefix for s in announcing for prefix in s.announces}
    served = [service.prefixes for service in scenery.topology.services if names & set(service.names)]
    return announced.union(*served)


def after(listed: Listed, step: PeeringStep, most: int) -> Listed:
    """What Azure lists once the write is over."""
    rest = frozenset(p for p in listed if p.name != step.name)
    if isinstance(step, DeletePeering):
        assert len(rest) < len(listed), "one that is there is deleted"
        return rest
    assert step.address not in {p.address for p in rest}, "Azure takes no second peering with one address"
    before = next((p for p in listed if p.name == step.name), None)
    assert before is None or peer(before) == peer(step), "nothing is changed in place"
    now = rest | {Peering(step.name, step.address, step.asn, Provisioning.SUCCEEDED)}
    assert len(now) <= max(most, len(listed)), "never one too many"
    return now


def refusals(scenery: Scenery, listed: Listed, step: PeeringStep) -> Any:
    return refuse(step, PeeringContext(scenery.topology, reading(listed)))


def stepped(scenery: Scenery) -> Iterator[tuple[Listed, PeeringStep, Listed]]:
    """Takes the first step of the plan, looks again, and so on."""
    listed = scenery.listed
    for _ in range(40):
        steps = plan(scenery.topology, scenery.server, reading(listed)).steps
        if not steps:
            return
        assert refusals(scenery, listed, steps[0]) == (), "what is planned next passes the guards"
        now = after(listed, steps[0], scenery.most)
        yield listed, steps[0], now
        listed = now
    raise AssertionError("it does not come to an end")


@settings(max_examples=200, **QUIET)
@given(sceneries(speakers_max=10, places_max=8))
def test_a_plan_keeps_the_rules_whatever_is_there(scenery: Scenery) -> None:
    """Never nine, never a foreign one, never the last announcer unless named, no speaker exposed while a place is free."""
    for before, step, now in stepped(scenery):
        assert own(scenery, step.name) or isinstance(step, CreatePeering)
        assert {p for p in before if not own(scenery, p.name)} <= now
        if isinstance(step, DeletePeering):
            assert step.name in scenery.server.remove or certain(scenery, before) <= certain(scenery, now)
            moved_speakers_peer_first(scenery, before, step, now)
            what_is_exposed_is_said(scenery, before, step, now)


def moved_speakers_peer_first(scenery: Scenery, before: Listed, step: DeletePeering, now: Listed) -> None:
    """While a place is free, a peering that works goes only after its speaker has one at its new address."""
    (gone,) = before - now
    kept = {s.name: s for s in allot(scenery.topology, scenery.server, reading(before)).kept}
    behind = kept.get(step.name.removeprefix("hopkeeper-hub_").removesuffix(".2"))
    left = gone.address not in {s.address for s in scenery.topology.peered_with("rs")}
    if behind is not None and left and gone.in_force and len(before) < scenery.most:
        assert behind.address in {p.address for p in now}, "its new peering is there first"


def what_is_exposed_is_said(scenery: Scenery, before: Listed, step: DeletePeering, now: Listed) -> None:
    (gone,) = before - now
    peers = {peer(s) for s in scenery.topology.peered_with("rs")}
    if step.exposure is not None:
        assert len(before) >= scenery.most or gone.address in {address for address, _ in peers}
    if peer(gone) in peers and gone.in_force and len(before) <= scenery.most:
        assert step.exposure is not None, "a step that takes a working peering of the topology says what is exposed"


def is_goal(scenery: Scenery, listed: Listed, kept: frozenset[Peer]) -> bool:
    ours = [p for p in listed if own(scenery, p.name)]
    return all(p.state is Provisioning.SUCCEEDED for p in ours) and {peer(p) for p in ours} == kept


def every_step(scenery: Scenery, listed: Listed) -> Iterator[PeeringStep]:
    """Whatever could be written, sensible or not."""
    names = frozenset(p.name.casefold() for p in listed)
    for wanted in scenery.topology.peered_with("rs"):
        there = next((p.name for p in listed if peer(p) == peer(wanted)), None)
        name = there or free_name("hub", wanted.name, names)
        yield CreatePeering("rs", name, wanted.address, wanted.asn, "")
    for p in listed:
        yield DeletePeering("rs", p.name, "")


def is_straight(scenery: Scenery, listed: Listed, step: PeeringStep, kept: frozenset[Peer]) -> bool:
    """Whether it makes no peering that is not wanted, and takes none away that is wanted as it is, or that a moved speaker
    still has while its new one could not be made next."""
    if isinstance(step, CreatePeering):
        return peer(step) in kept
    (gone,) = (p for p in listed if p.name == step.name)
    if peer(gone) in kept:
        return False
    behind = speaker_named(scenery.topology, scenery.server, gone.name)
    moved_to = {s.address for s in scenery.topology.speakers if s.name == behind and peer(s) in kept}
    blocked = {p.address for p in listed if peer(p) not in kept}
    return gone.address in {address for address, _ in kept} or not moved_to & blocked


def fewest_writes(scenery: Scenery, kept: frozenset[Peer], straight: bool = False) -> int | None:
    """Breadth first over every step that the guards permit; None where no way leads there."""
    seen, edge, depth = {scenery.listed}, [scenery.listed], 0
    while edge:
        if any(is_goal(scenery, listed, kept) for listed in edge):
            return depth
        further = {
            after(listed, step, scenery.most)
            for listed in edge
            for step in every_step(scenery, listed)
            if (not straight or is_straight(scenery, listed, step, kept)) and not refusals(scenery, listed, step)
        }
        edge, depth = [listed for listed in further if listed not in seen], depth + 1
        seen.update(edge)
    return None


@settings(max_examples=200, **QUIET)
@given(sceneries(speakers_max=4, places_max=4))
def test_a_plan_comes_to_rest_in_the_fewest_writes(scenery: Scenery) -> None:
    """Or says what is in its way, where no straight way is found either."""
    allotment = allot(scenery.topology, scenery.server, reading(scenery.listed))
    if allotment.refused is not None or allotment.occupied or len(scenery.listed) > scenery.most:
        return
    kept = frozenset(map(peer, allotment.kept))
    writes = list(stepped(scenery))
    at_last = writes[-1][2] if writes else scenery.listed
    if is_goal(scenery, at_last, kept):
        assert len(writes) == fewest_writes(scenery, kept)
    else:
        assert plan(scenery.topology, scenery.server, reading(at_last)).blocked, "what is in its way is named"
        assert fewest_writes(scenery, kept, straight=True) is None
