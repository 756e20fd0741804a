"""Traces for OpenTelemetry, over HTTP to a collector; the libraries are imported only when this is wanted."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from danmatte.errors import MissingExtraError
from danmatte.telemetry.timing import Timing

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_PATH = "/v1/traces"  # OpenTelemetry protocol, OTLP/HTTP
_EXPORT_S = 3.0


class Traces:
    """Spans in batches, sent by a thread; when the collector is away they are dropped."""

    def __init__(self, endpoint: str, exporter: Any = None) -> None:
        """`exporter` replaces the one to the endpoint; raises MissingExtraError when the libraries aren't there."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise MissingExtraError("otlp_endpoint", "tracing", "OpenTelemetry") from error
        url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
        resource = Resource.create({"service.name": "danmatte"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = exporter or OTLPSpanExporter(url, timeout=_EXPORT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("danmatte")

    def begin(self, name: str, traceparent: str, tracestate: str = "") -> "Trace":
        """A request's span, within the caller's trace if it has one (W3C Trace Context)."""
        return Trace(self._tracer, name, traceparent, tracestate)

    def close(self) -> None:
        """Sends what is left; may take seconds."""
        self._provider.shutdown()


class Trace:
    """A span of one request. The spans of its phases are made at its end, from their timing."""

    def __init__(self, tracer: "Tracer", name: str, traceparent: str, tracestate: str) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent, "tracestate": tracestate})
        self._tracer = tracer
        self._span = tracer.start_span(name, parent, SpanKind.SERVER)
        context = self._span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, timing: Timing | None, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """Ends the span, with one below it for every phase."""
        from opentelemetry import trace

        below = trace.set_span_in_context(self._span)
        epoch_ns = time.time_ns() - time.perf_counter_ns()
        for phase, began, ended in timing.spans if timing else ():
            span = self._tracer.start_span(phase, below, start_time=epoch_ns + int(began * 1e9))
            span.end(epoch_ns + int(ended * 1e9))
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
