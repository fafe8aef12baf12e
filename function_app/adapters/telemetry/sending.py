"""Spans and measures as OpenTelemetry's own, sent by its exporters (OTLP over HTTP, in JSON). Imported at the first use only.

Service name, further attributes of the resource, time-outs, compression and certificates the SDK reads of `OTEL_*` itself.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import batched

from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status, StatusCode, TraceFlags
from opentelemetry.trace import SpanContext as OtelContext

from function_app.adapters.telemetry.otlp import Collector
from function_app.reconcile.telemetry import FAILED, INSTRUMENTS, Instrument, Measure, Said, Span, SpanContext, of_span

NAME = "hopkeeper"
BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds: from an agent's answer to the longest wait for a fence."""
BATCH = 512
"""Spans of one request: a collector may take no more than 1 MiB."""

type Taking = Callable[[float, Mapping[str, Said]], None]


class SendingOverOtlp:
    def __init__(self, collector: Collector) -> None:
        # Each try that fails is a line of the exporters' own; the one of `otlp` is enough.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
        # Counters of several instances of the app are several series.
        ours = Resource({"service.name": NAME, "service.instance.id": uuid.uuid4().hex})
        self._resource = ours.merge(OTELResourceDetector().detect())
        headers = dict(collector.headers)
        self._spans = OTLPSpanExporter(endpoint=f"{collector.endpoint}/v1/traces", headers=headers)
        self._metrics = OTLPMetricExporter(endpoint=f"{collector.endpoint}/v1/metrics", headers=headers)
        self._reader = InMemoryMetricReader()
        provider = MeterProvider([self._reader], self._resource, shutdown_on_exit=False)
        meter = provider.get_meter(NAME)
        self._instruments = {each.name: _made(meter, each) for each in INSTRUMENTS}

    def send(self, taken: list[Span | Measure]) -> bool:
        """Whether the collector took it."""
        spans = [each for each in taken if isinstance(each, Span)]
        measures = [each for each in taken if isinstance(each, Measure)]
        for span in spans:
            measures += of_span(span)
        for measure in measures:
            self._instruments[measure.name](measure.value, _attributes(measure.said))
        found = self._reader.get_metrics_data()
        batches = (list(map(self._span, batch)) for batch in batched(spans, BATCH, strict=False))
        took = all(self._spans.export(batch) is SpanExportResult.SUCCESS for batch in batches)
        return took and (found is None or self._metrics.export(found) is MetricExportResult.SUCCESS)

    def _span(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            context=_context(span.context),
            parent=_context(span.parent) if span.parent else None,
            resource=self._resource,
            attributes=_attributes(span.said),
            links=[Link(_context(span.link))] if span.link else [],
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(),
            start_time=_nanoseconds(span.began),
            end_time=_nanoseconds(span.ended),
            instrumentation_scope=InstrumentationScope(NAME),
        )


def _made(meter: Meter, instrument: Instrument) -> Taking:
    named = {"name": instrument.name, "unit": instrument.unit, "description": instrument.says}
    match instrument.kind:
        case "gauge":
            return meter.create_gauge(**named).set
        case "counter":
            return meter.create_counter(**named).add
        case "histogram":
            return meter.create_histogram(**named, explicit_bucket_boundaries_advisory=BOUNDS).record


def _attributes(said: Mapping[str, Said]) -> dict[str, Said]:
    return {f"{NAME}.{key}": value for key, value in said.items() if key != FAILED}


def _context(context: SpanContext) -> OtelContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return OtelContext(int(context.trace, 16), int(context.span, 16), is_remote=False, trace_flags=sampled)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
