"""An engine without a graph, for tests and trials."""

import asyncio

import numpy as np

from danmatte.contract.manifest import Manifest
from danmatte.engine.protocol import Waiter, check_picture, settle
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.metrics import Timing


class FakeEngine:
    """Brightness as probability, averaged over the output's cells."""

    precision = "f32"
    inline = None

    def __init__(self, manifest: Manifest, delay_s: float = 0.0) -> None:
        self._shape, self._cells = manifest.input.shape, manifest.output.shape[1:3]
        self._delay_s = delay_s
        self._waiters: set[Waiter] = set()
        self._closed = False

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        """As the protocol says."""
        check_picture(picture, self._shape, self._closed)
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        self._waiters.add(waiter)
        timer = loop.call_later(self._delay_s, settle, waiter, self._brightness(picture))
        try:
            with (timing or Timing()).phase("infer"):
                return await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    def close(self) -> None:
        """As the protocol says."""
        self._closed = True
        for waiter in self._waiters:
            settle(waiter, EngineError("the engine was closed"))

    def _brightness(self, picture: Pixels) -> Probabilities:
        (height, width), (_, rows, columns, _) = self._cells, self._shape
        cells: Pixels = picture[0, : rows // height * height, : columns // width * width].reshape(
            height, rows // height, width, columns // width * 3
        )
        brightness: Probabilities = cells.mean((1, 3), dtype=np.float32)
        return brightness / np.float32(255)
