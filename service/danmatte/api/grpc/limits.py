"""Calls that last: so many at once, not idle for ever; many requests on one, answered in their order."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from danmatte.errors import QueueFullError

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
# How far requests are read ahead of their answers.
_AHEAD: Final = 8


class CapacityLimiter:
    """How many calls of a kind there may be at once; `kind` names them in messages."""

    def __init__(self, count: int, kind: str) -> None:
        self._count, self._kind = count, kind
        self._free = count

    @contextmanager
    def take(self) -> Iterator[None]:
        """One of them for as long as the block lasts; raises QueueFullError."""
        if not self._free:
            raise QueueFullError(f"all {self._count} {self._kind} are taken")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


async def read_until_idle(requests: AsyncIterable[Asked], idle_s: float) -> AsyncIterator[Asked]:
    """The requests, up to the first that doesn't come for so long."""
    waiting = aiter(requests)
    try:
        while True:
            async with asyncio.timeout(idle_s):
                request = await anext(waiting)
            yield request
    except (StopAsyncIteration, TimeoutError):
        return


@asynccontextmanager
async def answer_ahead(
    requests: AsyncIterable[Asked], answer: Callable[[Asked], Coroutine[Any, Any, Answered]]
) -> AsyncIterator[AsyncIterator[Answered]]:
    """The answers in order, some in work at once. What is still in work when the block is left is given up."""
    room = asyncio.Semaphore(_AHEAD)
    due: asyncio.Queue[asyncio.Task[Answered] | None] = asyncio.Queue()
    working: set[asyncio.Task[Answered]] = set()

    async def read() -> None:
        async for request in requests:
            await room.acquire()
            task = asyncio.create_task(answer(request))
            working.add(task)
            due.put_nowait(task)

    async def yield_answers() -> AsyncIterator[Answered]:
        while task := await due.get():
            yield await task
            working.discard(task)
            room.release()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: due.put_nowait(None))
    try:
        yield yield_answers()
    finally:
        for task in (reading, *working):
            task.cancel()
        await asyncio.gather(reading, *working, return_exceptions=True)
