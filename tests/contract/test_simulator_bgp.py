"""Real BGP into the simulated Route Server instances: ExaBGP speakers on loopback addresses against ExaBGP instances."""

import asyncio
import json
import os
import pwd
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.kit.credential import authorization
from simulator.bgp import BgpConfig, exabgp_command
from simulator.seeds import HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig

# A /24 of loopback that no other test uses.
NVA_A, NVA_B = "127.71.1.4", "127.71.1.5"
WANTED = HubSeed(backends=(("nva-a", NVA_A), ("nva-b", NVA_B)), instances=("127.71.0.4", "127.71.0.5"))
INSTANCES = tuple(IPv4Address(address) for address in WANTED.instances)
FRONTEND = "127.71.1.100"
HOLD_SECONDS = 9


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((WANTED.instances[0], 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[tuple[Simulator, int]]:
    port = free_port()
    config = SimulatorConfig(
        hub_seed(WANTED), state=tmp_path, time_factor=400, tls=False, bgp=BgpConfig(port, HOLD_SECONDS)
    )
    async with Simulator(config) as running:
        yield running, port


@asynccontextmanager
async def speaker(directory: Path, port: int, address: str, asn: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """An NVA that announces a default route with the load balancer's frontend as next hop to both instances."""
    config = directory / f"{address}.conf"
    config.write_text(
        "".join(
            f"neighbor {instance} {{ router-id {address}; local-address {address}; local-as {asn}; peer-as 65515; "
            f"hold-time {HOLD_SECONDS}; connect {port}; family {{ ipv4 unicast; }} "
            f"static {{ route 0.0.0.0/0 next-hop {FRONTEND} as-path [{asn} {asn}]; }} }}\n"
            for instance in WANTED.instances
        )
    )
    environment = os.environ | {
        "exabgp.daemon.drop": "false",
        "exabgp.daemon.user": pwd.getpwuid(os.getuid()).pw_name,
        "exabgp.api.cli": "false",
    }
    process = await asyncio.create_subprocess_exec(
        *exabgp_command(),
        "server",
        str(config),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def connect(session: aiohttp.ClientSession, sim: Simulator, name: str, address: str, asn: int) -> None:
    body = {"properties": {"peerIp": address, "peerAsn": asn}}
    answer = await session.put(f"{WANTED.route_server_id}/bgpConnections/{name}?api-version=2025-05-01", json=body)
    assert answer.status == 201
    await until(lambda: any(str(peer.address) == address for peer in sim.world.route_servers.peers()))


async def learned(session: aiohttp.ClientSession, name: str) -> dict[str, list[dict[str, Any]]]:
    """What the management API says was learned, by instance."""
    accepted = await session.post(
        f"{WANTED.route_server_id}/bgpConnections/{name}/learnedRoutes?api-version=2025-05-01"
    )
    async with asyncio.timeout(10):
        while True:
            answer = await session.get(accepted.headers["Location"])
            if answer.status == 200:
                break
            await asyncio.sleep(0.01)
    found: dict[str, list[dict[str, Any]]] = {}
    for role in (await answer.json()).values():
        for route in role:
            found.setdefault(route["localAddress"], []).append(route)
    return found


async def test_sessions_come_stay_and_go_with_peerings_and_speakers(sim: tuple[Simulator, int], tmp_path: Path) -> None:
    running, port = sim
    bgp = running.world.bgp

    def established(address: str) -> bool:
        return all(bgp.is_established(instance, IPv4Address(address)) for instance in INSTANCES)

    def routes(address: str) -> list[int]:
        return [len(bgp.routes(instance, IPv4Address(address))) for instance in INSTANCES]

    async with aiohttp.ClientSession(running.url, headers=authorization()) as session:
        await connect(session, running, "a", NVA_A, 65001)
        async with speaker(tmp_path, port, NVA_A, 65001) as nva_a, speaker(tmp_path, port, NVA_B, 65002):
            # The first peering in force: both instances learn its route, and the other speaker is turned away.
            await until(lambda: routes(NVA_A) == [1, 1])
            assert not bgp.sessions.get((INSTANCES[0], IPv4Address(NVA_B)))
            tables = await learned(session, "a")
            assert {
                address: [(r["network"], r["nextHop"], r["asPath"]) for r in rows] for address, rows in tables.items()
            } == {str(instance): [("0.0.0.0/0", FRONTEND, "65001-65001")] for instance in INSTANCES}
            assert {route["sourcePeer"] for rows in tables.values() for route in rows} == {NVA_A}

            # A second peering: its sessions come up and those of the first never went down.
            await connect(session, running, "b", NVA_B, 65002)
            await until(lambda: routes(NVA_B) == [1, 1])
            assert established(NVA_A)
            assert [bgp.sessions[instance, IPv4Address(NVA_A)].times_established for instance in INSTANCES] == [1, 1]
            assert not [event for event in bgp.history if event.kind == "down"]

            # A killed speaker: its routes go, the other's stay.
            os.killpg(nva_a.pid, signal.SIGKILL)
            await until(lambda: routes(NVA_A) == [0, 0])
            assert routes(NVA_B) == [1, 1]
            assert not await learned(session, "a")

            # A deleted peering: its sessions end although the speaker lives.
            await session.delete(f"{WANTED.route_server_id}/bgpConnections/b?api-version=2025-05-01")
            await until(lambda: routes(NVA_B) == [0, 0])
            assert not established(NVA_B)


async def test_one_instance_can_be_taken_away_and_given_back(sim: tuple[Simulator, int], tmp_path: Path) -> None:
    running, port = sim
    bgp = running.world.bgp
    peer = IPv4Address(NVA_A)
    away = f"/simulator/bgp/instances/{INSTANCES[0]}"
    async with aiohttp.ClientSession(running.url, headers=authorization()) as session:
        await connect(session, running, "a", NVA_A, 65001)
        async with speaker(tmp_path, port, NVA_A, 65001):
            await until(lambda: all(bgp.is_established(instance, peer) for instance in INSTANCES))
            assert (await session.post(away, json={"running": False})).status == 200
            assert [bgp.is_established(instance, peer) for instance in INSTANCES] == [False, True]
            assert (await session.post(away, json={"running": True})).status == 200
            await until(lambda: bgp.is_established(INSTANCES[0], peer))
            seen = (await (await session.get("/simulator/bgp")).json())["instances"]
    assert [(one["address"], one["running"]) for one in seen] == [(str(instance), True) for instance in INSTANCES]


def descendants(pid: int) -> list[int]:
    """Processes started by `pid`, and by those; read from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_nothing_the_simulator_started_survives_it(how: signal.Signals, tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps(hub_seed(WANTED)))
    arguments = ("-m", "simulator", "--seed", str(seed), "--state", str(tmp_path), "--http")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        "--bgp-port",
        str(free_port()),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert (await asyncio.wait_for(process.stdout.readline(), 30)).startswith(b"ready http://")
        await until(lambda: len(descendants(process.pid)) >= 4)  # two ExaBGP processes and a helper each
        started = descendants(process.pid)
        process.send_signal(how)
        await asyncio.wait_for(process.communicate(), 15)
        await until(lambda: not any(alive(pid) for pid in started), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
