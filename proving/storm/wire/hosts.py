"""Function hosts: the app as `wiring` composes it, over adapters of its own. A host can be killed in the middle of passes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AccessToken

from function_app.adapters.agents.http import AgentsOverHttp
from function_app.adapters.agents.jws import AppKey
from function_app.adapters.arm.client import Azure, Cloud
from function_app.adapters.arm.effective_routes import EffectiveRoutesOverArm
from function_app.adapters.arm.learned_routes import AdvertisedRoutesOverArm, LearnedRoutesOverArm
from function_app.adapters.arm.load_balancer import AdminStatesOverArm, LoadBalancersOverArm, Pace
from function_app.adapters.arm.network_flags import NetworkFlagsOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.adapters.arm.scale_sets import ScaleSetsOverArm
from function_app.adapters.clock import SystemClock
from function_app.adapters.events.out import EventsUnpublished
from function_app.adapters.monitor.logs import HealthLogsUnread
from function_app.adapters.monitor.metrics import MetricsUnread
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.domain.base.errors import HopkeeperError
from function_app.domain.topology.laws import Place
from function_app.reconcile.ports import AdminStates, Agents, Clock, Documents, Ports
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from proving.storm.ports import Silent

if TYPE_CHECKING:
    from proving.storm.wire.world import World

CALL_TIMEOUT = timedelta(seconds=1)
PACE = Pace(ask=timedelta(seconds=2), write=timedelta(seconds=3), poll=timedelta(milliseconds=50))


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters that decide on safety, as a host makes them; a test puts one that lies in their place."""

    agents: Callable[[AppKey, Clock], Agents] = AgentsOverHttp
    admin_states: Callable[[Azure, Pace], AdminStates] = AdminStatesOverArm
    documents: Callable[[Any], Documents] = DocumentsInDirectory


class Credential:
    """One token for every scope: the simulator believes all."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("simulated", int(time.time()) + 3600)

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None: ...


class WakeUps:
    """The queue: in memory, delivered to any host that lives."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def send(self, topology: str, after: timedelta) -> None:
        asyncio.get_running_loop().call_later(after.total_seconds(), self._world.wake)


_HOST: ContextVar["Host | None"] = ContextVar("host", default=None)


class Host:
    """One process of the Function App: what it started runs in its context, and dies with it."""

    def __init__(self, world: "World", adapters: Adapters) -> None:
        self._world = world
        azure = world.azure
        ca_file = str(azure.ca_path) if azure.ca_path else None
        self.azure = Azure(Cloud(Credential, azure.url, ca_file=ca_file, timeout=CALL_TIMEOUT))
        clock = SystemClock()
        self._agents = adapters.agents(world.place.key, clock)
        documents = adapters.documents(world.place.storage)
        ports = Ports(
            clock=clock,
            documents=documents,
            wake_ups=WakeUps(world),
            agents=self._agents,
            reports=Silent(),
            load_balancers=LoadBalancersOverArm(self.azure, PACE.poll),
            admin_states=adapters.admin_states(self.azure, PACE),
            route_servers=RouteServersOverArm(self.azure),
            scale_sets=ScaleSetsOverArm(self.azure),
            learned_routes=LearnedRoutesOverArm(self.azure),
            advertised_routes=AdvertisedRoutesOverArm(self.azure),
            effective_routes=EffectiveRoutesOverArm(self.azure),
            network_flags=NetworkFlagsOverArm(self.azure),
            surroundings=Silent(),
            metrics=MetricsUnread(),
            health_logs=HealthLogsUnread(),
            events_out=EventsUnpublished(),
        )
        self.app = UseCases(ports, Topologies(documents, Place(allow_loopback=True)))
        self.alive = True

    def run(self, work: Callable[[UseCases], Awaitable[object]]) -> None:
        """Starts an invocation; what it fails with is not the caller's business."""
        context = copy_context()
        context.run(_HOST.set, self)
        asyncio.get_running_loop().create_task(self._run(work), context=context)

    async def _run(self, work: Callable[[UseCases], Awaitable[object]]) -> None:
        try:
            await work(self.app)
        except HopkeeperError as error:
            self._world.say("an invocation failed: %s", error)
        except Exception as error:
            self._world.checks.broken("crash", f"an invocation died of {error!r}")

    async def kill(self) -> None:
        """Whatever runs here ends where it stands. What is on its way (a request, a write of a document) arrives."""
        self.alive = False
        mine = [task for task in asyncio.all_tasks() if task.get_context().get(_HOST) is self]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        await self.azure.close()
        if isinstance(self._agents, AgentsOverHttp):
            await self._agents.close()
