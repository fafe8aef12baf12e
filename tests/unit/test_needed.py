"""Whose status a step waits for: what any other one could say would change nothing (`needed`)."""

from copy import replace
from dataclasses import replace as with_changes
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from function_app.domain.service.confirm import with_probes
from function_app.domain.service.decide import decide
from function_app.domain.service.guards import Opening, refuse
from function_app.domain.service.health import Verdict, has_failed, judge, silence_left
from function_app.domain.service.needed import needed
from function_app.domain.service.observation import (
    AgentReading,
    Appliance,
    MemberReading,
    NotAwaited,
    Observed,
    Role,
    Unreachable,
)
from function_app.domain.service.record import Drain, Fence, Kind, Leaving, Phase, Record, Spacing, Tally
from function_app.domain.service.steps import SendFence
from function_app.domain.topology.model import Topology
from tests.builders import NOW, balancer, document, ranked, stable, status, topology
from tests.unit.decisions import DESIRED, FATAL, PROBED, SERVING, SILENT, STANDBY, TIMING, A, B, C, fencing, looking

PENDING = NotAwaited()
EVERYONE = frozenset({A, B, C})
WITHOUT_SESSION = status(3, sessions_up=False)


def seen(a: MemberReading = FATAL, b: MemberReading = STANDBY, c: MemberReading = PENDING) -> Observed:
    return Observed(NOW, {A: a, B: b, C: c})


def waited_for(observed: Observed, record: Record | None = None, desired: Topology = DESIRED) -> frozenset[str]:
    return needed(looking(observed, record or stable(), desired))


BYSTANDERS: dict[str, AgentReading] = {
    "fit": STANDBY,
    "fatal": status(3, fatal=("forwarding is off",)),
    "silent": SILENT,
    "refused": Unreachable("connection refused"),
    "without a session": WITHOUT_SESSION,
    "serves at an older epoch": status(2, Role.SERVING),
    "hears the holder": status(3, peers=(A,)),
    "misses the candidate": status(3, dead_peers=(B,)),
    "about to be interrupted": replace(STANDBY, maintenance="Reboot"),
}
"""What a member that was not waited for might have said."""


@pytest.mark.parametrize("said", BYSTANDERS.values(), ids=BYSTANDERS.keys())
def test_whatever_a_member_says_that_is_not_waited_for_the_decision_is_the_same(said: AgentReading) -> None:
    assert waited_for(seen()) == {A, B}
    assert decide(looking(seen(), stable())) == decide(looking(seen(c=said), stable()))


def test_the_member_that_follows_is_fenced_for_without_the_answer_of_one_ranked_behind_it() -> None:
    decision = decide(looking(seen(), stable()))
    assert (decision.record.phase, decision.record.target) == (Phase.FENCING, B)
    assert decision.effects == (SendFence(A, 4),)


def test_a_member_of_higher_priority_than_the_one_that_would_follow_is_waited_for() -> None:
    assert waited_for(seen(b=PENDING, c=STANDBY)) == EVERYONE


def test_a_member_that_an_operator_drained_is_not_waited_for_though_it_has_the_higher_priority() -> None:
    drains = {B: Drain(until=NOW + timedelta(hours=1), by="ann")}
    assert waited_for(seen(b=PENDING, c=STANDBY), stable(drains=drains)) == {A, C}


@pytest.mark.parametrize(
    "worse", [WITHOUT_SESSION, replace(STANDBY, maintenance="Reboot")], ids=["no session", "interrupted soon"]
)
def test_a_member_behind_the_one_that_would_follow_is_waited_for_where_that_one_is_not_at_its_best(
    worse: AgentReading,
) -> None:
    assert waited_for(seen(b=worse)) == EVERYONE


def test_a_member_that_refused_lately_is_not_waited_for_though_it_has_the_higher_priority() -> None:
    assert waited_for(seen(b=PENDING, c=STANDBY), stable(refused={B: NOW})) == {A, C}


