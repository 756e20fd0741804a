"""OpenTelemetry traces, sent to a collector over HTTP; the libraries are imported only if tracing is enabled."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from danmatte.errors import MissingExtraError
from danmatte.telemetry.timing import Timing

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_PATH = "/v1/traces"  # the path of OTLP/HTTP
_EXPORT_S = 3.0


class Traces:
    """Sends spans in batches from a background thread; they are dropped if the collector can't be reached."""

    def __init__(self, endpoint: str, exporter: Any = None) -> None:
        """`exporter` replaces the OTLP exporter. Raises MissingExtraError if the libraries aren't installed."""
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
        """Start the span of a request, as a child of the client's trace if it sent one (W3C Trace Context)."""
        return Trace(self._tracer, name, traceparent, tracestate)

    def close(self) -> None:
        """Send the remaining spans, which may take seconds."""
        self._provider.shutdown()


class Trace:
    """The span of one request. The spans of its phases are created at its end from the timing."""

    def __init__(self, tracer: "Tracer", name: str, traceparent: str, tracestate: str) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent, "tracestate": tracestate})
        self._tracer = tracer
        self._span = tracer.start_span(name, parent, SpanKind.SERVER)
        context = self._span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, timing: Timing | None, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """End the span, and add a child span for every phase."""
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
