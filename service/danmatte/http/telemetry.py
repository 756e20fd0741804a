"""Telemetry of every request: metrics, a line of the access log, and a span."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.http.errors import read_traceparent
from danmatte.http.request_keys import (
    CLOSED_CLEANLY,
    CODE,
    PART_CODES,
    REQUEST_ID,
    SENT_BYTES,
    TIMING,
    TRACEPARENT,
    find_address,
    find_identity,
)
from danmatte.telemetry.log import AccessLog
from danmatte.telemetry.metrics import Metrics, Traffic
from danmatte.telemetry.timing import Timing
from danmatte.telemetry.tracing import Traces

LEFT = 499  # nginx's status for a client that closed its connection before the response


@dataclass(frozen=True)
class Observers:
    """The metrics, access log and traces that record the requests of all protocols."""

    metrics: Metrics
    lines: AccessLog | None = None
    traces: Traces | None = None

    def close(self) -> None:
        """Flush the access log and the traces, which may take seconds."""
        for observer in (self.lines, self.traces):
            if observer:
                observer.close()


def observe_requests(observers: Observers, protocols: Mapping[str, str]) -> Middleware:
    """Return the outermost middleware, which records requests; handlers store their Timing in `request[TIMING]`.

    `protocols` maps prefixes of paths to names; the longest matching prefix wins.
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
            if request.get(CLOSED_CLEANLY):
                status = int(HTTPStatus.SWITCHING_PROTOCOLS)
            total_s = time.perf_counter() - began
            protocol = find_protocol(request, protocols)
            traffic = Traffic(_count_received(request), request.get(SENT_BYTES, size))
            _count(metrics, request, protocol, (status, traffic), total_s)
            if log:
                log.write(_build_line(request, protocol, status, traffic, total_s))
            if trace:
                attributes: dict[str, str | int] = {
                    **describe_version(request.get(TIMING)),
                    "http.request.method": request.method,
                    "http.route": _find_route(request),
                    "http.response.status_code": status,
                    "matting.protocol": protocol,
                }
                trace.end(request.get(TIMING), attributes, failed=status >= 500)

    return observe


def find_protocol(request: web.Request, protocols: Mapping[str, str]) -> str:
    """Return the name of the path's protocol, `pages` for other known paths, and `none` for unknown ones."""
    if request.match_info.http_exception is not None:
        return "none"
    fitting = [prefix for prefix in protocols if request.path.startswith(prefix)]
    return protocols[max(fitting, key=len)] if fitting else "pages"


def describe_version(timing: Timing | None) -> dict[str, str | int]:
    """Return model, version and region of a response, for its span and the access log."""
    timing = timing or Timing()
    return {"model": timing.model, "version": timing.version, "region": timing.region}


def _count_received(request: web.Request) -> int:
    """Return the size of the body: its declared length, or the received bytes if none was declared."""
    if request.content_length is None and request.body_exists:
        return request.content.total_raw_bytes
    return request.content_length or 0


def _count(metrics: Metrics, request: web.Request, protocol: str, ended: tuple[int, Traffic], total_s: float) -> None:
    status, traffic = ended
    if status == LEFT:
        metrics.count_left(protocol)
    else:
        metrics.count_answer(protocol, status, request.get(TIMING), total_s, traffic)
    for code in (*([request[CODE]] if CODE in request else []), *request.get(PART_CODES, [])):
        metrics.count_rejection(code)


def _build_line(
    request: web.Request, protocol: str, status: int, traffic: Traffic, total_s: float
) -> dict[str, object]:
    timing = request.get(TIMING)
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": request.get(REQUEST_ID, ""),
        "caller": find_identity(request).name or find_address(request),
        "method": request.method,
        "path": request.path,
        "protocol": protocol,
        "status": status,
        "code": request.get(CODE, ""),
        **describe_version(timing),
        "received_bytes": traffic.received,
        "sent_bytes": traffic.sent,
        "total_ms": round(total_s * 1e3, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in (timing.phases_ms if timing else {}).items()},
        "traceparent": request.get(TRACEPARENT, "") or read_traceparent(request.headers),
    }


def _find_route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"
