"""The soak: what its seed draws, when two count as admitted, what is flat, and half a minute of the real thing."""

import json
import os
from collections.abc import Mapping, Set
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from proving.chaos.beside import FLOODS, Beside
from proving.chaos.drawn import SECONDS, WRITES, Kind, drawn
from proving.chaos.measure import ENOUGH, HANDLES_SLACK, WARM, Life, Meter, Sample, sampled
from proving.chaos.soak import admitted_together, main

A, B = "nva-a", "nva-b"


def test_a_seed_draws_the_same_troubles_and_another_seed_others() -> None:
    assert list(islice(drawn(7), 50)) == list(islice(drawn(7), 50))
    assert list(islice(drawn(7), 50)) != list(islice(drawn(8), 50))


def test_every_kind_is_drawn_once_before_any_is_drawn_again() -> None:
    rounds = list(islice(drawn(3), 3 * len(Kind)))
    for first in range(0, len(rounds), len(Kind)):
        assert {each.kind for each in rounds[first : first + len(Kind)]} == set(Kind)
    assert {each.beside for each in rounds} == set(Beside)


def test_no_429_goes_on_beside_another_writer_and_each_lasts_as_long_as_it_may() -> None:
    for each in islice(drawn(5), 500):
        assert not (each.kind in WRITES and each.beside is Beside.REFUSED)
        least, most = SECONDS.get(each.kind, (0.0, 0.0))
        assert least <= each.seconds <= most


BOTH = ((10.0, A, (B,)),)


@pytest.mark.parametrize(
    ("planes", "found"),
    [
        ([(9.9, {A}), (10.1, {A})], 0),
        ([(9.9, {B}), (10.0, {B}), (10.1, {A})], 0),
        ([(9.9, set()), (10.1, set())], 1),
        ([(9.9, {A}), (10.1, set())], 1),  # it was lifted meanwhile
        ([(9.9, set()), (10.1, {A})], 1),
        ([(9.9, {A}), (10.1, {B})], 1),
        ([(9.9, {A})], 1),  # not looked at since
        ([], 1),
    ],
)
def test_of_two_that_answer_200_both_are_admitted_unless_one_is_down_before_and_after(
    planes: list[tuple[float, Set[str]]], found: int
) -> None:
    assert len(admitted_together(BOTH, planes)) == found


def life(rss: list[float], handles: list[int]) -> Life | None:
    return Life.of([Sample(999.0, 999)] * WARM + [Sample(*each) for each in zip(rss, handles, strict=True)])


FLAT = [20] * 40


def test_a_life_that_is_too_short_has_no_verdict() -> None:
    assert life([80.0] * (ENOUGH - 1), FLAT[: ENOUGH - 1]) is None
    assert life([80.0] * ENOUGH, FLAT[:ENOUGH]) is not None


@pytest.mark.parametrize(
    ("rss", "handles", "grew"),
    [
        ([80.0] * 40, FLAT, ""),
        ([80.0] * 20 + [95.0] * 20, FLAT, ""),
        ([80.0] * 20 + [97.0] * 20, FLAT, "memory grew from 80.0 to 97.0 MB"),
        ([80.0] * 20 + [500.0] * 5 + [80.0] * 15, FLAT, ""),  # a flood
        ([80.0 + i for i in range(40)], FLAT, "memory grew"),
        ([80.0] * 40, [20] * 30 + [20 + HANDLES_SLACK] * 10, ""),
        ([80.0] * 40, [20] * 30 + [21 + HANDLES_SLACK] * 10, "open handles grew from 20 to"),
        ([90.0] * 20 + [50.0] * 20, [60] * 20 + [20] * 20, ""),
    ],
)
def test_flat_is_what_ends_about_where_it_began(rss: list[float], handles: list[int], grew: str) -> None:
    found = life(rss, handles)
    assert found is not None
    assert grew in "; ".join(found.grew)
    assert bool(found.grew) == bool(grew)


def test_this_process_is_sampled_and_one_that_has_ended_is_not() -> None:
    here = sampled(os.getpid())
    assert here.rss_mb > 5
    assert here.handles > 2
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on when it ended
        sampled(2**22 + 1)


def test_a_new_process_of_a_program_is_a_new_life() -> None:
    meter = Meter(dict)
    meter.lives[A, 1] += [Sample(80.0, 20)] * 50
    meter.lives[A, 2] += [Sample(60.0, 30)] * 3
    assert [name for name, _ in meter.judged()] == [A]
    found = meter.document()[A]
    assert (found["lives"], found["rss_mb_max"], found["handles_max"]) == (2, 80.0, 30)
    assert found["longest"]["rss_mb"] == (80.0, 80.0)


SEED = 18
"""The standby and the host killed, the pool written, the holder's agent frozen; floods beside three of them."""


@pytest.mark.timeout(150)
def test_half_a_minute_of_troubles_violates_nothing_and_its_figures_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = main(["--minutes", "0.5", "--seed", str(SEED), "--out", str(tmp_path / "soak.json")])
    said = capsys.readouterr().out
    assert ended == 0, said
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert (figures["violations"], figures["seed"]) == ([], SEED)
    assert figures["minutes"] >= 0.5
    assert said.count("packets lost, at rest") == figures["rounds"]
    several_kinds_happened(figures)
    all_is_measured(figures)


def several_kinds_happened(figures: Mapping[str, Any]) -> None:
    """On a busy machine two troubles, and what goes on beside them."""
    assert Kind.STANDBY in figures["troubles"]
    assert sum(figures["troubles"].values()) == figures["rounds"]
    assert FLOODS & set(figures["beside"])
    assert len({*figures["troubles"], *figures["beside"]} - {Beside.NOTHING}) >= 3


def all_is_measured(figures: Mapping[str, Any]) -> None:
    assert sum(figures["answers"]["codes"].values()) > 100
    assert figures["orders_answered"] == 2 * figures["rounds"]
    assert figures["packets"]["sent"] > 1000
    assert figures["probe_answers"] > 500
    assert set(figures["recovery_seconds"]["longest"]) == set(figures["troubles"])
    assert set(figures["processes"]) == {"host", A, B}
    assert sum(each["lives"] for each in figures["processes"].values()) >= 4  # the standby's agent had two
    assert figures["processes"]["host"]["rss_mb_max"] > 20
    assert figures["processes"][A]["handles_max"] > 5
