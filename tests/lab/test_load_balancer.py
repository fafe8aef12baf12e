"""The lab's load balancer: its pure rules, and packets through it over a simulator made of a few lines."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tools.load_balancer.balancing import (
    AdminState,
    Backend,
    Configuration,
    Flow,
    Probe,
    Probed,
    Protocol,
    Reason,
    decode,
    eligible,
    pick,
)
from tools.load_balancer.forwarding import FLOWS_MAX, Client, Forwarder
from tools.load_balancer.probing import probe_once

REPOSITORY = Path(__file__).parents[2]
A, B, C = (IPv4Address(f"127.0.2.{last}") for last in (11, 12, 13))
PROBE = Probe(Protocol.HTTP, 8080, "/probe/s", timedelta(seconds=5), 2)
UP, DOWN = Probed(True, Reason.SUCCESS, 9), Probed(False, Reason.TCP_TIMEOUT, 9)
WAIT_SECONDS = 15.0


def configuration(*backends: tuple[IPv4Address, AdminState], probe: Probe = PROBE) -> Configuration:
    return Configuration(tuple(Backend(ip, state) for ip, state in backends), probe)


def after(threshold: int, *results: Reason) -> Probed:
    state = Probed()
    for result in results:
        state = state.after(result, threshold)
    return state


# --- the probe's count -------------------------------------------------------------------------------------------------


def test_a_backend_is_up_only_after_as_many_successes_as_the_threshold() -> None:
    assert after(2, Reason.SUCCESS).up is None
    assert after(2, Reason.SUCCESS, Reason.SUCCESS).up is True


def test_a_backend_is_down_only_after_as_many_failures_as_the_threshold() -> None:
    up = after(2, Reason.SUCCESS, Reason.SUCCESS)
    assert up.after(Reason.HTTP_STATUS, 2).up is True
    assert up.after(Reason.HTTP_STATUS, 2).after(Reason.TCP_TIMEOUT, 2).up is False


def test_one_success_between_failures_starts_the_count_anew() -> None:
    state = after(2, *[Reason.SUCCESS] * 2, Reason.HTTP_STATUS, Reason.SUCCESS, Reason.HTTP_STATUS)
    assert state.up is True


def test_with_a_threshold_of_one_the_newest_probe_decides() -> None:
    assert after(1, Reason.SUCCESS).up is True
    assert after(1, Reason.SUCCESS, Reason.HTTP_STATUS).up is False


def test_the_reason_says_when_the_newest_probe_disagrees() -> None:
    up = after(2, *[Reason.SUCCESS] * 2)
    down = after(2, *[Reason.HTTP_STATUS] * 2)
    assert Probed().reason() is None
    assert up.reason() is Reason.SUCCESS
    assert up.after(Reason.TCP_TIMEOUT, 2).reason() is Reason.APPROACHING_UNHEALTHY
    assert down.reason() is Reason.HTTP_STATUS
    assert down.after(Reason.SUCCESS, 2).reason() is Reason.APPROACHING_HEALTHY
    assert down.after(Reason.TCP_TIMEOUT, 2).reason() is Reason.TCP_TIMEOUT


# --- eligibility and the hash ------------------------------------------------------------------------------------------


def test_without_an_admin_state_the_probe_decides() -> None:
    wanted = configuration((A, AdminState.NONE), (B, AdminState.NONE), (C, AdminState.NONE))
    assert eligible(wanted, {A: UP, B: DOWN}) == (A,)


def test_admin_down_is_never_eligible_and_admin_up_always() -> None:
    wanted = configuration((A, AdminState.DOWN), (B, AdminState.UP))
    assert eligible(wanted, {A: UP, B: DOWN}) == (B,)


def test_down_in_one_pool_is_down() -> None:
    wanted = configuration((A, AdminState.NONE), (B, AdminState.NONE), (A, AdminState.DOWN))
    assert eligible(wanted, {A: UP, B: UP}) == (B,)


def test_all_down_is_up_only_where_the_probe_says_so_and_not_for_admin_down() -> None:
    wanted = configuration((A, AdminState.NONE), (B, AdminState.DOWN))
    assert eligible(wanted, {A: DOWN, B: DOWN}) == ()
    lenient = replace(wanted, probe=replace(PROBE, all_down_is_up=True))
    assert eligible(lenient, {A: DOWN, B: DOWN}) == (A,)


def test_a_flow_keeps_its_backend_and_flows_spread() -> None:
    flows = [Flow(("127.0.0.1", port), ("127.0.2.100", 7777)) for port in range(40000, 40400)]
    first = [pick(flow, (A, B)) for flow in flows]
    assert first == [pick(flow, (A, B)) for flow in flows]
    assert 120 < first.count(A) < 280
    assert pick(flows[0], ()) is None
    assert {pick(flow, (C,)) for flow in flows} == {C}


def test_the_simulators_answer_is_understood() -> None:
    document = {
        "name": "lb",
        "version": 3,
        "frontend": "127.0.2.100",
        "pools": [
            {
                "pool": "nvas",
                "backends": [
                    {"name": "a", "ip": str(A), "admin_state": "None", "probed_up": None, "reason": None},
                    {"name": "b", "ip": str(B), "admin_state": "Down", "probed_up": True, "reason": "Up_Probe_Success"},
                ],
            }
        ],
        "rules": [],
        "probe": {
            "name": "agent",
            "protocol": "Http",
            "port": 8080,
            "requestPath": "/probe/s",
            "intervalInSeconds": 5,
            "numberOfProbes": 1,
            "probeThreshold": 2,
        },
    }
    assert decode(document) == configuration((A, AdminState.NONE), (B, AdminState.DOWN))
    assert decode(document | {"probe": None}).probe is None


# --- probes over sockets -----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def answering(reply: bytes | None) -> AsyncIterator[int]:
    """A TCP server on loopback that answers every connection so and closes it; None never answers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if reply is None:
            await reader.read()
        else:
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Reason.SUCCESS),
        (b"HTTP/1.0 200\r\n\r\n", Reason.SUCCESS),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Reason.HTTP_STATUS),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", Reason.HTTP_STATUS),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Reason.HTTP_STATUS),
        (b"", Reason.HTTP_UNREACHABLE),
        (b"SSH-2.0-OpenSSH\r\n", Reason.HTTP_UNREACHABLE),
        (b"x" * 100_000, Reason.HTTP_UNREACHABLE),
        (None, Reason.HTTP_NO_RESPONSE),
    ],
)
async def test_only_a_200_in_time_is_a_success(reply: bytes | None, reason: Reason) -> None:
    async with answering(reply) as port:
        found = await probe_once(IPv4Address("127.0.0.1"), replace(PROBE, port=port), timedelta(seconds=0.3))
    assert found is reason


