"""Ranked services: the best path names the holder, whoever is gone, and only announcers are waited for."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.orders import order_from
from function_app.domain.service.record import Phase
from function_app.domain.service.steps import SendAdvertise
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.status import detail
from function_app.reconcile.store.topologies import InForce, Topologies
from tests.builders import ranked, ranked_document, text
from tests.fakes import INSTANCES, foreign
from tests.unit.reconcile.scene import Scene, as_json

HOUR = timedelta(hours=1)


class Routes:
    """What a Route Server instance makes of the announcements that reach it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._names = {s.address: s.name for s in scene.topology.speakers}
        self.gone: set[str] = set()
        """Announcers whose sessions have timed out: until then a dead one's routes stay."""

    def lengths(self) -> dict[str, int]:
        agents = self._scene.world.agents
        return {n: a.advertised[0].prepend + 1 for n, a in agents.items() if a.advertised and n not in self.gone}

    def best(self) -> list[str]:
        """The next hops of the shortest path: more than one is ECMP."""
        lengths = self.lengths()
        shortest = [n for n, length in lengths.items() if length == min(lengths.values())]
        return [self._names[self._next_hop(name)] for name in shortest]

    def _next_hop(self, name: str) -> IPv4Address:
        advertised = self._scene.world.agents[name].advertised
        assert advertised
        return advertised[0].next_hop


KINDS: list[tuple[str, Callable[[], Scene]]] = [
    ("self", lambda: Scene(desired=ranked(2))),
    ("self of three", lambda: Scene(desired=ranked(3))),
    ("one injector", lambda: Scene(desired=ranked(2, ("watch-1",)))),
    ("two injectors", lambda: Scene(desired=ranked(2, ("watch-1", "watch-2")))),
]
each_kind = pytest.mark.parametrize("make", [k[1] for k in KINDS], ids=[k[0] for k in KINDS])


async def settled(make: Callable[[], Scene]) -> tuple[Scene, Routes]:
    """Once the first orders have surely arrived: a hold time later."""
    scene = make()
    for _ in range(5):
        for _ in range(8):
            await scene.slow()
        scene.clock.at += timedelta(seconds=200)
    outcome = await scene.settle()
    assert outcome.ending is Ending.CONVERGED
    return scene, Routes(scene)


@each_kind
async def test_a_new_service_ends_with_the_first_member_as_everybodys_next_hop(make: Callable[[], Scene]) -> None:
    scene, routes = await settled(make)
    assert routes.best() == ["nva-a"]
    assert scene.record.phase is Phase.STABLE
    assert scene.record.holder == "nva-a"
    assert min(routes.lengths().values()) >= 4
    assert len(set(routes.lengths().values())) == len(routes.lengths())


@each_kind
async def test_a_dead_holder_is_outranked_in_one_pass_without_the_management_api(make: Callable[[], Scene]) -> None:
    scene, routes = await settled(make)
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    await scene.fast()
    assert scene.record.holder == "nva-b"
    assert routes.best() == ["nva-b"]
    assert scene.world.agents["nva-b"].answers_200
    assert scene.world.balancer_writes == []


@each_kind
async def test_a_promotion_is_one_announcement_of_each_announcer_at_most(make: Callable[[], Scene]) -> None:
    scene, _ = await settled(make)
    before = {name: len(agent.obeyed) for name, agent in scene.world.agents.items()}
    scene.world.agents["nva-a"].fatal = ("forwarding is off",)
    await scene.fast()
    sent = {
        name: [c for c in agent.obeyed[before[name] :] if isinstance(c, SendAdvertise)]
        for name, agent in scene.world.agents.items()
    }
    assert scene.record.holder == "nva-b"
    assert all(len(commands) <= 1 for commands in sent.values())
    assert sum(map(len, sent.values())) in (1, 2)


