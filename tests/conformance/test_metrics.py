"""Tests that every metric must pass; a new metric is one line in `METRICS`."""

import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics import Metric, Score, score_mask
from tests.workbench.facts import HOST

METRICS = (
    "mean_iou",
    "pooled_iou",
    "boundary_iou",
    "false_positives",
    "iou_under_2",
    "iou_2_to_15",
    "iou_over_15",
)
SIDES = {"iou_under_2": (5, 6), "iou_2_to_15": (10, 12)}  # of the person, where it isn't large


def test_every_metric_is_in_this_suite() -> None:
    assert set(Metric.all) == set(METRICS)


@pytest.fixture(params=METRICS)
def metric(request: pytest.FixtureRequest) -> Metric:
    return Metric.all[request.param]


def predicted(*, spoil: float, sides: tuple[int, int] = (20, 30)) -> list[Score]:
    """Return scores of masks with a share of inverted pixels; every second picture is empty."""
    rng = np.random.default_rng(0)
    scores = []
    for number in range(10):
        person = np.zeros((40, 60), bool)
        if number % 2:
            person[number + 3 : number + 3 + sides[0], 10 : 10 + sides[1]] = True
        mask = person ^ (rng.random(person.shape) < spoil)
        truth = np.where(person, 255, 0).astype(np.uint8)
        truth[:3] = 128
        scores.append(score_mask(str(number), mask, truth))
    return scores


def test_a_perfect_prediction_gives_the_ideal_value(metric: Metric) -> None:
    found = metric.measure(predicted(spoil=0, sides=SIDES.get(metric.kind, (20, 30))), HOST)
    assert (found.low, found.value, found.high) == (metric.ideal,) * 3


def test_a_worse_prediction_lies_further_from_the_ideal(metric: Metric) -> None:
    little, much = (
        abs(metric.measure(predicted(spoil=spoil, sides=SIDES.get(metric.kind, (20, 30))), HOST).value - metric.ideal)
        for spoil in (0.02, 0.2)
    )
    assert 0 < little < much


@pytest.mark.parametrize("scores", [[], "those that don't count"])
def test_an_empty_dataset_is_refused(metric: Metric, scores) -> None:
    if scores:
        scores = [
            item for item in predicted(spoil=0.1, sides=SIDES.get(metric.kind, (20, 30))) if not metric.counts(item)
        ]
        assert scores
    with pytest.raises(InputError, match=f"{metric.kind}: none of {len(scores)} pictures counts"):
        metric.measure(scores, HOST)


def test_the_value_lies_strictly_inside_its_interval(metric: Metric) -> None:
    found = metric.measure(predicted(spoil=0.1, sides=SIDES.get(metric.kind, (20, 30))), HOST)
    assert found.low < found.value < found.high
    assert found.samples == 5


def test_the_same_scores_give_the_same_measurement(metric: Metric) -> None:
    assert metric.measure(predicted(spoil=0.1, sides=SIDES.get(metric.kind, (20, 30))), HOST) == metric.measure(
        predicted(spoil=0.1, sides=SIDES.get(metric.kind, (20, 30))), HOST
    )


def test_a_measurement_states_its_metric_unit_and_host(metric: Metric) -> None:
    found = metric.measure(predicted(spoil=0.1, sides=SIDES.get(metric.kind, (20, 30))), HOST)
    assert (found.metric, found.unit, found.host) == (metric.kind, metric.unit, HOST)
