"""Every guard speaks where it should, with its reason, and nowhere else. Those of peerings are in test_peerings."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from function_app.domain.base.refusal import guard_name
from function_app.domain.base.timing import Timing
from function_app.domain.peerings import guards as of_peerings
from function_app.domain.service.guards import (
    GUARDS,
    Draining,
    Look,
    Opening,
    Step,
    Touch,
    refuse,
    spacing_after,
)
from function_app.domain.service.observation import AdminState, AgentReading, Backend, Observed, Role, Unreachable
from function_app.domain.service.ranked.paths import Rank
from function_app.domain.service.record import Kind, Pause, Record, Spacing
from function_app.domain.service.referents import Referents, referents_of
from tests.builders import NOW, balancer, stable, status, topology
from tests.unit.test_peerings import GUARDED

FIT = {"nva-a": status(3, Role.SERVING), "nva-b": status(3)}
SILENT = Unreachable("no answer")
SWITCH = Opening(Kind.SWITCHOVER, "nva-b")
FAIL = Opening(Kind.FAILOVER, "nva-b")
SPACED = Spacing(count=3, last=NOW - timedelta(seconds=1))


def context(
    record: Record | None = None,
    agents: Mapping[str, AgentReading] | None = None,
    members: int = 2,
    up: str = "",
    age: timedelta = timedelta(0),
) -> Look:
    desired = topology(members, timing={"spacingStep": "PT10S"})
    reading = balancer(**{name.replace("-", "_"): "Up_Probe_Success" for name in ("nva-a", "nva-b")})
    if up:
        reading = replace(reading, backends={**reading.backends, up: Backend(AdminState.UP, "Up_Admin")})
    seen = Observed(NOW, agents or dict(FIT), reading)
    return Look(desired.services[0], desired.timing, seen, record or stable(), NOW + age)


NAMED = referents_of(topology(), topology().services[0])


def elsewhere(next_hop: str = NAMED.next_hop, **members: str) -> Look:
    """A look whose record is about another pool, or about members at other addresses."""
    others = {name.replace("_", "-"): address for name, address in members.items()}
    known = Referents(next_hop=next_hop, members={**NAMED.members, **others})
    return replace(context(stable(about=known)), named=NAMED)


CASES: list[tuple[str, Step, Look, str]] = [
    (
        "paused",
        Touch(),
        context(stable(pause=Pause(until=NOW + timedelta(1), by="ann", reason="upgrade"))),
        "by ann (upgrade)",
    ),
    ("paused", FAIL, context(stable(pause=Pause(until=NOW + timedelta(1), by="ann"))), "by ann"),
    ("nothing is up", Touch(), context(up="nva-b"), "adminState of nva-b is Up"),
    (
        "members are known",
        Touch(),
        context(stable(may_serve=frozenset({"nva-a", "gone"}))),
        "gone may still be serving",
    ),
    ("members are known", Touch(), context(stable(owed={"gone": 2})), "gone may still be serving"),
    (
        "names mean the same",
        Touch(),
        elsewhere(next_hop="another pool"),
        f"the next hop is {NAMED.next_hop} now and was another pool: put the document back",
    ),
    ("names mean the same", FAIL, elsewhere(nva_a="10.0.1.9"), "nva-a is at 10.0.1.4 now and was at 10.0.1.9"),
    ("look is fresh", FAIL, context(age=timedelta(seconds=11)), "what was seen is 11 s old: looking again"),
    ("look is fresh", SWITCH, context(age=timedelta(seconds=150)), "150 s old"),
    ("spacing", FAIL, context(stable(spacing=SPACED)), "3 automatic failovers in a row: the next one in 19 s"),
    ("spacing", FAIL, context(stable(spacing=Spacing(count=2, last=NOW))), "2 automatic failovers in a row"),
    (
        "not blind",
        SWITCH,
        context(agents={"nva-a": SILENT, "nva-b": SILENT}),
        "nva-a, nva-b are bad or unknown at once",
    ),
    ("target is ready", SWITCH, context(agents=FIT | {"nva-b": status(3, sessions_up=False)}), "nva-b is not ready"),
    (
        "balancer is sound",
        SWITCH,
        context(stable(flaws=("x is in the pool",))),
        "x is in the pool: who answers the probe",
    ),
    (
        "damping window is over",
        SWITCH,
        context(stable(rank=Rank(seq=1, changed=NOW - timedelta(seconds=10)))),
        "may still be damping the last change: in 20 s",
    ),
    (
        "minimum stays healthy",
        Draining("nva-a"),
        context(agents=FIT | {"nva-b": SILENT}),
        "0 healthy members would be left",
    ),
]


@pytest.mark.parametrize(("guard", "step", "seen", "reason"), CASES, ids=[f"{c[0]}: {c[3][:30]}" for c in CASES])
def test_each_guard_speaks(guard: str, step: Step, seen: Look, reason: str) -> None:
    spoken = {refusal.guard: refusal.reason for refusal in refuse(step, seen)}
    assert reason in spoken[guard]


def test_every_guard_has_a_case() -> None:
    assert {c[0] for c in CASES} | {g[0] for g in GUARDED} == {
        guard_name(guard) for guard in (*GUARDS, *of_peerings.GUARDS)
    }


@pytest.mark.parametrize("step", [Touch(), SWITCH, FAIL, Draining("nva-b")])
def test_nothing_speaks_against_a_harmless_step(step: Step) -> None:
    assert refuse(step, context()) == ()


@pytest.mark.parametrize(
    "seen",
    [replace(context(), named=NAMED), elsewhere(), elsewhere(nva_b="10.0.1.9"), elsewhere(gone="10.0.1.9")],
    ids=["nothing is known", "the same", "of a standby nothing is believed", "who left is another guard's"],
)
def test_names_may_mean_others_where_nothing_is_believed_of_them(seen: Look) -> None:
    assert refuse(Touch(), seen) == ()


def test_a_member_that_failed_is_drained_though_half_of_all_look_bad() -> None:
    dead = status(3, fatal=("disk",))
    agents = {name: dead if name in ("nva-c", "nva-d") else status(3) for name in ("nva-a", "nva-b", "nva-c", "nva-d")}
    assert refuse(Draining("nva-c"), context(agents=agents, members=4)) == ()
    assert [refusal.guard for refusal in refuse(Draining("nva-b"), context(agents=agents, members=4))] == ["not blind"]


def test_a_failover_never_waits_for_the_damping_window() -> None:
    changed = stable(rank=Rank(seq=1, changed=NOW))
    assert refuse(FAIL, context(changed)) == ()
    assert refuse(Opening(Kind.FORCED, "nva-b"), context(changed)) == ()


def test_a_pause_ends_by_itself() -> None:
    assert refuse(Touch(), context(stable(pause=Pause(until=NOW, by="ann")))) == ()


def test_spacing_and_blindness_never_hold_what_an_operator_or_a_proof_demands() -> None:
    forced = Opening(Kind.FORCED, "nva-b")
    assert refuse(forced, context(stable(spacing=SPACED))) == ()
    assert refuse(FAIL, context(agents={"nva-a": SILENT, "nva-b": SILENT})) == ()


def test_a_failover_from_a_silent_holder_is_not_spaced_for_waiting_is_an_outage() -> None:
    silent = {**FIT, "nva-a": SILENT}
    assert refuse(FAIL, context(stable(spacing=SPACED), agents=silent)) == ()
    assert [refusal.guard for refusal in refuse(FAIL, context(stable(spacing=SPACED)))] == ["spacing"]


@pytest.mark.parametrize("fit", ["ab", "abc"])
def test_less_than_half_of_all_that_are_bad_make_no_pass_blind(fit: str) -> None:
    agents = {f"nva-{letter}": status(3, Role.SERVING if letter == "a" else Role.STANDBY) for letter in fit}
    assert refuse(SWITCH, context(agents=agents, members=2 * len(fit) - 1)) == ()


def test_what_is_refused_of_everything_is_refused_of_a_drain_too() -> None:
    """Beside what is refused of the drain itself."""
    paused = context(stable(pause=Pause(until=NOW + timedelta(1), by="ann")), FIT | {"nva-b": SILENT})
    assert [refusal.guard for refusal in refuse(Draining("nva-a"), paused)] == ["paused", "minimum stays healthy"]


def test_an_old_look_is_taken_anew_at_once() -> None:
    (refusal,) = refuse(FAIL, context(age=timedelta(seconds=11)))
    assert refusal.wait == timedelta(0)


@pytest.mark.parametrize(
    ("quiet", "spacing_max", "refused"),
    [
        (timedelta(seconds=9), timedelta(minutes=10), ["spacing"]),
        (timedelta(seconds=10), timedelta(minutes=10), []),
        (timedelta(hours=1), timedelta(hours=3), ["spacing"]),
        (timedelta(hours=1, seconds=1), timedelta(hours=3), []),
    ],
    ids=["not over", "over", "an hour of quiet", "longer than an hour"],
)
def test_spacing_ends_with_its_wait_and_is_forgotten_only_after_an_hour(
    quiet: timedelta, spacing_max: timedelta, refused: list[str]
) -> None:
    count = 2 if quiet < timedelta(hours=1) else 100
    seen = context(stable(spacing=Spacing(count=count, last=NOW - quiet)))
    spaced = replace(seen, timing=Timing(spacing_max=spacing_max))
    assert [refusal.guard for refusal in refuse(FAIL, spaced)] == refused


@pytest.mark.parametrize("age", [timedelta(seconds=-600), timedelta(0), timedelta(seconds=10)])
def test_a_look_is_fresh_for_as_long_as_one_may_take_and_a_clock_set_back_does_not_age_it(age: timedelta) -> None:
    assert refuse(FAIL, context(age=age)) == ()


def test_spacing_is_nothing_first_and_doubles_up_to_its_most() -> None:
    timing = Timing()
    waits = [spacing_after(Spacing(count=n, last=NOW), timing).total_seconds() for n in (1, 2, 3, 4, 8, 9, 10_000)]
    assert waits == [0, 10, 20, 40, 600, 600, 600]


def test_spacing_doubles_sixteen_times_at_most_so_that_no_count_overflows() -> None:
    timing = Timing(spacing_step=timedelta(milliseconds=1), spacing_max=timedelta(hours=1))
    waits = [spacing_after(Spacing(count=n, last=NOW), timing) for n in (17, 18, 19, 10_000)]
    assert waits == [timedelta(milliseconds=1 << doublings) for doublings in (15, 16, 16, 16)]


def test_a_failover_that_is_still_to_come_spaces_nothing() -> None:
    """It was written by a host whose clock was ahead."""
    assert refuse(FAIL, context(stable(spacing=Spacing(count=5, last=NOW + timedelta(minutes=9))))) == ()


def test_spacing_is_forgotten_after_an_hour_of_quiet() -> None:
    old = Spacing(count=9, last=NOW - timedelta(hours=1, seconds=1))
    assert refuse(FAIL, context(stable(spacing=old))) == ()
