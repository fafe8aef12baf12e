"""An active-active service: who is sent what, when a newer epoch is needed, and what is said while not every member serves."""

from dataclasses import replace as with_changes
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from function_app.domain.service.decide import decide
from function_app.domain.service.observation import Role
from function_app.domain.service.record import Drain, Phase, Record
from function_app.domain.service.steps import SendFence, SendPromote
from function_app.domain.topology.model import Topology
from tests.builders import balancer, document, stable, status, topology
from tests.unit.decisions import SERVING, SILENT, SOON, STANDBY, A, B, C, Case, learning, look, looking


def shared(**changes: Any) -> Topology:
    return topology(3, services=[document(3)["services"][0] | {"mode": "active-active"} | changes])


def record(epoch: int = 3, *may_serve: str, **changes: Any) -> Record:
    """At rest, in which every member may serve unless some are named."""
    values = {"operation": None, "may_serve": frozenset(may_serve or (A, B, C))} | changes
    return replace(stable(A, epoch, **values), target=None)


SHARED = shared()


shared_case = partial(Case, desired=SHARED)

UNFIT = status(3, Role.SERVING, fatal=("disk",))
DRAINED = {A: Drain(until=SOON, by="ann")}
NEWER = ("a member was drained, or is back, at this epoch: it needs a newer one",)
UNHEARD = "a member that was drained, or is back, needs a newer epoch: nva-c would stand by at it"
ALL = frozenset({A, B, C})
NO_WORD = "its agent does not answer (no answer) and no other source can tell"
REFUSED_C = {SendPromote(C, 3, "boot-1"): "it refuses"}

CASES = [
    shared_case("where every member serves nothing is left to do", look(SERVING, SERVING, SERVING), record()),
    shared_case(
        "a drained member that serves at the epoch needs a newer one",
        look(SERVING, SERVING, status(2)),
        record(3, A, B, drains=DRAINED),
        because=NEWER,
        changes={"epoch": 4, "may_serve": ALL},
    ),
    shared_case(
        "no newer epoch is begun at which a member that no command reaches would stand by",
        look(SERVING, SERVING, SILENT),
        record(3, A, B, drains=DRAINED),
        held=(UNHEARD,),
    ),
    shared_case(
        "one that no command reaches is not waited for where the load balancer's probe of it fails",
        look(SERVING, STANDBY, SILENT, balancer=balancer(nva_c="Down_Probe_TcpProbeTimeout")),
        record(),
        because=NEWER,
        changes={"epoch": 4, "last_choices": frozenset({A, B, C})},
    ),
    shared_case(
        "nor is one that no pool lists: it gets no new flows",
        look(SERVING, STANDBY, SILENT, balancer=balancer(nva_a="Up_Probe_Success")),
        record(),
        because=NEWER,
        changes={"epoch": 4},
    ),
    shared_case(
        "a member that is back at the epoch needs a newer one",
        look(SERVING, STANDBY, SERVING),
        record(3, A, C),
        because=NEWER,
        changes={"epoch": 4, "may_serve": ALL},
    ),
    shared_case(
        "the drained one is fenced and every other is promoted",
        look(SERVING, SERVING, SERVING),
        record(4, drains=DRAINED),
        because=("nva-a: SendFence", "nva-b: SendPromote", "nva-c: SendPromote"),
        effects=(SendFence(A, 4), SendPromote(B, 4, "boot-1"), SendPromote(C, 4, "boot-1")),
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
    settled = not (case.held or case.because or case.effects)
    assert decide(looking(case.seen, case.record, case.desired)) == with_changes(case.decision(), settled=settled)


def test_a_fence_that_failed_in_this_look_is_left_for_the_next() -> None:
    seen = look(SERVING, SERVING, SERVING)
    agents = {**seen.agents, B: status(4, Role.SERVING), C: status(4, Role.SERVING)}
    tried = with_changes(seen, agents=agents, tried={SendFence(A, 4): "no answer"})
    assert decide(looking(tried, record(4, drains=DRAINED), SHARED)).effects == ()
