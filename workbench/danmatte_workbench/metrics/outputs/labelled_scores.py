"""Class scores of labelled pictures: top-1 accuracy lost."""

import numpy as np

from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, Sample
from danmatte_workbench.metrics.outputs.scores import ScoresMeasure


class LabelledScoresMeasure(ScoresMeasure):
    """The larger of: points of top-1 accuracy lost against the labels, and a fifth of the unexplained variance.

    The variance is used because the first class alone doesn't show that scores were shifted or scaled.
    """

    kind = "labelled scores"
    limit = 1.0
    about = "top-1 accuracy lost against the pictures' own classes, and explained variance"
    _SHARE = limit / ScoresMeasure.limit

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        return self.sample_labelled(source, candidate, int(source[self._place].argmax()))

    def sample_labelled(self, source: Answer, candidate: Answer, class_number: int) -> Sample:
        """Return the sample of a frame of that class: whether source and candidate are right, and the error."""
        before, after = (answer[self._place].ravel().astype(np.float64) for answer in (source, candidate))
        if before.size != after.size or not np.isfinite(after).all():
            return float(_is_first(before, class_number)), 0.0, 1.0
        error = self._variance.compute_error(source[self._place], candidate[self._place])
        return float(_is_first(before, class_number)), float(_is_first(after, class_number)), error

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        right, still, error = np.moveaxis(samples.mean(axis=1), -1, 0)
        return np.asarray(WHOLE * np.maximum(np.maximum(right - still, 0), cls._SHARE * error))


def _is_first(scores: np.ndarray, class_number: int) -> bool:
    """Return whether this class alone has the highest score."""
    if class_number >= scores.size:
        return False
    return bool((scores >= scores[class_number]).sum() == 1)
