"""An active-active service: who is sent what, when a newer epoch is needed, and what is said while not every member serves."""

from dataclasses import replace as with_changes
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from function_app.domain.service.decide import decide
from function_app.domain.service.observation import BalancerReading, Role
from function_app.domain.service.record import Drain, Phase, Record
from function_app.domain.service.steps import SendFence, SendPromote
from function_app.domain.topology.model import Topology
from tests.builders import balancer, document, stable, status, topology
from tests.unit.decisions import PROBED, REFUSED, SERVING, SILENT, SOON, A, B, C, Case, learning, look, looking


def shared(**changes: Any) -> Topology:
    return topology(3, services=[document(3)["services"][0] | {"mode": "active-active"} | changes])


def record(epoch: int = 3, *may_serve: str, **changes: Any) -> Record:
    """At rest, in which every member may serve unless some are named."""
    values = {"operation": None, "may_serve": frozenset(may_serve or (A, B, C))} | changes
    return replace(stable(A, epoch, **values), target=None)


SHARED = shared()


shared_case = partial(Case, desired=SHARED)

FENCED = status(3, seq=1)
UNFIT = status(3, Role.SERVING, fatal=("disk",))
DRAINED = {A: Drain(until=SOON, by="ann")}
HIGHER = ("a member that should serve stands by at this number: it needs a higher one",)
ALL = frozenset({A, B, C})
NO_WORD = "its agent does not answer (no answer) and no other source can tell"
REFUSED_C = {SendPromote(C, 3, "boot-1"): "it refuses"}

