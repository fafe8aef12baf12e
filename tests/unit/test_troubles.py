"""What is wrong with a service is said whatever is being done about it, pool by pool and with the way out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AdminState,
    AgentStatus,
    Appliance,
    Backend,
    BalancerReading,
    MemberReading,
    Observed,
    PeerView,
    Role,
    Unreachable,
    Value,
    in_every_pool,
)
from function_app.domain.service.record import Leaving, Pause, Phase, Record
from function_app.domain.service.troubles import troubles
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import NOW, SUB, balancer, document, stable, status, topology

A, B = "nva-a", "nva-b"
PROBED, FAILS = "Up_Probe_Success", "Down_Probe_TcpProbeTimeout"
WELL = balancer(nva_a=PROBED, nva_b="Down_Probe_HttpStatus")
STANDBY, SERVING = status(3), status(3, Role.SERVING)
AGENTS: Mapping[str, MemberReading] = {A: SERVING, B: STANDBY}
BARE: Mapping[str, MemberReading] = {A: Appliance(), B: Appliance()}
PAIR = topology()
INNER, OUTER = (
    f"{SUB}/loadBalancers/ilb/backendAddressPools/nvas".lower(),
    f"{SUB}/loadBalancers/plb/backendAddressPools/out".lower(),
)


def sandwich() -> Topology:
    doc = document()
    outer = {"id": f"{SUB}/loadBalancers/plb", "backendPool": "out", "probe": "hopkeeper"}
    doc["services"][0]["nextHop"]["loadBalancer"]["alsoBehind"] = [outer]
    return from_plain(doc, Place())


def wrong(
    seen: BalancerReading | str | None = WELL,
    agents: Mapping[str, MemberReading] = AGENTS,
    record: Record | None = None,
    desired: Topology = PAIR,
    **observed: Any,
) -> dict[str, str]:
    looked = Observed(NOW, agents, seen, **observed)
    return dict(troubles(Look(desired.services[0], desired.timing, looked, record or stable(), NOW)))


def test_of_a_pair_that_is_well_nothing_is_wrong() -> None:
    assert wrong() == {}
    assert wrong("ARM answers 503") == {}
    assert wrong(None) == {}


# --- the holder


@pytest.mark.parametrize(
    ("reading", "because"),
    [
        (Appliance(Value.BAD), "nva-a: the app's own check of it fails, and no other source can tell"),
        (replace(SERVING, fatal=("data-path: no echo",)), "nva-a: its agent says data-path: no echo"),
    ],
)
def test_a_holder_that_looks_dead_is_said_to_although_it_cannot_be_judged_or_nothing_is_done(
    reading: MemberReading, because: str
) -> None:
    untold = replace(WELL, backends={A: Backend(AdminState.NONE)})
    paused = with_fields(stable(), pause=Pause(until=NOW + timedelta(hours=1), by="ann"))
    assert wrong(untold, {**AGENTS, A: reading}, paused) == {"holder nva-a": f"the holder looks dead: {because}"}


def test_a_holder_that_all_that_watch_it_miss_looks_dead() -> None:
    missed = PeerView(Value.BAD, Value.BAD, timedelta(hours=1))
    witness = AgentStatus("boot", NOW, {}, peers={A: missed})
    said = wrong(None, {**BARE, "witness": witness})
    assert said == {"holder nva-a": "the holder looks dead: nva-a: no member or witness that watches it reaches it"}


@pytest.mark.parametrize(
    "record",
    [
        stable(phase=Phase.FENCING),
        stable(phase=Phase.GRANTED),
        stable(leaving=Leaving(how="released", by="ann", at=NOW, done=False)),
        stable("nva-z"),
    ],
    ids=["fencing", "granted", "released", "no member"],
)
def test_what_an_operation_or_an_end_is_about_is_not_said_a_second_time(record: Record) -> None:
    assert wrong(balancer(nva_a=FAILS, nva_b=PROBED), {**BARE, A: Appliance(Value.BAD)}, record) == {}


def test_who_gets_new_flows_beside_the_holder_is_said() -> None:
    both = balancer(nva_a=PROBED, nva_b=PROBED)
    said = {"beside nva-b": "nva-b gets new flows as well as nva-a: the load balancer's probe of both succeeds"}
    assert wrong(both, BARE) == said
    assert wrong(both, {A: SERVING, B: Unreachable("no answer")}) == said
    assert wrong(both) == {}, "it acknowledged its FENCE: the load balancer is late"


# --- pool by pool


def behind_two(inner: BalancerReading, outer: BalancerReading) -> dict[str, str]:
    return wrong(in_every_pool((inner, outer)), desired=sandwich())


def test_a_load_balancer_whose_probe_of_the_holder_fails_is_named_though_another_one_has_it_up() -> None:
    outer = balancer(nva_a=FAILS, nva_b="Down_Probe_HttpStatus")
    assert behind_two(WELL, outer) == {
        f"pool {OUTER}": (
            "plb: the probe of nva-a, which serves, fails (Down_Probe_TcpProbeTimeout): no member gets new flows there. Mend the "
            "probe's path (NSG, 168.63.129.16), or what answers it, or `switchover` to nva-b"
        )
    }
    assert behind_two(outer, WELL).keys() == {f"pool {INNER}"}
    assert "): nva-b gets them. Mend" in behind_two(WELL, balancer(nva_a=FAILS, nva_b=PROBED))[f"pool {OUTER}"]


def test_a_pool_that_does_not_list_the_holder_is_named_though_another_one_does() -> None:
    assert behind_two(WELL, balancer(nva_b="Down_Probe_HttpStatus")) == {
        f"pool {OUTER}": (
            "pool out of plb does not list nva-a, which serves: no member gets new flows there. Put nva-a back into that pool, "
            "or `switchover` to nva-b"
        )
    }
    assert behind_two(WELL, balancer())[f"pool {OUTER}"].endswith(". Put nva-a back into that pool")
    assert behind_two(WELL, replace(balancer(), complete=False)) == {}, "one of its addresses may be the holder's"


def test_a_pool_in_which_the_holder_is_down_is_named() -> None:
    said = behind_two(WELL, balancer(nva_a="Down_Admin", nva_b="Down_Probe_HttpStatus"))[f"pool {OUTER}"]
    assert said.startswith(
        "nva-a, which serves, is Down in pool out of plb: no member gets new flows there. Set it to None there"
    )


def test_the_probe_of_a_holder_that_does_not_answer_is_not_said_to_be_at_fault() -> None:
    assert wrong(balancer(nva_a=FAILS), {A: Unreachable("no answer"), B: STANDBY}) == {}


# --- what is set wrongly at the load balancer


def test_what_makes_a_probe_or_a_down_mean_something_else_is_said_whoever_serves() -> None:
    up = replace(WELL, backends={**WELL.backends, B: Backend(AdminState.UP, "Up_Admin")})
    spoilt = replace(up, flaws=("rule r goes by no probe",), unjoined="no rule joins pool nvas and probe hopkeeper")
    said = {
        f"rule {INNER}": (
            "ilb: no rule joins pool nvas and probe hopkeeper: who gets new flows is not shown, and no move can be proven"
        ),
        f"Up {INNER} nva-b": "adminState of nva-b is Up in pool nvas of ilb: it gets new flows, dead or alive; set it to None",
        "flaw rule r goes by no probe": "rule r goes by no probe",
    }
    assert wrong(spoilt) == said
    assert wrong(spoilt, record=stable(phase=Phase.FENCING)) == said


def test_what_contests_a_ranked_service_is_on_its_record() -> None:
    assert wrong(None, record=stable(flaws=("10.0.9.9 announces it too",))) == {
        "flaw 10.0.9.9 announces it too": "10.0.9.9 announces it too"
    }
