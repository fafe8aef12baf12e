"""HTTP triggers: from an aiohttp request to the worker's message and back.

Source of the translation: the platform host's GrpcMessageConversionExtensions (header names in lower case, several
values joined by commas, empty query values left out, the body as bytes).
"""

import asyncio
import logging
from datetime import UTC, timedelta
from email.utils import format_datetime
from http.cookies import Morsel
from typing import Any

from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from tools.functions_host import routes
from tools.functions_host.errors import FunctionFailedError
from tools.functions_host.functions import Function
from tools.functions_host.invoker import Invoker
from tools.functions_host.keys import Keys
from tools.functions_host.messages import TypedData
from tools.functions_host.protocol import PROTOS

log = logging.getLogger(__name__)

ANSWER_WITHIN = timedelta(seconds=230)  # the idle timeout of the platform's own front end
# The front end's or the connection's business, not a function's.
_NOT_PASSED_ON = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


class HttpFunctions:
    def __init__(self, functions: list[Function], prefix: str, keys: Keys, invoker: Invoker) -> None:
        """Raises ConfigurationError for a route this host does not understand."""
        self._functions = {function.name: function for function in functions}
        self._table = routes.Table(prefix, [route(function) for function in self._functions.values()])
        self._keys = keys
        self._invoker = invoker
        self._late: set[asyncio.Task[Any]] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match = self._table.find(request.method, request.rel_url.raw_path)
        if match is None:
            log.info("404: no function takes %s %s", request.method, request.rel_url.raw_path)
            return web.Response(status=404)
        function = self._functions[match.function]
        if not self._may_call(function, presented_key(request)):
            return web.Response(status=401)
        try:
            data = TypedData(http=await _rpc_request(request, match.parameters))
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=500)
        except UnicodeEncodeError:  # what is not UTF-8 does not fit into a message
            return web.Response(status=400)
        task = asyncio.ensure_future(self._invoker.run(function, data))
        # The caller gets 504 after that, and the function is not stopped: on the platform it runs on, too.
        done, _ = await asyncio.wait({task}, timeout=ANSWER_WITHIN.total_seconds())
        if not done:
            self._late.add(task)
            task.add_done_callback(self._forget)
            log.error("%s did not answer within %s", function.name, ANSWER_WITHIN)
            return web.Response(status=504)
        try:
            return response(task.result())
        except FunctionFailedError:
            return web.Response(status=500)

    def _may_call(self, function: Function, key: str) -> bool:
        match function.trigger.text("authLevel", "function").lower():
            case "anonymous":
                return True
            case "admin":
                return self._keys.open_admin(key)
            case _:
                return self._keys.open_function(key, function.name)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("after its answer was given up: %s", failure)


def route(function: Function) -> routes.Route:
    """The route of an HTTP function; without a template it is the function's name, without methods it takes any."""
    template = function.trigger.text("route") or function.name
    return routes.parse(
        function.name, template, [str(method) for method in function.trigger.options.get("methods") or ()]
    )


def presented_key(request: web.Request) -> str:
    """The key a request shows, in the header or the query (whose names ignore case); empty for none.

    A header that is there hides the query, also an empty one.
    """
    if (header := request.headers.get("x-functions-key")) is not None:
        return header
    return next((value for name, value in request.query.items() if name.lower() == "code"), "")


def refused(keys: Keys, key: str) -> web.Response:
    """How the admin API and the webhooks refuse a key: 403 for a good one of the wrong kind, else 401."""
    if keys.is_of_another_kind(key):
        return web.Response(status=403)
    return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})


def response(returned: Any) -> web.Response:
    """What an HTTP function returned, as an answer. A bare str is a 200 with that text."""
    if returned is None:
        return web.Response(status=204)
    if isinstance(returned, str):
        return web.Response(text=returned)
    headers = CIMultiDict(
        (name, value) for name, value in returned.headers.items() if name.lower() not in _NOT_PASSED_ON
    )
    for cookie in returned.cookies:
        headers.add("Set-Cookie", _set_cookie(cookie))
    code = int(returned.status_code) if returned.status_code.isdecimal() else 200
    return web.Response(status=code, headers=headers, body=returned.body.bytes)


async def _rpc_request(request: web.Request, parameters: dict[str, str]) -> Any:
    """An RpcHttp. A body without a Content-Length (chunked) is read and not passed on: the platform's host does so."""
    body = await request.read()
    return PROTOS.RpcHttp(
        method=request.method,
        url=str(request.url),
        headers={name.lower(): value for name, value in _joined(request.headers).items()},
        query={name: value for name, value in _joined(request.query).items() if value},
        params=parameters,
        body=TypedData(bytes=body) if body and "content-length" in request.headers else None,
    )


def _joined(values: MultiMapping[str]) -> dict[str, str]:
    return {name: ",".join(values.getall(name)) for name in values}


def _set_cookie(cookie: Any) -> str:
    """A Set-Cookie value from the worker's RpcHttpCookie, of whose optional fields some are set."""
    morsel: Morsel[str] = Morsel()
    morsel.set(cookie.name, cookie.value, cookie.value)
    for attribute, field in (("domain", cookie.domain), ("path", cookie.path), ("secure", cookie.secure)):
        if field.value:
            morsel[attribute] = field.value
    if cookie.http_only.value:
        morsel["httponly"] = True
    if cookie.HasField("expires"):
        morsel["expires"] = format_datetime(cookie.expires.value.ToDatetime(UTC), usegmt=True)
    if cookie.HasField("max_age"):
        morsel["max-age"] = int(cookie.max_age.value)
    if cookie.same_site:
        morsel["samesite"] = {1: "Lax", 2: "Strict", 3: "None"}[cookie.same_site]
    return morsel.OutputString()
