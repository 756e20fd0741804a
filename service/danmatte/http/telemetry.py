"""What is written down about every request: counters, a line of the log, a span."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.http.caller import caller
from danmatte.http.errors import traceparent
from danmatte.http.request_keys import CODE, PART_CODES, REQUEST_ID, SENT_BYTES, TIMING, TRACEPARENT
from danmatte.telemetry.access_log import AccessLog
from danmatte.telemetry.metrics import Metrics, Timing
from danmatte.telemetry.tracing import Trace, Traces

LEFT = 499  # what nginx logs when a caller didn't wait
# The longest prefix names the protocol.
_PROTOCOLS = {
    "/v1/mattes": "mattes",
    "/v1/stream": "live",
    "/v1/models": "models",
    "/v1/models/": "tfs",
    "/v2": "v2",
    "/v2/health": "health",
    "/metrics": "metrics",
}


@dataclass(frozen=True)
class Observers:
    """Who is told of every request, whatever it came over."""

    metrics: Metrics
    lines: AccessLog | None = None
    traces: Traces | None = None


def observation(observers: Observers) -> Middleware:
    """The outermost middleware; handlers leave their Timing in `request["timing"]`."""
    metrics, log, traces = observers.metrics, observers.lines, observers.traces

    @web.middleware
    async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        trace = _begun(traces, request) if traces else None
        if trace:
            request[TRACEPARENT] = trace.traceparent
        status, size = LEFT, 0
        try:
            response = await handler(request)
            status, size = response.status, request.get(SENT_BYTES, response.content_length or 0)
            return response
        finally:
            total_s = time.perf_counter() - began
            _count(metrics, request, status, total_s)
            if log:
                log.write(_line(request, status, size, total_s))
            if trace:
                _end(trace, request, status)

    return observed


def protocol(request: web.Request) -> str:
    """The protocol of a request's path, `pages` for whatever isn't one, `none` where nothing is."""
    if request.match_info.http_exception is not None:
        return "none"
    fitting = [prefix for prefix in _PROTOCOLS if request.path.startswith(prefix)]
    return _PROTOCOLS[max(fitting, key=len)] if fitting else "pages"


def _count(metrics: Metrics, request: web.Request, status: int, total_s: float) -> None:
    timing: Timing | None = request.get(TIMING)
    if status == LEFT:
        metrics.left(protocol(request))
    else:
        metrics.answered(protocol(request), status, timing, total_s)
    for code in (*([request[CODE]] if CODE in request else []), *request.get(PART_CODES, [])):
        metrics.rejected(code)


def _line(request: web.Request, status: int, size: int, total_s: float) -> dict[str, object]:
    timing: Timing | None = request.get(TIMING)
    phases = timing.phases_ms if timing else {}
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": request.get(REQUEST_ID, ""),
        "caller": caller(request),
        "method": request.method,
        "path": request.path,
        "protocol": protocol(request),
        "status": status,
        "code": request.get(CODE, ""),
        "received_bytes": _received(request),
        "sent_bytes": size,
        "total_ms": round(total_s * 1e3, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in phases.items()},
        "traceparent": request.get(TRACEPARENT, "") or traceparent(request.headers),
    }


def _received(request: web.Request) -> int:
    """The body's bytes as they were said to come, or as they came when nothing was said."""
    if request.content_length is None and request.body_exists:
        return request.content.total_raw_bytes
    return request.content_length or 0


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


def _begun(traces: Traces, request: web.Request) -> Trace:
    headers = request.headers
    return traces.begin(f"{request.method} {_route(request)}", traceparent(headers), headers.get("tracestate", ""))


def _end(trace: Trace, request: web.Request, status: int) -> None:
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "http.route": _route(request),
        "http.response.status_code": status,
        "matting.protocol": protocol(request),
    }
    trace.end(request.get(TIMING), attributes, failed=status >= 500)
