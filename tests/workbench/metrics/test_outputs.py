"""Outputs of variable length, such as the boxes that a graph finds."""

import numpy as np
import pytest

from danmatte_workbench.metrics.outputs import BoxesMeasure, TensorMeasure
from danmatte_workbench.metrics.outputs.base import Answer

FAR_APART = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]], np.float32)


def find(*scores: float) -> Answer:
    """Return a box with its class for each score."""
    count = len(scores)
    return FAR_APART[:count], np.ones(count, np.int64), np.array(scores, np.float32)


def lose(measure: BoxesMeasure, source: Answer, candidate: Answer) -> float:
    (points,) = measure.compute(np.array([[measure.sample(source, candidate)]]))
    return float(points)


def test_a_single_box_is_compared_by_its_score() -> None:
    source = [find(0.9, 0.8, 0.7), find(0.75), find(), find(0.1)]
    measure = BoxesMeasure(source, 0)
    assert lose(measure, source[1], source[1]) == 0
    assert lose(measure, source[1], find(0.35)) == pytest.approx(40)
    # A box with a low score isn't a detection of the source, so missing it isn't a loss.
    assert lose(measure, source[3], find()) == 0
    assert lose(measure, source[3], find(0.9)) == 100


def test_a_candidate_that_finds_fewer_boxes_is_measured() -> None:
    source = [find(0.9, 0.8), find(0.7, 0.9, 0.8)]
    measure = BoxesMeasure(source, 0)
    assert lose(measure, source[1], find(0.7, 0.9)) == pytest.approx(100 / 3)
    assert lose(measure, source[0], find()) == 100


@pytest.mark.parametrize(("before", "after", "lost"), [(0, 0, 0.0), (0, 3, 1.0), (3, 0, 1.0), (3, 3, 0.0)])
def test_empty_outputs_agree_only_with_empty_outputs(before: int, after: int, lost: float) -> None:
    source, candidate = ((np.ones(count, np.int64),) for count in (before, after))
    assert TensorMeasure([source, (np.ones(3, np.int64),)], 0).sample(source, candidate) == (lost,)