@each_kind
async def test_after_two_failovers_the_paths_return_to_rest_but_not_within_the_damping_window(
    make: Callable[[], Scene],
) -> None:
    scene, routes = await settled(make)
    for failed in ("nva-a", "nva-b"):
        scene.world.agents[failed].fatal = ("forwarding is off",)
        await scene.fast()
        scene.world.agents[failed].fatal = ()
    changed = dict(routes.lengths())
    for _ in range(10):
        await scene.slow()
    assert routes.lengths() == changed
    for _ in range(6):
        scene.clock.at += timedelta(seconds=200)
        await scene.slow()
        assert routes.best() == ["nva-a"]
    assert min(routes.lengths().values()) >= 4
    assert len(set(routes.lengths().values())) == len(routes.lengths())


async def test_the_status_says_what_each_announcer_was_ordered_and_what_may_still_be_there() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2)))
    scene.world.kill("nva-a")
    await scene.fast()
    topologies = Topologies(scene.documents, Place())
    await topologies.apply(text(ranked_document(2)))
    (service,) = as_json(await detail(topologies, scene.documents, scene.clock, "hub"))["services"]
    lengths = routes.lengths()
    assert service["paths"]["nva-a"] == {
        "nextHop": "nva-a",
        "length": lengths["nva-a"],
        "acknowledged": True,
        "mayStillBe": [],
    }
    assert service["paths"]["nva-b"]["length"] == lengths["nva-b"]
    assert service["paths"]["nva-b"]["mayStillBe"] == [lengths["nva-a"] + 1]


async def test_paths_that_may_still_be_there_are_no_rest_and_the_status_says_so() -> None:
    scene, _ = await settled(lambda: Scene(desired=ranked(2)))
    scene.world.agents["nva-a"].fatal = ("forwarding is off",)
    await scene.fast()
    scene.world.agents["nva-a"].fatal = ()
    for _ in range(8):
        outcome = await scene.slow()
    assert outcome.ending is Ending.HELD
    assert outcome.retry_after is not None
    scene.clock.at += timedelta(seconds=200)
    for _ in range(4):
        await scene.slow()
        scene.clock.at += timedelta(seconds=200)
    assert (await scene.slow()).ending is Ending.CONVERGED


async def test_a_survivor_without_a_session_to_both_instances_does_not_take_over() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2)))
    scene.world.agents["nva-b"].sessions_up = False
    scene.world.kill("nva-a")
    outcome = await scene.fast()
    assert outcome.ending is Ending.HELD
    assert any("not Established with every live" in reason for reason in outcome.reasons)
    assert scene.record.phase is Phase.FENCING
    assert not scene.world.agents["nva-b"].answers_200
    assert routes.best() == ["nva-a"]


@each_kind
async def test_an_instance_that_no_announcer_has_a_session_with_blocks_no_failover(make: Callable[[], Scene]) -> None:
    scene, routes = await settled(make)
    scene.world.away = frozenset({INSTANCES[1]})
    scene.world.agents["nva-a"].fatal = ("forwarding is off",)
    await scene.fast()
    assert scene.record.holder == "nva-b"
    assert routes.best() == ["nva-b"]


async def test_an_order_that_no_announcer_obeyed_moves_no_role() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2, ("watch-1",))))
    scene.world.agents["watch-1"].deaf = True
    scene.world.kill("nva-a")
    outcome = await scene.fast()
    assert outcome.ending is Ending.HELD
    assert scene.record.phase is Phase.FENCING
    assert routes.best() == ["nva-a"]
    scene.world.agents["watch-1"].deaf = False
    await scene.fast()
    assert routes.best() == ["nva-b"]


async def test_a_holder_that_announces_itself_without_a_session_is_replaced() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2)))
    scene.world.agents["nva-a"].sessions_up = False
    await scene.fast()
    routes.gone = {"nva-a"}
    assert scene.record.holder == "nva-b"
    assert routes.best() == ["nva-b"]


