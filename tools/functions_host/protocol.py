"""The messages between the Functions host and its worker: real protobuf classes, and how they travel on a socket.

Names, numbers and kinds from src/proto of Azure/azure-functions-language-worker-protobuf (MIT; commit 2a3fb29), of which
only what a Python worker receives or sends is listed. Nothing on a package index holds these classes for this Python, and
a compiler for them would be a dependency of a hundred times the size of the table.
"""

import asyncio
import struct
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

PACKAGE = "AzureFunctionsRpcMessages"

# One message a block: its name, then its fields as `NAME NUMBER KIND`. Before a kind: `*` repeated, `@` a map from string
# to it. Fields behind `oneof NAME` belong to it.
MESSAGES = """
StreamingMessage: request_id 1 string; oneof content;
  invocation_request 4 InvocationRequest; invocation_response 5 InvocationResponse;
  function_load_request 8 FunctionLoadRequest; function_load_response 9 FunctionLoadResponse;
  worker_init_response 16 WorkerInitResponse; worker_init_request 17 WorkerInitRequest;
  worker_status_request 12 WorkerStatusRequest; worker_status_response 13 WorkerStatusResponse;
  start_stream 20 StartStream;
  function_environment_reload_request 25 FunctionEnvironmentReloadRequest;
  function_environment_reload_response 26 FunctionEnvironmentReloadResponse;
  functions_metadata_request 29 FunctionsMetadataRequest; function_metadata_response 30 FunctionMetadataResponse
StartStream: worker_id 2 string
WorkerStatusRequest:
WorkerStatusResponse:
WorkerInitRequest: host_version 1 string; capabilities 2 @string; worker_directory 4 string;
  function_app_directory 5 string
WorkerInitResponse: worker_version 1 string; capabilities 2 @string; result 3 StatusResult;
  worker_metadata 4 WorkerMetadata
WorkerMetadata: runtime_name 1 string; runtime_version 2 string; worker_version 3 string; worker_bitness 4 string;
  custom_properties 5 @string
StatusResult: result 1 string; exception 2 RpcException; status 4 StatusResult.Status
RpcException: stack_trace 1 string; message 2 string; source 3 string; is_user_exception 4 bool; type 5 string
FunctionEnvironmentReloadRequest: environment_variables 1 @string; function_app_directory 2 string
FunctionEnvironmentReloadResponse: worker_metadata 1 WorkerMetadata; capabilities 2 @string; result 3 StatusResult
FunctionLoadRequest: function_id 1 string; metadata 2 RpcFunctionMetadata; managed_dependency_enabled 3 bool
FunctionLoadResponse: function_id 1 string; result 2 StatusResult; is_dependency_downloaded 3 bool
RpcFunctionMetadata: directory 1 string; script_file 2 string; entry_point 3 string; name 4 string;
  bindings 6 @BindingInfo; is_proxy 7 bool; status 8 StatusResult; language 9 string; raw_bindings 10 *string;
  function_id 13 string; managed_dependency_enabled 14 bool; retry_options 15 RpcRetryOptions; properties 16 @string
RpcRetryOptions: max_retry_count 2 int32; delay_interval 3 Duration; minimum_interval 4 Duration;
  maximum_interval 5 Duration; retry_strategy 6 RpcRetryOptions.RetryStrategy
BindingInfo: type 2 string; direction 3 BindingInfo.Direction; data_type 4 BindingInfo.DataType; properties 5 @string
FunctionsMetadataRequest: function_app_directory 1 string
FunctionMetadataResponse: function_metadata_results 1 *RpcFunctionMetadata; result 2 StatusResult;
  use_default_metadata_indexing 3 bool
InvocationRequest: invocation_id 1 string; function_id 2 string; input_data 3 *ParameterBinding;
  trigger_metadata 4 @TypedData; trace_context 5 RpcTraceContext; retry_context 6 RetryContext
RpcTraceContext: trace_parent 1 string; trace_state 2 string; attributes 3 @string
RetryContext: retry_count 1 int32; max_retry_count 2 int32; exception 3 RpcException
InvocationResponse: invocation_id 1 string; output_data 2 *ParameterBinding; result 3 StatusResult;
  return_value 4 TypedData
ParameterBinding: name 1 string; oneof rpc_data; data 2 TypedData; rpc_shared_memory 3 RpcSharedMemory
RpcSharedMemory: name 1 string; offset 2 int64; count 3 int64
TypedData: oneof data; string 1 string; json 2 string; bytes 3 bytes; stream 4 bytes; http 5 RpcHttp; int 6 sint64;
  double 7 double; collection_bytes 8 CollectionBytes; collection_string 9 CollectionString;
  collection_double 10 CollectionDouble; collection_sint64 11 CollectionSInt64; model_binding_data 12 ModelBindingData;
  collection_model_binding_data 13 CollectionModelBindingData
CollectionBytes: bytes 1 *bytes
CollectionString: string 1 *string
CollectionDouble: double 1 *double
CollectionSInt64: sint64 1 *sint64
ModelBindingData: version 1 string; source 2 string; content_type 3 string; content 4 bytes
CollectionModelBindingData: model_binding_data 1 *ModelBindingData
RpcHttp: method 1 string; url 2 string; headers 3 @string; body 4 TypedData; params 10 @string; status_code 12 string;
  query 15 @string; enable_content_negotiation 16 bool; rawBody 17 TypedData; identities 18 *RpcClaimsIdentity;
  cookies 19 *RpcHttpCookie; nullable_headers 20 @NullableString; nullable_params 21 @NullableString;
  nullable_query 22 @NullableString
RpcClaimsIdentity: authentication_type 1 NullableString; name_claim_type 2 NullableString;
  role_claim_type 3 NullableString; claims 4 *RpcClaim
RpcClaim: value 1 string; type 2 string
RpcHttpCookie: name 1 string; value 2 string; domain 3 NullableString; path 4 NullableString;
  expires 5 NullableTimestamp; secure 6 NullableBool; http_only 7 NullableBool; same_site 8 RpcHttpCookie.SameSite;
  max_age 9 NullableDouble
NullableString: oneof string; value 1 string
NullableDouble: oneof double; value 1 double
NullableBool: oneof bool; value 1 bool
NullableTimestamp: oneof timestamp; value 1 Timestamp
"""

