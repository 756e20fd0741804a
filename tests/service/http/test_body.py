"""Bodies that arrive at once, in pieces, before the handler reads them, or incompletely."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from danmatte.errors import ServiceError
from danmatte.http.body import read_body

MIB = 2**20
DATA = random.Random(0).randbytes(3 * MIB)


class Reader:
    """A handler that reads bodies, optionally after a delay, and records the results."""

    def __init__(self) -> None:
        self.after_s, self.outcome = 0.0, asyncio.Queue[bytes | BaseException]()
        self.held: list[int] = []

    async def post(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.after_s)
        try:
            self.outcome.put_nowait(await read_body(request, 1.0, "bytes", self.held.append))
        except (ServiceError, asyncio.CancelledError) as error:
            self.outcome.put_nowait(error)
            raise
        return web.Response()


@pytest.fixture
async def reader() -> AsyncIterator[tuple[Reader, Callable[[], Awaitable[asyncio.StreamWriter]]]]:
    """A reader of bodies of at most 4 MiB, and a connection to it."""
    reads = Reader()
    app = web.Application(client_max_size=4 * MIB)
    app.router.add_post("/", reads.post)
    async with TestServer(app) as server:

        async def line() -> asyncio.StreamWriter:
            _, writer = await asyncio.open_connection(server.host, server.port)
            return writer

        yield reads, line


async def outcome(reads: Reader) -> bytes | BaseException:
    async with asyncio.timeout(10):
        return await reads.outcome.get()


def head(length: int) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("size", [1, 100, 2**18, 2**19, 2**19 + 1, 789_507, 3 * MIB])
@pytest.mark.parametrize("after_s", [0.0, 0.1])
async def test_a_body_is_complete_whether_the_handler_reads_it_at_once_or_later(
    reader, size: int, after_s: float
) -> None:
    reads, line = reader
    reads.after_s = after_s
    writer = await line()
    for _ in range(2):  # on one connection
        writer.write(head(size) + DATA[:size])
        assert await outcome(reads) == DATA[:size]
    writer.close()


async def test_a_body_that_arrives_in_pieces_is_complete(reader) -> None:
    reads, line = reader
    writer = await line()
    writer.write(head(789_507))
    for start in range(0, 789_507, 100_000):
        writer.write(DATA[start : min(start + 100_000, 789_507)])
        await writer.drain()
        await asyncio.sleep(0.01)
    assert await outcome(reads) == DATA[:789_507]
    writer.close()


async def test_a_chunked_body_is_complete(reader) -> None:
    reads, line = reader
    writer = await line()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, 3 * MIB, MIB):
        writer.write(f"{MIB:x}\r\n".encode() + DATA[start : start + MIB] + b"\r\n")
    writer.write(b"0\r\n\r\n")
    assert await outcome(reads) == DATA
    writer.close()


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_arrives(reader) -> None:
    reads, line = reader
    writer = await line()
    writer.write(head(4 * MIB + 1))
    assert getattr(await outcome(reads), "code", "") == "body_too_large"
    writer.close()


async def test_a_body_that_stalls_times_out(reader) -> None:
    reads, line = reader
    writer = await line()
    writer.write(head(789_507) + DATA[:600_000])
    assert getattr(await outcome(reads), "code", "") == "body_timeout"
    writer.close()


@pytest.mark.parametrize("sent", [0, 100_000, 700_000])
async def test_reading_ends_when_the_client_disconnects_within_a_body(reader, sent: int) -> None:
    reads, line = reader
    writer = await line()
    writer.write(head(789_507) + DATA[:sent])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    ended = await outcome(reads)
    assert isinstance(ended, BaseException), ended
    assert getattr(ended, "code", "") != "body_timeout"
