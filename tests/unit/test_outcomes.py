"""What each outcome of an operation writes, sends and says: the record, the effects and every word that an operator reads.

Why an outcome is the right one is proven elsewhere (test_protocol_rules, test_learn, test_evidence, test_new_holder).
"""

from dataclasses import replace as with_changes

import pytest
from msgspec.structs import replace

from function_app.domain.service.observation import Observed
from function_app.domain.service.ranked.paths import Rank
from function_app.domain.service.record import (
    SCHEMA,
    Ack,
    Fence,
    Kind,
    Learning,
    Phase,
    Spacing,
    Tally,
)
from function_app.domain.service.steps import SendFence
from tests.builders import NOW, balancer, stable
from tests.unit.decisions import (
    FATAL,
    FENCED_B,
    GRANTED_B,
    LIFT_B,
    NOT_LIFTED,
    NOT_PROMOTED,
    OWED_B,
    PROBED,
    PROMOTE_B,
    PROVEN,
    REFUSED,
    SERVING,
    SERVING_4,
    SILENT,
    STANDBY,
    STANDBY_4,
    TAKEN_OVER,
    TIMING,
    UNFIT,
    A,
    B,
    C,
    Case,
    decided,
    fencing,
    granted,
    look,
    opened,
    operation,
)

NOT_DECIDED_ON = [
    Case(
        "a record of a newer version is only observed",
        look(FATAL),
        stable(schema=SCHEMA + 1),
        held=(f"the record's schema {SCHEMA + 1} is newer than ours: observing only",),
    ),
    Case(
        "a record that is behind is learned again, and says why",
        look(SERVING, STANDBY_4),
        stable(rank=Rank(seq=1), stalled=Tally(bad=1, at=NOW), admitted={B: Tally(bad=1, at=NOW)}),
        held=(
            "an agent is at epoch 4, or received it from a peer; the record is only at 3: "
            "learning again, observing only",
        ),
        changes={
            "phase": Phase.LEARN,
            "overtaken": Spacing(count=1, last=NOW),
            "may_serve": frozenset({A, B, C}),
            "operation": None,
            "learning": Learning(since=NOW),
            "stalled": None,
            "admitted": {},
            "rank": None,
        },
    ),
    Case(
        "a service that was active-active until now is learned again",
        look(SERVING, SERVING, SERVING),
        replace(stable(operation=None), target=None, may_serve=frozenset({A, B, C})),
        held=("the record names no member that is to serve: learning again, observing only",),
        changes={"phase": Phase.LEARN, "learning": Learning(since=NOW)},
    ),
]

OPERATIONS = [
    Case(
        "a silent target that may be serving is waited for",
        look(SILENT),
        fencing(A, Kind.ADOPT, may_serve=frozenset({A, B})),
        held=("nva-a: its agent does not answer (no answer) and no other source can tell",),
    ),
    Case(
        "where no member is fit the operation stays, and says why of each",
        look(UNFIT, UNFIT, UNFIT),
        fencing(),
        held=(
            "no member is fit to serve",
            "nva-a: its agent says disk",
            "nva-b: its agent says disk",
            "nva-c: its agent says disk",
        ),
    ),
    Case(
        "the next candidate keeps the old holder and counts the attempt",
        look(with_changes(UNFIT, services=STANDBY_4.services), UNFIT),
        fencing(operation=operation(attempt=3), acks={A: Ack(epoch=4, boot_id="x")}),
        because=("next candidate to nva-c at epoch 5: nva-b failed before it was granted",),
        effects=(SendFence(A, 5),),
        changes={
            "epoch": 5,
            "target": C,
            "acks": {},
            "operation": opened(Kind.NEXT, "nva-b failed before it was granted", attempt=4),
        },
    ),
    Case(
        "a target that fails after its grant begins a new count, and is the old holder",
        look(STANDBY_4, with_changes(UNFIT, services=SERVING_4.services)),
        granted(operation=operation(attempt=3), tallies={B: Tally(bad=1, at=NOW)}),
        because=("failover to nva-a at epoch 5: nva-b: its agent says disk; nva-a takes over",),
        effects=(SendFence(B, 5),),
        changes={
            "epoch": 5,
            "phase": Phase.FENCING,
            "target": A,
            "tallies": {},
            "spacing": Spacing(count=1, last=NOW),
            "operation": opened(Kind.FAILOVER, "nva-b: its agent says disk; nva-a takes over", previous=B),
        },
    ),
    Case(
        "a switchover whose target fails goes back, and says why",
        look(SERVING, UNFIT),
        fencing(kind=Kind.SWITCHOVER),
        because=("back to the old holder to nva-a at epoch 5: nva-b failed before it was granted",),
        changes={
            "epoch": 5,
            "target": A,
            "operation": opened(Kind.BACK, "nva-b failed before it was granted", attempt=1),
        },
    ),
    Case(
        "a switchover that is refused goes back",
        look(STANDBY_4, STANDBY, STANDBY_4, tried=NOT_PROMOTED),
        granted(operation=operation(Kind.SWITCHOVER)),
        because=("back to the old holder to nva-a at epoch 5: nva-b does not serve yet: it refuses",),
        effects=(SendFence(B, 5),),
        changes={
            "epoch": 5,
            "phase": Phase.FENCING,
            "target": A,
            "operation": opened(Kind.BACK, "nva-b does not serve yet: it refuses", previous=B),
        },
    ),
    Case(
        "a switchover whose old holder failed meanwhile goes to the next best, never again to the one that refused",
        look(with_changes(UNFIT, services=STANDBY_4.services), STANDBY, STANDBY_4, tried=NOT_PROMOTED),
        granted(operation=operation(Kind.SWITCHOVER)),
        because=("back to the old holder to nva-c at epoch 5: nva-b does not serve yet: it refuses",),
        effects=(SendFence(B, 5),),
        changes={
            "epoch": 5,
            "phase": Phase.FENCING,
            "target": C,
            "operation": opened(Kind.BACK, "nva-b does not serve yet: it refuses", previous=B),
        },
    ),
    Case(
        "a switchover that is refused while no other member is fit waits",
        look(UNFIT, STANDBY, UNFIT, tried=NOT_PROMOTED),
        granted(operation=operation(Kind.SWITCHOVER)),
        held=("nva-b does not serve yet: it refuses, and no other member is fit to serve",),
    ),
]

