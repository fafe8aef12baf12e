"""A pair between an internal and a public load balancer, through the real management SDK, against the simulator."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from msgspec import structs

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.load_balancer import AdminStatesOverArm, LoadBalancersOverArm, Timeouts
from function_app.domain.base.errors import Superseded, Unavailable
from function_app.domain.service.observation import AdminState, Backend
from function_app.domain.topology.model import AND, BackendPool, NextHop, Service
from function_app.reconcile.act.fencing import fence, lift
from function_app.reconcile.ports import BalancerWrite, Ports
from simulator.data_plane import Probed
from simulator.resources import Json
from simulator.seeds import Probe, hub_seed, load_balancer
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
    unchanged,
    write,
)
from tests.fakes import FakeWorld, make_ports

FACTOR = 50
PUBLIC = f"{WANTED.network_scope}/loadBalancers/plb-nva"
INNER, OUTER = {"nva-a": "10.0.1.4", "nva-b": "10.0.1.5"}, {"nva-a": "10.0.3.4", "nva-b": "10.0.3.5"}
UP, DOWN = Probed(True, "Up_Probe_Success"), Probed(False, "Down_Probe_HttpStatusCodeError")
TIMEOUT = timedelta(seconds=5)


def public() -> Json:
    """The members' outer interfaces behind a public load balancer: no rule of it takes all ports."""
    addresses = [{"name": name, "properties": {"ipAddress": address}} for name, address in OUTER.items()]
    made = load_balancer(PUBLIC, ("fe", "10.0.3.100"), ("outer", addresses), ("agent", Probe(8080, "/probe/fw")))
    made["properties"]["frontendIPConfigurations"][0]["properties"] = {"publicIPAddress": {"id": f"{PUBLIC}-ip"}}
    made["properties"]["loadBalancingRules"][0]["properties"] |= {
        "protocol": "Tcp",
        "frontendPort": 443,
        "backendPort": 443,
    }
    return made


def sandwiched() -> Service:
    inner = service().load_balancer
    assert inner is not None
    outer = BackendPool(
        id=PUBLIC,
        backend_pool="outer",
        probe="agent",
        addresses={name: IPv4Address(address) for name, address in OUTER.items()},
    )
    return structs.replace(service(), next_hop=NextHop(load_balancer=structs.replace(inner, also_behind=(outer,))))


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    seed = hub_seed(WANTED)
    seed["resources"].append(public())
    async with Simulator(SimulatorConfig(seed, time_factor=FACTOR)) as running:
        running.world.data_plane.report(WANTED.load_balancer, {INNER["nva-a"]: UP, INNER["nva-b"]: DOWN})
        running.world.data_plane.report("plb-nva", {OUTER["nva-a"]: UP, OUTER["nva-b"]: DOWN})
        yield running


@pytest.fixture
async def ports(azure: Azure) -> Ports:
    await azure.network(WANTED.subscription)
    states = AdminStatesOverArm(azure, Timeouts(poll=POLL))
    return replace(make_ports(FakeWorld(topology())), clock=HurriedClock(FACTOR), admin_states=states)


@pytest.fixture
async def balancers(azure: Azure) -> LoadBalancersOverArm:
    await azure.network(WANTED.subscription)
    return LoadBalancersOverArm(azure, POLL)


def request(recheck: Callable[[], Awaitable[bool]] = unchanged) -> BalancerWrite:
    return replace(write(recheck=recheck), service=sandwiched())


def met(sim: Simulator) -> tuple[str, str]:
    """The adminState of nva-a that packets meet, inside and outside."""
    wanted = {WANTED.load_balancer: INNER["nva-a"], "plb-nva": OUTER["nva-a"]}
    planes = ((sim.world.data_plane.named(name), address) for name, address in wanted.items())
    inside, outside = (
        next(b.admin_state for backends in plane.pools.values() for b in backends if b.ip == address)
        for plane, address in planes
    )
    return inside, outside


def at_most(writes: int) -> Callable[[], Awaitable[bool]]:
    """A record that another pass changes after so many writes."""

    async def recheck() -> bool:
        nonlocal writes
        writes -= 1
        return writes >= 0

    return recheck


OUTSIDE = f"{PUBLIC}/backendAddressPools/outer/nva-a".casefold()


