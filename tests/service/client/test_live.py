"""The live client with real servers, including ones that shut down."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from danmatte.app import ADMISSION, LIVE, build
from danmatte.client import Live, Picture, RefusedError
from danmatte.client.live import _FIRST_WAIT_S
from danmatte.engine import FakeEngine
from danmatte.settings import Settings
from tests.architecture.sources import ROOT
from tests.service import pictures
from tests.service.conftest import Start
from tests.service.held import Gate
from tests.service.test_app import until


def address(client) -> str:
    """Return the URL of a server."""
    return str(client.make_url("/"))


async def test_answers_keep_order_and_end_after_the_last_offer(start: Start, jpeg: bytes) -> None:
    async with Live(address(await start()), size=(320, 180)) as live:
        received = []
        live.offer(jpeg, 0)
        async for answer in live:
            received.append((answer.pts, answer.size, pictures.decoded(answer.body)[67, 180]))
            if answer.pts < 4:
                live.offer(jpeg, answer.pts + 1)
            else:
                live.end()
    assert received == [(pts, (320, 180), 255) for pts in range(5)]


async def test_raw_frames_are_offered_with_their_size(start: Start) -> None:
    async with Live(address(await start()), query={"format": "raw"}) as live:
        live.offer(pictures.rectangle(90, 160).tobytes(), 1, Picture.RGB24, (160, 90))
        live.end()
        assert [(answer.status, answer.size) async for answer in live] == [(200, (160, 90))]


async def test_every_offer_is_answered_or_reported_as_skipped(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    async with Live(address(await start(held=gate, live_in_work=1))) as live:
        for pts in range(200):
            live.offer(jpeg, pts)
            await asyncio.sleep(0)
        live.end()
        gate.let(200)
        received = [pts async for answer in live for pts in (*answer.skipped, answer.pts)]
    assert received == list(range(200))
    assert live.losses == ()


async def test_a_refused_connection_raises_an_error_with_code_and_status(start: Start) -> None:
    async with Live(address(await start()), query={"widht": "3"}) as live:
        with pytest.raises(RefusedError, match="did you mean 'width'") as refused:
            await anext(live)
    assert (refused.value.code, refused.value.status) == ("unknown_parameter", 400)


async def test_connecting_to_an_unreachable_server_times_out() -> None:
    async with Live(f"http://127.0.0.1:{unused_port()}", give_up_s=0.2) as live:
        live.offer(b"", 1)
        with pytest.raises(ConnectionError, match="not reached within"):
            await anext(live)


async def test_an_invalid_frame_gets_an_error_and_the_next_one_is_served(start: Start, jpeg: bytes) -> None:
    async with Live(address(await start())) as live:
        live.offer(b"hello", 1)
        assert (await anext(live)).status == 415
        live.offer(jpeg, 2)
        assert (await anext(live)).status == 200


async def test_closing_the_client_frees_its_place_on_the_server(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate)
    async with Live(address(client)) as live:
        live.offer(jpeg, 1)
        await until(lambda: gate.waiting == 1)
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def test_the_next_offer_reconnects_after_an_idle_disconnect(start: Start, jpeg: bytes) -> None:
    client = await start(live_idle_s=0.1)
    async with Live(address(client)) as live:
        for pts in range(2):
            live.offer(jpeg, pts)
            answer = await anext(live)
            assert (answer.pts, answer.skipped) == (pts, ())
            await until(lambda: not client.app[LIVE]._open)


async def start_server(app: web.Application, port: int) -> TestServer:
    """A server on this port."""
    server = TestServer(app, port=port)
    await server.start_server()
    return server


async def test_a_client_reconnects_to_a_restarted_server_and_reports_lost_frames(models: Path, jpeg: bytes) -> None:
    def app() -> web.Application:
        return build(Settings.read(None, models=str(models)), lambda found: FakeEngine(found.manifest))

    port = unused_port()
    first = await start_server(app(), port)
    async with Live(f"http://127.0.0.1:{port}") as live:
        live.offer(jpeg, 1)
        assert (await anext(live)).pts == 1
        await first.close()
        for pts in (2, 3, 4):
            live.offer(jpeg, pts)
        second = await start_server(app(), port)
        received = []
        while 4 not in received:
            answer = await anext(live)
            received += [*answer.skipped, answer.pts]
        live.end()
        assert [answer async for answer in live] == []
    await second.close()
    assert received == [2, 3, 4]


async def test_offers_on_a_broken_connection_are_reported_as_losses(jpeg: bytes) -> None:
    connections = 0

    async def disconnect(request: web.Request) -> web.WebSocketResponse:
        nonlocal connections
        connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        request.transport.abort()
        return socket

    app = web.Application()
    app.router.add_get("/v1/stream", disconnect)
    async with TestServer(app) as server, Live(str(server.make_url("/"))) as live:
        for pts in range(3):
            live.offer(jpeg, pts)
            await until(lambda pts=pts: connections == pts + 1 and len(live.losses) == pts + 1)
        assert live.losses == (0, 1, 2)


async def test_the_reconnect_timeout_starts_when_the_connection_is_lost(jpeg: bytes) -> None:
    connections, gone = 0, asyncio.Event()

    async def restarting(request: web.Request) -> web.WebSocketResponse:
        nonlocal connections
        connections += 1
        if connections == 2:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await (gone.wait() if connections == 1 else socket.receive())
        request.transport.abort()
        return socket

    app = web.Application()
    app.router.add_get("/v1/stream", restarting)
    async with TestServer(app) as server, Live(str(server.make_url("/"))) as live:
        live.offer(jpeg, 1)
        await until(lambda: live._sent)
        live._well -= 3600  # as if the connection was lost an hour ago
        gone.set()
        await until(lambda: connections == 3 or live._running.done())
        assert not live._running.done()


async def test_a_client_retries_a_server_that_is_full(start: Start, jpeg: bytes) -> None:
    url = address(await start(live_connections=1))
    async with AsyncExitStack() as later:
        async with Live(url) as first:
            first.offer(jpeg, 1)
            assert (await anext(first)).pts == 1
            second = await later.enter_async_context(Live(url))
            second.offer(jpeg, 2)
            await until(lambda: second._wait_s > _FIRST_WAIT_S)
        assert (await anext(second)).pts == 2


def test_importing_the_client_loads_no_server_dependencies() -> None:
    code = "import sys, danmatte.client; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "openvino", "msgspec", "PIL", "simplejpeg"}.intersection(run.stdout.split())
