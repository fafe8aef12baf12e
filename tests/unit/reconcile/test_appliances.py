"""Whole passes over members without an agent: they answer their probe whenever they are well, so adminState alone keeps new
flows from them (safety.md section 4a)."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

import pytest
from msgspec.structs import replace as replaced

from function_app.domain.base.errors import BadInput, Unavailable
from function_app.domain.service.leaving import departures
from function_app.domain.service.observation import AdminState, AgentStatus, PeerView, Role, Value
from function_app.domain.service.orders import (
    DrainOrder,
    FailoverOrder,
    ForgetOrder,
    Order,
    PauseOrder,
    RehearseOrder,
    ReleaseOrder,
    ResumeOrder,
    RetireOrder,
    SwitchoverOrder,
)
from function_app.domain.service.record import Phase
from function_app.domain.service.steps import Advertisement
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.store.topologies import InForce
from tests.builders import QUICK, document, ranked_document, topology
from tests.fakes import FRONTEND, FakeAgent, FakeWorld
from tests.unit.reconcile.scene import Scene

A, B, C = "nva-a", "nva-b", "nva-c"
DOWN, NONE = AdminState.DOWN, AdminState.NONE
UNREACHED = "the app's own check of it fails, and no other source can tell"


def desired(members: int = 2, commanded: tuple[str, ...] = (), **changes: Any) -> Topology:
    """Members without agents, but for those that are `commanded`."""
    speakers = document(members)["speakers"]
    bare = [{k: v for k, v in s.items() if k != "agent" or s["name"] in commanded} for s in speakers]
    return topology(members, speakers=bare, **changes)


class Appliances(FakeWorld):
    """No agent of theirs can be reached: a request to one is a defect. `up` is the appliance itself, which announces the
    service by its own configuration."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        for name in topology.appliances:
            self.add(name)

        self.asked, self.lost = 0, set[int]()
        """Readings of the pool, and numbers of those that are not answered."""

    def _arm(self) -> None:
        super()._arm()
        self.asked += 1
        if self.asked in self.lost:
            raise Unavailable("no answer")

    def add(self, name: str) -> None:
        routes = (Advertisement(IPv4Network("0.0.0.0/0"), FRONTEND),)
        self.agents[name] = FakeAgent(name, role=Role.SERVING, advertised=routes)
        self.admin[name] = AdminState.NONE
        self.pool.add(name)

    async def read(self, *request: Any) -> Any:
        return replace(await super().read(*request), noticed_within=timedelta(seconds=15))

    async def status(self, topology: str, speaker: Any, *more: Any) -> Any:
        assert speaker.agent is not None, f"{speaker.name} has no agent"
        return await super().status(topology, speaker, *more)

    async def command(self, topology: str, speaker: Any, *more: Any) -> Any:
        assert speaker.agent is not None, f"{speaker.name} has no agent"
        return await super().command(topology, speaker, *more)


class Service(Scene):
    def __init__(self, members: int = 2, commanded: tuple[str, ...] = (), **changes: Any) -> None:
        super().__init__(world=Appliances(desired(members, commanded, **changes)))

    async def order(self, order: Order) -> Outcome:
        self.world.two_serving = 0
        return await operate(self.ports, InForce(self.topology, "g1"), self.topology.services[0], order)

    async def passes(self, count: int, every: int = 1) -> None:
        """Slow ones, so many seconds apart."""
        for _ in range(count):
            self.clock.at += timedelta(seconds=every - 1)
            await self.slow()

    def states(self) -> dict[str, AdminState]:
        return dict(self.world.admin)


async def at_rest(members: int = 2, commanded: tuple[str, ...] = (), **changes: Any) -> Service:
    scene = Service(members, commanded, **changes)
    await scene.settle()
    scene.world.two_serving = 0
    return scene


async def test_of_several_that_answer_the_first_serves_and_the_others_are_down() -> None:
    scene = await at_rest(3)
    assert scene.record.target == A
    assert scene.states() == {A: NONE, B: DOWN, C: DOWN}
    assert scene.record.fenced.keys() == scene.record.owed.keys() == {B, C}


async def test_one_that_serves_alone_keeps_it() -> None:
    scene = Service()
    scene.world.kill(A)
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})


