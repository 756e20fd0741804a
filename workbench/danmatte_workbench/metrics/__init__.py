"""What candidates are measured by, one file a metric of masks."""

# Each import registers its metric, and their order is that of columns in tables.
# isort: off
from danmatte_workbench.metrics.base import Metric, Score, score_mask
from danmatte_workbench.metrics.mean_iou import MeanIoU
from danmatte_workbench.metrics.pooled_iou import PooledIoU
from danmatte_workbench.metrics.boundary_iou import BoundaryIoU
from danmatte_workbench.metrics.false_positives import FalsePositives
# isort: on

__all__ = ["BoundaryIoU", "FalsePositives", "MeanIoU", "Metric", "PooledIoU", "Score", "score_mask"]
