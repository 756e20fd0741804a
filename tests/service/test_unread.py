"""Clients that send requests and never read: memory stays bounded, and other clients aren't affected."""

import asyncio
import math
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from danmatte.contract.cores import count_cores
from danmatte.messages import Offer
from tests.service.serving import program

LARGEST = 4096
QUERY = f"width={LARGEST}&height={LARGEST}&format=raw"
MOST_GROWTH = 256 * 2**20
LAST = 5  # requests of another client that are compared
# Before its own mask, a neighbour may wait for as many of the largest masks as there are permits, not for unread ones.
MOST_BEFORE = 4 * count_cores()


def measure_memory(server: subprocess.Popen[str]) -> int:
    """Return the peak memory of a process in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def request(path: str, body: bytes, **headers: str) -> bytes:
    """Return the bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post_one(jpeg: bytes) -> bytes:
    return request(f"/v1/mattes?{QUERY}", jpeg)


def post_parts(jpeg: bytes) -> bytes:
    part = b"--xyz\r\nContent-Disposition: form-data; name=1\r\n\r\n" + jpeg + b"\r\n"
    return request(f"/v1/mattes?{QUERY}", part * 8 + b"--xyz--\r\n", Content_Type="multipart/form-data; boundary=xyz")


def post_ahead(jpeg: bytes) -> bytes:
    """Send many requests on one connection, each with a large response, that need no place in the queue."""
    return b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 400


async def send_unread(port: int, data: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)  # the client's buffer is small, too
    writer.write(data)
    return writer


async def warm_up(url: str, jpeg: bytes) -> float:
    """Request some of the largest masks, two at once, because the process keeps their memory.

    Returns the seconds for the last two.
    """

    async def post(session: ClientSession) -> None:
        async with session.post(f"{url}/v1/mattes?{QUERY}", data=jpeg) as response:
            assert len(await response.read()) == LARGEST * LARGEST

    async with ClientSession() as session:
        for _ in range(3):
            began = time.monotonic()
            await asyncio.gather(post(session), post(session))
    return time.monotonic() - began


async def watch_neighbours(url: str, jpeg: bytes, done: asyncio.Event) -> list[float]:
    """Send requests from another loopback address until `done`, at least `LAST`, and return their durations."""
    took_s = list[float]()
    async with ClientSession(connector=TCPConnector(local_addr=("127.0.0.2", 0))) as session:
        while not done.is_set() or len(took_s) < LAST:
            began = time.monotonic()
            async with session.post(f"{url}/v1/mattes?width=320&height=180", data=jpeg) as response:
                await response.read()
                assert response.status == 200
            took_s.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
    return took_s


@pytest.mark.parametrize(
    ("build", "most_before"),
    [
        (post_one, MOST_BEFORE),
        (post_parts, MOST_BEFORE),
        (post_ahead, math.inf),  # these take as much of the event loop's time as 200 clients that read
    ],
)
async def test_unread_responses_take_limited_memory_and_do_not_delay_other_clients(
    models: Path, jpeg: bytes, build: Callable[[bytes], bytes], most_before: float
) -> None:
    with program(models) as (server, url):
        port, done = int(url.rpartition(":")[2]), asyncio.Event()
        largest_s = await warm_up(url, jpeg)
        before = measure_memory(server)
        neighbours = asyncio.create_task(watch_neighbours(url, jpeg, done))
        writers = await asyncio.gather(*(send_unread(port, build(jpeg)) for _ in range(200)))
        await asyncio.sleep(6)
        done.set()
        took_s = await neighbours
        grown = measure_memory(server) - before
        waited = statistics.median(took_s[-LAST:]) / largest_s
        print(
            f"\n{build.__name__}: grown by {grown / 2**20:.0f} MiB, {len(took_s)} neighbours, waited for {waited:.1f}"
        )
        for writer in writers:
            writer.transport.abort()
    assert grown <= MOST_GROWTH
    assert waited <= most_before


async def test_unread_live_masks_take_limited_memory(models: Path, jpeg: bytes) -> None:
    offer = Offer(1.0, jpeg).pack()
    with program(models, "--live-connections", "64") as (server, url):
        await warm_up(url, jpeg)
        before = measure_memory(server)
        async with ClientSession() as session:
            sockets = [await session.ws_connect(f"{url}/v1/stream?{QUERY}", autoping=False) for _ in range(64)]

            async def offer_often(socket) -> None:
                for _ in range(20):
                    await socket.send_bytes(offer)
                    await asyncio.sleep(0.1)

            for socket in sockets:
                socket._conn.protocol.pause_reading()
            await asyncio.gather(*map(offer_often, sockets), return_exceptions=True)
            grown = measure_memory(server) - before
            print(f"\nlive: grown by {grown / 2**20:.0f} MiB")
            for socket in sockets:
                socket._response.close()
    assert grown <= MOST_GROWTH
