"""Life cycle of a server: concurrent requests, overload, cancelled requests, and signals."""

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from aiohttp.test_utils import TestClient, TestServer

from danmatte.app import ADMISSION, build
from danmatte.engine import Arrays, FakeEngine
from danmatte.errors import EngineError
from danmatte.settings import Settings
from danmatte.telemetry.timing import Timing
from tests.service.conftest import Start, watched_loop
from tests.service.serving import program


async def test_frames_are_processed_concurrently(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.2, in_flight=8)
    began = time.monotonic()
    responses = await asyncio.gather(*(client.post("/v1/mattes", data=jpeg) for _ in range(8)))
    assert [response.status for response in responses] == [200] * 8
    assert time.monotonic() - began < 8 * 0.2


async def test_requests_beyond_the_queue_are_rejected_with_retry_after(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.3, queue=2, in_flight=1)
    responses = await asyncio.gather(*(client.post("/v1/mattes", data=jpeg) for _ in range(6)))
    assert sorted(response.status for response in responses) == [200] * 2 + [429] * 4
    refused = next(response for response in responses if response.status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await refused.json())["code"] == "queue_full"
    assert (await client.post("/v1/mattes", data=jpeg)).status == 200


async def test_a_response_that_misses_its_deadline_is_an_error(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=5, deadline_s=0.2)
    response = await client.post("/v1/mattes", data=jpeg)
    assert (response.status, (await response.json())["code"]) == (503, "deadline_exceeded")
    assert "Retry-After" in response.headers


async def test_a_failed_inference_is_reported_without_waiting_for_the_deadline(models: Path, jpeg: bytes) -> None:
    class Failing(FakeEngine):
        def compute(self, inputs: Arrays) -> Arrays:
            raise EngineError("no more memory")

    app = build(Settings.read(None, models=str(models), deadline_s=60), lambda found: Failing(found.manifest))
    async with TestClient(TestServer(app)) as client, asyncio.timeout(10):
        response = await client.post("/v1/mattes", data=jpeg)
        assert (response.status, (await response.json())["code"]) == (500, "engine_failed")


@pytest.mark.parametrize("real", [False, True])
async def test_neighbours_survive_a_cancelled_caller(start: Start, jpeg: bytes, real: bool) -> None:
    client = await start(delay_s=0.3, queue=6, in_flight=2, real=real)
    neighbours = [asyncio.create_task(client.post("/v1/mattes", data=jpeg)) for _ in range(3)]
    cancelled = [asyncio.create_task(client.post("/v1/mattes", data=jpeg)) for _ in range(3)]
    await asyncio.sleep(0.1)
    for task in cancelled:
        task.cancel()
    assert [response.status for response in await asyncio.gather(*neighbours)] == [200] * 3


async def test_a_cancelled_caller_frees_its_place_in_the_queue(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=60, deadline_s=60, queue=1)
    cancelled = asyncio.create_task(client.post("/v1/mattes", data=jpeg))
    await until(lambda: client.app[ADMISSION].occupied == 1)
    cancelled.cancel()
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def test_a_draining_server_rejects_new_requests_and_finishes_accepted_ones(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.4)
    assert await (await client.get("/v2/health/ready")).json() == {"ready": True}
    old = asyncio.create_task(client.post("/v1/mattes", data=jpeg))
    await until(lambda: client.app[ADMISSION].occupied == 1)
    draining = asyncio.create_task(client.app[ADMISSION].drain(10))
    await asyncio.sleep(0)
    new = await client.post("/v1/mattes", data=jpeg)
    assert (new.status, (await new.json())["code"]) == (503, "draining")
    assert "Retry-After" in new.headers
    assert new.headers["Connection"] == "close"
    ready = await client.get("/v2/health/ready")
    assert (ready.status, await ready.json()) == (503, {"ready": False})
    assert (await client.get("/v2/health/live")).status == 200
    response = await old
    assert (response.status, response.headers["Connection"]) == (200, "close")
    assert await draining


async def test_computing_on_the_event_loop_is_detected() -> None:
    def compute() -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass

    async def held() -> None:
        with watched_loop():
            asyncio.get_running_loop().call_soon(compute)
            await asyncio.sleep(0.01)

    with pytest.raises(AssertionError, match="compute"):
        await held()


async def until(condition) -> None:
    """Wait for a condition, at most a few seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


def post(address: str, body: bytes) -> tuple[int, dict]:
    """Return the status, and the error if it is one."""
    request = Request(f"{address}/v1/mattes", body, {"Content-Type": "image/jpeg"})
    try:
        with urlopen(request, timeout=20) as response:
            return response.status, {}
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


async def test_on_sigterm_accepted_requests_are_finished_and_the_exit_code_is_0(
    process: tuple[subprocess.Popen[str], str], jpeg: bytes
) -> None:
    server, address = process
    assert await asyncio.to_thread(post, address, jpeg) == (200, {})
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + jpeg[:100])  # accepted, because its body has begun
    await writer.drain()
    await asyncio.sleep(0.3)
    server.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    status, refusal = await asyncio.to_thread(post, address, jpeg)
    assert (status, refusal["code"]) == (503, "draining")
    writer.write(jpeg[100:])
    assert (await reader.readline()).split()[1] == b"200"
    assert (await reader.read()).endswith(b"IEND\xaeB`\x82")
    writer.close()
    assert await asyncio.to_thread(server.wait, 10) == 0


async def test_stopping_takes_at_most_the_drain_time(models: Path) -> None:
    with program(models, "--drain-s", "2") as (server, address):
        host, port = address.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow")
        await writer.drain()
        await asyncio.sleep(0.3)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait, 20) == 0
        assert 2 <= time.monotonic() - began < 3.8
        writer.close()


@pytest.mark.parametrize(
    ("settings", "permits"),
    [({"cores": 1}, 4), ({"cores": 2}, 8), ({"cores": 64}, 256), ({"queue": 1}, 1), ({"in_flight": 5, "queue": 6}, 5)],
)
async def test_the_number_of_permits_follows_the_cores_and_the_queue(
    models: Path, settings: dict[str, int], permits: int
) -> None:
    app = build(Settings.read(None, models=str(models), **settings), lambda found: FakeEngine(found.manifest))
    async with app[ADMISSION].place(long_lived=True) as place, contextlib.AsyncExitStack() as inside:
        for _ in range(permits):
            await inside.enter_async_context(place.permit(Timing()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), place.permit(Timing()):
                pass
