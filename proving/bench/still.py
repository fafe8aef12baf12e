"""An app in this process over real storage. In place of Azure, Route Servers that answer at once; the queue is in memory.

Its topologies have speakers whose announcements are verified, and no service: agents have no part in it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from itertools import batched
from pathlib import Path
from typing import Any

import yaml

from function_app import settings, wiring
from function_app.domain.base.errors import Unavailable
from function_app.domain.peerings.model import Peering, Provisioning, RouteServerReading
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import RouteServer
from function_app.domain.topology.peering_names import peering_name
from function_app.reconcile.ports import Documents, Ports
from function_app.reconcile.store import keys
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from lab.kit import azurite
from proving.storm.ports import Silent
from tools.processes import Programs

INSTANCES = (IPv4Address("10.0.0.4"), IPv4Address("10.0.0.5"))
NETWORK = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/{}/providers/Microsoft.Network"
ARM_SECONDS = 0.02
AT_ONCE, PUT_TRIES = 16, 5
"""What is prepared: writes under way, and how often one is tried that a busy machine answers too late."""
SILENT = ("agents", "load_balancers", "admin_states", "surroundings", "metrics", "health_logs")


class CountedDocuments:
    """Hands every call on, and counts it by what it is."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.calls[name] += 1
        found: Callable[..., Any] = getattr(self._documents, name)
        return found


class Queue(asyncio.Queue[str]):
    """Wake-ups that are visible at once; those for later are left out."""

    async def send(self, topology: str, after: timedelta) -> None:
        if not after:
            self.put_nowait(topology)


@dataclass
class Azure:
    """RouteServers of `speakers` peers that announce so many `prefixes` each. A slow pass makes one of `reads`."""

    speakers: int = 2
    prefixes: int = 1
    reads: int = 0

    def document(self, name: str, remark: str = "") -> bytes:
        """A topology as an operator writes it."""
        speakers = [
            {"name": f"s-{i}", "address": str(_address(i)), "asn": 65001 + i, "peersWith": ["rs"]}
            | {"announces": [str(network) for network in self.announced(i)]}
            for i in range(self.speakers)
        ]
        servers = [{"name": "rs", "id": f"{NETWORK.format(name)}/virtualHubs/rs"}]
        written = {"schema": "hopkeeper/v1", "name": name, "networks": ["10.0.0.0/16"]}
        text = yaml.safe_dump({**written, "routeServers": servers, "speakers": speakers}, sort_keys=False)
        return f"{text}# {remark}\n".encode()

    def announced(self, speaker: int) -> Iterator[IPv4Network]:
        return (IPv4Network(f"{20 + speaker}.{k // 256}.{k % 256}.0/24") for k in range(self.prefixes))

    async def read(self, server: RouteServer) -> RouteServerReading:
        self.reads += 1
        await asyncio.sleep(ARM_SECONDS)
        names = (peering_name(server.id.split("/")[4], f"s-{i}") for i in range(self.speakers))
        peerings = (Peering(n, _address(i), 65001 + i, Provisioning.SUCCEEDED) for i, n in enumerate(names))
        return RouteServerReading(INSTANCES, tuple(peerings))


@dataclass
class Rows:
    """LearnedRoutes: what each peer announces; with `others` AdvertisedRoutes: to each peer what all the others do."""

    azure: Azure
    others: bool = False

    async def ask(self, server: RouteServer, peering: str) -> str:
        return peering

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...]:
        mine = int(token.rpartition("s-")[2].partition(".")[0])
        return tuple(
            LearnedRoute(instance, network, instance if self.others else _address(i), self._path(i))
            for instance in INSTANCES
            for i in range(self.azure.speakers)
            if (i != mine) is self.others
            for network in self.azure.announced(i)
        )

    def _path(self, speaker: int) -> tuple[int, ...]:
        return (*((65515,) if self.others else ()), 65001 + speaker)


def _address(speaker: int) -> IPv4Address:
    return IPv4Address("10.0.1.4") + speaker


@dataclass
class App:
    ports: Ports
    azure: Azure
    calls: Counter[str]
    due: Queue

    def fresh(self) -> UseCases:
        """Nothing that an earlier one kept in memory."""
        return UseCases(self.ports, Topologies(self.ports.documents, Place()))

    async def store(self, names: Iterable[str], remark: str = "") -> None:
        """Puts topologies in force, as `apply` does; `remark` makes the texts others than before."""
        for name in names:
            body = self.azure.document(name, remark)
            await self.fill([(keys.topology(name), body), (keys.last_good(name), body)])

    async def fill(self, documents: Iterable[tuple[str, bytes]]) -> None:
        for some in batched(documents, AT_ONCE, strict=False):
            await asyncio.gather(*(self._put(key, body) for key, body in some))

    async def _put(self, key: str, body: bytes) -> None:
        for tries_left in reversed(range(PUT_TRIES)):
            try:
                return await self.ports.documents.put(key, body)
            except Unavailable:
                if not tries_left:
                    raise
        return None


@asynccontextmanager
async def still_app(directory: str, storage: str, azure: Azure | None = None) -> AsyncIterator[App]:
    """Over `storage`: directory or azurite."""
    azure, queue, programs = azure or Azure(), Queue(), Programs(Path(directory), f"bench-{Path(directory).name}")
    connection = f"directory:{directory}/documents"
    if storage == "azurite":
        connection = await azurite.running(programs)
    product = wiring.build(settings.from_environment({"AzureWebJobsStorage": connection}, signs=False)).ports
    documents = CountedDocuments(product.documents)
    others: dict[str, Any] = {
        "route_servers": azure,
        "learned_routes": Rows(azure),
        "advertised_routes": Rows(azure, True),
    }
    others |= dict.fromkeys(SILENT, Silent()) | {"documents": documents, "wake_ups": queue}
    try:
        yield App(replace(product, **others), azure, documents.calls, queue)
    finally:
        await closed(product)
        await asyncio.to_thread(programs.end_all)


async def closed(ports: Ports) -> None:
    """Ends the connections of whatever has some."""
    for part in (ports.agents, ports.documents, ports.wake_ups):
        if (close := getattr(part, "close", None)) is not None:
            await close()
