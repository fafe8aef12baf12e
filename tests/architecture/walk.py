"""`python -m tests.architecture.walk DIRECTORY`: plays one report of a failed data path and prints every function called.

Two real agents and the app in one process, over TLS on loopback, with storage in DIRECTORY: nva-a serves, the address that its
self-check connects to closes, its report is posted to the trigger, and the pass moves the service to nva-b. Printed is a JSON
list of [module, qualified name], in the order in which the functions of the product were entered.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import CodeType

import azure.functions as func
import msgspec
import yaml
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from hopkeeper_agent.jws import Signer
from hopkeeper_agent.role import Role as AgentRole

from function_app import wiring
from function_app.triggers.agent_reports import on_report
from tests.builders import document, stable
from tests.unit.adapters.fake_agent import private_pem
from tests.unit.agent.stage import SERVICE, TOPOLOGY, Member, fence, fresh_address, promote, until

ROOT = Path(__file__).resolve().parents[2]
PARTS = ((ROOT / "function_app", "function_app"), (ROOT / "nva_agent" / "hopkeeper_agent", "hopkeeper_agent"))
EPOCH = 3


def topology_of(members: list[Member]) -> str:
    """The document of one service behind a load balancer, whose members are these agents on loopback."""
    doc = document(len(members), name=TOPOLOGY, networks=["127.0.0.0/8"], timing={})
    for speaker, member in zip(doc["speakers"], members, strict=True):
        speaker |= {"address": member.address, "agent": {"port": 8443, "certificate": member.certificate}}
    doc["services"][0]["name"] = SERVICE
    return yaml.safe_dump(json.loads(json.dumps(doc)))


@asynccontextmanager
async def listening(address: str, port: int, handle: Callable[[str], object]) -> AsyncIterator[asyncio.Server]:
    """A server that answers each body with what `handle` gives, awaited."""

    async def answer(request: web.BaseRequest) -> web.Response:
        response = await handle(await request.text())  # type: ignore[misc]
        return web.Response(status=response.status_code, body=response.get_body())

    server = web.Server(answer)
    listener = await asyncio.get_running_loop().create_server(server, address, port)
    try:
        yield listener
    finally:
        listener.close()
        await server.shutdown(timeout=0.1)


class Recorder:
    """The functions of the product, in the order in which they are entered while it is on."""

    def __init__(self) -> None:
        self.entered: list[tuple[str, str]] = []
        self.is_on = False
        self._names: dict[str, str | None] = {}

    def module(self, file: str) -> str | None:
        if file not in self._names:
            self._names[file] = None
            for folder, package in PARTS:
                if Path(file).is_relative_to(folder):
                    parts = (package, *Path(file).relative_to(folder).with_suffix("").parts)
                    self._names[file] = ".".join(part for part in parts if part != "__init__")
        return self._names[file]

    def note(self, code: CodeType, offset: int) -> None:
        if (module := self.module(code.co_filename)) is not None:
            self.entered.append((module, code.co_qualname))

    def start(self) -> None:
        sys.monitoring.use_tool_id(sys.monitoring.PROFILER_ID, "walk")
        sys.monitoring.register_callback(sys.monitoring.PROFILER_ID, sys.monitoring.events.PY_START, self.note)
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, sys.monitoring.events.PY_START)
        self.is_on = True

    def stop(self) -> None:
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)


async def play(directory: Path) -> list[tuple[str, str]]:
    """What was entered from the report that the data path failed until the other member serves."""
    app = Signer.from_pem(os.environ["HOPKEEPER_SIGNING_KEY"].encode())
    holder, other = (Member(name, directory / name, app) for name in ("nva-a", "nva-b"))
    beyond, trigger = fresh_address(), fresh_address()
    holder.extra = (
        f'[[checks]]\nname = "data-path"\nkind = "tcp"\naddress = "{beyond}"\nport = 7\nfatal = true\n'
        f'period_seconds = 0.1\nfall = 1\n[reports]\nurl = "http://{trigger}:8000/api/reports"\n'
    )
    recorder = Recorder()

    async def post(token: str) -> func.HttpResponse:
        if not recorder.is_on:  # what agents report as they start begins no pass, which might still be commanding later
            return func.HttpResponse(status_code=200)
        request = func.HttpRequest(method="POST", url="/api/reports", body=token.encode())
        response: func.HttpResponse = await on_report.build().get_user_function()(request)
        return response

    async with AsyncExitStack() as stack:
        data_path = await stack.enter_async_context(listening(beyond, 7, post))
        await stack.enter_async_context(listening(trigger, 8000, post))
        topologies, documents = wiring.use_cases().topologies, wiring.use_cases().ports.documents
        await topologies.apply(topology_of([holder, other]))
        record = msgspec.structs.replace(stable("nva-a", EPOCH), service=SERVICE)
        await documents.save(f"records/{TOPOLOGY}/{SERVICE}.json", msgspec.json.encode(record), None)
        serving, standing_by = [await stack.enter_async_context(member.running()) for member in (holder, other)]
        await holder.send(promote(EPOCH, serving.duties.boot_id))
        await other.send(fence(EPOCH))
        recorder.start()
        data_path.close()
        await until(lambda: standing_by.duties.states[SERVICE].role is AgentRole.SERVING, 30.0)
        recorder.stop()
    await wiring.close()
    return recorder.entered


def main() -> None:
    directory = Path(sys.argv[1])
    os.environ |= {
        "AzureWebJobsStorage": f"directory:{directory / 'storage'}",
        "HOPKEEPER_SIGNING_KEY": private_pem(ec.generate_private_key(ec.SECP256R1())),
        "HOPKEEPER_ALLOW_LOOPBACK": "true",
    }
    json.dump(asyncio.run(play(directory)), sys.stdout)


if __name__ == "__main__":
    main()
