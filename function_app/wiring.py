"""The composition root: the only module that names adapters. Nothing connects here; clients are made at first use."""

import logging
from functools import cache, partial

from function_app import settings as environment
from function_app.adapters.agents.http import AgentsOverHttp, AgentsUnsigned
from function_app.adapters.agents.jws import AppKey
from function_app.adapters.agents.reports import ReportsOverJws
from function_app.adapters.app_over_http import AppOverHttp, AzLogin, FunctionKey
from function_app.adapters.arm.client import Azure, Closable, Cloud, default_credential, managed_identity
from function_app.adapters.arm.effective_routes import EffectiveRoutesOverArm
from function_app.adapters.arm.landscape import LandscapeOverArm
from function_app.adapters.arm.learned_routes import AdvertisedRoutesOverArm, LearnedRoutesOverArm
from function_app.adapters.arm.load_balancer import AdminStatesOverArm, LoadBalancersOverArm
from function_app.adapters.arm.network_flags import NetworkFlagsOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.adapters.arm.scale_sets import ScaleSetsOverArm
from function_app.adapters.arm.surroundings import SurroundingsOverArm
from function_app.adapters.clock import SystemClock
from function_app.adapters.events.out import EventsOverEventGrid, EventsUnpublished
from function_app.adapters.member_checks import MemberChecksFromHere
from function_app.adapters.monitor.logs import HealthLogsOverLogAnalytics, HealthLogsUnread
from function_app.adapters.monitor.metrics import MetricsOverMonitor, MetricsUnread
from function_app.adapters.running_app import ask_app
from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.adapters.storage.queue import WakeUpsInDirectory, WakeUpsOverQueue
from function_app.adapters.telemetry.otlp import Collector, TelemetryOverOtlp, TelemetryUnsent
from function_app.domain.base.errors import BadInput
from function_app.domain.topology.laws import Place
from function_app.reconcile.deployed import DeployedApp
from function_app.reconcile.inventory import Sources
from function_app.reconcile.ports import Clock, Documents, Ports, Telemetry, WakeUps
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from function_app.settings import Otlp, Settings, SignIn

log = logging.getLogger("hopkeeper.telemetry")

CONTAINER = "hopkeeper"
WAKE_UP_QUEUE = "hopkeeper-wakeups"


def build(settings: Settings) -> UseCases:
    """Hopkeeper as these settings want it. Raises BadInput for a signing key that cannot be used."""
    clock = SystemClock()
    documents, wake_ups = _storage(settings, clock)
    ports = ports_over(settings, _azure(settings), clock, documents, wake_ups)
    topologies = Topologies(documents, Place(allow_loopback=settings.allow_loopback), settings.observe_only)
    return UseCases(ports, topologies, settings.observe_only)


def ports_over(settings: Settings, azure: Azure, clock: Clock, documents: Documents, wake_ups: WakeUps) -> Ports:
    """Every adapter over one Azure, one clock and one storage. Raises BadInput for a signing key that cannot be used."""
    return Ports(
        clock=clock,
        documents=documents,
        wake_ups=wake_ups,
        agents=AgentsOverHttp(AppKey.from_pem(settings.signing_key), clock)
        if settings.signing_key
        else AgentsUnsigned(),
        member_checks=MemberChecksFromHere(),
        reports=ReportsOverJws(),
        load_balancers=LoadBalancersOverArm(azure),
        admin_states=AdminStatesOverArm(azure),
        route_servers=RouteServersOverArm(azure),
        scale_sets=ScaleSetsOverArm(azure),
        learned_routes=LearnedRoutesOverArm(azure),
        advertised_routes=AdvertisedRoutesOverArm(azure),
        effective_routes=EffectiveRoutesOverArm(azure),
        network_flags=NetworkFlagsOverArm(azure),
        surroundings=SurroundingsOverArm(azure, settings.app_subnet),
        metrics=MetricsOverMonitor(azure, settings.metrics_endpoint, clock)
        if settings.metrics_endpoint
        else MetricsUnread(),
        health_logs=_health_logs(settings, azure),
        events_out=EventsOverEventGrid(azure, settings.events_endpoint)
        if settings.events_endpoint
        else EventsUnpublished(),
        telemetry=_telemetry(settings.otlp),
    )


