"""What one look at a service holds: what is missing in it, and what a pass adds to it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from function_app.domain.service.look import LEAP_MAX, Look
from function_app.domain.service.observation import (
    ABSENT,
    AdminState,
    AgentService,
    AgentStatus,
    Backend,
    BalancerReading,
    Observed,
    Role,
    in_every_pool,
)
from function_app.domain.service.ranked.paths import Path, PathOrder
from function_app.domain.service.record import Record, unknown
from tests.builders import NOW, balancer, stable, status
from tests.unit.decisions import PROBED, SERVING, SILENT, A, B, C, look, looking

NOTHING = unknown("fw", frozenset({A, B}), NOW)


def test_a_fit_agent_that_does_not_know_the_service_stands_by_at_epoch_0_and_answers_no_probe() -> None:
    seen = look(SERVING, status(service="other"), SILENT)
    assert seen.service(B, "fw") == AgentService(0, 0, Role.STANDBY, answering=False)
    assert seen.service(C, "fw") is None


def test_a_lift_replaces_the_older_reading_of_its_own_backend_only() -> None:
    pool = balancer(nva_a="Down_Admin", nva_b=PROBED)
    lifted = look(SERVING, balancer=pool).with_lifted(A, 4)
    assert lifted.lifted == {A: 4}
    assert lifted.balancer == replace(pool, backends={**pool.backends, A: Backend(AdminState.NONE)})


@pytest.mark.parametrize("pool", [None, "ARM answers 503", balancer(nva_b=PROBED)], ids=["not read", "failed", "other"])
def test_a_lift_adds_no_backend_to_a_reading_that_does_not_show_it(pool: object) -> None:
    lifted = look(SERVING, balancer=pool).with_lifted(A, 4)
    assert (lifted.lifted, lifted.balancer) == ({A: 4}, pool)


def test_what_announcers_accepted_in_this_pass_outlives_its_look_and_the_newer_wins() -> None:
    earlier = look(SERVING).with_announced(A, (3, 1)).with_announced(B, (3, 2))
    again = look(SERVING).with_announced(B, (3, 3)).after(earlier)
    assert again.announced == {A: (3, 1), B: (3, 3)}


def with_ordered(seen: Observed, epoch: int) -> Look:
    return looking(replace(seen, ordered={A: PathOrder(epoch, 1, Path(1, A))}), stable())


def saying(**changes: int) -> AgentStatus:
    """An agent that stands by at epoch 2, by our own command, and says this beside it."""
    given = status(2)
    return replace(given, services={"fw": replace(given.services["fw"], **changes)})


def test_the_newest_epoch_is_the_highest_that_an_agent_shows_our_command_of_or_was_ordered() -> None:
    silent = look(SILENT, SILENT, SILENT)
    assert looking(silent, stable()).newest_epoch() == 0
    assert looking(look(SERVING, status(5), saying(heard=7, warranted=7)), stable()).newest_epoch() == 7
    assert with_ordered(silent, 6).newest_epoch() == 6


@pytest.mark.parametrize(
    ("record", "agents", "newest"),
    [
        (stable(), (SERVING, saying(epoch=9)), 3),
        (stable(), (SERVING, saying(heard=9)), 3),
        (stable(), (saying(epoch=8), saying(epoch=9)), 8),
        (NOTHING, (SERVING, saying(epoch=9)), 9),
        (NOTHING, (SERVING, saying(heard=9)), 9),
        (NOTHING, (SERVING, saying(epoch=3 + LEAP_MAX)), 3 + LEAP_MAX),
        (NOTHING, (SERVING, saying(epoch=4 + LEAP_MAX)), 3),
        (NOTHING, (SERVING, saying(heard=2**53 - 1)), 3),
    ],
)
def test_an_epoch_without_our_command_counts_if_two_hold_it_or_nothing_is_known_and_never_beyond_a_leap(
    record: Record, agents: tuple[AgentStatus, ...], newest: int
) -> None:
    assert looking(look(*agents), record).newest_epoch() == newest


def test_why_an_operation_was_opened_is_not_known_where_there_is_none() -> None:
    assert looking(look(SERVING, at=NOW), stable(operation=None)).kind is None


# --- several pools around one pair (safety.md section 2b)

UP_A, DOWN_A = Backend(AdminState.NONE, PROBED, "/in/a"), Backend(AdminState.DOWN, "Down_Admin", "/in/a")
UP_B, DOWN_B = Backend(AdminState.NONE, PROBED, "/out/a"), Backend(AdminState.DOWN, "Down_Admin", "/out/a")
ANSWERED, TIMEOUT = "Down_Probe_HttpStatusCodeError", "Down_Probe_HttpProbeTimeout"


def together(*backends: Backend | None, **changes: object) -> BalancerReading:
    """Of one member, in as many pools."""
    readings = [replace(balancer(), backends={} if each is None else {A: each}) for each in backends]
    return in_every_pool([*readings[:-1], replace(readings[-1], **changes)])


@pytest.mark.parametrize(
    ("shown", "state", "partly"),
    [
        ((DOWN_A, DOWN_B), AdminState.DOWN, False),
        ((DOWN_A, UP_B), AdminState.NONE, True),
        ((UP_A, DOWN_B), AdminState.NONE, True),
        ((UP_A, UP_B), AdminState.NONE, False),
        ((DOWN_A, replace(UP_B, admin_state=AdminState.UP)), AdminState.UP, True),
        ((None, DOWN_B), AdminState.DOWN, False),
    ],
)
def test_a_member_is_down_only_if_every_pool_that_lists_it_has_it_down(
    shown: tuple[Backend | None, ...], state: AdminState, partly: bool
) -> None:
    backend = together(*shown).backends[A]
    assert (backend.admin_state, backend.partly_down) == (state, partly)


@pytest.mark.parametrize(
    ("reasons", "decides", "least"),
    [
        ((PROBED, ANSWERED), PROBED, ANSWERED),
        ((ANSWERED, PROBED), PROBED, ANSWERED),
        ((PROBED, None), PROBED, None),
        ((None, ANSWERED), None, None),
        ((ANSWERED, TIMEOUT), TIMEOUT, TIMEOUT),
        (("Down_Admin", ANSWERED), ANSWERED, ANSWERED),
        ((PROBED, PROBED), PROBED, PROBED),
    ],
)
def test_a_member_is_up_if_any_pool_has_it_up_and_verified_only_if_all_have(
    reasons: tuple[str | None, ...], decides: str | None, least: str | None
) -> None:
    backend = together(*(Backend(AdminState.NONE, reason) for reason in reasons)).backends[A]
    assert (backend.reason, backend.least) == (decides, least)
    assert backend.is_up_everywhere is (set(reasons) == {PROBED})


def test_what_is_not_known_of_one_pool_is_not_known_of_all() -> None:
    slow = timedelta(seconds=15)
    known = replace(balancer(), noticed_within=slow, strangers=frozenset({"/in/x"}))
    other = replace(balancer(), etag="2", noticed_within=slow / 3, strangers=frozenset({"/out/x"}))
    both = in_every_pool([known, other])
    assert (both.noticed_within, both.complete, both.strangers) == (slow, True, {"/in/x", "/out/x"})
    assert both.etag == f"{known.etag}, 2"
    assert in_every_pool([known, replace(other, noticed_within=None)]).noticed_within is None
    flawed = in_every_pool([replace(known, flaws=("one",)), replace(other, flaws=("two",))])
    assert (flawed.flaws, flawed.frontend) == (("one", "two"), known.frontend)
    astray = [replace(each, elsewhere=frozenset({name})) for each, name in ((known, A), (other, B))]
    assert in_every_pool(astray).elsewhere == {A, B}
    lacking = together(UP_A, None).backends[A]
    assert (lacking.partly_unlisted, together(UP_A, UP_B).backends[A].partly_unlisted) == (True, False)
    assert not in_every_pool([known, replace(other, complete=False)]).complete
    assert together(UP_A, replace(UP_B, address="")).backends[A].address == ""


@pytest.mark.parametrize(
    ("shown", "proven", "contradicted"),
    [
        (together(DOWN_A, DOWN_B), "/in/a, /out/a", False),
        (together(DOWN_A, UP_B), "/in/a, /out/a", True),
        (together(DOWN_A, DOWN_B), "/in/a", True),
        (together(DOWN_A, None), "/in/a, /out/a", False),
        (together(DOWN_A, None, strangers=frozenset({"/out/a"})), "/in/a, /out/a", True),
        (together(DOWN_A, DOWN_B), "", False),
        (together(None, strangers=frozenset({"/out/a"})), "/in/a, /out/a", True),
        (together(None), ABSENT, False),
        (together(DOWN_A), ABSENT, True),
        (together(None, strangers=frozenset({"/out/x"})), ABSENT, True),
        (together(None, elsewhere=frozenset({A})), ABSENT, True),
    ],
    ids=[
        "both",
        "one is up",
        "one was not proven",
        "one is gone",
        "one has another name",
        "an older version proved it",
        "none lists it, and one shows its address without Down",
        "none lists it, as was proven",
        "one lists it again, though Down",
        "an address may be its own",
        "another pool has it",
    ],
)
def test_a_fence_is_believed_only_while_every_pool_shows_it_where_it_was_proven(
    shown: BalancerReading, proven: str, contradicted: bool
) -> None:
    assert shown.contradicts(A, proven) is contradicted
