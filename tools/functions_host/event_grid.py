"""The Event Grid extension's webhook: /runtime/webhooks/EventGrid?functionName=NAME&code=KEY.

Source: the platform's answers, recorded. A batch runs in parallel and fails as a whole, so that Event Grid sends all of it
again; what is no event is 500 without a word, which Event Grid repeats too.
"""

import asyncio
import json
import logging
from typing import Any

from aiohttp import web

from tools.functions_host import messages
from tools.functions_host.errors import FunctionFailedError
from tools.functions_host.functions import Function
from tools.functions_host.http_functions import presented_key, refused
from tools.functions_host.invoker import Invoker
from tools.functions_host.keys import EVENT_GRID, Keys

log = logging.getLogger(__name__)

METHODS = ("POST", "PUT", "DELETE")


class EventGridWebhook:
    def __init__(self, functions: list[Function], keys: Keys, invoker: Invoker) -> None:
        """`functions` are those with an Event Grid trigger."""
        self._functions = {function.name: function for function in functions}
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method not in (*METHODS, "GET", "OPTIONS"):
            return web.Response(status=404)
        key = presented_key(request)
        if not self._keys.open_extension(key, EVENT_GRID):
            return refused(self._keys, key)
        names = request.query.getall("functionName", [])
        function = self._functions.get(",".join(names))  # case counts
        if function is None:
            return web.Response(status=404, text=f"cannot find function: '{','.join(names)}'")
        if request.method == "OPTIONS":
            return web.Response(headers={"Webhook-Allowed-Origin": "eventgrid.azure.net"})
        return await self._dispatch(function, request.headers.get("aeg-event-type", "").lower(), await request.read())

    async def _dispatch(self, function: Function, event_type: str, body: bytes) -> web.Response:
        if event_type == "unsubscribe":
            return web.Response(status=202)
        if event_type not in ("subscriptionvalidation", "notification"):
            return web.Response(status=400)
        try:
            document = json.loads(body)
        except ValueError:
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
