"""A kind of next hop is one class: a toy one that announces and does nothing goes through everything that knows services."""

from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any, ClassVar, get_args

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from function_app.domain.base.addresses import dotted_decimal
from function_app.domain.base.errors import BadInput
from function_app.domain.base.timing import Timing
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.summary import lint
from function_app.domain.routes.expected import Standing, expected_routes
from function_app.domain.service.bounds import Probe, bounds, ranked_bounds
from function_app.domain.service.confirm import rest
from function_app.domain.service.decision import Decision
from function_app.domain.service.kinds import NextHopKind, kind_for, kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Role
from function_app.domain.service.protocol import grant, send_fences
from function_app.domain.service.record import Phase
from function_app.domain.topology.laws import Place, broken_laws
from function_app.domain.topology.model import Mode, Naming, NextHop, NextHopSpecification, Service, Topology
from function_app.render import Vendor, render
from function_app.render.implied import implied
from tests.builders import document, ranked, status, topology
from tests.fakes import INSTANCES
from tests.unit.decisions import SERVING, B, fencing, look, looking
from tests.unit.reconcile.scene import Scene


class Toy(Struct, frozen=True, forbid_unknown_fields=True):
    """The specification: what the union in `topology.model` would hold."""

    naming: ClassVar[Naming | None] = None

    def announcers(self, members: tuple[str, ...]) -> tuple[str, ...]:
        return members


class ToyNextHop(NextHop, frozen=True):
    """The union with one kind more, as the three below read it in a document."""

    toy: Toy | None = None


class ToyService(Service, frozen=True, kw_only=True):
    next_hop: ToyNextHop


class ToyTopology(Topology, frozen=True, kw_only=True):
    services: tuple[ToyService, ...] = ()


class ByToy(NextHopKind):
    """Every member announces itself. It makes no way by itself, and is granted by acknowledgements like any other (R2)."""

    key = "toy"

    def next_hop(
        self, announcer: IPv4Address | None, holder: IPv4Address | None, frontend: IPv4Address | None
    ) -> IPv4Address | None:
        return announcer

    def make_way(self, look: Look, target: str) -> Decision:
        return Decision(look.record)

    def prove(self, look: Look, target: str) -> Decision:
        return grant(look, target) or send_fences(look)

    def confirm(self, look: Look, target: str) -> Decision:
        return rest(look.record, "a toy serves at once")

    def announce(self, look: Look, decision: Decision) -> Decision:
        return decision


@kind_for.register
def _(specification: Toy) -> NextHopKind:
    return ByToy()


def decoded(**next_hop: Any) -> Topology:
    """As `topology.document` reads it, shapes and then laws. Raises ValidationError or BadInput."""
    doc = document()
    doc["services"][0]["nextHop"] = next_hop
    desired = msgspec.convert(doc, ToyTopology, dec_hook=dotted_decimal)
    if problems := broken_laws(desired, Place()):
        raise BadInput(problems)
    return desired


def with_toy() -> Topology:
    return decoded(toy={})


def test_a_document_names_a_further_kind_by_its_key_and_holds_it_to_its_shape_and_to_the_laws() -> None:
    assert (with_toy().services[0].next_hop.kind, with_toy().services[0].naming) == (Toy(), None)
    assert with_toy().services[0].announcers == ("nva-a", "nva-b")
    with pytest.raises(msgspec.ValidationError, match="unknown field `fast`"):
        decoded(toy={"fast": True})
    with pytest.raises(BadInput, match=r"nextHop: needs exactly one of"):
        decoded(toy={}, **{"self": {}})


def test_every_specification_of_a_next_hop_has_a_kind_that_goes_by_its_key_in_the_document() -> None:
    kinds = {type(kind_of(desired.services[0])): desired for desired in (topology(), ranked(), ranked(2, ("rri-a",)))}
    assert len(kinds) == len(get_args(NextHopSpecification.__value__)) == 3
    assert {kind.key for kind in kinds} == set(NextHop.kinds())


def test_only_the_members_own_address_makes_the_holders_peering_the_service() -> None:
    kinds = {kind.key: kind for kind in (kind_of(d.services[0]) for d in (topology(), ranked(), ranked(2, ("rri-a",))))}
    assert {key: (kind.is_ranked, kind.holder_announces) for key, kind in kinds.items()} == {
        "loadBalancer": (False, False),
        "self": (True, True),
        "member": (True, False),
    }


