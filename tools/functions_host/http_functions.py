"""HTTP triggers: from an aiohttp request to the worker's message and back.

Source of the translation: the platform host's GrpcMessageConversionExtensions (header names in lower case, several
values joined by commas, empty query values left out, the body as bytes), and the platform's answers, recorded.
"""

import asyncio
import logging
import re
from datetime import UTC, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

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
_FIELD = re.compile(r"[\w!#$%&'*+.^`|~-]+: [\t -~]*", re.ASCII)  # what the platform's server sends
SAME_SITE = {1: "lax", 2: "strict", 3: "none"}
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
        match = self._table.find(request.method, raw_path(request))
        if match is None:
            log.info("404: no function takes %s %s", request.method, raw_path(request))
            return web.Response(status=404)
        function = self._functions[match.function]
        if not self._may_call(function, presented_key(request)):
            return web.Response(status=401)
        try:
            data = TypedData(http=await _rpc_request(request, match.parameters))
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=500)
        except UnicodeEncodeError:  # what is not UTF-8 does not fit into a message
            return closed(web.Response(status=400))
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


def raw_path(request: web.Request) -> str:
    """The path as it was sent, without its query."""
    return request.raw_path.partition("?")[0]


async def body_of(request: web.Request) -> bytes:
    """The body; a client that waits for `100 Continue` gets it here, if its body is not there already."""
    if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun
    return await request.read()


def closed(answer: web.StreamResponse) -> web.StreamResponse:
    """The same, as the last one of its connection."""
    answer.force_close()
    answer.headers["Connection"] = "close"
    return answer


def refused(keys: Keys, key: str) -> web.Response:
    """How the admin API and the webhooks refuse a key: 403 for a good one of the wrong kind, else 401."""
    if keys.is_of_another_kind(key):
        return web.Response(status=403)
    return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})


def response(returned: Any) -> web.StreamResponse:
    """What an HTTP function returned, as an answer. A bare str is a 200 with that text."""
    if returned is None:
        return web.Response(status=204)
    if isinstance(returned, str):
        return web.Response(text=returned)
    headers = _headers(returned)
    if not all(_FIELD.fullmatch(f"{name}: {value}") for name, value in headers.items()):
        return web.Response(status=500)
    code = int(returned.status_code) if re.fullmatch(r"-?\d+", returned.status_code) else 200
    body = b"" if code == HTTPStatus.RESET_CONTENT else returned.body.bytes
    given = {name.lower(): value for name, value in returned.headers.items()}
    length = given.get("content-length", "")
    if length.isdecimal() and int(length) < len(body):
        return closed(web.Response(status=500))
    answer = web.Response(status=code, headers=headers, body=body)
    return closed(answer) if given.get("connection", "").lower() == "close" else answer


def _headers(returned: Any) -> CIMultiDict[str]:
    kept = ((name, value) for name, value in returned.headers.items() if name.lower() not in _NOT_PASSED_ON)
    headers = CIMultiDict(kept)
    for cookie in returned.cookies:
        headers.add("Set-Cookie", _set_cookie(cookie))
    return headers


async def _rpc_request(request: web.Request, parameters: dict[str, str]) -> Any:
    """An RpcHttp. A body without a Content-Length (chunked) is read and not passed on: the platform's host does so."""
    body = await body_of(request)
    sent, mark, query = request.raw_path.partition("?")
    return PROTOS.RpcHttp(
        method=request.method,
        url=f"{request.scheme}://{request.host}{routes.shown(routes.normal(sent))}{mark}{query}",
        headers={name.lower(): value for name, value in _joined(request.headers).items()},
        query={name: value for name, value in routes.query(query).items() if value},
        params=parameters,
        body=TypedData(bytes=body) if body and "content-length" in request.headers else None,
    )


def _joined(values: MultiMapping[str]) -> dict[str, str]:
    return {name: ",".join(values.getall(name)) for name in values}


def _set_cookie(cookie: Any) -> str:
    """A Set-Cookie value from the worker's RpcHttpCookie, as the platform writes one: without a domain or path they are empty."""
    parts = [f"{cookie.name}={quote(cookie.value)}"]
    if cookie.HasField("expires"):
        parts.append(f"expires={format_datetime(cookie.expires.value.ToDatetime(UTC), usegmt=True)}")
    if cookie.HasField("max_age"):
        parts.append(f"max-age={int(cookie.max_age.value)}")
    parts += [f"domain={cookie.domain.value}", f"path={cookie.path.value}"]
    if cookie.secure.value:
        parts.append("secure")
    if cookie.same_site:
        parts.append(f"samesite={SAME_SITE[cookie.same_site]}")
    if cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
