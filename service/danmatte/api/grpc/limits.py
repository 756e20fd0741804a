"""Calls that last: so many at once, not idle for ever; many requests on one, answered in their order."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Generic, TypeVar

from danmatte.errors import QueueFullError, ServiceError

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


class EndableReader(Generic[Asked]):
    """Requests as they come, up to the first that doesn't come for `idle_s`, or until `end` is called.

    `why` is then the reason, for whoever has answered what was read.
    """

    def __init__(self, requests: AsyncIterable[Asked], idle_s: float) -> None:
        self._requests, self._idle_s = requests, idle_s
        self._timer = asyncio.timeout(None)
        self.why: ServiceError | None = None
        self.note_use: Callable[[], None] = lambda: None

    def end(self, why: ServiceError) -> None:
        """Ends the reading; the first reason counts."""
        self.why = self.why or why
        with suppress(RuntimeError):  # it isn't waiting just now, and looks before it does
            self._timer.reschedule(asyncio.get_running_loop().time())

    async def read(self) -> AsyncIterator[Asked]:
        """The requests; `note_use` is called for each."""
        waiting = aiter(self._requests)
        try:
            while not self.why:
                async with asyncio.timeout(self._idle_s) as self._timer:
                    request = await anext(waiting)
                self.note_use()
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
