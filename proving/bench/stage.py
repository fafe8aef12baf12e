"""The stack for reactions: NVAs without BGP, whose reports come here, and whose data paths and probes are ours to change."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Self

from aiohttp import web

from lab.echo import Echo
from lab.kit import azurite
from lab.kit.agent_toml import data_path, table
from lab.stack import DATA, TIMING, TOPOLOGY, Stack
from tools.processes import ToolError

WITHIN = 60.0
"""Seconds in which a report must come, a command be taken, and the service be at rest."""
MUTE = 9443
"""The command port, as the document says it, of an agent that accepts connections there and never answers."""
NO_SWEEP = "0 0 0 1 1 *"
AT_ONCE = {"spacingStep": "PT0S", "spacingMax": "PT0S", "spacingForget": "PT1S", "verifyEvery": "PT1H"}


@dataclass
class BenchStack(Stack):
    """Agents report to `reports`, so that a bench decides when a report is at the host."""

    reports: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    receiver: str = ""
    muted: str = ""
    """The NVA whose command port is MUTE in the document."""
    open: ExitStack = field(default_factory=ExitStack)
    echoes: dict[str, asyncio.DatagramTransport] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def at_rest(cls, storage: str, nvas: tuple[str, ...]) -> AsyncIterator[Self]:
        """Over `storage` (directory or azurite); the first NVA serves. Raises ToolError."""
        async with cls.make() as stack:
            stack.nvas, stack.sweep, stack.timing = nvas, NO_SWEEP, TIMING | AT_ONCE
            if storage == "azurite":
                stack.settings = {"AzureWebJobsStorage": await azurite.running(stack.programs)}
            runner = await stack._receive()
            try:
                await stack.up(with_nvas=False)
                for name in nvas:
                    await stack.repair(name)
                    stack.start_agent(name)
                await stack.serves(nvas[0])
                yield stack
            finally:
                await runner.cleanup()
                stack.open.close()

    def topology(self) -> dict[str, Any]:
        document = super().topology()
        speakers = [{**speaker, "peersWith": []} for speaker in document["speakers"]]
        for speaker in speakers:
            if speaker["name"] == self.muted:
                speaker["agent"] = {**speaker["agent"], "port": MUTE}
        services = [{**service, "failover": {"rehearse": "ordered"}} for service in document["services"]]
        return {**document, "routeServers": [], "speakers": speakers, "services": services}

    def agent_tables(self, name: str) -> tuple[str, ...]:
        reports = table("[reports]", url=f"{self.receiver}/api/reports", key_file=self.directory / "report.key")
        # Ready to take over, as a standby should be: one without a session, and without such a word, is a last resort.
        stated = table("[[speaker.announces]]", prefix="0.0.0.0/0", next_hop=self.frontend)
        path = data_path(self.nva_address(name), DATA, 0.1, 3)
        return reports, path, table("[speaker]", kind="none"), stated

    async def _receive(self) -> web.AppRunner:
        async def take(request: web.Request) -> web.Response:
            self.reports.put_nowait(await request.text())
            return web.json_response({})

        app = web.Application()
        app.router.add_post("/api/reports", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.receiver = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def mute(self, name: str) -> None:
        """From here on the app reaches of this agent only a port that accepts; its peers go on hearing it."""
        self.open.enter_context(socket.create_server((self.nva_address(name), MUTE), backlog=512))
        self.muted = name
        await asyncio.to_thread(self.apply)  # meanwhile the data paths answer, which are in this process

    async def break_path(self, name: str) -> str:
        """The agent's signed report that it is unfit."""
        self.echoes.pop(name).close()
        return await self._reported(name, "fatal")

    async def repair(self, name: str, report: bool = False) -> None:
        """Its data path works; with `report` until its agent says so."""
        where = (self.nva_address(name), DATA)
        made, _ = await asyncio.get_running_loop().create_datagram_endpoint(partial(Echo, name), where)
        self.echoes[name] = made
        self.open.callback(made.close)
        if report:
            await self._reported(name, "cleared")

    async def _reported(self, name: str, reason: str) -> str:
        async with asyncio.timeout(WITHIN):
            while True:
                report = await self.reports.get()
                payload = report.split(".")[1]
                claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
                if claims["iss"] == name and str(claims["reason"]).startswith(reason):
                    return report

    async def serves(self, holder: str) -> None:
        """The load balancer's probe finds this one alone; then slow passes until it is verified. Raises ToolError."""
        results = {self.nva_address(name): {"up": name == holder} for name in self.nvas}
        await self.tell_simulator("PUT", "/simulator/dataplane/loadBalancers/lb-nva/probes", {"results": results})
        end = time.monotonic() + WITHIN
        while True:
            _, passed = await self.ask_app("POST", f"/reconcile/{TOPOLOGY}")
            (service,) = (await self.status())["services"]
            # A topology with a member that never answers does not converge.
            rests = passed["outcome"] == "converged" or self.muted
            if rests and (service["phase"], service["holder"]) == ("stable", holder):
                return
            if time.monotonic() > end:
                raise ToolError(f"{holder} does not serve within {WITHIN:g} s: {service}, {passed}")
            await asyncio.sleep(0.05)

    async def promoted(self, name: str, after: float) -> float:
        """In ms since then (Unix time) when its agent first took a PROMOTE, by its own log. Raises ToolError."""
        log, end = self.programs.logs / f"{name}-agent.log", time.monotonic() + WITHIN
        while time.monotonic() < end:
            for line in log.read_text().splitlines():
                if '"promote"' in line and (at := _promotion(json.loads(line))) > after:
                    return (at - after) * 1000
            await asyncio.sleep(0.01)
        raise ToolError(f"{name} took no PROMOTE")


def _promotion(said: dict[str, Any]) -> float:
    taken = said.get("command") == "promote" and said["taken"]
    return datetime.fromisoformat(said["time"]).timestamp() if taken else 0.0
