"""What is written down about every request: counters, a line of the log, a span."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.http.errors import read_traceparent
from danmatte.http.request_keys import CODE, PART_CODES, REQUEST_ID, SENT_BYTES, TIMING, TRACEPARENT, identify_caller
from danmatte.telemetry.log import AccessLog
from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.tracing import Traces

LEFT = 499  # what nginx logs when a caller didn't wait


@dataclass(frozen=True)
class Observers:
    """Where every request is written down, whatever it came over."""

    metrics: Metrics
    lines: AccessLog | None = None
    traces: Traces | None = None

    def close(self) -> None:
        """Has what was observed written and sent, which may take seconds."""
        for observer in (self.lines, self.traces):
            if observer:
                observer.close()


def observe_requests(observers: Observers, protocols: Mapping[str, str]) -> Middleware:
    """The outermost middleware; handlers leave their Timing in `request[TIMING]`.

    `protocols` are names by the prefixes of paths; the longest prefix counts.
    """
    metrics, log, traces = observers.metrics, observers.lines, observers.traces

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        trace = None
        if traces:
            parent, state = read_traceparent(request.headers), request.headers.get("tracestate", "")
            trace = traces.begin(f"{request.method} {_find_route(request)}", parent, state)
            request[TRACEPARENT] = trace.traceparent
        status, size = LEFT, 0
        try:
            response = await handler(request)
            status, size = response.status, request.get(SENT_BYTES, response.content_length or 0)
            return response
        finally:
            total_s = time.perf_counter() - began
            protocol = find_protocol(request, protocols)
            _count(metrics, request, protocol, status, total_s)
            if log:
                log.write(_build_line(request, protocol, status, size, total_s))
            if trace:
                attributes: dict[str, str | int] = {
                    "http.request.method": request.method,
                    "http.route": _find_route(request),
                    "http.response.status_code": status,
                    "matting.protocol": protocol,
                }
                trace.end(request.get(TIMING), attributes, failed=status >= 500)

    return observe


def find_protocol(request: web.Request, protocols: Mapping[str, str]) -> str:
    """The name of the protocol of a request's path, `pages` for whatever isn't one, `none` where nothing is."""
    if request.match_info.http_exception is not None:
        return "none"
    fitting = [prefix for prefix in protocols if request.path.startswith(prefix)]
    return protocols[max(fitting, key=len)] if fitting else "pages"


def _count(metrics: Metrics, request: web.Request, protocol: str, status: int, total_s: float) -> None:
    if status == LEFT:
        metrics.count_left(protocol)
    else:
        metrics.count_answer(protocol, status, request.get(TIMING), total_s)
    for code in (*([request[CODE]] if CODE in request else []), *request.get(PART_CODES, [])):
        metrics.count_rejection(code)


def _build_line(request: web.Request, protocol: str, status: int, size: int, total_s: float) -> dict[str, object]:
    timing = request.get(TIMING)
    received = request.content_length or 0  # as it was said to come, or as it came when nothing was said
    if request.content_length is None and request.body_exists:
        received = request.content.total_raw_bytes
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": request.get(REQUEST_ID, ""),
        "caller": identify_caller(request),
        "method": request.method,
        "path": request.path,
        "protocol": protocol,
        "status": status,
        "code": request.get(CODE, ""),
        "received_bytes": received,
        "sent_bytes": size,
        "total_ms": round(total_s * 1e3, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in (timing.phases_ms if timing else {}).items()},
        "traceparent": request.get(TRACEPARENT, "") or read_traceparent(request.headers),
    }


def _find_route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"
