"""Properties of scores, metrics and intervals that hold for all masks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte_workbench.metrics import Metric, Score, score_mask
from danmatte_workbench.metrics.agreement import measure_iou_drop
from danmatte_workbench.metrics.base import bootstrap
from tests.workbench.facts import HOST

MASKS = arrays(bool, (12, 15))
TRUTHS = arrays(np.uint8, (12, 15), elements=st.sampled_from([0, 128, 255]))


@given(MASKS, TRUTHS)
def test_the_counts_of_a_score_are_consistent(mask: np.ndarray, truth: np.ndarray) -> None:
    score = score_mask("x", mask, truth)
    assert 0 <= score.both <= min(score.painted, score.truth)
    assert max(score.painted, score.truth) <= score.either <= score.counted <= mask.size
    assert score.both + score.either == score.painted + score.truth
    assert 0 <= score.edge_both <= score.edge_either <= score.either
    assert 0 <= score.iou <= 1
    assert 0 <= score.edge_iou <= 1


@given(TRUTHS)
def test_the_true_mask_scores_1_whatever_is_ignored(truth: np.ndarray) -> None:
    score = score_mask("x", truth == 255, truth)
    assert (score.iou, score.edge_iou) == (1, 1)
    assert score_mask("x", truth >= 128, truth) == score


@given(MASKS, MASKS)
def test_iou_is_symmetric(one: np.ndarray, other: np.ndarray) -> None:
    forth = score_mask("x", one, np.where(other, 255, 0).astype(np.uint8))
    back = score_mask("x", other, np.where(one, 255, 0).astype(np.uint8))
    assert (forth.iou, forth.edge_iou) == (back.iou, back.edge_iou)
    assert (forth.painted, forth.truth) == (back.truth, back.painted)


@given(MASKS, TRUTHS)
def test_ignored_pixels_do_not_affect_the_score(mask: np.ndarray, truth: np.ndarray) -> None:
    painted = np.where(truth == 128, True, mask)
    assert score_mask("x", painted, truth) == score_mask("x", np.where(truth == 128, False, mask), truth)


COUNTS = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))


def make_score(counts: tuple[int, int, int]) -> Score:
    """Return a score from the pixels that both have, and those that only one of them has."""
    both, extra, lacking = counts
    either = both + extra + lacking
    return Score("x", both, either, both, either, truth=both + lacking, painted=both + extra, counted=200)


@settings(max_examples=20, deadline=None)
@given(st.lists(COUNTS.map(make_score), min_size=1, max_size=8), st.sampled_from(sorted(Metric.all)))
def test_an_interval_contains_its_value_and_stays_in_range(scores: list[Score], kind: str) -> None:
    metric = Metric.all[kind]
    if not any(metric.counts(score) for score in scores):
        return
    found = metric.measure(scores, HOST)
    top = 100 if metric.unit == "%" else 1
    assert 0 <= found.low <= found.value <= found.high <= top
    assert found.samples == sum(metric.counts(score) for score in scores)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=8))
def test_swapping_both_sides_turns_a_loss_into_a_gain(
    pairs: list[tuple[tuple[int, int, int], tuple[int, int, int]]],
) -> None:
    before, after = ([make_score(pair[side]) for pair in pairs] for side in (0, 1))
    people = [(a, b) for a, b in zip(before, after, strict=True) if a.truth and b.truth]
    if not people:
        return
    ones, others = ([pair[side] for pair in people] for side in (0, 1))
    lost, gained = measure_iou_drop(ones, others, "d", HOST), measure_iou_drop(others, ones, "d", HOST)
    assert lost.value == pytest.approx(-gained.value)
    assert (lost.low, lost.high) == pytest.approx((-gained.high, -gained.low))


@pytest.mark.parametrize("kind", ["mean_iou", "pooled_iou", "boundary_iou", "iou_over_15"])
def test_frames_of_one_scene_are_resampled_together(kind: str) -> None:
    """Frames of one clip are hardly independent, so four scenes give a wider interval than 48 pictures."""
    scores = [replace(make_score((40 - 5 * (number // 12), 5, 5)), name=f"{number}") for number in range(48)]
    scenes = {score.name: f"{int(score.name) // 12}" for score in scores}
    apart, together = (Metric.all[kind].measure(scores, HOST, places) for places in ({}, scenes))
    assert together.value == pytest.approx(apart.value)
    assert together.samples == apart.samples == 48
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_the_interval_of_one_picture_covers_the_whole_range() -> None:
    found = Metric.all["mean_iou"].measure([make_score((40, 5, 5))], HOST)
    assert (found.low, found.value, found.high) == (0, 0.8, 1)


def test_equal_values_give_an_interval_of_width_0() -> None:
    found = bootstrap("m", "u", lambda places: np.full(9, 3.0)[places].mean(axis=1), 9, HOST)
    assert (found.low, found.value, found.high, found.samples) == (3, 3, 3, 9)


def test_more_pictures_make_the_interval_narrower() -> None:
    values = np.random.default_rng(1).normal(0, 1, 400)

    def measure_width(count: int) -> float:
        found = bootstrap("m", "u", lambda places: values[:count][places].mean(axis=1), count, HOST)
        return found.high - found.low

    assert measure_width(400) < measure_width(40) / 2


def test_the_interval_is_reproducible_and_extends_two_standard_errors_each_way() -> None:
    values = np.random.default_rng(2).normal(0, 1, 100)
    one, other = (bootstrap("m", "u", lambda places: values[places].mean(axis=1), 100, HOST) for _ in range(2))
    assert one == other
    assert (one.high - one.low) / 2 == pytest.approx(1.96 * values.std() / 10, rel=0.15)


def test_every_metric_is_registered_by_its_kind_with_a_unique_heading() -> None:
    for kind, metric in Metric.all.items():
        assert metric.kind == kind
        assert metric.heading
    assert len({metric.heading for metric in Metric.all.values()}) == len(Metric.all)


def test_a_new_metric_is_registered_by_its_class_alone() -> None:
    class GoodMasks(Metric):
        """Share of pictures with an IoU above one half."""

        kind = "good_masks"
        heading = "good masks"

        def weigh(self, score: Score) -> tuple[float, float]:
            return float(score.iou > 0.5), 1.0

    try:
        scores = [make_score((1, 0, 1)), make_score((3, 0, 1))]
        assert Metric.all["good_masks"].measure(scores, HOST).value == 0.5
    finally:
        del Metric.all["good_masks"]
