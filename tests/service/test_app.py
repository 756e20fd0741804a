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


async def test_several_frames_are_in_flight_at_once(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.2, in_flight=8)
    began = time.monotonic()
    answers = await asyncio.gather(*(client.post("/v1/mattes", data=jpeg) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert time.monotonic() - began < 8 * 0.2


async def test_overload_is_refused_with_a_time_to_return(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.3, queue=2, in_flight=1)
    answers = await asyncio.gather(*(client.post("/v1/mattes", data=jpeg) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [200] * 2 + [429] * 4
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await refused.json())["code"] == "queue_full"
    assert (await client.post("/v1/mattes", data=jpeg)).status == 200


async def test_a_late_answer_is_an_error(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=5, deadline_s=0.2)
    answer = await client.post("/v1/mattes", data=jpeg)
    assert (answer.status, (await answer.json())["code"]) == (503, "deadline_exceeded")
    assert "Retry-After" in answer.headers


async def test_a_failed_inference_is_answered_at_once(models: Path, jpeg: bytes) -> None:
    class Failing(FakeEngine):
        def compute(self, inputs: Arrays) -> Arrays:
            raise EngineError("no more memory")

    app = build(Settings.read(None, models=str(models), deadline_s=60), lambda found: Failing(found.manifest))
    async with TestClient(TestServer(app)) as client, asyncio.timeout(10):
        answer = await client.post("/v1/mattes", data=jpeg)
        assert (answer.status, (await answer.json())["code"]) == (500, "engine_failed")


@pytest.mark.parametrize("real", [False, True])
async def test_neighbours_survive_a_leaving_caller(start: Start, jpeg: bytes, real: bool) -> None:
    client = await start(delay_s=0.3, queue=6, in_flight=2, real=real)
    staying = [asyncio.create_task(client.post("/v1/mattes", data=jpeg)) for _ in range(3)]
    leaving = [asyncio.create_task(client.post("/v1/mattes", data=jpeg)) for _ in range(3)]
    await asyncio.sleep(0.1)
    for task in leaving:
        task.cancel()
    assert [answer.status for answer in await asyncio.gather(*staying)] == [200] * 3


async def test_a_leaving_caller_frees_its_place(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=60, deadline_s=60, queue=1)
    leaving = asyncio.create_task(client.post("/v1/mattes", data=jpeg))
    await until(lambda: client.app[ADMISSION].occupied == 1)
    leaving.cancel()
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def test_draining_refuses_the_new_and_answers_the_old(start: Start, jpeg: bytes) -> None:
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
    answer = await old
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert await draining


async def test_a_held_loop_is_noticed() -> None:
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
        with urlopen(request, timeout=20) as answer:
            return answer.status, {}
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


async def test_sigterm_answers_what_was_accepted_and_exits_with_zero(
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


async def test_stopping_takes_no_longer_than_it_may(models: Path) -> None:
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
async def test_permits_go_by_the_cores_and_leave_half_of_the_places_to_who_waits(
    models: Path, settings: dict[str, int], permits: int
) -> None:
    app = build(Settings.read(None, models=str(models), **settings), lambda found: FakeEngine(found.manifest))
    async with app[ADMISSION].place(long_lived=True) as place, contextlib.AsyncExitStack() as inside:
        for _ in range(permits):
            await inside.enter_async_context(place.permit(Timing()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), place.permit(Timing()):
                pass