def test_a_kind_promises_the_bounds_of_its_way_of_moving_a_service() -> None:
    timing, probe = Timing(observe_fast=timedelta(seconds=7)), Probe(interval=timedelta(seconds=9))
    documents = (replace(document, timing=timing) for document in (topology(), ranked()))
    behind, own = (kind_of(d.services[0]).bounds(d.services[0], d, probe) for d in documents)
    assert behind == bounds(timing, probe)
    assert own == ranked_bounds(timing)


def test_what_is_no_specification_has_no_kind() -> None:
    with pytest.raises(TypeError, match="str is no kind of next hop"):
        kind_for("loadBalancer")


def test_only_an_active_passive_service_behind_a_load_balancer_has_a_fence_to_rehearse() -> None:
    behind, own, injected, toy = (
        desired.services[0] for desired in (topology(), ranked(), ranked(2, ("rri-a",)), with_toy())
    )
    shared = replace(behind, mode=Mode.ACTIVE_ACTIVE)
    fenced = [kind_of(service).has_fence(service) for service in (behind, shared, own, injected, toy)]
    assert fenced == [True, False, False, False, False]


def test_only_behind_a_load_balancer_is_there_a_look_that_shows_no_progress() -> None:
    fast = look(SERVING)
    answered = [
        kind_of(desired.services[0]).can_tell(looking(fast, fencing(), desired))
        for desired in (topology(), ranked(), with_toy())
    ]
    assert answered == [False, True, True]


async def at_rest(scene: Scene) -> None:
    """Fast passes, which look at the agents alone."""
    for _ in range(12):
        await scene.fast()


async def test_a_service_of_a_further_kind_is_adopted_and_fails_over() -> None:
    scene = Scene(desired=with_toy())
    await at_rest(scene)
    assert scene.record.phase is Phase.STABLE
    holder = scene.record.holder
    assert scene.serving() == [holder]
    scene.world.agents[holder or ""].fatal = ("forwarding is off",)
    await at_rest(scene)
    assert scene.record.holder != holder
    assert scene.record.phase is Phase.STABLE


async def test_its_own_way_of_making_room_is_what_an_operation_does() -> None:
    """No FENCE is sent before the grant, for the toy needs none; the others are brought back afterwards."""
    scene = Scene(desired=with_toy())
    await at_rest(scene)
    agents = scene.world.agents
    assert [agents[name].role for name in ("nva-a", "nva-b")] == [Role.SERVING, Role.STANDBY]
    assert scene.world.balancer_writes == []


def test_a_grant_needs_its_proofs_whatever_the_kind() -> None:
    """R2: while the old holder neither acknowledged nor is fenced, the target does not enter `may_serve`."""
    unproven = looking(look(SERVING), fencing(), with_toy())
    assert ByToy().prove(unproven, B).record.phase is Phase.FENCING
    acknowledged = looking(look(status(4)), fencing(), with_toy())
    assert ByToy().prove(acknowledged, B).record.phase is Phase.GRANTED


def test_its_routes_are_expected_from_each_announcer_with_its_own_next_hop() -> None:
    desired = with_toy()
    ways = {each.peer: each.ways[0] for each in expected_routes(desired, "rs", Standing())}
    assert {peer: way.next_hop for peer, way in ways.items()} == {s.name: s.address for s in desired.speakers}
    assert {way.length for way in ways.values()} == {1}


def test_its_configuration_is_rendered_under_its_key() -> None:
    shown = implied(with_toy(), "nva-b", {"rs": INSTANCES}, {}, sets_next_hops=True)
    (announced,) = shown.services
    assert (announced.kind, announced.next_hop, announced.prepends) == ("toy", IPv4Address("10.0.1.5"), 0)


@pytest.mark.parametrize("vendor", Vendor)
def test_every_vendor_s_configuration_says_what_is_announced_and_why(vendor: str) -> None:
    desired = with_toy()
    shown = render(desired, "nva-b", vendor, {"rs": INSTANCES})
    assert "fw: " in shown
    assert "10.0.1.5" in shown
    assert "(next hop `toy`)" in shown


def test_it_passes_preflight_and_promises_no_bound() -> None:
    desired = with_toy()
    assert kind_of(desired.services[0]).bounds(desired.services[0], desired, Probe()) == ()
    assert "hold-time" not in {found.rule for found in lint(desired, Facts()).findings}