async def test_when_the_only_injector_is_gone_it_is_held_and_what_was_announced_stays() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2, ("watch-1",))))
    scene.world.kill("watch-1")
    scene.world.kill("nva-a")
    outcome = await scene.fast()
    assert outcome.ending is Ending.HELD
    assert routes.best() == ["nva-a"]
    scene.world.revive("watch-1")
    await scene.fast()
    assert routes.best() == ["nva-b"]


async def test_an_injector_that_dies_is_no_failover() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2, ("watch-1", "watch-2"))))
    epoch = scene.record.epoch
    scene.world.kill("watch-1")
    await scene.fast()
    assert (scene.record.epoch, scene.record.holder) == (epoch, "nva-a")
    routes.gone = {"watch-1"}
    assert routes.best() == ["nva-a"]


async def test_a_switchover_waits_out_the_damping_window_and_says_so() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2)))
    scene.world.agents["nva-a"].fatal = ("forwarding is off",)
    await scene.fast()
    scene.world.agents["nva-a"].fatal = ()
    await scene.fast()
    in_force, service = InForce(scene.topology, "g1"), scene.topology.services[0]
    order = order_from("switchover", {"to": "nva-a", "by": "ann"})
    refused = await operate(scene.ports, in_force, service, order)
    assert refused.ending is Ending.REFUSED
    assert "damping" in refused.reasons[0]
    for _ in range(6):
        scene.clock.at += timedelta(seconds=200)
        await scene.slow()
    await operate(scene.ports, in_force, service, order_from("switchover", {"to": "nva-a"}))
    assert scene.record.holder == "nva-a"
    assert routes.best() == ["nva-a"]


async def test_failovers_in_a_row_run_out_of_headroom_only_where_the_dead_stay_silent() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(4)))
    scene.clock.at += HOUR
    for dead, heir in (("nva-a", "nva-b"), ("nva-b", "nva-c"), ("nva-c", "nva-d")):
        scene.world.kill(dead)
        scene.clock.at += HOUR
        await scene.fast()
        assert scene.record.holder == heir
        assert routes.best() == [heir]
    assert routes.lengths()["nva-d"] == 2


async def test_a_lost_record_is_learned_from_what_announcers_report_and_no_role_is_moved() -> None:
    scene, routes = await settled(lambda: Scene(desired=ranked(2)))
    scene.world.agents["nva-a"].fatal = ("forwarding is off",)
    await scene.fast()
    scene.world.agents["nva-a"].fatal = ()
    await scene.fast()
    before = dict(routes.lengths())
    del scene.documents.stored["records/hub/fw.json"]
    for _ in range(8):
        await scene.slow()
        assert routes.lengths() == before
    assert routes.best() == ["nva-b"]
    assert scene.record.holder == "nva-b"
    assert scene.record.phase is Phase.STABLE


@pytest.mark.parametrize(
    ("make", "gone"),
    [
        (lambda: Scene(desired=ranked(2, ("watch-1", "watch-2"))), "watch-2"),
        (lambda: Scene(desired=ranked(3)), "nva-c"),
    ],
)
async def test_what_a_dead_announcer_may_announce_is_known_once_no_route_server_has_a_session_with_it(
    make: Callable[[], Scene], gone: str
) -> None:
    scene, routes = await settled(make)
    scene.world.kill(gone)
    routes.gone.add(gone)
    del scene.documents.stored["records/hub/fw.json"]
    for _ in range(8):
        scene.clock.at += timedelta(seconds=20)
        await scene.slow()
    scene.world.agents["nva-a"].fatal = ("forwarding is off",)
    outcome = await scene.slow()
    assert any(f"it is not known what {gone} may announce" in reason for reason in outcome.reasons)
    scene.world.no_session = {gone}
    for _ in range(8):
        scene.clock.at += timedelta(seconds=20)
        await scene.slow()
        assert routes.best() == ["nva-a"]
    for _ in range(3):
        scene.clock.at += timedelta(seconds=20)
        await scene.slow()
    assert scene.record.holder == "nva-b"
    assert routes.best() == ["nva-b"]


