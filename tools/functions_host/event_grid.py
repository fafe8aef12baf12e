"""The Event Grid extension's webhook: /runtime/webhooks/EventGrid?functionName=NAME&code=KEY.

Source: the platform's answers, recorded. A batch runs in parallel and fails as a whole, so that Event Grid sends all of it
again; what is no event is 500 without a word, which Event Grid repeats too. Times with an offset arrive in UTC, as .NET's
reader of JSON rewrites them; it also takes a comma too many, which Python's does not.
"""

import asyncio
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tools.functions_host import messages, routes
from tools.functions_host.errors import FunctionFailedError
from tools.functions_host.functions import Function
from tools.functions_host.http_functions import body_of, presented_key, raw_path, refused
from tools.functions_host.invoker import Invoker
from tools.functions_host.keys import EVENT_GRID, Keys

log = logging.getLogger(__name__)

METHODS = ("POST", "PUT", "DELETE")
DEPTH_MAX = 64  # levels of JSON that .NET's reader takes
_PATH = re.compile(r"/runtime/webhooks/eventgrid(/.*)?", re.IGNORECASE)
_WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d:\d\d")


class EventGridWebhook:
    def __init__(self, functions: list[Function], keys: Keys, invoker: Invoker) -> None:
        """`functions` are those with an Event Grid trigger."""
        self._functions = {function.name: function for function in functions}
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method not in (*METHODS, "GET", "OPTIONS"):
            return web.Response(status=404)
        key, is_ours = presented_key(request), _PATH.fullmatch(raw_path(request)) is not None
        if not (self._keys.open_extension(key, EVENT_GRID) if is_ours else self._keys.open_admin(key)):
            return refused(self._keys, key)
        if not is_ours:
            return web.Response(status=404)
        query = {name.lower(): value for name, value in routes.query(request.query_string).items()}
        name = query.get("functionname", "")
        function = self._functions.get(name)  # its case counts, that of the query's name does not
        if function is None:
            return web.Response(status=404, text=f"cannot find function: '{name}'")
        if request.method == "OPTIONS":
            return web.Response(headers={"Webhook-Allowed-Origin": "eventgrid.azure.net"})
        return await self._dispatch(function, request)

    async def _dispatch(self, function: Function, request: web.Request) -> web.Response:
        event_type = request.headers.get("aeg-event-type", "").lower()
        if event_type == "unsubscribe":
            return web.Response(status=202)
        if event_type not in ("subscriptionvalidation", "notification"):
            return web.Response(status=400)
        try:
            document = _read(await body_of(request), request.charset or "utf-8")
        except (ValueError, LookupError):
            return web.Response(status=500)
        events = document if isinstance(document, list) else [document]
        if not all(isinstance(event, dict) for event in events):
            return web.Response(status=500)
        if event_type == "subscriptionvalidation":
            return _validation(events[0] if events else {})
        return await self._deliver(function, events)

    async def _deliver(self, function: Function, events: list[dict[str, Any]]) -> web.Response:
        runs = [
            self._invoker.run(function, messages.as_json(event), {"data": messages.as_json(event.get("data"))})
            for event in events
        ]
        results = await asyncio.gather(*runs, return_exceptions=True)
        for result in results:
            if isinstance(result, FunctionFailedError):
                return web.Response(status=500, text=f"Exception while executing function: Functions.{function.name}")
            if isinstance(result, BaseException):
                raise result
        return web.Response(status=202)


def _read(body: bytes, charset: str) -> Any:
    """The document in a body as .NET reads it. Raises ValueError, or LookupError for a charset that is none."""
    return _as_net_reads(json.loads(body.decode(charset).removeprefix("\ufeff"), parse_constant=str))


def _as_net_reads(value: Any, depth: int = 0) -> Any:
    if depth > DEPTH_MAX:
        raise ValueError(f"more than {DEPTH_MAX} levels")
    match value:
        case dict():
            return {name: _as_net_reads(one, depth + 1) for name, one in value.items()}
        case list():
            return [_as_net_reads(one, depth + 1) for one in value]
        case str() if _WITH_OFFSET.fullmatch(value):
            return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def _validation(event: dict[str, Any]) -> web.Response:
    """Event Grid schema: an object in `data`. CloudEvents schema: `data` is that object's JSON text."""
    data = event.get("data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            data = None
    code = data.get("validationCode") if isinstance(data, dict) else None
    if not isinstance(code, str):
        return web.Response(status=500)
    log.info("handshake with Event Grid")
    return web.Response(text=json.dumps({"validationResponse": code}))
