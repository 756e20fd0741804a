"""Several workers on one socket: the one with the fewest connections accepts the next."""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

import pytest

from danmatte.http import shared_socket

SOON_S = 2 * shared_socket._MAX_S  # enough time for the previous connection to be accepted


class Worker:
    """A fake of aiohttp's server, which creates protocols and counts them."""

    def __init__(self, connections: int, taken: asyncio.Semaphore) -> None:
        self.connections: list[object] = [None] * connections
        self._taken = taken

    def __call__(self) -> asyncio.Protocol:
        self.connections.append(made := asyncio.Protocol())
        self._taken.release()
        return made


class Exhausted:
    """A listener whose process has no free file descriptor for the first connection."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener, self.refused = listener, 0

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if not self.refused:
            self.refused += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as made:
        made.setblocking(False)
        yield made


async def accept_one(taken: asyncio.Semaphore) -> None:
    async with asyncio.timeout(10):
        await taken.acquire()


@asynccontextmanager
async def run_worker(listener: socket.socket, worker: Worker) -> AsyncIterator[None]:
    """Run a worker with a separate descriptor of the socket, because a loop allows only one reader for each."""
    with listener.dup() as own:
        async with shared_socket.share(own, worker, None):  # type: ignore[arg-type]
            yield


@contextmanager
def burst(listener: socket.socket, count: int) -> Iterator[None]:
    """Open this many connections at once, before any is accepted."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        yield


async def test_the_worker_with_fewer_connections_accepts_the_next(listener: socket.socket) -> None:
    taken = asyncio.Semaphore(0)
    busy, idle = Worker(4, taken), Worker(0, taken)
    async with AsyncExitStack() as stack:
        for worker in (busy, idle):
            await stack.enter_async_context(run_worker(listener, worker))
        for _ in range(3):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            stack.push_async_callback(writer.wait_closed)
            stack.callback(writer.close)
            await accept_one(taken)
            await asyncio.sleep(SOON_S)
    assert (len(busy.connections), len(idle.connections)) == (4, 3)


async def test_a_single_worker_accepts_all_however_many_it_has(listener: socket.socket) -> None:
    taken = asyncio.Semaphore(0)
    worker = Worker(100, taken)
    async with run_worker(listener, worker):
        writers = [(await asyncio.open_connection(*listener.getsockname()))[1] for _ in range(10)]
        for writer in writers:
            await accept_one(taken)
            writer.close()


async def test_connections_wait_while_no_file_descriptor_is_free(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_socket, "_EXHAUSTED_S", 0.01)
    taken, without = asyncio.Semaphore(0), Exhausted(listener)
    async with shared_socket.share(without, Worker(0, taken), None):  # type: ignore[arg-type]
        _, writer = await asyncio.open_connection(*listener.getsockname())
        await accept_one(taken)
        writer.close()
    assert without.refused == 1


@pytest.mark.parametrize(("count", "workers", "apart"), [(8, 2, 0), (16, 4, 0), (40, 2, 4), (200, 2, 16), (200, 4, 16)])
async def test_a_burst_is_spread_evenly_over_workers(
    listener: socket.socket, count: int, workers: int, apart: int
) -> None:
    taken = asyncio.Semaphore(0)
    all_ = [Worker(0, taken) for _ in range(workers)]
    async with AsyncExitStack() as stack:
        with burst(listener, count):
            for worker in all_:
                await stack.enter_async_context(run_worker(listener, worker))
            for _ in range(count):
                await accept_one(taken)
        has = [len(worker.connections) for worker in all_]
        assert max(has) - min(has) <= apart, has
        await asyncio.sleep(SOON_S)
        with burst(listener, 2 * workers):  # a long queue has no effect once it is empty
            for _ in range(2 * workers):
                await accept_one(taken)
        more = [len(worker.connections) - before for worker, before in zip(all_, has, strict=True)]
        assert max(more) <= 3, more


async def test_a_long_backlog_is_accepted_without_a_pause_for_each_connection(listener: socket.socket) -> None:
    taken, count = asyncio.Semaphore(0), 300
    with burst(listener, count):
        began = time.monotonic()
        async with run_worker(listener, Worker(4, taken)):
            for _ in range(count):
                await accept_one(taken)
        assert time.monotonic() - began < count * shared_socket._MAX_S


async def test_a_connection_counts_while_it_is_being_set_up(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeters = asyncio.Queue[object]()

    async def slow(connection: socket.socket, server: object, *_: object) -> None:
        greeters.put_nowait(server)
        with connection:
            await asyncio.Event().wait()

    monkeypatch.setattr(shared_socket, "_greet", slow)
    busy, idle = (Worker(0, asyncio.Semaphore(0)) for _ in range(2))
    async with run_worker(listener, busy):
        with burst(listener, 4):
            assert [await greeters.get() for _ in range(4)] == [busy] * 4
            async with run_worker(listener, idle):
                for _ in range(3):
                    with burst(listener, 1):
                        assert await greeters.get() is idle
                    await asyncio.sleep(SOON_S)
