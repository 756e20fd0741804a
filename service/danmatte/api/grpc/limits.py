"""Calls that last: so many at once, not idle for ever; many requests on one, answered in their order."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from danmatte.errors import QueueFullError

Request = TypeVar("Request")
Answer = TypeVar("Answer")
# How far requests are read ahead of their answers.
_AHEAD: Final = 8


class Seats:
    """How many lasting calls of a kind there may be at once."""

    def __init__(self, count: int, what: str) -> None:
        self._count, self._what = count, what
        self._free = count

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A seat for as long as the block lasts; raises QueueFullError."""
        if not self._free:
            raise QueueFullError(f"all {self._count} {self._what} are taken")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


async def awaited(requests: AsyncIterable[Request], idle_s: float) -> AsyncIterator[Request]:
    """The requests, up to the first that lets itself be waited for too long."""
    waiting = aiter(requests)
    try:
        while True:
            async with asyncio.timeout(idle_s):
                request = await anext(waiting)
            yield request
    except (StopAsyncIteration, TimeoutError):
        return


@asynccontextmanager
async def ahead(
    requests: AsyncIterable[Request], answer: Callable[[Request], Coroutine[Any, Any, Answer]]
) -> AsyncIterator[AsyncIterator[Answer]]:
    """The answers. What is still in work when the block is left is given up."""
    room = asyncio.Semaphore(_AHEAD)
    asked: asyncio.Queue[asyncio.Task[Answer] | None] = asyncio.Queue()
    working: set[asyncio.Task[Answer]] = set()

    async def take() -> None:
        async for request in requests:
            await room.acquire()
            task = asyncio.create_task(answer(request))
            working.add(task)
            asked.put_nowait(task)

    async def answers() -> AsyncIterator[Answer]:
        while task := await asked.get():
            yield await task
            working.discard(task)
            room.release()

    taking = asyncio.create_task(take())
    taking.add_done_callback(lambda _: asked.put_nowait(None))
    try:
        yield answers()
    finally:
        for task in (taking, *working):
            task.cancel()
        await asyncio.gather(taking, *working, return_exceptions=True)
