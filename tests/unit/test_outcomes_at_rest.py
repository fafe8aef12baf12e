"""What each outcome of a decision writes, sends and says where no operation is under way: at rest, where one begins, and in
`learn`. As test_outcomes.
"""

from dataclasses import replace as with_changes
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from function_app.domain.service.observation import AgentStatus, Role
from function_app.domain.service.record import (
    Ack,
    Drain,
    Kind,
    Learning,
    Phase,
    Rehearsal,
    Spacing,
    Tally,
)
from function_app.domain.service.steps import SendFence, SendPromote
from tests.builders import NOW, balancer, stable, status
from tests.unit.decisions import (
    FATAL,
    LIFT_B,
    LONG_AGO,
    NO_REDUNDANCY,
    NO_WORD,
    PROBED,
    REFUSED,
    SERVING,
    SERVING_4,
    SILENT,
    SOON,
    STANDBY,
    STANDBY_4,
    TIMING,
    UNFIT,
    UNREADY,
    A,
    B,
    C,
    Case,
    by_agent,
    decided,
    learning,
    look,
    opened,
    outside,
    quiet,
    unready,
)


def followed(kind: Kind, reason: str) -> dict[str, Any]:
    """The record when nva-b is to follow nva-a at epoch 4."""
    spacing = {} if kind is Kind.SWITCHOVER else {"spacing": Spacing(count=1, last=NOW)}
    return {
        "epoch": 4,
        "phase": Phase.FENCING,
        "target": B,
        "operation": opened(kind, reason, 4, previous=A),
        **spacing,
    }


FAILED, DRAINED = "nva-a: its agent says forwarding is off", {A: Drain(until=SOON, by="ann")}
REBOOTED = "reboot not before 2026-01-01 03:15:00Z"
LAST_RESORT = f"{FAILED}; nva-b takes over, as a last resort: it has no Established session"
BY_HAND = "nva-a: an operator set its adminState to Down; nva-b takes over"

MOVES = [
    Case(
        "a holder that failed is followed",
        look(FATAL),
        stable(),
        because=(f"failover to nva-b at epoch 4: {FAILED}; nva-b takes over",),
        effects=(by_agent(A),),
        changes=followed(Kind.FAILOVER, f"{FAILED}; nva-b takes over"),
    ),
    Case(
        "a last resort is called one",
        look(FATAL, UNREADY, UNFIT),
        stable(),
        because=(f"failover to nva-b at epoch 4: {LAST_RESORT}",),
        effects=(by_agent(A),),
        changes=followed(Kind.FAILOVER, LAST_RESORT),
    ),
    Case(
        "a holder that failed keeps its role where no other member is fit",
        look(FATAL, UNFIT, UNFIT),
        stable(),
        held=(f"{FAILED}; but no other member is fit, so it keeps its role",),
    ),
    Case(
        "a holder that cannot be judged is left alone",
        look(SILENT),
        stable(),
        held=("left alone: nva-a: its agent does not answer (no answer) and no other source can tell",),
    ),
    Case(
        "a holder that an operator took out of the pool is followed",
        look(SERVING, balancer=balancer(nva_a="Down_Admin")),
        stable(),
        because=(f"failover to nva-b at epoch 4: {BY_HAND}",),
        effects=(by_agent(A),),
        changes=followed(Kind.FAILOVER, BY_HAND) | {"last_choices": frozenset({A, B, C})},
    ),
    Case(
        "a drained holder is followed",
        look(SERVING),
        stable(drains=DRAINED),
        because=("switchover to nva-b at epoch 4: nva-a is drained by ann",),
        effects=(by_agent(A),),
        changes=followed(Kind.SWITCHOVER, "nva-a is drained by ann"),
    ),
    Case(
        "a drained holder serves on while no other member is ready",
        look(SERVING, UNREADY, UNREADY),
        stable(drains=DRAINED),
        held=("nva-a is drained by ann, but no other member is ready",),
    ),
    Case(
        "a holder that the platform is about to interrupt is followed",
        look(with_changes(SERVING, maintenance=REBOOTED)),
        stable(),
        because=(f"switchover to nva-b at epoch 4: the platform announces for nva-a: {REBOOTED}",),
        effects=(by_agent(A),),
        changes=followed(Kind.SWITCHOVER, f"the platform announces for nva-a: {REBOOTED}"),
    ),
    Case(
        "a holder that lost its role is promoted at a newer epoch",
        look(STANDBY),
        stable(),
        because=("renew to nva-a at epoch 4: nva-a lost its role at epoch 3",),
        changes={
            "epoch": 4,
            "phase": Phase.FENCING,
            "operation": opened(Kind.RENEW, "nva-a lost its role at epoch 3", 4, previous=A, confirmed=True),
        },
    ),
]

