"""The host's one HTTP listener: which path belongs to the admin API, to the Event Grid webhook, to the app."""

from aiohttp import web

from tools.functions_host.admin import Admin
from tools.functions_host.errors import ConfigurationError
from tools.functions_host.event_grid import EventGridWebhook
from tools.functions_host.http_functions import HttpFunctions
from tools.functions_host.sign_in import SignIn

ADDRESS = "127.0.0.1"  # reachable from this machine alone: the lab's host is not for others
AT_ONCE = 0.01  # seconds that requests being answered get at the end; 0 would mean for ever
REQUEST_MAX = 100 * 1024 * 1024  # the platform's limit for a request body


class Front:
    def __init__(
        self, http: HttpFunctions, webhook: EventGridWebhook, admin: Admin, sign_in: SignIn | None = None
    ) -> None:
        """`sign_in`: the platform's authentication is on, in front of all of it."""
        before = [] if sign_in is None else [sign_in.answer]
        app = web.Application(client_max_size=REQUEST_MAX, middlewares=before)
        app.router.add_get("/admin/host/status", admin.status, allow_head=False)
        for method in ("GET", "POST"):
            app.router.add_route(method, "/admin/host/ping", admin.ping)
        app.router.add_get("/admin/functions", admin.list_functions, allow_head=False)
        app.router.add_get("/admin/functions/{name}", admin.one_function, allow_head=False)
        app.router.add_post("/admin/functions/{name}", admin.invoke)
        app.router.add_route("*", "/{path:(?i:runtime/webhooks/eventgrid)(?:/.*)?}", webhook.answer)
        app.router.add_route("*", "/admin/{path:.+}", admin.unknown)
        app.router.add_route("*", "/", _home)
        app.router.add_route("*", "/{path:.*}", http.answer)
        # Bodies go to the functions as they came: unpacking is theirs, as on the platform.
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=AT_ONCE)

    async def start(self, port: int) -> str:
        """Listen and return the URL; a port of 0 takes any free one. Raises ConfigurationError when it is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, ADDRESS, port).start()
        except OSError as taken:
            raise ConfigurationError(f"cannot listen on {ADDRESS}:{port}: {taken.strerror}") from taken
        return f"http://{ADDRESS}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()


async def _home(_request: web.Request) -> web.StreamResponse:
    """200 whatever the app does, without a key: a probe of `/` proves nothing."""
    return web.Response(body=b"<html><body>Your Functions host is up.</body></html>", content_type="text/html")
