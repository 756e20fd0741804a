"""Embeddings: direction and length of a vector."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, OutputMeasure, Sample, Variance


class EmbeddingMeasure(OutputMeasure):
    """The largest of: 1 − cosine, relative error of the length, and unexplained variance over frames.

    The variance is used because vectors without negative numbers all have similar directions.
    """

    kind = "embedding"
    limit = 5.0
    about = "cosine, length, and the variance over the frames that is explained"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        self._variance = Variance([answer[place] for answer in source])
        if self._variance.is_constant and len(source) > 1:
            raise InputError("the source gives the same vector for every frame; expected trained weights")

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        before, after = (answer[self._place].ravel().astype(np.float64) for answer in (source, candidate))
        if before.size != after.size or not np.isfinite(after).all():
            return 1.0, 1.0, 1.0
        length, other = float(np.linalg.norm(before)), float(np.linalg.norm(after))
        cosine = float(before @ after) / (length * other) if length and other else float(length == other)
        off = min(1.0, abs(other / length - 1)) if length else float(other > 0)
        error = self._variance.compute_error(source[self._place], candidate[self._place])
        return min(1.0, 1 - cosine), off, error

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        return np.asarray(WHOLE * samples.mean(axis=1).max(axis=1))
