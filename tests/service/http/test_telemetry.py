"""Telemetry of requests: access log and metrics."""

import gzip
import json
import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from danmatte.api.mattes import MattesRoutes
from danmatte.http.errors import catch_errors
from danmatte.http.request_keys import TIMING
from danmatte.http.telemetry import Observers, observe_requests
from danmatte.telemetry.log import AccessLog
from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.timing import Timing
from tests.service.conftest import Start

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def answer(request: web.Request) -> web.Response:
    """Return a response with a timed phase."""
    timing = request[TIMING] = Timing()
    with timing.phase("infer"):
        return web.Response(body=b"12345")


async def record_request(path: str, headers: dict[str, str]) -> tuple[dict[str, object], str]:
    """Return the access log's line and the metrics after one request."""
    read, write = os.pipe()
    metrics, log = Metrics(), AccessLog(write)
    app = web.Application(
        middlewares=[observe_requests(Observers(metrics, log), dict(MattesRoutes.prefixes)), catch_errors]
    )
    app.router.add_get("/v1/mattes", answer)
    async with TestClient(TestServer(app)) as client:
        await (await client.get(path, headers=headers)).read()
    log.close()
    os.close(write)
    with os.fdopen(read) as lines:
        return json.loads(lines.read()), metrics.render().decode()


async def test_an_access_log_line_has_caller_request_and_durations_but_no_secrets() -> None:
    headers = {"X-Request-Id": "abc-1", "traceparent": TRACE, "Authorization": "Bearer secret"}
    line, page = await record_request("/v1/mattes?pts=secret", headers)
    assert (line["method"], line["path"], line["protocol"], line["status"]) == ("GET", "/v1/mattes", "mattes", 200)
    assert (line["request_id"], line["traceparent"], line["caller"]) == ("abc-1", TRACE, "127.0.0.1")
    assert line["sent_bytes"] == 5
    assert 0 <= line["infer_ms"] <= line["total_ms"]
    assert "secret" not in json.dumps(line)
    assert 'danmatte_requests_total{model="",outcome="answered",protocol="mattes",region="",version=""} 1.0' in page
    assert 'danmatte_phase_seconds_count{model="",phase="infer",region="",version=""} 1.0' in page
    assert 'danmatte_request_seconds_count{model="",protocol="mattes",region="",version=""} 1.0' in page


async def test_the_access_log_counts_bytes_of_bodies_without_a_length(
    start: Start, jpeg: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    client = await start(access_log="json")
    await (await client.post("/v1/mattes", data=chunks(jpeg))).read()
    zipped = gzip.compress(jpeg)
    await (await client.post("/v1/mattes", data=chunks(zipped), headers={"Content-Encoding": "gzip"})).read()
    form = FormData()
    form.add_field("1", jpeg, filename="x")
    parted = await (await client.post("/v1/mattes", data=form)).read()
    await client.close()
    chunked, unpacked, several = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (chunked["received_bytes"], unpacked["received_bytes"]) == (len(jpeg), len(zipped))
    assert several["sent_bytes"] == len(parted)


async def test_an_error_is_logged_and_counted_with_its_code() -> None:
    line, page = await record_request("/nowhere", {})
    assert (line["status"], line["code"], line["protocol"]) == (404, "not_found", "none")
    assert 'danmatte_requests_total{model="",outcome="refused",protocol="none",region="",version=""} 1.0' in page
    assert 'danmatte_rejected_total{code="not_found"} 1.0' in page


async def test_unknown_paths_add_no_time_series_to_the_metrics(start: Start) -> None:
    client = await start()
    before = len((await (await client.get("/metrics")).text()).splitlines())
    for number in range(20):
        await client.get(f"/v1/models/{number}/nowhere")
        await client.get(f"/nowhere/{number}")
    after = len((await (await client.get("/metrics")).text()).splitlines())
    assert after - before < 100


async def test_every_request_is_counted_once_with_its_outcome(start: Start, jpeg: bytes) -> None:
    client = await start(queue=1, in_flight=1)
    assert (await client.post("/v1/mattes", data=jpeg)).status == 200
    assert (await client.post("/v1/mattes", data=b"")).status == 400
    assert (await client.post("/v1/mattes?model=none", data=jpeg)).status == 404
    page = await (await client.get("/metrics")).text()
    assert (
        'danmatte_requests_total{model="toy",outcome="answered",protocol="mattes",region="person",version="2"} 1.0'
        in page
    )
    assert 'danmatte_requests_total{model="",outcome="refused",protocol="mattes",region="",version=""} 2.0' in page
    for code in ("bad_body", "unknown_model"):
        assert f'danmatte_rejected_total{{code="{code}"}} 1.0' in page
    for phase in ("queue", "decode", "infer", "encode"):
        assert f'danmatte_phase_seconds_count{{model="toy",phase="{phase}",region="person",version="2"}}' in page


@pytest.mark.parametrize("wrong", ["rubbish", ""])
async def test_an_invalid_traceparent_is_not_logged(wrong: str) -> None:
    line, _ = await record_request("/v1/mattes", {"traceparent": wrong})
    assert line["traceparent"] == ""
