"""The ranked kinds' rules, one by one (safety.md section 3). In every history: tests/simulation/test_ranked_exhaustive.py."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import msgspec
import pytest

from function_app.domain.service.ranked.paths import (
    ANYTHING,
    LENGTH_MAX,
    Path,
    PathOrder,
    Rank,
    Reach,
    acknowledged,
    best_possible,
    damped_for,
    gone_for,
    held_for,
    intend,
    landed,
    leading,
    learned,
    live_instances,
    normalise,
    on_every_live,
    outrank,
    parted,
    reported_anew,
    unacknowledged,
    without_unknown,
)
from function_app.domain.topology.model import Naming

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOLD, DAMPING = timedelta(seconds=180), timedelta(seconds=30)
EVER = T0 + timedelta(days=1)
SELF, MEMBER = Naming.SELF, Naming.MEMBER


def reach(*on_both: str, lopsided: tuple[str, ...] = (), announcers: str = "abc") -> Reach:
    return Reach(frozenset(announcers), frozenset({*on_both, *lopsided}), frozenset(on_both))


def order(rank: Rank, at: datetime = T0, **paths: Path) -> Rank:
    return intend(rank, 1, paths, at)


def ack(rank: Rank, name: str, at: datetime = T0) -> Rank:
    return acknowledged(rank, name, rank.announcers[name].latest.turn, at)


def resting(**paths: Path) -> Rank:
    """All acknowledged and landed."""
    rank = order(Rank(), **paths)
    for name in paths:
        rank = ack(rank, name)
    return landed(rank, EVER, HOLD)


def trio() -> Rank:
    return resting(a=Path(4, "a"), b=Path(5, "b"), c=Path(6, "c"))


def paths_of(rank: Rank, name: str) -> list[tuple[int, str]]:
    return [(o.path.length, o.path.next_hop) for o in rank.announcers[name].orders]


def proposed(rank: Rank, target: str, within: Reach, naming: Naming = SELF) -> dict[str, Path]:
    return dict(outrank(naming, rank, target, within).paths)


# --- what the record says


def test_an_intent_is_kept_beside_what_may_be_on_the_wire() -> None:
    assert paths_of(order(trio(), b=Path(3, "b")), "b") == [(5, "b"), (3, "b")]


def test_every_intent_has_a_seq_that_was_never_used() -> None:
    rank = order(order(trio(), b=Path(3, "b")), a=Path(2, "a"))
    assert [rank.announcers[n].latest.seq for n in "cba"] == [1, 2, 3]


def test_nothing_intended_is_nothing_written() -> None:
    rank = trio()
    assert intend(rank, 2, {}, EVER) is rank


def test_the_same_path_again_only_counts_with_its_newest_turn() -> None:
    rank = trio()
    for _ in range(50):
        rank = order(order(rank, b=Path(3, "b")), b=Path(5, "b"))
    assert paths_of(rank, "b") == [(3, "b"), (5, "b")]


def test_an_acknowledged_path_replaces_the_older_ones_only_when_it_has_landed() -> None:
    rank = ack(order(trio(), a=Path(7, "a")), "a", T0)
    assert best_possible(landed(rank, T0 + HOLD - timedelta(seconds=1), HOLD), "a", "b") == 4
    assert best_possible(landed(rank, T0 + HOLD, HOLD), "a", "b") == 7


def test_a_command_that_is_not_acknowledged_may_arrive_for_ever() -> None:
    rank = landed(order(trio(), b=Path(3, "b")), EVER, HOLD)
    assert best_possible(rank, "b", "c") == 3


def test_an_acknowledgement_leaves_every_later_order() -> None:
    rank = order(order(trio(), b=Path(3, "b")), b=Path(2, "b"))
    rank = landed(acknowledged(rank, "b", (1, 2), T0), EVER, HOLD)
    assert paths_of(rank, "b") == [(3, "b"), (2, "b")]


def test_old_doubled_and_unknown_acknowledgements_change_nothing() -> None:
    rank = ack(order(trio(), b=Path(3, "b")), "b")
    for turn in ((1, 1), (1, 2), (9, 9)):
        assert acknowledged(rank, "b", turn, EVER) is rank
    assert acknowledged(rank, "stranger", (1, 1), EVER) is rank


def test_only_the_latest_command_is_ever_sent_and_until_it_is_acknowledged() -> None:
    rank = order(order(trio(), b=Path(3, "b")), b=Path(2, "b"))
    assert unacknowledged(rank) == {"b": PathOrder(1, 3, Path(2, "b"))}
    assert unacknowledged(ack(rank, "b")) == {}


def test_best_possible_is_the_shortest_that_names_another() -> None:
    rank = order(resting(i=Path(4, "a")), i=Path(3, "b"))
    assert [best_possible(rank, "i", target) for target in "abc"] == [3, 4, 3]
    assert best_possible(resting(i=Path(4, "a")), "i", "a") is None
    assert best_possible(rank, "stranger", "a") is None


def test_a_rank_survives_being_written_down() -> None:
    rank = ack(order(trio(), b=Path(3, "b")), "b")
    assert msgspec.json.decode(msgspec.json.encode(rank), type=Rank) == rank


def test_a_length_of_four_is_three_prepends_and_the_longest_is_sixteen() -> None:
    assert [Path(length, "a").prepend for length in (4, LENGTH_MAX)] == [3, 16]


def test_a_path_of_any_length_leads_where_there_is_no_rival() -> None:
    assert [leading(resting(a=Path(length, "a")), "a") for length in (1, LENGTH_MAX)] == ["a", "a"]


# --- outranking


def test_the_target_gets_a_path_shorter_than_all_that_may_name_another() -> None:
    assert proposed(trio(), "c", reach("b", "c")) == {"c": Path(3, "c")}


def test_the_target_leads_once_it_has_acknowledged() -> None:
    rank = order(trio(), b=Path(3, "b"))
    assert leading(rank, "b") is None
    assert leading(ack(rank, "b"), "b") == "b"
    assert leading(ack(rank, "b"), "a") is None


def test_an_equal_length_does_not_lead() -> None:
    assert leading(resting(a=Path(4, "a"), b=Path(4, "b")), "a") is None


def test_an_order_that_was_never_acknowledged_does_not_lead() -> None:
    assert leading(order(Rank(), a=Path(4, "a")), "a") is None


def test_an_unacknowledged_rival_is_outranked_too() -> None:
    assert proposed(order(trio(), b=Path(3, "b")), "c", reach("c")) == {"c": Path(2, "c")}


def test_what_was_ordered_already_is_not_ordered_again() -> None:
    assert proposed(order(trio(), b=Path(3, "b")), "b", reach("b")) == {}


def test_whoever_leads_is_commanded_nothing() -> None:
    assert outrank(SELF, trio(), "a", reach("a", "b", "c")).paths == {}


def test_without_headroom_it_is_held_and_says_whose_path_is_in_the_way() -> None:
    proposal = outrank(SELF, resting(a=Path(1, "a"), b=Path(5, "b")), "b", reach("b"))
    assert proposal.paths == {}
    assert proposal.held == ("no headroom: a may announce another next hop with an AS path of 1",)


def test_rest_has_headroom_for_three_failovers() -> None:
    rank, moved = trio(), []
    for target in "bcab":
        paths = proposed(rank, target, reach("a", "b", "c"))
        rank = order(rank, **paths)
        rank = ack(rank, target) if paths else rank
        moved.append(paths[target].length if target in paths else None)
    assert moved == [3, 2, 1, None]


def test_one_session_is_not_enough() -> None:
    proposal = outrank(SELF, trio(), "b", reach("c", lopsided=("b",)))
    assert proposal.paths == {}
    assert proposal.held == ("b is not Established with every live Route Server instance",)


FIRST, SECOND = IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5")
BOTH, ONE, NONE = {FIRST: True, SECOND: True}, {FIRST: True, SECOND: False}, {FIRST: False, SECOND: False}


@pytest.mark.parametrize(
    ("sessions", "live", "enough"),
    [
        (BOTH, {FIRST, SECOND}, True),
        (ONE, {FIRST, SECOND}, False),
        (ONE, {FIRST}, True),
        (ONE, {SECOND}, False),
        (NONE, set[IPv4Address](), False),
        ({FIRST: True}, {FIRST}, False),
        ({}, set[IPv4Address](), False),
        (BOTH, {FIRST, SECOND, IPv4Address("10.1.2.4")}, True),
    ],
)
def test_a_leader_peers_with_two_instances_and_has_a_session_with_each_that_is_live(
    sessions: Mapping[IPv4Address, bool], live: set[IPv4Address], enough: bool
) -> None:
    assert on_every_live(sessions, frozenset(live)) is enough


@pytest.mark.parametrize(
    ("reported", "live"),
    [
        ({"a": BOTH, "b": ONE}, {FIRST, SECOND}),
        ({"a": ONE, "b": ONE}, {FIRST}),
        ({"a": ONE, "b": None}, {FIRST, SECOND}),
        ({"a": NONE, "b": {}}, set[IPv4Address]()),
    ],
)
def test_an_instance_is_live_while_any_announcer_has_or_may_have_a_session_with_it(
    reported: Mapping[str, Mapping[IPv4Address, bool] | None], live: set[IPv4Address]
) -> None:
    assert live_instances(reported) == live


def flapped() -> Rank:
    """Lengths are used up: a leads at one, and b and c have been outranked."""
    return resting(a=Path(1, "a"), b=Path(3, "b"), c=Path(4, "c"))


def test_without_headroom_the_announcer_in_the_way_is_commanded_to_lengthen_its_path() -> None:
    everybody = reach("a", "b", "c")
    proposal = outrank(SELF, flapped(), "b", everybody)
    assert proposal.paths == {"a": Path(5, "a")}
    assert proposal.held == ("no headroom: a may announce another next hop with an AS path of 1",)
    rank = ack(order(flapped(), **proposal.paths), "a")
    assert proposed(rank, "b", everybody) == {}
    assert leading(rank, "b") is None
    assert leading(landed(rank, EVER, HOLD), "b") == "b"


def test_a_target_is_first_shorter_than_a_silent_member_that_would_be_the_next_hop_once_others_are_lengthened() -> None:
    answering = reach("a", "c")
    assert proposed(flapped(), "c", answering) == {"c": Path(2, "c")}
    shortened = order(flapped(), c=Path(2, "c"))
    assert proposed(shortened, "c", answering) == {}
    rank = ack(shortened, "c")
    assert proposed(rank, "c", answering) == {"a": Path(5, "a")}
    lengthened = ack(order(rank, a=Path(5, "a")), "a")
    assert leading(landed(lengthened, EVER, HOLD), "c") == "c"
    assert proposed(flapped(), "b", reach("a", "b")) == {"a": Path(5, "a")}


def test_nothing_is_lengthened_where_no_length_is_left_below_a_silent_member_that_is_not_gone() -> None:
    rank, answering = resting(a=Path(1, "a"), b=Path(2, "b"), c=Path(4, "c")), reach("a", "c")
    assert proposed(rank, "c", answering) == {}
    assert proposed(rank, "c", replace(answering, gone=frozenset("b"))) == {"a": Path(5, "a")}


def test_an_unfit_one_is_lengthened_even_where_a_silent_member_is_the_next_hop_until_then() -> None:
    rank, unfit = (
        resting(a=Path(1, "a"), b=Path(2, "b"), c=Path(4, "c")),
        replace(reach("a", "c"), unfit=frozenset("a")),
    )
    assert proposed(rank, "c", unfit) == {"a": Path(5, "a")}
    landed_at_last = landed(ack(order(rank, a=Path(5, "a")), "a"), EVER, HOLD)
    assert proposed(landed_at_last, "c", unfit) == {"c": Path(1, "c")}
    assert proposed(resting(a=Path(2, "a"), b=Path(1, "b"), c=Path(4, "c")), "c", unfit) == {}


def test_one_that_is_gone_may_come_back_and_is_outranked_all_the_same() -> None:
    rank = resting(a=Path(5, "a"), b=Path(2, "b"), c=Path(4, "c"))
    answering = replace(reach("a", "c"), gone=frozenset("b"))
    assert leading(rank, "c") is None
    assert proposed(rank, "c", answering) == {"c": Path(1, "c")}


def test_nothing_is_lengthened_for_a_target_that_is_not_on_every_live_instance() -> None:
    assert proposed(flapped(), "b", reach("a", "c", lopsided=("b",))) == {}


def test_an_injector_that_cannot_lead_is_commanded_to_lengthen_its_path_for_one_that_can() -> None:
    rank = resting(i=Path(1, "a"), j=Path(2, "a"))
    assert proposed(rank, "b", reach("j", lopsided=("i",), announcers="ij"), MEMBER) == {"i": Path(5, "a")}


def test_a_path_lands_after_the_hold_time_that_its_announcer_reports() -> None:
    rank = ack(order(trio(), b=Path(3, "b"), c=Path(2, "c")), "b")
    slower = held_for(ack(rank, "c"), {"b": HOLD + timedelta(seconds=60), "x": HOLD})
    assert slower.announcers.keys() == set("abc")
    assert [a.landed for a in landed(slower, T0 + HOLD, HOLD).announcers.values()] == [True, False, True]
    silent = held_for(slower, {})
    assert landed(silent, T0 + HOLD, HOLD) == landed(slower, T0 + HOLD, HOLD)
    assert all(a.landed for a in landed(slower, T0 + HOLD + timedelta(seconds=60), HOLD).announcers.values())


def test_an_announcer_is_gone_from_the_first_look_that_shows_no_session_until_one_that_shows_one() -> None:
    later = T0 + timedelta(seconds=30)
    rank = parted(parted(trio(), {"a": False, "b": True}, T0), {"a": False}, later)
    assert rank.gone == {"a": T0}
    assert [gone_for(rank, name, later) for name in "ab"] == [timedelta(seconds=30), timedelta(0)]
    assert parted(rank, {}, later) == rank
    assert parted(rank, {"a": True}, later).gone == {}


def test_only_what_is_unknown_of_an_announcer_that_is_gone_is_given_up() -> None:
    lost = order(learned("abc", {"c": PathOrder(1, 1, Path(6, "c"))}), a=Path(7, "a"))
    left = without_unknown(lost, frozenset("abc"))
    assert {n: paths_of(left, n) for n in left.announcers} == {"a": [(7, "a")], "c": [(6, "c")]}
    assert without_unknown(lost, frozenset()) == lost


def test_an_announcer_that_comes_back_counts_by_what_it_reports() -> None:
    back = {"x": PathOrder(1, 9, Path(2, "x")), "a": PathOrder(1, 9, Path(1, "a"))}
    rank = reported_anew(trio(), back)
    assert best_possible(rank, "x", "a") == 2
    assert (rank.seq, rank.announcers["a"]) == (9, trio().announcers["a"])
    assert reported_anew(trio(), {}) == trio()


def test_one_that_left_the_topology_is_outranked_but_never_commanded() -> None:
    rank = resting(x=Path(4, "x"), b=Path(5, "b"))
    assert proposed(rank, "b", reach("b", "x")) == {"b": Path(3, "b")}
    assert outrank(SELF, rank, "x", reach("b", "x")).paths == {}


def test_a_new_member_is_ranked_behind_once_one_leads() -> None:
    fresh = outrank(SELF, Rank(), "a", reach("a", "b"))
    assert fresh.paths == {"a": Path(4, "a")}
    assert proposed(resting(a=Path(4, "a")), "a", reach("a", "b", "c")) == {"b": Path(5, "b"), "c": Path(6, "c")}
    assert proposed(resting(a=Path(4, "a")), "a", reach("a", lopsided=("b",))) == {}


def test_a_path_that_is_under_way_at_a_rivals_length_is_not_short_enough() -> None:
    rank = order(resting(a=Path(3, "a"), b=Path(5, "b")), b=Path(3, "b"))
    assert proposed(rank, "b", reach("b")) == {"b": Path(2, "b")}


def test_a_lead_whose_path_has_landed_leads_on_while_it_is_silent() -> None:
    proposal = outrank(SELF, trio(), "a", reach("b", "c"))
    assert (proposal.paths, proposal.held) == ({}, ())


def test_a_new_member_gets_the_shortest_free_path_behind_the_target() -> None:
    assert proposed(resting(a=Path(7, "a")), "a", reach("a", "b")) == {"b": Path(8, "b")}


@pytest.mark.parametrize(("taken", "path"), [(12, Path(LENGTH_MAX, "z")), (13, None)])
def test_a_new_member_gets_the_last_free_length_and_no_order_beyond_it(taken: int, path: Path | None) -> None:
    names = "abcdefghijklm"[:taken]
    rank = resting(a=Path(4, "a"), **{n: Path(5 + i, n) for i, n in enumerate(names[1:])}, y=Path(4 + taken, "y"))
    assert proposed(rank, "a", reach("a", "z", announcers=f"{names}yz")).get("z") == path


# --- one or two announcers that name the holder


def injectors() -> Rank:
    return resting(i=Path(4, "a"), j=Path(5, "a"))


INJECTORS = reach("i", "j", announcers="ij")


def test_a_single_announcer_changes_its_next_hop_and_keeps_its_length() -> None:
    assert proposed(resting(i=Path(4, "a")), "b", INJECTORS, MEMBER)["i"] == Path(4, "b")


def test_the_lead_is_whoever_needs_least_headroom() -> None:
    assert proposed(injectors(), "b", INJECTORS, MEMBER) == {"i": Path(4, "b")}


def test_followers_are_commanded_only_once_the_lead_is_proven() -> None:
    rank = ack(order(injectors(), i=Path(4, "b")), "i")
    assert proposed(rank, "b", INJECTORS, MEMBER) == {"j": Path(5, "b")}


def test_a_dead_announcer_is_outranked_by_the_other_one() -> None:
    assert proposed(injectors(), "b", reach("j", announcers="ij"), MEMBER) == {"j": Path(3, "b")}


def test_an_announcer_that_names_the_target_is_no_rival() -> None:
    rank = resting(i=Path(4, "b"), j=Path(5, "a"))
    assert leading(rank, "b") == "i"


def test_a_lead_that_dies_with_its_update_on_the_way_is_outranked_until_that_has_landed() -> None:
    rank = ack(order(injectors(), i=Path(4, "b")), "i", T0)
    others = reach("j", announcers="ij")
    assert proposed(rank, "b", others, MEMBER)["j"] == Path(3, "b")
    assert proposed(landed(rank, T0 + HOLD, HOLD), "b", others, MEMBER) == {"j": Path(5, "b")}


def test_what_an_announcer_was_ordered_already_is_not_ordered_again() -> None:
    assert proposed(order(injectors(), i=Path(4, "b")), "b", INJECTORS, MEMBER) == {}


def test_an_announcer_that_names_the_target_is_no_rival_however_short_its_path_is() -> None:
    rank = order(resting(i=Path(4, "b"), j=Path(5, "b")), j=Path(3, "b"))
    assert leading(rank, "b") == "i"


def test_of_all_that_name_the_target_the_shortest_leads() -> None:
    assert leading(resting(i=Path(5, "b"), j=Path(4, "b")), "b") == "j"


def lost_lead() -> Rank:
    """j has acknowledged a short path that names b, on top of a long one that names a and may still be there."""
    return ack(order(resting(i=Path(5, "a"), j=Path(7, "a")), j=Path(3, "b")), "j")


def test_a_lead_that_is_lost_is_no_rival_of_the_next_one_which_keeps_its_length() -> None:
    alone = reach("i", announcers="ij")
    assert proposed(lost_lead(), "b", alone, MEMBER) == {"i": Path(5, "b")}
    assert proposed(order(lost_lead(), i=Path(4, "b")), "b", alone, MEMBER) == {}


def test_the_next_lead_takes_no_length_that_another_has_even_if_that_names_the_target() -> None:
    rank = ack(order(resting(i=Path(5, "a"), j=Path(7, "a"), k=Path(6, "a")), j=Path(4, "b")), "j")
    assert proposed(rank, "b", reach("k", announcers="ijk"), MEMBER) == {"k": Path(3, "b")}


def test_of_two_that_need_the_same_headroom_the_first_by_name_leads() -> None:
    rank = resting(i=Path(5, "a"), j=Path(6, "a"), k=Path(4, "a"))
    assert proposed(rank, "b", reach("i", "j", announcers="ijk"), MEMBER) == {"i": Path(3, "b")}


def test_a_new_announcer_that_names_the_target_need_not_stay_behind_the_targets_own_path() -> None:
    rank = resting(a=Path(7, "a"))
    assert proposed(rank, "a", reach("a", "i", announcers="ai"), MEMBER) == {"i": Path(5, "a")}


def test_whose_path_is_in_the_way_does_not_count_the_lead_nor_paths_that_name_the_target() -> None:
    lost = learned("ijk", {"j": PathOrder(1, 1, Path(2, "a")), "k": PathOrder(1, 2, Path(9, "a"))})
    rank = ack(order(lost, j=Path(1, "b")), "j")
    proposal = outrank(MEMBER, rank, "b", reach("i", announcers="ijk"))
    assert proposal.held == ("no headroom: j may announce another next hop with an AS path of 2",)


def test_no_announcer_on_both_instances_is_held() -> None:
    proposal = outrank(MEMBER, injectors(), "b", reach(lopsided=("i", "j"), announcers="ij"))
    assert proposal.held == ("no announcer that answers is Established with every live Route Server instance",)


# --- back to rest


def moved() -> Rank:
    """b took over from a, and that has landed."""
    return landed(ack(order(trio(), b=Path(3, "b")), "b"), EVER, HOLD)


def test_at_rest_there_is_nothing_to_do() -> None:
    proposal = normalise(trio(), "a", reach("a", "b", "c"), EVER, DAMPING)
    assert (proposal.paths, proposal.held) == ({}, ())


def test_the_others_return_first_and_the_lead_once_they_have_landed() -> None:
    rank, everybody = moved(), reach("a", "b", "c")
    first = normalise(rank, "b", everybody, EVER, DAMPING)
    assert first.paths == {"a": Path(5, "a")}
    rank = ack(order(rank, EVER, **first.paths), "a", EVER)
    later = EVER + HOLD
    assert normalise(rank, "b", everybody, later, DAMPING).paths == {}
    rank = landed(rank, later, HOLD)
    assert normalise(rank, "b", everybody, later, DAMPING).paths == {"b": Path(4, "b")}


def test_a_return_to_rest_waits_for_acknowledgements() -> None:
    rank = order(moved(), c=Path(7, "c"))
    assert "c is not acknowledged" in normalise(rank, "b", reach("a", "b", "c"), EVER, DAMPING).held[0]


def test_a_return_to_rest_does_not_wait_for_the_silent_or_the_new() -> None:
    rank = order(moved(), T0, c=Path(7, "c"))
    assert normalise(rank, "b", reach("a", "b", "d", announcers="abcd"), EVER, DAMPING).paths == {"a": Path(5, "a")}


@pytest.mark.parametrize(
    ("rank", "holder"),
    [
        (order(resting(a=Path(5, "a"), b=Path(4, "b")), b=Path(3, "b")), "b"),
        (order(resting(i=Path(4, "a"), j=Path(5, "b")), i=Path(3, "b")), "b"),
    ],
    ids=["self", "member"],
)
def test_a_lead_returns_to_rest_once_its_own_older_path_has_landed(rank: Rank, holder: str) -> None:
    (lead,) = (name for name, announcer in rank.announcers.items() if not announcer.settled)
    names = "".join(rank.announcers)
    proposal = normalise(ack(rank, lead), holder, reach(*names, announcers=names), EVER, DAMPING)
    assert proposal.held == (f"the last path of {lead} is not acknowledged, or may not have arrived",)


def test_a_silent_announcer_that_names_the_holder_is_not_in_the_way_of_rest() -> None:
    rank = resting(i=Path(1, "b"), j=Path(2, "b"))
    assert normalise(rank, "b", reach("i", announcers="ij"), EVER, DAMPING).paths == {"i": Path(4, "b")}


def test_a_return_to_rest_waits_out_the_damping_window() -> None:
    rank = moved()
    soon = T0 + timedelta(seconds=18)
    assert normalise(rank, "b", reach("a", "b", "c"), soon, DAMPING).held == (
        "AS paths return to rest in 12 s: the damping window",
    )
    assert normalise(rank, "b", reach("a", "b", "c"), T0 + DAMPING, DAMPING).paths


def test_the_damping_window_runs_from_the_last_order_or_its_first_acknowledgement() -> None:
    seconds = [timedelta(seconds=n) for n in (0, 10, 20, 70)]
    rank = order(trio(), T0 + seconds[1], b=Path(3, "b"))
    assert [damped_for(rank, T0 + n, DAMPING) for n in seconds[1:]] == [DAMPING, seconds[2], seconds[0]]
    assert damped_for(ack(rank, "b", T0 + seconds[2]), T0 + seconds[2], DAMPING) == DAMPING
    assert damped_for(Rank(), T0, DAMPING) == seconds[0]


def test_a_failover_needs_no_window() -> None:
    rank = ack(order(trio(), b=Path(3, "b")), "b")
    assert damped_for(rank, T0, DAMPING) == DAMPING
    assert proposed(rank, "c", reach("c")) == {"c": Path(2, "c")}


def test_a_silent_rival_stays_where_it_may_be_and_the_lead_below_it() -> None:
    rank = resting(a=Path(4, "a"), b=Path(1, "b"))
    assert normalise(rank, "b", reach("b"), EVER, DAMPING).paths == {"b": Path(3, "b")}


def test_nothing_returns_to_rest_while_the_lead_is_not_on_both() -> None:
    assert normalise(moved(), "b", reach("a", lopsided=("b",)), EVER, DAMPING).paths == {}


def test_nothing_returns_to_rest_while_no_announcer_leads() -> None:
    assert normalise(order(trio(), b=Path(3, "b")), "b", reach("a", "b"), EVER, DAMPING).paths == {}


def test_all_lengths_at_rest_fit_the_agent_protocol() -> None:
    names = "abcdefgh"
    rank = resting(**{n: Path(4 + place, n) for place, n in enumerate(names)})
    everybody = reach(*names, announcers=names)
    for step, target in enumerate(names * 6):
        at = EVER + HOLD * step
        rank = landed(rank, at, HOLD)
        for paths in (proposed(rank, target, everybody), {}):
            for name in (rank := order(rank, at, **paths)).announcers:
                rank = ack(rank, name, at)
        for _ in range(2):
            rank = landed(rank, at + HOLD, HOLD)
            rank = order(rank, at, **normalise(rank, target, everybody, EVER + HOLD * 999, DAMPING).paths)
            for name in rank.announcers:
                rank = ack(rank, name, at)
        lengths = [a.latest.path.length for a in rank.announcers.values()]
        assert len(set(lengths)) == len(names)
        assert max(lengths) <= LENGTH_MAX
        assert rank.announcers[target].latest.path.length == 4


# --- a lost record


def test_of_a_lost_record_the_silent_may_announce_anything() -> None:
    rank = learned("ab", {"b": PathOrder(7, 12, Path(5, "b"))})
    proposal = outrank(SELF, rank, "b", reach("b"))
    assert proposal.held == ("no headroom: it is not known what a may announce",)
    assert unacknowledged(rank) == {}


def test_of_a_lost_record_whoever_answers_is_commanded_its_path() -> None:
    rank = learned("ab", {})
    paths = proposed(rank, "b", reach("a", "b"))
    assert paths == {"b": Path(5, "b"), "a": Path(6, "a")}
    rank = intend(rank, 8, paths, T0)
    for name in "ab":
        rank = ack(rank, name)
    assert leading(rank, "b") is None
    assert leading(landed(rank, T0 + HOLD, HOLD), "b") == "b"


def test_of_a_lost_record_no_path_is_commanded_that_a_silent_one_may_have_too() -> None:
    rank = learned("abc", {"a": PathOrder(7, 12, Path(4, "a"))})
    held = outrank(SELF, rank, "a", reach("a", "b"))
    assert (held.paths, held.held) == ({}, ("no headroom: it is not known what b, c may announce",))
    gone = without_unknown(rank, frozenset("c"))
    assert proposed(gone, "a", reach("a", "b")) == {"b": Path(5, "b")}


def test_of_a_lost_record_what_is_reported_counts_and_is_numbered_beyond() -> None:
    rank = learned("ab", {"a": PathOrder(7, 12, Path(4, "a")), "b": PathOrder(6, 3, Path(5, "b"))})
    assert leading(rank, "a") == "a"
    assert intend(rank, 8, {"b": Path(3, "b")}, T0).announcers["b"].latest.turn == (8, 13)


def test_of_a_lost_record_no_acknowledgement_says_what_the_silent_announce() -> None:
    rank = learned("a", {})
    assert not rank.announcers["a"].settled
    assert all(acknowledged(rank, "a", turn, T0) is rank for turn in ((0, 1), (1, 1), (9, 9)))


def test_of_a_lost_record_of_which_nothing_is_reported_orders_are_numbered_from_one() -> None:
    assert intend(learned("a", {}), 8, {"a": Path(4, "a")}, T0).announcers["a"].latest.turn == (8, 1)


def test_anything_is_shorter_than_all_and_names_no_member() -> None:
    assert Path(1, "") == ANYTHING
