"""The HTTP server around the world: connections, TLS, faults of the connection, the log of requests, and time passing.

Which path speaks which wire format is decided here; the formats are in their own modules.
"""

import asyncio
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from aiohttp import web

from simulator import arm, identity, monitor, page
from simulator.alerts import iso
from simulator.bgp import BgpConfig, BgpSpeakers
from simulator.certificates import make_server_context
from simulator.clock import Clock, Pace, SystemClock
from simulator.control import REQUESTS_MAX, Control, Logged
from simulator.deliveries import Courier
from simulator.event_grid import EventGrid
from simulator.faults import ServiceFault
from simulator.resources import Json
from simulator.state import ArmError
from simulator.webhooks import AlertWebhooks
from simulator.wire import JSON_TYPE, NO_BODY, Reply, Request, common_headers, decoded, error_reply
from simulator.world import World

BODY_MAX = 8 << 20
IDLE_SECONDS = 1.0  # how often time is looked at when nothing is due

BATCH = re.compile(r"/subscriptions/[^/]+/metrics:getBatch", re.IGNORECASE)
LOGS = re.compile(r"/v1/.+/query", re.IGNORECASE)
LOGS_BATCH = re.compile(r"/v1/\$batch", re.IGNORECASE)
TOPIC = re.compile(r"/topics/([^/]+)/api/events", re.IGNORECASE)
OPENID = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration", re.IGNORECASE)
TOKEN = re.compile(r"/[^/]+/oauth2/v2\.0/token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """`state` is where certificates and BGP's files go; without it a temporary directory is made and removed."""

    seed: Json
    port: int = 0
    state: Path | None = None
    time_factor: float = 1.0
    tls: bool = True
    bgp: BgpConfig | None = None
    event_subscribers: tuple[str, ...] = ()
    alert_webhooks: tuple[str, ...] = ()
    clock: Clock = field(default_factory=SystemClock)


class Simulator:
    """A running simulator: `async with Simulator(config) as sim`, then `sim.url`, `sim.directory`, `sim.ca_path`, `sim.world`."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self.world = World(config.clock, config.seed, Pace(config.time_factor))
        self._courier = Courier(self.world.state.pace)
        self.event_grid = EventGrid(self.world, self._courier, config.event_subscribers)
        self.webhooks = AlertWebhooks(self.world, self._courier, config.alert_webhooks)
        self.bgp: BgpSpeakers | None = None
        self.requests: deque[Logged] = deque(maxlen=REQUESTS_MAX)
        self.url = ""
        self.directory = Path()
        self.ca_path: Path | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._faults_changed = asyncio.Condition()
        self._control: Control | None = None
        self._answered = 0

    async def __aenter__(self) -> "Simulator":
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        if self._config.state is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="simulator-", ignore_cleanup_errors=True)
        directory = self._config.state or Path(self._temporary.name if self._temporary else ".")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        await self._courier.open()
        if self._config.bgp is not None:
            self.bgp = BgpSpeakers(self.world, self._config.bgp, directory / "bgp")
            await self.bgp.start()
        self._control = Control(
            self.world, self.event_grid, self.webhooks, self.bgp, self._announce_faults, self.requests
        )
        await self._listen(directory)
        self.world.state.agenda.watch(self._wake.set)
        self._ticker = asyncio.create_task(self._pass_time())
        self.event_grid.start()
        self.webhooks.start()

    async def _listen(self, directory: Path) -> None:
        context = make_server_context(directory) if self._config.tls else None
        if context is not None:
            self.ca_path = directory / "ca.pem"
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._config.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            where = f"127.0.0.1:{self._config.port}"
            words = f"{where} cannot be used: {error.strerror}; without a port a free one is taken"
            raise OSError(words) from error
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"

    async def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await self._courier.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self.bgp is not None:
            await self.bgp.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _pass_time(self) -> None:
        """Let things happen when they are due, without waiting for a request to ask."""
        while True:
            self._settle()
            self._wake.clear()
            due = self.world.state.agenda.next_due()
            wait = IDLE_SECONDS if due is None else (due - self._config.clock.now()).total_seconds()
            try:
                await asyncio.wait_for(self._wake.wait(), min(max(wait, 0.001), IDLE_SECONDS))
            except TimeoutError:
                continue

    def _settle(self) -> None:
        self.world.settle()
        if self.bgp is not None:
            self.bgp.look()

    def _announce_faults(self) -> None:
        async def announce() -> None:
            async with self._faults_changed:
                self._faults_changed.notify_all()

        self._courier.spawn(announce())

    async def _handle(self, received: web.Request) -> web.StreamResponse:
        request = Request(
            received.method,
            received.path,
            decoded(received.query),
            {name.lower(): value for name, value in received.headers.items()},
            await received.read(),
            f"{received.scheme}://{received.host}",
        )
        started = time.monotonic()
        self._settle()
        if request.method == "GET" and request.path == "/":
            raise web.HTTPFound(page.PATHS[-1])
        if request.method == "GET" and request.path in page.PATHS and self._control is not None:
            return page.answer(self._control, request.query.get("refresh"))
        if request.path.startswith("/simulator/") and self._control is not None:
            reply = await self._control.answer(request)
            self._settle()
            return _rendered(reply)
        reply = await self._answer(request)
        self._settle()
        self._answered += 1
        seconds = round(time.monotonic() - started, 6)
        stamp = iso(self.world.now)
        entry = Logged(
            self._answered, stamp, request.method, request.path, received.query_string, reply.status, seconds
        )
        self.requests.append(entry)
        if self._loses_reply(request) and received.transport is not None:
            received.transport.abort()
        return _rendered(reply)

    async def _answer(self, request: Request) -> Reply:
        topic = TOPIC.fullmatch(request.path)
        if topic is not None and request.method == "POST":
            return self.event_grid.accept(topic.group(1), request)
        if request.path == "/msi/token":
            return identity.managed_identity(request, self.world.now)
        if request.path == "/metadata/endpoints":
            return identity.endpoints(request)
        tenant = OPENID.fullmatch(request.path)
        if tenant is not None:
            return identity.openid_configuration(request, tenant.group(1))
        if TOKEN.fullmatch(request.path) and request.method == "POST":
            return identity.token_endpoint(request, self.world.now)
        if _is_monitor(request):
            act = next(act for form, act in MONITORS if form.fullmatch(request.path))
            return await self._guarded(request, lambda: _monitored(self.world, request, act))
        return await self._guarded(request, lambda: arm.answer(self.world, request))

    async def _guarded(self, request: Request, act: Callable[[], Reply]) -> Reply:
        """`act`, unless a fault of the service has something against it."""
        faults = self.world.state.faults
        match self._fault_of(request):
            case ServiceFault.REFUSE:
                return self._refusal(ArmError(503, "ServiceUnavailable", "The service is unavailable."))
            case ServiceFault.THROTTLE:
                message = "The request is being throttled. Try again later."
                return self._refusal(ArmError(429, "TooManyRequests", message, retry_after=faults.arm_retry_after))
            case ServiceFault.HANG:
                async with self._faults_changed:
                    await self._faults_changed.wait_for(lambda: self._fault_of(request) is not ServiceFault.HANG)
                self._settle()
                return await self._guarded(request, act)
            case ServiceFault.OK | ServiceFault.LOSE_REPLY:
                return act()

    def _fault_of(self, request: Request) -> ServiceFault:
        faults = self.world.state.faults
        return faults.monitor if _is_monitor(request) else faults.arm

    def _loses_reply(self, request: Request) -> bool:
        service = _is_monitor(request) or request.path.lower().startswith("/subscriptions")
        return service and self._fault_of(request) is ServiceFault.LOSE_REPLY

    def _refusal(self, error: ArmError) -> Reply:
        reply = error_reply(error)
        reply.headers |= common_headers(self.world.state, self.world.state.new_id())
        return reply


MONITORS: tuple[tuple[re.Pattern[str], Callable[[World, Request], Reply]], ...] = (
    (BATCH, monitor.batch),
    (LOGS_BATCH, monitor.query_logs_batch),
    (LOGS, monitor.query_logs),
)


def _is_monitor(request: Request) -> bool:
    return request.method == "POST" and any(form.fullmatch(request.path) for form, _ in MONITORS)


def _monitored(world: World, request: Request, act: Callable[[World, Request], Reply]) -> Reply:
    try:
        identity.check(request, world.now)
        return act(world, request)
    except ArmError as error:
        return error_reply(error)


def _rendered(reply: Reply) -> web.Response:
    if reply.body is not NO_BODY:
        reply.headers.setdefault("Content-Type", JSON_TYPE)
    return web.Response(status=reply.status, body=reply.content(), headers=reply.headers)
