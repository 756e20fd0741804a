"""Mean IoU: a small figure counts as much as a large one."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.metrics.base import Metric, Score


class MeanIoU(Metric):
    """Mean over pictures of intersection over union."""

    kind = "mean_iou"
    heading = "mean IoU"
    of_candidates = True

    def compute(self, scores: Sequence[Score]) -> float:
        return float(np.mean([score.iou for score in scores]))
