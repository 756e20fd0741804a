"""Tensors that agree, and tensors that don't."""

from collections.abc import Sequence

import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.agreement import Answer, TensorScore, measure_disagreement, measure_top1, score_tensors
from tests.workbench.facts import HOST

RNG = np.random.default_rng(0)
SCORES: list[Answer] = [(RNG.normal(size=(1, 10)).astype(np.float32),) for _ in range(12)]


def score(before: Sequence[Answer], after: Sequence[Answer]) -> list[TensorScore]:
    """Each frame's tensors compared."""
    return [score_tensors(str(n), *pair) for n, pair in enumerate(zip(before, after, strict=True))]


def test_equal_tensors_agree_entirely() -> None:
    found = measure_disagreement(score(SCORES, SCORES), "disagreement", HOST)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert (found.unit, found.samples, found.metric) == ("points", 12, "disagreement")


def test_a_known_angle_gives_its_cosine() -> None:
    before, after = (np.array([[1.0, 0.0]]),), (np.array([[1.0, 1.0]]),)
    assert measure_disagreement(score([before] * 3, [after] * 3), "d", HOST).value == pytest.approx(100 * (1 - 2**-0.5))


def test_the_worst_output_counts() -> None:
    good, bad = np.array([1.0, 2.0]), np.array([2.0, -1.0])
    assert measure_disagreement(score([(good, good)] * 4, [(good, bad)] * 4), "d", HOST).value == pytest.approx(100)


def test_the_interval_holds_the_value_and_has_a_width() -> None:
    noisy = [(scores + RNG.normal(0, 1, scores.shape),) for (scores,) in SCORES]
    found = measure_disagreement(score(SCORES, noisy), "d", HOST)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("odd", [np.full((1, 10), np.nan), np.ones((1, 9))])
def test_what_cannot_agree_does_not(odd: np.ndarray) -> None:
    assert measure_disagreement(score(SCORES, [(odd,)] * 12), "d", HOST).value == pytest.approx(100)


def test_whole_numbers_agree_where_they_are_equal() -> None:
    before, after = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9])
    assert measure_disagreement(score([(before,)], [(after,)]), "d", HOST).value == pytest.approx(25)


def test_silence_agrees_with_silence_only() -> None:
    silent, loud = np.zeros(4), np.ones(4)
    assert measure_disagreement(score([(silent,)], [(silent,)]), "d", HOST).value == 0
    assert measure_disagreement(score([(silent,)], [(loud,)]), "d", HOST).value == 100


def test_the_highest_class_is_compared_where_there_are_scores() -> None:
    after = [(-scores,) if number < 3 else (scores,) for number, (scores,) in enumerate(SCORES)]
    found = measure_top1(score(SCORES, after), "top1", HOST)
    assert found is not None
    assert found.value == pytest.approx(75)
    assert found.low <= found.value <= found.high


def test_a_map_has_no_highest_class() -> None:
    maps = [(np.ones((1, 8, 8, 2), np.float32),)]
    assert measure_top1(score(maps, maps), "top1", HOST) is None


def test_no_frames_and_other_outputs_are_refused() -> None:
    with pytest.raises(InputError, match="no frames"):
        measure_disagreement([], "d", HOST)
    with pytest.raises(InputError, match="expected 1 tensors"):
        score(SCORES[:1], [(*SCORES[0], *SCORES[0])])
