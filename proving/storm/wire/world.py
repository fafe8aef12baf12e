"""One world on the wire: the simulated Azure, the NVAs, the ways between, and the hosts that look after them."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from function_app.adapters.agents.reports import ReportsOverJws
from function_app.domain.base.errors import HopkeeperError
from function_app.domain.service.record import Operation, Phase, Record
from function_app.domain.topology.model import Topology
from function_app.reconcile.store.records import Records
from function_app.reconcile.use_cases import UseCases
from proving.storm.faults import Plan
from proving.storm.wire.checks import Checks
from proving.storm.wire.hosts import Adapters, Host
from proving.storm.wire.nva import Nva
from proving.storm.wire.place import GOSSIP, GOSSIP_WAY, SERVICE, TIME_FACTOR, TOPOLOGY, Deployment
from proving.storm.wire.prober import keep_probing
from proving.storm.wire.ways import GossipWays
from simulator.server import Simulator, SimulatorConfig

FIRST_EPOCH = 3
POOL = "nvas"


class World:
    """See the module. `async with World.running(plan, ...)`."""

    def __init__(self, plan: Plan, directory: Path, adapters: Adapters, trace: bool) -> None:
        self.plan = plan
        self.place = Deployment.make(directory, plan.members)
        self.story: list[str] | None = [] if trace else None
        self.draw = random.Random(f"wire world {plan.seed}")  # noqa: S311  # histories are drawn, not secret
        self.azure = Simulator(
            SimulatorConfig(
                seed=self.place.azure(with_peerings=plan.begins == "stable"),
                state=directory / "azure",
                time_factor=TIME_FACTOR,
            )
        )
        self._adapters = adapters
        self.checks = Checks(self)
        self.gossip = GossipWays(GOSSIP_WAY, GOSSIP)
        self.nvas = {name: Nva(self, name) for name in self.place.names}
        self.hosts: list[Host] = []
        self.reports_url = ""
        self.hosts_stay_down = False
        self._certificates = {name: self.place.certificate(name) for name in self.nvas}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, plan: Plan, directory: Path, adapters: Adapters, trace: bool) -> AsyncIterator["World"]:
        """Everything is up, the topology in force, and nothing has gone wrong yet."""
        async with AsyncExitStack() as stack:
            world = await asyncio.to_thread(cls, plan, directory, adapters, trace)
            await stack.enter_async_context(world.azure)
            await world._open(stack)
            yield world

    async def _open(self, stack: AsyncExitStack) -> None:
        connector = aiohttp.TCPConnector(ssl=False)
        self._session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        await self._listen_to_reports(stack)
        stack.callback(self.gossip.close)
        await self.gossip.open(tuple(str(nva.address) for nva in self.nvas.values()))
        stack.push_async_callback(self._close_nvas)
        for nva in self.nvas.values():
            await nva.open()
        stack.push_async_callback(self.kill_hosts)
        await self._begin()
        await asyncio.gather(*(nva.start() for nva in self.nvas.values()))
        tasks = [asyncio.create_task(keep_probing(self, name)) for name in self.nvas]
        tasks.append(asyncio.create_task(self._sweep()))
        stack.push_async_callback(_end, tasks)

    async def _close_nvas(self) -> None:
        await asyncio.gather(*(nva.end() for nva in self.nvas.values()))
        await asyncio.gather(*(nva.close() for nva in self.nvas.values()))

    async def _begin(self) -> None:
        """The topology is in force; in a stable beginning the first member serves and all know it."""
        for _ in range(self.plan.hosts):
            self.add_host()
        host = self.hosts[0]
        await host.azure.network(self.place.seed.subscription)  # the SDK's import belongs to nobody's patience
        await host.app.topologies.apply(self.place.document)
        if self.plan.begins == "stable":
            holder, now = self.place.names[0], datetime.now(UTC)
            for name, nva in self.nvas.items():
                nva.remember(FIRST_EPOCH, serving=name == holder)
            operation = Operation(
                id=f"{SERVICE}-{FIRST_EPOCH}", kind="adopt", reason="", started=now, deadline=now + timedelta(seconds=6)
            )
            record = Record(
                service=SERVICE,
                epoch=FIRST_EPOCH,
                phase=Phase.STABLE,
                target=holder,
                may_serve=frozenset({holder}),
                operation=operation,
            )
            await Records(host.app.ports.documents).save(self.topology, record, None)

    @property
    def topology(self) -> Topology:
        return self.place.topology

    def say(self, text: str, *values: object) -> None:
        """A line of the history, if it is kept."""
        if self.story is not None:
            self.story.append(f"{self.checks.now():7.3f}  {text % values if values else text}")

    # --- Azure

    @property
    def balancer(self) -> Any:
        """ARM's document of the load balancer, as it is now."""
        return self.azure.world.state.resources.get(self.place.seed.load_balancer_id)

    def states(self, document: Any) -> Mapping[str, str]:
        """adminState by member in such a document; an address that is nobody's counts by itself."""
        pool = next(p for p in document["properties"]["backendAddressPools"] if p["name"] == POOL)
        facts = [address["properties"] for address in pool["properties"]["loadBalancerBackendAddresses"]]
        return {
            self.place.name_of(one["ipAddress"]) or one["ipAddress"]: one.get("adminState") or "None" for one in facts
        }

    async def tell_azure(self, **faults: object) -> None:
        """Changes the simulator's faults, as anybody would: over its own interface."""
        if self._session is None:
            raise RuntimeError("the world is not running")
        async with self._session.post(f"{self.azure.url}/simulator/faults", json=faults) as answer:
            answer.raise_for_status()

    # --- hosts

    def add_host(self) -> None:
        self.hosts.append(Host(self, self._adapters))

    async def kill_host(self) -> None:
        """One dies, and another one takes its place at once."""
        if self.hosts:
            host = self.draw.choice(self.hosts)
            self.hosts.remove(host)
            await host.kill()
            self.say("a host died")
            if not self.hosts_stay_down:
                self.add_host()

    async def kill_hosts(self) -> None:
        """All die and stay away."""
        self.hosts_stay_down = True
        while self.hosts:
            await self.kill_host()

    def revive_hosts(self) -> None:
        self.hosts_stay_down = False
        while len(self.hosts) < self.plan.hosts:
            self.add_host()

    def wake(self) -> None:
        """A wake-up is delivered to one of the hosts; with none alive it is lost, and the sweep makes up for it."""
        if self.hosts:
            self.draw.choice(self.hosts).run(_look)

    async def _sweep(self) -> None:
        while True:
            self.wake()
            await asyncio.sleep(self.topology.timing.sweep.total_seconds())

    async def _listen_to_reports(self, stack: AsyncExitStack) -> None:
        server = web.Server(self._take_report, access_log=None)
        stack.push_async_callback(server.shutdown, 0.1)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        stack.callback(listener.close)
        self.reports_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/reports"

    async def _take_report(self, request: web.BaseRequest) -> web.Response:
        try:
            report = ReportsOverJws().claimed(await request.text())
            reason = report.verify(self._certificates.get(report.agent, ""), _now())
        except HopkeeperError as error:
            self.say("a report is not taken: %s", error)
            return web.Response(status=401)
        self.say("%s reports: %s", report.agent, reason)
        if not self.hosts:
            return web.Response(status=503)
        self.draw.choice(self.hosts).run(_look_at_once)
        return web.Response(status=202)


async def _look(app: UseCases) -> None:
    await app.look(TOPOLOGY, "wake-up")


async def _look_at_once(app: UseCases) -> None:
    await app.look_at_once(TOPOLOGY, "report")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def _now() -> datetime:
    return datetime.now(UTC)
