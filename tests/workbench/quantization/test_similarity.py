"""Similarity of outputs: overlap of masks, equality of classes, cosine of others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON, LabelledFrame
from danmatte_workbench.quantization.similarity import SimilarityJudge, compute_overlap, compute_similarity, make_judge

SIDE = 8
GRID = Grid(1.0, 1.0, 0.0, 0.0)


def frame(truth: np.ndarray | None) -> LabelledFrame:
    """Return a frame that is white where its person is."""
    shown = np.zeros((SIDE, SIDE), np.uint8) if truth is None else (truth == PERSON).astype(np.uint8) * 255
    return LabelledFrame("a", np.repeat(shown[..., None], 3, axis=2), truth)


def left_half(*, ignored: bool = False) -> np.ndarray:
    truth = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
    truth[:, :4] = PERSON
    if ignored:
        truth[:4] = IGNORE
    return truth


def white(picture: np.ndarray) -> list[np.ndarray]:
    """Return a mask in which white pixels are the person."""
    return [(picture[..., :1] > 127).astype(np.float32)]


def empty_mask(picture: np.ndarray) -> list[np.ndarray]:
    return [np.zeros((*picture.shape[:3], 1), np.float32)]


def judge(*truths: np.ndarray | None, grid: Grid | None = GRID, reference=white) -> SimilarityJudge:
    return make_judge([frame(truth) for truth in truths], Framing((SIDE, SIDE)), (SIDE, SIDE), grid, reference)


def test_a_perfect_mask_scores_1_and_an_empty_one_0() -> None:
    judged = judge(left_half())
    assert judged.has_labels
    assert judged.judge(white, [0]) == [1.0]
    assert judged.judge(empty_mask, [0]) == [0.0]


def test_labels_are_used_instead_of_the_reference_if_all_frames_have_them() -> None:
    assert judge(left_half(), reference=empty_mask).judge(white, [0]) == [1.0]


def test_the_reference_is_used_if_any_frame_has_no_label() -> None:
    judged = judge(left_half(), None, reference=white)
    assert not judged.has_labels
    assert judged.judge(empty_mask, [0, 1]) == [0.0, 1.0]  # the second has no person, and none is detected


def test_ignored_pixels_do_not_affect_the_score() -> None:
    truth = left_half(ignored=True)

    def everywhere_above(picture: np.ndarray) -> list[np.ndarray]:
        found = white(picture)[0].copy()
        found[:, :4] = 1
        return [found]

    assert judge(truth).judge(everywhere_above, [0]) == [1.0]


def test_frames_are_judged_in_the_requested_order() -> None:
    empty = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
    judged = judge(left_half(), empty)
    assert judged.judge(empty_mask, [1, 0, 1]) == [1.0, 0.0, 1.0]


def test_pictures_have_the_size_of_the_graphs_input() -> None:
    judged = make_judge([frame(left_half())], Framing((SIDE, SIDE)), (4, 6), GRID, white)
    assert [picture.shape for picture in judged.pictures] == [(1, 4, 6, 3)]


def test_without_a_grid_the_score_is_that_of_the_worst_output() -> None:
    def both(picture: np.ndarray) -> list[np.ndarray]:
        return [np.array([1.0, 0.0]), np.array([3, 3, 3, 3])]

    def other(picture: np.ndarray) -> list[np.ndarray]:
        return [np.array([2.0, 0.0]), np.array([3, 3, 3, 0])]

    judged = judge(left_half(), grid=None, reference=both)
    assert not judged.has_labels
    assert judged.judge(both, [0]) == [1.0]
    assert judged.judge(other, [0]) == [0.75]


@pytest.mark.parametrize(
    ("mask", "truth", "overlap"),
    [([1, 1, 0, 0], [1, 0, 1, 0], 1 / 3), ([0, 0], [0, 0], 1.0), ([1, 1], [0, 0], 0.0), ([1, 0], [1, 0], 1.0)],
)
def test_overlap_is_intersection_over_union(mask: list[int], truth: list[int], overlap: float) -> None:
    assert compute_overlap(np.array(mask, bool), np.array(truth, bool)) == pytest.approx(overlap)


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_overlap_is_symmetric_and_from_0_to_1(mask: list[bool], random) -> None:
    truth = [random.random() < 0.5 for _ in mask]
    one, other = np.array(mask), np.array(truth)
    assert compute_overlap(one, other) == compute_overlap(other, one)
    assert 0 <= compute_overlap(one, other) <= 1
    assert compute_overlap(one, one) == 1


@pytest.mark.parametrize(
    ("truth", "answer", "similarity"),
    [
        ([1.0, 0.0], [5.0, 0.0], 1.0),
        ([1.0, 0.0], [0.0, 5.0], 0.0),
        ([1.0, 0.0], [-1.0, 0.0], -1.0),
        ([0.0, 0.0], [0.0, 0.0], 1.0),
        ([0.0, 0.0], [0.0, 1.0], 0.0),
        ([1, 2, 3, 4], [1, 2, 3, 0], 0.75),
        ([1, 2, 3, 4], [1, 2, 3], 0.0),
        ([1.0, 2.0], [1.0, 2.0, 3.0], 0.0),
        ([[1.0, 2.0]], [1.0, 2.0], 0.0),
        ([], [], 1.0),
        ([1.0], [], 0.0),
        ([1.0, 2.0], [1.0, float("nan")], 0.0),
        ([1.0, 2.0], [1.0, float("inf")], 0.0),
    ],
)
def test_similarity_is_equality_of_classes_and_cosine_of_numbers(truth: list, answer: list, similarity: float) -> None:
    assert compute_similarity(np.array(truth), np.array(answer)) == pytest.approx(similarity)
