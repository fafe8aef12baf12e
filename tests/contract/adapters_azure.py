"""What the tests of the Azure adapters share: a credential, adapters on the simulator, and a small ARM of fixed answers."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from function_app.adapters.arm.client import Azure, Cloud
from function_app.domain.topology.model import (
    LoadBalancer,
    Member,
    Mode,
    NextHop,
    RouteServer,
    Service,
    Speaker,
)
from function_app.reconcile.ports import BalancerWrite
from lab.kit import credential
from simulator.certificates import make_server_context
from simulator.seeds import HubSeed
from simulator.server import Simulator

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
SERVER = RouteServer(name="rs-hub", id=WANTED.route_server_id)
POLL = timedelta(milliseconds=20)


class Credential(credential.Credential):
    """Counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


@asynccontextmanager
async def azure_at(url: str, ca_path: Path | None, timeout: float = 5.0) -> AsyncIterator[Azure]:
    azure = Azure(Cloud(Credential, url, ca_file=str(ca_path) if ca_path else None, timeout=timedelta(seconds=timeout)))
    try:
        yield azure
    finally:
        await azure.close()


def operations_over(sim: Simulator) -> bool:
    return all(operation.status != "InProgress" for operation in sim.world.state.operations.values())


def service(**member: Any) -> Service:
    """The service behind the seed's load balancer; spelled with another case, as ARM does not mind."""
    where = LoadBalancer(
        id=WANTED.load_balancer_id.replace("resourceGroups", "resourcegroups"),
        frontend="FE",
        backend_pool="NVAs",
        probe="Agent",
    )
    return Service(
        name="fw",
        mode=Mode.ACTIVE_PASSIVE,
        prefixes=(ipaddress.IPv4Network("0.0.0.0/0"),),
        next_hop=NextHop(load_balancer=where),
        members=(Member(speaker="nva-a", **member), Member(speaker="nva-b")),
    )


def pool_address(name: str) -> str:
    """What a backend address of that name in the seed's pool is called in readings and proofs."""
    return f"{WANTED.load_balancer_id}/backendAddressPools/NVAs/{name}".casefold()


SPEAKERS = {
    name: Speaker(name=name, address=ipaddress.IPv4Address(address), asn=65001, peers_with=("rs-hub",))
    for name, address in WANTED.backends
}


NVA_A = SPEAKERS["nva-a"]


async def unchanged() -> bool:
    return True


def write(
    epoch: int = 7,
    *,
    recheck: Callable[[], Awaitable[bool]] = unchanged,
    settle: float = 30,
    timeout: float = 600,
) -> BalancerWrite:
    """A fence or a lift of nva-a; seconds are those of the clock that it is given."""
    return BalancerWrite(service(), NVA_A, epoch, recheck, timedelta(seconds=settle), timedelta(seconds=timeout))


class HurriedClock:
    """Wall-clock time that goes `factor` times as fast, like the simulator's."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        return self._began + (datetime.now(UTC) - self._began) * self._factor

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds() / self._factor)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the simulator has no event for every condition
            await asyncio.sleep(0.005)


type Answer = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def fake_arm(answer: Answer, directory: Path) -> AsyncIterator[Azure]:
    """An ARM of one function over TLS, and an `Azure` on it."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=make_server_context(directory)).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        async with azure_at(url, directory / "ca.pem") as azure:
            yield azure
    finally:
        await runner.cleanup()


def refusal(status: int, code: str, **headers: str) -> web.Response:
    body = {"error": {"code": code, "message": f"this is {code}"}}
    return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})
