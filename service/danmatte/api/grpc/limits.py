"""Limits on long-lived calls: their number, their idle time, and the requests processed ahead of their responses."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Generic, TypeVar

from danmatte.errors import QueueFullError, ServiceError

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
# Maximum requests of a stream that are processed at once.
_AHEAD: Final = 8


class CapacityLimiter:
    """Limits the number of concurrent calls of one kind; `kind` names them in error messages."""

    def __init__(self, count: int, kind: str) -> None:
        self._count, self._kind = count, kind
        self._free = count

    @contextmanager
    def take(self) -> Iterator[None]:
        """Count one call while the block runs; raises QueueFullError if the limit is reached."""
        if not self._free:
            raise QueueFullError(f"all {self._count} {self._kind} are in use")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class EndableReader(Generic[Asked]):
    """Reads requests of a stream until none arrives for `idle_s` seconds, or `end` is called.

    `why` is the error given to `end`, to be raised after the requests read so far are answered.
    """

    def __init__(self, requests: AsyncIterable[Asked], idle_s: float) -> None:
        self._requests, self._idle_s = requests, idle_s
        self._timer = asyncio.timeout(None)
        self.why: ServiceError | None = None
        self.note_use: Callable[[], None] = lambda: None

    def end(self, why: ServiceError) -> None:
        """Stop reading; only the first call has an effect."""
        self.why = self.why or why
        with suppress(RuntimeError):  # the timer isn't running; `read` checks `why` before it starts it
            self._timer.reschedule(asyncio.get_running_loop().time())

    async def read(self) -> AsyncIterator[Asked]:
        """Yield the requests; `note_use` is called for each."""
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
    """Process requests concurrently, and yield an iterator over their responses in order.

    Requests that are unfinished when the block ends are cancelled.
    """
    free = asyncio.Semaphore(_AHEAD)
    due: asyncio.Queue[asyncio.Task[Answered] | None] = asyncio.Queue()
    working: set[asyncio.Task[Answered]] = set()

    async def read() -> None:
        async for request in requests:
            await free.acquire()
            task = asyncio.create_task(answer(request))
            working.add(task)
            due.put_nowait(task)

    async def yield_answers() -> AsyncIterator[Answered]:
        while task := await due.get():
            yield await task
            working.discard(task)
            free.release()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: due.put_nowait(None))
    try:
        yield yield_answers()
    finally:
        for task in (reading, *working):
            task.cancel()
        await asyncio.gather(reading, *working, return_exceptions=True)
