"""An awaitable interface to an engine: a queue of items, and threads that compute them, in batches if possible."""

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

GATHER_S = 0.003  # how long the first item of a batch waits for others that are being prepared


class _Item(NamedTuple):
    """A queued item: its inputs, the future of its outputs, and the time since which it waits."""

    waiter: asyncio.Future[Arrays]
    inputs: Arrays
    timing: Timing
    since: float


class _ItemQueue:
    """The items that wait for a thread, and the number of items that are being prepared."""

    def __init__(self) -> None:
        self.items: SimpleQueue[_Item] = SimpleQueue()
        self.expected = 0


class Batcher:
    """Calls an engine for many callers, each with one item, such as a picture.

    Items are queued, and `engine.concurrency` threads take them from the queue, up to `engine.batch` per call. If
    further items are being prepared, as `expect` says, the thread waits up to GATHER_S for them. An item whose caller
    is cancelled while it is queued isn't computed. A later cancellation doesn't affect the other items of the batch.
    Threads start with the first item, so an unused batcher has none.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue = _ItemQueue()
        self._waiters: set[asyncio.Future[Arrays]] = set()
        self._threads = ThreadPoolExecutor(engine.concurrency, thread_name_prefix="infer")
        self._closed = False

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        """Return the default region's map, (h, w) float32 in [0, 1], of a picture, (1, H, W, 3) uint8.

        Timing and errors are as for `compute`.
        """
        if self._closed:
            raise EngineError("the engine was closed")
        outputs = await self.compute((self._engine.arrange(picture),), timing)
        values: Probabilities = select_region(self._engine.manifest, outputs)[0]
        return values

    async def compute(self, inputs: Arrays, timing: Timing | None = None) -> Arrays:
        """Return one item's outputs for its inputs, both in the manifest's order.

        The wait before the engine's call is timed as the phase `queue`, the call as `infer`. Raises EngineError,
        including for every item that still waits when the batcher is closed.
        """
        if self._closed:
            raise EngineError("the engine was closed")
        self._engine.check(inputs, max_items=1)  # now, because in a batch it would make the other items fail as well
        waiter: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        self._queue.items.put(_Item(waiter, inputs, timing or Timing(), time.perf_counter()))
        # Deferred, so that other items of this loop iteration, such as those of one request, are queued before.
        waiter.get_loop().call_soon(self._call_thread)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    @contextmanager
    def expect(self) -> Iterator[None]:
        """Announce that the block prepares an item, for which a batch may wait; use it on the event loop."""
        self._queue.expected += 1
        try:
            yield
        finally:
            self._queue.expected -= 1

    def close(self) -> None:
        """Fail all waiting items with EngineError; call it on their event loop."""
        self._closed = True
        for waiter in self._waiters:
            _settle(waiter, EngineError("the engine was closed"))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call_thread(self) -> None:
        if not self._closed:
            self._threads.submit(_compute_next, self._queue, self._engine)


# The functions that run in threads don't refer to the batcher, so that an unused one is freed and its threads end.


def _compute_next(queue: _ItemQueue, engine: Engine) -> None:
    """Compute the next item in the queue, together with those that arrive soon after it."""
    items = _take(queue, engine.batch)
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
    except Exception as error:  # noqa: BLE001 - callers wait for the outcome, whatever the error is
        failure = error if isinstance(error, EngineError) else EngineError(f"{type(error).__name__}: {error}")
        for item in items:
            _settle_soon(item.waiter, failure)


def _take(queue: _ItemQueue, max_items: int) -> list[_Item]:
    """Return the next items that aren't cancelled; wait only if there is one and others are being prepared."""
    items: list[_Item] = []
    until = 0.0
    with suppress(Empty):
        while len(items) < max_items:
            left_s = max(0.0, until - time.monotonic()) if items and queue.expected else 0.0
            item = queue.items.get(timeout=left_s) if left_s else queue.items.get_nowait()
            if not item.waiter.done():
                until = until or time.monotonic() + GATHER_S
                items.append(item)
    return [item for item in items if not item.waiter.done()]


def _settle_soon(waiter: asyncio.Future[Arrays], outcome: Arrays | EngineError) -> None:
    with suppress(RuntimeError):  # the loop is closed: no caller waits
        waiter.get_loop().call_soon_threadsafe(_settle, waiter, outcome)


def _settle(waiter: asyncio.Future[Arrays], outcome: Arrays | EngineError) -> None:
    if waiter.done():
        return
    if isinstance(outcome, EngineError):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
