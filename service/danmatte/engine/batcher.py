"""An awaitable way to an engine: a line of items, threads that compute them, and batches where they pay."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np

from danmatte.engine.protocol import Arrays, Engine, select_region
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.timing import Timing

GATHER_S = 0.003  # how long the first item of a batch waits for others that are on their way


class _Item(NamedTuple):
    """One item's inputs in the line, who waits for its outputs, and since when."""

    waiter: asyncio.Future[Arrays]
    inputs: Arrays
    timing: Timing
    since: float


class _Line:
    """Items that wait for a thread, and how many more are on their way."""

    def __init__(self) -> None:
        self.items: SimpleQueue[_Item] = SimpleQueue()
        self.expected = 0


class Batcher:
    """Calls an engine for many callers; each caller has one item, such as a picture, and gets its own answer.

    An item goes into the line, and one of `engine.concurrency` threads takes it, with all that are in the line as far
    as the engine takes more than one in a call. Where further items are on their way, as `expect` says, the thread
    waits up to GATHER_S for them. An item whose caller leaves while it is in the line is never computed; a caller who
    leaves later changes nothing for the others of its batch. Threads start with the first item, so a batcher that
    nobody uses costs nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line = _Line()
        self._waiters: set[asyncio.Future[Arrays]] = set()
        self._threads = ThreadPoolExecutor(engine.concurrency, thread_name_prefix="infer")
        self._closed = False

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        """(1, H, W, 3) uint8 to the default region's map, (h, w) float32 in [0, 1]; the rest as for `compute`."""
        if self._closed:
            raise EngineError("the engine was closed")
        outputs = await self.compute((self._engine.arrange(picture),), timing)
        values: Probabilities = select_region(self._engine.manifest, outputs)[0]
        return values

    async def compute(self, inputs: Arrays, timing: Timing | None = None) -> Arrays:
        """One item's inputs to its outputs, both in the manifest's order.

        The wait before the engine's call counts as the phase `queue`, the call as `infer`. Raises EngineError, also
        for everything that waits when the batcher is closed.
        """
        if self._closed:
            raise EngineError("the engine was closed")
        self._engine.check(inputs, most=1)  # here, because in a batch it would fail its neighbours as well
        waiter: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        self._line.items.put(_Item(waiter, inputs, timing or Timing(), time.perf_counter()))
        # Not at once: other items of this turn of the loop, such as those of one request, are to be in the line, too.
        waiter.get_loop().call_soon(self._call_thread)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    @contextmanager
    def expect(self) -> Iterator[None]:
        """The block prepares an item, which others may wait for; to be entered and left on the event loop."""
        self._line.expected += 1
        try:
            yield
        finally:
            self._line.expected -= 1

    def close(self) -> None:
        """Answers whoever waits with EngineError; to be called on their event loop."""
        self._closed = True
        for waiter in self._waiters:
            _settle(waiter, EngineError("the engine was closed"))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call_thread(self) -> None:
        if not self._closed:
            self._threads.submit(_compute_next, self._line, self._engine)


# The functions that run in threads hold no batcher: one that nobody uses any more is freed, and its threads end.


def _compute_next(line: _Line, engine: Engine) -> None:
    """Answers the next item in the line, together with those that come soon after it."""
    items = _take(line, engine.batch)
    if not items:
        return
    for item in items:
        item.timing.add("queue", since=item.since)
    began = time.perf_counter()
    try:
        if len(items) == 1:
            answers = [engine.execute(items[0].inputs, [items[0].timing])]
        else:
            together = tuple(np.concatenate(parts) for parts in zip(*(item.inputs for item in items), strict=True))
            whole = engine.execute(together, [item.timing for item in items])
            answers = [tuple(values[row : row + 1] for values in whole) for row in range(len(items))]
        for item, outputs in zip(items, answers, strict=True):
            item.timing.add("infer", since=began)
            _settle_soon(item.waiter, outputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
        failure = error if isinstance(error, EngineError) else EngineError(f"{type(error).__name__}: {error}")
        for item in items:
            _settle_soon(item.waiter, failure)


def _take(line: _Line, most: int) -> list[_Item]:
    """The next items whose callers are still there; waits only for companions of the first that are on their way."""
    items: list[_Item] = []
    until = 0.0
    with suppress(Empty):
        while len(items) < most:
            left_s = max(0.0, until - time.monotonic()) if items and line.expected else 0.0
            item = line.items.get(timeout=left_s) if left_s else line.items.get_nowait()
            if not item.waiter.done():
                until = until or time.monotonic() + GATHER_S
                items.append(item)
    return [item for item in items if not item.waiter.done()]


def _settle_soon(waiter: asyncio.Future[Arrays], outcome: Arrays | EngineError) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        waiter.get_loop().call_soon_threadsafe(_settle, waiter, outcome)


def _settle(waiter: asyncio.Future[Arrays], outcome: Arrays | EngineError) -> None:
    if waiter.done():
        return
    if isinstance(outcome, EngineError):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
