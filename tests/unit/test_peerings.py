"""Which peerings are made and removed, and which never are."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.peerings.guards import PeeringContext, refuse
from function_app.domain.peerings.model import (
    CreatePeering,
    DeletePeering,
    Peering,
    PeeringStep,
    Provisioning,
    RouteServerReading,
    connections,
    shown_sessions,
)
from function_app.domain.peerings.plan import plan
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import SUB, document, text, topology
from tests.fakes import INSTANCES, foreign


def own(name: str, address: str, state: Provisioning = Provisioning.SUCCEEDED, asn: int = 65001) -> Peering:
    return Peering(f"hopkeeper-hub_{name}", IPv4Address(address), asn, state)


def reading(*peerings: Peering, provisioned: bool = True) -> RouteServerReading:
    return RouteServerReading(INSTANCES, peerings, provisioned)


def steps(desired: Topology, *peerings: Peering) -> list[PeeringStep]:
    return list(plan(desired, desired.route_servers[0], reading(*peerings)).steps)


def names(found: list[PeeringStep]) -> list[str]:
    return [f"{type(s).__name__} {s.name}" for s in found]


A, B = own("nva-a", "10.0.1.4"), own("nva-b", "10.0.1.5")


def test_missing_peerings_are_created_and_right_ones_left_alone() -> None:
    assert names(steps(topology(), A)) == ["CreatePeering hopkeeper-hub_nva-b"]
    assert steps(topology(), A, B) == []


def test_creates_come_before_deletes() -> None:
    gone = own("nva-z", "10.0.1.60")
    assert names(steps(topology(), A, gone)) == [
        "CreatePeering hopkeeper-hub_nva-b",
        "DeletePeering hopkeeper-hub_nva-z",
    ]


def test_a_moved_speaker_gets_a_second_peering_before_the_first_one_goes() -> None:
    moved = own("nva-b", "10.0.1.55")
    found = steps(topology(), A, moved)
    assert names(found) == ["CreatePeering hopkeeper-hub_nva-b.2", "DeletePeering hopkeeper-hub_nva-b"]
    assert found[1] == DeletePeering("rs", "hopkeeper-hub_nva-b", found[1].why)
    second = Peering("hopkeeper-hub_nva-b.2", IPv4Address("10.0.1.5"), 65001, Provisioning.SUCCEEDED)
    assert names(steps(topology(), A, moved, second)) == ["DeletePeering hopkeeper-hub_nva-b"]
    assert steps(topology(), A, second) == []


def test_a_speaker_that_moves_again_gets_its_first_name_back() -> None:
    second = Peering("hopkeeper-hub_nva-b.2", IPv4Address("10.0.1.77"), 65001, Provisioning.SUCCEEDED)
    assert names(steps(topology(), A, second)) == [
        "CreatePeering hopkeeper-hub_nva-b",
        "DeletePeering hopkeeper-hub_nva-b.2",
    ]


def test_a_new_as_at_the_same_address_is_an_exchange_whose_exposure_is_named() -> None:
    found = steps(topology(), A, own("nva-b", "10.0.1.5", asn=65009))
    assert names(found) == ["DeletePeering hopkeeper-hub_nva-b", "CreatePeering hopkeeper-hub_nva-b"]
    assert isinstance(found[0], DeletePeering)
    assert found[0].exposure == timedelta(seconds=165)
    assert "the peering 10.0.1.5 in AS 65009; exchanged for the new peering of nva-b" in found[0].why
    assert "for about 165 s" in found[0].why


def test_at_eight_of_eight_a_moved_speaker_is_exchanged() -> None:
    found = steps(topology(), A, own("nva-b", "10.0.1.55"), *EIGHT[:6])
    assert names(found) == ["DeletePeering hopkeeper-hub_nva-b", "CreatePeering hopkeeper-hub_nva-b"]
    assert isinstance(found[0], DeletePeering)
    assert found[0].exposure == timedelta(seconds=165)


def test_where_a_superfluous_speaker_has_a_place_no_other_is_exposed() -> None:
    gone = own("nva-z", "10.0.1.60")
    found = steps(topology(), A, own("nva-b", "10.0.1.55"), gone, *EIGHT[:5])
    assert names(found) == [
        "DeletePeering hopkeeper-hub_nva-z",
        "CreatePeering hopkeeper-hub_nva-b.2",
        "DeletePeering hopkeeper-hub_nva-b",
    ]
    assert [s.exposure for s in found if isinstance(s, DeletePeering)] == [None, None]


def test_a_renamed_speaker_keeps_its_peering_as_it_is() -> None:
    before = own("firewall-b", "10.0.1.5")
    desired = topology()
    assert steps(desired, A, before) == []
    listed = reading(A, before)
    assert connections(desired, desired.route_servers[0], listed) == {"nva-a": A.name, "nva-b": before.name}


@pytest.mark.parametrize("shown", [("10.0.1.5", None), (None, None)], ids=["no ASN", "nothing"])
def test_what_azure_does_not_show_of_a_peering_is_no_reason_to_touch_it(shown: tuple[str | None, None]) -> None:
    address, asn = shown
    vague = Peering("Hopkeeper-hub_nva-b", IPv4Address(address) if address else None, asn, Provisioning.SUCCEEDED)
    assert steps(topology(), A, vague) == []


def test_two_speakers_that_exchange_their_addresses_keep_their_peerings() -> None:
    assert steps(topology(), own("nva-a", "10.0.1.5"), own("nva-b", "10.0.1.4")) == []


def test_a_failed_peering_of_ours_is_written_again() -> None:
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    (step,) = steps(topology(), A, failed)
    assert step == CreatePeering(
        "rs", "hopkeeper-hub_nva-b", IPv4Address("10.0.1.5"), 65001, "the peering of nva-b is Failed"
    )


def test_a_write_in_progress_counts_as_done() -> None:
    gone = own("nva-z", "10.0.1.60")
    writing = own("nva-a", "10.0.1.4", Provisioning.UPDATING)
    assert names(steps(topology(1), writing, gone)) == ["DeletePeering hopkeeper-hub_nva-z"]


def dual_homed() -> Topology:
    """nva-a relays a prefix to the Route Server of the spoke."""
    doc = document(1)
    doc["routeServers"].append({"name": "spoke", "id": f"{SUB}/virtualHubs/spoke"})
    doc["speakers"][0] |= {
        "peersWith": ["rs", "spoke"],
        "relays": [{"from": "rs", "to": "spoke", "prefixes": ["192.168.0.0/16"]}],
    }
    return decode(text(doc), Place())


@pytest.mark.parametrize("there", [(), (own("nva-a", "10.0.1.4", Provisioning.FAILED),)], ids=["nothing", "Failed"])
def test_a_new_peering_takes_over_what_its_speaker_relays_to_the_route_server_too(there: tuple[Peering, ...]) -> None:
    desired = dual_homed()
    found = plan(desired, desired.route_servers[1], reading(*there, own("nva-z", "10.0.1.60"))).steps
    assert names([*found]) == ["CreatePeering hopkeeper-hub_nva-a", "DeletePeering hopkeeper-hub_nva-z"]


def test_an_adopted_peering_whose_address_azure_does_not_report_is_for_the_speaker_it_was_adopted_for() -> None:
    assert steps(adopting(), A, Peering("by-hand", None, None, Provisioning.SUCCEEDED)) == []


def test_azures_words_for_what_becomes_of_a_write_are_these() -> None:
    assert [state.value for state in Provisioning] == ["Succeeded", "Updating", "Deleting", "Failed"]


def test_what_azure_does_not_report_is_none() -> None:
    assert A.connection_state is None
    seen = RouteServerReading(INSTANCES, ())
    assert (seen.branch_to_branch, seen.routing_preference) == (None, None)


def test_a_foreign_peering_is_never_planned_away_and_named_where_it_holds_our_place() -> None:
    desired = topology()
    found = plan(desired, desired.route_servers[0], reading(A, foreign("by-hand", "10.0.1.5")))
    assert found.steps == ()
    assert found.held == ("nva-b: already peered as 'by-hand', which is not ours: adopt it, or have it removed",)


def test_a_peering_that_does_not_work_is_deleted_although_nothing_else_announces_its_prefixes() -> None:
    broken = own("nva-z", "10.0.1.60", Provisioning.FAILED)
    assert names(steps(topology(), broken, *EIGHT[:7])) == ["DeletePeering hopkeeper-hub_nva-z"]
    connected = Peering(broken.name, broken.address, broken.asn, broken.state, "Connected")
    assert steps(topology(), connected, *EIGHT[:7]) == []


def adopting(name: str = "by-hand", **server: Any) -> Topology:
    doc = document()
    doc["routeServers"][0] |= {"adopt": {"nva-b": name}} | server
    return decode(text(doc), Place())


def test_an_adopted_peering_is_kept_under_its_own_name() -> None:
    by_hand = foreign("By-Hand", "10.0.1.5")
    adopted = Peering(by_hand.name, by_hand.address, 65001, by_hand.state)
    assert steps(adopting(), A, adopted, foreign("other", "10.0.9.8")) == []
    assert steps(topology(), A, adopted) == []


def test_an_adopted_peering_is_repaired_under_its_own_name() -> None:
    failed = Peering("by-hand", IPv4Address("10.0.1.5"), 65001, Provisioning.FAILED)
    found = steps(adopting(), A, failed)
    assert names(found) == ["CreatePeering by-hand"]
    assert refuse(found[0], PeeringContext(adopting(), reading(A, failed))) == ()


def test_an_adopted_peering_that_does_not_fit_is_replaced_like_one_of_ours() -> None:
    found = steps(adopting(), A, foreign("by-hand", "10.0.1.55"))
    assert names(found) == ["CreatePeering hopkeeper-hub_nva-b", "DeletePeering by-hand"]
    assert refuse(found[1], PeeringContext(adopting(), reading(A, foreign("by-hand", "10.0.1.55")))) == ()


def test_a_peering_may_be_removed_although_it_is_the_last_where_the_operator_named_it() -> None:
    gone = own("nva-z", "10.0.1.60")
    desired = topology()
    doc = document()
    doc["routeServers"][0]["remove"] = [gone.name]
    named = decode(text(doc), Place())
    for wanted, expected in ((desired, ["last announcer is kept"]), (named, [])):
        step = DeletePeering("rs", gone.name, "gone")
        assert [r.guard for r in refuse(step, PeeringContext(wanted, reading(gone)))] == expected


def test_only_the_peering_that_is_named_may_go() -> None:
    doc = document()
    doc["routeServers"][0]["remove"] = ["hopkeeper-hub_nva-y"]
    step = DeletePeering("rs", "hopkeeper-hub_nva-z", "gone")
    spoken = refuse(step, PeeringContext(decode(text(doc), Place()), reading(own("nva-z", "10.0.1.60"))))
    assert [r.guard for r in spoken] == ["last announcer is kept"]


def test_only_connections_of_ours_can_be_named_for_removal_and_one_is_adopted_once() -> None:
    for server, rule in (
        ({"remove": ["by-hand"]}, "never touched"),
        ({"adopt": {"nva-a": "x", "nva-b": "X"}}, "adopted for more than one speaker"),
    ):
        doc = document()
        doc["routeServers"][0] |= server
        with pytest.raises(BadInput, match=rule):
            decode(text(doc), Place())
    assert adopting(remove=["by-hand"]).route_servers[0].remove == ("by-hand",)


def test_a_peering_of_another_topology_whose_name_begins_like_ours_is_foreign() -> None:
    theirs = Peering("hopkeeper-hub-west_nva-z", IPv4Address("10.0.1.77"), 65001, Provisioning.SUCCEEDED)
    assert steps(topology(), A, B, theirs) == []


CREATE = CreatePeering("rs", "hopkeeper-hub_nva-b", IPv4Address("10.0.1.5"), 65001, "not peered")
DELETE = DeletePeering("rs", "hopkeeper-hub_nva-b", "gone")
EIGHT = tuple(foreign(f"other-{i}", f"10.0.9.{i}") for i in range(1, 9))

GUARDED: list[tuple[str, PeeringStep, RouteServerReading, str]] = [
    ("own only", DeletePeering("rs", "by-hand", ""), reading(A, foreign("by-hand")), "'by-hand' is not ours"),
    ("route server is provisioned", CREATE, reading(A, provisioned=False), "not provisioned yet"),
    ("one write in flight", CREATE, reading(own("nva-a", "10.0.1.4", Provisioning.UPDATING)), "is being written"),
    ("one write in flight", CREATE, reading(A, foreign("x", state=Provisioning.DELETING)), "is being written"),
    ("at most eight", CREATE, reading(*EIGHT), "8 of 8 peers are taken"),
    ("at most eight", CREATE, reading(*EIGHT[:7], foreign("x", state=Provisioning.FAILED)), "not ours: other-1"),
    ("address is free", CREATE, reading(A, own("other", "10.0.1.5")), "10.0.1.5 is peered as 'hopkeeper-hub_other'"),
    ("last announcer is kept", DELETE, reading(B), "is the last peering that announces 0.0.0.0/0"),
    ("last announcer is kept", DELETE, reading(own("nva-a", "10.0.1.4", Provisioning.FAILED), B), "is the last"),
    ("last announcer is kept", DELETE, reading(own("nva-a", "10.0.1.99"), B), "is the last"),
    ("last announcer is kept", DELETE, reading(own("nva-a", "10.0.1.4", asn=65009), B), "is the last"),
    ("instances are listed", DELETE, reading(A, B), "may be an instance of fleet, which cannot be listed"),
    ("holder is kept", DELETE, reading(A, B), "nva-b serves with its own address: move the service first"),
    ("holder is kept", DELETE, reading(A, own("nva-b", "10.0.1.99")), "nva-b serves with its own address"),
    ("deletes are spaced", DELETE, reading(A, B), "'hopkeeper-hub_nva-y' was deleted 599 s ago: in 1 s"),
]
JUST_DELETED = ("hopkeeper-hub_nva-y", timedelta(seconds=599))


@pytest.mark.parametrize(("guard", "step", "seen", "reason"), GUARDED, ids=[f"{g[0]} {g[3]}" for g in GUARDED])
def test_each_guard_speaks(guard: str, step: PeeringStep, seen: RouteServerReading, reason: str) -> None:
    context = PeeringContext(topology(), seen, JUST_DELETED, frozenset({"nva-b"}), {"hopkeeper-hub_nva-b": "fleet"})
    spoken = {r.guard: r.reason for r in refuse(step, context)}
    assert reason in spoken[guard]


@pytest.mark.parametrize(
    ("deleted", "seen"),
    [
        (("hopkeeper-hub_nva-y", timedelta(minutes=10)), B),
        (("Hopkeeper-hub_nva-b", timedelta(seconds=1)), B),
        (("hopkeeper-hub_nva-y", timedelta(seconds=-1)), B),
        (("hopkeeper-hub_nva-y", timedelta(seconds=1)), own("nva-b", "10.0.1.5", Provisioning.FAILED)),
    ],
    ids=["long ago", "the same, once more", "by a clock that was ahead", "one that does not work"],
)
def test_a_delete_that_takes_nothing_more_away_is_not_spaced(deleted: tuple[str, timedelta], seen: Peering) -> None:
    assert refuse(DELETE, PeeringContext(topology(), reading(A, seen), deleted)) == ()


@pytest.mark.parametrize("step", [CREATE, DELETE])
def test_a_harmless_step_is_not_refused(step: PeeringStep) -> None:
    assert refuse(step, PeeringContext(topology(), reading(A, *EIGHT[:3]))) == ()


def test_a_holder_that_is_peered_once_more_may_lose_the_old_peering() -> None:
    second = Peering("hopkeeper-hub_nva-b.2", IPv4Address("10.0.1.5"), 65001, Provisioning.SUCCEEDED)
    moved = reading(A, own("nva-b", "10.0.1.99"), second)
    assert refuse(DELETE, PeeringContext(topology(), moved, holders=frozenset({"nva-b"}))) == ()
    other = frozenset({"nva-a"})
    assert refuse(DELETE, PeeringContext(topology(), reading(A, B), holders=other)) == ()


def test_a_holder_keeps_the_peering_that_fits_it_whatever_that_is_called() -> None:
    renamed = own("firewall-b", "10.0.1.5")
    context = PeeringContext(topology(), reading(A, renamed), holders=frozenset({"nva-b"}))
    assert [r.guard for r in refuse(DeletePeering("rs", renamed.name, "gone"), context)] == ["holder is kept"]


def test_peers_that_are_not_ours_are_named_where_no_place_is_free() -> None:
    (refusal,) = refuse(CREATE, PeeringContext(topology(), reading(A, *reversed(EIGHT[:7]))))
    assert refusal.reason == (
        "8 of 8 peers are taken (Updating, Deleting, Failed and foreign ones count); "
        "not ours: other-1, other-2, other-3, other-4, other-5, other-6, other-7"
    )


def test_the_delete_of_a_peering_that_is_not_listed_is_not_spaced() -> None:
    deleted = ("hopkeeper-hub_nva-y", timedelta(seconds=1))
    assert refuse(DELETE, PeeringContext(topology(), reading(A), deleted)) == ()


def test_a_delete_waits_for_what_is_left_of_the_time_between_two() -> None:
    (refusal,) = refuse(DELETE, PeeringContext(topology(), reading(A, B), JUST_DELETED))
    assert (refusal.guard, refusal.wait) == ("deletes are spaced", timedelta(seconds=1))


def test_a_delete_that_was_noted_this_very_moment_is_the_freshest_of_all() -> None:
    context = PeeringContext(topology(), reading(A, B), ("hopkeeper-hub_nva-y", timedelta(0)))
    assert [(r.guard, r.wait) for r in refuse(DELETE, context)] == [("deletes are spaced", timedelta(minutes=10))]


def test_a_holder_does_not_lose_the_peering_that_works_for_one_that_does_not() -> None:
    broken = Peering("hopkeeper-hub_nva-b.2", IPv4Address("10.0.1.99"), 65001, Provisioning.FAILED)
    context = PeeringContext(topology(), reading(A, B, broken), holders=frozenset({"nva-b"}))
    assert [r.guard for r in refuse(DELETE, context)] == ["holder is kept"]
    assert refuse(DeletePeering("rs", broken.name, "Failed"), context) == ()


def test_a_write_is_judged_by_what_its_own_route_server_adopts_and_lets_go() -> None:
    doc = document()
    doc["routeServers"].append({"name": "spoke", "id": f"{doc['routeServers'][0]['id']}-2"})
    doc["speakers"][1]["peersWith"] = ["rs", "spoke"]
    doc["routeServers"][1] |= {"adopt": {"nva-b": "by-hand"}}
    context = PeeringContext(decode(text(doc), Place()), reading(A))
    for server, spoken in (("rs", ["own only"]), ("spoke", [])):
        assert [r.guard for r in refuse(DeletePeering(server, "by-hand", ""), context)] == spoken


def test_the_prefixes_that_would_be_lost_are_named_in_order() -> None:
    doc = document()
    doc["services"][0]["prefixes"] = [f"100.64.{n}.0/24" for n in (9, 1, 8, 3, 5)]
    (refusal,) = refuse(DELETE, PeeringContext(decode(text(doc), Place()), reading(B)))
    networks = ", ".join(f"100.64.{n}.0/24" for n in (1, 3, 5, 8, 9))
    assert f"is the last peering that announces {networks}: name it" in refusal.reason


def test_a_holder_may_lose_its_last_peering_where_the_operator_named_it() -> None:
    doc = document()
    doc["routeServers"][0]["remove"] = [DELETE.name.upper()]
    for desired, spoken in ((topology(), ["holder is kept"]), (decode(text(doc), Place()), [])):
        context = PeeringContext(desired, reading(A, B), holders=frozenset({"nva-b"}))
        assert [r.guard for r in refuse(DELETE, context)] == spoken


def test_repairing_a_failed_peering_takes_no_new_slot() -> None:
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    assert refuse(CREATE, PeeringContext(topology(), reading(A, *EIGHT[:6], failed))) == ()


def test_the_eight_can_be_set_lower_but_the_topology_never_wants_more() -> None:
    doc: Any = document()
    doc["timing"]["peersMax"] = 2
    desired = topology(timing=doc["timing"])
    spoken = refuse(CREATE, PeeringContext(desired, reading(A, foreign("x"))))
    assert [r.guard for r in spoken] == ["at most eight"]


@pytest.mark.parametrize("state", list(Provisioning))
def test_routes_may_be_learned_by_a_succeeded_peering_and_by_a_failed_one_whose_session_is_up(
    state: Provisioning,
) -> None:
    succeeded, failed = state is Provisioning.SUCCEEDED, state is Provisioning.FAILED
    for connected, in_force in ((None, succeeded), ("NotConnected", succeeded), ("Connected", succeeded or failed)):
        assert Peering(B.name, B.address, B.asn, state, connected).in_force is in_force


def test_learned_routes_are_requested_of_succeeded_peerings_of_speakers_only() -> None:
    desired = topology()
    failed = own("nva-b", "10.0.1.5", Provisioning.FAILED)
    listed = RouteServerReading(INSTANCES, (A, failed, own("nva-z", "10.0.1.60"), foreign("by-hand")))
    assert listed.provisioned
    assert connections(desired, desired.route_servers[0], listed) == {"nva-a": A.name}


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (("Connected",), True),
        (("NotConnected",), False),
        (("Connecting",), False),
        (("NotConnected", "Connected"), True),
        ((), False),
        ((None,), None),
        (("Unknown",), None),
        (("NotConnected", None), None),
    ],
)
def test_a_session_is_shown_missing_only_where_every_peering_with_the_address_says_so(
    states: tuple[str | None, ...], shown: bool | None
) -> None:
    mine = (replace(A, name=f"p{i}", connection_state=state) for i, state in enumerate(states))
    other = replace(B, connection_state="Connected")
    desired = topology()
    assert shown_sessions(desired, desired.route_servers[0], reading(*mine, other)).get("nva-a") is shown


def test_a_peering_without_an_address_may_be_anybodys() -> None:
    nameless = replace(A, address=None, connection_state="Unknown")
    desired = topology()
    assert shown_sessions(desired, desired.route_servers[0], reading(nameless)) == {}