async def test_nothing_is_adopted_while_the_load_balancer_cannot_be_read() -> None:
    scene = Service(timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.arm_up = False
    await scene.passes(30, every=60)
    assert (scene.record.phase, scene.world.balancer_writes) == ("learn", [])


async def test_one_whose_probe_fails_is_set_to_down_and_another_is_lifted() -> None:
    scene = await at_rest()
    scene.world.kill(A)
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})
    assert scene.world.two_serving == 0


async def test_one_that_is_back_stays_down_and_for_an_hour_it_is_said_that_nothing_shows_whether_it_is_well() -> None:
    scene = await at_rest()
    scene.world.kill(A)
    await scene.settle()
    scene.world.revive(A)
    assert "nothing shows whether it is well since; no redundancy" in (await scene.settle()).reasons[0]
    scene.clock.at += timedelta(hours=1)
    assert (await scene.settle()).reasons == ()
    assert scene.states() == {A: DOWN, B: NONE}


async def test_one_that_the_apps_own_check_misses_is_the_last_choice_and_that_is_said_before_it_is_needed() -> None:
    scene = await at_rest(3)
    scene.world.own_checks = {B: Value.BAD, C: Value.OK}
    said = (await scene.settle()).reasons[0]
    assert said == f"fw: alarm: cannot take over: {B}: {UNREACHED}; {C} still can"
    scene.world.kill(A)
    await scene.settle()
    assert (scene.record.target, scene.states()) == (C, {A: DOWN, B: DOWN, C: NONE})


async def test_the_apps_own_check_alone_keeps_no_service_from_the_only_one_that_is_left() -> None:
    scene = await at_rest()
    scene.world.own_checks = {B: Value.BAD}
    scene.world.kill(A)
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})


async def test_the_holder_is_not_replaced_by_the_apps_own_check() -> None:
    scene = await at_rest()
    scene.world.own_checks = {A: Value.BAD, B: Value.OK}
    await scene.passes(10)
    assert scene.record.target == A


async def test_a_switchover_to_one_that_the_apps_own_check_misses_is_refused_with_the_way_out() -> None:
    scene = await at_rest()
    scene.world.own_checks = {B: Value.BAD}
    outcome = await scene.order(SwitchoverOrder(by="ann", to=B))
    assert (outcome.ending, scene.record.target) == (Ending.REFUSED, A)
    assert outcome.reasons == (f"fw: {B}: {UNREACHED}: `failover` to it if you know better",)
    assert (await scene.order(FailoverOrder(by="ann", to=B))).ending is not Ending.REFUSED


async def test_one_that_failed_and_that_the_apps_own_check_reaches_again_can_take_over() -> None:
    scene = await at_rest()
    scene.world.kill(A)
    await scene.settle()
    scene.world.revive(A)
    scene.world.own_checks = {A: Value.OK}
    assert (await scene.settle()).reasons == ()


async def test_a_switchover_is_proven_by_adminstate() -> None:
    scene = await at_rest()
    assert (await scene.order(SwitchoverOrder(to=B))).ending is Ending.ACCEPTED
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})
    assert scene.world.two_serving == 0


async def test_a_switchover_to_one_that_does_not_answer_its_probe_is_back_once_the_probe_had_its_time() -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.kill(B)
    await scene.order(SwitchoverOrder(to=B))
    await scene.passes(5, every=10)
    assert (scene.record.target, scene.states()) == (A, {A: NONE, B: DOWN})


async def test_dead_ones_are_tried_in_turn_until_one_is_well() -> None:
    scene = await at_rest(4, timing=QUICK | {"doubtPoll": "PT10S"})
    for name in (A, B, C):
        scene.world.kill(name)
    await scene.passes(20, every=10)
    assert (scene.record.target, scene.world.eligible()) == ("nva-d", ["nva-d"])


async def test_those_of_which_none_is_well_take_turns_ever_more_slowly() -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S", "spacingStep": "PT10M", "spacingMax": "PT20M"})
    for name in (A, B):
        scene.world.kill(name)
    begun = scene.record.epoch
    await scene.passes(30, every=10)
    assert scene.record.epoch <= begun + 3


