"""An awaitable way to an engine: a line of pictures, threads that compute them, and batches where they pay."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeAlias

import numpy as np

from danmatte.engine.protocol import Engine
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.timing import Timing

GATHER_S = 0.003  # how long the first picture of a batch waits for others
_Line: TypeAlias = "SimpleQueue[_Item]"


class _Item(NamedTuple):
    """A picture in the line, who waits for its answer, and since when."""

    waiter: asyncio.Future[Probabilities]
    picture: Pixels
    timing: Timing
    since: float


class Batcher:
    """Calls an engine for many callers; each caller has one picture and gets its own answer.

    A picture goes into the line, and one of `engine.concurrency` threads takes it. If the engine takes more than one
    picture in a call, the thread waits up to GATHER_S for others. A picture whose caller leaves while it is in the
    line is never computed; a caller who leaves later changes nothing for the others of its batch. Threads start with
    the first picture, so a batcher that nobody uses costs nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line: _Line = SimpleQueue()
        self._waiters: set[asyncio.Future[Probabilities]] = set()
        self._threads = ThreadPoolExecutor(engine.concurrency, thread_name_prefix="infer")
        self._closed = False

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        """(1, H, W, 3) uint8 to (h, w) float32 in [0, 1].

        The wait before the engine's call counts as the phase `queue`, the call as `infer`. Raises EngineError, also
        for everything that waits when the batcher is closed.
        """
        if self._closed:
            raise EngineError("the engine was closed")
        self._engine.check(picture, most=1)  # here, because in a batch it would fail its neighbours as well
        waiter: asyncio.Future[Probabilities] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        self._line.put(_Item(waiter, picture, timing or Timing(), time.perf_counter()))
        self._threads.submit(_compute_next, self._line, self._engine)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """Answers whoever waits with EngineError; to be called on their event loop."""
        self._closed = True
        for waiter in self._waiters:
            _settle(waiter, EngineError("the engine was closed"))
        self._threads.shutdown(wait=False, cancel_futures=True)


# The functions that run in threads hold no batcher: one that nobody uses any more is freed, and its threads end.


def _compute_next(line: _Line, engine: Engine) -> None:
    """Answers the next picture in the line, together with those that come soon after it."""
    items = _take(line, engine.batch)
    if not items:
        return
    for item in items:
        item.timing.add("queue", since=item.since)
    began = time.perf_counter()
    try:
        pictures = [item.picture for item in items]
        answers = engine.infer(pictures[0] if len(pictures) == 1 else np.concatenate(pictures))
        for item, values in zip(items, answers, strict=True):
            item.timing.add("infer", since=began)
            _settle_soon(item.waiter, values)
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
        failure = error if isinstance(error, EngineError) else EngineError(f"{type(error).__name__}: {error}")
        for item in items:
            _settle_soon(item.waiter, failure)


def _take(line: _Line, most: int) -> list[_Item]:
    """The next pictures whose callers are still there; waits only for companions of the first."""
    items: list[_Item] = []
    until = 0.0
    with suppress(Empty):
        while len(items) < most:
            item = line.get(timeout=max(0.0, until - time.monotonic())) if items else line.get_nowait()
            if not item.waiter.done():
                until = until or time.monotonic() + GATHER_S
                items.append(item)
    return [item for item in items if not item.waiter.done()]


def _settle_soon(waiter: asyncio.Future[Probabilities], outcome: Probabilities | EngineError) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        waiter.get_loop().call_soon_threadsafe(_settle, waiter, outcome)


def _settle(waiter: asyncio.Future[Probabilities], outcome: Probabilities | EngineError) -> None:
    if waiter.done():
        return
    if isinstance(outcome, EngineError):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
