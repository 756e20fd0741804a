"""Spans of a request and its phases, as children of the client's trace."""

import gzip
import sys
import time
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from danmatte.errors import SettingsError
from danmatte.telemetry.timing import Timing
from danmatte.telemetry.tracing import Traces
from tests.service.serving import served

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def exporter():
    """Keeps spans in memory."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    return memory.InMemorySpanExporter()


def test_phases_are_child_spans_of_the_request_and_it_of_its_caller(exporter) -> None:
    traces = Traces("http://127.0.0.1:1", exporter)
    trace = traces.begin("POST /v1/mattes", PARENT, "rojo=1,congo=t61rcWkgMzE")
    timing = Timing()
    for phase in ("queue", "decode", "infer", "encode"):
        with timing.phase(phase):
            time.sleep(0.001)
    trace.end(timing, {"http.response.status_code": 200}, failed=False)
    traces.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    request = spans.pop("POST /v1/mattes")
    assert f"{request.context.trace_id:032x}" == PARENT[3:35]
    assert f"{request.parent.span_id:016x}" == PARENT[36:52]
    assert request.context.trace_state.to_header() == "rojo=1,congo=t61rcWkgMzE"
    assert trace.traceparent == f"00-{PARENT[3:35]}-{request.context.span_id:016x}-01"
    assert list(spans) == ["queue", "decode", "infer", "encode"]
    for span in spans.values():
        assert span.parent.span_id == request.context.span_id
        assert request.start_time - 1e6 <= span.start_time < span.end_time <= request.end_time + 1e6


def test_a_request_without_a_traceparent_starts_a_new_trace(exporter) -> None:
    traces = Traces("http://127.0.0.1:1", exporter)
    trace = traces.begin("GET /metrics", "")
    trace.end(None, {}, failed=True)
    traces.close()
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert span.status.status_code.name == "ERROR"


def test_a_trace_that_the_caller_does_not_sample_is_not_exported(exporter) -> None:
    traces = Traces("http://127.0.0.1:1", exporter)
    trace = traces.begin("POST /v1/mattes", PARENT[:-2] + "00")
    trace.end(None, {}, failed=False)
    traces.close()
    assert exporter.get_finished_spans() == ()
    assert trace.traceparent.endswith("-00")


def test_missing_tracing_packages_are_reported_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"danmatte\[tracing\]"):
        Traces("http://127.0.0.1:1")


async def test_a_collector_gets_the_spans_and_the_response_names_the_request_span(models: Path, jpeg: bytes) -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    sent = ExportTraceServiceRequest()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        sent.MergeFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", take)
    async with TestServer(collector) as running:  # noqa: SIM117 - the collector has to outlive the client
        async with served(models, otlp_endpoint=str(running.make_url("/"))) as server, ClientSession() as session:
            pending = session.post(f"{server.url}/v1/mattes", data=jpeg, headers={"traceparent": PARENT})
            async with pending as response:
                named = response.headers["traceparent"]
    spans = {span.name: span for part in sent.resource_spans for scope in part.scope_spans for span in scope.spans}
    assert set(spans) >= {"POST /v1/mattes", "queue", "decode", "infer", "encode"}
    request = spans["POST /v1/mattes"]
    assert named == f"00-{PARENT[3:35]}-{request.span_id.hex()}-01"
    assert request.parent_span_id.hex() == PARENT[36:52]
    assert {span.parent_span_id for name, span in spans.items() if name != request.name} == {request.span_id}
