"""The app's own checks of members without an agent, against real sockets of this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.member_checks import MemberChecksFromHere
from function_app.domain.service.observation import Value
from function_app.domain.topology.model import MemberCheck, Speaker

SOON = timedelta(seconds=0.3)


async def reaches(
    port: int, kind: Any = "tcp", path: str | None = None, timeout: timedelta = timedelta(seconds=5)
) -> Value:
    check = MemberCheck(kind=kind, port=port, path=path)
    speaker = Speaker(name="fw-a", address=IPv4Address("127.0.0.1"), asn=65001, peers_with=(), watch=check)
    return await MemberChecksFromHere().reaches(speaker, timeout)


@asynccontextmanager
async def firewall(serve: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def website(**answers: Any) -> AsyncIterator[int]:
    """Each path answers so."""
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        return answers[request.path.strip("/")]

    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def free_port() -> int:
    async with firewall(lambda _, writer: writer.close()) as port:
        return port


async def test_a_connection_that_opens_is_enough_for_tcp() -> None:
    async with firewall(lambda _, writer: writer.close()) as port:
        assert await reaches(port) is Value.OK


@pytest.mark.parametrize("kind", ["tcp", "http"])
async def test_a_port_that_refuses_is_missed(kind: str) -> None:
    assert await reaches(await free_port(), kind) is Value.BAD


async def test_a_member_that_accepts_and_never_answers_is_missed_in_time() -> None:
    over = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with firewall(never) as port:
        assert await reaches(port, "http", "/up", SOON) is Value.BAD
        over.set()


@pytest.mark.parametrize(("status", "found"), [(200, Value.OK), (399, Value.OK), (400, Value.BAD), (503, Value.BAD)])
async def test_http_is_well_below_400(status: int, found: Value) -> None:
    async with website(up=web.Response(status=status)) as port:
        assert await reaches(port, "http", "/up") is found


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with website(up=web.Response(status=302, headers={"Location": "/bad"}), bad=web.Response(status=500)) as port:
        assert await reaches(port, "http", "/up") is Value.OK


async def test_what_is_no_http_is_missed() -> None:
    async with firewall(lambda _, writer: (writer.write(b"SSH-2.0-firewall\r\n"), writer.close())) as port:
        assert await reaches(port, "http", "/up") is Value.BAD


async def test_the_app_makes_no_ping_and_no_check_that_the_document_does_not_have() -> None:
    speaker = Speaker(name="fw-a", address=IPv4Address("127.0.0.1"), asn=65001, peers_with=())
    assert await MemberChecksFromHere().reaches(speaker, SOON) is Value.UNKNOWN
    ping = Speaker(name="fw-a", address=IPv4Address("127.0.0.1"), asn=65001, peers_with=(), watch=MemberCheck())
    assert await MemberChecksFromHere().reaches(ping, SOON) is Value.UNKNOWN
