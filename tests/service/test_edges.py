"""A mask's shape."""

import numpy as np
import pytest

from service.edges import Fade, guided, widened, without_specks
from tests.service.scenes import SIZE, person, probabilities, with_person


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_edges_are_drawn_to_the_pictures_edges() -> None:
    late = np.roll(probabilities(person(100)), 2, axis=1)
    drawn = guided(late, with_person(100))
    assert iou(drawn >= 0.5, person(100)) > iou(late >= 0.5, person(100))


def test_a_flat_picture_leaves_the_mask_where_it_is() -> None:
    flat = np.full(SIZE, 128, np.uint8)
    drawn = guided(probabilities(person(100)), flat)
    assert iou(drawn >= 0.5, person(100)) > 0.98


def test_specks_and_small_holes_go() -> None:
    alpha = person(100).astype(np.float32)
    alpha[10:14, 10:14] = 1
    alpha[100:103, 110:113] = 0
    clean, _ = without_specks(alpha)
    assert np.array_equal(clean >= 0.5, person(100))


def test_what_is_no_speck_stays_and_is_measured() -> None:
    alpha = person(100).astype(np.float32)
    alpha[60:100, 200:220] = 1
    clean, tallest = without_specks(alpha)
    assert clean is alpha
    assert tallest == pytest.approx(130 / 180)


def test_an_empty_mask_has_nobody_in_it() -> None:
    _, tallest = without_specks(np.zeros(SIZE, np.float32))
    assert tallest == 0


def test_a_margin_lies_around_people_and_is_soft() -> None:
    wide = widened(person(100).astype(np.float32), 6)
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
