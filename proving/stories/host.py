"""One host of the Function App: `UseCases` as `wiring` composes them, over documents and a queue in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from hopkeeper_agent.delivery import TIMEOUT_SECONDS

from function_app.adapters.agents.http import AgentsOverHttp
from function_app.adapters.agents.reports import ReportsOverJws
from function_app.adapters.arm.client import Azure, Cloud
from function_app.domain.base.errors import BadInput, HopkeeperError, NotAuthentic
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import Documents, Ports, WakeUps
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from function_app.settings import Settings, StorageSettings
from function_app.wiring import ports_over
from lab.kit.credential import Credential
from lab.kit.virtual import VirtualClock, virtual_loop
from proving.stories.identity import app_key_pem

WORKSPACE = "66666666-7777-8888-9999-000000000000"

type Adapt = Callable[[Ports, Azure], Ports]
"""Puts other adapters in the place of some of the app's own."""


class Queue:
    """Wake-ups, delivered when they become visible."""

    def __init__(self, deliver: Callable[[str], None]) -> None:
        """`deliver` takes the topology."""
        self._deliver = deliver

    async def send(self, topology: str, after: timedelta) -> None:
        virtual_loop().call_later(after.total_seconds(), self._deliver, topology)


@dataclass(frozen=True, slots=True)
class EndedPass:
    """A pass that is over: what woke it, and how it ended."""

    trigger: str
    outcome: Outcome


_HOST: ContextVar["Host | None"] = ContextVar("host", default=None)


class Host:
    """See the module. What an invocation starts runs in the host's context, and ends with the host."""

    def __init__(
        self,
        azure_url: str,
        app_subnet: str,
        documents: Documents,
        wake_ups: WakeUps,
        ended: Callable[[EndedPass], None],
    ) -> None:
        """`tell` gets every pass that ends."""
        self.clock = VirtualClock(virtual_loop())
        self._ended = ended
        self.azure = Azure(Cloud(Credential, azure_url))
        self.died: list[BaseException] = []
        """What invocations died of that is no error of Hopkeeper's own."""
        self.logs: list[str] = []
        settings = Settings(
            storage=StorageSettings(),
            signing_key=app_key_pem(),
            metrics_endpoint=azure_url,
            logs_endpoint=azure_url,
            logs_workspace=WORKSPACE,
            app_subnet=app_subnet,
        )
        ports = ports_over(settings, self.azure, self.clock, documents, wake_ups)
        self.app = UseCases(ports, Topologies(documents, Place()))

    def adapt(self, change: Adapt) -> None:
        self.app = replace(self.app, ports=change(self.app.ports, self.azure))

    def observe_only(self, on: bool) -> None:
        """HOPKEEPER_OBSERVE_ONLY as it is set from now on."""
        topologies = Topologies(self.app.ports.documents, Place(), observe_only=on)
        self.app = replace(self.app, topologies=topologies, observe_only=on)

    def wake(self, topology: str) -> None:
        """A wake-up is delivered."""
        self.run(lambda: self._look(topology, "wake-up"))

    async def _look(self, topology: str, trigger: str) -> None:
        try:
            self._ended(EndedPass(trigger, await self.app.look(topology, trigger)))
        except BadInput:
            return  # a topology that is gone, as the trigger takes it

    async def report(self, token: str) -> int | None:
        """What an agent posts: the trigger of reports in a few lines. The HTTP status, None where it was late.

        A pass goes on when its caller no longer waits for the answer.
        """
        try:
            report = ReportsOverJws().claimed(token)
            reason = report.verify(await self._certificate(report.topology, report.agent), self.clock.now())
        except (BadInput, NotAuthentic):
            return 401
        trigger, over = f"report of {report.agent}: {reason}", asyncio.Event()

        async def invocation() -> None:
            try:
                self._ended(EndedPass(trigger, await self.app.look_at_once(report.topology, trigger)))
            finally:
                over.set()

        self.run(invocation)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await over.wait()
        except TimeoutError:
            return None
        return 200

    async def _certificate(self, topology: str, agent: str) -> str:
        for in_force in await self.app.topologies.all_in_force():
            for speaker in in_force.topology.speakers if in_force.topology.name == topology else ():
                if speaker.name == agent and speaker.agent is not None and speaker.agent.certificate is not None:
                    return speaker.agent.certificate
        raise NotAuthentic("no certificate is enrolled")

    async def status(self, topology: str) -> Mapping[str, Any]:
        status: Mapping[str, Any] = msgspec.to_builtins(await self.app.status(topology))
        return status

    def run(self, work: Callable[[], Awaitable[object]]) -> None:
        """Starts an invocation."""
        context = copy_context()
        context.run(_HOST.set, self)
        virtual_loop().create_task(self._run(work), context=context)

    async def _run(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except HopkeeperError as error:
            self.logs.append(str(error))
        except Exception as error:
            self.died.append(error)

    async def kill(self) -> None:
        """Whatever runs here ends where it stands. A request that is on its way arrives."""
        mine = [task for task in asyncio.all_tasks() if task.get_context().get(_HOST) is self]
        for task in sorted(mine, key=_number):
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        await self.azure.close()
        if isinstance(self.app.ports.agents, AgentsOverHttp):
            await self.app.ports.agents.close()


def _number(task: asyncio.Task[Any]) -> int:
    """Tasks in the order in which they were made; asyncio keeps them in a set, whose order differs between runs."""
    return int(task.get_name().rpartition("-")[2])
