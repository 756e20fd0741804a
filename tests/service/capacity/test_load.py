"""The load generator with a server that the test delays: late responses don't delay further posts."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from danmatte.capacity.load import Target, run_closed, run_open


async def start(handler: Callable[[web.Request], object]) -> TestServer:
    app = web.Application()
    app.router.add_post("/v1/mattes", handler)
    server = TestServer(app)
    await server.start_server()
    return server


def make_target(server: TestServer) -> Target:
    return Target(str(server.make_url("/v1/mattes")), [b"one", b"two"], {"Content-Type": "image/jpeg"})


async def test_server_timing_entries_of_a_proxy_are_ignored() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            headers={"Server-Timing": 'edge;dur=9;desc="a", queue;dur=1.5, infer;dur=3.0, total;dur=50'}
        )

    server = await start(answer)
    (reply,) = await run_open(make_target(server), np.zeros(1))
    assert (reply.status, reply.queue_s, reply.thread_s) == (200, 0.0015, 0.003)
    await server.close()


async def test_an_open_loop_continues_to_send_while_no_responses_arrive() -> None:
    arrived, release = asyncio.Semaphore(0), asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        arrived.release()
        await release.wait()
        return web.Response(headers={"Server-Timing": "queue;dur=1.5, decode;dur=2.0, infer;dur=3.0"})

    server = await start(hold)
    run = asyncio.create_task(run_open(make_target(server), np.linspace(0, 0.05, 20)))
    for _ in range(20):  # all posts have arrived before the first response
        await asyncio.wait_for(arrived.acquire(), 20)
    release.set()
    replies = await run
    await server.close()
    assert [reply.status for reply in replies] == [200] * 20
    assert replies[0].thread_s == pytest.approx(0.005)
    assert replies[0].queue_s == pytest.approx(0.0015)


async def test_latency_is_measured_from_the_scheduled_time_of_a_post() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    server = await start(answer)
    overdue = np.array([-5.0, -3.0, 0.0])  # as if the generator hadn't got the CPU in time
    replies = await run_open(make_target(server), overdue)
    await server.close()
    assert replies[0].latency_s >= 5
    assert 3 <= replies[1].latency_s < replies[0].latency_s
    assert replies[2].latency_s < 3


async def test_a_closed_loop_limits_its_concurrent_posts() -> None:
    open_now, most, bodies = 0, 0, set()

    async def count(request: web.Request) -> web.Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        bodies.add(await request.read())
        await asyncio.sleep(0)
        open_now -= 1
        return web.Response(headers={"X-Model-Version": "7"})

    server = await start(count)
    replies, took_s = await run_closed(make_target(server), 3, 0.3)
    await server.close()
    assert 1 <= most <= 3
    assert bodies == {b"one", b"two"}
    assert took_s >= 0.3
    assert {reply.version for reply in replies} == {7}


async def test_a_closed_loop_can_pause_between_posts() -> None:
    moments = []

    async def note(request: web.Request) -> web.Response:
        await request.read()
        moments.append(time.perf_counter())
        return web.Response(headers={"X-Model-Version": "7"})

    server = await start(note)
    await run_closed(make_target(server), 1, 0.3, rest_s=0.1)
    await server.close()
    assert all(after - before >= 0.1 for before, after in pairwise(moments))


async def test_refused_and_unreachable_posts_are_recorded_as_replies() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=429)

    server = await start(refuse)
    target = make_target(server)
    refused = await run_open(target, np.zeros(2))
    await server.close()
    gone = await run_open(target, np.zeros(2))
    assert [reply.status for reply in refused + gone] == [429, 429, 0, 0]
