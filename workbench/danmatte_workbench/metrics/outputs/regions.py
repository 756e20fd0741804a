"""Maps of regions: what exceeds the threshold, and its probability."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, OutputMeasure, Sample, Variance

THRESHOLD = 0.3  # that of text detectors (PP-OCR, EAST); masks of people, with 0.5, have a separate measure
_SOFT = 0.5  # weight of errors in probability, because slightly softer outlines change no mask


class RegionsMeasure(OutputMeasure):
    """The larger of: 1 − IoU of what exceeds the threshold, pooled over frames, and half the unexplained variance."""

    kind = "regions"
    limit = 5.0
    about = f"IoU of what is over {THRESHOLD}, and explained variance of the probabilities"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        maps = [answer[place] for answer in source]
        if not any((one > THRESHOLD).any() for one in maps):
            raise InputError(
                f"the source finds nothing over {THRESHOLD} in these frames; expected frames with such regions"
            )
        self._variance = Variance(maps)

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        before, after = source[self._place], candidate[self._place]
        if before.shape != after.shape or not np.isfinite(after).all():
            return 0.0, float(max(1, (before > THRESHOLD).sum())), 1.0
        wanted, found = before > THRESHOLD, after > THRESHOLD
        error = self._variance.compute_error(before, after)
        return float((wanted & found).sum()), float((wanted | found).sum()), error

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        both, either = samples[..., 0].sum(axis=1), samples[..., 1].sum(axis=1)
        lost = np.where(either > 0, 1 - both / np.where(either > 0, either, 1), 0.0)
        return np.asarray(WHOLE * np.maximum(lost, _SOFT * samples[..., 2].mean(axis=1)))
