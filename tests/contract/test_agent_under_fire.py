"""The agent as a process of its own, while a neighbour floods it: who probes it is answered, and its memory stays small."""

import asyncio
import contextlib
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.unit.agent.stage import Member, fresh_address, new_signer, promote

NEIGHBOURS = ("127.66.66.66", "127.66.66.67")
PROBED = 40
MEMORY_MAX = 150 * 1024 * 1024


@pytest.fixture
def member(tmp_path: Path) -> Member:
    made = Member("nva-a", tmp_path / "nva-a", new_signer())
    made.knows(Member("nva-b", tmp_path / "nva-b", made.app, address=fresh_address()))
    (made.folder / "agent.toml").write_text(made.toml())
    return made


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program, ended if it does not end by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


@asynccontextmanager
async def serving(member: Member) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent's process, which answers the probe."""
    async with running("hopkeeper_agent.main", "run", str(member.folder / "agent.toml")) as process:
        while await probed(member, "127.0.0.1") is None:
            assert process.returncode is None
        status = (await member.send({"kind": "status"}))[1]["status"]
        assert (await member.send(promote(6, status["boot_id"])))[0] == 200
        yield process


async def probed(member: Member, source: str) -> float | None:
    """The seconds until the probe has its answer, from this address; None without one."""
    began = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(member.address, 8080, local_addr=(source, 0))
            writer.write(b"GET /probe/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            line = await reader.readline()
            writer.close()
        return time.monotonic() - began if line.startswith(b"HTTP/1.1 ") else None
    return None


async def probes(member: Member, source: str) -> list[float | None]:
    """Of a row of probes, one after the other."""
    return [await probed(member, source) for _ in range(PROBED)]


def memory(process: asyncio.subprocess.Process) -> int:
    """What it has in memory, in bytes."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def half_open(member: Member, held: ExitStack, count: int) -> None:
    """So many connections to the command port that say nothing."""
    for number in range(count):
        with contextlib.suppress(OSError):
            source = (NEIGHBOURS[number % len(NEIGHBOURS)], 0)
            held.enter_context(socket.create_connection((member.address, 8443), 5, source_address=source))


async def test_a_flood_of_connections_leaves_each_probe_of_peers_and_others_its_answer(member: Member) -> None:
    peer = member.toml().split("[[peers]]")[1].split('address = "')[1].split('"')[0]
    flood = ("tests.unit.agent.flooding", member.address, "8080", NEIGHBOURS[0], "4")
    async with serving(member) as process, running(*flood) as flooding:
        for source in (peer, "127.0.0.1"):
            took = [seconds for seconds in await probes(member, source) if seconds is not None]
            assert len(took) == PROBED
            assert median(took) < 0.1  # one of them may have met a busy machine
        assert flooding.returncode is None
        assert int((await flooding.communicate())[0]) > 4_000
        assert memory(process) < MEMORY_MAX


async def test_three_thousand_connections_that_say_nothing_cost_no_memory_and_no_command(member: Member) -> None:
    async with serving(member) as process:
        with ExitStack() as held:
            await asyncio.to_thread(half_open, member, held, 3_000)
            assert memory(process) < MEMORY_MAX
            assert None not in await probes(member, "127.0.0.1")
            assert (await member.send({"kind": "status"}))[0] == 200