async def test_one_that_failed_lately_is_the_last_choice_as_nothing_shows_that_it_is_well() -> None:
    scene = await at_rest(3, timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.kill(A)
    await scene.passes(5, every=10)
    assert scene.record.target == B
    await scene.order(FailoverOrder())
    await scene.passes(5, every=10)
    assert scene.record.target == C


async def test_one_that_fails_soon_after_it_was_confirmed_is_given_no_more_looks_than_any() -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S"})
    await scene.order(SwitchoverOrder(to=B))
    await scene.passes(3, every=10)
    scene.world.kill(B)
    await scene.passes(4, every=10)
    assert scene.record.target == A


@pytest.mark.parametrize(("listed", "serves"), [((), A), ((B,), B)])
async def test_one_that_no_pool_lists_is_followed_by_one_that_a_pool_lists(
    listed: tuple[str, ...], serves: str
) -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.pool = set(listed)
    await scene.passes(8, every=10)
    assert scene.record.target == serves


async def test_a_failover_that_is_ordered_needs_no_evidence() -> None:
    scene = await at_rest()
    await scene.order(FailoverOrder())
    await scene.settle()
    assert (scene.record.target, scene.world.two_serving) == (B, 0)


async def test_what_another_owner_lifts_is_set_to_down_again() -> None:
    scene = await at_rest()
    scene.world.admin[B] = NONE
    await scene.settle()
    assert (scene.record.target, scene.states()) == (A, {A: NONE, B: DOWN})


async def test_what_is_lifted_while_the_holder_gets_no_flows_serves_on_and_takes_over() -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.kill(A)
    scene.world.admin[B] = NONE
    before = len(scene.world.balancer_writes)
    await scene.passes(6, every=10)
    assert scene.record.target == B
    assert (B, DOWN) not in scene.world.balancer_writes[before:], "it is all that serves"


async def test_what_is_lifted_again_and_again_does_not_keep_a_dead_holder() -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.admin[B] = NONE
    await scene.passes(1, every=10)
    scene.world.kill(A)
    for _ in range(8):
        scene.world.admin[B] = NONE
        await scene.passes(2, every=10)
    assert scene.record.target == B


async def test_what_is_lifted_beside_a_holder_that_gets_flows_is_fenced_at_once() -> None:
    scene = await at_rest(timing=QUICK | {"doubtPoll": "PT10S"})
    scene.world.admin[B] = NONE
    await scene.passes(1, every=10)
    assert (scene.record.target, scene.states()) == (A, {A: NONE, B: DOWN})


async def test_what_an_operator_set_to_down_is_no_standby_until_the_operator_takes_it_back() -> None:
    scene = await at_rest(3)
    scene.world.admin[A] = DOWN  # for maintenance
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE, C: DOWN})
    for name in (B, C):
        scene.world.kill(name)
        await scene.passes(10)
    assert scene.states()[A] is DOWN, "it is never lifted"
    assert A in scene.record.fenced.keys() - scene.record.owed.keys()
    scene.world.admin[A] = NONE
    await scene.passes(20, every=10)
    assert (scene.record.target, scene.states()) == (A, {A: NONE, B: DOWN, C: DOWN})


async def test_a_standby_that_an_operator_set_to_down_before_the_service_was_adopted_is_left_to_the_operator() -> None:
    scene = Service()
    scene.world.admin[B] = DOWN
    outcome = await scene.settle()
    assert (scene.record.target, scene.record.owed) == (A, {})
    assert "adminState of nva-b is Down, and not by us" in str(outcome.reasons)
    await scene.order(ReleaseOrder())
    await scene.passes(3)
    assert scene.states() == {A: NONE, B: DOWN}


async def test_a_new_member_is_set_to_down_before_anything_else() -> None:
    scene = await at_rest()
    scene.topology = desired(3)
    scene.world.topology = scene.topology
    scene.world.add(C)
    await scene.settle()
    assert (scene.record.target, scene.states()) == (A, {A: NONE, B: DOWN, C: DOWN})


