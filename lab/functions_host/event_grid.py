"""The Event Grid extension's webhook: /runtime/webhooks/EventGrid?functionName=NAME&code=KEY.

Source: HttpRequestProcessor of the EventGrid extension. A batch runs in parallel and fails as a whole, so that Event Grid
sends all of it again. Two things are stricter or wider than the extension: a body that is not understood is 400 with the
reason instead of 500, and OPTIONS answers the CloudEvents abuse-protection handshake.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from lab.functions_host import messages
from lab.functions_host.errors import FunctionFailedError
from lab.functions_host.functions import Function
from lab.functions_host.http_functions import presented_key
from lab.functions_host.invoker import Invoker
from lab.functions_host.keys import EVENT_GRID, Keys

log = logging.getLogger(__name__)

BODY_MAX = 1024 * 1024  # Event Grid's own limit for an event and for a batch


class EventGridWebhook:
    def __init__(self, functions: list[Function], keys: Keys, invoker: Invoker) -> None:
        """`functions` are those with an Event Grid trigger."""
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not self._keys.open_extension(presented_key(request), EVENT_GRID):
            return web.Response(status=401)
        name = request.query.get("functionName", "")
        function = self._functions.get(name.lower())
        if function is None:
            return web.Response(status=404, text=f"cannot find function: '{name}'")
        if request.method == "OPTIONS":
            return _abuse_protection(request.headers)
        if request.method != "POST":
            return web.Response(status=404)
        if (request.content_length or 0) > BODY_MAX:
            return web.Response(status=413, text=f"more than {BODY_MAX} bytes")
        body = await request.read()
        if len(body) > BODY_MAX:
            return web.Response(status=413, text=f"more than {BODY_MAX} bytes")
        return await self._dispatch(function, request.headers.get("aeg-event-type", "").lower(), body)

    async def _dispatch(self, function: Function, event_type: str, body: bytes) -> web.Response:
        if event_type == "unsubscribe":
            return web.Response(status=202)
        if event_type not in ("subscriptionvalidation", "notification"):
            return web.Response(
                status=400, text="the header aeg-event-type must say SubscriptionValidation or Notification"
            )
        try:
            document = json.loads(body)
        except ValueError as wrong:
            return web.Response(status=400, text=f"the body is not JSON: {wrong}")
        events = document if isinstance(document, list) else [document]
        if not events or not all(isinstance(event, dict) for event in events):
            return web.Response(status=400, text="the body must be an event or a list of events")
        if event_type == "subscriptionvalidation":
            return _validation(events[0])
        return await self._deliver(function, events)

    async def _deliver(self, function: Function, events: list[dict[str, Any]]) -> web.Response:
        runs = [
            self._invoker.run(function, messages.as_json(event), {"data": messages.as_json(event.get("data"))})
            for event in events
        ]
        results = await asyncio.gather(*runs, return_exceptions=True)
        for result in results:
            if isinstance(result, FunctionFailedError):
                return web.Response(status=500, text=result.message)
            if isinstance(result, BaseException):
                raise result
        return web.Response(status=202)


def _abuse_protection(headers: Mapping[str, str]) -> web.Response:
    """CloudEvents HTTP webhook 1.0.1 section 4: name the origin that may deliver, and at what rate."""
    origin = headers.get("WebHook-Request-Origin")
    if not origin:
        return web.Response(status=400, text="the header WebHook-Request-Origin is missing")
    allowed = {"WebHook-Allowed-Origin": origin}
    if (rate := headers.get("WebHook-Request-Rate")) is not None:
        allowed["WebHook-Allowed-Rate"] = rate
    return web.Response(headers=allowed)


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
        return web.Response(status=400, text="data.validationCode is missing")
    log.info("handshake with Event Grid")
    return web.json_response({"validationResponse": code})
