"""Many requests on one call: worked on side by side, answered in their order."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")
# How far requests are read ahead of their answers.
_AHEAD: Final = 8


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