ENUMS = {
    "StatusResult.Status": ("Failure", "Success", "Cancelled"),
    "RpcRetryOptions.RetryStrategy": ("exponential_backoff", "fixed_delay"),
    "BindingInfo.Direction": ("in", "out", "inout"),
    "BindingInfo.DataType": ("undefined", "string", "binary", "stream"),
    "RpcHttpCookie.SameSite": ("None", "Lax", "Strict", "ExplicitNone"),
}

_SCALARS = {
    "string": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "bool": Field.TYPE_BOOL,
    "int32": Field.TYPE_INT32,
    "int64": Field.TYPE_INT64,
    "sint64": Field.TYPE_SINT64,
    "double": Field.TYPE_DOUBLE,
}
_IMPORTED = {"Duration": duration_pb2, "Timestamp": timestamp_pb2}
_LENGTH = struct.Struct(">I")


class Protos:
    """The message classes as attributes, as the worker's libraries take them (`properties["protos"]`)."""

    def __init__(self) -> None:
        pool = descriptor_pool.DescriptorPool()
        for module in _IMPORTED.values():
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        pool.Add(_file())
        for name in _tables():
            made = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
            setattr(self, name, made)
        self.Timestamp = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.Timestamp"))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the table of messages has no {name}")


def _tables() -> dict[str, str]:
    blocks = MESSAGES.replace("\n  ", " ").strip().splitlines()
    return {name: fields.strip() for name, _, fields in (block.partition(":") for block in blocks)}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="FunctionRpc.proto", package=PACKAGE, syntax="proto3")
    file.dependency.extend(module.DESCRIPTOR.name for module in _IMPORTED.values())
    for name, fields in _tables().items():
        message = file.message_type.add(name=name)
        for enum, values in ENUMS.items():
            if enum.startswith(f"{name}."):
                made = message.enum_type.add(name=enum.partition(".")[2])
                for number, value in enumerate(values):
                    made.value.add(name=value, number=number)
        _add_fields(message, fields)
    return file


def _add_fields(message: descriptor_pb2.DescriptorProto, fields: str) -> None:
    for text in filter(None, map(str.strip, fields.split(";"))):
        if text.startswith("oneof "):
            message.oneof_decl.add(name=text.removeprefix("oneof "))
            continue
        name, number, kind = text.split()
        field = message.field.add(name=name, number=int(number), label=Field.LABEL_OPTIONAL)
        if kind.startswith("@"):
            entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING)
            _type(entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL), kind[1:])
            field.label, field.type = Field.LABEL_REPEATED, Field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
            continue
        if kind.startswith("*"):
            field.label = Field.LABEL_REPEATED
        elif message.oneof_decl:
            field.oneof_index = len(message.oneof_decl) - 1
        _type(field, kind.removeprefix("*"))


def _type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    elif kind in _IMPORTED:
        field.type, field.type_name = Field.TYPE_MESSAGE, f".google.protobuf.{kind}"
    else:
        field.type = Field.TYPE_ENUM if kind in ENUMS else Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"


PROTOS: Any = Protos()


async def read(stream: asyncio.StreamReader) -> Any:
    """The next StreamingMessage, or None when the other end is gone. On the platform it is gRPC that frames them."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        return PROTOS.StreamingMessage.FromString(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def write(stream: asyncio.StreamWriter, message: Any) -> None:
    data = message.SerializeToString()
    stream.write(_LENGTH.pack(len(data)) + data)


def load_request(metadata: Any) -> Any:
    """The host's request to load one function; of its metadata it sends no language and no raw bindings back."""
    small = PROTOS.RpcFunctionMetadata(
        name=metadata.name,
        directory=metadata.directory,
        script_file=metadata.script_file,
        entry_point=metadata.entry_point,
        properties={"worker_indexed": "True", "FunctionId": metadata.function_id},
    )
    for name, binding in metadata.bindings.items():
        small.bindings[name].CopyFrom(PROTOS.BindingInfo(type=binding.type, direction=binding.direction))
    return PROTOS.FunctionLoadRequest(function_id=metadata.function_id, metadata=small)
