"""One number for each frame: its error, and whether the order of frames is kept."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.outputs.base import (
    WHOLE,
    Answer,
    OutputMeasure,
    Sample,
    Variance,
    compute_ranks,
    correlate,
)

_BROKEN = 1e6  # error assumed for an output that isn't one finite number


class RegressionMeasure(OutputMeasure):
    """The largest of: unexplained variance over frames, 1 − rank correlation, and relative error."""

    kind = "regression"
    limit = 5.0
    about = "relative error, rank correlation and explained variance over the frames"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        values = [answer[place] for answer in source]
        if Variance(values).is_constant or len(values) < 2:
            raise InputError("the source gives the same number for every frame; expected frames with different results")

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        before, after = float(source[self._place].ravel()[0]), candidate[self._place].ravel().astype(np.float64)
        if after.size != 1 or not np.isfinite(after[0]):
            return before, before + _BROKEN
        return before, float(after[0])

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        before, after = samples[..., 0], samples[..., 1]
        spread = np.square(before - before.mean(axis=1, keepdims=True)).sum(axis=1)
        error = np.square(after - before).sum(axis=1)
        unexplained = np.where(spread > 0, error / np.where(spread > 0, spread, 1), error > 0)
        size = np.abs(before).mean(axis=1)
        relative = np.where(size > 0, np.abs(after - before).mean(axis=1) / np.where(size > 0, size, 1), error > 0)
        order = 1 - correlate(compute_ranks(before), compute_ranks(after))
        order = np.where(spread > 0, order, 0.0)  # copies of one frame have no order
        return np.asarray(WHOLE * np.minimum(1.0, np.maximum(np.maximum(unexplained, relative), order)))
