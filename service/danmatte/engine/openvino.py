"""OpenVINO: a compiled graph or several, a fixed set of infer requests, and as many threads."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeAlias

import numpy as np
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.engine.cache import Cache
from danmatte.engine.compilation import compiled
from danmatte.engine.protocol import Inline, Waiter, check_picture, settle
from danmatte.engine.threading import planned
from danmatte.errors import EngineError, ModelError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.metrics import Timing

GATHER_S = 0.003
_SAME, _ALIKE = 1e-3, 0.03  # another batch may be computed in another order, in half precision, too
_Line: TypeAlias = "SimpleQueue[_Item]"
_Requests: TypeAlias = "SimpleQueue[ov.InferRequest]"


class _Item(NamedTuple):
    """A picture in the line, whoever waits for its answer, and since when."""

    waiter: Waiter
    picture: Pixels
    timing: Timing
    since: float


class OpenVinoEngine:
    """A compiled graph with a line of pictures before it.

    Every picture puts itself into the line and calls for a thread; the thread takes the first whose caller
    is still there, and, if the version's configuration says so, those who come within GATHER_S. A caller
    who leaves before that is never computed for; one who leaves later costs nobody else anything. A thread
    that has nothing better to do than wait takes an infer request of its own instead (`inline`).
    """

    def __init__(
        self, manifest: Manifest, graph: bytes, weights: bytes, cores: int, cache: Cache | None = None
    ) -> None:
        """Compiles, warms up and tests itself, which takes seconds; raises ModelError."""
        self._shape, self._batch = manifest.input.shape, manifest.configuration.batch
        plan = planned(manifest, cores)
        try:
            lanes = compiled(manifest, (graph, weights), plan, cache)
            self.precision = str(lanes[0].get_property("INFERENCE_PRECISION_HINT").to_string())
            wanted = plan.requests or lanes[0].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            requests = [lane.create_infer_request() for lane in lanes for _ in range(wanted)]
            _self_test(requests, self._shape, self._batch)
        except RuntimeError as error:
            raise ModelError(f"{manifest.name}/{manifest.version}: OpenVINO: {error}") from error
        alone = manifest.configuration.device == "CPU" and self._batch == 1
        self._in_their_threads = alone and len(requests) >= cores  # fewer would have them wait for a request
        self._idle: _Requests = SimpleQueue()
        for request in requests:
            self._idle.put(request)
        self._line: _Line = SimpleQueue()
        self._waiters: set[Waiter] = set()
        self._threads = ThreadPoolExecutor(len(requests), thread_name_prefix="infer")
        self._closed = False

    @property
    def inline(self) -> Inline | None:
        """As the protocol says."""
        return self._compute if self._in_their_threads else None

    def _compute(self, picture: Pixels) -> Probabilities:
        check_picture(picture, self._shape, self._closed)
        request = self._idle.get()
        try:
            values: Probabilities = _inferred(request, picture)[0]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO: {error}") from error
        finally:
            self._idle.put(request)
        return values

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        """As the protocol says."""
        check_picture(picture, self._shape, self._closed)
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        self._line.put(_Item(waiter, picture, timing or Timing(), time.perf_counter()))
        self._threads.submit(_serve, self._line, self._idle, self._batch)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """As the protocol says."""
        self._closed = True
        for waiter in self._waiters:
            settle(waiter, EngineError("the engine was closed"))
        self._threads.shutdown(wait=False, cancel_futures=True)


def _serve(line: _Line, idle: _Requests, batch: int) -> None:
    """Answers the next in the line. Runs in a thread and holds no engine, so that one nobody uses is freed."""
    request = idle.get()
    try:
        items = _taken(line, batch)
        if items:
            _answer(request, items)
    finally:
        idle.put(request)


def _taken(line: _Line, most: int) -> list[_Item]:
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


def _answer(request: ov.InferRequest, items: list[_Item]) -> None:
    for item in items:
        item.timing.add("queue", since=item.since)
    began = time.perf_counter()
    try:
        pictures = [item.picture for item in items]
        answers = _inferred(request, pictures[0] if len(pictures) == 1 else np.concatenate(pictures))
        for item, values in zip(items, answers, strict=True):
            item.timing.add("infer", since=began)
            _settle_soon(item.waiter, values)
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
        for item in items:
            _settle_soon(item.waiter, EngineError(f"OpenVINO: {error}"))


def _inferred(request: ov.InferRequest, pictures: Pixels) -> Probabilities:
    """(n, H, W, 3) to (n, h, w), in memory of its own."""
    whole = np.ascontiguousarray(pictures)
    shared = ov.Tensor(whole, list(whole.shape), ov.Type.u8)  # also memory that isn't to be written, as a body's
    outputs = request.infer(shared, share_inputs=True, share_outputs=True)
    values: Probabilities = outputs[0][..., 0].clip(0, 1)
    return values


def _settle_soon(waiter: Waiter, outcome: Probabilities | EngineError) -> None:
    with suppress(RuntimeError):  # a closed loop: nobody waits
        waiter.get_loop().call_soon_threadsafe(settle, waiter, outcome)


def _self_test(requests: list[ov.InferRequest], shape: tuple[int, ...], batch: int) -> None:
    """Fixed pictures through every request, twice, and in batches: finite, in range, and always the same."""
    pictures = np.random.default_rng(0).integers(0, 256, (batch, *shape[1:]), dtype=np.uint8)
    first = np.concatenate([_raw(requests[0], pictures[row : row + 1]) for row in range(batch)])
    if not np.isfinite(first).all() or first.min() < -0.01 or first.max() > 1.01:
        raise ModelError(f"graph.xml: output: expected 0 to 1, received {first.min()} to {first.max()}")
    for request in requests:
        for count in sorted({1, min(2, batch), batch}):
            again = _raw(request, pictures[:count])
            if again.shape != first[:count].shape:
                raise ModelError(f"graph.xml: output: expected {first[:count].shape}, received {again.shape}")
            difference = float(np.abs(again - first[:count]).max())
            if difference > (_SAME if count == 1 else _ALIKE):
                told = "the same twice" if count == 1 else f"a picture's own in a batch of {count}"
                raise ModelError(f"graph.xml: output: expected {told}, received {difference:g} apart")


def _raw(request: ov.InferRequest, picture: Pixels) -> Probabilities:
    values: Probabilities = request.infer({0: picture})[0]
    return values
