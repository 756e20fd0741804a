"""Agreement and disagreement of tensors."""

from collections.abc import Sequence

import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.agreement import (
    TensorScore,
    get_limit,
    measure_disagreement,
    measure_top1,
    score_tensors,
)
from danmatte_workbench.metrics.outputs.base import Answer
from tests.workbench.facts import HOST

RNG = np.random.default_rng(0)
SCORES: list[Answer] = [(RNG.normal(size=(1, 10)).astype(np.float32),) for _ in range(12)]


def score(before: Sequence[Answer], after: Sequence[Answer], *kinds: str) -> list[TensorScore]:
    """Return the comparison of each frame's tensors."""
    return score_tensors([str(number) for number in range(len(before))], before, after, kinds or ("scores",))


def test_equal_tensors_agree_entirely() -> None:
    found = measure_disagreement(score(SCORES, SCORES), "disagreement", HOST)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert (found.unit, found.samples, found.metric) == ("points", 12, "disagreement")


def test_the_output_with_the_highest_disagreement_counts() -> None:
    bad = [(scores, -scores) for (scores,) in SCORES]
    good = [(scores, scores) for (scores,) in SCORES]
    assert measure_disagreement(score(good, bad, "tensor", "tensor"), "d", HOST).value == pytest.approx(100)


def test_outputs_are_weighted_by_the_limits_of_their_kinds() -> None:
    """The limit of boxes is three times that of scores, so their loss counts for a third."""
    corners = RNG.uniform(0, 0.5, (12, 1, 5, 2))
    boxes = np.concatenate([corners, corners + 0.3], axis=3).astype(np.float32)
    before = [(scores, box) for (scores,), box in zip(SCORES, boxes, strict=True)]
    after = [(scores, box + 9) for scores, box in before]
    assert get_limit(("scores", "boxes")) == 5
    assert measure_disagreement(score(before, after, "scores", "boxes"), "d", HOST).value == pytest.approx(100 / 3)


def test_the_interval_contains_the_value_and_has_a_width() -> None:
    noisy = [(scores + RNG.normal(0, 1, scores.shape),) for (scores,) in SCORES]
    found = measure_disagreement(score(SCORES, noisy), "d", HOST)
    assert found.low < found.value < found.high


def test_integers_agree_only_if_they_are_equal() -> None:
    before, after = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9])
    assert measure_disagreement(score([(before,)], [(after,)], "tensor"), "d", HOST).value == pytest.approx(25)


def test_a_zero_tensor_agrees_only_with_a_zero_tensor() -> None:
    zeros, ones = np.zeros(4), np.ones(4)
    assert measure_disagreement(score([(zeros,)], [(zeros,)], "tensor"), "d", HOST).value == 0
    assert measure_disagreement(score([(zeros,)], [(ones,)], "tensor"), "d", HOST).value == pytest.approx(100)


def test_top1_agreement_is_measured_for_scores() -> None:
    after = [(-scores,) if number < 3 else (scores,) for number, (scores,) in enumerate(SCORES)]
    found = measure_top1(score(SCORES, after), "top1", HOST)
    assert found is not None
    assert found.value == pytest.approx(75)
    assert found.low <= found.value <= found.high


def test_top1_agreement_is_not_measured_for_maps() -> None:
    maps = [(np.ones((1, 8, 8, 2), np.float32),)]
    assert measure_top1(score(maps, maps, "tensor"), "top1", HOST) is None


def test_the_interval_of_one_frame_covers_the_whole_range() -> None:
    found = measure_disagreement(score(SCORES[:1], SCORES[:1], "tensor"), "d", HOST)
    assert (found.low, found.value, found.high) == (0, 0, 100)


def test_missing_frames_and_a_different_number_of_outputs_are_refused() -> None:
    with pytest.raises(InputError, match="no frames"):
        measure_disagreement([], "d", HOST)
    with pytest.raises(InputError, match="no frames"):
        score([], [])
    with pytest.raises(InputError, match="expected 1 tensors"):
        score(SCORES[:1], [(*SCORES[0], *SCORES[0])])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["scores", "regression", "regions", "embedding", "tensor"])
def test_nan_or_infinity_in_an_output_of_the_source_is_refused_with_the_frame(wrong: float, kind: str) -> None:
    """Otherwise every candidate would lose everything without a reason."""
    before = [(np.linspace(number, 1, 8 if kind != "regression" else 1)[None],) for number in range(4)]
    before[2][0][0, 0] = wrong
    with pytest.raises(InputError, match=r"^2: output 0 of the source has NaN or infinity"):
        score(before, before, kind)


def test_boxes_may_be_padded_with_nan() -> None:
    boxes = np.array([[[0.1, 0.1, 0.5, 0.5], [np.nan] * 4]], np.float32)
    assert measure_disagreement(score([(boxes,)], [(boxes,)], "boxes"), "d", HOST).value == pytest.approx(0)
