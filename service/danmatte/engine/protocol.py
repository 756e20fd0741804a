"""What every engine is, and what all of them check alike."""

from abc import ABC, abstractmethod

import numpy as np

from danmatte.contract.manifest import Manifest
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities


class Engine(ABC):
    """A network that is ready to compute; `infer` may be called from many threads at once.

    `precision` is the number format that it really computes in, `batch` the most pictures that one call takes, and
    `concurrency` the calls that it computes at once: a further call waits inside `infer`.

    `runs_in_caller` says that `infer` computes in the thread that calls it, and that there are at least as many
    concurrent calls as cores. Whoever has a thread for each core then calls it directly, which saves two changes of
    thread and keeps the picture in the core's cache. Where it is False, a direct call would keep a core idle or the
    pictures of a batch apart, and a `Batcher` is the way.
    """

    precision: str = "f32"
    batch: int = 1
    concurrency: int = 1
    runs_in_caller: bool = False

    def __init__(self, manifest: Manifest) -> None:
        self._shape = manifest.input.shape
        self._closed = False

    @abstractmethod
    def infer(self, pictures: Pixels) -> Probabilities:
        """(n, H, W, 3) uint8 to (n, h, w) float32 in [0, 1], in memory of the caller's own; n is 1 to `batch`.

        Blocks. The input may be read-only and lie anywhere in memory. Raises EngineError.
        """

    def close(self) -> None:
        """Refuses further calls with EngineError; those that compute end as they would."""
        self._closed = True

    def check(self, pictures: Pixels, most: int) -> None:
        """Raises EngineError when the engine is closed or these aren't 1 to `most` pictures that it takes."""
        if self._closed:
            raise EngineError("the engine was closed")
        fits = pictures.ndim == 4 and 1 <= len(pictures) <= most and pictures.shape[1:] == self._shape[1:]
        if not fits or pictures.dtype != np.uint8:
            expected = (1, *self._shape[1:]) if most == 1 else (f"1 to {most}", *self._shape[1:])
            raise EngineError(f"picture: expected {expected} uint8, received {pictures.shape} {pictures.dtype}")
