"""Headers of all responses, and the JSON format of errors."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from danmatte.http.errors import catch_errors
from tests.service.conftest import Start

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/v1/mattes/", 404, "not_found"),
        ("GET", "/v1/mattes", 405, "method_not_allowed"),
        ("PUT", "/v1/mattes", 405, "method_not_allowed"),
        ("POST", "/v2/health/live", 405, "method_not_allowed"),
    ],
)
async def test_errors_of_the_framework_have_the_common_json_format(
    start: Start, method: str, path: str, status: int, code: str
) -> None:
    answer = await (await start()).request(method, path)
    refusal = await answer.json()
    assert set(refusal) == {"error", "code", "status", "request_id"}
    assert (answer.status, refusal["status"], refusal["code"]) == (status, status, code)
    assert method in refusal["error"]
    assert ("Allow" in answer.headers) == (status == 405)


async def test_a_valid_request_id_is_returned_and_an_invalid_one_replaced(start: Start) -> None:
    client = await start()
    answer = await client.get("/nowhere", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == (await answer.json())["request_id"] == "abc-1"
    for bad in ("x" * 65, "a b", "<script>"):
        answer = await client.get("/nowhere", headers={"X-Request-Id": bad})
        assert len(answer.headers["X-Request-Id"]) == 32


async def test_a_valid_traceparent_is_returned(start: Start) -> None:
    client = await start()
    for path in ("/v2/health/live", "/nowhere"):
        answer = await client.get(path, headers={"traceparent": TRACE})
        assert answer.headers["traceparent"] == TRACE


@pytest.mark.parametrize(
    "trace", ["", "rubbish", TRACE.upper(), TRACE + "-x", "00-" + "0" * 32 + TRACE[35:], "ff" + TRACE[2:]]
)
async def test_an_invalid_traceparent_is_dropped(start: Start, trace: str) -> None:
    answer = await (await start()).get("/v2/health/live", headers={"traceparent": trace})
    assert answer.status == 200
    assert "traceparent" not in answer.headers


async def test_an_unexpected_exception_is_logged_and_not_revealed_to_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: web.Request) -> web.Response:
        raise KeyError("secret")

    app = web.Application(middlewares=[catch_errors])
    app.router.add_get("/", broken)
    async with TestClient(TestServer(app)) as client:
        with caplog.at_level(logging.ERROR, "danmatte"):
            answer = await client.get("/")
        refusal = await answer.json()
    assert (answer.status, refusal["code"]) == (500, "internal_error")
    assert "secret" not in refusal["error"]
    assert "secret" in caplog.text
    assert refusal["request_id"] in caplog.text