GRANTS = [
    Case(
        "a grant says who acknowledged",
        look(STANDBY_4),
        fencing(),
        because=("nva-b is granted epoch 4: nva-a acknowledged",),
        effects=(PROMOTE_B,),
        changes={
            "phase": Phase.GRANTED,
            "operation": operation(granted=NOW),
            "may_serve": frozenset({B}),
            "acks": {A: Ack(epoch=4, boot_id="boot-1")},
        },
    ),
    Case(
        "a grant says who is fenced",
        look(SILENT, proofs={A: PROVEN}),
        fencing(owed={A: 4}),
        because=("nva-b is granted epoch 4: nva-a is fenced at the load balancer",),
        effects=(PROMOTE_B,),
        changes={
            "phase": Phase.GRANTED,
            "operation": operation(granted=NOW),
            "may_serve": frozenset({A, B}),
            "fenced": {A: Fence(epoch=4, etag="e2")},
        },
    ),
    Case(
        "a grant that needs no proof says so",
        look(STANDBY),
        fencing(may_serve=frozenset()),
        because=("nva-b is granted epoch 4: alone",),
        effects=(PROMOTE_B,),
        changes={"phase": Phase.GRANTED, "operation": operation(granted=NOW), "may_serve": frozenset({B})},
    ),
    Case(
        "a target that is fenced is not promoted with its grant",
        look(STANDBY_4),
        fencing(may_serve=frozenset({A, B}), **FENCED_B),
        because=("nva-b is granted epoch 4: nva-a acknowledged",),
        changes={
            "phase": Phase.GRANTED,
            "operation": operation(granted=NOW),
            "may_serve": frozenset({B}),
            "acks": {A: Ack(epoch=4, boot_id="boot-1")},
        },
    ),
    Case(
        "the fence of a target is lifted with its promotion",
        GRANTED_B,
        granted(**FENCED_B),
        because=("nva-b: its fence is lifted",),
        effects=(LIFT_B, PROMOTE_B),
        changes={"fenced": {}},
    ),
    Case("a lift that is owed is tried again", GRANTED_B, granted(**OWED_B), effects=(LIFT_B, PROMOTE_B)),
    Case(
        "a lift that has arrived is noted",
        with_changes(GRANTED_B, lifted={B: 4}),
        granted(**OWED_B),
        because=("nva-b is back in the pool",),
        effects=(PROMOTE_B,),
        changes={"owed": {}},
    ),
    Case(
        "a lift that failed keeps no member from being promoted",
        with_changes(GRANTED_B, tried=NOT_LIFTED),
        granted(**OWED_B),
        held=("nva-b cannot be lifted: ARM answers 503",),
        effects=(PROMOTE_B,),
    ),
    Case(
        "a lift and a promotion that failed are both said",
        with_changes(GRANTED_B, tried=NOT_LIFTED | NOT_PROMOTED),
        granted(**OWED_B),
        held=("nva-b cannot be lifted: ARM answers 503", "nva-b does not serve yet: it refuses"),
    ),
    Case(
        "a holder that serves and could not be lifted is not confirmed yet",
        with_changes(TAKEN_OVER, tried=NOT_LIFTED),
        granted(**OWED_B),
        held=("nva-b cannot be lifted: ARM answers 503",),
    ),
    Case(
        "a target that lost its role is promoted at a newer epoch",
        look(STANDBY_4, STANDBY_4, STANDBY_4),
        granted(),
        because=("renew to nva-b at epoch 5: nva-b lost its role at epoch 4",),
        changes={
            "epoch": 5,
            "phase": Phase.FENCING,
            "operation": opened(Kind.RENEW, "nva-b lost its role at epoch 4", previous=B),
        },
    ),
]


