"""What the app makes of agents that do not answer as they must: over real TLS on loopback, always a reading."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.agents.http import REPLY_SIZE_MAX, AgentsOverHttp
from function_app.adapters.clock import SystemClock
from function_app.domain.service.observation import AgentStatus, Role, Unreachable
from function_app.domain.service.steps import SendFence, SendPromote
from function_app.reconcile.ports import AgentCommand
from tests.unit.adapters.fake_agent import (
    BOOT,
    FakeAgent,
    Identity,
    SetClock,
    app_key,
    speaker,
    status_object,
)

TIMEOUT = timedelta(seconds=5)
SHORT = timedelta(seconds=0.2)


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Identity("nva-a")


@pytest.fixture
def agent(identity: Identity) -> FakeAgent:
    return FakeAgent(identity)


@pytest.fixture
async def agents() -> AsyncIterator[AgentsOverHttp]:
    over_http = AgentsOverHttp(app_key(), SystemClock())
    yield over_http
    await over_http.close()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that is bound and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def reason(agents: AgentsOverHttp, agent: FakeAgent, timeout: timedelta = TIMEOUT) -> str:
    """Why the agent's status cannot be had; fails if it can."""
    async with agent.listening() as at:
        reading = await agents.status("hub", at, timeout)
    assert isinstance(reading, Unreachable), reading
    return reading.reason


