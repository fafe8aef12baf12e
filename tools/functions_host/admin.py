"""The admin API: host status, the list of functions, running one by hand, keys (`admin_keys.py`).

Source: the platform's answers, recorded. What is there wants the master key; what is not is 404 whatever is shown.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tools.functions_host import routes
from tools.functions_host.admin_keys import AdminKeys
from tools.functions_host.errors import HostError
from tools.functions_host.functions import Function
from tools.functions_host.http_functions import body_of, presented_key, raw_path, refused
from tools.functions_host.keys import Keys

log = logging.getLogger(__name__)

VERSION = "4.1037.0"
BUILD, BUNDLE_VERSION = "89dc438d476542786f2fc4070f553423213a6223", "4.99.0"  # of the recorded host
DATA = "tmp/FunctionsData"
DRAIN = {"state": "Disabled", "outstandingInvocations": 0, "outstandingRetries": 0}
INFO = {"FUNCTIONS_EXTENSION_VERSION": f"{VERSION}.0", "WEBSITE_NODE_DEFAULT_VERSION": "8.5.0"}
NO_SYNC = {"status": "Invalid environment for SyncTriggers operation."}

type ByHand = Callable[[str | None], Awaitable[None]]
type Answer = Callable[[web.Request, Mapping[str, str]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Served:
    """What the list of functions says: `urls` are the addresses of HTTP functions, below the host's own."""

    functions: list[Function]
    by_hand: Mapping[str, ByHand]
    urls: Mapping[str, str]
    root: Path
    bundle: str = ""


class Admin:
    def __init__(self, served: Served, keys: Keys) -> None:
        """`served.by_hand` runs a function with the given input; it holds the functions that can be run so."""
        self._served = served
        self._keys = keys
        self._started = time.monotonic()
        self._running: set[asyncio.Task[None]] = set()
        held = AdminKeys(keys, [function.name for function in served.functions])
        self._open: dict[str, Answer] = {
            "GET,POST host/ping": _ping,
            "GET instance/http-health": _nothing_to_say,
            "GET warmup": _nothing_to_say,
            "GET vfs/{*path}": self._files,
        }
        self._answers: dict[str, Answer] = self._open | {
            "GET host/status": self._status,
            "GET functions": self._list_functions,
            "GET functions/{name}": self._one_function,
            "GET functions/{name}/status": _fixed({}),
            "POST functions/{name}": self._invoke,
            "GET instance/info": _fixed(INFO),
            "GET host/drain/status": _fixed(DRAIN),
            "POST host/synctriggers": _fixed(NO_SYNC, 500),
            "GET functions/{name}/keys": held.read,
            "PUT,POST,DELETE functions/{name}/keys/{key}": held.write,
            "GET host/{kind:regex(keys|functionkeys|systemkeys)}": held.read,
            "PUT,POST,DELETE host/{kind:regex(keys|functionkeys|systemkeys)}/{key}": held.write,
            # Refused as there, and not served here.
            "GET host/config": _not_here,
            "GET host/processes": _not_here,
            "GET host/extensionBundle/{*path}": _not_here,
            "POST host/{kind:regex(restart|drain|resume)}": _not_here,
            "PUT host/state": _not_here,
        }
        self._table = routes.Table("admin", [_parsed(one) for one in self._answers])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        found = self._table.find(request.method, raw_path(request))
        if found is None:
            return web.Response(status=404)
        key = presented_key(request)
        if found.function not in self._open and not self._keys.open_admin(key):
            return refused(self._keys, key)
        return await self._answers[found.function](request, found.parameters)

    async def _status(self, _request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
        return web.json_response(
            {
                "id": "lab",
                "state": "Running",
                "version": f"{VERSION}.0",
                "versionDetails": f"{VERSION}+{BUILD}",
                "platformVersion": "",
                "instanceId": "",
                "computerName": "",
                "processUptime": int((time.monotonic() - self._started) * 1000),
                "functionAppContentEditingState": "Unknown",
            }
            | (
                {"extensionBundle": {"id": self._served.bundle, "version": BUNDLE_VERSION}}
                if self._served.bundle
                else {}
            )
        )

    async def _files(self, request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
        return web.Response(status=403 if self._keys.open_admin(presented_key(request)) else 401)

    async def _list_functions(self, _request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
        name = os.environ.get("WEBSITE_HOSTNAME")
        base = f"https://{name}" if name else ""
        found = sorted(self._served.functions, key=lambda function: function.name)
        return web.json_response([self._described(function, base) for function in found])

    async def _one_function(self, request: web.Request, values: Mapping[str, str]) -> web.StreamResponse:
        name = values["name"].lower()
        found = next((one for one in self._served.functions if one.name.lower() == name), None)
        base = f"{request.scheme}://{request.host}"
        return web.Response(status=404) if found is None else web.json_response(self._described(found, base))

    async def _invoke(self, request: web.Request, values: Mapping[str, str]) -> web.StreamResponse:
        """POST {"input": TEXT}: 202 at once, the function runs behind it; its failure is in the log only."""
        run = self._served.by_hand.get(values["name"].lower())
        if run is None:
            return web.Response(status=404)
        if "json" not in request.content_type:
            return web.Response(status=415)
        try:
            document = json.loads(await body_of(request))
        except ValueError:
            document = None
        if not isinstance(document, dict) or isinstance(document.get("input"), dict | list):
            return web.Response(status=400)
        given = document.get("input")
        task = asyncio.create_task(self._logged(run, None if given is None else str(given)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return web.Response(status=202)

    async def _logged(self, run: ByHand, text: str | None) -> None:
        try:
            await run(text)
        except HostError as failure:
            log.error("run by hand: %s", failure)

    def _described(self, function: Function, base: str) -> dict[str, Any]:
        script, files, url = (
            self._served.root / function.script,
            f"{base}/admin/vfs",
            self._served.urls.get(function.name),
        )
        config = {
            "name": function.name,
            "entryPoint": function.name,
            "scriptFile": function.script,
            "language": "python",
            "functionDirectory": str(self._served.root),
            "bindings": list(function.raw),
        }
        return {
            "name": function.name,
            "script_root_path_href": None,
            "script_href": f"{files}{script}",
            "config_href": None,
            "test_data_href": f"{files}/{DATA}/{function.name}.dat",
            "href": f"{base}/admin/functions/{function.name}",
            "invoke_url_template": None if url is None else f"{base}{url}",
            "language": "python",
            "config": config,
            "files": None,
            "test_data": "",
            "isDisabled": function.disabled,
            "isDirect": False,
            "isProxy": False,
        }


def _parsed(endpoint: str) -> routes.Route:
    methods, template = endpoint.split(" ")
    return routes.parse(endpoint, template, methods.split(","))


def _fixed(document: Mapping[str, Any], status: int = 200) -> Answer:
    async def answer(_request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
        return web.json_response(document, status=status)

    return answer


async def _ping(_request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
    return web.Response(headers={"Cache-Control": "no-store,no-cache", "Pragma": "no-cache"})


async def _nothing_to_say(_request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
    return web.Response()


async def _not_here(_request: web.Request, _values: Mapping[str, str]) -> web.StreamResponse:
    return web.Response(status=404)
