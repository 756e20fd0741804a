"""Pooled IoU: what is large in the picture counts most."""

from collections.abc import Sequence

from danmatte_workbench.metrics.base import Metric, Score


class PooledIoU(Metric):
    """Intersection over union of all pixels of all pictures together."""

    kind = "pooled_iou"
    heading = "pooled IoU"

    def compute(self, scores: Sequence[Score]) -> float:
        either = sum(score.either for score in scores)
        return sum(score.both for score in scores) / either if either else 1.0
