"""An engine without a graph, for tests and trials."""

import threading

import numpy as np

from danmatte.contract.manifest import Manifest
from danmatte.engine.protocol import Engine
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities


class FakeEngine(Engine):
    """Answers with brightness as probability, averaged over the output's cells, after `delay_s`."""

    concurrency = 64

    def __init__(self, manifest: Manifest, delay_s: float = 0.0) -> None:
        super().__init__(manifest)
        self._cells = manifest.output.shape[1:3]
        self._delay_s, self._stop = delay_s, threading.Event()

    def infer(self, pictures: Pixels) -> Probabilities:
        """As the base class says; a call that is delayed ends with EngineError when the engine is closed."""
        self.check(pictures, self.batch)
        if self._delay_s and self._stop.wait(self._delay_s):
            raise EngineError("the engine was closed")
        (height, width), (_, rows, columns, _) = self._cells, self._shape
        whole: Pixels = pictures[:, : rows // height * height, : columns // width * width]
        cells = whole.reshape(len(pictures), height, rows // height, width, columns // width * 3)
        brightness: Probabilities = cells.mean((2, 4), dtype=np.float32)
        return brightness / np.float32(255)

    def close(self) -> None:
        """As the base class says."""
        super().close()
        self._stop.set()
