"""The command endpoint and the probe of a real agent, over real TLS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.jws import Signer
from hopkeeper_agent.main import END_SECONDS

from tests.unit.agent.stage import COMMAND_TYPE, Member, claims, fence, new_signer, promote, public_pem
from tests.unit.agent.test_tokens import FORGERIES

STATUS = {"kind": "status"}


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member("nva-a", tmp_path / "nva-a", new_signer())


@pytest.fixture
async def agent(member: Member) -> AsyncIterator[Agent]:
    async with member.running() as agent:
        yield agent


async def test_a_promoted_agent_answers_and_a_fenced_one_does_not(member: Member, agent: Agent) -> None:
    assert await member.probe() == 503
    status, reply = await member.send(promote(6, agent.duties.boot_id))
    assert (status, reply["accepted"], reply["status"]["services"]["egress-firewall"]["answering"]) == (200, True, True)
    assert (await member.probe(), await member.probe(""), await member.probe("other")) == (200, 200, 503)
    status, reply = await member.send(fence(7))
    assert (status, reply["status"]["services"]["egress-firewall"]["role"]) == (200, "standby")
    assert (await member.probe(), await member.probe("")) == (503, 503)


async def test_a_reply_names_its_command_agent_and_topology(member: Member, agent: Agent) -> None:
    _, reply = await member.send(STATUS, jti="the-command")
    assert (reply["in_reply_to"], reply["iss"], reply["aud"], reply["sub"]) == (
        "the-command",
        "nva-a",
        "hopkeeper",
        "hub-uksouth",
    )
    assert reply["status"]["boot_id"] == agent.duties.boot_id


async def test_a_rolled_back_turn_and_an_opposite_effect_are_refused_with_a_signature(
    member: Member, agent: Agent
) -> None:
    boot = agent.duties.boot_id
    await member.send(promote(6, boot, 2))
    for command in (fence(6, 2), fence(6, 1), fence(5, 9), promote(6, boot, 1)):
        status, reply = await member.send(command)
        assert (status, reply["accepted"]) == (409, False)
        assert reply["reason"]
    assert await member.probe() == 200


async def test_a_replayed_command_has_the_same_effect_or_none(member: Member, agent: Agent) -> None:
    granted = member.app.sign(COMMAND_TYPE, claims(promote(6, agent.duties.boot_id)))
    assert [(await member.post(granted))[0] for _ in range(2)] == [200, 200]
    await member.send(fence(7))
    assert (await member.post(granted))[0] == 409
    assert await member.probe() == 503


async def test_a_restarted_agent_resumes_its_role_under_a_new_boot(member: Member) -> None:
    async with member.running() as agent:
        first = agent.duties.boot_id
        await member.send(promote(6, first))
    async with member.running() as agent:
        assert await member.probe() == 200
        status, reply = await member.send(promote(7, first))
        assert (status, reply["reason"]) == (409, "this agent restarted since it was looked at")
        assert agent.duties.boot_id != first


async def test_a_moved_disk_stands_by_and_stays_so(member: Member) -> None:
    async with member.running() as agent:
        await member.send(promote(6, agent.duties.boot_id))
    member.machine = "machine-2"
    for _ in range(2):
        async with member.running():
            assert await member.probe() == 503
            _, reply = await member.send(STATUS)
            assert reply["status"]["services"]["egress-firewall"]["epoch"] == 6


async def test_a_rolled_back_disk_stands_by(member: Member, tmp_path: Path) -> None:
    member.witness = tmp_path / "witness"
    async with member.running() as agent:
        await member.send(promote(6, agent.duties.boot_id))
        member.back_up(tmp_path / "snapshot")
        await member.send(fence(7))
    shutil.rmtree(member.folder / "state")
    (tmp_path / "snapshot").rename(member.folder / "state")
    async with member.running():
        assert await member.probe() == 503


async def test_a_state_directory_that_cannot_be_written_acknowledges_no_fence(member: Member, agent: Agent) -> None:
    await member.send(promote(6, agent.duties.boot_id))
    shutil.rmtree(member.folder / "state")
    status, reply = await member.send(fence(7))
    assert (status, reply["reason"]) == (409, "state cannot be made durable")
    assert reply["status"]["services"]["egress-firewall"]["durable"] is False
    assert await member.probe() == 503
    (member.folder / "state").mkdir()
    status, reply = await member.send(fence(7))
    assert (status, reply["status"]["services"]["egress-firewall"]["durable"]) == (200, True)


async def test_forged_commands_get_401_and_change_nothing(member: Member, agent: Agent) -> None:
    await member.send(promote(6, agent.duties.boot_id))
    before = (member.folder / "state" / "state.json").read_bytes()
    for name, forge in FORGERIES.items():
        status, body = await member.post(forge())
        assert (status, set(json.loads(body))) == (401, {"error"}), name
    assert (member.folder / "state" / "state.json").read_bytes() == before
    assert await member.probe() == 200


@pytest.mark.parametrize(
    "override",
    [{"aud": "nva-b"}, {"iss": "nva-a"}, {"sub": "other"}],
    ids=str,
)
async def test_a_command_of_ours_that_is_not_for_here_gets_401(
    member: Member, agent: Agent, override: dict[str, Any]
) -> None:
    token = member.app.sign(COMMAND_TYPE, claims(promote(6, agent.duties.boot_id), **override))
    assert (await member.post(token))[0] == 401
    assert not agent.duties.states


async def test_a_retired_key_gets_401_and_its_successor_200(member: Member, agent: Agent) -> None:
    successor = new_signer()
    (member.folder / "app.pub").write_text(public_pem(successor) + public_pem(member.app))
    assert (await member.send(STATUS))[0] == 200
    (member.folder / "app.pub").write_text(public_pem(successor))
    assert (await member.post(member.app.sign(COMMAND_TYPE, claims(STATUS))))[0] == 401
    assert (await member.post(successor.sign(COMMAND_TYPE, claims(STATUS))))[0] == 200


async def test_the_agents_own_signature_is_no_command(member: Member, agent: Agent) -> None:
    own = Signer.from_pem((member.folder / "agent.key").read_bytes())
    assert (await member.post(own.sign(COMMAND_TYPE, claims(promote(6, agent.duties.boot_id)))))[0] == 401


async def test_an_expired_fence_is_obeyed(member: Member, agent: Agent) -> None:
    await member.send(promote(6, agent.duties.boot_id))
    assert (await member.send(fence(7), iat=time.time() - 900, exp=time.time() - 870))[0] == 200
    assert await member.probe() == 503


async def test_a_malformed_command_gets_400(member: Member, agent: Agent) -> None:
    token = member.app.sign(COMMAND_TYPE, claims({"kind": "fence", "service": "a\nb", "epoch": 1, "seq": 1}))
    assert await member.post(token) == (400, json.dumps({"error": "command.service: not a name"}))
    assert not agent.duties.states


async def test_a_body_above_64_kib_gets_413_declared_or_chunked(member: Member, agent: Agent) -> None:
    assert (await member.post(b"x" * (64 * 1024 + 1)))[0] == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    context = _trust(member)
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"https://{member.address}:8443/v1/command", data=endless(), ssl=context) as response,
    ):
        assert response.status == 413


async def test_an_encoded_body_is_not_unpacked(member: Member, agent: Agent) -> None:
    assert (await member.post(b"\x1f\x8b", **{"Content-Encoding": "gzip"}))[0] == 415


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/command", 405), ("POST", "/v1/other", 404)])
async def test_only_one_address_takes_commands(
    member: Member, agent: Agent, method: str, path: str, status: int
) -> None:
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, f"https://{member.address}:8443{path}", ssl=_trust(member)) as response,
    ):
        assert response.status == status


POSTED = b"POST /v1/command HTTP/1.1\r\nHost: a\r\n"
NO_REQUESTS = {
    "two lengths": POSTED + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "a length that is none": POSTED + b"Content-Length: 0x4\r\n\r\nabcd",
    "a long header": POSTED + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": POSTED + b"X: x\r\n" * 20_000 + b"\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no text": bytes(range(256)) * 16,
    "an expectation": POSTED + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
    "another protocol afterwards": POSTED + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 4\r\n\r\nabcd",
    "a request to a proxy": b"POST http://169.254.169.254/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
async def test_http_that_is_no_command_gets_an_error_or_no_answer_and_changes_nothing(
    member: Member, agent: Agent, sent: bytes
) -> None:
    await member.send(promote(6, agent.duties.boot_id))
    reader, writer = await asyncio.open_connection(member.address, 8443, ssl=_trust(member), server_hostname="")
    with contextlib.suppress(ConnectionError):
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(5):
            answer = await reader.readline()
        assert re.match(rb"$|HTTP/1\.[01] [14]", answer)
    writer.transport.abort()
    assert await member.probe() == 200
    assert (await member.send(fence(7)))[0] == 200


async def test_slow_and_half_open_connections_leave_the_probe_answering_in_100_ms(member: Member, agent: Agent) -> None:
    await member.send(promote(6, agent.duties.boot_id))
    with ExitStack() as held:
        await asyncio.to_thread(_crowd, member.address, ["127.9.9.8", "127.9.9.9"], held)
        took = []
        for _ in range(9):
            began = time.monotonic()
            assert await member.probe() == 200
            took.append(time.monotonic() - began)
        assert median(took) < 0.1  # one of them may have met a busy machine
        assert (await member.send(fence(7)))[0] == 200


def _crowd(address: str, sources: list[str], held: ExitStack) -> None:
    for number in range(600):
        there, here = (address, (8443, 8080)[number % 2]), (sources[number % len(sources)], 0)
        # Half say nothing, the others begin: a TLS record on the command port, a request line on the probe's. Most are refused.
        with contextlib.suppress(ConnectionError):
            connection = held.enter_context(socket.create_connection(there, 5, source_address=here))
            connection.sendall((b"", b"", b"\x16\x03\x01\x02\x00", b"GET /probe/egress")[number % 4])


async def test_a_body_that_dribbles_does_not_hold_up_other_commands(member: Member, agent: Agent) -> None:
    reader, writer = await asyncio.open_connection(member.address, 8443, ssl=_trust(member), server_hostname="")
    writer.write(b"POST /v1/command HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
    await writer.drain()
    async with asyncio.timeout(1):
        assert (await member.send(STATUS))[0] == 200
    writer.transport.abort()
    assert reader is not None


def _trust(member: Member) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=member.certificate)
    context.check_hostname = False
    return context


async def answers(member: Member) -> bool:
    with contextlib.suppress(aiohttp.ClientError, OSError):
        return await member.probe() in (200, 503)
    return False


async def test_an_agent_ends_in_time_though_its_disk_hangs(tmp_path: Path) -> None:
    """Its state file's successor is a pipe that nothing reads from: opening it waits for ever."""
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    configuration = member.folder / "agent.toml"
    configuration.write_text(member.toml())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hopkeeper_agent.main", "run", str(configuration), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(30):
            while not await answers(member):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        os.mkfifo(member.folder / "state" / "state.new")
        fencing = asyncio.create_task(member.send(fence(1)))
        async with asyncio.timeout(30):
            while not (await member.send(STATUS))[1]["status"]["services"]:
                assert process.returncode is None
                await asyncio.sleep(0.05)
        assert not fencing.done()
        began = time.monotonic()
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()
        assert time.monotonic() - began < END_SECONDS + 2
        await asyncio.gather(fencing, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
