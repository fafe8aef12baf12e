"""Stand-ins for the protobuf messages that the worker library reads and makes.

The library takes the message classes from the host (`properties["protos"]`) and asks little of them: attributes,
`WhichOneof` on two of them, and a few constants. Nothing here is sent anywhere.
"""

import json
from types import SimpleNamespace
from typing import Any

# The order of the field numbers in the worker's FunctionRpc.proto; exactly one is set, or none.
_KINDS = (
    "string",
    "json",
    "bytes",
    "stream",
    "http",
    "int",
    "double",
    "collection_bytes",
    "collection_string",
    "collection_double",
    "collection_sint64",
    "model_binding_data",
    "collection_model_binding_data",
)


class TypedData(SimpleNamespace):
    def WhichOneof(self, _field: str) -> str | None:  # noqa: N802 - protobuf's name
        return next((kind for kind in _KINDS if kind in self.__dict__), None)


class ParameterBinding(SimpleNamespace):
    def WhichOneof(self, _field: str) -> str:  # noqa: N802 - protobuf's name
        return "data"  # never shared memory


class StatusResult(SimpleNamespace):
    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(SimpleNamespace):
    undefined, string, binary, stream = 0, 1, 2, 3
    out, inout = 1, 2  # `in` is a keyword and set below


setattr(BindingInfo, "in", 0)


class RpcHttpCookie(SimpleNamespace):
    class SameSite:
        Lax, Strict, ExplicitNone = 1, 2, 3


setattr(RpcHttpCookie.SameSite, "None", 0)

_PLAIN = (
    "FunctionEnvironmentReloadResponse",
    "FunctionLoadResponse",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "NullableTimestamp",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "RpcRetryOptions",
    "Timestamp",
    "WorkerInitResponse",
    "WorkerMetadata",
)

PROTOS = SimpleNamespace(
    TypedData=TypedData,
    ParameterBinding=ParameterBinding,
    StatusResult=StatusResult,
    BindingInfo=BindingInfo,
    RpcHttpCookie=RpcHttpCookie,
    **{name: type(name, (SimpleNamespace,), {}) for name in _PLAIN},
)


def as_json(value: Any) -> TypedData:
    return TypedData(json=json.dumps(value))


def request(host: str, **fields: Any) -> SimpleNamespace:
    """A streaming message as the library's entry points take it: one field set, and the properties beside it."""
    return SimpleNamespace(request=SimpleNamespace(**fields), properties={"protos": PROTOS, "host": host})


def plain(data: TypedData | None) -> Any:
    """The Python value in `data`: str, bytes, whatever its JSON holds, an RpcHttp, or None when nothing is set."""
    kind = data.WhichOneof("data") if data is not None else None
    if kind is None:
        return None
    value = getattr(data, kind)
    return json.loads(value) if kind == "json" else value
