"""A mask's shape."""

import cv2
import numpy as np
import pytest

from danmatte.video.edges import EdgeGuide, Fade, remove_specks, sharpen, widen
from tests.service.scenes import SIZE, person, probabilities, with_person


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def refine(alpha: np.ndarray, picture: np.ndarray) -> np.ndarray:
    guide = EdgeGuide(picture)
    return guide.refine(sharpen(guide.refine(alpha, 2)), 1)


def late(where: np.ndarray) -> np.ndarray:
    return np.roll(probabilities(where), 2, axis=1)


def test_edges_are_moved_to_the_pictures_edges() -> None:
    mask = refine(late(person(100)), cv2.merge([with_person(100)] * 3))
    assert iou(mask >= 0.5, person(100)) > 0.97 > iou(late(person(100)) >= 0.5, person(100))


def test_edges_that_only_colours_show_are_found() -> None:
    red, green = (np.where(person(100), *pair).astype(np.uint8) for pair in ((160, 60), (77, 128)))
    picture = cv2.merge([red, green, np.full(SIZE, 90, np.uint8)])
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey.astype(int)) <= 1
    assert iou(refine(late(person(100)), picture) >= 0.5, person(100)) > 0.97


def test_a_flat_picture_leaves_the_mask_where_it_is() -> None:
    flat = np.full((*SIZE, 3), 128, np.uint8)
    assert iou(refine(probabilities(person(100)), flat) >= 0.5, person(100)) > 0.98


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (180, 1)])
def test_pictures_of_any_size_have_edges(size: tuple[int, int]) -> None:
    alpha = np.full(size, 0.75, np.float32)
    assert EdgeGuide(np.full((*size, 3), 9, np.uint8)).refine(alpha, 2) == pytest.approx(alpha, abs=1e-3)


def test_what_is_sharpened_stays_on_its_side() -> None:
    alpha = np.array([[0, 0.2, 0.5, 0.8, 1]], np.float32)
    assert sharpen(alpha) == pytest.approx(np.array([[0, 0.004, 0.5, 0.996, 1]]), abs=1e-3)


def test_specks_and_small_holes_go() -> None:
    alpha = person(100).astype(np.float32)
    alpha[10:14, 10:14] = 1
    alpha[100:103, 110:113] = 0
    clean, _ = remove_specks(alpha)
    assert np.array_equal(clean >= 0.5, person(100))


def test_what_is_no_speck_stays_and_is_measured() -> None:
    alpha = person(100).astype(np.float32)
    alpha[60:100, 200:220] = 1
    clean, tallest = remove_specks(alpha)
    assert clean is alpha
    assert tallest == pytest.approx(130 / 180)


def test_an_empty_mask_has_nobody_in_it() -> None:
    _, tallest = remove_specks(np.zeros(SIZE, np.float32))
    assert tallest == 0


def test_a_margin_lies_around_people_and_is_soft() -> None:
    wide = widen(person(100).astype(np.float32), 6)
    assert wide[100, 98] > 0.5 > wide[100, 90]
    assert 0 < wide[100, 94] < 1
    assert wide[100, 120] == 1


@pytest.mark.parametrize(("tallest", "coverage"), [(0.05, 0.002), (1.0, 0.9), (0.0, 0.0)])
def test_masks_that_serve_nobody_are_let_go(tallest: float, coverage: float) -> None:
    assert Fade().step(tallest, coverage, 0, cut=False) == 0


def test_usual_shots_keep_their_masks() -> None:
    assert Fade().step(0.5, 0.3, 0, cut=False) == 1


def test_a_mask_goes_gradually_and_at_once_over_a_cut() -> None:
    fade = Fade()
    fade.step(0.5, 0.3, 0, cut=False)
    assert fade.step(1.0, 0.95, 100, cut=False) == pytest.approx(0.75)
    assert fade.step(1.0, 0.95, 200, cut=False) == pytest.approx(0.5)
    assert fade.step(0.5, 0.3, 300, cut=True) == 1


def test_an_edge_that_is_out_of_reach_is_left_alone() -> None:
    far = np.roll(probabilities(person(100)), 40, axis=1)
    refined = EdgeGuide(cv2.merge([with_person(100)] * 3)).refine(far, 1)
    assert iou(refined >= 0.5, far >= 0.5) > iou(refined >= 0.5, person(100))


def test_a_refined_mask_stays_in_range_and_the_given_one_is_not_written_to() -> None:
    alpha = probabilities(person(100), noise=3)
    before = alpha.copy()
    refined = EdgeGuide(cv2.merge([with_person(100)] * 3)).refine(alpha, 2)
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert refined.dtype == np.float32
    assert np.array_equal(alpha, before)


def test_the_guide_is_a_regression_in_each_window() -> None:
    """Where the mask is a sum of the colours, the filter gives it back."""
    rough = cv2.GaussianBlur(np.random.default_rng(0).random((64, 96, 3), np.float32), (0, 0), 5)
    one, two, three = np.moveaxis((rough - rough.min()) / np.ptp(rough), 2, 0)
    planes = np.dstack([one, 0.6 * one + 0.4 * two, 0.5 * two + 0.5 * three])  # colours go together, as in pictures
    alpha = (0.5 * planes[..., 0] + 0.2 * planes[..., 1] + 0.3 * planes[..., 2]).astype(np.float32)
    picture = np.rint(255 * planes).astype(np.uint8)
    apart = np.abs(EdgeGuide(picture).refine(alpha, 4) - alpha)
    assert apart.mean() < 0.01


def test_specks_are_measured_by_the_picture() -> None:
    small, large = np.zeros((60, 80), np.float32), np.zeros((600, 800), np.float32)
    small[10:13, 10:13] = large[10:13, 10:13] = 1
    assert remove_specks(small)[0].any()
    assert not remove_specks(large)[0].any()


def test_a_fade_lets_masks_come_back_as_slowly_as_they_go() -> None:
    fade = Fade()
    shares = [fade.step(0.5, 0.9, 0, cut=False)]
    shares += [fade.step(0.5, 0.3, 100 * at, cut=False) for at in range(1, 6)]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
