"""Values in and out of the worker's messages."""

import json
from typing import Any

from tools.functions_host.protocol import PROTOS

TypedData: Any = PROTOS.TypedData
"""One value of a message: exactly one of its kinds is set, or none."""


def as_json(value: Any) -> Any:
    """A TypedData that holds `value` as JSON."""
    return TypedData(json=json.dumps(value))


def plain(data: Any) -> Any:
    """The Python value in a TypedData: str, bytes, whatever its JSON holds, an RpcHttp, or None when nothing is set."""
    kind = data.WhichOneof("data")
    if kind is None:
        return None
    value = getattr(data, kind)
    return json.loads(value) if kind == "json" else value
