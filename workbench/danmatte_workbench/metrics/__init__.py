"""Metrics of masks, one file for each."""

# Each import registers its metric. The order of imports is the order of columns in tables.
# isort: off
from danmatte_workbench.metrics.base import Metric, Score, score_mask
from danmatte_workbench.metrics.mean_iou import MeanIoU
from danmatte_workbench.metrics.pooled_iou import PooledIoU
from danmatte_workbench.metrics.boundary_iou import BoundaryIoU
from danmatte_workbench.metrics.false_positives import FalsePositives
from danmatte_workbench.metrics.people_share import LargePeopleIoU, SmallPeopleIoU, TinyPeopleIoU
# isort: on

__all__ = [
    "BoundaryIoU",
    "FalsePositives",
    "LargePeopleIoU",
    "MeanIoU",
    "Metric",
    "PooledIoU",
    "Score",
    "SmallPeopleIoU",
    "TinyPeopleIoU",
    "score_mask",
]
