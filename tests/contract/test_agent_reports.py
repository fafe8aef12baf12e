"""Reports of a real agent to a small app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.unit.agent.stage import Member, fresh_address, new_signer, until

PORTAL = 200  # what answers is not the app


class TinyApp:
    """Takes reports; answers with what is in `statuses`, the last one for ever."""

    def __init__(self, member: Member, statuses: list[int]) -> None:
        self.member = member
        self.statuses = statuses
        self.reports: list[dict[str, Any]] = []
        self.headers: list[tuple[str | None, str | None]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.reports.append(self.member.verified(await request.text(), "hopkeeper-report"))
        self.headers.append((request.headers.get("x-functions-key"), request.headers.get("Content-Type")))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == PORTAL:
            return web.Response(text="<html>sign in to this network</html>", content_type="text/html")
        return web.json_response({"outcome": "converged"} if status < 300 else {}, status=status)

    def reasons(self) -> list[str]:
        return [report["reason"] for report in self.reports]


@asynccontextmanager
async def reporting_to(member: Member, statuses: list[int]) -> AsyncIterator[TinyApp]:
    app = TinyApp(member, statuses)
    served = web.Application()
    served.router.add_post("/report", app.handle)
    runner = web.AppRunner(served, access_log=None)
    await runner.setup()
    address = fresh_address()
    await web.TCPSite(runner, address, 7071).start()
    (member.folder / "report.key").write_text("function-key\n")
    member.extra += f'\n[reports]\nurl = "http://{address}:7071/report"\nkey_file = "{member.folder}/report.key"\n'
    try:
        yield app
    finally:
        await runner.cleanup()


async def test_a_start_is_reported_until_it_is_acknowledged(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    async with reporting_to(member, [503, 429, PORTAL, 202]) as app, member.running() as agent:
        await until(lambda: len(app.reports) == 4)
        assert app.reasons() == ["start-up"] * 4
        assert len({report["jti"] for report in app.reports}) == 4
        assert app.headers[0] == ("function-key", "application/jose")
        assert app.reports[0]["status"]["boot_id"] == agent.duties.boot_id


async def test_a_fatal_check_is_reported_when_it_appears_and_when_it_clears(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    flag = tmp_path / "healthy"
    flag.touch()
    member.extra = f"""
[[checks]]
name = "data-path"
kind = "command"
argv = ["test", "-e", "{flag}"]
fatal = true
period_seconds = 0.05
rise = 2
"""
    async with reporting_to(member, [202]) as app, member.running():
        await until(lambda: "start-up" in app.reasons())
        flag.unlink()
        await until(lambda: app.reasons()[-1] == "fatal: data-path: exit code 1 for 3 checks")
        assert app.reports[-1]["status"]["fatal"] == ["data-path: exit code 1 for 3 checks"]
        flag.touch()
        await until(lambda: app.reasons()[-1].startswith("cleared: data-path"))
        assert app.reports[-1]["status"]["fatal"] == []


async def test_a_failed_peer_is_reported_and_so_is_its_return(tmp_path: Path) -> None:
    app_key = new_signer()
    a, b = (Member(name, tmp_path / name, app_key) for name in ("nva-a", "nva-b"))
    a.knows(b)
    b.knows(a)
    async with reporting_to(a, [202]) as app, a.running():
        await until(lambda: app.reasons()[-1:] == ["peer failed: nva-b"])
        async with b.running():
            await until(lambda: app.reasons()[-1] == "peer returned: nva-b")
        await until(lambda: app.reasons()[-1] == "peer failed: nva-b")
        assert app.reports[-1]["status"]["peers"]["nva-b"]["gossip"] == "bad"


async def test_a_watched_member_without_an_agent_is_reported_like_a_peer(tmp_path: Path) -> None:
    member = Member("watch-1", tmp_path / "watch-1", new_signer(), role="witness")
    address = fresh_address()
    member.extra = f"""
[[watch]]
name = "fw-a"
kind = "tcp"
address = "{address}"
port = 443
period_seconds = 0.05
rise = 2
"""
    async with reporting_to(member, [202]) as app, member.running() as agent:
        await until(lambda: app.reasons()[-1:] == ["peer failed: fw-a"])
        async with await asyncio.start_server(lambda _, writer: writer.close(), address, 443):
            await until(lambda: app.reasons()[-1] == "peer returned: fw-a")
            seen = agent.status()["peers"]["fw-a"]
            assert (seen["gossip"], seen["probe"]) == ("ok", "ok")
            assert seen["age_seconds"] < 1
        await until(lambda: app.reasons()[-1] == "peer failed: fw-a")
        reported = app.reports[-1]["status"]["peers"]["fw-a"]
        assert (reported["gossip"], reported["probe"]) == ("bad", "bad")
        assert reported["age_seconds"] > 0.1
