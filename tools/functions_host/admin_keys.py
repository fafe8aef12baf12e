"""The admin API's keys: read, made, set and deleted; a change opens at once. Source: the platform's answers, recorded."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from tools.functions_host.http_functions import body_of
from tools.functions_host.keys import Keys, new_key

MASTER = "_master"


class AdminKeys:
    def __init__(self, keys: Keys, functions: Iterable[str]) -> None:
        self._keys = keys
        self._functions = {name.lower(): name for name in functions}

    async def read(self, request: web.Request, values: Mapping[str, str]) -> web.StreamResponse:
        held = self._held(values)
        if held is None:
            return web.Response(status=404)
        keys = [{"name": name, "value": value} for name, value in held.items()]
        return web.json_response({"keys": keys, "links": _links(request)})

    async def write(self, request: web.Request, values: Mapping[str, str]) -> web.StreamResponse:
        """PUT sets the value that its body names, POST makes one up."""
        held, name = self._held(values), values["key"]
        if held is None or (request.method == "DELETE" and name != MASTER and name not in held):
            return web.Response(status=404)
        if name == MASTER:
            return web.Response(status=400)
        if request.method == "DELETE":
            del held[name]
            self._keys.write()
            return web.Response(status=204)
        value = new_key() if request.method == "POST" else _value(await body_of(request))
        if not value:
            return web.Response(status=400, text="Invalid key value")
        is_new = name not in held
        held[name] = value
        self._keys.write()
        document = {"name": name, "value": value, "links": _links(request)}
        headers = {"Location": str(request.url.with_query(None))} if is_new else {}
        return web.json_response(document, status=201 if is_new else 200, headers=headers)

    def _held(self, values: Mapping[str, str]) -> dict[str, str] | None:
        if "name" in values:
            function = self._functions.get(values["name"].lower())
            return None if function is None else self._keys.per_function.setdefault(function, {})
        return self._keys.system if values["kind"].lower() == "systemkeys" else self._keys.functions


def _value(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    value = document.get("value") if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


def _links(request: web.Request) -> list[dict[str, Any]]:
    return [{"rel": "self", "href": str(request.url.with_query(None))}]
