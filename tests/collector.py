"""An OpenTelemetry collector: OTLP over HTTP on loopback, decoded with the protocol's own messages, keeping what it takes."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")


@dataclass
class Taken:
    """Spans and metrics as messages, in the order in which they came; `resources` and `headers` of each request."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def values(self, metric: str) -> dict[tuple[str, ...], float]:
        """The last value (or the count) of every series of a metric, by the values of its attributes."""
        found: dict[tuple[str, ...], float] = {}
        for each in (each for each in self.metrics if each.name == metric):
            for point in getattr(each, each.WhichOneof("data")).data_points:
                given = attributes(point)
                value = point.count if each.HasField("histogram") else point.as_double or point.as_int
                found[tuple(str(given[name]) for name in sorted(given))] = value
        return found


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in of.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def _decoded[T](body: bytes, message: T) -> T:
    """Strict: a field or a type that OTLP does not have raises. OTLP writes ids in hex, protobuf's JSON in base64."""

    def ids(found: dict[str, Any]) -> dict[str, Any]:
        hexed = {key: base64.b64encode(bytes.fromhex(found[key])).decode() for key in IDS if found.get(key)}
        return found | hexed

    json_format.ParseDict(json.loads(body, object_hook=ids), message)
    return message


@asynccontextmanager
async def collector() -> AsyncIterator[Taken]:
    taken = Taken()

    async def traces(request: web.Request) -> web.Response:
        taken.headers.append(dict(request.headers))
        for each in _decoded(await request.read(), ExportTraceServiceRequest()).resource_spans:
            taken.resources.append(attributes(each.resource))
            taken.spans += [span for scope in each.scope_spans for span in scope.spans]
        return web.json_response({})

    async def metrics(request: web.Request) -> web.Response:
        for each in _decoded(await request.read(), ExportMetricsServiceRequest()).resource_metrics:
            taken.metrics += [metric for scope in each.scope_metrics for metric in scope.metrics]
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.post("/v1/traces", traces), web.post("/v1/metrics", metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    taken.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield taken
    finally:
        await runner.cleanup()
