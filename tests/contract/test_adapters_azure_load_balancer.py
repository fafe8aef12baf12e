"""The load balancer's reading and one member's adminState through the real management SDK, against the simulator."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.load_balancer import AdminStatesOverArm, LoadBalancersOverArm, Timeouts
from function_app.domain.base.errors import Superseded, Terminal, Unavailable
from function_app.domain.service.observation import AdminState, Backend, FenceProof
from function_app.reconcile.act.fencing import fence, lift
from function_app.reconcile.ports import PoolView, Ports
from simulator.data_plane import Probed
from simulator.resources import parse_path
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.builders import topology
from tests.contract.adapters_azure import (
    NVA_A,
    POLL,
    SPEAKERS,
    WANTED,
    HurriedClock,
    pool_address,
    service,
    until,
    write,
)
from tests.fakes import FakeWorld, make_ports

A = "10.0.1.4"
FACTOR = 50
NONE, DOWN, UP = AdminState.NONE, AdminState.DOWN, AdminState.UP


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A pool write takes 60 ms, its propagation 40 ms more, a health action 20 ms."""
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=FACTOR)) as running:
        up, down = Probed(True, "Up_Probe_Success"), Probed(False, "Down_Probe_HttpStatusCodeError")
        running.world.data_plane.report(WANTED.load_balancer, {A: up, "10.0.1.5": down})
        yield running


@pytest.fixture
def balancers(azure: Azure) -> LoadBalancersOverArm:
    return LoadBalancersOverArm(azure, POLL)


@pytest.fixture
def states(azure: Azure) -> AdminStatesOverArm:
    return AdminStatesOverArm(azure, Timeouts(poll=POLL))


@pytest.fixture
async def ports(azure: Azure, states: AdminStatesOverArm) -> Ports:
    """On the simulator's time, with a client that is made already."""
    await azure.network(WANTED.subscription)
    return replace(make_ports(FakeWorld(topology())), clock=HurriedClock(FACTOR), admin_states=states)


def pool(sim: Simulator) -> dict[str, Any]:
    document = sim.world.state.resources.get(WANTED.load_balancer_id)
    assert document is not None
    found: dict[str, Any] = document["properties"]["backendAddressPools"][0]
    return found


def addresses(sim: Simulator) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = pool(sim)["properties"]["loadBalancerBackendAddresses"]
    return listed


def state_of(sim: Simulator, ip: str = A) -> str | None:
    states: dict[str, str | None] = {
        a["properties"]["ipAddress"]: a["properties"].get("adminState") for a in addresses(sim)
    }
    return states[ip]


def effective(sim: Simulator, ip: str = A) -> str:
    """The adminState that packets meet."""
    plane = sim.world.data_plane.named(WANTED.load_balancer)
    return next(b.admin_state for backends in plane.pools.values() for b in backends if b.ip == ip)


def puts(sim: Simulator) -> int:
    return sum(logged.method == "PUT" for logged in sim.requests)