def test_whoever_may_be_serving_beside_the_holder_is_waited_for() -> None:
    assert waited_for(seen(), stable(may_serve={A, C})) == EVERYONE


def test_a_member_that_the_load_balancer_was_seen_to_admit_beside_the_holder_is_waited_for() -> None:
    assert waited_for(seen(), stable(admitted={C: Tally(bad=2, at=NOW)})) == EVERYONE


def test_one_that_is_fenced_need_not_be_proven_again_and_is_not_waited_for() -> None:
    fenced = {C: Fence(epoch=3, etag="e1")}
    assert waited_for(seen(), stable(may_serve={A, C}, fenced=fenced, owed={C: 3})) == {A, B}


@pytest.mark.parametrize(
    "holder",
    [PENDING, SILENT, SERVING, status(3, Role.SERVING, dead_peers=(B,))],
    ids=["not known yet", "silent", "fit", "fit, misses a peer"],
)
def test_everyone_is_waited_for_unless_the_holders_own_agent_says_that_it_failed(holder: MemberReading) -> None:
    assert waited_for(seen(a=holder)) == EVERYONE


def test_everyone_is_waited_for_while_none_is_known_that_could_follow() -> None:
    assert waited_for(seen(b=PENDING, c=SILENT)) == EVERYONE
    assert waited_for(seen(b=SILENT)) == EVERYONE


def test_a_holder_that_has_booted_and_is_not_confirmed_is_no_failover_yet() -> None:
    mine = FATAL.services["fw"]
    booted = replace(FATAL, services={"fw": replace(mine, unconfirmed=True)})
    assert waited_for(seen(a=booted)) == EVERYONE


RECORDS = {
    "learning": stable(phase=Phase.LEARN, target=None),
    "learning again": stable(phase=Phase.LEARN),
    "no member is named": stable(target=None),
    "retired": stable(leaving=Leaving(how="retired", by="ann", at=NOW, done=False)),
    "of a newer version": stable(schema=99),
    "an adoption": fencing(kind=Kind.ADOPT),
    "a switchover": fencing(kind=Kind.SWITCHOVER),
    "the next candidate": fencing(kind=Kind.NEXT),
    "by hand": fencing(kind=Kind.FORCED),
    "back": fencing(kind=Kind.BACK),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())
def test_everyone_is_waited_for_where_who_serves_is_not_certain(record: Record) -> None:
    assert waited_for(seen(), record) == EVERYONE


def test_everyone_is_waited_for_where_a_member_has_no_agent_for_all_that_watch_it_are_its_evidence() -> None:
    hears = replace(FATAL, peers=status(3, peers=(B,)).peers)
    assert waited_for(Observed(NOW, {A: hears, B: Appliance(), C: PENDING})) == EVERYONE


def test_everyone_is_waited_for_in_ranked_services_for_each_path_on_the_wire_counts() -> None:
    assert waited_for(seen(), stable(), ranked(3)) == EVERYONE


def test_everyone_is_waited_for_where_every_member_serves() -> None:
    doc = document(3)
    doc["services"][0]["mode"] = "active-active"
    assert waited_for(seen(), stable(), topology(3, services=doc["services"])) == EVERYONE


def going_on(phase: Phase, **changes: Any) -> Record:
    """A failover to B that this very look opened."""
    record = decide(looking(seen(), stable())).record
    return msgspec.structs.replace(record, phase=phase, **changes)


ACKED = status(4)


def test_a_failover_that_this_look_opened_waits_for_its_target_and_whoever_may_serve_alone() -> None:
    assert waited_for(seen(a=ACKED), going_on(Phase.FENCING)) == {A, B}


def test_a_target_that_was_granted_is_promoted_and_seen_to_serve_without_any_other() -> None:
    granted = going_on(Phase.GRANTED, may_serve=frozenset({B}))
    assert waited_for(seen(a=ACKED), granted) == {B}