async def test_a_route_server_that_cannot_be_read_says_nothing_of_an_announcer() -> None:
    scene, _ = await settled(lambda: Scene(desired=ranked(3)))
    scene.world.kill("nva-c")
    scene.world.no_session = {"nva-c"}
    await scene.slow()
    assert scene.record.rank is not None
    since = scene.record.rank.gone["nva-c"]
    scene.world.arm_up = False
    scene.clock.at += HOUR
    await scene.slow()
    assert scene.record.rank.gone == {"nva-c": since}


async def test_an_announcer_that_lost_its_disk_is_commanded_again_at_a_newer_turn() -> None:
    scene, _ = await settled(lambda: Scene(desired=ranked(2)))
    agent = scene.world.agents["nva-b"]
    turn, advertised = agent.advertised_turn, agent.advertised
    agent.advertised, agent.advertised_turn = None, (0, 0)
    await scene.fast()
    assert agent.advertised == advertised
    assert agent.advertised_turn > turn


# --- a route of another peer ------------------------------------------------------------------------------------------


async def with_a_foreign_route(length: int) -> Scene:
    """A settled `self` service, and a router of another owner that announces its prefix with an AS path of this length."""
    scene, _ = await settled(lambda: Scene(desired=ranked(2)))
    prefix = next(iter(scene.topology.services[0].prefixes))
    scene.world.peerings["theirs"] = foreign("theirs")
    scene.world.foreign_routes["theirs"] = tuple(
        LearnedRoute(instance, prefix, IPv4Address("10.0.9.9"), (65099,) * length, IPv4Address("10.0.9.9"))
        for instance in INSTANCES
    )
    scene.clock.at += HOUR
    for _ in range(6):
        await scene.slow()
    return scene


async def test_a_foreign_route_that_ties_the_lead_is_named_and_holds_what_is_not_urgent() -> None:
    scene = await with_a_foreign_route(4)
    words = "rs/theirs announces 0.0.0.0/0 as well, with an AS path of 4, and the holder's is 4: the Route Server may use it"
    assert f"fw: alarm: {words}" in (await scene.slow()).reasons
    order = order_from("switchover", {"to": "nva-b", "by": "ann"})
    outcome = await operate(scene.ports, InForce(scene.topology, "g1"), scene.topology.services[0], order)
    assert outcome.ending is Ending.REFUSED
    assert any(words in reason for reason in outcome.reasons)
    scene.world.kill("nva-a")
    await scene.fast()
    assert scene.record.target == "nva-b"


async def test_what_a_hub_passes_on_of_a_member_is_no_foreign_route() -> None:
    """Its next hop is unchanged, and its AS path may be as short as that of a member at rest (RFC 7947 2.2.2)."""
    doc = ranked_document(2)
    doc["speakers"].append({"name": "hub-1", "address": "10.0.1.84", "asn": 65009, "role": "hub", "peersWith": ["rs"]})
    scene, _ = await settled(lambda: Scene(desired=decode(text(doc), Place())))
    prefix = next(iter(scene.topology.services[0].prefixes))
    hops = {"10.0.1.4": 0, "10.0.9.9": 1}
    for hop, foreign_ones in hops.items():
        passed_on = LearnedRoute(INSTANCES[0], prefix, IPv4Address(hop), (65001,), IPv4Address("10.0.1.84"))
        scene.world.foreign_routes = {"hopkeeper-hub_hub-1": (passed_on,)}
        scene.clock.at += HOUR
        for _ in range(6):
            await scene.slow()
        assert len(scene.record.flaws) == foreign_ones


async def test_a_foreign_route_that_is_longer_holds_nothing_and_one_that_is_gone_no_longer() -> None:
    longer = await with_a_foreign_route(5)
    assert longer.record.flaws == ()
    scene = await with_a_foreign_route(1)
    assert len(scene.record.flaws) == 1
    del scene.world.peerings["theirs"]
    for _ in range(3):
        await scene.slow()
    assert scene.record.flaws == ()