ADOPTED = stable().operation
assert ADOPTED is not None
DOWN_ONCE = {A: Tally(bad=1, at=NOW)}


def booted(epoch: int) -> AgentStatus:
    """Its machine has booted since it served at that epoch."""
    serving = status(epoch, Role.SERVING)
    mine = with_changes(serving.services["fw"], answering=False, unconfirmed=True)
    return with_changes(serving, services={"fw": mine})


BOOTED = booted(3)

AT_REST = [
    Case("at rest nothing is done", look(SERVING), stable(), settled=True),
    Case(
        "a holder that has not obeyed is sent its command again",
        look(SERVING, STANDBY_4, STANDBY_4),
        stable(A, 4),
        because=("nva-a should serve at epoch 4: sent again",),
        effects=(SendPromote(A, 4, "boot-1"),),
    ),
    Case(
        "a holder whose machine has booted is sent PROMOTE of its epoch, and answers then",
        look(BOOTED),
        stable(),
        changes={"operation": replace(ADOPTED, confirmed=False)},
        because=("nva-a has booted, and answers 503 until its role at epoch 3 is confirmed: sent again",),
        effects=(SendPromote(A, 3, "boot-1"),),
    ),
    Case(
        "so is one whose probe fails meanwhile, though no other member is fit",
        look(BOOTED, SILENT, SILENT, balancer=balancer(nva_a="Down_Probe_HttpStatus")),
        stable(tallies={A: Tally(bad=2, at=NOW)}, probe_down=frozenset({A})),
        changes={"tallies": {}, "operation": replace(ADOPTED, confirmed=False)},
        because=("nva-a has booted, and answers 503 until its role at epoch 3 is confirmed: sent again",),
        effects=(SendPromote(A, 3, "boot-1"),),
    ),
    Case(
        "one that cannot be confirmed is what keeps the service from being at rest",
        look(BOOTED, tried={SendPromote(A, 3, "boot-1"): "no answer"}),
        stable(),
        held=("nva-a has booted, and answers 503 until its role at epoch 3 is confirmed: sent again",),
    ),
    Case(
        "a member that was put back to a backup, and would serve, is fenced",
        look(SERVING, booted(2)),
        stable(),
        because=("conflict: nva-b serves beside nva-a; nva-b should stand by",),
        effects=(SendFence(B, 3),),
    ),
    Case(
        "one that serves beside the holder and one that is late are fenced at once",
        look(SERVING, status(2, Role.SERVING), status(2)),
        stable(),
        because=tuple(f"conflict: nva-b serves beside nva-a; {name} should stand by" for name in (B, C)),
        effects=(SendFence(B, 3), SendFence(C, 3)),
    ),
    Case(
        "a fence that failed in this look is left for the next",
        look(SERVING, status(2), tried={SendFence(B, 3): "no answer"}),
        stable(),
        settled=True,
    ),
    Case(
        "members that acknowledged leave what may serve",
        look(SERVING_4, STANDBY_4, STANDBY_4),
        stable(A, 4, may_serve=frozenset({A, B, C}), acks={B: Ack(epoch=3, boot_id="old")}),
        because=("nva-b acknowledged: it stands by", "nva-c acknowledged: it stands by"),
        changes={
            "may_serve": frozenset({A}),
            "acks": {name: Ack(epoch=4, boot_id="boot-1") for name in (B, C)},
        },
    ),
    Case(
        "a member is not taken back amid its rehearsal",
        look(SERVING_4, STANDBY_4, STANDBY_4),
        stable(A, 4, owed={B: 4}, rehearsal=Rehearsal(member=B, epoch=4, until=SOON)),
        held=("waiting for nva-b to come back: nva-b: its agent is fit",),
    ),
    Case(
        "a member is taken back amid the rehearsal of another one",
        look(SERVING_4, STANDBY_4, STANDBY_4),
        stable(A, 4, owed={B: 4, C: 4}, rehearsal=Rehearsal(member=C, epoch=4, until=SOON)),
        effects=(LIFT_B,),
    ),
    Case(
        "a holder whose probe begins to fail is sent its command again",
        look(SERVING, balancer=balancer(nva_a=REFUSED)),
        stable(),
        because=("nva-a serves, but its probe fails: sent again",),
        effects=(SendPromote(A, 3, "boot-1"),),
        changes={"tallies": DOWN_ONCE, "probe_down": frozenset({A})},
    ),
    Case(
        "a holder that goes on failing its probe is in doubt",
        look(SERVING, balancer=balancer(nva_a=REFUSED)),
        stable(tallies=DOWN_ONCE),
        held=("in doubt: the load balancer's probe of nva-a failed 1 time(s)",),
        changes={"probe_down": frozenset({A})},
        alarms=(NO_REDUNDANCY.format(outside(B), outside(C)),),
    ),
    Case(
        "a holder whose probe has recovered is sent nothing",
        look(SERVING, balancer=balancer(nva_a=PROBED)),
        stable(tallies={A: Tally(bad=1, good=1, at=NOW - TIMING.doubt_poll)}),
        changes={"tallies": {}},
        alarms=(NO_REDUNDANCY.format(outside(B), outside(C)),),
        settled=True,
    ),
    Case(
        "a holder that the load balancer says nothing of keeps its count",
        look(SERVING, balancer=balancer(nva_a="", nva_b=REFUSED)),
        stable(tallies={A: Tally(bad=1, at=NOW - TIMING.doubt_poll)}),
        held=("in doubt: the load balancer's probe of nva-a failed 1 time(s)",),
        changes={"probe_down": frozenset({B})},
        alarms=(f"cannot take over: {outside(C)}; nva-b still can",),
    ),
    Case(
        "whoever is not back yet is waited for",
        look(SERVING, SILENT, SILENT),
        stable(may_serve=frozenset({A, B}), owed={C: 3}),
        held=tuple(
            f"waiting for {name} to come back: {name}: its agent does not answer (no answer) and no other source can tell"
            for name in (B, C)
        ),
        alarms=(NO_REDUNDANCY.format(quiet(B), quiet(C)),),
    ),
    Case(
        "a fit member whose heartbeats do not reach its peers is an alarm",
        look(SERVING, *2 * [status(3, dead_peers=(A,))]),
        stable(),
        alarms=("nva-a: its peers do not hear it, although it is fit",),
        settled=True,
    ),
    Case(
        "two members whose probe succeeds are an alarm",
        look(SERVING, balancer=balancer(nva_a=PROBED, nva_b=PROBED, nva_c=REFUSED)),
        stable(),
        alarms=("the load balancer's probe succeeds on nva-a, nva-b",),
        changes={"probe_down": frozenset({C})},
        settled=True,
    ),
    Case(
        "a holder with a session down is an alarm",
        look(status(3, Role.SERVING, sessions_up=False)),
        stable(),
        alarms=("nva-a has BGP sessions that are not Established; the others announce the same next hop",),
        settled=True,
    ),
    Case(
        "no member with all its sessions is an alarm about the Route Server",
        look(status(3, Role.SERVING, sessions_up=False), UNREADY, UNREADY),
        stable(),
        alarms=(
            "no announcer has all its BGP sessions Established: the Route Server, or the way to it",
            NO_REDUNDANCY.format(unready(B), unready(C)),
        ),
        settled=True,
    ),
    Case(
        "a standby that is silent is named beside one that can take over",
        look(SERVING, SILENT),
        stable(),
        alarms=(f"cannot take over: {quiet(B)}; nva-c still can",),
        settled=True,
    ),
]

