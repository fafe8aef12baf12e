"""The load balancer's reading, fence (F2) and lift through the real management SDK, against the simulator."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from function_app.adapters.azure import Azure
from function_app.adapters.load_balancer import LoadBalancersOverArm
from function_app.domain.errors import Superseded, Terminal, Unavailable
from function_app.domain.observation import AdminState, Backend, FenceProof
from simulator.data_plane import Probed
from simulator.resources import parse_path
from simulator.seeds import hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import POLL, SPEAKERS, WANTED, azure_at, service, until, write

A = "10.0.1.4"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A pool write takes 60 ms, its propagation 40 ms more, a health action 20 ms."""
    async with Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=50)) as running:
        up, down = Probed(True, "Up_Probe_Success"), Probed(False, "Down_Probe_HttpStatusCodeError")
        running.world.data_plane.report(WANTED.load_balancer, {A: up, "10.0.1.5": down})
        yield running


@pytest.fixture
async def azure(sim: Simulator) -> AsyncIterator[Azure]:
    async with azure_at(sim.url, sim.ca_path) as clients:
        yield clients


@pytest.fixture
def balancers(azure: Azure) -> LoadBalancersOverArm:
    return LoadBalancersOverArm(azure, POLL)


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
        "nva-a": Backend(AdminState.NONE, "Up_Probe_Success"),
        "nva-b": Backend(AdminState.NONE, "Down_Probe_HttpStatusCodeError"),
    }


async def test_a_health_action_that_takes_too_long_leaves_reasons_out(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    sim.world.set_faults({"health_seconds": 3600})
    began = time.monotonic()
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=0.5))
    assert time.monotonic() - began < 2
    assert reading.backends == {"nva-a": Backend(AdminState.NONE), "nva-b": Backend(AdminState.NONE)}


