"""Mean IoU: every picture has the same weight, so a small person counts as much as a large one."""

from danmatte_workbench.metrics.base import Metric, Score


class MeanIoU(Metric):
    """Mean over pictures of intersection over union."""

    kind = "mean_iou"
    heading = "mean IoU"
    of_candidates = True

    def weigh(self, score: Score) -> tuple[float, float]:
        return score.iou, 1.0