async def test_one_is_forgotten_and_leaves_the_document_in_a_pause_and_is_not_forgotten_without() -> None:
    """The walk of docs/operating.md: while the document has it, it may serve."""
    scene = await at_rest(3)
    before, after = scene.topology, desired(2)
    rule = "another member takes over, then `forget` it, in a `pause` that lasts until this is applied: it has no agent"

    def refused() -> list[str]:
        return [problem.rule for problem in departures(before, after, {"fw": scene.record})]

    kept = scene.record
    outcome = await scene.order(ForgetOrder(member=C))
    assert (outcome.ending, scene.record) == (Ending.REFUSED, kept)
    assert "is fenced again: `pause` the service, forget it, `apply` the document without it" in outcome.reasons[0]
    assert refused() == [f"nva-c leaves while it may serve, or is Down by us: {rule}"]
    await scene.order(PauseOrder())
    await scene.order(ForgetOrder(member=C))
    await scene.passes(3)
    assert refused() == []
    scene.topology = scene.world.topology = after
    await scene.order(ResumeOrder())
    outcome = await scene.settle()
    assert (scene.record.may_serve, outcome.reasons) == ({A, B}, ())
    assert scene.states() == {A: NONE, B: DOWN, C: DOWN}, "the address is to be taken out of the pool"


async def test_a_retired_service_leaves_every_member_down() -> None:
    scene = await at_rest()
    await scene.order(RetireOrder())
    await scene.passes(5)
    assert scene.record.leaving is not None
    assert scene.record.leaving.done
    assert scene.states() == {A: DOWN, B: DOWN}


async def test_a_released_service_leaves_no_member_down() -> None:
    scene = await at_rest(3)
    await scene.order(ReleaseOrder())
    await scene.passes(5)
    assert scene.record.leaving is not None
    assert scene.record.leaving.done
    assert set(scene.states().values()) == {NONE}


async def test_a_release_that_waits_for_a_member_says_for_which_and_how_it_ends() -> None:
    """Not "release it first": that was ordered. One that is gone from the pool can never be taken back."""
    scene = await at_rest()
    scene.world.pool.remove(B)
    await scene.order(ReleaseOrder())
    outcome = await scene.slow()
    assert "; no pool lists it: `forget` nva-b, and the release ends" in " ".join(outcome.reasons)

    def refused(after: Topology) -> str:
        (problem,) = departures(scene.topology, after, {"fw": scene.record})
        return problem.rule

    still = "it is being released, and our adminState Down of nva-b is still to be taken back: apply this again once"
    assert f"may serve: {still}" in refused(replaced(scene.topology, services=()))
    without_b = replaced(scene.topology.services[0], members=scene.topology.services[0].members[:1])
    assert f"Down by us: {still}" in refused(replaced(scene.topology, services=(without_b,)))
    await scene.order(ForgetOrder(member=B))
    await scene.slow()
    assert scene.record.leaving is not None
    assert scene.record.leaving.done
    assert not list(departures(scene.topology, replaced(scene.topology, services=()), {"fw": scene.record}))


async def test_a_retirement_that_waits_for_a_proof_is_not_to_be_ordered_again() -> None:
    scene = await at_rest()
    scene.world.arm_up = False
    await scene.order(RetireOrder())
    (problem,) = departures(scene.topology, replaced(scene.topology, services=()), {"fw": scene.record})
    assert "it is being retired, and each of them is proven Down, or to stand by, first" in problem.rule


@pytest.mark.parametrize("commanded", [(A,), (B,)])
async def test_members_with_and_without_an_agent_take_over_from_each_other(commanded: tuple[str, ...]) -> None:
    scene = await at_rest(2, commanded)
    for target in (B, A, B):
        await scene.order(SwitchoverOrder(to=target))
        await scene.settle()
        assert (scene.record.target, scene.world.eligible(), scene.world.two_serving) == (target, [target], 0)
    scene.world.kill(B)
    await scene.passes(10)
    assert scene.world.eligible() == [A]


async def test_a_drain_moves_the_service_and_a_drained_one_is_not_lifted() -> None:
    scene = await at_rest()
    await scene.order(DrainOrder(member=A))
    await scene.settle()
    assert scene.states() == {A: DOWN, B: NONE}
    scene.world.kill(B)
    await scene.passes(10, every=10)
    assert scene.states()[A] is DOWN


async def test_a_pause_in_the_middle_of_a_move_stops_it_and_its_end_finishes_it() -> None:
    scene = await at_rest()
    scene.world.arm_up = False
    await scene.order(SwitchoverOrder(to=B))
    await scene.slow()
    scene.world.arm_up = True
    assert scene.record.phase is Phase.FENCING
    assert (await scene.order(PauseOrder())).ending is Ending.ACCEPTED
    await scene.passes(5)
    assert scene.states() == {A: NONE, B: DOWN}
    await scene.order(ResumeOrder())
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})


