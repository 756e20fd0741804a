"""Tensors of unknown meaning: the error of each channel relative to its variance."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, OutputMeasure, Sample, Variance

_CLASSES = (np.int32, np.int64, np.uint32, np.uint64, np.bool_)


class TensorMeasure(OutputMeasure):
    """The share of the source's variance that a candidate doesn't explain; all channels have the same weight.

    Integers of 32 and 64 bits and booleans are read as classes: their loss is the share that differs. Integers of 8 and
    16 bits are read as numbers.
    """

    kind = "tensor"
    limit = 5.0
    about = "squared error of each channel, in parts of its variance over the frames"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        tensors = [answer[place] for answer in source]
        self._variance = Variance(tensors)
        self._classes = tensors[0].dtype.type in _CLASSES

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        before, after = source[self._place], candidate[self._place]
        if self._classes:
            if before.shape != after.shape:
                return (1.0,)
            return (float(np.mean(before != after)) if before.size else 0.0,)
        return (self._variance.compute_error(before, after),)

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        return np.asarray(WHOLE * samples[..., 0].mean(axis=1))
