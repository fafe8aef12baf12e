"""The OpenAPI document of the HTTP surface, made from the endpoints and the types of what they take and give."""

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from types import UnionType
from typing import Any, get_args

import msgspec

from function_app.domain.service.orders import VERBS
from function_app.domain.topology.model import Name
from function_app.reconcile.documents.error import ErrorAnswer
from function_app.triggers.requests import Parameters
from function_app.triggers.surface import ENTRA, JSON, Endpoint, Served

ABOUT = (
    "What can be requested of a Hopkeeper app. Below `/api` an endpoint is a function, and wants its key in the header "
    "`x-functions-key`; below `/api/entra` it wants a token of Entra ID, or the session of a browser, with the application role "
    "that the operation names. `operate` contains `read`, and `operate-unsafe` both. "
    "What the documents mean is in their descriptions; a reader ignores keys that it does not know."
)
SERVERS = (("/api", "with a function key"), (f"/api/{ENTRA}", "with a token of Entra ID, or a session"))
SCHEMES: Mapping[str, dict[str, str]] = {
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "Below `/api`. Checked by the host of the function; a wrong one is 401 without a body.",
    },
    "entra": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Below `/api/entra`: an access token for `api://CLIENT_ID`. The scopes here are application roles.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "AppServiceAuthSession",
        "description": "Below `/api/entra`, of a browser that signed in at `/.auth/login/aad`; the same roles.",
    },
}
ALWAYS = (400, 401, 403, 503)
"""What every endpoint may answer."""
CONDITIONS = (
    ("If-Match", "The etag of the document that is there, quoted; `*` for any: 412 where it is another one."),
    ("If-None-Match", "`*`: 412 where there is a document."),
)
TAKEN_IN_FULL = {"topology": "Name of a topology.", "service": "Name of a service of it.", "verb": "What is ordered."}


type Shapes = dict[Any, dict[str, Any]]
"""By type, its schema or a reference to it."""


def description(served: Iterable[Served]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    served = tuple(served)
    kinds = list(dict.fromkeys(kind for each in served for kind in _kinds(each.endpoint)))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    shapes = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Any] = {}
    for each in served:
        for path, name in _paths(each):
            paths.setdefault(path, {})[each.endpoint.method.lower()] = _operation(each, name, path, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hopkeeper", "version": "1", "description": ABOUT},
        "servers": [{"url": url, "description": about} for url, about in SERVERS],
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": dict(SCHEMES), "schemas": dict(sorted(components.items()))},
    }


def _kinds(endpoint: Endpoint[Any]) -> Iterator[Any]:
    """Every type whose schema is needed."""
    yield from (ErrorAnswer, endpoint.refusal, *_given(endpoint), *endpoint.body)


def _given(endpoint: Endpoint[Any]) -> tuple[Any, ...]:
    """The documents of which a good answer is one."""
    if endpoint.gives is None:
        return ()
    return get_args(endpoint.gives) if isinstance(endpoint.gives, UnionType) else (endpoint.gives,)


def _paths(each: Served) -> Iterator[tuple[str, str]]:
    """Its paths as OpenAPI writes them, each with the name of the operation: one that is optional makes two."""
    route = f"/{each.endpoint.route}"
    whole = re.sub(r"\{(\w+)\??\}", r"{\1}", route)
    yield whole, each.name
    if "?}" in route:
        yield re.sub(r"/\{\w+\?\}", "", route), f"{each.name}_of_all"


def _operation(each: Served, name: str, path: str, shapes: Shapes) -> dict[str, Any]:
    endpoint = each.endpoint
    made: dict[str, Any] = {
        "operationId": name,
        "summary": each.about,
        "security": [{name: [] if name == "functionKey" else [endpoint.role]} for name in SCHEMES],
        "x-role": endpoint.role,
        "parameters": [*_in_path(path), *_in_query(endpoint.query), *_conditions(endpoint)],
        "responses": {str(status): answer for status, answer in _answers(endpoint, shapes)},
    }
    if endpoint.takes:
        forms = [shapes[form] for form in endpoint.body]
        schema = {"anyOf": forms} if forms else {} if endpoint.takes == JSON else {"type": "string"}
        made["requestBody"] = {"content": {endpoint.takes: {"schema": schema}}, "required": not forms}
    return made


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        shape = {"type": "string", "enum": list(VERBS)} if name == "verb" else msgspec.json.schema(Name)
        yield {"name": name, "in": "path", "required": True, "description": TAKEN_IN_FULL[name], "schema": shape}


def _in_query(kind: type[Parameters]) -> Iterator[dict[str, Any]]:
    _, components = msgspec.json.schema_components([kind])
    for name, shape in components[kind.__name__]["properties"].items():
        options = [option for option in shape.get("anyOf", [shape]) if option != {"type": "null"}]
        bare = {key: value for key, value in options[0].items() if key != "description"}
        default = {"default": shape["default"]} if shape.get("default") is not None else {}
        about = shape.get("description", options[0].get("description", ""))
        yield {"name": name, "in": "query", "description": about, "schema": bare | default}


def _conditions(endpoint: Endpoint[Any]) -> Iterator[dict[str, Any]]:
    if 412 in endpoint.refuses:
        for name, about in CONDITIONS:
            yield {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}


def _answers(endpoint: Endpoint[Any], shapes: Shapes) -> Iterator[tuple[int, dict[str, Any]]]:
    good: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    text = {"schema": {"type": "string"}}
    given = [shapes[kind] for kind in _given(endpoint)]
    content: dict[str, Any] = (
        {endpoint.media: {"schema": given[0] if len(given) == 1 else {"anyOf": given}}} if given else {}
    )
    if endpoint.gives is None and endpoint.media:
        content[endpoint.media] = text
    if endpoint.also:
        content[endpoint.also] = text
    yield endpoint.status, good | ({"content": content} if content else {})
    for status in sorted((*ALWAYS, *endpoint.refuses)):
        refused = endpoint.refusal if status == 409 else ErrorAnswer
        yield status, {"description": HTTPStatus(status).phrase, "content": {JSON: {"schema": shapes[refused]}}}
