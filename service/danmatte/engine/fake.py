"""A fake engine, without a graph, for tests and trials."""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import Output, PictureInput, RegionsOutput
from danmatte.contract.shapes import SideRange
from danmatte.engine.protocol import Arrays, Engine, to_numpy
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities


class FakeEngine(Engine):
    """An engine whose outputs are simple means of its inputs, returned after `delay_s`.

    A region's map has the picture's brightness, averaged over each cell. Other outputs have the mean of the first input
    everywhere.
    """

    concurrency = 64

    def __init__(self, manifest: Manifest, delay_s: float = 0.0) -> None:
        super().__init__(manifest)
        self._delay_s, self._stop = delay_s, threading.Event()

    def compute(self, inputs: Arrays) -> Arrays:
        """As the base class says; a delayed call raises EngineError when the engine is closed."""
        self.check(inputs, self.batch)
        if self._delay_s and self._stop.wait(self._delay_s):
            raise EngineError("the engine was closed")
        return tuple(self._answer(port, inputs) for port in self.manifest.outputs)

    def close(self) -> None:
        """As the base class says."""
        super().close()
        self._stop.set()

    def _answer(self, port: Output, inputs: Arrays) -> npt.NDArray[Any]:
        first = self.manifest.inputs[0]
        if isinstance(port, RegionsOutput) and isinstance(first, PictureInput):
            pictures = inputs[0] if first.layout == "NHWC" else inputs[0].transpose(0, 2, 3, 1)
            values = _average(pictures, port)
            maps = np.stack([values] * len(port.channels), axis=1 if port.layout == "NCHW" else 3)
            return maps[..., 0] if port.layout == "NHW" else maps
        count = len(inputs[0]) if self.manifest.takes_batches else 1
        lengths = [side.min if isinstance(side, SideRange) else side for side in port.shape]
        shape = (count, *lengths[1:]) if self.manifest.takes_batches else tuple(lengths)
        return np.full(shape, inputs[0].mean()).astype(to_numpy(port.dtype))


def _average(pictures: Pixels, port: RegionsOutput) -> Probabilities:
    """Return the brightness, 0 to 1, of each cell of pictures (n, H, W, 3)."""
    _, rows, columns, _ = pictures.shape
    height, width = (
        side.find_nearest(length) if isinstance(side, SideRange) else side
        for side, length in zip(port.sides, (rows, columns), strict=True)
    )
    whole = pictures[:, : rows // height * height, : columns // width * width]
    cells = whole.reshape(len(pictures), height, rows // height, width, columns // width * 3)
    brightness: Probabilities = cells.mean((2, 4), dtype=np.float32)
    return brightness / np.float32(255)