def shown(*unfit: str, **reasons: str) -> Observed:
    """nva-b serves at epoch 4 and the load balancer shows this; who is unfit has acknowledged all the same."""
    agents = {name: with_changes(STANDBY_4, fatal=("disk",)) for name in unfit}
    return with_changes(TAKEN_OVER, agents={**TAKEN_OVER.agents, **agents}, balancer=balancer(**reasons))


ENOUGH = Tally(bad=TIMING.verify_looks, at=NOW - TIMING.doubt_poll)
REFUSES = "nva-b serves at epoch 4, but the probe says Down_Probe_HttpStatus"

CONFIRMATIONS = [
    Case(
        "a holder waits for a look at the load balancer",
        TAKEN_OVER,
        granted(),
        held=("nva-b serves at epoch 4; the load balancer is still to confirm it",),
    ),
    Case(
        "a holder whose probe succeeds is verified",
        shown(nva_b=PROBED),
        granted(),
        because=("nva-b serves at epoch 4, verified",),
        changes={"phase": Phase.STABLE},
    ),
    Case(
        "a holder whose probe fails is waited for, and the looks are counted apart from its health",
        shown(nva_b=REFUSED),
        granted(),
        held=(REFUSES,),
        changes={"stalled": Tally(bad=1, at=NOW), "probe_down": frozenset({B})},
    ),
    Case(
        "a load balancer that shows no reason is waited for",
        with_changes(TAKEN_OVER, balancer=with_changes(balancer(), backends={})),
        granted(),
        held=("nva-b serves at epoch 4; the load balancer does not tell: its health says nothing",),
        changes={"stalled": Tally(bad=1, at=NOW)},
    ),
    Case(
        "a load balancer that cannot be read is believed in the end, and the reason says so",
        with_changes(TAKEN_OVER, balancer="ARM answers 503"),
        granted(stalled=ENOUGH),
        because=("nva-b serves at epoch 4; the load balancer does not tell: ARM answers 503",),
        changes={"phase": Phase.STABLE, "stalled": None},
    ),
    Case(
        "a holder that is not verified in time is followed by the next candidate",
        shown(nva_b=REFUSED),
        granted(stalled=ENOUGH),
        because=(
            "failover on the probe alone to nva-a at epoch 5: nva-b was not verified in time (Down_Probe_HttpStatus)",
        ),
        effects=(SendFence(B, 5),),
        changes={
            "epoch": 5,
            "phase": Phase.FENCING,
            "target": A,
            "probe_down": frozenset({B}),
            "stalled": None,
            "operation": opened(Kind.PROBE, "nva-b was not verified in time (Down_Probe_HttpStatus)", previous=B),
            "spacing": Spacing(count=1, last=NOW),
        },
    ),
    Case(
        "a holder that is not verified in time is kept where no other member is fit",
        shown(A, C, nva_b=REFUSED),
        granted(stalled=ENOUGH),
        held=(REFUSES,),
        changes={"probe_down": frozenset({B})},
    ),
    Case(
        "a holder is kept where the one before was not verified either",
        shown(nva_b=REFUSED),
        granted(operation=operation(Kind.PROBE, served=True), stalled=ENOUGH),
        held=(REFUSES,),
        changes={"probe_down": frozenset({B})},
    ),
]


CASES = [*NOT_DECIDED_ON, *OPERATIONS, *GRANTS, *CONFIRMATIONS]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_outcome_is_written_sent_and_said_in_full(case: Case) -> None:
    assert decided(case.seen, case.record) == case.decision()


@pytest.mark.parametrize("phase", [Phase.FENCING, Phase.GRANTED, Phase.STABLE])
def test_a_record_without_its_operation_is_decided_on_all_the_same(phase: Phase) -> None:
    """The schema allows it: what an operation only explains is not needed for a proof."""
    seen = look(STANDBY_4) if phase is Phase.FENCING else shown(nva_b=REFUSED)
    record = stable(B, 4, phase=phase, operation=None, may_serve=frozenset({A}) if phase is Phase.FENCING else {B})
    decision = decided(seen, record)
    assert decision.record.operation is None
    assert decision.record.phase is (Phase.GRANTED if phase is Phase.FENCING else phase)
