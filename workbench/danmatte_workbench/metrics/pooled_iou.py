"""Pooled IoU: every pixel has the same weight, so large people count most."""

from danmatte_workbench.metrics.base import Metric, Score


class PooledIoU(Metric):
    """Intersection over union of all pixels of all pictures together."""

    kind = "pooled_iou"
    heading = "pooled IoU"

    def weigh(self, score: Score) -> tuple[float, float]:
        return score.both, score.either
