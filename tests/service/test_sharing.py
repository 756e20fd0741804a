"""Several workers on one socket: nobody takes what an idler one could have."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from service import sharing


class Worker:
    """Stands for aiohttp's server: makes protocols, and knows how many it has."""

    def __init__(self, connections: int, taken: asyncio.Semaphore) -> None:
        self.connections: list[object] = [None] * connections
        self._taken = taken

    def __call__(self) -> asyncio.Protocol:
        self.connections.append(made := asyncio.Protocol())
        self._taken.release()
        return made


class Exhausted:
    """A listener whose process has no descriptor left for the first connection."""

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
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


async def once(taken: asyncio.Semaphore) -> None:
    async with asyncio.timeout(10):
        await taken.acquire()


async def test_who_has_fewer_connections_takes_the_next(listener: socket.socket) -> None:
    taken = asyncio.Semaphore(0)
    busy, idle = Worker(4, taken), Worker(0, taken)
    async with AsyncExitStack() as stack:
        for worker in (busy, idle):
            await stack.enter_async_context(sharing.sharing(listener, worker, None))  # type: ignore[arg-type]
        for _ in range(3):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            stack.push_async_callback(writer.wait_closed)
            stack.callback(writer.close)
            await once(taken)
    assert (len(busy.connections), len(idle.connections)) == (4, 3)


async def test_a_lone_worker_takes_all_however_many_it_has(listener: socket.socket) -> None:
    taken = asyncio.Semaphore(0)
    worker = Worker(100, taken)
    async with sharing.sharing(listener, worker, None):  # type: ignore[arg-type]
        writers = [(await asyncio.open_connection(*listener.getsockname()))[1] for _ in range(10)]
        for writer in writers:
            await once(taken)
            writer.close()


async def test_connections_wait_while_no_descriptor_is_left(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_EXHAUSTED_S", 0.01)
    taken, without = asyncio.Semaphore(0), Exhausted(listener)
    async with sharing.sharing(without, Worker(0, taken), None):  # type: ignore[arg-type]
        _, writer = await asyncio.open_connection(*listener.getsockname())
        await once(taken)
        writer.close()
    assert without.refused == 1
