"""Boundary IoU: how well outlines agree."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.metrics.base import Metric, Score


class BoundaryIoU(Metric):
    """Mean over pictures of boundary IoU (Cheng et al., CVPR 2021)."""

    kind = "boundary_iou"
    heading = "boundary IoU"
    of_candidates = True

    def compute(self, scores: Sequence[Score]) -> float:
        return float(np.mean([score.edge_iou for score in scores]))