def test_a_failover_that_is_found_under_way_waits_for_everyone() -> None:
    operation = going_on(Phase.FENCING).operation
    assert operation is not None
    older = msgspec.structs.replace(operation, started=NOW - timedelta(seconds=1))
    for phase in (Phase.FENCING, Phase.GRANTED):
        assert waited_for(seen(a=ACKED), going_on(phase, operation=older)) == EVERYONE


def test_a_failover_out_of_learning_waits_for_everyone() -> None:
    operation = going_on(Phase.FENCING).operation
    assert operation is not None
    learned = msgspec.structs.replace(operation, learned=True)
    assert waited_for(seen(a=ACKED), going_on(Phase.FENCING, operation=learned)) == EVERYONE


@pytest.mark.parametrize("phase", [Phase.FENCING, Phase.GRANTED])
def test_once_a_command_has_failed_everyone_is_waited_for_as_another_member_may_be_chosen(phase: Phase) -> None:
    failed = seen(a=ACKED).with_tried(SendFence(A, 4), "refused: no")
    assert waited_for(failed, going_on(phase)) == EVERYONE


@pytest.mark.parametrize("phase", [Phase.FENCING, Phase.GRANTED])
@pytest.mark.parametrize("target", [SILENT, status(3, fatal=("forwarding is off",)), PENDING])
def test_a_target_that_is_not_fit_is_followed_by_one_chosen_among_everyone(phase: Phase, target: MemberReading) -> None:
    assert waited_for(seen(a=ACKED, b=target), going_on(phase)) == EVERYONE


# --- what a member is that was not waited for


def test_a_member_that_was_not_waited_for_is_unknown_although_every_peer_misses_it() -> None:
    peers = status(3, dead_peers=(C,))
    look = looking(seen(a=peers, b=peers), stable())
    assert judge(look, C).verdict is Verdict.UNKNOWN
    assert not has_failed(look, C)
    assert "not waited for" in judge(look, C).because


def test_the_silence_of_a_member_that_was_not_waited_for_is_not_waited_for_either() -> None:
    views = replace(STANDBY, peers={C: replace(status(3, dead_peers=(C,)).peers[C], age=timedelta(seconds=1))})
    known = seen(a=views, b=views, c=SILENT)
    service = DESIRED.services[0]
    assert silence_left(service, known, TIMING) is not None
    assert silence_left(service, known, TIMING, frozenset({A, B})) is None
    assert silence_left(service, seen(a=views, b=views), TIMING) is None


def test_looks_at_a_probe_that_succeeds_are_not_counted_of_a_member_that_was_not_waited_for() -> None:
    admitted = balancer(nva_a=PROBED, nva_b="Down_Admin", nva_c=PROBED)
    for reading, counted in ((SILENT, {C}), (PENDING, set[str]())):
        look = looking(with_changes(seen(a=SERVING, c=reading), balancer=admitted), stable())
        assert with_probes(look).admitted.keys() == counted


def test_a_holder_that_was_not_waited_for_is_not_silent_and_its_failover_is_spaced() -> None:
    lately = Spacing(count=3, last=NOW)
    step = Opening(Kind.FAILOVER, B)
    for reading, refused in ((SILENT, False), (PENDING, True)):
        look = looking(seen(a=reading), stable(spacing=lately))
        assert any("in a row" in str(r) for r in refuse(step, look)) is refused


def test_a_fence_trusts_no_silence_of_a_member_that_was_not_waited_for() -> None:
    """Down is written for one that is silent; one that may answer gets FENCE alone."""
    record = going_on(Phase.FENCING, may_serve=frozenset({A, C}))
    assert decide(looking(seen(a=ACKED), record)).effects == (SendFence(C, 4),)
    assert decide(looking(seen(a=ACKED, c=SILENT), record)).effects != (SendFence(C, 4),)
