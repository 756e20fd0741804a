"""Boundary IoU: agreement of outlines."""

from danmatte_workbench.metrics.base import Metric, Score


class BoundaryIoU(Metric):
    """Mean over pictures of boundary IoU (Cheng et al., CVPR 2021)."""

    kind = "boundary_iou"
    heading = "boundary IoU"
    of_candidates = True

    def weigh(self, score: Score) -> tuple[float, float]:
        return score.edge_iou, 1.0
