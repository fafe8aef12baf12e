"""The whole stack as processes: what must hold when parts of it are gone or hang."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab import keys
from lab.acts import Stage
from lab.stack import SERVICE, TOPOLOGY, Stack

together = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with Stack.make() as stack:
        await stack.up()
        async with Stage.over(stack).watched() as made:
            yield made
        assert made.watch.both == []


async def _first_from(stage: Stage, server: str, after: float, within: float = 20.0) -> float:
    end = time.monotonic() + within
    while (found := stage.traffic.first_from(server, after)) is None:
        assert time.monotonic() < end, f"{server} did not take over"
        await asyncio.sleep(0.02)
    return found


def _other(name: str) -> str:
    return "nva-b" if name == "nva-a" else "nva-a"


@together
async def test_a_reported_failure_is_acted_on_while_a_slow_pass_hangs_in_arm(stage: Stage) -> None:
    holder = await stage.at_rest()
    await stage.stack.tell_simulator("POST", "/simulator/faults", {"arm": "hang"})
    try:
        slow = await _hanging_pass(stage)
        fault = time.time()
        stage.stack.kill_data_path(holder)
        first = await _first_from(stage, _other(holder), fault)
        assert not slow.done(), "the slow pass did not hang long enough to be beaten"
        assert first - fault < 4
    finally:
        await stage.stack.tell_simulator("POST", "/simulator/faults", {"arm": "ok"})
        stage.stack.start_data_path(holder)
    await slow
    assert await stage.at_rest() == _other(holder)


ANSWERED_WITHIN = 1.5
"""Seconds within which also a busy machine answers that another pass is running."""


async def _hanging_pass(stage: Stage) -> asyncio.Task[object]:
    """A slow pass that hangs in ARM; one that only found another one running has nothing to hang in.

    That other one may make three turns for those who ask meanwhile, and hang for eight seconds in each.
    """
    end = time.monotonic() + 40
    while time.monotonic() < end:
        slow: asyncio.Task[object] = asyncio.create_task(stage.stack.ask_app("POST", f"/reconcile/{TOPOLOGY}"))
        await asyncio.wait([slow], timeout=ANSWERED_WITHIN)
        if not slow.done():
            return slow
        await asyncio.sleep(0.3)
    raise AssertionError("no slow pass hung")


@together
async def test_a_rehearsal_of_the_standby_s_fence_passes_and_the_status_stops_warning(stage: Stage) -> None:
    holder = await stage.at_rest()
    order = f"/topologies/{TOPOLOGY}/services/{SERVICE}/rehearse"
    code, refused = await stage.stack.ask_app("POST", order, {"member": holder})
    assert code == 409, refused
    assert await _found(stage, "rehearsal")
    code, answer = await stage.stack.ask_app("POST", order, {"member": _other(holder), "by": "a test"})
    assert code == 200, answer
    assert answer["outcome"] == "accepted", answer
    assert await stage.at_rest() == holder
    end = time.monotonic() + 20
    while await _found(stage, "rehearsal"):  # a pass that began before may still write its status
        assert time.monotonic() < end, "the status still warns"
        await asyncio.sleep(0.1)
    assert not await _found(stage, "probe")
    assert not await _found(stage, "both-instances")


@together
async def test_the_status_is_text_where_text_is_preferred(stage: Stage) -> None:
    holder = await stage.at_rest()
    path = f"/status/{TOPOLOGY}"
    headers = {"x-functions-key": keys.of_path(stage.stack.keys, "GET", path), "Accept": "text/plain"}
    assert stage.stack.session is not None
    async with stage.stack.session.get(f"{stage.stack.host_url}/api{path}", headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/plain")
        lines = (await response.text()).splitlines()
    assert lines[0].startswith(f"{TOPOLOGY}: ")
    assert any(line.startswith(f"{SERVICE} (active-passive): {holder} serves since ") for line in lines)


async def _found(stage: Stage, rule: str) -> list[str]:
    """What the last slow pass's preflight says by this rule."""
    await stage.stack.ask_app("POST", f"/reconcile/{TOPOLOGY}")
    _, status = await stage.stack.ask_app("GET", f"/status/{TOPOLOGY}")
    return [finding["what"] for finding in status["lastLook"]["preflight"] if finding["rule"] == rule]


@together
async def test_a_live_check_of_an_agent_is_taken_by_the_app_and_each_of_its_mistakes_is_named(
    stage: Stage, tmp_path: Path
) -> None:
    holder = await stage.at_rest()
    written = (stage.stack.directory / _other(holder) / "agent.toml").read_text()
    assert "takes reports: 200" in await _checked(tmp_path, written)
    stranger = _replaced(written, "agent.key", stage.stack.directory / holder / "agent.key")
    stranger = _replaced(stranger, "agent.crt", stage.stack.directory / holder / "agent.crt")
    assert "the report is not authentic to the app" in await _checked(tmp_path, stranger)
    (tmp_path / "wrong").write_text("wrong")
    assert "the function key is wrong" in await _checked(tmp_path, _replaced(written, "report.key", tmp_path / "wrong"))
    assert "must end in /api/reports" in await _checked(tmp_path, written.replace("/api/reports", "/api/agents/report"))
    assert await stage.at_rest() == holder


def _replaced(text: str, file: str, path: Path) -> str:
    return re.sub(rf'"[^"]*/{re.escape(file)}"', f'"{path}"', text, count=1)


async def _checked(folder: Path, text: str) -> str:
    """What `hopkeeper-agent check --live` says of a configuration."""
    (folder / "agent.toml").write_text(text)
    command = [sys.executable, "-m", "hopkeeper_agent.main", "check", "--live", str(folder / "agent.toml")]
    ran = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await ran.communicate()
    return said.decode()


@together
async def test_without_the_app_every_nva_keeps_its_role_and_the_app_goes_on_once_it_is_back(stage: Stage) -> None:
    holder = await stage.at_rest()
    stage.stack.programs.kill("host")
    port = int(stage.stack.host_url.rsplit(":", 1)[1])
    fault = time.time()
    await asyncio.sleep(2)
    assert stage.traffic.last_from(holder, time.time()) is not None
    assert time.time() - (stage.traffic.last_from(holder, time.time()) or 0) < 0.5, "traffic must not stop with the app"
    stage.stack.kill_data_path(holder)
    broken = time.time()
    await asyncio.sleep(3)
    assert stage.traffic.first_from(_other(holder), fault) is None, "only the app may promote"
    promoted = [name for at, name, answers in stage.watch.changes if answers and at > broken]
    assert promoted == []
    await stage.stack.start_host(port=port)
    back = await _first_from(stage, _other(holder), broken, within=30)
    assert back > broken
    stage.stack.start_data_path(holder)
    assert await stage.at_rest() == _other(holder)