async def test_a_member_is_known_in_each_pool_by_its_address_there(
    sim: Simulator, balancers: LoadBalancersOverArm
) -> None:
    reading = await balancers.read(sandwiched(), SPEAKERS, TIMEOUT)
    assert reading.frontend == IPv4Address("10.0.1.100")
    assert reading.backends["nva-a"] == Backend(
        AdminState.NONE, UP.reason, f"{pool_address('nva-a')}, {OUTSIDE}", also=(UP.reason,)
    )
    assert (reading.complete, reading.strangers) == (True, frozenset())


async def test_a_fence_is_down_where_packets_go_in_every_pool_and_a_lift_takes_all_back(
    sim: Simulator, ports: Ports, balancers: LoadBalancersOverArm
) -> None:
    proof = await fence(ports, request())
    assert met(sim) == ("Down", "Down")
    assert proof.address == f"{pool_address('nva-a')}, {OUTSIDE}"
    assert len(proof.etag.split(", ")) == 2
    reading = await balancers.read(sandwiched(), SPEAKERS, TIMEOUT)
    assert not reading.contradicts("nva-a", proof.address)
    await lift(ports, request())
    assert met(sim) == ("None", "None")


async def test_half_a_fence_is_no_proof_and_is_not_believed_and_the_next_attempt_completes_it(
    sim: Simulator, ports: Ports, balancers: LoadBalancersOverArm
) -> None:
    with pytest.raises(Superseded, match="nva-a is not proven fenced"):
        await fence(ports, request(at_most(1)))
    assert sorted(met(sim)) == ["Down", "None"]
    reading = await balancers.read(sandwiched(), SPEAKERS, TIMEOUT)
    backend = reading.backends["nva-a"]
    assert (backend.admin_state, backend.partly_down, backend.reason) == (AdminState.NONE, True, UP.reason)
    assert reading.contradicts("nva-a", backend.address)
    await fence(ports, request())
    assert met(sim) == ("Down", "Down")


async def test_half_a_lift_is_none_and_the_next_attempt_completes_it(sim: Simulator, ports: Ports) -> None:
    await fence(ports, request())
    with pytest.raises(Superseded, match="nva-a is not proven lifted"):
        await lift(ports, request(at_most(1)))
    assert sorted(met(sim)) == ["Down", "None"]
    await lift(ports, request())
    assert met(sim) == ("None", "None")


async def test_no_pool_is_written_where_down_would_prove_nothing_in_one_of_them(sim: Simulator, ports: Ports) -> None:
    document = sim.world.state.resources.get(PUBLIC)
    assert document is not None
    document["properties"]["loadBalancingRules"].append(
        {
            "name": "bare",
            "properties": {
                "backendAddressPool": {"id": f"{PUBLIC}/backendAddressPools/outer"},
                "protocol": "Udp",
                "frontendPort": 53,
                "backendPort": 53,
            },
        }
    )
    with pytest.raises(Unavailable, match="nothing is written: rule bare has no probe"):
        await fence(ports, request())
    assert met(sim) == ("None", "None")


def lacking_one(**more: Any) -> BalancerWrite:
    """A fence of nva-b, by an address that the outer pool does not have."""
    other = structs.replace(NVA_A, name="nva-b", address=IPv4Address("10.0.1.5"))
    lacking = structs.replace(sandwiched().load_balancer.also_behind[0], addresses={"nva-b": IPv4Address("10.0.3.99")})  # type: ignore[union-attr]
    spec = structs.replace(sandwiched().load_balancer, also_behind=(lacking,))  # type: ignore[type-var]
    changed = structs.replace(sandwiched(), next_hop=NextHop(load_balancer=spec))
    return replace(request(), service=changed, speaker=other, **more)


async def test_a_member_that_one_pool_lacks_is_not_fenced_while_an_address_there_is_no_members(
    sim: Simulator, ports: Ports
) -> None:
    """It may be that one: the document has it wrong."""
    hidden = "nva-b is in the pool and no member"
    with pytest.raises(Unavailable, match="nothing is written: it is not in the pool, and nva-b is in the pool and no"):
        await fence(ports, lacking_one(hidden=hidden))
    assert not [logged for logged in sim.requests if logged.method == "PUT"]


async def test_a_member_that_one_pool_lacks_is_fenced_in_the_other(sim: Simulator, ports: Ports) -> None:
    proof = await fence(ports, lacking_one(settle=timedelta(seconds=1)))
    assert proof.address.endswith("/nva-b")
    assert AND not in proof.address
    assert len([logged for logged in sim.requests if logged.method == "PUT"]) == 1
