"""The Function App of a story: `UseCases` as `wiring` composes them, over documents and a queue in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from azure.core.credentials import AccessToken
from hopkeeper_agent.delivery import TIMEOUT_SECONDS

from function_app.adapters.agents.http import AgentsOverHttp, verify_report
from function_app.adapters.agents.jws import AgentCertificate
from function_app.adapters.arm.client import Azure, Cloud
from function_app.domain.base.errors import BadInput, HopkeeperError, NotAuthentic, Superseded
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import Stored
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from function_app.settings import Settings, StorageSettings
from function_app.wiring import ports_over
from proving.stories.identity import app_key_pem
from proving.stories.virtual import VirtualClock, virtual_loop

WORKSPACE = "66666666-7777-8888-9999-000000000000"
EVENT_SECONDS = 2.0
"""From a write in Azure to its event."""
EXPIRES_ON = 4_000_000_000
"""Of a token, far away: the SDK compares it with the machine's clock, which is not the story's."""

type Listener = Callable[[str, bytes], None]


class Credential:
    """One token for every scope: the simulator believes all."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("simulated", EXPIRES_ON)

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Shelf:
    """Documents in memory. `listeners` hear of every write."""

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}
        self._writes = 0
        self.listeners: list[Listener] = []

    def read(self, key: str) -> bytes | None:
        """For whoever watches."""
        stored = self._stored.get(key)
        return stored.body if stored is not None else None

    async def load(self, key: str) -> Stored | None:
        return self._stored.get(key)

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        there = self._stored.get(key)
        if (there.etag if there else None) != etag:
            raise Superseded(f"document {key!r} changed since it was read")
        return self._write(key, body)

    async def put(self, key: str, body: bytes) -> None:
        self._write(key, body)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(key for key in self._stored if key.startswith(prefix)))

    def _write(self, key: str, body: bytes) -> str:
        self._writes += 1
        self._stored[key] = Stored(body, f"e{self._writes}")
        for listener in self.listeners:
            listener(key, body)
        return self._stored[key].etag


class Queue:
    """Wake-ups, delivered when they become visible."""

    def __init__(self, deliver: Callable[[str], None]) -> None:
        self._deliver = deliver

    async def send(self, topology: str, after: timedelta) -> None:
        virtual_loop().call_later(after.total_seconds(), self._deliver, topology)


@dataclass(frozen=True, slots=True)
class Told:
    """A pass that is over: what woke it, and how it ended."""

    trigger: str
    outcome: Outcome


class Host:
    """See the module. `tell` hears of every pass; an invocation that dies of anything unforeseen ends the story."""

    def __init__(self, azure_url: str, app_subnet: str, tell: Callable[[Told], None]) -> None:
        self.clock = VirtualClock(virtual_loop())
        self.shelf = Shelf()
        self._tell = tell
        self._azure = Azure(Cloud(Credential, azure_url))
        self._tasks: set[asyncio.Task[None]] = set()
        self.died: list[BaseException] = []
        self.logs: list[str] = []
        settings = Settings(
            storage=StorageSettings(),
            signing_key=app_key_pem(),
            metrics_endpoint=azure_url,
            logs_endpoint=azure_url,
            logs_workspace=WORKSPACE,
            app_subnet=app_subnet,
        )
        ports = ports_over(settings, self._azure, self.clock, self.shelf, Queue(self._woken))
        self.app = UseCases(ports, Topologies(self.shelf, Place()))

    def _woken(self, topology: str) -> None:
        self.run(lambda: self._look(topology, "wake-up"))

    async def _look(self, topology: str, trigger: str) -> None:
        try:
            self._tell(Told(trigger, await self.app.look(topology, trigger)))
        except BadInput:
            return  # a topology that is gone, as the trigger takes it

    async def report(self, token: str) -> int | None:
        """What an agent posts: the trigger of reports in a few lines. The HTTP status, None where it was late.

        A pass goes on when nobody waits for its answer any more.
        """
        try:
            report = verify_report(token, self._certificate_of(await self._certificates()), self.clock.now())
        except (BadInput, NotAuthentic):
            return 401
        trigger, over = f"report of {report.agent}: {report.reason}", asyncio.Event()

        async def invocation() -> None:
            try:
                self._tell(Told(trigger, await self.app.look_at_once(report.topology, trigger)))
            finally:
                over.set()

        self.run(invocation)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await over.wait()
        except TimeoutError:
            return None
        return 200

    async def _certificates(self) -> Mapping[tuple[str, str], str]:
        return {
            (in_force.topology.name, speaker.name): speaker.agent.certificate
            for in_force in await self.app.topologies.all_in_force()
            for speaker in in_force.topology.speakers
            if speaker.agent is not None and speaker.agent.certificate is not None
        }

    @staticmethod
    def _certificate_of(known: Mapping[tuple[str, str], str]) -> Callable[[str, str], AgentCertificate | None]:
        def certificate(topology: str, speaker: str) -> AgentCertificate | None:
            pem = known.get((topology, speaker))
            return AgentCertificate.from_pem(pem) if pem is not None else None

        return certificate

    def resource_event(self, change: Mapping[str, Any]) -> None:
        """A resource was written: Event Grid says so, a moment later."""
        resource = str(change["resource"]["id"])
        virtual_loop().call_later(EVENT_SECONDS, lambda: self.run(lambda: self.app.wake_for([resource])))

    async def keep_sweeping(self, every: timedelta) -> None:
        while True:
            await asyncio.sleep(every.total_seconds())
            await self.app.wake_all()

    async def status(self, topology: str) -> Mapping[str, Any]:
        status: Mapping[str, Any] = msgspec.to_builtins(await self.app.status(topology))
        return status

    def run(self, work: Callable[[], Awaitable[object]]) -> None:
        """Starts an invocation."""
        task = virtual_loop().create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except HopkeeperError as error:
            self.logs.append(str(error))
        except Exception as error:
            self.died.append(error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._azure.close()
        if isinstance(self.app.ports.agents, AgentsOverHttp):
            await self.app.ports.agents.close()