async def test_status_is_read(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async with agent.listening() as at:
        reading = await agents.status("hub", at, TIMEOUT)

    assert isinstance(reading, AgentStatus)
    assert (reading.services["fw"].role, reading.boot_id) == (Role.SERVING, BOOT)
    (command,) = agent.commands
    assert command["command"] == {"kind": "status"}
    assert (command["iss"], command["sub"], command["aud"]) == ("hopkeeper", "hub", "nva-a")
    assert command["exp"] == command["iat"] + 30


async def test_one_connection_is_kept_for_the_next_question(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async with agent.listening() as at:
        for _ in range(5):
            assert isinstance(await agents.status("hub", at, TIMEOUT), AgentStatus)

    assert len(agent.connections) == 1
    assert len({command["jti"] for command in agent.commands}) == 5


async def test_connection_that_died_while_kept_is_replaced(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        agent.respond = None
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with agent.listening() as at:
        agent.respond = hang_up
        assert isinstance(await agents.status("hub", at, TIMEOUT), AgentStatus)


async def test_agent_that_always_hangs_up_is_unreachable(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    agent.respond = hang_up

    assert await reason(agents, agent) == "the connection broke"
    assert len(agent.commands) == 2


async def test_signed_refusal_is_an_answer(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    agent.accepted = False
    async with agent.listening() as at:
        answer = await agents.command("hub", at, "fw", SendPromote("nva-a", 2, BOOT), TIMEOUT)

    assert isinstance(answer.reading, AgentStatus)
    assert answer.refused == "epoch 2 seq 0 is lower than epoch 3 seq 0, already accepted"


async def test_accepted_command_gives_the_status_after_it(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async with agent.listening() as at:
        answer = await agents.command("hub", at, "fw", SendPromote("nva-a", 3, BOOT), TIMEOUT)

    assert isinstance(answer.reading, AgentStatus)
    assert answer.refused is None
    assert agent.commands[0]["command"]["boot_id"] == BOOT


async def test_a_port_without_a_listener_is_unreachable(
    agents: AgentsOverHttp, identity: Identity, deaf_port: int
) -> None:
    reading = await agents.status("hub", speaker(deaf_port, identity.certificate), TIMEOUT)

    assert reading == Unreachable("the connection was refused")


async def test_agent_that_accepts_and_says_nothing_is_unreachable_in_time(
    agents: AgentsOverHttp, identity: Identity
) -> None:
    """A frozen machine: its kernel still completes the connection, no process answers the handshake."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        started = loop.time()
        reading = await agents.status("hub", speaker(frozen.getsockname()[1], identity.certificate), SHORT)

    assert reading == Unreachable("no answer within 0.2 s")
    assert loop.time() - started < 2


async def test_agent_that_hangs_in_its_answer_is_unreachable_in_time(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    released = asyncio.Event()

    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"ey")
        await released.wait()
        return response

    agent.respond = drip
    async with agent.listening() as at:
        reading = await agents.status("hub", at, SHORT)
        released.set()

    assert reading == Unreachable("no answer within 0.2 s")


async def test_speaker_without_agent_or_certificate_is_unreachable(agents: AgentsOverHttp, deaf_port: int) -> None:
    bare = speaker(deaf_port, None)
    agentless = type(bare)(name="nva-a", address=bare.address, asn=65001, peers_with=())

    assert await agents.status("hub", bare, TIMEOUT) == Unreachable("no certificate is enrolled for it")
    assert await agents.status("hub", agentless, TIMEOUT) == Unreachable("no agent is configured for it")


async def test_unreadable_certificate_is_unreachable(agents: AgentsOverHttp, deaf_port: int) -> None:
    reading = await agents.status("hub", speaker(deaf_port, "-----BEGIN NONSENSE-----"), TIMEOUT)

    assert isinstance(reading, Unreachable)
    assert reading.reason == "its enrolled certificate cannot be used: certificate: is not a PEM certificate"


async def test_another_certificate_than_the_enrolled_one_is_unreachable(
    agents: AgentsOverHttp, agent: FakeAgent
) -> None:
    """And it never gets to see a command."""
    async with agent.listening(tls=Identity("nva-a").server_tls()) as at:
        reading = await agents.status("hub", at, TIMEOUT)

    assert reading == Unreachable("its TLS certificate is not the enrolled one")
    assert agent.commands == []


async def test_tls_older_than_1_2_is_unreachable(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    old = agent.identity.server_tls()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with agent.listening(tls=old) as at:
        reading = await agents.status("hub", at, TIMEOUT)

    assert isinstance(reading, Unreachable)
    assert agent.commands == []


async def test_port_without_tls_is_unreachable(agents: AgentsOverHttp, identity: Identity) -> None:
    async def plain_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(plain_http, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reading = await agents.status("hub", speaker(port, identity.certificate), TIMEOUT)

    assert isinstance(reading, Unreachable)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "nva-b"}, "not authentic: wrong iss"),
        ({"aud": "nva-a"}, "not authentic: wrong aud"),
        ({"sub": "elsewhere"}, "not authentic: wrong sub"),
        ({"in_reply_to": "0" * 32}, "not authentic: it answers another message"),
        ({"exp": None}, "not authentic: claims are missing or malformed"),
        ({"status": {"agent": "nva-a"}}, "malformed: $: Object missing required field"),
        ({"status": status_object("nva-b")}, "malformed: $.status: is not the status of the agent that signed it"),
        ({"accepted": 1}, "malformed: $.accepted"),
    ],
)
async def test_answer_that_is_not_as_it_must_be_is_unreachable(
    agents: AgentsOverHttp, agent: FakeAgent, claims: dict[str, Any], expected: str
) -> None:
    agent.claims = claims

    assert (await reason(agents, agent)).startswith(f"its answer is {expected}")


async def test_answer_signed_by_another_agent_is_unreachable(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    agent.signer = Identity("nva-b")

    assert await reason(agents, agent) == "its answer is not authentic: the signature does not hold"


async def test_report_in_place_of_a_reply_is_unreachable(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    agent.headers = {"typ": "hopkeeper-report"}

    assert "wrong header" in await reason(agents, agent)


async def test_answer_to_an_earlier_question_is_unreachable(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    recorded: list[web.Response] = []

    async def replay(request: web.BaseRequest) -> web.StreamResponse:
        recorded.append(agent.reply())
        return web.Response(text=recorded[0].text)

    agent.respond = replay
    async with agent.listening() as at:
        first = await agents.status("hub", at, TIMEOUT)
        second = await agents.status("hub", at, TIMEOUT)

    assert isinstance(first, AgentStatus)
    assert second == Unreachable("its answer is not authentic: it answers another message")


async def test_refused_status_is_unreachable(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    agent.accepted = False

    assert (await reason(agents, agent)).startswith("it refused to report its status: epoch 2")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, '{"error": "expired"}', "its answer is HTTP 401: expired"),
        (400, '{"error": "jti: not a text\\nforged"}', "its answer is HTTP 400: jti: not a text forged"),
        (413, "too large", "its answer is HTTP 413"),
        (500, "", "its answer is HTTP 500"),
        (503, "[" * 10_000, "its answer is HTTP 503"),
        (200, "", "its answer is not authentic: the signature does not hold"),
        (200, "ünïcode", "its answer is not authentic: not a token of at most 256 KiB"),
    ],
)
async def test_unsigned_answer_is_unreachable(
    agents: AgentsOverHttp, agent: FakeAgent, status: int, body: str, expected: str
) -> None:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    agent.respond = respond

    assert await reason(agents, agent) == expected


async def test_redirect_is_not_followed(agents: AgentsOverHttp, agent: FakeAgent, identity: Identity) -> None:
    elsewhere = FakeAgent(identity)
    async with elsewhere.listening() as there:
        assert there.agent is not None
        url = f"https://127.0.0.1:{there.agent.port}/v1/command"

        async def redirect(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": url})

        agent.respond = redirect
        assert await reason(agents, agent) == "its answer is HTTP 307"

    assert elsewhere.commands == []


async def test_endless_answer_is_cut(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"x" * 65536)
            await asyncio.sleep(0)
        return response

    agent.respond = respond

    assert await reason(agents, agent) == f"its answer is larger than {REPLY_SIZE_MAX // 1024} KiB"


async def test_compressed_answer_is_not_unpacked(agents: AgentsOverHttp, agent: FakeAgent) -> None:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(body=b"\0" * 50_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    agent.respond = respond

    assert (await reason(agents, agent)).startswith("its answer is not authentic")


@pytest.mark.parametrize("skew", [timedelta(minutes=10), timedelta(minutes=-10)])
@pytest.mark.parametrize("command", [SendFence("nva-a", 3), SendPromote("nva-a", 3, BOOT)])
async def test_the_answer_to_a_command_is_believed_whatever_the_clocks_say(
    agent: FakeAgent, skew: timedelta, command: AgentCommand
) -> None:
    """That it names the command proves that it is fresh."""
    agents = AgentsOverHttp(app_key(), SetClock(datetime.now(UTC) + skew))
    async with agent.listening() as at:
        answer = await agents.command("hub", at, "fw", command, TIMEOUT)
    await agents.close()

    assert isinstance(answer.reading, AgentStatus)
    assert answer.refused is None


async def test_agent_that_hangs_holds_up_no_other(agents: AgentsOverHttp, agent: FakeAgent, identity: Identity) -> None:
    released = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    hanging = FakeAgent(identity, respond=hang)
    async with hanging.listening() as stuck, agent.listening() as well:
        # More than aiohttp's own limit of connections.
        waiting = [asyncio.ensure_future(agents.status("hub", stuck, TIMEOUT)) for _ in range(110)]
        reading = await agents.status("hub", well, TIMEOUT)
        still_waiting = sum(not task.done() for task in waiting)
        released.set()
        await asyncio.gather(*waiting)

    assert isinstance(reading, AgentStatus)
    assert still_waiting == 110


async def test_adapter_may_be_closed_unused_and_twice(agent: FakeAgent) -> None:
    agents = AgentsOverHttp(app_key(), SystemClock())
    await agents.close()
    async with agent.listening() as at:
        assert isinstance(await agents.status("hub", at, TIMEOUT), AgentStatus)
        await agents.close()
        assert isinstance(await agents.status("hub", at, TIMEOUT), AgentStatus)
    await agents.close()
    await agents.close()
