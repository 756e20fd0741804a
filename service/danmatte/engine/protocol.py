"""What every engine is, and what all of them check alike."""

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

    `precision` is the number format that it really computes in, `batch` the most items that one call takes, and
    `concurrency` the calls that it computes at once: a further call waits inside `compute`.

    `runs_in_caller` says that `compute` works in the thread that calls it, and that there are at least as many
    concurrent calls as cores. Whoever has a thread for each core then calls it directly, which saves two changes of
    thread and keeps the picture in the core's cache. Where it is False, a direct call would keep a core idle or the
    pictures of a batch apart, and a `Batcher` is the way.

    `executions` is where calls of `execute` are counted; whoever wants the counts of a version, however often it is
    opened, puts them there.
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
        """All outputs for all inputs; where the first sides count items, those are 1 to `batch`.

        Maps of regions are in [0, 1]. Blocks; the answer's memory is the caller's own. The inputs may be read-only and
        lie anywhere in memory. Raises EngineError, and TensorError for numbers that it can't hold.
        """

    def execute(self, inputs: Arrays, timings: Sequence[Timing]) -> Arrays:
        """As `compute`, counted as one call for the items that these timings are of."""
        began = time.perf_counter()
        outputs = self.compute(inputs)
        self.executions.count(len(timings), time.perf_counter() - began)
        for timing in timings:
            timing.batch = len(timings)
        return outputs

    def infer(self, pictures: Pixels) -> Probabilities:
        """(n, H, W, 3) uint8 to the default region's map (n, h, w) float32 in [0, 1]; n is 1 to `batch`.

        Raises EngineError, and InvalidParameterError for a model that doesn't take a picture or finds no regions.
        """
        return select_region(self.manifest, self.compute((self.arrange(pictures),)))

    def arrange(self, pictures: Pixels) -> npt.NDArray[Any]:
        """(n, H, W, 3) uint8 as the graph's input takes them: its layout and its type."""
        return arrange_pictures(self.manifest.picture, pictures)

    def close(self) -> None:
        """Refuses further calls with EngineError; those that compute end as they would."""
        self._closed = True

    def check(self, inputs: Arrays, most: int) -> None:
        """Raises EngineError when the engine is closed or these aren't 1 to `most` items that it takes."""
        if self._closed:
            raise EngineError("the engine was closed")
        counts = set()
        for port, values in zip(self.manifest.inputs, inputs, strict=True):
            shape: tuple[int, ...] = values.shape
            fits = values.dtype == to_numpy(port.dtype)
            if self.takes_batches:
                counts.add(shape[:1])
                fits = fits and shape[:1] != () and 1 <= shape[0] <= most and fits_shape(port.shape, (1, *shape[1:]))
            else:
                fits = fits and fits_shape(port.shape, shape)
            if not fits:
                expected = f"{_format_batch(port.shape, most)} {port.dtype}"
                raise EngineError(f"{port.name}: expected {expected}, received {shape} {values.dtype}")
        if len(counts) > 1:
            raise EngineError(f"expected as many items in each input, received {sorted(counts)}")


def _format_batch(shape: Shape, most: int) -> str:
    return format_shape(shape if most == 1 else (f"1 to {most}", *shape[1:]))  # type: ignore[arg-type]


def to_numpy(dtype: str) -> np.dtype[Any]:
    """NumPy's type for the contract's word."""
    return np.dtype(_NUMPY.get(dtype) or f"{dtype[0]}{int(dtype[1:]) // 8}")


def arrange_pictures(port: PictureInput, pictures: Pixels) -> npt.NDArray[Any]:
    """(n, H, W, 3) uint8 as this input takes them: its layout and its type; no copy where nothing is to be done."""
    arranged: npt.NDArray[Any] = pictures if port.layout == "NHWC" else pictures.transpose(0, 3, 1, 2)
    return arranged if port.dtype == "u8" else arranged.astype(np.float32)


def select_region(manifest: Manifest, outputs: Arrays, region: str = "") -> Probabilities:
    """A region's map (n, h, w) among the graph's outputs; the default one's without a name.

    Raises InvalidParameterError for a region that the model doesn't know.
    """
    number, port, channel = manifest.find_region(region or manifest.default_region)
    values: Probabilities = outputs[number]
    if port.layout == "NHW":
        return values
    return values[..., channel] if port.layout == "NHWC" else values[:, channel]