async def test_an_empty_health_action_leaves_reasons_out(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    sim.world.set_faults({"health_empty": True})
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.backends["nva-a"] == Backend(AdminState.NONE, None)


async def test_a_frontend_that_is_not_there_is_named(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    document = sim.world.state.resources.get(WANTED.load_balancer_id)
    assert document is not None
    document["properties"]["frontendIPConfigurations"].clear()
    with pytest.raises(Unavailable, match="lb-nva has no frontend FE"):
        await balancers.read(service(), SPEAKERS, timedelta(seconds=5))


async def test_a_fence_is_proven_when_packets_meet_it(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    before = pool(sim)["etag"]
    proof = await balancers.fence(write(epoch=7))
    assert proof == FenceProof(7, pool(sim)["etag"])
    assert proof.etag != before
    assert effective(sim) == "Down"
    assert state_of(sim, "10.0.1.5") in (None, "None")


async def test_a_member_that_is_down_already_gets_a_write_of_this_operation(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    earlier = await balancers.fence(write(epoch=7))
    written = puts(sim)
    proof = await balancers.fence(write(epoch=8))
    assert puts(sim) == written + 1
    assert proof.epoch == 8
    assert proof.etag != earlier.etag


async def test_a_record_that_moved_on_is_no_proof_and_nothing_is_written(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    async def moved_on() -> bool:
        return False

    with pytest.raises(Superseded, match=r"nva-a is not proven fenced.*the record moved on"):
        await balancers.fence(write(recheck=moved_on))
    assert puts(sim) == 0
    assert state_of(sim) in (None, "None")


async def test_the_record_is_read_again_between_the_get_and_the_put(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    """Finding 9: whoever writes while the record is being read again makes the PUT fail."""

    async def somebody_else_writes() -> bool:
        document = sim.world.state.resources.get(WANTED.load_balancer_id)
        assert document is not None
        document["etag"] = pool(sim)["etag"] = 'W/"foreign"'
        return True

    with pytest.raises(Superseded, match=r"the write of Down has not succeeded.*412 PreconditionFailed"):
        await balancers.fence(write(recheck=somebody_else_writes))
    assert state_of(sim) in (None, "None")


async def test_a_write_that_another_one_supersedes_is_no_proof(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    sim.world.set_faults({"pool_write_seconds": 60})
    fencing = asyncio.create_task(balancers.fence(write()))
    await until(lambda: state_of(sim) == "Down")
    document, path = sim.world.state.resources.get(WANTED.load_balancer_id), parse_path(WANTED.load_balancer_id)
    assert document is not None
    assert path is not None
    sim.world.load_balancers.put(path, document, None)
    with pytest.raises(Superseded, match=r"the write of Down has not succeeded.*CanceledAndSuperseded"):
        await fencing


async def test_a_write_that_fails_in_the_end_is_no_proof(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    sim.world.set_faults({"writes": "fail"})
    with pytest.raises(Unavailable, match=r"the write of Down has not succeeded.*InternalServerError"):
        await balancers.fence(write())


async def test_a_success_that_has_not_propagated_is_waited_for(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    sim.world.set_faults({"propagation": 50})  # a second
    fencing = asyncio.create_task(balancers.fence(write()))
    await until(lambda: pool(sim)["properties"]["provisioningState"] == "Succeeded" and state_of(sim) == "Down")
    assert effective(sim) == "None"
    assert not fencing.done()
    await fencing
    assert effective(sim) == "Down"


async def test_a_health_action_that_says_something_else_to_the_end_is_no_proof(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    sim.world.set_faults({"health_stale": True})
    with pytest.raises(Unavailable, match=r"says Up_Probe_Success and not Down_Admin.*not done within 1 s"):
        await balancers.fence(write(timeout=1, settle=0.1))
    assert effective(sim) == "Down"


async def test_where_health_stays_empty_the_settle_time_is_waited(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    sim.world.set_faults({"health_empty": True})
    fencing = asyncio.create_task(balancers.fence(write(epoch=9, settle=0.5)))
    await until(lambda: effective(sim) == "Down")
    seen = time.monotonic()
    assert (await fencing).epoch == 9
    assert time.monotonic() - seen > 0.3  # 0.5 s since the write succeeded, 40 ms before it propagated


async def test_an_empty_health_action_is_no_proof_before_the_settle_time(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    sim.world.set_faults({"health_empty": True})
    with pytest.raises(Unavailable, match="is empty and the wait is not over"):
        await balancers.fence(write(settle=5, timeout=1))


async def test_a_health_action_that_fails_is_not_an_empty_one(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    fencing = asyncio.create_task(balancers.fence(write(settle=0.1, timeout=1.5)))
    sim.world.set_faults({"health_empty": True, "propagation": 3600})
    await until(lambda: pool(sim)["properties"]["provisioningState"] == "Succeeded" and state_of(sim) == "Down")
    del sim.world.data_plane.planes[WANTED.load_balancer_id.lower()]
    with pytest.raises(Unavailable, match=r"the health action of rule all-ports does not answer \(the last time: 500"):
        await fencing


@pytest.mark.parametrize("fault", ["refuse", "throttle"])
async def test_an_arm_that_refuses_gives_no_proof_and_says_when_to_come_back(
    sim: Simulator, balancers: LoadBalancersOverArm, fault: str
) -> None:
    sim.world.set_faults({"arm": fault, "arm_retry_after": 13})
    began = time.monotonic()
    with pytest.raises(Unavailable, match="nothing is written") as caught:
        await balancers.fence(write(timeout=8))
    assert time.monotonic() - began < 6
    assert caught.value.retry_after == timedelta(seconds=13 if fault == "throttle" else 5)


async def test_an_arm_that_hangs_gives_no_proof_within_the_timeout(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    sim.world.set_faults({"arm": "hang"})
    with pytest.raises(Unavailable, match=r"not done within 0.5 s"):
        await balancers.fence(write(timeout=0.5))


async def test_a_reply_that_is_lost_is_no_proof_and_the_next_attempt_writes_again(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    async def lose_replies_from_here() -> bool:
        sim.world.set_faults({"arm": "lose_reply"})
        return True

    with pytest.raises(Unavailable, match="the write of Down has not succeeded"):
        await balancers.fence(write(recheck=lose_replies_from_here))
    assert state_of(sim) == "Down"
    sim.world.set_faults({"arm": "ok"})
    lost = pool(sim)["etag"]
    assert (await balancers.fence(write())).etag != lost


async def test_a_membership_that_changes_with_the_write_stops_everything(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    sim.world.set_faults({"pool_write_seconds": 10})
    fencing = asyncio.create_task(balancers.fence(write()))
    await until(lambda: state_of(sim) == "Down")
    del addresses(sim)[1]
    with pytest.raises(Terminal, match="the membership of pool NVAs changed with our write: nva-b"):
        await fencing


async def test_a_lift_by_another_hand_right_after_the_write_is_no_proof(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    sim.world.set_faults({"pool_write_seconds": 10})
    fencing = asyncio.create_task(balancers.fence(write()))
    await until(lambda: state_of(sim) == "Down")
    addresses(sim)[0]["properties"]["adminState"] = "None"
    with pytest.raises(Superseded, match=r"Down was written for .* and ARM shows None"):
        await fencing


async def test_a_member_that_is_not_in_the_pool_cannot_be_fenced(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    del addresses(sim)[0]
    with pytest.raises(Unavailable, match=r"nva-a \(10.0.1.4\) is not in pool NVAs of lb-nva"):
        await balancers.fence(write())
    assert puts(sim) == 0


async def test_a_lift_writes_none_once_and_then_nothing(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    await balancers.fence(write())
    await balancers.lift(write())
    assert state_of(sim) == "None"
    written = puts(sim)
    await balancers.lift(write())
    assert puts(sim) == written


async def test_a_lift_is_given_up_when_the_record_moved_on(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    async def moved_on() -> bool:
        return False

    await balancers.fence(write())
    with pytest.raises(Superseded, match="the record moved on"):
        await balancers.lift(write(recheck=moved_on))
    assert state_of(sim) == "Down"


async def test_a_lift_decided_before_a_later_fence_does_not_land(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    """A paused instance rechecks, sleeps while another one fences, and wakes: its PUT carries an etag of the past."""

    async def another_instance_fences() -> bool:
        await balancers.fence(write(epoch=8))
        return True

    await balancers.fence(write(epoch=7))
    with pytest.raises(Superseded, match="412 PreconditionFailed"):
        await balancers.lift(write(epoch=7, recheck=another_instance_fences))
    assert state_of(sim) == "Down"


async def test_up_is_left_to_the_operator_who_wrote_it(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    addresses(sim)[0]["properties"]["adminState"] = "Up"
    reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.backends["nva-a"].admin_state is AdminState.UP
    with pytest.raises(Unavailable, match="Up, which only an operator may undo"):
        await balancers.lift(write())
    assert puts(sim) == 0


async def test_up_is_never_written(sim: Simulator, balancers: LoadBalancersOverArm) -> None:
    written: list[str | None] = []
    sim.world.state.subscribers.append(lambda change: written.append(state_of(sim)))
    await balancers.fence(write())
    await balancers.lift(write())
    assert written == ["Down", "None"]
