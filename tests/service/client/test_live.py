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


async def test_answers_come_in_order_and_end_when_offers_do(start: Start, jpeg: bytes) -> None:
    async with Live(address(await start()), size=(320, 180)) as live:
        told = []
        live.offer(jpeg, 0)
        async for answer in live:
            told.append((answer.pts, answer.size, pictures.decoded(answer.body)[67, 180]))
            if answer.pts < 4:
                live.offer(jpeg, answer.pts + 1)
            else:
                live.end()
    assert told == [(pts, (320, 180), 255) for pts in range(5)]


async def test_raw_frames_are_offered_with_their_size(start: Start) -> None:
    async with Live(address(await start()), query={"format": "raw"}) as live:
        live.offer(pictures.rectangle(90, 160).tobytes(), 1, Picture.RGB24, (160, 90))
        live.end()
        assert [(answer.status, answer.size) async for answer in live] == [(200, (160, 90))]


async def test_every_offer_is_answered_or_said_to_be_skipped(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    async with Live(address(await start(held=gate, live_in_work=1))) as live:
        for pts in range(200):
            live.offer(jpeg, pts)
            await asyncio.sleep(0)
        live.end()
        gate.let(200)
        told = [pts async for answer in live for pts in (*answer.skipped, answer.pts)]
    assert told == list(range(200))
    assert live.losses == ()


async def test_a_refusal_is_raised_with_its_reason(start: Start) -> None:
    async with Live(address(await start()), query={"widht": "3"}) as live:
        with pytest.raises(RefusedError, match="did you mean 'width'") as refused:
            await anext(live)
    assert (refused.value.code, refused.value.status) == ("unknown_parameter", 400)


async def test_a_server_that_stays_away_is_given_up() -> None:
    async with Live(f"http://127.0.0.1:{unused_port()}", give_up_s=0.2) as live:
        live.offer(b"", 1)
        with pytest.raises(ConnectionError, match="not reached within"):
            await anext(live)


async def test_a_bad_frame_is_an_answer_too(start: Start, jpeg: bytes) -> None:
    async with Live(address(await start())) as live:
        live.offer(b"hello", 1)
        assert (await anext(live)).status == 415
        live.offer(jpeg, 2)
        assert (await anext(live)).status == 200


async def test_leaving_is_noticed_by_the_server(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate)
    async with Live(address(client)) as live:
        live.offer(jpeg, 1)
        await until(lambda: gate.waiting == 1)
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def test_an_idle_connection_is_made_again_with_the_next_offer(start: Start, jpeg: bytes) -> None:
    client = await start(live_idle_s=0.1)
    async with Live(address(client)) as live:
        for pts in range(2):
            live.offer(jpeg, pts)
            answer = await anext(live)
            assert (answer.pts, answer.skipped) == (pts, ())
            await until(lambda: not client.app[LIVE]._open)


async def restarted(app: web.Application, port: int) -> TestServer:
    """A server on this port."""
    server = TestServer(app, port=port)
    await server.start_server()
    return server


async def test_a_restarted_server_is_found_again_and_lost_frames_are_said(models: Path, jpeg: bytes) -> None:
    def app() -> web.Application:
        return build(Settings.read(None, models=str(models)), lambda found: FakeEngine(found.manifest))

    port = unused_port()
    first = await restarted(app(), port)
    async with Live(f"http://127.0.0.1:{port}") as live:
        live.offer(jpeg, 1)
        assert (await anext(live)).pts == 1
        await first.close()
        for pts in (2, 3, 4):
            live.offer(jpeg, pts)
        second = await restarted(app(), port)
        told = []
        while 4 not in told:
            answer = await anext(live)
            told += [*answer.skipped, answer.pts]
        live.end()
        assert [answer async for answer in live] == []
    await second.close()
    assert told == [2, 3, 4]


async def test_a_connection_that_breaks_loses_no_pts(jpeg: bytes) -> None:
    connections = 0

    async def rude(request: web.Request) -> web.WebSocketResponse:
        nonlocal connections
        connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        request.transport.abort()
        return socket

    app = web.Application()
    app.router.add_get("/v1/stream", rude)
    async with TestServer(app) as server, Live(str(server.make_url("/"))) as live:
        for pts in range(3):
            live.offer(jpeg, pts)
            await until(lambda pts=pts: connections == pts + 1 and len(live.losses) == pts + 1)
        assert live.losses == (0, 1, 2)


async def test_patience_counts_from_the_end_of_a_connection(jpeg: bytes) -> None:
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


async def test_a_busy_server_is_asked_again(start: Start, jpeg: bytes) -> None:
    url = address(await start(live_connections=1))
    async with AsyncExitStack() as later:
        async with Live(url) as first:
            first.offer(jpeg, 1)
            assert (await anext(first)).pts == 1
            second = await later.enter_async_context(Live(url))
            second.offer(jpeg, 2)
            await until(lambda: second._wait_s > _FIRST_WAIT_S)
        assert (await anext(second)).pts == 2


def test_a_client_needs_nothing_of_a_server() -> None:
    code = "import sys, danmatte.client; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "openvino", "msgspec", "PIL", "simplejpeg"}.intersection(run.stdout.split())
