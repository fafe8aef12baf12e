"""What a request brings: its body and its query parameters, read strictly. What is wrong is BadInput with its place."""

import json
import re
from typing import Any

import azure.functions as func
import msgspec

from function_app.domain.base.errors import BadInput
from function_app.reconcile.store.topologies import Expects, unquoted

BODY_MAX = 64 * 1024
DOCUMENT_MAX = 1024 * 1024
"""Bytes of a topology's document; how many characters it may have is its own rule."""
NO_LENGTH = (
    "the body came in chunks, without a length, and the platform passes none of it on: send it with Content-Length"
)
OF_THE_PLATFORM = ("code", "clientId")
"""The function key, and its name."""
_WORDS = {"bool": "true or false", "int": "a whole number", "datetime": "a time, as 2026-01-02T03:04:05Z"}


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query parameters that an endpoint takes; this one takes none."""


class AnyParameters(Parameters, frozen=True, forbid_unknown_fields=False):
    """Of an endpoint that reads none, and whose caller may be configured with some of its own: they do nothing."""


def read_query[Q: Parameters](request: func.HttpRequest, kind: type[Q]) -> Q:
    """Raises BadInput for a value that is wrong, and for any other parameter: one that is misspelt would act as if it were not
    there."""
    given = {name: value for name, value in request.params.items() if name not in OF_THE_PLATFORM}
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in given:
        if name not in known and kind.__struct_config__.forbid_unknown_fields:
            raise BadInput.of(f"?{name}", f"is none of {', '.join(known) or 'any: there are none'}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        said, _, at = str(error).partition(" - at `$.")
        name = at.rstrip("`")
        raise BadInput.of(f"?{name}", f"must be {_wanted(said)}, is {given.get(name, '')!r}") from error


def _wanted(said: str) -> str:
    if "datetime" in said:
        return _WORDS["datetime"]
    found = re.match(r"Expected `(\w+)`(?!, got)(.*)|Expected `(\w+)`", said)
    if found is None:
        return said
    kind, bound = found[1] or found[3], found[2] or ""
    return f"{_WORDS.get(kind, kind)}{bound}"


def json_body(request: func.HttpRequest, most: int = BODY_MAX, *, empty: str = "") -> Any:
    """The body as JSON, or `empty` where there is none. Raises BadInput for anything else, also for more than `most` bytes.

    What no JSON that we write could hold is refused with it: NaN, a key twice, and half a surrogate pair, which is in no UTF-8.
    """
    body = text_body(request, most) or empty
    try:
        json.loads(body, object_pairs_hook=_each_once)
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadInput.of("$", f"the body is not JSON: {error}") from error


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Raises ValueError for a key that is there twice, of which each reader takes another one."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"the key {name!r} is there twice")
        seen.add(name)


def text_body(request: func.HttpRequest, most: int = BODY_MAX) -> str:
    """The body as text, without the byte order mark that some clients begin with, and empty where there is none.

    Raises BadInput for one in chunks too: the platform passes on an empty one instead.
    """
    body = request.get_body() or b""
    if not body and "chunked" in request.headers.get("transfer-encoding", "").lower():
        raise BadInput.of("$", NO_LENGTH)
    if len(body) > most:
        raise BadInput.of("$", f"the body has {len(body)} bytes, at most {most} are read")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput.of("$", "the body is not UTF-8") from error


def lenient_text(request: func.HttpRequest, most: int = BODY_MAX) -> str:
    """What can be read of the first `most` bytes of a body that is no JSON: only for hints, never for what is ordered.

    In UTF-16 and UTF-32 too, as far as it is ASCII, as ids are.
    """
    body = (request.get_body() or b"")[:most]
    return body.replace(b"\0", b"").decode("utf-8", "replace")


def expectation(request: func.HttpRequest) -> Expects:
    """What If-Match and If-None-Match say. Raises BadInput for an If-None-Match that names etags: a change is not made on what
    is not there."""
    nothing = request.headers.get("if-none-match", "").strip()
    if nothing not in ("", "*"):
        raise BadInput.of("If-None-Match", f"must be *, is {nothing!r}")
    given = request.headers.get("if-match", "").strip()
    etags = [unquoted(etag) for etag in given.split(",")]
    if given and not all(etags):
        raise BadInput.of("If-Match", f"names no etag: {given!r}")
    return Expects(frozenset(filter(None, etags)), nothing=nothing == "*")


def prefers_text(request: func.HttpRequest) -> bool:
    """Whether lines for a person are wanted where there is JSON too: `Accept: text/plain`, or a browser, whose reader may have no
    scripts."""
    accepted = request.headers.get("accept", "")
    return "text/plain" in accepted or "text/html" in accepted