BEGUN, WAITING = Learning(since=NOW), Learning(since=LONG_AGO, rounds=5)


def adopted(target: str, why: str, epoch: int = 4) -> dict[str, Any]:
    return {
        "because": (f"adopt to {target} at epoch {epoch}: learned: {target} {why}",),
        "effects": tuple(SendFence(name, epoch) for name in (A, B, C) if name != target),
        "changes": {
            "epoch": epoch,
            "phase": Phase.FENCING,
            "target": target,
            "may_serve": frozenset({A, B, C}),
            "learning": None,
            "operation": opened(Kind.ADOPT, f"learned: {target} {why}", epoch, previous=None, learned=True),
        },
    }


def rounds(count: int, last: datetime | None = NOW) -> dict[str, Any]:
    return {"learning": Learning(since=LONG_AGO, rounds=count, last=last)}


MISSED = status(3, dead_peers=(C,))

LEARNING = [
    Case(
        "a round that is not complete says who is missing",
        look(SERVING, c=SILENT),
        learning(since=SOON),
        held=(f"learning: nva-c: {NO_WORD}",),
        changes={"learning": BEGUN},
    ),
    Case(
        "a complete round is counted with its look",
        look(SERVING),
        learning(since=LONG_AGO, rounds=0),
        held=("learning: 1 of 2 complete rounds, the next once every member answers or is known to have failed",),
        changes=rounds(1),
    ),
    Case(
        "what has begun just now goes on counting",
        look(SERVING),
        learning(since=NOW, rounds=5),
        held=("learning: 2 of 2 complete rounds, 1 s to go",),
        changes={"learning": Learning(since=NOW, rounds=6, last=NOW)},
    ),
    Case(
        "a round is complete without one that has failed",
        look(MISSED, MISSED, SILENT),
        learning(since=LONG_AGO, rounds=0),
        held=("learning: 1 of 2 complete rounds, the next once every member answers or is known to have failed",),
        changes=rounds(1),
    ),
    Case(
        "as many rounds and as much time as are wanted are enough",
        look(SERVING),
        learning(since=NOW - TIMING.learn_for, rounds=TIMING.learn_rounds - 1),
        **adopted(A, "serves already"),
    ),
    Case(
        "the one that serves is adopted before a better one",
        look(STANDBY, SERVING),
        learning(),
        **adopted(B, "serves already"),
    ),
    Case(
        "where none serves the best is adopted",
        look(STANDBY, balancer="ARM does not answer"),
        learning(),
        **adopted(A, "is the best of the fit members"),
    ),
    Case(
        "where several serve the best of the fit is adopted",
        look(STANDBY, SERVING, SERVING, balancer="ARM does not answer"),
        learning(),
        **adopted(A, "is the best of the fit members"),
    ),
    Case(
        "one that serves and failed is not adopted",
        look(STANDBY, FATAL, balancer="ARM does not answer"),
        learning(),
        **adopted(A, "is the best of the fit members"),
    ),
    Case(
        "where no member is fit learning goes on",
        look(UNFIT, UNFIT, UNFIT),
        learning(),
        held=("learned, but no member is fit to serve", *(f"{name}: its agent says disk" for name in (A, B, C))),
        changes={"learning": Learning(since=NOW - timedelta(hours=1), rounds=6, last=NOW)},
    ),
]

CASES = [*MOVES, *AT_REST, *LEARNING]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_outcome_is_written_sent_and_said_in_full(case: Case) -> None:
    assert decided(case.seen, case.record) == case.decision()