CASES = [
    shared_case("where every member serves nothing is left to do", look(SERVING, SERVING, SERVING), record()),
    shared_case(
        "a drained member is fenced at the epoch that it serves at, and no other member is sent anything",
        look(SERVING, SERVING, SERVING),
        record(drains=DRAINED),
        because=("nva-a: SendFence",),
        effects=(SendFence(A, 3),),
    ),
    shared_case(
        "a drain begins while another member is unreachable: that one goes on serving",
        look(SERVING, SERVING, SILENT),
        record(drains=DRAINED),
        because=("nva-a: SendFence",),
        effects=(SendFence(A, 3),),
    ),
    shared_case(
        "a member whose drain is over needs a higher number, and no newer epoch",
        look(SERVING, FENCED, SILENT),
        record(),
        because=HIGHER,
        changes={"seq": 2},
    ),
    shared_case(
        "the number is higher than that of the FENCE that it acknowledged, though the record may have been lost since",
        look(SERVING, status(3, seq=5), SERVING),
        record(),
        because=HIGHER,
        changes={"seq": 6},
    ),
    shared_case(
        "the number is no lower than that of a member that serves",
        look(status(3, Role.SERVING, seq=4), SERVING, SERVING),
        record(),
        because=HIGHER,
        changes={"seq": 4},
    ),
    shared_case(
        "a number that one agent claims counts up to a leap, so that it cannot use all of them up",
        look(SERVING, status(3, seq=2**53 - 1), status(3, Role.SERVING, seq=2**53 - 1)),
        record(),
        because=("nva-b: SendPromote",),
        effects=(SendPromote(B, 3, "boot-1"),),
    ),
    shared_case(
        "a member whose drain is over is promoted at that number, and those that serve are sent nothing",
        look(SERVING, FENCED, SERVING),
        record(seq=2),
        because=("nva-b: SendPromote",),
        effects=(SendPromote(B, 3, "boot-1", 2),),
    ),
    shared_case(
        "it enters may_serve before it is promoted",
        look(SERVING, FENCED, SERVING),
        record(3, A, C, seq=2),
        changes={"may_serve": ALL},
    ),
    shared_case(
        "an acknowledgement from before the last PROMOTE is none, as that may yet arrive",
        look(FENCED, SERVING, SERVING),
        record(seq=2, drains=DRAINED),
        because=("nva-a: SendFence",),
        effects=(SendFence(A, 3, 3),),
    ),
    shared_case(
        "a member that does not answer is said to be missing",
        look(SERVING, SERVING, SILENT),
        record(),
        held=(f"nva-c: {NO_WORD}",),
    ),
    shared_case(
        "one healthy member is enough where no least number is declared",
        look(SERVING, SILENT, SILENT),
        record(),
        held=(f"nva-b: {NO_WORD}", f"nva-c: {NO_WORD}"),
    ),
    shared_case(
        "fewer healthy members than declared are said first, and one that is unfit is not healthy",
        look(UNFIT, SERVING, SILENT),
        record(),
        held=("only 1 of at least 2 members are healthy", "nva-a: its agent says disk", f"nva-c: {NO_WORD}"),
        desired=shared(minHealthy=2),
    ),
    shared_case(
        "a fit member that refuses to serve is missing",
        look(SERVING, SERVING, status(2), tried=REFUSED_C),
        record(),
        held=("nva-c: its agent is fit",),
    ),
    shared_case(
        "once enough was seen every member may serve, at epoch 1 at least",
        look(status(), status(), status()),
        learning(),
        because=("learned",),
        changes={"phase": Phase.STABLE, "epoch": 1, "learning": None},
    ),
    shared_case(
        "once enough was seen every member may serve, at the highest epoch that any agent holds",
        look(SERVING, SERVING, status(2)),
        learning(),
        because=("learned",),
        changes={"phase": Phase.STABLE, "epoch": 3, "learning": None},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_fit_member_that_is_not_drained_is_made_to_serve(case: Case) -> None:
    settled = not (case.held or case.because or case.effects or case.changes)
    assert decide(looking(case.seen, case.record, case.desired)) == with_changes(case.decision(), settled=settled)


def test_a_fence_that_failed_in_this_look_is_left_for_the_next() -> None:
    tried = look(SERVING, SERVING, SERVING, tried={SendFence(A, 3): "no answer"})
    assert decide(looking(tried, record(drains=DRAINED), SHARED)).effects == ()


DOWN_C = "adminState of nva-c is Down, and not by us: an operator's, or ours of a record that was lost or forgot it"


def test_what_a_person_should_know_is_said_of_a_service_that_every_member_serves_too() -> None:
    """Agents' alarms, sessions, an operator's Down, a load balancer that is not as it should be; that several are up is none."""
    pool = balancer(nva_a=PROBED, nva_b=PROBED, nva_c="Down_Admin")
    noisy = with_changes(status(3, Role.SERVING, sessions_up=False), alarms=("clock off",))
    seen = look(noisy, SERVING, SERVING, balancer=with_changes(pool, flaws=("the probe of rule all is TCP",)))
    found = decide(looking(seen, record(), SHARED)).alarms
    assert found == (
        "nva-a: clock off",
        DOWN_C,
        "the probe of rule all is TCP",
        "nva-a has BGP sessions that are not Established; the others announce the same next hop",
    )


@pytest.mark.parametrize(
    ("pool", "why"),
    [
        (balancer(nva_a=PROBED, nva_b=PROBED, nva_c=REFUSED), f"the load balancer's probe of it fails ({REFUSED})"),
        (balancer(nva_a=PROBED, nva_b=PROBED, nva_c="Down_Admin"), "its adminState is Down"),
        (balancer(nva_a=PROBED, nva_b=PROBED), "it is not in the backend pool"),
    ],
    ids=["its probe fails", "Down", "not listed"],
)
def test_a_member_that_serves_and_gets_no_new_flows_is_missing(pool: BalancerReading, why: str) -> None:
    desired = shared(minHealthy=3)
    held = decide(looking(look(SERVING, SERVING, SERVING, balancer=pool), record(), desired)).held
    assert held[0] == "only 2 of at least 3 members are healthy"
    assert held[1].startswith("nva-c: ")
    assert why in held[1]
