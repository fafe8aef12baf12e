"""The prefix budget: what a neighbour holds and what comes in one go together stay within it."""

from __future__ import annotations

import pytest
from hopkeeper_agent.speakers.budget import OverBudget, stages
from hopkeeper_agent.speakers.settings import Budget


def table(prefixes: str, hop: str) -> dict[str, str]:
    return dict.fromkeys(prefixes, hop)


def incoming(held: dict[str, str], found: list[dict[str, str]]) -> list[int]:
    """Held plus sent, at each stage."""
    sums = []
    for stage in found:
        sums.append(len(held) + sum(held.get(prefix) != hop for prefix, hop in stage.items()))
        held = stage
    return sums


def test_within_the_budget_all_goes_at_once() -> None:
    assert stages(table("abc", "1"), table("abc", "2"), Budget(6)) == [table("abc", "2")]
    assert stages({}, table("abc", "2"), Budget(3)) == [table("abc", "2")]


def test_nothing_to_announce_is_always_within_the_budget() -> None:
    assert stages(table("abcd", "1"), table("ab", "1"), Budget(2, split=False)) == [table("ab", "1")]


@pytest.mark.parametrize("limit", range(7, 13))
def test_beyond_it_batches_each_stay_within(limit: int) -> None:
    held, wanted = table("abcdef", "1"), table("abcdef", "2")
    found = stages(held, wanted, Budget(limit))
    assert found[-1] == wanted
    assert max(incoming(held, found)) <= limit
    assert all(stage.keys() == held.keys() for stage in found)


def test_replacing_comes_before_what_is_new_and_withdrawing_last() -> None:
    held, wanted = table("abcx", "1"), table("abcd", "2")
    found = stages(held, wanted, Budget(6))
    assert found == [
        {**table("abcx", "1"), **table("ab", "2")},
        {**table("abcx", "2"), "x": "1", "d": "2"},
        wanted,
    ]


def test_without_room_beside_what_is_held_withdrawals_go_first() -> None:
    held, wanted = table("abxy", "1"), table("ab", "2")
    assert stages(held, wanted, Budget(4))[0] == table("ab", "1")


def test_prefixes_of_others_on_the_session_count() -> None:
    assert len(stages(table("abc", "1"), table("abc", "2"), Budget(10), others=4)) == 1
    assert len(stages(table("abc", "1"), table("abc", "2"), Budget(10), others=5)) == 2


@pytest.mark.parametrize(
    ("held", "wanted", "budget"),
    [
        (table("abc", "1"), table("abc", "2"), Budget(5, split=False)),
        (table("abc", "1"), table("abc", "2"), Budget(3)),
        ({}, table("abcd", "2"), Budget(3)),
    ],
    ids=["refused as the setting says", "no room to replace anything", "more than it ever bears"],
)
def test_what_cannot_be_is_refused(held: dict[str, str], wanted: dict[str, str], budget: Budget) -> None:
    with pytest.raises(
        OverBudget, match=f"{len(held)} prefixes held and {len(wanted)} to send, {budget.prefixes} allowed"
    ):
        stages(held, wanted, budget)
