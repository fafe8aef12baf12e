"""What stories stand on: a loop whose time jumps, a network in memory, and a seed that follows from a topology."""

import asyncio
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from lab.kit.network import Way
from lab.kit.virtual import Asleep, VirtualLoop, virtual_loop
from proving.stories.seed import Seed, Seeding
from proving.stories.stage import EXAMPLES, decoded, enrolled


def run(story: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


async def _served(host: str, port: int) -> web.Server:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"{request.method} {request.path} {len(await request.read())}")

    server = web.Server(handler)
    await virtual_loop().create_server(server, host, port)
    return server


def test_an_hour_passes_at_once_and_in_order() -> None:
    async def story() -> list[float]:
        times: list[float] = []

        async def after(seconds: float) -> None:
            await asyncio.sleep(seconds)
            times.append(round(virtual_loop().time(), 6))

        await asyncio.gather(after(3600), after(0.5), after(60))
        return times

    assert run(story()) == [0.5, 60.0, 3600.0]


def test_a_loop_in_which_nothing_will_ever_happen_says_so() -> None:
    async def story() -> None:
        await asyncio.get_running_loop().create_future()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(story())
        with pytest.raises(Asleep):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)


def test_http_passes_through_memory_whole_and_in_order() -> None:
    async def story() -> list[str]:
        server = await _served("10.0.0.1", 80)
        async with aiohttp.ClientSession() as session:
            answers = []
            for size in (0, 10, 300_000):
                async with session.post("http://10.0.0.1/a", data=b"x" * size) as response:
                    answers.append(await response.text())
        await server.shutdown(timeout=1.0)
        return answers

    assert run(story()) == ["POST /a 0", "POST /a 10", "POST /a 300000"]


def test_where_nothing_listens_a_connection_is_refused() -> None:
    async def story() -> None:
        async with aiohttp.ClientSession() as session:
            await session.get("http://10.0.0.1/a")

    with pytest.raises(aiohttp.ClientConnectorError):
        run(story())


def test_a_silent_host_is_waited_for_until_the_callers_time_is_over() -> None:
    async def story() -> float:
        server = await _served("10.0.0.1", 80)
        virtual_loop().network.turn("10.0.0.1", Way.MUTE)
        began = virtual_loop().time()
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(7.0):
                    await session.get("http://10.0.0.1/a")
        await server.shutdown(timeout=1.0)
        return virtual_loop().time() - began

    assert run(story()) == pytest.approx(7.0)


def test_a_host_that_falls_silent_in_the_middle_answers_nothing_more() -> None:
    async def story() -> None:
        server = await _served("10.0.0.1", 80)
        async with aiohttp.ClientSession() as session:
            async with session.get("http://10.0.0.1/a") as response:
                assert response.status == 200
            virtual_loop().network.turn("10.0.0.1", Way.MUTE)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(7.0):
                    await session.get("http://10.0.0.1/a")
        await server.shutdown(timeout=1.0)

    run(story())


def test_a_seed_holds_what_the_topology_names_and_no_peerings_yet() -> None:
    topology = decoded(enrolled(yaml.safe_load((EXAMPLES / "active-passive.yaml").read_text())))
    resources = {item["id"]: item for item in Seed(topology).document()["resources"]}
    (balancer,) = (item for name, item in resources.items() if name.endswith("/loadBalancers/ilb-nva"))
    pool = balancer["properties"]["backendAddressPools"][0]["properties"]["loadBalancerBackendAddresses"]
    assert [address["properties"]["ipAddress"] for address in pool] == ["10.0.1.4", "10.0.1.5"]
    assert balancer["properties"]["probes"][0]["name"] == "hopkeeper"
    server = resources[topology.route_servers[0].id]
    assert server["properties"]["virtualRouterIps"] == ["10.0.255.253", "10.0.255.254"]
    assert not any("bgpConnections" in name for name in resources)


def test_a_seed_takes_the_instances_that_a_story_wants() -> None:
    topology = decoded(enrolled(yaml.safe_load((EXAMPLES / "active-passive.yaml").read_text())))
    seed = Seed(topology, Seeding(instances={"rs-hub": ("10.0.0.4", "10.0.0.5")}, by_address=True))
    document = seed.document()
    assert document["resources"][0]["properties"]["virtualRouterIps"] == ["10.0.0.4", "10.0.0.5"]
    pools = [item["properties"].get("backendAddressPools") for item in document["resources"]]
    (pool,) = (pool for pool in pools if pool)
    facts = pool[0]["properties"]["loadBalancerBackendAddresses"][0]["properties"]
    assert "virtualNetwork" in facts
    assert "networkInterfaceIPConfiguration" not in facts