async def test_a_read_maps_frontend_etag_states_and_reasons(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.etag == pool(sim)["etag"]
    assert reading.frontend == IPv4Address("10.0.1.100")
    assert reading.backends == {
        "nva-a": Backend(AdminState.NONE, "Up_Probe_Success", pool_address("nva-a")),
        "nva-b": Backend(AdminState.NONE, "Down_Probe_HttpStatusCodeError", pool_address("nva-b")),
    }
    assert reading.strangers == frozenset()


async def test_a_read_names_every_other_address_of_the_pool_that_is_not_down(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    addresses(sim).append({"name": "Other", "properties": {"ipAddress": "10.0.1.77"}})
    addresses(sim).append({"name": "down", "properties": {"ipAddress": "10.0.1.78", "adminState": "Down"}})
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.strangers == {pool_address("other")}
    assert reading.elsewhere == frozenset()


async def test_a_read_names_a_member_that_its_pool_lacks_and_another_one_has(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    document = sim.world.state.resources.get(WANTED.load_balancer_id)
    assert document is not None
    rule = document["properties"]["loadBalancingRules"][0]
    pool_id = rule["properties"]["backendAddressPool"]["id"].rpartition("/")[0] + "/others"
    moved = addresses(sim).pop(0)
    document["properties"]["backendAddressPools"].append(
        {"name": "others", "id": pool_id, "properties": {"loadBalancerBackendAddresses": [moved]}}
    )
    further = {**rule["properties"], "backendAddressPool": {"id": pool_id}}
    document["properties"]["loadBalancingRules"].append({**rule, "name": "further", "properties": further})
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert (reading.backends.keys(), reading.elsewhere) == ({"nva-b"}, {"nva-a"})


async def test_a_health_action_that_takes_too_long_leaves_reasons_out(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    sim.world.set_faults({"health_seconds": 3600})
    began = time.monotonic()
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=0.5))
    assert time.monotonic() - began < 2
    assert reading.backends == {
        "nva-a": Backend(AdminState.NONE, None, pool_address("nva-a")),
        "nva-b": Backend(AdminState.NONE, None, pool_address("nva-b")),
    }


async def test_an_empty_health_action_leaves_reasons_out(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    sim.world.set_faults({"health_empty": True})
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.backends["nva-a"].reason is None


async def test_a_frontend_that_is_not_there_is_named(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    document = sim.world.state.resources.get(WANTED.load_balancer_id)
    assert document is not None
    document["properties"]["frontendIPConfigurations"].clear()
    with pytest.raises(Unavailable, match="lb-nva has no frontend FE"):
        await balancers.read(service(), SPEAKERS, timedelta(seconds=5))


# --- one operation a method


async def test_a_look_shows_the_members_state_and_the_shared_etag(sim: Simulator, states: AdminStatesOverArm) -> None:
    assert await states.look(service(), NVA_A) == PoolView(pool(sim)["etag"], NONE, None, pool_address("nva-a"))
    addresses(sim)[0]["properties"]["adminState"] = "Down"
    assert (await states.look(service(), NVA_A)).admin_state is DOWN


async def test_a_member_that_is_not_in_the_pool_is_shown_as_that_and_not_written(
    sim: Simulator, states: AdminStatesOverArm
) -> None:
    del addresses(sim)[0]
    assert await states.look(service(), NVA_A) == PoolView(pool(sim)["etag"], None)
    assert await states.health_reason(service(), NVA_A) == "Up_Probe_Success"  # packets still find it
    with pytest.raises(Unavailable, match=r"nva-a \(10.0.1.4\) is not in pool NVAs of lb-nva"):
        await states.set(service(), NVA_A, DOWN, pool(sim)["etag"])
    assert puts(sim) == 0


async def test_a_set_changes_one_state_and_returns_what_is_there_once_it_succeeded(
    sim: Simulator, states: AdminStatesOverArm
) -> None:
    before = pool(sim)["etag"]
    after = await states.set(service(), NVA_A, DOWN, before)
    assert after == PoolView(pool(sim)["etag"], DOWN, None, pool_address("nva-a"))
    assert after.etag != before
    assert pool(sim)["properties"]["provisioningState"] == "Succeeded"
    assert state_of(sim, "10.0.1.5") in (None, "None")


async def test_a_set_with_an_etag_of_the_past_is_not_even_sent(sim: Simulator, states: AdminStatesOverArm) -> None:
    with pytest.raises(Superseded, match='and no longer W/"past"'):
        await states.set(service(), NVA_A, DOWN, 'W/"past"')
    assert puts(sim) == 0


async def test_up_is_never_written(sim: Simulator, states: AdminStatesOverArm) -> None:
    with pytest.raises(Terminal, match="Up is never written"):
        await states.set(service(), NVA_A, UP, pool(sim)["etag"])
    assert puts(sim) == 0


async def test_a_write_that_another_one_supersedes_is_superseded(sim: Simulator, states: AdminStatesOverArm) -> None:
    sim.world.set_faults({"pool_write_seconds": 60})
    setting = asyncio.create_task(states.set(service(), NVA_A, DOWN, pool(sim)["etag"]))
    await until(lambda: state_of(sim) == "Down")
    document, path = sim.world.state.resources.get(WANTED.load_balancer_id), parse_path(WANTED.load_balancer_id)
    assert document is not None
    assert path is not None
    sim.world.load_balancers.put(path, document, None)
    with pytest.raises(Superseded, match=r"setting nva-a to Down in the pool of fw.*CanceledAndSuperseded"):
        await setting


async def test_a_write_that_fails_in_the_end_has_not_happened(sim: Simulator, states: AdminStatesOverArm) -> None:
    sim.world.set_faults({"writes": "fail"})
    with pytest.raises(Unavailable, match="InternalServerError"):
        await states.set(service(), NVA_A, DOWN, pool(sim)["etag"])


async def test_a_write_that_does_not_end_is_given_up_in_time(sim: Simulator, azure: Azure) -> None:
    states = AdminStatesOverArm(azure, Timeouts(write=timedelta(seconds=0.5), poll=POLL))
    await states.look(service(), NVA_A)
    sim.world.set_faults({"pool_write_seconds": 3600})
    with pytest.raises(Unavailable, match=r"setting nva-a to Down in the pool of fw: not done within 0.5 s"):
        await states.set(service(), NVA_A, DOWN, pool(sim)["etag"])


async def test_a_membership_that_changes_with_the_write_is_terminal(sim: Simulator, states: AdminStatesOverArm) -> None:
    sim.world.set_faults({"pool_write_seconds": 10})
    setting = asyncio.create_task(states.set(service(), NVA_A, DOWN, pool(sim)["etag"]))
    await until(lambda: state_of(sim) == "Down")
    del addresses(sim)[0]
    with pytest.raises(Terminal, match="the membership of pool NVAs changed with our write: nva-a"):
        await setting


async def test_a_set_returns_what_another_hand_made_of_it(sim: Simulator, states: AdminStatesOverArm) -> None:
    sim.world.set_faults({"pool_write_seconds": 10})
    setting = asyncio.create_task(states.set(service(), NVA_A, DOWN, pool(sim)["etag"]))
    await until(lambda: state_of(sim) == "Down")
    addresses(sim)[0]["properties"]["adminState"] = "Up"
    assert (await setting).admin_state is UP


async def test_a_bump_gives_another_etag_and_keeps_the_other_tags(sim: Simulator, states: AdminStatesOverArm) -> None:
    document = sim.world.state.resources.get(WANTED.load_balancer_id)
    assert document is not None
    document["tags"] = {"owner": "net"}
    before, kept = pool(sim)["etag"], str(pool(sim)["properties"])
    await states.bump(service(), before)
    assert pool(sim)["etag"] != before
    assert str(pool(sim)["properties"]).replace(pool(sim)["etag"], before) == kept
    assert document["tags"] == {"owner": "net", "hopkeeper-fence": before}
    with pytest.raises(Superseded, match="412 PreconditionFailed"):
        await states.bump(service(), before)


async def test_health_gives_the_reason_of_this_member(sim: Simulator, states: AdminStatesOverArm) -> None:
    assert await states.health_reason(service(), NVA_A) == "Up_Probe_Success"
    assert await states.health_reason(service(), SPEAKERS["nva-b"]) == "Down_Probe_HttpStatusCodeError"


async def test_an_empty_health_action_is_silence(sim: Simulator, states: AdminStatesOverArm) -> None:
    sim.world.set_faults({"health_empty": True})
    assert await states.health_reason(service(), NVA_A) is None


async def test_a_health_action_that_fails_is_no_silence(sim: Simulator, states: AdminStatesOverArm) -> None:
    del sim.world.data_plane.planes[WANTED.load_balancer_id.lower()]
    with pytest.raises(Unavailable, match="reading the health of nva-a in fw: 500"):
        await states.health_reason(service(), NVA_A)


async def test_a_health_action_that_takes_too_long_is_no_silence(sim: Simulator, azure: Azure) -> None:
    states = AdminStatesOverArm(azure, Timeouts(read=timedelta(seconds=0.5), poll=POLL))
    await azure.network(WANTED.subscription)
    sim.world.set_faults({"health_seconds": 3600})
    with pytest.raises(Unavailable, match=r"reading the health of nva-a in fw: not done within 0.5 s"):
        await states.health_reason(service(), NVA_A)


@pytest.mark.parametrize("fault", ["refuse", "throttle"])
async def test_an_arm_that_refuses_says_when_to_come_back(
    sim: Simulator, states: AdminStatesOverArm, fault: str
) -> None:
    sim.world.set_faults({"arm": fault, "arm_retry_after": 13})
    began = time.monotonic()
    with pytest.raises(Unavailable, match="reading nva-a in the pool of fw") as caught:
        await states.look(service(), NVA_A)
    assert time.monotonic() - began < 6
    assert caught.value.retry_after == timedelta(seconds=13 if fault == "throttle" else 5)


async def test_an_arm_that_hangs_is_given_up_in_time(sim: Simulator, azure: Azure) -> None:
    states = AdminStatesOverArm(azure, Timeouts(read=timedelta(seconds=0.5)))
    await azure.network(WANTED.subscription)
    sim.world.set_faults({"arm": "hang"})
    for read in (
        states.look(service(), NVA_A),
        states.bump(service(), "etag"),
        states.health_reason(service(), NVA_A),
    ):
        with pytest.raises(Unavailable, match=r"not done within 0.5 s"):
            await read


# --- the whole procedure over them


async def test_a_fence_is_proven_when_packets_meet_it(sim: Simulator, ports: Ports) -> None:
    before = pool(sim)["etag"]
    proof = await fence(ports, write(epoch=7))
    assert proof == FenceProof(7, pool(sim)["etag"], pool_address("nva-a"))
    assert proof.etag != before
    assert effective(sim) == "Down"


async def test_a_success_that_has_not_propagated_is_waited_for(sim: Simulator, ports: Ports) -> None:
    sim.world.set_faults({"propagation": 50})  # a second
    fencing = asyncio.create_task(fence(ports, write()))
    await until(lambda: pool(sim)["properties"]["provisioningState"] == "Succeeded" and state_of(sim) == "Down")
    assert effective(sim) == "None"
    assert not fencing.done()
    await fencing
    assert effective(sim) == "Down"


async def test_where_health_stays_empty_the_settle_time_is_waited(sim: Simulator, ports: Ports) -> None:
    sim.world.set_faults({"health_empty": True})
    fencing = asyncio.create_task(fence(ports, write(epoch=9, settle=25)))
    await until(lambda: effective(sim) == "Down")
    seen = time.monotonic()
    assert (await fencing).epoch == 9
    assert time.monotonic() - seen > 15 / FACTOR  # 25 s since the write succeeded, 2 s before it propagated


async def test_a_pool_that_keeps_the_etag_of_what_changes_nothing_is_bumped(sim: Simulator, ports: Ports) -> None:
    sim.world.set_faults({"noop_keeps_etag": True})
    first = await fence(ports, write(epoch=7))
    second = await fence(ports, write(epoch=8))
    assert second.etag != first.etag
    assert [logged.method for logged in sim.requests if logged.method in ("PUT", "PATCH")] == [
        "PUT",
        "PUT",
        "PATCH",
        "PUT",
    ]


async def test_the_record_is_read_again_between_the_get_and_the_put(sim: Simulator, ports: Ports) -> None:
    """Finding 9: whoever writes while the record is being read again makes the write fail."""

    async def another_writes() -> bool:
        document = sim.world.state.resources.get(WANTED.load_balancer_id)
        assert document is not None
        document["etag"] = pool(sim)["etag"] = 'W/"foreign"'
        return True

    with pytest.raises(Superseded, match="the write of Down has not succeeded"):
        await fence(ports, write(recheck=another_writes))
    assert state_of(sim) in (None, "None")


async def test_a_reply_that_is_lost_is_no_proof_and_the_next_attempt_writes_again(sim: Simulator, ports: Ports) -> None:
    async def lose_replies_from_the_put_on() -> bool:
        def lose(change: object) -> None:
            sim.world.set_faults({"arm": "lose_reply"})

        sim.world.state.subscribers.append(lose)
        return True

    with pytest.raises(Unavailable, match="the write of Down has not succeeded"):
        await fence(ports, write(recheck=lose_replies_from_the_put_on))
    assert state_of(sim) == "Down"
    sim.world.state.subscribers.pop()
    sim.world.set_faults({"arm": "ok"})
    lost = pool(sim)["etag"]
    assert (await fence(ports, write())).etag != lost


async def test_a_lift_counts_when_packets_no_longer_meet_down(sim: Simulator, ports: Ports) -> None:
    await fence(ports, write())
    sim.world.set_faults({"propagation": 25})
    await lift(ports, write())
    assert state_of(sim) == "None"
    assert effective(sim) == "None"
    lifted = pool(sim)["etag"]
    await lift(ports, write())
    assert pool(sim)["etag"] != lifted


async def test_a_wary_fence_does_not_take_the_down_of_before_for_its_own(sim: Simulator, ports: Ports) -> None:
    """A lift was written and is not there yet; what proves the fence is seen only after both have arrived."""
    met: list[str] = []
    await fence(ports, write(epoch=7))
    sim.world.set_faults({"propagation": 25})
    await ports.admin_states.set(service(), NVA_A, NONE, pool(sim)["etag"])
    assert effective(sim) == "Down"
    sim.world.state.subscribers.append(lambda change: met.append(effective(sim)))
    await fence(ports, replace(write(epoch=8), wary=True))
    assert met == ["None"]  # where packets went when the write of Down succeeded
    assert effective(sim) == "Down"
