"""The admin API that people and scripts use: host status, the list of functions, running one by hand.

Source: the platform host's HostController and FunctionsController. Everything but the ping wants the master key.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from tools.functions_host.errors import HostError
from tools.functions_host.functions import Function
from tools.functions_host.http_functions import presented_key, refused
from tools.functions_host.keys import Keys

log = logging.getLogger(__name__)

type ByHand = Callable[[str | None], Awaitable[None]]


class Admin:
    def __init__(self, functions: list[Function], by_hand: Mapping[str, ByHand], keys: Keys) -> None:
        """`by_hand` runs a function with the given input; it holds the functions that can be run so."""
        self._functions = functions
        self._by_hand = by_hand
        self._keys = keys
        self._started = time.monotonic()
        self._running: set[asyncio.Task[None]] = set()

    async def status(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        uptime = int((time.monotonic() - self._started) * 1000)
        return web.json_response({"id": "lab", "state": "Running", "version": "4.0", "processUptime": uptime})

    async def ping(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Cache-Control": "no-store,no-cache", "Pragma": "no-cache"})

    async def list_functions(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        return web.json_response([_described(function) for function in self._functions])

    async def one_function(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name = request.match_info["name"].lower()
        found = next((function for function in self._functions if function.name.lower() == name), None)
        return web.Response(status=404) if found is None else web.json_response(_described(found))

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        """POST {"input": TEXT}: 202 at once, the function runs behind it; its failure is in the log only."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        run = self._by_hand.get(request.match_info["name"].lower())
        if run is None:
            return web.Response(status=404)
        if "json" not in request.content_type:
            return web.Response(status=415)
        try:
            document = await request.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or isinstance(document.get("input"), dict | list):
            return web.Response(status=400)
        given = document.get("input")
        task = asyncio.create_task(self._logged(run, None if given is None else str(given)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return web.Response(status=202)

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """The rest of the admin API is not here; who may not ask is refused all the same."""
        return self._refusal(request) or web.Response(status=404)

    def _refusal(self, request: web.Request) -> web.Response | None:
        key = presented_key(request)
        return None if self._keys.open_admin(key) else refused(self._keys, key)

    async def _logged(self, run: ByHand, text: str | None) -> None:
        try:
            await run(text)
        except HostError as failure:
            log.error("run by hand: %s", failure)


def _described(function: Function) -> dict[str, Any]:
    bindings = [("in", function.trigger), *(("out", output) for output in function.outputs)]
    return {
        "name": function.name,
        "language": "python",
        "isDisabled": function.disabled,
        "config": {
            "bindings": [
                {"type": binding.kind, "name": binding.name, "direction": direction, **binding.options}
                for direction, binding in bindings
            ]
        },
    }
