"""The host's one HTTP listener: which path belongs to the admin API, to the Event Grid webhook, to the app, and what is
refused before any of them looks at it.

Source: the platform's answers, recorded. How aiohttp reads a request differs in some more; tests/contract/test_functions_host.py
lists where.
"""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import HttpVersion11, web

from tools.functions_host import routes
from tools.functions_host.admin import Admin
from tools.functions_host.errors import ConfigurationError
from tools.functions_host.event_grid import EventGridWebhook
from tools.functions_host.http_functions import HttpFunctions, closed, raw_path
from tools.functions_host.sign_in import SignIn

ADDRESS = "127.0.0.1"  # reachable from this machine alone: the lab's host is not for others
AT_ONCE = 0.01  # seconds that requests being answered get at the end; 0 would mean for ever
REQUEST_MAX = 100 * 1024 * 1024  # the platform's limits from here on: for a request body,
LINE_MAX = 8 * 1024  # a request line,
HEADERS_MAX = 100  # the number of headers,
HEADER_BYTES_MAX = 32 * 1024  # and all of them together
LINGERING = 1.0  # seconds in which what a refused client still sends is read
READ_MAX = 1024 * 1024  # what is read of them all the same, for an answer
_HOST = re.compile(r"[\w.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    def __init__(
        self, http: HttpFunctions, webhook: EventGridWebhook, admin: Admin, sign_in: SignIn | None = None
    ) -> None:
        """`sign_in`: the platform's authentication is on, in front of all of it."""
        before = [_as_the_platform, *([] if sign_in is None else [sign_in.answer])]
        app = web.Application(client_max_size=REQUEST_MAX, middlewares=before)
        for path, answer in (
            ("/{path:(?i:runtime/webhooks/).*}", webhook.answer),
            ("/{path:(?i:admin/).+}", admin.answer),
            ("/", _home),
            ("/{path:.*}", http.answer),
        ):
            app.router.add_route("*", path, answer, expect_handler=_later)
        # Bodies go to the functions as they came: unpacking is theirs, as on the platform.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            shutdown_timeout=AT_ONCE,
            lingering_time=LINGERING,
            max_line_size=READ_MAX,
            max_field_size=READ_MAX,
            max_headers=10 * HEADERS_MAX,
        )

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


@web.middleware
async def _as_the_platform(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what the platform's server refuses. HTTP/1.0 gets one answer a connection, whatever it requests."""
    refusal = _refusal(request)
    answer = await handler(request) if refusal is None else web.Response(status=refusal)
    ends = refusal is not None and bool(request.headers.get("Host"))
    return closed(answer) if ends or request.version < HttpVersion11 else answer


def _refusal(request: web.Request) -> HTTPStatus | None:
    fields = request.raw_headers
    if len(f"{request.method} {request.raw_path} HTTP/1.1") > LINE_MAX:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if len(fields) > HEADERS_MAX or sum(len(name) + len(value) + 4 for name, value in fields) > HEADER_BYTES_MAX:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    host = request.headers.get("Host", "")
    if not host or (request.content_length or 0) > REQUEST_MAX:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    if not _HOST.fullmatch(host) or "\0" in routes.normal(raw_path(request)):
        return HTTPStatus.BAD_REQUEST
    return None


async def _later(_request: web.Request) -> None:
    """`100 Continue` goes out when a body is wanted (`http_functions.body_of`), not before."""


async def _home(_request: web.Request) -> web.StreamResponse:
    """200 whatever the app does, without a key: a probe of `/` proves nothing."""
    return web.Response(body=b"<html><body>Your Functions host is up.</body></html>", content_type="text/html")
