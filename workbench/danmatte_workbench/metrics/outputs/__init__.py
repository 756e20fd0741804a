"""Measures of the difference between a candidate's outputs and the source's, one file for each kind of output."""

# Each import registers its measure.
from danmatte_workbench.metrics.outputs.base import OutputMeasure
from danmatte_workbench.metrics.outputs.boxes import BoxesMeasure
from danmatte_workbench.metrics.outputs.embedding import EmbeddingMeasure
from danmatte_workbench.metrics.outputs.labelled_boxes import LabelledBoxesMeasure
from danmatte_workbench.metrics.outputs.labelled_scores import LabelledScoresMeasure
from danmatte_workbench.metrics.outputs.regions import RegionsMeasure
from danmatte_workbench.metrics.outputs.regression import RegressionMeasure
from danmatte_workbench.metrics.outputs.scores import ScoresMeasure
from danmatte_workbench.metrics.outputs.tensor import TensorMeasure

__all__ = [
    "BoxesMeasure",
    "EmbeddingMeasure",
    "LabelledBoxesMeasure",
    "LabelledScoresMeasure",
    "OutputMeasure",
    "RegionsMeasure",
    "RegressionMeasure",
    "ScoresMeasure",
    "TensorMeasure",
]
