"""Class scores: which class is first, whether it is among five, and the order of all."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.metrics.outputs.base import (
    WHOLE,
    Answer,
    OutputMeasure,
    Sample,
    Variance,
    compute_ranks,
    correlate,
)

FIRST, AMONG_FIVE = 0, 1
_MOST = 5
_LEAST = 0.01  # of the highest probability


class ScoresMeasure(OutputMeasure):
    """The worst of: frames whose first class is another, frames whose first class isn't among five, 1 − rank
    correlation over the classes, and the variance over the frames that isn't explained.
    """

    kind = "scores"
    limit = 5.0
    about = "top-1 and top-5 agreement, rank correlation of the classes, and explained variance"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        self._variance = Variance([answer[place] for answer in source])

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        before, after = (answer[self._place].ravel().astype(np.float64) for answer in (source, candidate))
        if before.size != after.size or not np.isfinite(after).all() or not after.size:
            return 1.0, 1.0, 1.0, 1.0
        # Of equal scores none is first: an answer that is the same for all classes chooses none.
        first = int(before.argmax())
        ahead = int((after > after[first]).sum())
        tied = int((after == after[first]).sum()) - 1
        five = float(ahead + tied >= min(_MOST, before.size - 1))
        # The order of probabilities that are next to nothing is noise.
        told = before >= _LEAST * before.max() if before.min() >= 0 else np.full(before.shape, True)
        order = 1 - float(correlate(compute_ranks(before[told]), compute_ranks(after[told]))) if told.sum() > 2 else 0.0
        error = self._variance.compute_error(source[self._place], candidate[self._place])
        return float(ahead > 0 or (before == before[first]).sum() - 1 < tied), five, min(1.0, order), error

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        return np.asarray(WHOLE * samples.mean(axis=1).max(axis=1))
