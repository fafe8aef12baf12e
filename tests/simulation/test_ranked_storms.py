"""A minute of storms over the ranked kinds: services of kind `self` and `member`, judged by what instances choose."""

import gc
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from proving.storm.bugs import Bugs
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.history import Result
from proving.storm.paths import FOR_EVER
from proving.storm.ranked.draw import ranked_plan
from proving.storm.ranked.history import RankedHistory

CALM = Plan(seed=1, profile="ranked", members=3, pace="quick", heal_at=30.0)
UNFIT = Fault(5.0, Kind.FATAL, "nva-a", FOR_EVER)
AWAY = Fault(2.0, Kind.RS_DEAF, seconds=FOR_EVER)


@pytest.fixture(autouse=True)
def garbage_waits() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def run(plan: Plan, bugs: Bugs | None = None) -> Result:
    return RankedHistory(plan, bugs).run()


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_ranked_histories_break_no_law(first: int) -> None:
    results = [run(ranked_plan(seed)) for seed in range(first, first + 20)]
    broken = [(one.plan.seed, one.violation or one.not_live) for one in results if one.law]
    assert broken == []
    assert sum(one.openings for one in results) > 10


@pytest.mark.parametrize("injectors", [0, 1, 2])
def test_a_failover_moves_the_service_also_while_an_instance_is_away(injectors: int) -> None:
    for faults in ((UNFIT,), (AWAY, UNFIT)):
        result = run(replace(CALM, injectors=injectors, lasting=faults))
        assert result.law is None, result
        assert result.openings >= 1


@pytest.mark.parametrize("seed", range(6))
def test_sessions_that_are_lost_by_all_move_nothing_while_none_has_one(seed: int) -> None:
    """They come back one by one: then a member that has one may follow a holder that has none yet, and no law is broken."""
    lost = Fault(40.0, Kind.FLAP_ALL, seconds=40.0)
    history = RankedHistory(replace(CALM, seed=seed, heal_at=100.0, quiet=True, faults=(lost,)))
    _until(history, 39.0)
    adopted = history.world.checks.openings
    _until(history, 79.0)
    assert history.world.checks.openings == adopted
    history.close()
    assert run(replace(CALM, seed=seed, heal_at=100.0, quiet=True, faults=(lost,))).law is None


def _until(history: RankedHistory, seconds: float) -> None:
    while history.world.timeline.step(seconds):
        if history.world.dirty:
            history.world.checks.look()


@pytest.mark.parametrize(
    ("law", "bugs", "plan"),
    [
        ("S1r", Bugs(flattens_paths=True), CALM),
        ("L7", Bugs(keeps_paths=True), replace(CALM, lasting=(UNFIT,))),
        ("S3", Bugs(forgets_members=True), replace(CALM, lasting=(UNFIT,))),
        ("S5", Bugs(rewinds_epochs=True), replace(CALM, faults=(replace(UNFIT, seconds=10.0),))),
        ("S7", Bugs(loses_records=True), replace(CALM, lasting=(UNFIT,))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_law_of_ranked_histories_notices_what_breaks_it(law: str, bugs: Bugs, plan: Plan) -> None:
    assert run(plan).law is None
    assert run(plan, bugs).law == law


def test_the_same_plan_gives_the_same_ranked_history() -> None:
    one, other = (RankedHistory(ranked_plan(7), trace=True).run() for _ in range(2))
    assert len(one.story) > 10
    assert one == other