def _telemetry(otlp: Otlp) -> Telemetry:
    if otlp.closed:
        log.warning("no telemetry is sent: %s", otlp.closed)
    return TelemetryOverOtlp(Collector(otlp.endpoint, dict(otlp.headers))) if otlp.endpoint else TelemetryUnsent()


@cache
def _azure(settings: Settings) -> Azure:
    return Azure(_cloud(settings))


async def close() -> None:
    """Closes what was opened since the first call of `use_cases`, `without_agents` or `sources`, and forgets it: for the command
    line, which ends or begins anew. The app's own clients live as long as it does."""
    for made, signs in ((use_cases, True), (without_agents, False)):
        if not made.cache_info().currsize:
            continue
        ports = made().ports
        cloud = _azure(environment.from_environment(signs=signs))
        for part in (cloud, ports.agents, ports.documents, ports.wake_ups, ports.telemetry):
            if isinstance(part, Closable):
                await part.close()
    if sources.cache_info().currsize:
        await _azure(environment.from_environment(signs=False, stores=False)).close()
    for each in (use_cases, without_agents, sources, _azure):
        each.cache_clear()


@cache
def sources() -> Sources:
    """What an inventory is read from, with no more settings than Azure's. Raises BadInput naming each that is wrong."""
    return sources_over(_azure(environment.from_environment(signs=False, stores=False)), SystemClock())


def sources_over(azure: Azure, clock: Clock) -> Sources:
    return Sources(
        clock=clock,
        landscape=LandscapeOverArm(azure),
        route_servers=RouteServersOverArm(azure),
        learned_routes=LearnedRoutesOverArm(azure),
        scale_sets=ScaleSetsOverArm(azure),
    )


@cache
def use_cases() -> UseCases:
    """The running app's, made at the first trigger. Raises BadInput naming every setting that is wrong."""
    return build(environment.from_environment())


@cache
def without_agents() -> UseCases:
    """For the command line: what reads and writes documents, and reads ARM. It needs no signing key, and reaches no agent."""
    return build(environment.from_environment(signs=False))


@cache
def sign_in() -> SignIn:
    """Whose tokens of Entra ID the app takes."""
    return environment.sign_in()


def is_configured() -> bool:
    """Whether the environment has every setting that the app needs."""
    try:
        environment.from_environment()
    except BadInput:
        return False
    return True


def running_app(url: str, key: str | None, audience: str | None) -> AppOverHttp:
    """The app at `url`, with a function key of it, or with a token of `az login` for `audience`: for the command line only."""
    return AppOverHttp(url, AzLogin(audience or "") if key is None else FunctionKey(key))


def clock() -> Clock:
    """For the command line, which waits."""
    return SystemClock()


def deployed_app(url: str, key: str) -> DeployedApp:
    """The app that was deployed at `url`, read with its master key: for the command line only."""
    return DeployedApp(url, partial(ask_app, url, key), SystemClock())


def _cloud(settings: Settings) -> Cloud:
    credential = managed_identity(settings.client_id) if settings.managed_identity else default_credential()
    scopes = (f"{settings.arm_audience}/.default",)
    return Cloud(credential=credential, endpoint=settings.arm_endpoint, scopes=scopes, ca_file=settings.ca_file)


def _storage(settings: Settings, clock: Clock) -> tuple[Documents, WakeUps]:
    storage = settings.storage
    if storage.directory is not None:
        return DocumentsInDirectory(storage.directory), WakeUpsInDirectory(storage.directory, WAKE_UP_QUEUE, clock)
    if storage.connection_string is not None:
        return (
            DocumentsInBlobs.from_connection_string(storage.connection_string, CONTAINER),
            WakeUpsOverQueue.from_connection_string(storage.connection_string, WAKE_UP_QUEUE),
        )
    credential = managed_identity(settings.client_id) if settings.managed_identity else default_credential()
    return (
        DocumentsInBlobs.from_identity(storage.blobs, credential, CONTAINER),
        WakeUpsOverQueue.from_identity(storage.queues, credential, WAKE_UP_QUEUE),
    )


def _health_logs(settings: Settings, azure: Azure) -> HealthLogsOverLogAnalytics | HealthLogsUnread:
    if settings.logs_workspace is None or settings.logs_endpoint is None:
        return HealthLogsUnread()
    return HealthLogsOverLogAnalytics(azure, settings.logs_workspace, settings.logs_endpoint)
