"""The base class of engines, with the checks that they share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import PictureInput
from danmatte.contract.shapes import Shape, fits_shape, format_shape
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.statistics import Executions
from danmatte.telemetry.timing import Timing

Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]
"""A graph's inputs or its outputs, in the manifest's order."""
_NUMPY = {"boolean": "?", "f16": "f2", "f32": "f4", "f64": "f8"}


class Engine(ABC):
    """A network that is ready to compute; `compute` and `infer` may be called from many threads at once.

    `precision` is the number format that it really computes in, `batch` the maximum number of items per call, and
    `concurrency` the maximum number of concurrent calls: further calls wait inside `compute`.

    `runs_in_caller` means that `compute` works in the calling thread, and that there may be at least as many concurrent
    calls as cores. A pool with one thread per core then calls it directly, which saves two changes of thread and keeps
    the picture in the core's cache. If it is False, direct calls would leave cores idle or prevent batches; use a
    `Batcher` instead.

    `executions` counts the calls of `execute`. Assign a shared object to count all engines of a version together.
    """

    precision: str = "f32"
    batch: int = 1
    concurrency: int = 1
    runs_in_caller: bool = False

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.takes_batches = manifest, manifest.takes_batches
        self.executions = Executions()
        self._closed = False

    @abstractmethod
    def compute(self, inputs: Arrays) -> Arrays:
        """Return all outputs for all inputs, of 1 to `batch` items if the first side is the number of items.

        Maps of regions are in [0, 1]. The call blocks. The caller owns the outputs' memory; the inputs may be read-only
        and not contiguous. Raises EngineError, and TensorError for numbers outside the engine's range.
        """

    def execute(self, inputs: Arrays, timings: Sequence[Timing]) -> Arrays:
        """Return the result of `compute`; count it as one call, with one item for each of the timings."""
        began = time.perf_counter()
        outputs = self.compute(inputs)
        self.executions.count(len(timings), time.perf_counter() - began)
        for timing in timings:
            timing.batch = len(timings)
        return outputs

    def infer(self, pictures: Pixels) -> Probabilities:
        """Return the default region's maps, (n, h, w) float32 in [0, 1], of pictures, (n, H, W, 3) uint8.

        n is 1 to `batch`. Raises EngineError, and InvalidParameterError for a model that doesn't take a picture or
        finds no regions.
        """
        return select_region(self.manifest, self.compute((self.arrange(pictures),)))

    def arrange(self, pictures: Pixels) -> npt.NDArray[Any]:
        """Return pictures, (n, H, W, 3) uint8, in the layout and type of the graph's input."""
        return arrange_pictures(self.manifest.picture, pictures)

    def close(self) -> None:
        """Make further calls raise EngineError; calls in progress finish normally."""
        self._closed = True

    def check(self, inputs: Arrays, max_items: int) -> None:
        """Raise EngineError if the engine is closed, or the inputs aren't 1 to `max_items` valid items."""
        if self._closed:
            raise EngineError("the engine was closed")
        counts = set()
        for port, values in zip(self.manifest.inputs, inputs, strict=True):
            shape: tuple[int, ...] = values.shape
            fits = values.dtype == to_numpy(port.dtype)
            if self.takes_batches:
                counts.add(shape[:1])
                fits = (
                    fits and shape[:1] != () and 1 <= shape[0] <= max_items and fits_shape(port.shape, (1, *shape[1:]))
                )
            else:
                fits = fits and fits_shape(port.shape, shape)
            if not fits:
                expected = f"{_format_batch(port.shape, max_items)} {port.dtype}"
                raise EngineError(f"{port.name}: expected {expected}, received {shape} {values.dtype}")
        if len(counts) > 1:
            raise EngineError(f"expected the same number of items in each input, received {sorted(counts)}")


def _format_batch(shape: Shape, max_items: int) -> str:
    return format_shape(shape if max_items == 1 else (f"1 to {max_items}", *shape[1:]))  # type: ignore[arg-type]


def to_numpy(dtype: str) -> np.dtype[Any]:
    """Return NumPy's data type for the contract's."""
    return np.dtype(_NUMPY.get(dtype) or f"{dtype[0]}{int(dtype[1:]) // 8}")


def arrange_pictures(port: PictureInput, pictures: Pixels) -> npt.NDArray[Any]:
    """Return pictures, (n, H, W, 3) uint8, in this input's layout and type; not copied unless the type differs."""
    arranged: npt.NDArray[Any] = pictures if port.layout == "NHWC" else pictures.transpose(0, 3, 1, 2)
    return arranged if port.dtype == "u8" else arranged.astype(np.float32)


def select_region(manifest: Manifest, outputs: Arrays, region: str = "") -> Probabilities:
    """Return a region's map (n, h, w) from the graph's outputs, of the default region if `region` is empty.

    Raises InvalidParameterError for an unknown region.
    """
    number, port, channel = manifest.find_region(region or manifest.default_region)
    values: Probabilities = outputs[number]
    if port.layout == "NHW":
        return values
    return values[..., channel] if port.layout == "NHWC" else values[:, channel]
