"""Edges of masks."""

import cv2
import numpy as np
import pytest

from danmatte.video.edges import EdgeGuide, sharpen
from tests.service.scenes import SIZE, person, probabilities, with_person


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def refine(alpha: np.ndarray, picture: np.ndarray) -> np.ndarray:
    guide = EdgeGuide(picture)
    return guide.refine(sharpen(guide.refine(alpha, 2)), 1)


def lag(where: np.ndarray) -> np.ndarray:
    return np.roll(probabilities(where), 2, axis=1)


def test_mask_edges_are_moved_to_edges_of_the_picture() -> None:
    mask = refine(lag(person(100)), cv2.merge([with_person(100)] * 3))
    assert iou(mask >= 0.5, person(100)) > 0.97 > iou(lag(person(100)) >= 0.5, person(100))


def test_edges_visible_only_in_colour_are_found() -> None:
    red, green = (np.where(person(100), *pair).astype(np.uint8) for pair in ((160, 60), (77, 128)))
    picture = cv2.merge([red, green, np.full(SIZE, 90, np.uint8)])
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey.astype(int)) <= 1
    assert iou(refine(lag(person(100)), picture) >= 0.5, person(100)) > 0.97


def test_a_flat_picture_does_not_move_the_mask() -> None:
    flat = np.full((*SIZE, 3), 128, np.uint8)
    assert iou(refine(probabilities(person(100)), flat) >= 0.5, person(100)) > 0.98


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (180, 1)])
def test_pictures_of_any_size_can_be_refined(size: tuple[int, int]) -> None:
    alpha = np.full(size, 0.75, np.float32)
    assert EdgeGuide(np.full((*size, 3), 9, np.uint8)).refine(alpha, 2) == pytest.approx(alpha, abs=1e-3)


def test_sharpening_keeps_values_on_their_side_of_the_threshold() -> None:
    alpha = np.array([[0, 0.2, 0.5, 0.8, 1]], np.float32)
    assert sharpen(alpha) == pytest.approx(np.array([[0, 0.004, 0.5, 0.996, 1]]), abs=1e-3)


def test_a_mask_far_from_an_edge_is_not_moved_to_it() -> None:
    far = np.roll(probabilities(person(100)), 40, axis=1)
    refined = EdgeGuide(cv2.merge([with_person(100)] * 3)).refine(far, 1)
    assert iou(refined >= 0.5, far >= 0.5) > iou(refined >= 0.5, person(100))


def test_refining_keeps_values_from_0_to_1_and_does_not_change_its_input() -> None:
    alpha = probabilities(person(100), noise=3)
    before = alpha.copy()
    refined = EdgeGuide(cv2.merge([with_person(100)] * 3)).refine(alpha, 2)
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert refined.dtype == np.float32
    assert np.array_equal(alpha, before)


def test_the_edge_guide_reproduces_linear_combinations_of_colours() -> None:
    """If the mask is a linear combination of the colours, the filter reproduces it."""
    rough = cv2.GaussianBlur(np.random.default_rng(0).random((64, 96, 3), np.float32), (0, 0), 5)
    one, two, three = np.moveaxis((rough - rough.min()) / np.ptp(rough), 2, 0)
    # The colours are correlated, as in photographs.
    planes = np.dstack([one, 0.6 * one + 0.4 * two, 0.5 * two + 0.5 * three])
    alpha = (0.5 * planes[..., 0] + 0.2 * planes[..., 1] + 0.3 * planes[..., 2]).astype(np.float32)
    picture = np.rint(255 * planes).astype(np.uint8)
    apart = np.abs(EdgeGuide(picture).refine(alpha, 4) - alpha)
    assert apart.mean() < 0.01