@pytest.mark.parametrize("nth", range(1, 9))
async def test_a_move_goes_on_whichever_of_its_answers_is_lost(nth: int) -> None:
    scene = await at_rest()
    scene.world.lost.add(scene.world.asked + nth)
    await scene.order(SwitchoverOrder(to=B))
    await scene.passes(3)
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})
    assert scene.world.two_serving == 0


async def test_a_fence_that_is_in_force_at_rest_is_not_rehearsed() -> None:
    scene = await at_rest()
    outcome = await scene.order(RehearseOrder(member=B))
    assert "it is Down, proven, whenever it does not serve" in str(outcome.reasons)


async def test_beside_one_without_an_agent_the_fence_of_a_standby_with_one_is_rehearsed() -> None:
    scene = await at_rest(3, (A, C))
    before = list(scene.world.balancer_writes)
    await scene.order(RehearseOrder(member=C))
    await scene.settle()
    assert scene.world.balancer_writes[len(before) :] == [(C, DOWN), (C, NONE)]


async def test_of_those_that_get_new_flows_the_one_on_record_stays_when_a_service_is_resumed() -> None:
    scene = await at_rest()
    await scene.order(FailoverOrder())
    await scene.settle()
    await scene.order(ReleaseOrder())
    await scene.passes(5)
    assert set(scene.states().values()) == {NONE}
    await scene.order(ResumeOrder())
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})


async def test_one_whose_record_is_lost_keeps_serving_and_its_standby_is_left_to_an_operator() -> None:
    scene = await at_rest()
    await scene.order(FailoverOrder())
    await scene.settle()
    del scene.documents.stored["records/hub/fw.json"]
    await scene.settle()
    assert (scene.record.target, scene.states()) == (B, {A: DOWN, B: NONE})
    scene.world.admin[A] = NONE  # as the status says
    await scene.settle()
    assert (scene.record.target, scene.record.owed.keys(), scene.states()) == (B, {A}, {A: DOWN, B: NONE})


@pytest.mark.parametrize("changes", [{"nextHop": {"self": {}}}, {"mode": "active-active"}, {"handover": "seamless"}])
def test_a_member_needs_an_agent_where_adminstate_alone_cannot_decide(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="has no agent: a member needs one, unless"):
        desired(services=[document()["services"][0] | changes])


# --- named by route injectors -----------------------------------------------------------------------------------------


def injected() -> Topology:
    """Two web servers without an agent, and two watchers that announce the one that serves."""
    plain = ranked_document(2, ("watch-1", "watch-2"))
    for speaker in plain["speakers"][:2]:
        del speaker["agent"]
    return from_plain(plain, Place())


class Watched(Appliances):
    """Both watchers check both servers; `missed` is seen by these only."""

    def __init__(self) -> None:
        super().__init__(injected())
        self.missed: dict[str, tuple[str, ...]] = {}

    def _status(self, name: str) -> Any:
        said = super()._status(name)
        views = {member: self._view(name, member) for member in (A, B)}
        return replace(said, peers=views) if isinstance(said, AgentStatus) else said

    def _view(self, watcher: str, member: str) -> PeerView:
        value = Value.BAD if watcher in self.missed.get(member, ()) else Value.OK
        return PeerView(value, value)


def named(scene: Scene) -> set[Any]:
    """The next hop of the best path that watchers announce."""
    announced = [a for name in ("watch-1", "watch-2") for a in scene.world.agents[name].advertised or ()]
    least = min(a.prepend for a in announced)
    return {str(a.next_hop) for a in announced if a.prepend == least}


async def test_the_server_that_no_watcher_reaches_is_no_next_hop_any_more_and_one_accuser_is_not_enough() -> None:
    world = Watched()
    scene = Scene(world=world)
    for _ in range(8):
        await scene.slow()
        scene.clock.at += timedelta(minutes=1)
    await scene.settle()
    assert named(scene) == {"10.0.1.4"}
    world.missed = {A: ("watch-1",)}
    await scene.fast()
    assert named(scene) == {"10.0.1.4"}
    world.missed = {A: ("watch-1", "watch-2")}
    await scene.fast()
    assert named(scene) == {"10.0.1.5"}
    assert scene.world.balancer_writes == []