async def test_a_tcp_probe_is_content_with_a_connection() -> None:
    async with answering(None) as port:
        probe = replace(PROBE, port=port, protocol=Protocol.TCP)
        assert await probe_once(IPv4Address("127.0.0.1"), probe, timedelta(seconds=2)) is Reason.SUCCESS


async def test_a_port_without_a_listener_is_a_tcp_timeout() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        probe = replace(PROBE, port=unused.getsockname()[1])
        assert await probe_once(IPv4Address("127.0.0.1"), probe, timedelta(seconds=2)) is Reason.TCP_TIMEOUT


# --- forwarding --------------------------------------------------------------------------------------------------------


@dataclass
class Choice:
    """The forwarder's choice: every new flow gets `backend`, flows stay on those in `kept`."""

    backend: IPv4Address | None
    kept: set[IPv4Address] = field(default_factory=set)
    clients: list[Client] = field(default_factory=list)

    def pick(self, client: Client) -> IPv4Address | None:
        self.clients.append(client)
        return self.backend

    def keeps(self, backend: IPv4Address) -> bool:
        return backend in self.kept


@contextlib.asynccontextmanager
async def forwarding(choice: Choice) -> AsyncIterator[tuple[Forwarder, socket.socket]]:
    """A forwarder with one echo, and a client's socket connected to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        forwarder = Forwarder(IPv4Address("127.0.2.100"), free_port(socket.SOCK_DGRAM), choice.pick, choice.keeps)
        async with program("lab.echo", "--address", str(A), "--port", str(forwarder.address[1]), "--name", "echo"):
            client.setblocking(False)
            client.connect(forwarder.address)
            yield forwarder, client
        forwarder.close()


async def test_a_flow_stays_with_its_backend_while_that_one_keeps_it() -> None:
    choice = Choice(A, {A})
    loop = asyncio.get_running_loop()
    async with forwarding(choice) as (_, client):
        for _ in range(2):
            await loop.sock_sendall(client, b"x")
            assert await loop.sock_recv(client, 100) == b"x echo"
            choice.backend = B
        assert len(choice.clients) == 1
        choice.kept.clear()
        await loop.sock_sendall(client, b"x")
        await until(lambda: len(choice.clients) == 2)


async def test_without_a_backend_a_datagram_is_dropped_and_no_flow_is_kept() -> None:
    choice = Choice(None)
    async with forwarding(choice) as (forwarder, client):
        await asyncio.get_running_loop().sock_sendall(client, b"x")
        await until(lambda: len(choice.clients) == 1)
        assert len(forwarder) == 0


async def test_the_table_of_flows_is_bounded() -> None:
    choice = Choice(A, {A})
    async with forwarding(choice) as (forwarder, _):
        with contextlib.ExitStack() as stack:
            for number in range(FLOWS_MAX + 5):
                client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                client.sendto(b"x", forwarder.address)
                if number % 32 == 0:  # no more at once than the frontend's socket can hold
                    await until(lambda: len(choice.clients) > number)  # noqa: B023 - called at once
        await until(lambda: len(choice.clients) == FLOWS_MAX + 5)
        assert len(forwarder) == FLOWS_MAX


# --- the whole thing ---------------------------------------------------------------------------------------------------


@dataclass
class FakeSimulator:
    """The control API of one load balancer called `lb`; remembers what was reported to it."""

    probe_port: int
    admin: dict[str, str]
    reports: list[dict[str, Any]] = field(default_factory=list)
    refuses: bool = False

    async def configuration(self, _request: web.Request) -> web.Response:
        if self.refuses:
            return web.Response(status=503)
        backends = [{"name": ip, "ip": ip, "admin_state": state} for ip, state in self.admin.items()]
        probe = {"protocol": "Http", "port": self.probe_port, "requestPath": "/probe/s", "intervalInSeconds": 5}
        document = {"pools": [{"pool": "p", "backends": backends}], "probe": probe | {"probeThreshold": 2}}
        return web.json_response(document)

    async def report(self, request: web.Request) -> web.Response:
        if self.refuses:
            return web.Response(status=503)
        self.reports.append((await request.json())["results"])
        return web.json_response({})

    async def reported(self, ip: IPv4Address, reason: str) -> None:
        await until(lambda: bool(self.reports) and self.reports[-1].get(str(ip), {}).get("reason") == reason)


@dataclass
class Agent:
    """Answers the probe of one backend with `status`."""

    status: int

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.status)


@dataclass
class World:
    simulator: FakeSimulator
    agents: dict[IPv4Address, Agent]
    client: socket.socket
    echoes: dict[IPv4Address, asyncio.subprocess.Process]

    async def who_answers(self) -> str | None:
        """The name in the reply to one datagram from an old flow, or None when none comes soon."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                self.client.recv(100)  # late replies
        await loop.sock_sendall(self.client, b"ping")
        try:
            async with asyncio.timeout(0.2):
                reply = await loop.sock_recv(self.client, 100)
        except TimeoutError:
            return None
        payload, _, name = reply.partition(b" ")
        assert payload == b"ping"
        return name.decode()

    async def until_answered_by(self, name: str | None) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while await self.who_answers() != name:  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.02)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():  # noqa: ASYNC110 - what another process does has no event to wait for
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A module of the lab as a process, and the address it says it is ready on."""
    command = [sys.executable, "-m", *arguments]
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode().split()
        assert ready, f"{arguments} did not start"
        assert ready[0] == "ready"
        yield process, ready[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


@contextlib.asynccontextmanager
async def served(app: web.Application, address: str, port: int) -> AsyncIterator[int]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def free_port(kind: socket.SocketKind) -> int:
    """A port that is free on every address of the loopback range at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Two echo processes behind a load balancer process that probes fifty times as often as configured."""
    data_port, probe_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    simulator = FakeSimulator(probe_port, {str(A): "None", str(B): "None"})
    agents, echoes = {A: Agent(200), B: Agent(503)}, {}
    control = web.Application()
    control.router.add_get("/simulator/dataplane/loadBalancers/lb", simulator.configuration)
    control.router.add_put("/simulator/dataplane/loadBalancers/lb/probes", simulator.report)
    async with contextlib.AsyncExitStack() as stack:
        control_port = await stack.enter_async_context(served(control, "127.0.0.1", 0))
        for ip, agent in agents.items():
            app = web.Application()
            app.router.add_get("/probe/s", agent.answer)
            await stack.enter_async_context(served(app, str(ip), probe_port))
            echo = program("lab.echo", "--address", str(ip), "--port", str(data_port), "--name", f"echo-{ip}")
            echoes[ip], _ = await stack.enter_async_context(echo)
        balancer = program(
            *("tools.load_balancer", "--simulator", f"http://127.0.0.1:{control_port}", "--name", "lb"),
            *("--frontend", "127.0.2.100", "--port", str(data_port), "--probe-scale", "50"),
        )
        _, ready = await stack.enter_async_context(balancer)
        assert ready == f"127.0.2.100:{data_port}"
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.setblocking(False)
        client.connect(("127.0.2.100", data_port))
        yield World(simulator, agents, client, echoes)


async def test_packets_go_to_the_backend_whose_probe_answers_200_and_move_with_it(world: World) -> None:
    await world.until_answered_by(f"echo-{A}")
    await world.simulator.reported(A, "Up_Probe_Success")
    await world.simulator.reported(B, "Down_Probe_HttpStatusCodeError")
    world.agents[A].status = 503
    await world.until_answered_by(None)
    world.agents[B].status = 200
    await world.until_answered_by(f"echo-{B}")
    await world.simulator.reported(A, "Down_Probe_HttpStatusCodeError")


async def test_admin_down_takes_a_backend_out_whatever_its_probe_says(world: World) -> None:
    world.agents[B].status = 200
    world.simulator.admin[str(A)] = "Down"
    await world.until_answered_by(f"echo-{B}")
    world.simulator.admin |= {str(A): "None", str(B): "Down"}
    await world.until_answered_by(f"echo-{A}")
    await world.simulator.reported(B, "Up_Probe_Success")


async def test_packets_keep_flowing_and_probes_keep_deciding_while_the_simulator_refuses(world: World) -> None:
    await world.until_answered_by(f"echo-{A}")
    world.simulator.refuses = True
    world.agents[A].status, world.agents[B].status = 503, 200
    await world.until_answered_by(f"echo-{B}")
    count = len(world.simulator.reports)
    world.simulator.refuses = False
    await until(lambda: len(world.simulator.reports) > count)


async def test_a_dead_echo_costs_its_packets_and_nothing_else(world: World) -> None:
    await world.until_answered_by(f"echo-{A}")
    world.echoes[A].kill()
    await world.until_answered_by(None)
    world.agents[A].status, world.agents[B].status = 503, 200
    await world.until_answered_by(f"echo-{B}")


async def test_the_echo_answers_datagrams_of_any_size() -> None:
    loop = asyncio.get_running_loop()
    async with program("lab.echo", "--address", "127.0.0.1", "--port", "0", "--name", "n") as (_, ready):
        address, _, port = ready.partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((address, int(port)))
            for size in (0, 1, 60_000, 65_507):
                await loop.sock_sendall(client, b"x" * size)
                async with asyncio.timeout(5):
                    reply = await loop.sock_recv(client, 65_507)
                assert reply == b"x" * min(size, 65_505) + b" n"
